//! From records to stored bytes, in the versions that Kafka 4.3 writes.

use std::borrow::Cow;
use std::time::Duration;

use ottla_types::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicName, Uuid};
use ottla_wire::records::{
    ConsumerGroupCurrentMemberAssignmentKey, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue, ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
    consumer_group_current_member_assignment_value, consumer_group_member_metadata_value,
    consumer_group_target_assignment_member_value, group_metadata_value,
};
use ottla_wire::{EncodeError, Writer};

use super::{
    ClassicGroupValue, ClassicMemberFacet, ClassicMemberValue, ConsumerCurrentValue,
    ConsumerEpochValue, ConsumerMemberValue, ConsumerTargetEpochValue, GroupRecord, RecordBytes,
    RegexValue, TopicPartitions,
};
use crate::ids::{GroupId, InstanceId};
use crate::offsets::CommittedOffset;

/// With the leader epoch and the topic's id, without an expiry of its own, which only version 1
/// can say.
const OFFSET_VERSION: i16 = 4;
const OFFSET_WITH_EXPIRY_VERSION: i16 = 1;
const CLASSIC_GROUP_VERSION: i16 = 3;

impl GroupRecord {
    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> RecordBytes {
        match self {
            Self::Offset { group, topic, partition, value } => RecordBytes {
                key: offset_key(group, topic, *partition),
                value: value.as_ref().map(offset_value),
            },
            Self::Classic { group, value } => RecordBytes {
                key: written(2, |w| GroupMetadataKey { group: group.as_str().into() }.encode(w, 0)),
                value: value.as_ref().map(classic_group),
            },
            Self::ConsumerEpoch { .. }
            | Self::ConsumerTopics { .. }
            | Self::ConsumerMember { .. }
            | Self::ConsumerTargetEpoch { .. }
            | Self::ConsumerTarget { .. }
            | Self::ConsumerCurrent { .. }
            | Self::ConsumerRegex { .. } => {
                RecordBytes { key: self.consumer_key(), value: self.consumer_value() }
            }
        }
    }

    fn consumer_key(&self) -> Vec<u8> {
        match self {
            Self::Offset { .. } | Self::Classic { .. } => unreachable!("sorted by the caller"),
            Self::ConsumerEpoch { group, .. } => {
                written(3, |w| ConsumerGroupMetadataKey { group_id: name(group) }.encode(w, 0))
            }
            Self::ConsumerTopics { group, .. } => written(4, |w| {
                ConsumerGroupPartitionMetadataKey { group_id: name(group) }.encode(w, 0)
            }),
            Self::ConsumerMember { group, member, .. } => written(5, |w| {
                let (group_id, member_id) = (name(group), member.as_str().into());
                ConsumerGroupMemberMetadataKey { group_id, member_id }.encode(w, 0)
            }),
            Self::ConsumerTargetEpoch { group, .. } => written(6, |w| {
                ConsumerGroupTargetAssignmentMetadataKey { group_id: name(group) }.encode(w, 0)
            }),
            Self::ConsumerTarget { group, member, .. } => written(7, |w| {
                let (group_id, member_id) = (name(group), member.as_str().into());
                ConsumerGroupTargetAssignmentMemberKey { group_id, member_id }.encode(w, 0)
            }),
            Self::ConsumerCurrent { group, member, .. } => written(8, |w| {
                let (group_id, member_id) = (name(group), member.as_str().into());
                ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id }.encode(w, 0)
            }),
            Self::ConsumerRegex { group, regex, .. } => written(16, |w| {
                let (group_id, regular_expression) = (name(group), regex.as_ref().into());
                ConsumerGroupRegularExpressionKey { group_id, regular_expression }.encode(w, 0)
            }),
        }
    }

    fn consumer_value(&self) -> Option<Vec<u8>> {
        match self {
            Self::Offset { .. } | Self::Classic { .. } => unreachable!("sorted by the caller"),
            Self::ConsumerEpoch { value, .. } => value.as_ref().map(consumer_epoch),
            Self::ConsumerTopics { .. } => None,
            Self::ConsumerMember { value, .. } => value.as_ref().map(consumer_member),
            Self::ConsumerTargetEpoch { value, .. } => value.as_ref().map(target_epoch),
            Self::ConsumerTarget { value, .. } => value.as_deref().map(target),
            Self::ConsumerCurrent { value, .. } => value.as_ref().map(current),
            Self::ConsumerRegex { value, .. } => value.as_ref().map(regex),
        }
    }
}

/// A record type or version, and what follows it.
fn written(number: i16, body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let mut writer = Writer::new(&mut out);
    writer.i16(number);
    body(&mut writer).expect("names came from frames, which bound them, or are made within bounds");
    out
}

fn name(group: &GroupId) -> Cow<'_, str> {
    group.as_str().into()
}

/// Milliseconds, at most what 31 bits can say: 24 days.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

fn offset_key(group: &GroupId, topic: &TopicName, partition: PartitionId) -> Vec<u8> {
    let key = OffsetCommitKey {
        group: name(group),
        topic: topic.as_str().into(),
        partition: partition.get(),
    };
    written(1, |w| key.encode(w, 0))
}

fn offset_value(value: &CommittedOffset) -> Vec<u8> {
    let version = match value.expires_at {
        Some(_) => OFFSET_WITH_EXPIRY_VERSION,
        None => OFFSET_VERSION,
    };
    let stored = OffsetCommitValue {
        offset: Offset::to_wire(value.offset),
        leader_epoch: LeaderEpoch::to_wire(value.leader_epoch),
        metadata: value.metadata.as_ref().into(),
        commit_timestamp: value.committed_at.millis(),
        expire_timestamp: Timestamp::to_wire(value.expires_at),
        topic_id: value.topic_id.unwrap_or(Uuid::ZERO),
        ..OffsetCommitValue::default()
    };
    written(version, |w| stored.encode(w, version))
}

fn classic_group(value: &ClassicGroupValue) -> Vec<u8> {
    let stored = GroupMetadataValue {
        protocol_type: value.protocol_type.as_ref().into(),
        generation: value.generation.get(),
        protocol: value.protocol.as_deref().map(Cow::Borrowed),
        leader: value.leader.as_ref().map(|leader| leader.as_str().into()),
        current_state_timestamp: Timestamp::to_wire(value.state_since),
        members: value.members.iter().map(classic_member).collect(),
        ..GroupMetadataValue::default()
    };
    written(CLASSIC_GROUP_VERSION, |w| stored.encode(w, CLASSIC_GROUP_VERSION))
}

fn classic_member(member: &ClassicMemberValue) -> group_metadata_value::MemberMetadata<'_> {
    group_metadata_value::MemberMetadata {
        member_id: member.member.as_str().into(),
        group_instance_id: instance(member.instance.as_ref()),
        client_id: member.client.id.as_ref().into(),
        client_host: member.client.host.as_ref().into(),
        rebalance_timeout: millis(member.rebalance_timeout),
        session_timeout: millis(member.session_timeout),
        subscription: member.subscription.as_ref().into(),
        assignment: member.assignment.as_ref().into(),
        ..group_metadata_value::MemberMetadata::default()
    }
}

fn instance(instance: Option<&InstanceId>) -> Option<Cow<'_, str>> {
    instance.map(|instance| instance.as_str().into())
}

fn consumer_epoch(value: &ConsumerEpochValue) -> Vec<u8> {
    let stored = ConsumerGroupMetadataValue {
        epoch: value.epoch.get(),
        metadata_hash: value.metadata_hash,
        ..ConsumerGroupMetadataValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}

fn consumer_member(value: &ConsumerMemberValue) -> Vec<u8> {
    let stored = ConsumerGroupMemberMetadataValue {
        instance_id: instance(value.instance.as_ref()),
        rack_id: value.rack.as_deref().map(Cow::Borrowed),
        client_id: value.client.id.as_ref().into(),
        client_host: value.client.host.as_ref().into(),
        subscribed_topic_names: value.topics.iter().map(|name| name.as_ref().into()).collect(),
        subscribed_topic_regex: value.regex.as_deref().map(Cow::Borrowed),
        rebalance_timeout_ms: value.rebalance_timeout.map_or(-1, millis),
        server_assignor: value.assignor.as_deref().map(Cow::Borrowed),
        classic_member_metadata: value.classic.as_ref().map(classic_facet),
        ..ConsumerGroupMemberMetadataValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}

fn classic_facet(
    facet: &ClassicMemberFacet,
) -> consumer_group_member_metadata_value::ClassicMemberMetadata<'_> {
    use consumer_group_member_metadata_value::{ClassicMemberMetadata, ClassicProtocol};
    let protocols = facet.protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.as_ref().into(),
        metadata: protocol.metadata.as_ref().into(),
        ..ClassicProtocol::default()
    });
    ClassicMemberMetadata {
        session_timeout_ms: millis(facet.session_timeout),
        supported_protocols: protocols.collect(),
        ..ClassicMemberMetadata::default()
    }
}

fn target_epoch(value: &ConsumerTargetEpochValue) -> Vec<u8> {
    let stored = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: value.epoch.get(),
        assignment_timestamp: value.made_at.map_or(0, Timestamp::millis),
        ..ConsumerGroupTargetAssignmentMetadataValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}

fn target(topics: &[TopicPartitions]) -> Vec<u8> {
    use consumer_group_target_assignment_member_value::TopicPartition;
    let topic = |topic: &TopicPartitions| TopicPartition {
        topic_id: topic.topic,
        partitions: topic.partitions.iter().map(|partition| partition.get()).collect(),
        ..TopicPartition::default()
    };
    let stored = ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: topics.iter().map(topic).collect(),
        ..ConsumerGroupTargetAssignmentMemberValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}

fn current(value: &ConsumerCurrentValue) -> Vec<u8> {
    use consumer_group_current_member_assignment_value as stored;
    let topic = |topic: &TopicPartitions| stored::TopicPartitions {
        topic_id: topic.topic,
        partitions: topic.partitions.iter().map(|partition| partition.get()).collect(),
        assignment_epochs: topic.epochs.as_ref().map(|epochs| epochs.iter().copied().collect()),
        ..stored::TopicPartitions::default()
    };
    let stored = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: value.epoch,
        previous_member_epoch: value.previous_epoch,
        state: value.state,
        assigned_partitions: value.assigned.iter().map(topic).collect(),
        partitions_pending_revocation: value.pending_revocation.iter().map(topic).collect(),
        ..ConsumerGroupCurrentMemberAssignmentValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}

fn regex(value: &RegexValue) -> Vec<u8> {
    let stored = ConsumerGroupRegularExpressionValue {
        topics: value.topics.iter().map(|name| name.as_ref().into()).collect(),
        version: value.version,
        timestamp: value.timestamp.millis(),
        ..ConsumerGroupRegularExpressionValue::default()
    };
    written(0, |w| stored.encode(w, 0))
}
