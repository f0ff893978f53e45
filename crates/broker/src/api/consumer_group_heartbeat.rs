//! ConsumerGroupHeartbeat: into a consumer group, on in it, and out of it (KIP-848).

use std::time::Duration;

use ottla_coordinator::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, GroupAnswer, GroupId, GroupRequest, InstanceId,
    MemberEpoch, MemberId,
};
use ottla_metadata::{GROUP_VERSION, MetadataImage};
use ottla_types::{PartitionId, TopicId};
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::group_errors::{consumer_heartbeat_code, unavailable_code};
use super::join_group::client;
use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = ConsumerGroupHeartbeatRequest::decode(&mut call.body, version)?;
    if !serves_consumer_groups(&call.broker.metadata.image()) {
        let refused = refusal(ErrorCode::UnsupportedVersion, None, version)?;
        return Ok(Answer::Now(refused));
    }
    let heartbeat = from_wire(&request, &call);
    let group = heartbeat.group.clone();
    let asked = call.broker.groups.ask(&group, GroupRequest::ConsumerHeartbeat(heartbeat));
    Ok(Answer::Later(Box::pin(async move {
        match asked.await {
            Ok(GroupAnswer::ConsumerHeartbeat(Ok(beaten))) => answer(&beaten, version),
            Ok(GroupAnswer::ConsumerHeartbeat(Err(error))) => {
                refusal(consumer_heartbeat_code(&error), Some(error.to_string()), version)
            }
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            Err(why) => refusal(unavailable_code(why), None, version),
        }
    })))
}

/// Whether the cluster has agreed on the protocol of consumer groups.
pub(super) fn serves_consumer_groups(image: &MetadataImage) -> bool {
    image.finalized_features().any(|(name, level)| name == GROUP_VERSION && level >= 1)
}

fn from_wire(request: &ConsumerGroupHeartbeatRequest<'_>, call: &Call<'_>) -> ConsumerHeartbeat {
    let mut owned = request.topic_partitions.as_ref().map(|_| Vec::new());
    for topic in request.topic_partitions.iter().flatten() {
        let owned = owned.as_mut().expect("made above");
        let before = owned.len();
        let partitions = topic.partitions.iter().map(PartitionId::from_wire);
        owned.extend(partitions.map(|partition| (topic.topic_id, partition)));
        if owned.len() == before {
            owned.push((topic.topic_id, None));
        }
    }
    ConsumerHeartbeat {
        group: GroupId::new(&request.group_id),
        member: MemberId::new(&request.member_id),
        names_itself: call.version >= 1,
        epoch: MemberEpoch::from_wire(request.member_epoch),
        instance: request.instance_id.as_deref().map(InstanceId::new),
        rack: request.rack_id.as_deref().map(Into::into),
        // Zero and below -1 are not refused by Kafka either.
        rebalance_timeout: (request.rebalance_timeout_ms != -1).then(|| {
            Duration::from_millis(u64::try_from(request.rebalance_timeout_ms).unwrap_or(0))
        }),
        topics: request
            .subscribed_topic_names
            .as_ref()
            .map(|topics| topics.iter().map(|topic| topic.as_ref().into()).collect()),
        regex: request.subscribed_topic_regex.as_deref().map(Into::into),
        assignor: request.server_assignor.as_deref().map(Into::into),
        owned,
        client: client(call),
        drawn: call.broker.env.rng.uuid(),
    }
}

fn answer(beaten: &ConsumerHeartbeatAnswer, version: i16) -> Result<Vec<u8>, Refused> {
    let interval_ms = beaten.heartbeat_interval.as_millis();
    let assigned = |(topic_id, partitions): &(TopicId, Vec<PartitionId>)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.iter().map(|partition| partition.get()).collect(),
        ..Default::default()
    };
    let response = ConsumerGroupHeartbeatResponse {
        member_id: Some(beaten.member.as_str().into()),
        member_epoch: beaten.epoch.to_wire(),
        heartbeat_interval_ms: i32::try_from(interval_ms).unwrap_or(i32::MAX),
        assignment: beaten.assignment.as_ref().map(|topics| Assignment {
            topic_partitions: topics.iter().map(assigned).collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}

fn refusal(error: ErrorCode, message: Option<String>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = ConsumerGroupHeartbeatResponse {
        error_code: error.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}
