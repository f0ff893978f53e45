//! Clients from before Kafka 4: what they are told, and the messages that they send and take.

use std::borrow::Cow;

use ottla_records::{Batches, Compression, DownLimits, MessageFormat, down_convert, up_convert};
use ottla_wire::messages::create_topics_response::CreatableTopicResult;
use ottla_wire::messages::delete_topics_response::DeletableTopicResult;
use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DeleteTopicsResponse, DescribeAclsRequest,
    DescribeAclsResponse, DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, FindCoordinatorRequest, ListOffsetsRequest, ListOffsetsResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};

use super::full_disk::NO_RESERVE;
use super::*;
use MessageFormat::{V0, V1};

const SERVED: (&str, &str) = ("ottla.legacy.clients.enable", "true");

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_TIMESTAMP: i16 = 32;
const UNSUPPORTED_VERSION: i16 = 35;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const INVALID_RECORD: i16 = 87;

/// The codecs that messages know.
const CODECS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];

fn of(codec: Compression, values: &[&str], append_time: Option<i64>) -> Vec<u8> {
    let mut batch = BatchBuilder::new(BatchOptions {
        compression: codec,
        append_time: append_time.map(Timestamp::from_millis),
        ..BatchOptions::default()
    });
    for (timestamp, value) in (100..).zip(values) {
        batch.push(NewRecord {
            timestamp: Timestamp::from_millis(timestamp),
            key: Some(b"k"),
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    batch.build().into_bytes()
}

fn messages(format: MessageFormat, batch: &[u8]) -> Vec<u8> {
    let (mut set, limits) = (Vec::new(), DownLimits { bytes: usize::MAX, inflated_max: 1 << 20 });
    down_convert(batch, format, Offset::ZERO, limits, &mut set).unwrap();
    set
}

/// Offset, timestamp and value of each record.
fn told(batches: &[u8]) -> Vec<(i64, i64, String)> {
    let mut all = Vec::new();
    for batch in Batches::new(batches) {
        for record in &batch.unwrap().records(1 << 20).unwrap() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            all.push((record.offset.get(), Timestamp::to_wire(record.timestamp), value));
        }
    }
    all
}

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap()
}

fn format_of(version: i16) -> MessageFormat {
    if version < 2 { V0 } else { V1 }
}

impl Client {
    /// The error, the first offset, and the time of the append.
    async fn produce_in(&mut self, version: i16, acks: i16, set: &[u8]) -> Produced {
        let request = produce_request((TOPIC, 0), acks, set);
        self.send(ApiKey::Produce, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(ApiKey::Produce, version).await;
        let mut body = answer.body();
        let response = ProduceResponse::decode(&mut body, version).unwrap();
        body.finish().unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partition_responses.first().unwrap();
        Produced {
            error: partition.error_code,
            base_offset: partition.base_offset,
            append_time: partition.log_append_time_ms,
        }
    }

    /// The error, the high watermark, and the records as they came.
    async fn fetch_in(&mut self, version: i16, offset: i64, max: i32) -> (i16, i64, Vec<u8>) {
        let partition =
            FetchPartition { fetch_offset: offset, partition_max_bytes: max, ..Default::default() };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::Fetch, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(ApiKey::Fetch, version).await;
        let mut body = answer.body();
        let response = FetchResponse::decode(&mut body, version).unwrap();
        body.finish().unwrap();
        let topic = response.responses.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        let records = partition.records.map(Cow::into_owned).unwrap_or_default();
        (partition.error_code, partition.high_watermark, records)
    }

    async fn minimums(&mut self) -> Vec<(ApiKey, i16)> {
        self.send(ApiKey::ApiVersions, 0, |writer| ApiVersionsRequest::default().encode(writer, 0))
            .await;
        let answer = self.answer(ApiKey::ApiVersions, 0).await;
        let response = ApiVersionsResponse::decode(&mut answer.body(), 0).unwrap();
        let keys = response.api_keys.iter();
        keys.map(|key| (ApiKey::from_wire(key.api_key).unwrap(), key.min_version)).collect()
    }

    /// Whether the connection is open once this was sent.
    async fn survives(&mut self, key: ApiKey, version: i16, body: &[u8]) -> bool {
        self.correlation += 1;
        let mut frame = frame(key, version, self.correlation, |_| Ok(()));
        frame.extend_from_slice(body);
        let len = u32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.stream.write_all(Bytes::from(frame)).await.unwrap();
        self.stream.read(&mut [0; 4096]).await.unwrap() > 0
    }
}

#[test]
fn versions_from_before_kafka_4_are_listed_where_they_are_served() {
    World::new(400).live(async |life| {
        let node = life.node(&[NO_RESERVE]).await;
        let listed = life.client().await.minimums().await;
        for (key, min) in &listed {
            let low = if *key == ApiKey::Produce { 0 } else { *key.known_versions().start() };
            assert_eq!(*min, low, "{key:?}");
        }
        node.stop().await;
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let served = life.client().await.minimums().await;
        assert_eq!(served.len(), listed.len());
        for (key, min) in served {
            assert_eq!(min, 0, "{key:?}");
        }
    });
}

#[test]
fn versions_from_before_kafka_4_end_the_connection_otherwise() {
    World::new(401).live(async |life| {
        let _node = life.node(&[NO_RESERVE]).await;
        for key in ApiKey::ALL {
            for version in *key.versions_ever().start()..*key.known_versions().start() {
                let mut client = life.client().await;
                assert!(!client.survives(*key, version, &[0; 64]).await, "{key:?} {version}");
            }
        }
    });
}

#[test]
fn what_old_producers_send_is_read_by_everybody() {
    World::new(402).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let mut expected: Vec<(i64, i64, String)> = Vec::new();
        for (version, format) in [(0, V0), (1, V0), (2, V0), (0, V1), (2, V1)] {
            for codec in CODECS {
                let base = count(&expected);
                let set = messages(format, &of(codec, &["a", "b"], None));
                let produced = client.produce_in(version, -1, &set).await;
                let answer = Produced { error: OK, base_offset: base, append_time: -1 };
                assert_eq!(produced, answer, "{version} {format:?} {codec:?}");
                let time = |millis| if format == V0 { -1 } else { millis };
                expected.push((base, time(100), "a".to_owned()));
                expected.push((base + 1, time(101), "b".to_owned()));
            }
        }
        // A batch is a batch, whatever the version.
        let batch = of(Compression::Gzip, &["c"], None);
        assert_eq!(client.produce_in(2, 1, &batch).await.base_offset, count(&expected));
        expected.push((count(&expected), 100, "c".to_owned()));

        let (error, _, batches) = client.fetch_in(FETCH, 0, 1 << 20).await;
        assert_eq!((error, told(&batches)), (OK, expected.clone()));
        for version in 0..=3 {
            let mut read: Vec<(i64, i64, String)> = Vec::new();
            while read.len() < expected.len() {
                let from = count(&read);
                let (error, end, set) = client.fetch_in(version, from, 1 << 20).await;
                assert_eq!((error, end), (OK, count(&expected)), "{version}");
                read.extend(taken(&set, from));
            }
            let time = |millis| if format_of(version) == V0 { -1 } else { millis };
            let expected = expected.iter().map(|(at, t, value)| (*at, time(*t), value.clone()));
            assert_eq!(read, expected.collect::<Vec<_>>(), "{version}");
            let (error, _, set) = client.fetch_in(version, count(&read), 1 << 20).await;
            assert_eq!((error, set.len()), (OK, 0), "nothing more in {version}");
        }
    });
}

/// The records of a set from `from` on: of its messages one by one, for each may be compressed.
fn taken(set: &[u8], from: i64) -> Vec<(i64, i64, String)> {
    let mut all = Vec::new();
    let mut rest = set;
    while !rest.is_empty() {
        let size = u32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize + 12;
        let (message, after) = rest.split_at(size);
        let offset = i64::from_be_bytes(message[..8].try_into().unwrap());
        let batch = up_convert(message, 1 << 20).unwrap().into_bytes();
        let records = told(&batch);
        // The wrapper has the offset of the last one.
        let first = offset + 1 - count(&records);
        all.extend(records.into_iter().map(|(at, time, value)| (first + at, time, value)));
        rest = after;
    }
    all.retain(|(offset, ..)| *offset >= from);
    all
}

#[test]
fn a_consumer_gets_one_message_at_least_and_none_from_before() {
    World::new(403).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let batch = of(Compression::None, &["a", "b", "c"], None);
        assert_eq!(client.produce(1, &batch).await.error, OK);
        assert_eq!(client.produce(1, &batch).await.error, OK);
        for version in 0..=3 {
            let (_, _, set) = client.fetch_in(version, 1, 1).await;
            let offsets: Vec<i64> = taken(&set, 0).iter().map(|record| record.0).collect();
            assert_eq!(offsets, [1, 2], "{version}");
        }
    });
}

#[test]
fn the_leaders_time_is_told_and_the_producers_is_not_taken_for_it() {
    World::new(404).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[("message.timestamp.type", "LogAppendTime")]).await;
        let now = life.env.clock.wall().millis();
        let set = messages(V1, &of(Compression::Gzip, &["a", "b"], None));
        let Produced { error, append_time, .. } = client.produce_in(2, 1, &set).await;
        assert_eq!((error, append_time >= now), (OK, true));
        let (_, _, batches) = client.fetch_in(FETCH, 0, 1 << 20).await;
        assert!(told(&batches).iter().all(|record| record.1 == append_time));
        let (_, _, set) = client.fetch_in(2, 0, 1 << 20).await;
        // Format, then attributes: the leader's time, gzip; then the time.
        assert_eq!(set[16..18], [1, 9]);
        assert_eq!(set[18..26], append_time.to_be_bytes());
        // Nobody else may say so.
        let stamped = messages(V1, &of(Compression::None, &["a"], Some(5)));
        assert_eq!(client.produce_in(2, 1, &stamped).await.error, INVALID_TIMESTAMP);
    });
}

#[test]
fn what_is_wrong_with_messages_has_kafkas_codes() {
    World::new(405).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[("max.message.bytes", "1000")]).await;
        let one = messages(V1, &of(Compression::None, &["a"], None));
        let gzip = messages(V1, &of(Compression::Gzip, &["a"], None));
        let mut damaged = one.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let large = messages(V0, &of(Compression::None, &[&"x".repeat(2_000)], None));
        let mixed = [&one[..], &messages(V0, &of(Compression::None, &["a"], None))].concat();
        let two = [&gzip[..], &one].concat();
        for (set, error) in [
            (&one[..], OK),
            (&one[..20], INVALID_RECORD),
            (&[], INVALID_RECORD),
            (&damaged, CORRUPT_MESSAGE),
            (&[0; 30], CORRUPT_MESSAGE),
            (&mixed, INVALID_RECORD),
            (&two, INVALID_RECORD),
            (&large, MESSAGE_TOO_LARGE),
        ] {
            for version in 0..=2 {
                assert_eq!(client.produce_in(version, 1, set).await.error, error, "{set:?}");
            }
            // Since version 3 there are batches alone.
            let since = if set.len() < 17 || set == [0; 30] { error } else { INVALID_RECORD };
            let refused = client.produce_in(3, 1, set).await.error;
            assert!([since, INVALID_RECORD, CORRUPT_MESSAGE].contains(&refused), "{set:?}");
        }
        let (_, end, _) = client.fetch_in(2, 0, 1 << 20).await;
        assert_eq!(end, 3);
    });
}

#[test]
fn what_messages_cannot_hold_is_an_error_of_its_partition() {
    World::new(406).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.produce(1, &of(Compression::None, &["a"], None)).await;
        client.produce(1, &of(Compression::Zstd, &["b"], None)).await;
        let (error, _, set) = client.fetch_in(3, 0, 1 << 20).await;
        assert_eq!((error, taken(&set, 0).len()), (OK, 1));
        let (error, _, set) = client.fetch_in(3, 1, 1 << 20).await;
        assert_eq!((error, set.len()), (UNSUPPORTED_COMPRESSION_TYPE, 0));
    });
}

#[test]
fn a_consumer_passes_segments_that_end_without_a_record_for_it() {
    World::new(407).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[("segment.bytes", "1048576")]).await;
        // Too large for one answer together with what follows, and compressed: the batch comes
        // with the offset of its last record, and the consumer goes on behind it.
        let value = "x".repeat(900_000);
        for version in [0, 3] {
            let produced = client.produce(1, &of(Compression::None, &[&value], None)).await;
            let from = produced.base_offset;
            client.produce(1, &of(Compression::None, &["a"], None)).await;
            let (error, _, set) = client.fetch_in(version, from, 10).await;
            assert_eq!((error, taken(&set, 0).len()), (OK, 1), "{version}");
            let (error, _, set) = client.fetch_in(version, from + 1, 10).await;
            assert_eq!((error, taken(&set, 0)[0].2.as_str()), (OK, "a"), "{version}");
        }
    });
}

#[test]
fn old_offset_requests_are_answered_with_where_segments_begin() {
    World::new(408).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[("segment.bytes", "1048576")]).await;
        assert_eq!(client.offsets(-1, 5).await, (OK, vec![0]));
        for _ in 0..3 {
            // Consumers are told of what is committed alone.
            client.produce(-1, &batch(900_000)).await;
        }
        assert_eq!(client.offsets(-1, 1).await, (OK, vec![3]));
        assert_eq!(client.offsets(-1, 100).await, (OK, vec![3, 2, 1, 0]));
        assert_eq!(client.offsets(-2, 100).await, (OK, vec![0]));
        assert_eq!(client.offsets(-1, 0).await, (OK, vec![]));
        assert_eq!(client.offsets(-1, -1).await, (OK, vec![]));
        // All records are of the first millisecond.
        assert_eq!(client.offsets(1, 10).await, (OK, vec![0]));
        assert_eq!(client.offsets(2, 2).await, (OK, vec![3, 2]));
        assert_eq!(client.offsets(-3, 1).await, (UNSUPPORTED_VERSION, vec![]));
    });
}

impl Client {
    async fn offsets(&mut self, timestamp: i64, most: i32) -> (i16, Vec<i64>) {
        let partition =
            ListOffsetsPartition { timestamp, max_num_offsets: most, ..Default::default() };
        let topic = ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic].into(), ..Default::default() };
        self.send(ApiKey::ListOffsets, 0, |writer| request.encode(writer, 0)).await;
        let answer = self.answer(ApiKey::ListOffsets, 0).await;
        let response = ListOffsetsResponse::decode(&mut answer.body(), 0).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        (partition.error_code, partition.old_style_offsets.iter().collect())
    }

    async fn commit_in(&mut self, version: i16, offset: i64) -> i16 {
        let partition = OffsetCommitRequestPartition {
            committed_offset: offset,
            committed_metadata: Some("m".into()),
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            topics: vec![topic].into(),
            ..Default::default()
        };
        self.send(ApiKey::OffsetCommit, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(ApiKey::OffsetCommit, version).await;
        let response = OffsetCommitResponse::decode(&mut answer.body(), version).unwrap();
        response.topics.first().unwrap().partitions.first().unwrap().error_code
    }

    async fn committed_in(&mut self, version: i16) -> (i16, i64) {
        let topic = OffsetFetchRequestTopic {
            name: TOPIC.into(),
            partition_indexes: vec![0].into(),
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![topic].into()),
            ..Default::default()
        };
        self.send(ApiKey::OffsetFetch, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(ApiKey::OffsetFetch, version).await;
        let response = OffsetFetchResponse::decode(&mut answer.body(), version).unwrap();
        let topic = response.topics.first().unwrap();
        let partition = topic.partitions.first().unwrap();
        (partition.error_code, partition.committed_offset)
    }
}

#[test]
fn offsets_of_the_oldest_versions_are_kept_by_the_group_like_any() {
    World::new(409).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED, ("offsets.topic.num.partitions", "1")]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let find = FindCoordinatorRequest { key: "g".into(), ..Default::default() };
        client.send(ApiKey::FindCoordinator, 0, |writer| find.encode(writer, 0)).await;
        client.answer(ApiKey::FindCoordinator, 0).await;
        assert_eq!(client.committed_in(0).await, (UNKNOWN_TOPIC_OR_PARTITION, -1));
        assert_eq!(client.committed_in(1).await, (OK, -1));
        for (version, offset) in [(0, 3), (1, 5), (2, 7)] {
            assert_eq!(client.commit_in(version, offset).await, OK);
            for reader in 0..=2 {
                assert_eq!(client.committed_in(reader).await, (OK, offset), "{version} {reader}");
            }
        }
    });
}

#[test]
fn topics_are_made_described_and_deleted_in_the_oldest_versions() {
    World::new(410).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        for version in 0..=1 {
            let topics = vec![new_topic(TOPIC, 2)].into();
            let request = CreateTopicsRequest { topics, ..Default::default() };
            for error in [OK, 36] {
                let key = ApiKey::CreateTopics;
                client.send(key, version, |writer| request.encode(writer, version)).await;
                let answer = client.answer(key, version).await;
                let response = CreateTopicsResponse::decode(&mut answer.body(), version).unwrap();
                let told: CreatableTopicResult<'_> = response.topics.first().unwrap();
                assert_eq!((&*told.name, told.error_code), (TOPIC, error), "{version}");
            }
            let request = DeleteTopicsRequest {
                topic_names: vec![TOPIC.into()].into(),
                timeout_ms: 1_000,
                ..Default::default()
            };
            client.send(ApiKey::DeleteTopics, 0, |writer| request.encode(writer, 0)).await;
            let answer = client.answer(ApiKey::DeleteTopics, 0).await;
            let response = DeleteTopicsResponse::decode(&mut answer.body(), 0).unwrap();
            let told: DeletableTopicResult<'_> = response.responses.first().unwrap();
            assert_eq!(told.error_code, OK, "{version}");
        }
    });
}

#[test]
fn the_rest_is_answered_in_the_oldest_versions() {
    World::new(411).live(async |life| {
        let _node = life.node(&[NO_RESERVE, SERVED]).await;
        let mut client = life.client().await;
        client.create(&[("retention.ms", "5")]).await;
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: TOPIC.into(),
            ..Default::default()
        };
        let request =
            DescribeConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        client.send(ApiKey::DescribeConfigs, 0, |writer| request.encode(writer, 0)).await;
        let answer = client.answer(ApiKey::DescribeConfigs, 0).await;
        let response = DescribeConfigsResponse::decode(&mut answer.body(), 0).unwrap();
        let configs = response.results.first().unwrap().configs;
        for config in &configs {
            assert_eq!(config.is_default, config.name != "retention.ms", "{}", config.name);
        }
        let any = DescribeAclsRequest {
            resource_type_filter: 1,
            operation: 1,
            permission_type: 1,
            ..Default::default()
        };
        client.send(ApiKey::DescribeAcls, 0, |writer| any.encode(writer, 0)).await;
        let answer = client.answer(ApiKey::DescribeAcls, 0).await;
        assert!(DescribeAclsResponse::decode(&mut answer.body(), 0).is_ok());
        let all = DescribeLogDirsRequest { topics: None, ..Default::default() };
        client.send(ApiKey::DescribeLogDirs, 0, |writer| all.encode(writer, 0)).await;
        let answer = client.answer(ApiKey::DescribeLogDirs, 0).await;
        assert!(DescribeLogDirsResponse::decode(&mut answer.body(), 0).is_ok());
        for version in 0..=1 {
            let key = ApiKey::OffsetForLeaderEpoch;
            let none = OffsetForLeaderEpochRequest::default();
            client.send(key, version, |writer| none.encode(writer, version)).await;
            let answer = client.answer(key, version).await;
            assert!(OffsetForLeaderEpochResponse::decode(&mut answer.body(), version).is_ok());
        }
    });
}
