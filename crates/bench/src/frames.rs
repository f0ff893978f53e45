//! Requests as bytes, and what their answers say.

pub(crate) mod groups;
pub(crate) mod lookup;
pub(crate) mod topics;

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_records::{BatchBuilder, BatchHeader, BatchOptions, HEADER_BYTES, NewRecord};
use ottla_types::{Offset, Timestamp};
use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, ProduceRequest,
    ProduceResponse,
};
use ottla_wire::{ApiKey, ErrorCode, Reader, RequestHeader, ResponseHeader, Writer};

/// Versions that every Kafka since 3.0 serves, so that all systems get the same bytes.
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
const CREATE_TOPICS_VERSION: i16 = 7;
const API_VERSIONS_VERSION: i16 = 0;

/// Room for a batch of 64 KiB sixteen times over, as consumers ask.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// What was read of a partition.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Where to go on.
    pub(crate) next: Offset,
    pub(crate) high_watermark: i64,
    /// Record bytes, cut batches included.
    pub(crate) bytes: u64,
}

/// A topic that no earlier run made.
pub(crate) fn fresh_topic() -> String {
    format!("bench-{}", since_1970().as_nanos())
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set")
}

fn frame(key: ApiKey, version: i16, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let mut writer = Writer::new(&mut bytes);
    let header = RequestHeader {
        request_api_key: key.to_wire(),
        request_api_version: version,
        // Answers come in order, so nothing needs telling them apart.
        correlation_id: 0,
        client_id: Some(Cow::Borrowed("ottla-bench")),
        ..RequestHeader::default()
    };
    header
        .encode(&mut writer, key.header_versions(version).request)
        .expect("every header can be said");
    body(&mut writer);
    let len = u32::try_from(bytes.len() - 4).expect("a frame is below 4 GiB");
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// The body of an answer.
fn body(frame: &[u8], key: ApiKey, version: i16) -> Result<Reader<'_>, String> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, key.header_versions(version).response)
        .map_err(|error| format!("{key:?}: {error}"))?;
    Ok(reader)
}

/// Asks for the versions that a node serves: the first thing that every client asks.
pub(crate) fn api_versions() -> Vec<u8> {
    frame(ApiKey::ApiVersions, API_VERSIONS_VERSION, |_| {})
}

/// One replica, the node's defaults.
pub(crate) fn create_topic(name: &str, partitions: i32) -> Vec<u8> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
    frame(ApiKey::CreateTopics, CREATE_TOPICS_VERSION, |writer| {
        request.encode(writer, CREATE_TOPICS_VERSION).expect("this version has every field");
    })
}

/// Whether the topic is new.
///
/// # Errors
/// When the topic was refused.
pub(crate) fn topic_created(frame: &[u8]) -> Result<bool, String> {
    let mut reader = body(frame, ApiKey::CreateTopics, CREATE_TOPICS_VERSION)?;
    let answer = CreateTopicsResponse::decode(&mut reader, CREATE_TOPICS_VERSION)
        .map_err(|error| format!("CreateTopics: {error}"))?;
    let topic = answer.topics.first().ok_or("CreateTopics: no topic came back")?;
    match ErrorCode::from_wire(topic.error_code) {
        Some(ErrorCode::TopicAlreadyExists) => Ok(false),
        _ => succeeded("CreateTopics", topic.error_code).map(|()| true),
    }
}

/// A batch of equal records to one partition. Neither base offset nor leader epoch is part of its
/// checksum, so the same bytes can be sent for ever.
pub(crate) fn produce(topic: &str, partition: i32, batch: &[u8], acks: i16) -> Vec<u8> {
    let partition = PartitionProduceData {
        index: partition,
        records: Some(Cow::Borrowed(batch)),
        ..PartitionProduceData::default()
    };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition].into(),
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![topic].into(),
        ..ProduceRequest::default()
    };
    frame(ApiKey::Produce, PRODUCE_VERSION, |writer| {
        request.encode(writer, PRODUCE_VERSION).expect("this version has every field");
    })
}

/// # Errors
/// When a partition refused its batch.
pub(crate) fn produced(frame: &[u8]) -> Result<(), String> {
    let mut reader = body(frame, ApiKey::Produce, PRODUCE_VERSION)?;
    let answer = ProduceResponse::decode(&mut reader, PRODUCE_VERSION)
        .map_err(|error| format!("Produce: {error}"))?;
    let mut partitions = answer
        .responses
        .iter()
        .flat_map(|topic| topic.partition_responses.iter().collect::<Vec<_>>());
    partitions.try_for_each(|partition| succeeded("Produce", partition.error_code))
}

/// Reads on in one partition, without a session: every request stands alone.
pub(crate) fn fetch(topic: &str, partition: i32, from: Offset) -> Vec<u8> {
    fetch_at_most(FETCH_BYTES_MAX, topic, partition, from)
}

/// The first batch at `from` alone: a partition answers with one batch, however few bytes are
/// asked for.
pub(crate) fn fetch_one_batch(topic: &str, partition: i32, from: Offset) -> Vec<u8> {
    fetch_at_most(1, topic, partition, from)
}

fn fetch_at_most(bytes_max: i32, topic: &str, partition: i32, from: Offset) -> Vec<u8> {
    let partition = FetchPartition {
        partition,
        fetch_offset: from.get(),
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: vec![partition].into(),
        ..FetchTopic::default()
    };
    let request = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: bytes_max,
        session_epoch: -1,
        topics: vec![topic].into(),
        ..FetchRequest::default()
    };
    frame(ApiKey::Fetch, FETCH_VERSION, |writer| {
        request.encode(writer, FETCH_VERSION).expect("this version has every field");
    })
}

/// # Errors
/// When the partition refused, or what it sent holds no whole batch.
pub(crate) fn fetched(frame: &[u8], from: Offset) -> Result<Fetched, String> {
    let mut reader = body(frame, ApiKey::Fetch, FETCH_VERSION)?;
    let answer = FetchResponse::decode(&mut reader, FETCH_VERSION)
        .map_err(|error| format!("Fetch: {error}"))?;
    succeeded("Fetch", answer.error_code)?;
    let topic = answer.responses.first().ok_or("Fetch: no topic came back")?;
    let partition = topic.partitions.first().ok_or("Fetch: no partition came back")?;
    succeeded("Fetch", partition.error_code)?;
    let records = partition.records.as_deref().unwrap_or_default();
    Ok(Fetched {
        next: end_of(records).unwrap_or(from),
        high_watermark: partition.high_watermark,
        bytes: records.len() as u64,
    })
}

/// The offset behind the last whole batch.
fn end_of(mut records: &[u8]) -> Option<Offset> {
    let mut end = None;
    while let Some(header) = records.get(..HEADER_BYTES) {
        let header = BatchHeader::parse(header).ok()?;
        let Some(rest) = records.get(header.size as usize..) else { break };
        end = Some(header.base_offset.plus(i64::from(header.last_offset_delta) + 1));
        records = rest;
    }
    end
}

/// A batch of `records` records with values of `bytes` each, which no codec would find empty.
pub(crate) fn batch(records: usize, bytes: usize) -> Vec<u8> {
    // Older records would fall to retention while they are read.
    let now = i64::try_from(since_1970().as_millis()).expect("for 292 million years");
    let value: Vec<u8> =
        (0..bytes).map(|at| b"ottla and her brother kafka "[at * 7 % 28]).collect();
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        builder.push(NewRecord {
            timestamp: Timestamp::from_millis(now),
            key: None,
            value: Some(&value),
            headers: &[],
        });
    }
    builder.build().into_bytes()
}

fn succeeded(what: &str, code: i16) -> Result<(), String> {
    if code == 0 {
        return Ok(());
    }
    let name = ErrorCode::from_wire(code).map_or("an unknown error", ErrorCode::name);
    Err(format!("{what} was answered with {code}: {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_behind_the_last_whole_batch() {
        let one = batch(3, 10);
        let mut two = one.clone();
        two[..8].copy_from_slice(&3_i64.to_be_bytes());
        let both = [one.as_slice(), &two].concat();
        check(&both, Some(6));
        check(&both[..both.len() - 1], Some(3));
        check(&both[..one.len() + HEADER_BYTES], Some(3));
        check(&one[..20], None);
        check(&[], None);
    }

    fn check(records: &[u8], end: Option<i64>) {
        assert_eq!(end_of(records).map(Offset::get), end, "{} bytes", records.len());
    }
}
