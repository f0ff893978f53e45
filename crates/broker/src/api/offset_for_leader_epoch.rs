//! OffsetForLeaderEpoch: where leader epochs end, so that a reader notices a log that was cut.

use ottla_log::EpochEnd;
use ottla_types::LeaderEpoch;
use ottla_wire::ErrorCode;
use ottla_wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::fetch_read::check_epoch;
use super::{Answer, Call, Refused, encode};
use crate::partition::TopicEntry;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = OffsetForLeaderEpochRequest::decode(&mut call.body, version)?;
    let partitions = &call.broker.partitions;
    let topics = request.topics.iter().map(|topic| {
        let entry = partitions.topic(&topic.topic);
        let ends = topic.partitions.iter().map(|asked| answer(entry.as_deref(), &asked));
        OffsetForLeaderTopicResult {
            partitions: ends.collect::<Vec<_>>().into(),
            topic: topic.topic,
            ..Default::default()
        }
    });
    let topics = topics.collect::<Vec<_>>().into();
    let response = OffsetForLeaderEpochResponse { topics, ..Default::default() };
    Ok(Answer::Now(encode(|writer| response.encode(writer, version))?))
}

fn answer(
    topic: Option<&TopicEntry>,
    asked: &OffsetForLeaderPartition<'_>,
) -> EpochEndOffset<'static> {
    let partition = asked.partition;
    match end_of(topic, asked) {
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

fn end_of(
    topic: Option<&TopicEntry>,
    asked: &OffsetForLeaderPartition<'_>,
) -> Result<Option<EpochEnd>, ErrorCode> {
    let partition = topic.and_then(|topic| topic.partition(asked.partition));
    let partition = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_epoch(partition, asked.current_leader_epoch)?;
    let own = partition.leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
    let epoch = LeaderEpoch::from_wire(asked.leader_epoch);
    Ok(epoch.and_then(|epoch| partition.end_of_epoch(epoch, own)))
}
