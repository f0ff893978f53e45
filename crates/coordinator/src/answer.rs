//! What groups answer, and why they refuse.

use std::sync::Arc;

use bytes::Bytes;
use ottla_types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicName};

use crate::consumer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError, DescribedConsumerGroup};
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::survey::Surveyed;

/// The answer to a [`GroupRequest`](crate::GroupRequest): the variant of the same name, always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupAnswer {
    /// JoinGroup; comes when the rebalance is over.
    Join(Result<JoinAnswer, JoinRefused>),
    /// SyncGroup; comes when the leader has assigned.
    Sync(Result<SyncAnswer, SyncError>),
    /// Heartbeat of a classic member.
    Heartbeat(Result<(), HeartbeatError>),
    /// LeaveGroup, a result for each member that was named.
    Leave(Result<Vec<LeftMember>, InvalidGroupId>),
    /// OffsetCommit.
    CommitOffsets(Result<CommitAnswer, CommitError>),
    /// OffsetFetch.
    FetchOffsets(Result<Vec<FetchedTopic>, FetchOffsetsError>),
    /// OffsetDelete.
    DeleteOffsets(Result<Vec<DeletedOffsets>, DeleteOffsetsError>),
    /// DescribeGroups, in the order of the request.
    Describe(Vec<(GroupId, Result<DescribedGroup, GroupNotFound>)>),
    /// ListGroups.
    List(Vec<ListedGroup>),
    /// Whoever watches the node asked.
    Survey(Surveyed),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError>),
    /// ConsumerGroupDescribe, in the order of the request.
    ConsumerDescribe(Vec<(GroupId, Result<DescribedConsumerGroup, GroupNotFound>)>),
    /// DeleteGroups, in the order of the request.
    Delete(Vec<(GroupId, Result<(), DeleteGroupError>)>),
}

/// The group's name is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The group id is empty.")]
pub struct InvalidGroupId;

/// No such group, or one of another kind; the words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupNotFound {
    /// Nobody knows it.
    #[error("Group {0} not found.")]
    Unknown(GroupId),
    /// It is a consumer group.
    #[error("Group {0} is not a classic group.")]
    NotClassic(GroupId),
    /// It is a classic group.
    #[error("Group {0} is not a consumer group.")]
    NotConsumer(GroupId),
}

/// A generation was joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinAnswer {
    /// The member that joined.
    pub member: MemberId,
    /// Which generation.
    pub generation: Epoch,
    /// What the members speak; `None` if that is not known.
    pub protocol_type: Option<Arc<str>>,
    /// What was chosen; `None` if that is not known.
    pub protocol_name: Option<Arc<str>>,
    /// Who assigns; `None` in a group without members.
    pub leader: Option<MemberId>,
    /// The leader is to leave the assignment as it is (KIP-814).
    pub skip_assignment: bool,
    /// For the leader: everybody, and what they want.
    pub members: Vec<JoinedMember>,
}

/// What the leader is told of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// The member.
    pub member: MemberId,
    /// Its static name.
    pub instance: Option<InstanceId>,
    /// What it wants with the chosen protocol.
    pub metadata: Bytes,
}

/// A member did not get in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// The id that goes into the answer: the one asked with, or the one to ask with next.
    pub member: Option<MemberId>,
    /// Why.
    pub why: JoinError,
}

/// Why a member did not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("the session timeout is not within the allowed bounds")]
    InvalidSessionTimeout,
    #[error("the group speaks another protocol type, or no protocol that all members support")]
    InconsistentGroupProtocol,
    #[error("the group has as many members as it may have")]
    GroupMaxSizeReached,
    #[error("a newcomer has to ask again with the id that it was given")]
    MemberIdRequired,
    #[error("not a member")]
    UnknownMember,
    #[error("another member has the static name")]
    FencedInstance,
    #[error("the rebalance went on without the member, which should ask again")]
    RebalanceInProgress,
    #[error("the group is gone")]
    CoordinatorNotAvailable,
}

/// What a member gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncAnswer {
    /// What the members speak.
    pub protocol_type: Option<Arc<str>>,
    /// What was chosen.
    pub protocol_name: Option<Arc<str>>,
    /// Opaque.
    pub assignment: Bytes,
}

/// Why a member gets no assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("not a member")]
    UnknownMember,
    #[error("another member has the static name")]
    FencedInstance,
    #[error("the group is in another generation")]
    IllegalGeneration,
    #[error("the group speaks another protocol")]
    InconsistentGroupProtocol,
    #[error("the group rebalances: the member should join again")]
    RebalanceInProgress,
    /// UNKNOWN_SERVER_ERROR, as Kafka says where the group's record is too large.
    #[error("the assignment is larger than the group's record may be")]
    AssignmentTooLarge,
}

/// Why a member cannot just go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("not a member")]
    UnknownMember,
    #[error("another member has the static name")]
    FencedInstance,
    #[error("the group is in another generation")]
    IllegalGeneration,
    #[error("the group rebalances: the member should join again")]
    RebalanceInProgress,
}

/// A member that was asked to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftMember {
    /// As asked.
    pub member: Option<MemberId>,
    /// As asked.
    pub instance: Option<InstanceId>,
    /// Whether it left.
    pub result: Result<(), LeaveError>,
}

/// Why a member did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaveError {
    #[error("not a member")]
    UnknownMember,
    #[error("another member has the static name")]
    FencedInstance,
}

/// Which offsets were taken, in the order of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitAnswer {
    /// The topics.
    pub topics: Vec<CommittedTopic>,
}

/// The partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedTopic {
    /// The topic.
    pub name: TopicName,
    /// Its identity, as asked.
    pub id: Option<TopicId>,
    /// What became of each partition.
    pub partitions: Vec<(PartitionId, Result<(), CommitPartitionError>)>,
}

/// Why one offset was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitPartitionError {
    #[error("the metadata is longer than allowed")]
    MetadataTooLarge,
}

/// Why no offset was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// ILLEGAL_GENERATION before version 9 of OffsetCommit, GROUP_ID_NOT_FOUND since.
    #[error("no such group")]
    GroupNotFound,
    #[error("not a member")]
    UnknownMember,
    #[error("another member has the static name")]
    FencedInstance,
    #[error("the group is in another generation")]
    IllegalGeneration,
    #[error("the group rebalances")]
    RebalanceInProgress,
    /// UNSUPPORTED_VERSION before version 9 of OffsetCommit.
    #[error("the member is in another epoch")]
    StaleMemberEpoch,
}

/// The offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// The topic.
    pub name: Arc<str>,
    /// Each partition with what is known.
    pub partitions: Vec<(i32, FetchedOffset)>,
}

/// How far the group has read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedOffset {
    /// Nothing is known.
    Unknown,
    /// An open transaction may change it: UNSTABLE_OFFSET_COMMIT.
    Unstable,
    /// The last committed one.
    Committed {
        /// The next offset to read; `None` if a negative number was committed.
        offset: Option<Offset>,
        /// The epoch of the last record that was read.
        leader_epoch: Option<LeaderEpoch>,
        /// The client's own words.
        metadata: Arc<str>,
    },
}

/// Why no offset is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchOffsetsError {
    #[error("not a member")]
    UnknownMember,
    #[error("the classic member is in another generation")]
    IllegalGeneration,
    #[error("the member is in another epoch")]
    StaleMemberEpoch,
}

/// The partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedOffsets {
    /// The topic.
    pub name: Arc<str>,
    /// What became of each partition.
    pub partitions: Vec<(i32, Result<(), DeletePartitionError>)>,
}

/// Why one offset is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeletePartitionError {
    #[error("the group subscribes to the topic")]
    GroupSubscribedToTopic,
}

/// Why all offsets are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteOffsetsError {
    #[error("the group id is empty")]
    InvalidGroupId,
    #[error("no such group")]
    GroupNotFound,
    #[error("the group has members of a protocol that tells nothing of its topics")]
    NonEmptyGroup,
}

/// A classic group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Kafka's word: `Stable`, `Empty`, ...
    pub state: &'static str,
    /// What the members speak; empty for consumers without a group.
    pub protocol_type: Arc<str>,
    /// What was chosen; empty unless the group is stable.
    pub protocol: Arc<str>,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// A member of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// The member.
    pub member: MemberId,
    /// Its static name.
    pub instance: Option<InstanceId>,
    /// The id of its client.
    pub client_id: Arc<str>,
    /// Its address.
    pub client_host: Arc<str>,
    /// What it wants; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it has; empty unless the group is stable.
    pub assignment: Bytes,
}

/// Which protocol a group follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// JoinGroup and SyncGroup.
    Classic,
    /// KIP-848.
    Consumer,
}

impl GroupKind {
    /// Kafka's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group: GroupId,
    /// What the members speak; empty for consumers without a group.
    pub protocol_type: Arc<str>,
    /// Kafka's word.
    pub state: &'static str,
    /// Which protocol it follows.
    pub kind: GroupKind,
}

/// Why a group is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteGroupError {
    #[error("no such group")]
    GroupNotFound,
    #[error("the group has members")]
    NonEmptyGroup,
}
