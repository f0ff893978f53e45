//! OffsetCommit: how far a group has read.

use std::sync::Arc;
use std::time::Duration;

use ottla_coordinator::{
    CommitAnswer, CommitOffsets, CommitPartition, CommitTopic, Epoch, GroupAnswer, GroupId,
    GroupRequest, InstanceId, MemberId,
};
use ottla_metadata::{MetadataImage, TopicImage};
use ottla_types::{LeaderEpoch, Offset, PartitionId, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::group_errors::{commit_code, commit_partition_code, unavailable_code};
use super::{Answer, Call, Refused, encode};
use crate::groups::Answered;

/// Since this version topics are named by their ids alone (KIP-848).
const TOPIC_IDS_SINCE: i16 = 10;

/// One topic of the request, and what is known of its partitions so far.
struct Topic {
    name: String,
    id: Uuid,
    /// An error, or `None` for what the group is asked to take.
    partitions: Vec<(i32, Option<ErrorCode>)>,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = OffsetCommitRequest::decode(&mut call.body, version)?;
    let image = call.broker.metadata.image();
    let (mut topics, mut taken) = (Vec::new(), Vec::new());
    for asked in &request.topics {
        let (topic, to_commit) = look_up(&image, &asked, version);
        topics.push(topic);
        taken.extend(to_commit);
    }
    if taken.is_empty() {
        return Ok(Answer::Now(answer(&topics, version)?));
    }
    let commit = CommitOffsets {
        group: GroupId::new(&request.group_id),
        epoch: Epoch::from_wire(request.generation_id_or_member_epoch),
        member: MemberId::from_wire(&request.member_id),
        instance: request.group_instance_id.as_deref().map(InstanceId::new),
        retention: u64::try_from(request.retention_time_ms).ok().map(Duration::from_millis),
        topics: taken,
    };
    let group = commit.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::CommitOffsets(commit));
    Ok(Answer::Later(Box::pin(async move {
        fill(&mut topics, asked.await, version);
        answer(&topics, version)
    })))
}

/// A topic of the request, and what of it the group is to take: partitions that exist.
fn look_up(
    image: &MetadataImage,
    asked: &OffsetCommitRequestTopic<'_>,
    version: i16,
) -> (Topic, Option<CommitTopic>) {
    let (found, missing) = match version {
        TOPIC_IDS_SINCE.. => (image.topic_by_id(asked.topic_id), ErrorCode::UnknownTopicId),
        _ => (image.topic(&asked.name), ErrorCode::UnknownTopicOrPartition),
    };
    let exists = |topic: &TopicImage, index: i32| {
        PartitionId::from_wire(index).filter(|index| topic.partition(*index).is_some())
    };
    let mut topic =
        Topic { name: asked.name.clone().into_owned(), id: asked.topic_id, partitions: Vec::new() };
    let mut taken = Vec::new();
    for partition in &asked.partitions {
        let index = partition.partition_index;
        let refused = match found.map(|found| exists(found, index)) {
            None => Some(missing),
            Some(None) => Some(ErrorCode::UnknownTopicOrPartition),
            Some(Some(id)) => {
                taken.push(to_commit(id, &partition));
                None
            }
        };
        topic.partitions.push((index, refused));
    }
    let commit = found.filter(|_| !taken.is_empty()).map(|found| CommitTopic {
        name: found.name.clone(),
        id: Some(found.id),
        partitions: taken,
    });
    (topic, commit)
}

fn to_commit(partition: PartitionId, asked: &OffsetCommitRequestPartition<'_>) -> CommitPartition {
    CommitPartition {
        partition,
        offset: Offset::from_wire(asked.committed_offset),
        leader_epoch: LeaderEpoch::from_wire(asked.committed_leader_epoch),
        metadata: Arc::from(asked.committed_metadata.as_deref().unwrap_or_default()),
    }
}

/// Completes what the group was asked to take with what became of it: both are in the order of the
/// request.
fn fill(topics: &mut [Topic], answered: Answered, version: i16) {
    let all = match answered {
        Ok(GroupAnswer::CommitOffsets(Ok(CommitAnswer { topics }))) => Ok(topics),
        Ok(GroupAnswer::CommitOffsets(Err(error))) => Err(commit_code(error, version)),
        Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
        Err(why) => Err(unavailable_code(why)),
    };
    let asked = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    let asked = asked.filter(|(_, refused)| refused.is_none());
    match all {
        Err(code) => asked.for_each(|(_, refused)| *refused = Some(code)),
        Ok(committed) => {
            let results = committed.iter().flat_map(|topic| &topic.partitions);
            for ((index, refused), (partition, result)) in asked.zip(results) {
                assert_eq!(*index, partition.get(), "answered in the order of the request");
                *refused = result.err().map(commit_partition_code);
            }
        }
    }
}

fn answer(topics: &[Topic], version: i16) -> Result<Vec<u8>, Refused> {
    let partition = |(index, refused): &(i32, Option<ErrorCode>)| OffsetCommitResponsePartition {
        partition_index: *index,
        error_code: refused.unwrap_or(ErrorCode::None).code(),
        ..Default::default()
    };
    let topics = topics.iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.as_str().into(),
        topic_id: topic.id,
        partitions: topic.partitions.iter().map(partition).collect(),
        ..Default::default()
    });
    let response = OffsetCommitResponse { topics: topics.collect(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}
