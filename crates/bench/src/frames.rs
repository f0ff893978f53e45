//! Requests as bytes, and what their answers say.

pub(crate) mod compaction;
pub(crate) mod groups;
pub(crate) mod lookup;
pub(crate) mod topics;

use std::borrow::Cow;

use ottla_records::{BatchHeader, HEADER_BYTES};
use ottla_types::Offset;
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
pub(crate) const FETCH_BYTES_MAX: i32 = 1 << 20;

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
    format!("bench-{}", crate::batches::since_1970().as_nanos())
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

/// A batch to each of some partitions. Neither base offset nor leader epoch is part of a batch's
/// checksum, so the same bytes can be sent for ever.
pub(crate) fn produce<'a>(
    topic: &str,
    parts: impl Iterator<Item = (i32, &'a [u8])>,
    acks: i16,
) -> Vec<u8> {
    let partition = |(index, batch)| PartitionProduceData {
        index,
        records: Some(Cow::Borrowed(batch)),
        ..PartitionProduceData::default()
    };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: parts.map(partition).collect::<Vec<_>>().into(),
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

/// As [`produced`], cheaper where there is one partition of a topic whose name has so many bytes:
/// its error code has a fixed place behind correlation id, tags, two counts, name and index.
///
/// # Errors
/// When a partition refused its batch.
pub(crate) fn produced_to(name_len: usize, frame: &[u8]) -> Result<(), String> {
    const NAME_AT: usize = 7;
    const ONE: u8 = 2;
    let short = u8::try_from(name_len + 1).ok().filter(|len| *len < 128);
    let count = frame.get(NAME_AT + name_len).copied();
    let code = frame.get(NAME_AT + name_len + 5..NAME_AT + name_len + 7);
    if frame.get(4..NAME_AT) == Some(&[0, ONE, short.unwrap_or(0)])
        && count == Some(ONE)
        && code == Some(&[0, 0])
    {
        return Ok(());
    }
    produced(frame)
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
    fetch_of(FETCH_BYTES_MAX, topic, std::iter::once((partition, from)))
}

/// The first batch at `from` alone: a partition answers with one batch, however few bytes are
/// asked for.
pub(crate) fn fetch_one_batch(topic: &str, partition: i32, from: Offset) -> Vec<u8> {
    fetch_of(1, topic, std::iter::once((partition, from)))
}

/// Reads on in some partitions, without a session.
pub(crate) fn fetch_of(
    bytes_max: i32,
    topic: &str,
    from: impl Iterator<Item = (i32, Offset)>,
) -> Vec<u8> {
    let partition = |(partition, from): (i32, Offset)| FetchPartition {
        partition,
        fetch_offset: from.get(),
        partition_max_bytes: bytes_max,
        ..FetchPartition::default()
    };
    let topic = FetchTopic {
        topic: topic.into(),
        partitions: from.map(partition).collect::<Vec<_>>().into(),
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

/// Gives `each` every whole batch of an answer, with its partition and the offset behind it.
///
/// # Errors
/// When a partition refused.
pub(crate) fn batches_fetched(
    frame: &[u8],
    mut each: impl FnMut(i32, Offset, &[u8]),
) -> Result<(), String> {
    let mut reader = body(frame, ApiKey::Fetch, FETCH_VERSION)?;
    let answer = FetchResponse::decode(&mut reader, FETCH_VERSION)
        .map_err(|error| format!("Fetch: {error}"))?;
    succeeded("Fetch", answer.error_code)?;
    for topic in &answer.responses {
        for partition in &topic.partitions {
            succeeded("Fetch", partition.error_code)?;
            let mut records = partition.records.as_deref().unwrap_or_default();
            while let Some((end, size)) = first_batch(records) {
                each(partition.partition_index, end, &records[..size]);
                records = &records[size..];
            }
        }
    }
    Ok(())
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
    let mut last = None;
    while let Some((end, size)) = first_batch(records) {
        last = Some(end);
        records = &records[size..];
    }
    last
}

/// The offset behind the first batch, and its size, where it is whole.
fn first_batch(records: &[u8]) -> Option<(Offset, usize)> {
    let header = BatchHeader::parse(records.get(..HEADER_BYTES)?).ok()?;
    let size = header.size as usize;
    let end = header.base_offset.plus(i64::from(header.last_offset_delta) + 1);
    (size <= records.len()).then_some((end, size))
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
    use crate::batches::{Shape, make};
    use ottla_records::Compression;

    #[test]
    fn reading_goes_on_behind_the_last_whole_batch() {
        let shape = Shape { records: 3, record_bytes: 10, codec: Compression::None };
        let one = make(shape, 0).bytes;
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
