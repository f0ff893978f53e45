//! Compacted topics: what stays of them, through restarts, and what they do not take.

use std::collections::BTreeMap;

use ottla_records::Batches;

use super::groups::FEW;
use super::*;

const INVALID_RECORD: i16 = 87;

/// Looked at often; segments of a few batches.
const EAGER: &[(&str, &str)] = &[
    ("internal.segment.bytes", "1000"),
    ("log.cleaner.backoff.ms", "100"),
    ("log.cleaner.min.cleanable.ratio", "0.01"),
    ("log.cleaner.delete.retention.ms", "60000"),
    ("internal.checkpoint.interval.ms", "100"),
    ("log.flush.offset.checkpoint.interval.ms", "100"),
    ("log.segment.delete.delay.ms", "1000"),
];

fn keyed(key: &str, value: Option<&str>) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(NewRecord {
        timestamp: Timestamp::from_millis(1_000),
        key: (!key.is_empty()).then_some(key.as_bytes()),
        value: value.map(str::as_bytes),
        headers: &[],
    });
    builder.build().into_bytes()
}

impl Client {
    /// So many values for each of so many keys, one after the other.
    async fn update(&mut self, keys: usize, rounds: std::ops::Range<usize>) {
        for round in rounds {
            for key in 0..keys {
                let (key, value) = (format!("key-{key}"), format!("value-{round}-{key}"));
                assert_eq!(self.produce(-1, &keyed(&key, Some(&value))).await.error, OK);
            }
        }
    }
}

/// What a partition's files hold: offsets, keys and values.
async fn stored(life: &Life, directory: &str) -> Vec<(i64, String, Option<String>)> {
    let mut records = Vec::new();
    let directory = Path::new("data").join(directory);
    let listed = life.env.disk.list(&directory).await.unwrap();
    for entry in listed.iter().filter(|entry| entry.name.ends_with(".log")) {
        let bytes = life.env.disk.read_whole(&directory.join(&entry.name)).await.unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.crc_matches());
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (key, value) = (record.key.map(text), record.value.map(text));
                records.push((record.offset.get(), key.unwrap_or_default(), value));
            }
        }
    }
    assert!(records.is_sorted_by_key(|(offset, ..)| *offset));
    records
}

fn table(records: &[(i64, String, Option<String>)]) -> BTreeMap<String, Option<String>> {
    records.iter().map(|(_, key, value)| (key.clone(), value.clone())).collect()
}

async fn names(life: &Life, suffix: &str) -> usize {
    let listed = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
    listed.iter().filter(|entry| entry.name.ends_with(suffix)).count()
}

#[test]
fn the_newest_value_of_each_key_stays_and_the_log_stays_small() {
    let mut world = World::new(90);
    let expected = world.live(async |life| {
        let node = life.node(EAGER).await;
        let mut client = life.client().await;
        client.create(&[("cleanup.policy", "compact")]).await;
        client.update(5, 0..40).await;
        let latest = table(&stored(&life, "t-0").await);
        life.pause(5_000).await;
        let left = stored(&life, "t-0").await;
        assert_eq!(table(&left), latest);
        // What is appended to is as it was, and so is what came since the last look.
        assert!(left.len() < 60, "{} of 200 records are left", left.len());
        let slices = client.fetch(0, (1, 1 << 20), 0).await;
        assert_eq!(slices.error, OK);
        assert!(slices.bytes > 0);
        life.pause(5_000).await;
        for suffix in [".deleted", ".cleaned", ".swap"] {
            assert_eq!(names(&life, suffix).await, 0, "{suffix}");
        }
        let known = life.env.disk.read_whole(Path::new("data/cleaner-offset-checkpoint")).await;
        let known = String::from_utf8(known.unwrap()).unwrap();
        assert!(known.starts_with("0\n1\nt 0 1"), "{known}");
        node.stop().await;
        latest
    });
    world.live(async move |life| {
        let _node = life.node(EAGER).await;
        assert_eq!(table(&stored(&life, "t-0").await), expected);
        let mut client = life.client().await;
        client.update(5, 40..80).await;
        life.pause(5_000).await;
        let left = stored(&life, "t-0").await;
        assert!(left.len() < 60, "{} records are left", left.len());
        assert!(table(&left).values().flatten().all(|value| value.starts_with("value-79-")));
    });
}

#[test]
fn a_tombstone_stays_for_its_time() {
    World::new(91).live(async |life| {
        let _node = life.node(EAGER).await;
        let mut client = life.client().await;
        client.create(&[("cleanup.policy", "compact")]).await;
        client.update(3, 0..5).await;
        assert_eq!(client.produce(-1, &keyed("key-1", None)).await.error, OK);
        client.update(1, 5..40).await;
        life.pause(5_000).await;
        let tombstones = |records: &[(i64, String, Option<String>)]| {
            records.iter().filter(|(_, _, value)| value.is_none()).count()
        };
        let left = stored(&life, "t-0").await;
        assert_eq!(tombstones(&left), 1);
        assert_eq!(left.iter().filter(|(_, key, _)| key == "key-1").count(), 1);
        // Another compaction, when its time is over.
        life.pause(60_000).await;
        client.update(1, 40..80).await;
        life.pause(5_000).await;
        let left = stored(&life, "t-0").await;
        assert_eq!(tombstones(&left), 0);
        assert!(!table(&left).contains_key("key-1"));
        assert!(table(&left).contains_key("key-2"));
    });
}

#[test]
fn records_of_a_compacted_topic_need_keys() {
    World::new(92).live(async |life| {
        let _node = life.node(EAGER).await;
        let mut client = life.client().await;
        client.create(&[("cleanup.policy", "compact")]).await;
        assert_eq!(client.produce(-1, &keyed("", Some("x"))).await.error, INVALID_RECORD);
        assert_eq!(client.produce(-1, &keyed("a", Some("x"))).await.error, OK);
        // As long as it is to be compacted.
        client.altered((2, TOPIC), &["=cleanup.policy=delete"]).await;
        assert_eq!(client.produce(-1, &keyed("", Some("x"))).await.error, OK);
        client.altered((2, TOPIC), &["=cleanup.policy=compact,delete"]).await;
        assert_eq!(client.produce(-1, &keyed("", Some("x"))).await.error, INVALID_RECORD);
    });
}

#[test]
fn a_topic_goes_from_deletion_to_compaction_and_back() {
    World::new(93).live(async |life| {
        let _node = life.node(EAGER).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.update(3, 0..30).await;
        assert_eq!(client.produce(-1, &keyed("", Some("x"))).await.error, OK);
        client.update(3, 30..40).await;
        life.pause(5_000).await;
        assert_eq!(stored(&life, "t-0").await.len(), 121);
        client.altered((2, TOPIC), &["=cleanup.policy=compact"]).await;
        life.pause(5_000).await;
        let left = stored(&life, "t-0").await;
        assert!(left.len() < 30, "{} records are left", left.len());
        assert_eq!(left.iter().filter(|(_, key, _)| key.is_empty()).count(), 0);
        client.altered((2, TOPIC), &["=cleanup.policy=delete"]).await;
        client.update(3, 40..60).await;
        life.pause(5_000).await;
        assert_eq!(stored(&life, "t-0").await.len(), left.len() + 60);
        client.altered((2, TOPIC), &["=cleanup.policy=compact"]).await;
        life.pause(5_000).await;
        assert!(stored(&life, "t-0").await.len() < 40);
    });
}

#[test]
fn a_log_that_is_compacted_and_deleted_loses_its_oldest_segments() {
    World::new(94).live(async |life| {
        let retention =
            [("log.retention.check.interval.ms", "1000"), ("log.initial.task.delay.ms", "1000")];
        let properties = [EAGER, &retention].concat();
        let _node = life.node(&properties).await;
        let mut client = life.client().await;
        let configs = [("cleanup.policy", "compact,delete"), ("retention.bytes", "3000")];
        client.create(&configs).await;
        client.update(100, 0..3).await;
        life.pause(10_000).await;
        let left = stored(&life, "t-0").await;
        assert!(left.len() < 100, "{} of 100 keys are left", left.len());
        assert!(left.iter().all(|(_, _, value)| value.as_ref().unwrap().starts_with("value-2-")));
    });
}

#[test]
fn offsets_of_groups_outlive_the_compaction_of_their_log() {
    let mut world = World::new(95);
    let properties = || [EAGER, FEW].concat();
    world.live(async move |life| {
        let _node = life.node(&properties()).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.find(0, "readers").await;
        let small = ["=internal.segment.bytes=2000"];
        client.altered((2, "__consumer_offsets"), &small).await;
        for offset in 0..100 {
            for group in ["readers", "others"] {
                assert_eq!(client.commit_often(group, offset + 1_000, 1).await, OK);
            }
        }
        life.pause(5_000).await;
        let left = stored(&life, "__consumer_offsets-0").await;
        assert!(left.len() < 60, "{} of 200 commits are left", left.len());
        assert_eq!(client.committed_by("readers").await, (OK, 1_099));
    });
    // Killed.
    world.live(async move |life| {
        let node = life.node(&properties()).await;
        let mut client = life.client().await;
        life.pause(1_000).await;
        for group in ["readers", "others"] {
            assert_eq!(client.committed_by(group).await, (OK, 1_099), "{group}");
        }
        node.stop().await;
    });
}

#[test]
fn records_that_cannot_be_read_keep_their_log_as_it_is_and_no_other() {
    World::new(96).live(async |life| {
        let _node = life.node(EAGER).await;
        let mut client = life.client().await;
        client.create(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "1")]).await;
        client.update(5, 0..40).await;
        life.pause(1_000).await;
        let path = Path::new("data/t-0/00000000000000000000.log");
        let file = life.env.disk.open_file(path, ottla_env::Open::Existing).await.unwrap();
        file.write_at(200, &[io::IoSlice::new(b"rot")]).unwrap();
        let before = life.env.disk.read_whole(path).await.unwrap();
        client.altered((2, TOPIC), &["=min.cleanable.dirty.ratio=0.1"]).await;
        life.pause(5_000).await;
        assert_eq!(life.env.disk.read_whole(path).await.unwrap(), before);
        assert_eq!(names(&life, ".cleaned").await, 0);
        client.update(5, 40..41).await;
    });
}
