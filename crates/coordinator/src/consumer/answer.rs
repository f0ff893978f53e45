//! What members of consumer groups are told.

use std::sync::Arc;
use std::time::Duration;

use ottla_types::{PartitionId, TopicId, TopicName};

use super::regex::InvalidRegex;
use super::request::{InvalidHeartbeat, MemberEpoch};
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};

/// A member is in, or out as it asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeatAnswer {
    /// The member.
    pub member: MemberId,
    /// What it comes with next time; what it came with if it leaves.
    pub epoch: MemberEpoch,
    /// How often it is to come; zero if it leaves.
    pub heartbeat_interval: Duration,
    /// All that it may read; `None` if that has not changed.
    pub assignment: Option<Vec<(TopicId, Vec<PartitionId>)>>,
}

/// Why a heartbeat is refused. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerHeartbeatError {
    /// INVALID_REQUEST.
    #[error(transparent)]
    Invalid(#[from] InvalidHeartbeat),
    /// UNSUPPORTED_ASSIGNOR.
    #[error("ServerAssignor {asked} is not supported. Supported assignors: {supported}.")]
    UnsupportedAssignor {
        /// As asked.
        asked: String,
        /// The names that there are.
        supported: String,
    },
    /// INVALID_REGULAR_EXPRESSION.
    #[error(transparent)]
    InvalidRegex(#[from] InvalidRegex),
    /// GROUP_ID_NOT_FOUND.
    #[error(transparent)]
    GroupNotFound(#[from] NoConsumerGroup),
    /// GROUP_MAX_SIZE_REACHED.
    #[error("The consumer group has reached its maximum capacity of {max} members.")]
    GroupMaxSizeReached {
        /// `group.consumer.max.size`.
        max: usize,
    },
    /// UNKNOWN_MEMBER_ID.
    #[error("Member {member} is not a member of group {group}.")]
    UnknownMember {
        /// The member.
        member: MemberId,
        /// The group.
        group: GroupId,
    },
    /// UNKNOWN_MEMBER_ID.
    #[error("Instance id {0} is unknown.")]
    UnknownInstance(InstanceId),
    /// FENCED_INSTANCE_ID.
    #[error("Static member {member} with instance id {instance} was fenced by member {by}.")]
    FencedInstance {
        /// Who asks.
        member: MemberId,
        /// The static name.
        instance: InstanceId,
        /// Who has it.
        by: MemberId,
    },
    /// UNRELEASED_INSTANCE_ID.
    #[error(
        "Static member {member} with instance id {instance} cannot join the group because the \
         instance id is owned by {by} member."
    )]
    UnreleasedInstance {
        /// Who asks.
        member: MemberId,
        /// The static name.
        instance: InstanceId,
        /// Who has it.
        by: MemberId,
    },
    /// FENCED_MEMBER_EPOCH.
    #[error(
        "The consumer group member has a greater member epoch ({received}) than the one known by \
         the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    EpochTooLarge {
        /// What the member came with.
        received: Epoch,
        /// What it was told; -2 if it left for a restart.
        known: i32,
    },
    /// FENCED_MEMBER_EPOCH.
    #[error(
        "The consumer group member has a smaller member epoch ({received}) than the one known by \
         the group coordinator ({known}). The member must abandon all its partitions and rejoin."
    )]
    EpochTooSmall {
        /// What the member came with.
        received: Epoch,
        /// What it was told.
        known: Epoch,
    },
    /// FENCED_MEMBER_EPOCH.
    #[error(
        "The consumer group member is in a unknown state. The member must abandon all its \
         partitions and rejoin."
    )]
    UnknownState,
}

/// There is no such group, and the member does not make one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoConsumerGroup {
    /// Nobody knows it.
    #[error("Consumer group {0} not found.")]
    Unknown(GroupId),
    /// It is a classic group, and the request cannot change that.
    #[error("Group {0} is not a consumer group.")]
    IsClassic(GroupId),
    /// `group.consumer.migration.policy` leaves classic groups what they are.
    #[error(
        "Cannot upgrade classic group {0} to consumer group because online upgrade is disabled."
    )]
    UpgradeDisabled(GroupId),
    /// Its members are no consumers: connectors, say.
    #[error(
        "Cannot upgrade classic group {0} to consumer group because the group does not use the \
         consumer embedded protocol."
    )]
    NoConsumerProtocol(GroupId),
    /// `group.consumer.max.size`.
    #[error(
        "Cannot upgrade classic group {0} to consumer group because the group size exceeds the \
         consumer group maximum size."
    )]
    TooLarge(GroupId),
    /// What its members told each other cannot be read.
    #[error(
        "Cannot upgrade classic group {0} to consumer group because the embedded consumer \
         protocol is malformed."
    )]
    Malformed(GroupId),
    /// An assignor of the client's own hides things in the assignment, which would be lost.
    #[error(
        "Cannot upgrade classic group {0} to consumer group because an unsupported custom \
         assignor is in use. Please refer to the documentation or switch to a default assignor \
         before re-attempting the upgrade."
    )]
    CustomAssignor(GroupId),
}

/// A consumer group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// Kafka's word: `Stable`, `Empty`, ...
    pub state: &'static str,
    /// Its epoch.
    pub epoch: Epoch,
    /// The epoch of its target assignment.
    pub assignment_epoch: Epoch,
    /// Who assigns: `uniform` or `range`.
    pub assignor: &'static str,
    /// The members, by name.
    pub members: Vec<DescribedConsumerMember>,
}

/// Partitions of a topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedPartitions {
    /// The topic.
    pub id: TopicId,
    /// Its name.
    pub name: TopicName,
    /// The partitions.
    pub partitions: Vec<PartitionId>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerMember {
    /// The member.
    pub member: MemberId,
    /// Its static name.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// What it was told last; [`MemberEpoch::LeavingForRestart`] if it left for a restart.
    pub epoch: MemberEpoch,
    /// The id of its client.
    pub client_id: Arc<str>,
    /// Its address.
    pub client_host: Arc<str>,
    /// The topics that it names, in order.
    pub topics: Vec<Arc<str>>,
    /// The expression that it gives; empty for none, as Kafka says it.
    pub regex: Option<Arc<str>>,
    /// What it has, and what it has yet to give up.
    pub assignment: Vec<DescribedPartitions>,
    /// What it is to have.
    pub target: Vec<DescribedPartitions>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}
