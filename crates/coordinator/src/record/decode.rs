//! From stored bytes to records.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
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
use ottla_wire::{DecodeError, List, Reader};

use super::{
    ClassicGroupValue, ClassicMemberFacet, ClassicMemberValue, ConsumerCurrentValue,
    ConsumerEpochValue, ConsumerMemberValue, ConsumerTargetEpochValue, GroupRecord, RegexValue,
    ReplayError, TopicPartitions,
};
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::offsets::CommittedOffset;
use crate::request::{Client, Protocol};

/// Decodes the body of a key in its only version.
macro_rules! key {
    ($what:ident, $reader:expr, $kind:expr) => {
        $what::decode(&mut $reader, 0).map_err(malformed($kind))?
    };
}

/// Decodes a value behind its version; `None` for a tombstone.
macro_rules! value {
    ($what:ident, $bytes:expr, $kind:expr) => {
        match $bytes {
            None => None,
            Some(bytes) => {
                let mut reader = Reader::new(bytes);
                let version = reader.i16().map_err(malformed($kind))?;
                Some($what::decode(&mut reader, version).map_err(malformed($kind))?)
            }
        }
    };
}

impl GroupRecord {
    /// Reads a stored record; `None` for a type that is not known here: a newer or richer
    /// coordinator wrote it, and its log must stay readable (KIP-915).
    ///
    /// # Errors
    /// If the bytes are not what their type says.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, ReplayError> {
        let mut reader = Reader::new(key);
        let kind = reader.i16().map_err(|_| ReplayError::NoType)?;
        match kind {
            0..=2 => Self::decode_classic(kind, reader, value).map(Some),
            3..=8 | 16 => Self::decode_consumer(kind, reader, value).map(Some),
            _ => Ok(None),
        }
    }

    fn decode_classic(
        kind: i16,
        mut key: Reader<'_>,
        value: Option<&[u8]>,
    ) -> Result<Self, ReplayError> {
        if kind == 2 {
            let key = key!(GroupMetadataKey, key, kind);
            let value = value!(GroupMetadataValue, value, kind);
            let value = value.map(|value| classic_group(kind, &value)).transpose()?;
            return Ok(Self::Classic { group: GroupId::new(&key.group), value });
        }
        let key = key!(OffsetCommitKey, key, kind);
        let topic = TopicName::parse(&key.topic)
            .map_err(|_| impossible(kind, "topic", key.topic.as_ref()))?;
        let partition = PartitionId::from_wire(key.partition)
            .ok_or_else(|| impossible(kind, "partition", &key.partition))?;
        let value = value!(OffsetCommitValue, value, kind);
        let value = value.as_ref().map(committed_offset);
        Ok(Self::Offset { group: GroupId::new(&key.group), topic, partition, value })
    }

    fn decode_consumer(
        kind: i16,
        mut key: Reader<'_>,
        value: Option<&[u8]>,
    ) -> Result<Self, ReplayError> {
        Ok(match kind {
            3 => {
                let key = key!(ConsumerGroupMetadataKey, key, kind);
                let value = value!(ConsumerGroupMetadataValue, value, kind);
                let value = value.map(|value| consumer_epoch(kind, &value)).transpose()?;
                Self::ConsumerEpoch { group: GroupId::new(&key.group_id), value }
            }
            4 => {
                let key = key!(ConsumerGroupPartitionMetadataKey, key, kind);
                Self::ConsumerTopics {
                    group: GroupId::new(&key.group_id),
                    present: value.is_some(),
                }
            }
            5 => {
                let key = key!(ConsumerGroupMemberMetadataKey, key, kind);
                let value = value!(ConsumerGroupMemberMetadataValue, value, kind);
                Self::ConsumerMember {
                    group: GroupId::new(&key.group_id),
                    member: MemberId::new(&key.member_id),
                    value: value.as_ref().map(consumer_member),
                }
            }
            6 => {
                let key = key!(ConsumerGroupTargetAssignmentMetadataKey, key, kind);
                let value = value!(ConsumerGroupTargetAssignmentMetadataValue, value, kind);
                let value = value.map(|value| target_epoch(kind, &value)).transpose()?;
                Self::ConsumerTargetEpoch { group: GroupId::new(&key.group_id), value }
            }
            7 => {
                let key = key!(ConsumerGroupTargetAssignmentMemberKey, key, kind);
                let value = value!(ConsumerGroupTargetAssignmentMemberValue, value, kind);
                let value = value.map(|value| target(kind, &value)).transpose()?;
                let (group, member) = names(&key.group_id, &key.member_id);
                Self::ConsumerTarget { group, member, value }
            }
            8 => {
                let key = key!(ConsumerGroupCurrentMemberAssignmentKey, key, kind);
                let value = value!(ConsumerGroupCurrentMemberAssignmentValue, value, kind);
                let value = value.map(|value| current(kind, &value)).transpose()?;
                let (group, member) = names(&key.group_id, &key.member_id);
                Self::ConsumerCurrent { group, member, value }
            }
            other => {
                assert_eq!(other, 16, "the caller sorted the types");
                let key = key!(ConsumerGroupRegularExpressionKey, key, kind);
                let value = value!(ConsumerGroupRegularExpressionValue, value, kind);
                Self::ConsumerRegex {
                    group: GroupId::new(&key.group_id),
                    regex: arc(&key.regular_expression),
                    value: value.as_ref().map(regex),
                }
            }
        })
    }
}

fn malformed(kind: i16) -> impl Fn(DecodeError) -> ReplayError {
    move |error| ReplayError::Malformed { kind, error }
}

fn impossible(kind: i16, field: &'static str, value: &(impl ToString + ?Sized)) -> ReplayError {
    ReplayError::Impossible { kind, field, value: value.to_string() }
}

fn arc(text: &str) -> Arc<str> {
    text.into()
}

fn names(group: &str, member: &str) -> (GroupId, MemberId) {
    (GroupId::new(group), MemberId::new(member))
}

fn bytes(raw: &[u8]) -> Bytes {
    Bytes::copy_from_slice(raw)
}

/// A timeout in milliseconds; a negative one has already passed.
fn timeout(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn epoch(kind: i16, field: &'static str, raw: i32) -> Result<Epoch, ReplayError> {
    Epoch::from_wire(raw).ok_or_else(|| impossible(kind, field, &raw))
}

fn committed_offset(value: &OffsetCommitValue<'_>) -> CommittedOffset {
    CommittedOffset {
        offset: Offset::from_wire(value.offset),
        leader_epoch: LeaderEpoch::from_wire(value.leader_epoch),
        metadata: arc(&value.metadata),
        committed_at: Timestamp::from_millis(value.commit_timestamp),
        expires_at: Timestamp::from_wire(value.expire_timestamp),
        topic_id: (value.topic_id != Uuid::ZERO).then_some(value.topic_id),
    }
}

fn classic_group(
    kind: i16,
    value: &GroupMetadataValue<'_>,
) -> Result<ClassicGroupValue, ReplayError> {
    Ok(ClassicGroupValue {
        protocol_type: arc(&value.protocol_type),
        generation: epoch(kind, "generation", value.generation)?,
        protocol: value.protocol.as_deref().map(arc),
        leader: value.leader.as_deref().map(MemberId::new),
        state_since: Timestamp::from_wire(value.current_state_timestamp),
        members: value.members.iter().map(|member| classic_member(&member)).collect(),
    })
}

fn classic_member(member: &group_metadata_value::MemberMetadata<'_>) -> ClassicMemberValue {
    // The first version knew one timeout for both.
    let rebalance_timeout = match member.rebalance_timeout {
        -1 => member.session_timeout,
        own => own,
    };
    ClassicMemberValue {
        member: MemberId::new(&member.member_id),
        instance: member.group_instance_id.as_deref().map(InstanceId::new),
        client: Client { id: arc(&member.client_id), host: arc(&member.client_host) },
        rebalance_timeout: timeout(rebalance_timeout),
        session_timeout: timeout(member.session_timeout),
        subscription: bytes(&member.subscription),
        assignment: bytes(&member.assignment),
    }
}

fn consumer_epoch(
    kind: i16,
    value: &ConsumerGroupMetadataValue<'_>,
) -> Result<ConsumerEpochValue, ReplayError> {
    Ok(ConsumerEpochValue {
        epoch: epoch(kind, "epoch", value.epoch)?,
        metadata_hash: value.metadata_hash,
    })
}

fn consumer_member(value: &ConsumerGroupMemberMetadataValue<'_>) -> ConsumerMemberValue {
    let rebalance_timeout = value.rebalance_timeout_ms;
    ConsumerMemberValue {
        instance: value.instance_id.as_deref().map(InstanceId::new),
        rack: value.rack_id.as_deref().map(arc),
        client: Client { id: arc(&value.client_id), host: arc(&value.client_host) },
        topics: value.subscribed_topic_names.iter().map(|name| arc(&name)).collect(),
        regex: value.subscribed_topic_regex.as_deref().map(arc),
        rebalance_timeout: (rebalance_timeout >= 0).then(|| timeout(rebalance_timeout)),
        assignor: value.server_assignor.as_deref().map(arc),
        classic: value.classic_member_metadata.as_ref().map(classic_facet),
    }
}

fn classic_facet(
    value: &consumer_group_member_metadata_value::ClassicMemberMetadata<'_>,
) -> ClassicMemberFacet {
    let protocol = |each: consumer_group_member_metadata_value::ClassicProtocol<'_>| Protocol {
        name: arc(&each.name),
        metadata: bytes(&each.metadata),
    };
    ClassicMemberFacet {
        session_timeout: timeout(value.session_timeout_ms),
        protocols: value.supported_protocols.iter().map(protocol).collect(),
    }
}

fn target_epoch(
    kind: i16,
    value: &ConsumerGroupTargetAssignmentMetadataValue<'_>,
) -> Result<ConsumerTargetEpochValue, ReplayError> {
    Ok(ConsumerTargetEpochValue {
        epoch: epoch(kind, "assignment_epoch", value.assignment_epoch)?,
        // The default of the tag is 0, which no clock says.
        made_at: Timestamp::from_wire(value.assignment_timestamp).filter(|at| at.millis() > 0),
    })
}

fn target(
    kind: i16,
    value: &ConsumerGroupTargetAssignmentMemberValue<'_>,
) -> Result<Vec<TopicPartitions>, ReplayError> {
    type Stored<'a> = consumer_group_target_assignment_member_value::TopicPartition<'a>;
    let topic = |topic: Stored<'_>| {
        Ok(TopicPartitions {
            topic: topic.topic_id,
            partitions: partitions(kind, &topic.partitions)?,
            epochs: None,
        })
    };
    value.topic_partitions.iter().map(topic).collect()
}

fn current(
    kind: i16,
    value: &ConsumerGroupCurrentMemberAssignmentValue<'_>,
) -> Result<ConsumerCurrentValue, ReplayError> {
    type Stored<'a> = consumer_group_current_member_assignment_value::TopicPartitions<'a>;
    let topic = |topic: Stored<'_>| {
        Ok(TopicPartitions {
            topic: topic.topic_id,
            partitions: partitions(kind, &topic.partitions)?,
            epochs: topic.assignment_epochs.map(|epochs| epochs.iter().collect()),
        })
    };
    Ok(ConsumerCurrentValue {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: value.state,
        assigned: value.assigned_partitions.iter().map(topic).collect::<Result<_, _>>()?,
        pending_revocation: (value.partitions_pending_revocation.iter().map(topic))
            .collect::<Result<_, _>>()?,
    })
}

fn partitions(kind: i16, raw: &List<'_, i32>) -> Result<Vec<PartitionId>, ReplayError> {
    let parse =
        |raw| PartitionId::from_wire(raw).ok_or_else(|| impossible(kind, "partition", &raw));
    raw.iter().map(parse).collect()
}

fn regex(value: &ConsumerGroupRegularExpressionValue<'_>) -> RegexValue {
    RegexValue {
        topics: value.topics.iter().map(|name| arc(&name)).collect(),
        version: value.version,
        timestamp: Timestamp::from_millis(value.timestamp),
    }
}
