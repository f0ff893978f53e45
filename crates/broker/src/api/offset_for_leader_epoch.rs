//! OffsetForLeaderEpoch: where leader epochs end, so that a reader notices a log that was cut.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_log::EpochEnd;
use ottla_types::LeaderEpoch;
use ottla_wire::ErrorCode;
use ottla_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::fetch_read::check_epoch;
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::partition::TopicEntry;

struct Topic {
    name: String,
    partitions: Vec<Asked>,
}

#[derive(Clone, Copy)]
struct Asked {
    index: i32,
    current_epoch: i32,
    epoch: i32,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = OffsetForLeaderEpochRequest::decode(&mut call.body, version)?;
    let topics = request.topics.iter().map(|topic| Topic {
        name: topic.topic.into_owned(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| Asked {
                index: asked.partition,
                current_epoch: asked.current_leader_epoch,
                epoch: asked.leader_epoch,
            })
            .collect(),
    });
    let (topics, broker) = (topics.collect::<Vec<_>>(), Arc::clone(call.broker));
    // A log's epochs are known once it is open.
    Ok(Answer::Later(Box::pin(async move {
        let topics = answers(&broker, &topics).await.into();
        let response = OffsetForLeaderEpochResponse { topics, ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

async fn answers<'a>(broker: &Broker, topics: &'a [Topic]) -> Vec<OffsetForLeaderTopicResult<'a>> {
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let entry = broker.partitions.topic(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let found = end_of(broker, entry.as_deref(), *asked).await;
            partitions.push(describe(asked.index, found));
        }
        results.push(OffsetForLeaderTopicResult {
            topic: Cow::Borrowed(topic.name.as_str()),
            partitions: partitions.into(),
            ..Default::default()
        });
    }
    results
}

fn describe(partition: i32, found: Result<Option<EpochEnd>, ErrorCode>) -> EpochEndOffset<'static> {
    match found {
        Ok(Some(found)) => EpochEndOffset {
            partition,
            leader_epoch: found.epoch.get(),
            end_offset: found.end.get(),
            ..Default::default()
        },
        Ok(None) => EpochEndOffset { partition, ..Default::default() },
        Err(error) => EpochEndOffset { partition, error_code: error.code(), ..Default::default() },
    }
}

async fn end_of(
    broker: &Broker,
    topic: Option<&TopicEntry>,
    asked: Asked,
) -> Result<Option<EpochEnd>, ErrorCode> {
    let partition = topic.ok_or(ErrorCode::UnknownTopicOrPartition)?.partition(asked.index)?;
    check_epoch(partition, asked.current_epoch)?;
    let own = partition.leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
    partition.opened(&broker.env).await?;
    let epoch = LeaderEpoch::from_wire(asked.epoch);
    Ok(epoch.and_then(|epoch| partition.end_of_epoch(epoch, own)))
}
