//! The records of `__consumer_offsets`, with every number parsed.

mod decode;
mod encode;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_types::{PartitionId, Timestamp, TopicId, TopicName};
use ottla_wire::DecodeError;

use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::offsets::CommittedOffset;
use crate::request::{Client, Protocol};

/// One record: a key, and a value or `None`, which takes away what the key names. A later record
/// of the same key replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    /// How far a group has read of a partition. Types 0 and 1.
    Offset {
        group: GroupId,
        topic: TopicName,
        partition: PartitionId,
        value: Option<CommittedOffset>,
    },
    /// A classic group as of its last rebalance. Type 2.
    Classic { group: GroupId, value: Option<ClassicGroupValue> },
    /// The epoch of a consumer group, and the hash of what its topics looked like. Type 3.
    ConsumerEpoch { group: GroupId, value: Option<ConsumerEpochValue> },
    /// What a consumer group knew of its topics before 4.1: not read, and only taken away. Type 4.
    ConsumerTopics {
        group: GroupId,
        /// Whether Kafka's record is there; we write its tombstone and nothing else.
        present: bool,
    },
    /// A member of a consumer group and what it wants. Type 5.
    ConsumerMember { group: GroupId, member: MemberId, value: Option<ConsumerMemberValue> },
    /// The group epoch that the target assignment was made for. Type 6.
    ConsumerTargetEpoch { group: GroupId, value: Option<ConsumerTargetEpochValue> },
    /// What a member is to have in the end. Type 7.
    ConsumerTarget { group: GroupId, member: MemberId, value: Option<Vec<TopicPartitions>> },
    /// What a member has now. Type 8.
    ConsumerCurrent { group: GroupId, member: MemberId, value: Option<ConsumerCurrentValue> },
    /// The topics that a regular expression matches. Type 16.
    ConsumerRegex { group: GroupId, regex: Arc<str>, value: Option<RegexValue> },
}

impl GroupRecord {
    /// The group that it speaks of.
    #[must_use]
    pub const fn group(&self) -> &GroupId {
        match self {
            Self::Offset { group, .. }
            | Self::Classic { group, .. }
            | Self::ConsumerEpoch { group, .. }
            | Self::ConsumerTopics { group, .. }
            | Self::ConsumerMember { group, .. }
            | Self::ConsumerTargetEpoch { group, .. }
            | Self::ConsumerTarget { group, .. }
            | Self::ConsumerCurrent { group, .. }
            | Self::ConsumerRegex { group, .. } => group,
        }
    }

    /// Whether it takes something away.
    #[must_use]
    pub const fn is_tombstone(&self) -> bool {
        match self {
            Self::Offset { value, .. } => value.is_none(),
            Self::Classic { value, .. } => value.is_none(),
            Self::ConsumerEpoch { value, .. } => value.is_none(),
            Self::ConsumerTopics { present, .. } => !*present,
            Self::ConsumerMember { value, .. } => value.is_none(),
            Self::ConsumerTargetEpoch { value, .. } => value.is_none(),
            Self::ConsumerTarget { value, .. } => value.is_none(),
            Self::ConsumerCurrent { value, .. } => value.is_none(),
            Self::ConsumerRegex { value, .. } => value.is_none(),
        }
    }
}

/// A classic group as of its last rebalance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroupValue {
    /// What the members speak; empty for a group that never had any.
    pub protocol_type: Arc<str>,
    /// Counts the rebalances.
    pub generation: Epoch,
    /// What was chosen; `None` in an empty group.
    pub protocol: Option<Arc<str>>,
    /// Who assigned; `None` in an empty group.
    pub leader: Option<MemberId>,
    /// Since when the group is in its state; unknown in old records.
    pub state_since: Option<Timestamp>,
    /// The members.
    pub members: Vec<ClassicMemberValue>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberValue {
    /// The member.
    pub member: MemberId,
    /// Its static name.
    pub instance: Option<InstanceId>,
    /// Its client.
    pub client: Client,
    /// How long it may take to join a rebalance.
    pub rebalance_timeout: Duration,
    /// Silence after which it is gone.
    pub session_timeout: Duration,
    /// What it wants with the chosen protocol.
    pub subscription: Bytes,
    /// What it has.
    pub assignment: Bytes,
}

/// The epoch of a consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerEpochValue {
    /// Grows with every change of members, subscriptions or topics.
    pub epoch: Epoch,
    /// The hash of the subscribed topics; 0 in records before 4.1.
    pub metadata_hash: i64,
}

/// A member of a consumer group and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberValue {
    /// Its static name.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// Its client.
    pub client: Client,
    /// The topics that it named, in the order of the record.
    pub topics: Vec<Arc<str>>,
    /// The expression that it gave.
    pub regex: Option<Arc<str>>,
    /// How long it may take to give up partitions; `None` in old records.
    pub rebalance_timeout: Option<Duration>,
    /// The assignor that it asks for.
    pub assignor: Option<Arc<str>>,
    /// What it told with JoinGroup, if it is a classic member.
    pub classic: Option<ClassicMemberFacet>,
}

/// What a consumer group knows of a member that speaks the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberFacet {
    /// Silence after which it is gone.
    pub session_timeout: Duration,
    /// What it supports.
    pub protocols: Vec<Protocol>,
}

/// The group epoch that the target assignment was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTargetEpochValue {
    /// The epoch.
    pub epoch: Epoch,
    /// When it was made; unknown in records before 4.3.
    pub made_at: Option<Timestamp>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic.
    pub topic: TopicId,
    /// Its partitions, in the order of the record.
    pub partitions: Vec<PartitionId>,
    /// For each partition the member epoch it was given in, where the record has that (4.3).
    pub epochs: Option<Vec<i32>>,
}

/// What a member of a consumer group has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerCurrentValue {
    /// What the member was told of the group so far; -2 of a static member that left for a
    /// restart, which is stored so.
    pub epoch: i32,
    /// The epoch before it.
    pub previous_epoch: i32,
    /// Kafka's number of the state: 0 stable, 1 unrevoked partitions, 2 unreleased partitions.
    pub state: i8,
    /// What it has.
    pub assigned: Vec<TopicPartitions>,
    /// What it has yet to give up.
    pub pending_revocation: Vec<TopicPartitions>,
}

/// The topics that a regular expression matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegexValue {
    /// The topics, in the order of the record.
    pub topics: Vec<Arc<str>>,
    /// The metadata's version at that time.
    pub version: i64,
    /// When that was.
    pub timestamp: Timestamp,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBytes {
    /// A record type and its key.
    pub key: Vec<u8>,
    /// A version and its value; `None` for a tombstone.
    pub value: Option<Vec<u8>>,
}

/// Why a stored record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Its bytes are not what its type and version say.
    #[error("record type {kind}: {error}")]
    Malformed {
        /// The record's type.
        kind: i16,
        /// What is wrong.
        error: DecodeError,
    },
    /// The key is too short for a record type.
    #[error("a key without a record type")]
    NoType,
    /// A number or a name that cannot be.
    #[error("record type {kind}: {field} cannot be {value}")]
    Impossible {
        /// The record's type.
        kind: i16,
        /// Which field.
        field: &'static str,
        /// As stored.
        value: String,
    },
}

impl ReplayError {
    /// Whether the record's key names nothing that anybody could ask for: then no earlier record
    /// counts in place of this one, and a log is as good without it.
    #[must_use]
    pub const fn names_nothing(&self) -> bool {
        match self {
            Self::NoType => true,
            // Only their keys can be impossible: a topic or a partition that cannot be.
            Self::Impossible { kind, .. } => matches!(kind, 0 | 1),
            Self::Malformed { .. } => false,
        }
    }
}
