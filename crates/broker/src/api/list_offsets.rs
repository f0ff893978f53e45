//! ListOffsets: offsets by time, and by the special timestamps that are not times.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_log::{FoundRecord, LookupError};
use ottla_types::{LeaderEpoch, Offset, Timestamp};
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::fetch_read::check_epoch;
use super::{Answer, Call, Refused, encode, list_offsets_old};
use crate::broker::Broker;
use crate::partition::{Isolation, Partition};

/// What a request looks for. The numbers exist in `from_wire` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffsetSpec {
    /// The first record with this timestamp or a later one.
    At(Timestamp),
    /// The next offset that a consumer will see.
    Latest,
    Earliest,
    /// The record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// The first offset on local disks (KIP-405): the log's first, without tiered storage.
    EarliestLocal,
    /// The last tiered offset, and the first that waits to be tiered (KIP-1005, KIP-1023): there
    /// are none without tiered storage.
    Tiered,
}

impl OffsetSpec {
    /// `None`: not in this version, or not at all.
    pub(super) fn from_wire(raw: i64, version: i16) -> Option<Self> {
        match raw {
            -1 => Some(Self::Latest),
            -2 => Some(Self::Earliest),
            -3 if version >= 7 => Some(Self::MaxTimestamp),
            -4 if version >= 8 => Some(Self::EarliestLocal),
            -5 if version >= 9 => Some(Self::Tiered),
            -6 if version >= 11 => Some(Self::Tiered),
            _ => Timestamp::from_wire(raw).map(Self::At),
        }
    }
}

/// One topic of the request, apart from the wire.
struct Topic {
    name: String,
    partitions: Vec<Asked>,
}

/// What holds for the whole request.
#[derive(Clone, Copy)]
struct Asking {
    version: i16,
    isolation: Isolation,
}

#[derive(Clone, Copy)]
struct Asked {
    index: i32,
    leader_epoch: i32,
    timestamp: i64,
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    timestamp: Option<Timestamp>,
    pub(super) offset: Option<Offset>,
    leader_epoch: Option<LeaderEpoch>,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    if version == 0 {
        return list_offsets_old::handle(call);
    }
    let request = ListOffsetsRequest::decode(&mut call.body, version)?;
    let asking = Asking { version, isolation: Isolation::from_wire(request.isolation_level) };
    let topics: Vec<Topic> = request
        .topics
        .iter()
        .map(|topic| Topic {
            name: topic.name.into_owned(),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| Asked {
                    index: partition.partition_index,
                    leader_epoch: partition.current_leader_epoch,
                    timestamp: partition.timestamp,
                })
                .collect(),
        })
        .collect();
    let broker = Arc::clone(call.broker);
    // A look-up by time may have to read what no cache holds.
    Ok(Answer::Later(Box::pin(async move { answer(&broker, topics, asking).await })))
}

async fn answer(broker: &Broker, topics: Vec<Topic>, asking: Asking) -> Result<Vec<u8>, Refused> {
    let twice = named_twice(&topics);
    let mut responses = Vec::with_capacity(topics.len());
    for topic in &topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = match twice.contains(&(topic.name.as_str(), asked.index)) {
                true => Err(ErrorCode::InvalidRequest),
                false => look_up(broker, &topic.name, *asked, asking).await,
            };
            partitions.push(describe(asked.index, found, asking.version));
        }
        responses.push(ListOffsetsTopicResponse {
            name: Cow::Borrowed(topic.name.as_str()),
            partitions: partitions.into(),
            ..Default::default()
        });
    }
    let response = ListOffsetsResponse { topics: responses.into(), ..Default::default() };
    encode(|writer| response.encode(writer, asking.version))
}

fn named_twice(topics: &[Topic]) -> BTreeSet<(&str, i32)> {
    let mut seen = BTreeSet::new();
    let named = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|asked| (topic.name.as_str(), asked.index)));
    named.filter(|name| !seen.insert(*name)).collect()
}

fn describe(
    index: i32,
    found: Result<Found, ErrorCode>,
    version: i16,
) -> ListOffsetsPartitionResponse<'static> {
    let (error, found) = match found {
        Ok(found) => (ErrorCode::None, found),
        Err(error) => (error, Found::default()),
    };
    ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: error.code(),
        timestamp: Timestamp::to_wire(found.timestamp),
        offset: Offset::to_wire(found.offset),
        leader_epoch: LeaderEpoch::to_wire(found.leader_epoch.filter(|_| version >= 4)),
        ..Default::default()
    }
}

async fn look_up(
    broker: &Broker,
    topic: &str,
    asked: Asked,
    asking: Asking,
) -> Result<Found, ErrorCode> {
    // As in Kafka, before anybody looks whether there is such a partition.
    let spec = OffsetSpec::from_wire(asked.timestamp, asking.version);
    let spec = spec.ok_or(ErrorCode::UnsupportedVersion)?;
    let entry = broker.partitions.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = entry.partition(asked.index)?;
    check_epoch(partition, asked.leader_epoch)?;
    let latest_of_all =
        spec == OffsetSpec::Latest && asking.isolation == Isolation::ReadUncommitted;
    if !latest_of_all && partition.is_unsure_of_stable() {
        partition.opened(&broker.env).await?;
    }
    find(broker, partition, spec, asking.isolation).await
}

pub(super) async fn find(
    broker: &Broker,
    partition: &Partition,
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<Found, ErrorCode> {
    let bounds = partition.bounds();
    let end = bounds.readable_end(isolation);
    let (view, upto) = (partition.view(), bounds.high_watermark);
    let disk = &broker.env.disk;
    match spec {
        OffsetSpec::Latest => Ok(Found {
            offset: Some(end),
            leader_epoch: partition.leader_epoch(),
            ..Found::default()
        }),
        OffsetSpec::Earliest | OffsetSpec::EarliestLocal => Ok(Found {
            offset: Some(bounds.log_start),
            leader_epoch: partition.epoch_of(bounds.log_start),
            ..Found::default()
        }),
        OffsetSpec::Tiered => Ok(Found::default()),
        // There may be no file either: a partition costs none before something is written to it.
        OffsetSpec::MaxTimestamp | OffsetSpec::At(_) if bounds.log_start >= end => {
            Ok(Found::default())
        }
        OffsetSpec::MaxTimestamp => record(partition, view.latest(disk, upto).await, end),
        OffsetSpec::At(time) => record(partition, view.first_since(disk, time, upto).await, end),
    }
}

/// What was found, if it lies in front of `end`: as in Kafka, no earlier record is looked for.
fn record(
    partition: &Partition,
    found: Result<Option<FoundRecord>, LookupError>,
    end: Offset,
) -> Result<Found, ErrorCode> {
    match found.map(|found| found.filter(|record| record.offset < end)) {
        Ok(None) => Ok(Found::default()),
        Ok(Some(record)) => Ok(Found {
            timestamp: Some(record.timestamp),
            offset: Some(record.offset),
            leader_epoch: record.leader_epoch,
        }),
        Err(error) => {
            tracing::error!(partition = %partition.name(), %error, "look-up by time failed");
            Err(ErrorCode::KafkaStorageError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_belong_to_versions() {
        check(-1, 1, Some(OffsetSpec::Latest));
        check(-2, 1, Some(OffsetSpec::Earliest));
        check(-3, 6, None);
        check(-3, 7, Some(OffsetSpec::MaxTimestamp));
        check(-4, 7, None);
        check(-4, 8, Some(OffsetSpec::EarliestLocal));
        check(-5, 9, Some(OffsetSpec::Tiered));
        check(-6, 10, None);
        check(-6, 11, Some(OffsetSpec::Tiered));
        check(-7, 11, None);
        check(0, 1, Some(OffsetSpec::At(Timestamp::from_millis(0))));
    }

    fn check(raw: i64, version: i16, spec: Option<OffsetSpec>) {
        assert_eq!(OffsetSpec::from_wire(raw, version), spec, "{raw} in version {version}");
    }
}
