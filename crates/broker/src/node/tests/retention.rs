//! Old records: which go by themselves, which when somebody asks, and that none comes back.

use ottla_wire::ErrorCode;
use ottla_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
};

use super::*;

const LIST_OFFSETS: i16 = 7;
const DELETE_RECORDS: i16 = 2;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const HOUR: u64 = 60 * 60 * 1_000;

/// Two batches of 400 bytes make a segment.
const SMALL: (&str, &str) = ("internal.segment.bytes", "1000");

impl Client {
    /// What ListOffsets says of the only partition.
    async fn list_offset(&mut self, timestamp: i64) -> i64 {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic].into(), ..Default::default() };
        self.send(ApiKey::ListOffsets, LIST_OFFSETS, |w| request.encode(w, LIST_OFFSETS)).await;
        let answer = self.answer(ApiKey::ListOffsets, LIST_OFFSETS).await;
        let response = ListOffsetsResponse::decode(&mut answer.body(), LIST_OFFSETS).unwrap();
        let topic = response.topics.first().unwrap();
        topic.partitions.first().unwrap().offset
    }

    /// The log's first offset and its end.
    async fn span(&mut self) -> (i64, i64) {
        (self.list_offset(EARLIEST).await, self.list_offset(LATEST).await)
    }

    /// Error and low watermark.
    pub(super) async fn delete_records(&mut self, topic: &str, offset: i64) -> (i16, i64) {
        let partition = DeleteRecordsPartition { offset, ..Default::default() };
        let topic = DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let topics = vec![topic].into();
        let request = DeleteRecordsRequest { topics, timeout_ms: 1_000, ..Default::default() };
        self.send(ApiKey::DeleteRecords, DELETE_RECORDS, |w| request.encode(w, DELETE_RECORDS))
            .await;
        let answer = self.answer(ApiKey::DeleteRecords, DELETE_RECORDS).await;
        let response = DeleteRecordsResponse::decode(&mut answer.body(), DELETE_RECORDS).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        (partition.error_code, partition.low_watermark)
    }

    /// Produces so many batches of a record of now.
    async fn fill(&mut self, batches: usize) {
        for _ in 0..batches {
            let now = self.env.clock.wall();
            assert_eq!(self.produce(-1, &aged(now, 330)).await.error, OK);
        }
    }
}

impl Client {
    /// Produces a batch to each of so many partitions.
    async fn produce_to_all(&mut self, partitions: i32) {
        let batch = batch(400);
        let partition = |index| PartitionProduceData {
            index,
            records: Some(batch.as_slice().into()),
            ..Default::default()
        };
        let topic = TopicProduceData {
            name: TOPIC.into(),
            partition_data: (0..partitions).map(partition).collect(),
            ..Default::default()
        };
        let topic_data = vec![topic].into();
        let request =
            ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data, ..Default::default() };
        self.send(ApiKey::Produce, PRODUCE, |writer| request.encode(writer, PRODUCE)).await;
        let answer = self.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let topic = response.responses.first().unwrap();
        assert!(topic.partition_responses.iter().all(|it| it.error_code == OK));
    }
}

fn aged(timestamp: Timestamp, len: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let value = vec![b'x'; len];
    builder.push(NewRecord { timestamp, key: None, value: Some(&value), headers: &[] });
    builder.build().into_bytes()
}

async fn names(life: &Life, suffix: &str) -> usize {
    let listed = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
    listed.iter().filter(|entry| entry.name.ends_with(suffix)).count()
}

#[test]
fn records_go_when_they_are_too_old() {
    // 20 records, ten of them two hours older than the others; looked at after so many hours.
    keeps(&[("retention.ms", "18000000")], 2, (0, 20));
    keeps(&[("retention.ms", "18000000")], 4, (10, 20));
    // The last segment goes too, when all in it is too old; the log goes on behind it.
    keeps(&[("retention.ms", "18000000")], 6, (20, 20));
    keeps(&[("retention.ms", "-1")], 9_000, (0, 20));
    // A week.
    keeps(&[], 24 * 7 - 3, (0, 20));
    keeps(&[], 24 * 7 - 1, (10, 20));
    keeps(&[], 24 * 7 + 1, (20, 20));
    keeps(&[("cleanup.policy", "")], 9_000, (0, 20));
}

#[test]
fn records_go_when_there_are_too_many() {
    // A segment of two batches has 800 bytes.
    keeps(&[("retention.bytes", "8000")], 1, (0, 20));
    keeps(&[("retention.bytes", "7000")], 1, (2, 20));
    keeps(&[("retention.bytes", "800")], 1, (18, 20));
    keeps(&[("retention.bytes", "0")], 1, (20, 20));
    keeps(&[("retention.bytes", "0"), ("cleanup.policy", "")], 1, (0, 20));
}

fn keeps(configs: &'static [(&str, &str)], hours: u64, span: (i64, i64)) {
    World::new(31).live(async move |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(configs).await;
        if !configs.iter().any(|(name, _)| *name == "retention.bytes") {
            client.fill(10).await;
            life.pause(2 * HOUR).await;
            client.fill(10).await;
        } else {
            client.fill(20).await;
        }
        life.pause(hours * HOUR).await;
        assert_eq!(client.span().await, span, "{configs:?} after {hours} hours");
        if span.0 > 0 {
            assert_eq!(client.fetch(span.0 - 1, (1, 1 << 20), 0).await.error, OFFSET_OUT_OF_RANGE);
        }
        if span.0 < span.1 {
            assert!(client.fetch(span.0, (1, 1 << 20), 0).await.bytes > 0);
        }
        client.fill(1).await;
        assert_eq!(client.span().await, (span.0, 21));
    });
}

#[test]
fn a_log_that_nobody_uses_is_not_opened_before_something_in_it_is_too_old() {
    let mut world = World::new(38);
    world.live(async |life| {
        let node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[("retention.ms", "86400000")]).await;
        client.fill(10).await;
        life.pause(2 * HOUR).await;
        client.fill(10).await;
        node.stop().await;
    });
    world.live(async |life| {
        let node = life.node(&[SMALL]).await;
        let topic = node.broker.partitions.topic(TOPIC).unwrap();
        let partition = topic.partition(0).unwrap();
        life.pause(20 * HOUR).await;
        assert!(!partition.is_open());
        assert_eq!(partition.bounds().log_start, Offset::ZERO);
        life.pause(3 * HOUR).await;
        assert_eq!(partition.bounds().log_start, Offset::new(10));
        life.pause(3 * HOUR).await;
        assert_eq!(life.client().await.span().await, (20, 20));
    });
}

#[test]
fn deleted_records_stay_deleted() {
    for (durability, from) in [("fsync", 7), ("page-cache", 7), ("fsync", -1), ("page-cache", -1)] {
        let properties = [SMALL, ("ottla.durability", durability)];
        let deleted = if from == -1 { 20 } else { from };
        let mut world = World::new(32);
        world.live(async move |life| {
            let _node = life.node(&properties).await;
            let mut client = life.client().await;
            client.create(&[("file.delete.delay.ms", "5000")]).await;
            client.fill(20).await;
            assert_eq!(client.delete_records(TOPIC, from).await, (OK, deleted));
            assert_eq!(client.span().await, (deleted, 20));
            // What is deleted again is deleted, and nothing comes back.
            assert_eq!(client.delete_records(TOPIC, 3).await, (OK, deleted));
            assert!(names(&life, ".log.deleted").await > 0);
        });
        // The power has failed; what was set aside goes with the next start.
        world.live(async move |life| {
            let _node = life.node(&properties).await;
            let mut client = life.client().await;
            let (start, end) = client.span().await;
            // A page cache may lose what was not deleted.
            assert!(start == deleted && (end == 20 || durability == "page-cache" && end >= start));
            assert_eq!(client.fetch(deleted - 1, (1, 1 << 20), 0).await.error, OFFSET_OUT_OF_RANGE);
            life.pause(HOUR).await;
            assert_eq!(names(&life, ".deleted").await, 0);
            assert_eq!(client.produce(-1, &batch(10)).await.base_offset, end);
        });
    }
}

#[test]
fn a_log_never_starts_behind_its_recovery_point() {
    World::new(39).live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.fill(20).await;
        for (to, least) in [(1, 0), (9, 8), (20, 18)] {
            assert_eq!(client.delete_records(TOPIC, to).await, (OK, to));
            let point = recovery_point(&life).await;
            assert!(point >= least, "{point} after {to}");
        }
    });
}

/// Of the only partition.
async fn recovery_point(life: &Life) -> i64 {
    let path = Path::new("data/recovery-point-offset-checkpoint");
    let Ok(text) = life.env.disk.read_whole(path).await else { return 0 };
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| line.strip_prefix("t 0 ")).map_or(0, |it| it.parse().unwrap())
}

#[test]
fn files_of_deleted_records_stay_for_a_while() {
    World::new(33).live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[("file.delete.delay.ms", "5000")]).await;
        client.fill(20).await;
        client.delete_records(TOPIC, 9).await;
        assert_eq!((names(&life, ".log").await, names(&life, ".log.deleted").await), (6, 4));
        life.pause(4_000).await;
        assert_eq!(names(&life, ".log.deleted").await, 4);
        life.pause(2_000).await;
        assert_eq!(names(&life, ".deleted").await, 0);
    });
}

#[test]
fn records_are_not_deleted_that_are_not_there_or_not_ours() {
    World::new(34).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.fill(3).await;
        let refused = |error: ErrorCode| (error.code(), -1);
        assert_eq!(client.delete_records(TOPIC, 4).await, refused(ErrorCode::OffsetOutOfRange));
        assert_eq!(client.delete_records(TOPIC, -2).await, refused(ErrorCode::OffsetOutOfRange));
        let unknown = refused(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(client.delete_records("nope", 0).await, unknown);
        assert_eq!(client.span().await, (0, 3));
        assert_eq!(client.delete_records(TOPIC, 3).await, (OK, 3));
    });
}

#[test]
fn records_that_are_acknowledged_and_not_durable_yet_may_be_deleted() {
    World::new(43).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.fill(1).await;
        life.slow_disk(4_000);
        // One that a sync is under way for, one that waits for the next.
        for _ in 0..2 {
            assert_eq!(client.produce(1, &batch(10)).await.error, OK);
        }
        let refused = (ErrorCode::OffsetOutOfRange.code(), -1);
        assert_eq!(client.delete_records(TOPIC, 4).await, refused);
        assert_eq!(client.delete_records(TOPIC, 3).await, (OK, 3));
    });
}

#[test]
fn a_new_topic_does_not_begin_where_its_namesake_did() {
    let mut world = World::new(35);
    world.live(async |life| {
        let _node = life.node(&[SMALL]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.fill(10).await;
        client.delete_records(TOPIC, 9).await;
        client.delete().await;
        client.create(&[]).await;
        client.fill(2).await;
        assert_eq!(client.span().await, (0, 2));
    });
    world.live(async |life| {
        let _node = life.node(&[SMALL]).await;
        assert_eq!(life.client().await.span().await, (0, 2));
    });
}

#[test]
fn records_that_are_too_old_or_too_new_are_refused_by_name() {
    World::new(36).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("message.timestamp.before.max.ms", "1000")]).await;
        let now = life.env.clock.wall().millis();
        for (timestamp, error) in [
            (now, ErrorCode::None),
            (now - 2_000, ErrorCode::InvalidTimestamp),
            (now + 3_500_000, ErrorCode::None),
            (now + 3_700_000, ErrorCode::InvalidTimestamp),
        ] {
            let batch = aged(Timestamp::from_millis(timestamp), 10);
            assert_eq!(client.produce(-1, &batch).await.error, error.code(), "{timestamp}");
        }
        let old = aged(Timestamp::from_millis(5), 10);
        client.send_produce(-1, &old).await;
        let answer = client.answer(ApiKey::Produce, PRODUCE).await;
        let response = ProduceResponse::decode(&mut answer.body(), PRODUCE).unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partition_responses.first().unwrap();
        let words = "One or more records have been rejected due to invalid timestamp";
        assert_eq!(partition.error_message.as_deref(), Some(words));
        let blamed = partition.record_errors.first().unwrap();
        let words = blamed.batch_index_error_message.unwrap();
        let begin = "Timestamp 5 of message with offset 0 is out of range. The timestamp should be \
                     within [";
        assert!(blamed.batch_index == 0 && words.starts_with(begin), "{words}");
    });
}

#[test]
fn a_segment_spans_the_time_that_its_topic_says() {
    World::new(37).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("segment.ms", "60000"), ("segment.jitter.ms", "20000")]).await;
        for _ in 0..10 {
            client.fill(1).await;
            life.pause(35_000).await;
        }
        // Two batches each: the third would be 70 seconds later than the first.
        assert_eq!(names(&life, ".log").await, 5);
    });
}

#[test]
fn old_records_of_many_partitions_go_together() {
    const PARTITIONS: i32 = 40;
    World::new(39).live(async |life| {
        // A minute later than a checkpoint of everything: without one, each makes its own.
        let later = [("log.retention.ms", "-1"), ("log.initial.task.delay.ms", "130000")];
        let own = [SMALL, ("num.partitions", "40"), ("log.retention.bytes", "470")];
        let node = life.node(&[own.as_slice(), &later].concat()).await;
        let mut client = life.client().await;
        let topic = MetadataRequestTopic { name: Some(TOPIC.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic].into()),
            allow_auto_topic_creation: true,
            ..Default::default()
        };
        client.send(ApiKey::Metadata, METADATA, |writer| request.encode(writer, METADATA)).await;
        client.answer(ApiKey::Metadata, METADATA).await;
        for _ in 0..3 {
            client.produce_to_all(PARTITIONS).await;
        }
        let started = |index| {
            let topic = node.broker.partitions.topic(TOPIC).unwrap();
            topic.partition(index).unwrap().bounds().log_start > Offset::ZERO
        };
        life.pause(128_000).await;
        assert!(!(0..PARTITIONS).any(started), "looked at too early");
        // A write of the file that says where logs start takes half a second and more.
        life.slow_disk(100);
        life.pause(12_000).await;
        assert_eq!((0..PARTITIONS).filter(|index| started(*index)).count(), 40);
    });
}
