//! What is not durable yet of topics that are deleted.

use super::*;

fn partition_of(node: &Node) -> Arc<Partition> {
    let topic = node.broker.partitions.topic(TOPIC).unwrap();
    Arc::clone(topic.partition(0).unwrap())
}

#[test]
fn a_topic_that_is_deleted_while_its_roll_waits_for_a_sync_leaves_nothing_unsynced() {
    for durability in ["fsync", "page-cache"] {
        World::new(60).live(async move |life| {
            let small = ("internal.segment.bytes", "1600");
            let node = life.node(&[small, ("ottla.durability", durability)]).await;
            let mut client = life.client().await;
            client.create(&[]).await;
            assert_eq!(client.produce(-1, &batch(400)).await.error, OK);
            let directory = Arc::clone(partition_of(&node).directory());
            // A sync of the first or the second is under way when the third comes; the fourth does
            // not fit any more.
            life.slow_disk(4_000);
            assert_eq!(client.produce(1, &batch(400)).await.error, OK);
            let (env, syncing) = (life.env.clone(), Arc::clone(&directory));
            life.env.spawn.spawn("sync", Box::pin(async move { drop(syncing.sync(&env).await) }));
            life.pause(100).await;
            assert_eq!(client.produce(1, &batch(400)).await.error, OK);
            let mut rolling = life.client().await;
            rolling.send_produce(1, &batch(400)).await;
            life.pause(100).await;
            life.slow_disk(0);
            client.delete().await;
            life.pause(30_000).await;
            assert_eq!(directory.unsynced_bytes(), 0, "{durability}");
            client.create(&[]).await;
            assert_eq!(client.produce(-1, &batch(400)).await.base_offset, 0);
            node.stop().await;
        });
    }
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
