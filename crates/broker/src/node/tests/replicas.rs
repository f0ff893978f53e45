//! Partitions whose metadata names replicas that are elsewhere, as a folder of a larger cluster of
//! Apache Kafka has them.

use ottla_metadata::{ConfigResource, LeaderRecovery, NewPartition, PartitionImage, Record};
use ottla_types::{BrokerId, LeaderEpoch, PartitionEpoch, PartitionId, TopicName, Uuid};

use super::*;
use crate::controller::{BOOTSTRAP_CHECKPOINT, Checkpoint};
use crate::identity::Identity;

const NOT_ENOUGH_REPLICAS: i16 = 19;

/// Formats a folder of a cluster that has the topic on `replicas`; this node alone is in sync.
pub(super) async fn format(life: &Life, topic: &str, replicas: &[i32], min_insync: &str) {
    drop(Identity::establish(&life.env, &life.config(&[])).await.unwrap());
    let (name, id) = (TopicName::parse(topic).unwrap(), Uuid::from_u128(7));
    let replicas: Vec<BrokerId> = replicas.iter().copied().map(BrokerId::new).collect();
    let state = PartitionImage {
        // No particular one.
        directories: vec![Uuid::from_u128(1); replicas.len()],
        replicas,
        isr: vec![BrokerId::new(1)],
        removing: Vec::new(),
        adding: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader: Some(BrokerId::new(1)),
        recovery: LeaderRecovery::Recovered,
        leader_epoch: LeaderEpoch::new(0),
        partition_epoch: PartitionEpoch::new(0),
    };
    let feature = |name: &str, level| Record::FeatureLevel { name: name.to_owned(), level };
    let records = vec![
        feature("metadata.version", 30),
        feature("group.version", 1),
        Record::Topic { name: name.clone(), id },
        Record::Config {
            resource: ConfigResource::Topic(name),
            name: "min.insync.replicas".to_owned(),
            value: Some(min_insync.to_owned()),
        },
        Record::Partition(NewPartition { topic: id, partition: PartitionId::new(0), state }),
    ];
    let checkpoint = Checkpoint { records, ..Checkpoint::default() };
    let path = Path::new("data").join(BOOTSTRAP_CHECKPOINT);
    let bytes = checkpoint.encode(Timestamp::from_millis(1));
    life.env.disk.replace_file(&path, &bytes).await.unwrap();
}

#[test]
fn acks_of_all_need_as_many_replicas_in_sync_as_the_topic_demands() {
    check(90, &[1, 2], "2", NOT_ENOUGH_REPLICAS);
    check(91, &[1, 2, 3], "3", NOT_ENOUGH_REPLICAS);
    check(92, &[1, 2], "1", OK);
    // Of one replica, nobody can demand two.
    check(93, &[1], "2", OK);
}

fn check(seed: u64, replicas: &'static [i32], min_insync: &'static str, of_all: i16) {
    World::new(seed).live(async move |life| {
        format(&life, TOPIC, replicas, min_insync).await;
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.produce(-1, &batch(10)).await.error, of_all, "{replicas:?}");
        assert_eq!(client.produce(1, &batch(10)).await.error, OK, "{replicas:?}");
    });
}
