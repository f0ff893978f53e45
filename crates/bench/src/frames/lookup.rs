//! Where a topic's partitions are and how far they reach.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::{
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
};
use ottla_wire::{ApiKey, List};

use super::{body, frame, succeeded};

const METADATA_VERSION: i16 = 9;
const LIST_OFFSETS_VERSION: i16 = 7;
/// Asks for the offset behind the last record.
const LATEST: i64 = -1;

/// Asks where a topic's partitions are, without making it.
pub(crate) fn metadata(topic: &str) -> Vec<u8> {
    let topic = MetadataRequestTopic {
        name: Some(Cow::Borrowed(topic)),
        ..MetadataRequestTopic::default()
    };
    let topics: List<'_, _> = vec![topic].into();
    let request = MetadataRequest {
        topics: Some(topics),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    frame(ApiKey::Metadata, METADATA_VERSION, |writer| {
        request.encode(writer, METADATA_VERSION).expect("this version has every field");
    })
}

/// How many partitions have a leader.
///
/// # Errors
/// When the topic or a partition is not well.
pub(crate) fn led(frame: &[u8]) -> Result<usize, String> {
    let mut reader = body(frame, ApiKey::Metadata, METADATA_VERSION)?;
    let answer = MetadataResponse::decode(&mut reader, METADATA_VERSION)
        .map_err(|error| format!("Metadata: {error}"))?;
    let mut led = 0;
    for topic in &answer.topics {
        succeeded("Metadata", topic.error_code)?;
        for partition in &topic.partitions {
            succeeded("Metadata", partition.error_code)?;
            led += usize::from(partition.leader_id >= 0);
        }
    }
    Ok(led)
}

/// Asks for the ends of partitions.
pub(crate) fn latest(topic: &str, partitions: impl Iterator<Item = i32>) -> Vec<u8> {
    let asked = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: LATEST,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic {
        name: topic.into(),
        partitions: partitions.map(asked).collect::<Vec<_>>().into(),
        ..ListOffsetsTopic::default()
    };
    let request = ListOffsetsRequest { topics: vec![topic].into(), ..Default::default() };
    frame(ApiKey::ListOffsets, LIST_OFFSETS_VERSION, |writer| {
        request.encode(writer, LIST_OFFSETS_VERSION).expect("this version has every field");
    })
}

/// The end of each partition that was asked for.
///
/// # Errors
/// When one of them does not know.
pub(crate) fn ends(frame: &[u8]) -> Result<BTreeMap<i32, i64>, String> {
    let mut reader = body(frame, ApiKey::ListOffsets, LIST_OFFSETS_VERSION)?;
    let answer = ListOffsetsResponse::decode(&mut reader, LIST_OFFSETS_VERSION)
        .map_err(|error| format!("ListOffsets: {error}"))?;
    let mut ends = BTreeMap::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            succeeded("ListOffsets", partition.error_code)?;
            ends.insert(partition.partition_index, partition.offset);
        }
    }
    Ok(ends)
}
