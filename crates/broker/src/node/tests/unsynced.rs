//! What is not durable yet of topics that are deleted.

use super::*;

fn partition_of(node: &Node) -> Arc<Partition> {
    let topic = node.broker.partitions.topic(TOPIC).unwrap();
    Arc::clone(topic.partition(0).unwrap())
}

#[test]
fn nobody_keeps_the_files_of_a_deleted_topic_open() {
    for durability in ["fsync", "page-cache"] {
        World::new(61).live(async move |life| {
            let node = life.node(&[("ottla.durability", durability)]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            assert_eq!(client.produce(-1, &batch(400)).await.error, OK);
            let deleted = Arc::downgrade(&partition_of(&node));
            client.delete().await;
            // A checkpoint of everything and the removal of the files: a minute each.
            life.pause(150_000).await;
            assert!(deleted.upgrade().is_none(), "{durability}: its blocks stay allocated");
            node.stop().await;
        });
    }
}
