//! What clients ask of groups, in the words of the domain.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicName, Uuid};

use crate::consumer::ConsumerHeartbeat;
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};

/// A request that one shard can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRequest {
    /// JoinGroup.
    Join(JoinGroup),
    /// SyncGroup.
    Sync(SyncGroup),
    /// Heartbeat of a classic member.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch, one group of it.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// DescribeGroups: those of its groups that this shard has.
    Describe(Vec<GroupId>),
    /// ListGroups: asked of every shard.
    List(Arc<ListGroups>),
    /// What is told of all groups to whoever watches the node; no request of Kafka's.
    Survey {
        /// How many offsets there is room for.
        offsets_max: usize,
    },
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// ConsumerGroupDescribe: those of its groups that this shard has.
    ConsumerDescribe(Vec<GroupId>),
    /// DeleteGroups: those of its groups that this shard has.
    Delete(Vec<GroupId>),
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// As in the request's header; empty if it had none.
    pub id: Arc<str>,
    /// Its address, as `/127.0.0.1`.
    pub host: Arc<str>,
}

/// A way to assign that a member supports, and what it wants then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// The assignor's name.
    pub name: Arc<str>,
    /// What the leader is told of the member: opaque.
    pub metadata: Bytes,
}

/// A member enters, or says so again in a rebalance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group.
    pub group: GroupId,
    /// `None` for a newcomer.
    pub member: Option<MemberId>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
    /// Who asks.
    pub client: Client,
    /// Silence after which the member is gone.
    pub session_timeout: Duration,
    /// How long the member may take to join a rebalance; the session timeout in version 0.
    pub rebalance_timeout: Duration,
    /// What the members speak among themselves: `consumer`, `connect`, `sr`.
    pub protocol_type: Arc<str>,
    /// What the member supports, best first.
    pub protocols: Vec<Protocol>,
    /// Why, in the client's words.
    pub reason: Option<String>,
    /// The client knows that a newcomer without a static name is given its id first (KIP-394):
    /// version 4 and later.
    pub takes_member_id_first: bool,
    /// The client knows that a leader may have to leave the assignment as it is (KIP-814): version
    /// 9 and later.
    pub knows_skip_assignment: bool,
    /// 16 random bytes that the host drew: a newcomer's id is made of them.
    pub drawn: Uuid,
}

/// The leader hands over what each member gets, the others ask for theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group: GroupId,
    /// The generation that the member joined.
    pub generation: Option<Epoch>,
    /// The member.
    pub member: Option<MemberId>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
    /// What the members speak, if the client says so.
    pub protocol_type: Option<Arc<str>>,
    /// What they chose, if the client says so.
    pub protocol_name: Option<Arc<str>>,
    /// What each member gets; empty unless it is the leader who asks.
    pub assignments: Vec<MemberAssignment>,
}

/// What one member gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAssignment {
    /// The member.
    pub member: MemberId,
    /// Opaque.
    pub assignment: Bytes,
}

/// A classic member is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group: GroupId,
    /// The generation that the member is in.
    pub generation: Option<Epoch>,
    /// The member.
    pub member: Option<MemberId>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
}

/// Members leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupId,
    /// Who; one before version 3.
    pub members: Vec<Leaver>,
}

/// A member that leaves, or that an operator removes by its static name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    /// The member.
    pub member: Option<MemberId>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
    /// Why, in the client's words.
    pub reason: Option<String>,
}

/// How far a group has read. The host has refused what names no topic or partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group; may be the empty name.
    pub group: GroupId,
    /// The generation or the member's epoch; `None` outside of a group.
    pub epoch: Option<Epoch>,
    /// The member; `None` outside of a group.
    pub member: Option<MemberId>,
    /// The name of a static member.
    pub instance: Option<InstanceId>,
    /// How long the offsets are kept; `None` for what the node is set to. Versions 2 to 4.
    pub retention: Option<Duration>,
    /// What was read.
    pub topics: Vec<CommitTopic>,
}

/// The offsets of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// The topic.
    pub name: TopicName,
    /// Its identity, where the request or the metadata told it.
    pub id: Option<TopicId>,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// The offset of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// The partition.
    pub partition: PartitionId,
    /// The next offset to read; `None` if the client sent a negative number, which Kafka takes.
    pub offset: Option<Offset>,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own words; empty for null.
    pub metadata: Arc<str>,
}

/// Asks how far a group has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group.
    pub group: GroupId,
    /// The member, if one asks.
    pub member: Option<MemberId>,
    /// The member's epoch, if one asks.
    pub epoch: Option<Epoch>,
    /// `None` for all that there is.
    pub topics: Option<Vec<NamedPartitions>>,
    /// Offsets that an open transaction may change are refused instead of told (KIP-447).
    pub require_stable: bool,
}

/// Partitions of a topic that need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPartitions {
    /// The topic's name as sent.
    pub name: Arc<str>,
    /// The partitions' numbers as sent.
    pub partitions: Vec<i32>,
}

/// Deletes offsets of topics that the group does not subscribe to (KIP-496).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupId,
    /// Whose offsets.
    pub topics: Vec<NamedPartitions>,
}

/// Which groups are asked for; an empty filter lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListGroups {
    /// States as sent; compared without case.
    pub states: Vec<String>,
    /// Types as sent; compared without case.
    pub kinds: Vec<String>,
}
