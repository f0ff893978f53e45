//! DeleteRecords: the oldest records of partitions, up to an offset.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ottla_metadata::CleanupPolicy;
use ottla_types::Offset;
use ottla_wire::ErrorCode;
use ottla_wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::errors::delete_records_code;
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;

/// Where a deletion ends: the numbers exist in `from_wire` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeleteBelow {
    Offset(Offset),
    /// Everything that is committed.
    HighWatermark,
}

impl DeleteBelow {
    fn from_wire(raw: i64) -> Option<Self> {
        match raw {
            -1 => Some(Self::HighWatermark),
            raw => Offset::from_wire(raw).map(Self::Offset),
        }
    }
}

/// Partitions of a topic whose records are deleted at once: they share one write of the file that
/// says where logs start.
const WINDOW: usize = 64;

/// What is asked for, by topic and partition. Of a partition that is named twice, the last one
/// counts, as in Kafka.
type Asked = BTreeMap<String, BTreeMap<i32, i64>>;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DeleteRecordsRequest::decode(&mut call.body, version)?;
    let mut asked = Asked::new();
    for topic in &request.topics {
        let name = topic.name.into_owned();
        for partition in &topic.partitions {
            let partitions = asked.entry(name.clone()).or_default();
            partitions.insert(partition.partition_index, partition.offset);
        }
    }
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move { answer(&broker, asked, version).await })))
}

async fn answer(broker: &Broker, asked: Asked, version: i16) -> Result<Vec<u8>, Refused> {
    let mut topics = Vec::with_capacity(asked.len());
    for (name, partitions) in &asked {
        let partitions: Vec<(i32, i64)> = partitions.iter().map(|(at, to)| (*at, *to)).collect();
        let mut results = Vec::with_capacity(partitions.len());
        for window in partitions.chunks(WINDOW) {
            let each = window.iter().map(|(index, offset)| result(broker, name, *index, *offset));
            results.extend(all(each).await);
        }
        topics.push(DeleteRecordsTopicResult {
            name: name.as_str().into(),
            partitions: results.into(),
            ..Default::default()
        });
    }
    let response = DeleteRecordsResponse { topics: topics.into(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

/// Waits for all of them at once.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, outcome) in waiting.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(cx) {
                *outcome = Some(ready);
            }
        }
        match waiting.iter().all(|(_, outcome)| outcome.is_some()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, outcome)| outcome).collect()
}

async fn result(
    broker: &Broker,
    topic: &str,
    partition_index: i32,
    offset: i64,
) -> DeleteRecordsPartitionResult<'static> {
    let deleted = delete(broker, topic, partition_index, offset).await;
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark: Offset::to_wire(deleted.ok()),
        error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
        ..Default::default()
    }
}

/// The offset that the log starts with afterwards. With one replica, it is the low watermark.
async fn delete(
    broker: &Broker,
    topic: &str,
    index: i32,
    offset: i64,
) -> Result<Offset, ErrorCode> {
    let entry = broker.partitions.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = entry.partition(index)?;
    if Broker::is_internal(&entry.name) {
        return Err(ErrorCode::InvalidTopicException);
    }
    if partition.settings().cleanup == CleanupPolicy::Compact {
        return Err(ErrorCode::PolicyViolation);
    }
    let below = DeleteBelow::from_wire(offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let below = match below {
        DeleteBelow::Offset(offset) => offset,
        DeleteBelow::HighWatermark => partition.bounds().high_watermark.offset,
    };
    let deleted = partition.delete_below(&broker.env, below).await;
    deleted.map_err(|error| {
        let code = delete_records_code(&error);
        tracing::debug!(partition = %partition.name(), %error, "records not deleted");
        code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minus_one_is_the_high_watermark_and_less_is_nothing() {
        check(0, Some(DeleteBelow::Offset(Offset::ZERO)));
        check(i64::MAX, Some(DeleteBelow::Offset(Offset::new(i64::MAX))));
        check(-1, Some(DeleteBelow::HighWatermark));
        check(-2, None);
    }

    fn check(raw: i64, below: Option<DeleteBelow>) {
        assert_eq!(DeleteBelow::from_wire(raw), below, "{raw}");
    }
}
