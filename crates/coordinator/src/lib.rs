//! Groups as machines over a log.
//!
//! Who is a member, who reads what, and how far everybody has read. A [`GroupShard`] is what one
//! partition of `__consumer_offsets` knows. It decides a [`GroupRequest`] over what it knows, and
//! gives records and answers; its host appends the records and sends the answers once they are
//! committed. After a restart the records are replayed, and the shard knows the same again.

mod answer;
mod classic;
mod clock;
mod consumer;
mod desk;
mod foreign;
mod group;
mod ids;
mod late;
mod offsets;
mod record;
mod request;
mod settings;
mod shard;
mod step;
mod survey;
mod timers;

pub use answer::{
    CommitAnswer, CommitError, CommitPartitionError, CommittedTopic, DeleteGroupError,
    DeleteOffsetsError, DeletePartitionError, DeletedOffsets, DescribedGroup, DescribedMember,
    FetchOffsetsError, FetchedOffset, FetchedTopic, GroupAnswer, GroupKind, GroupNotFound,
    HeartbeatError, InvalidGroupId, JoinAnswer, JoinError, JoinRefused, JoinedMember, LeaveError,
    LeftMember, ListedGroup, SyncAnswer, SyncError,
};
pub use clock::Now;
pub use consumer::{
    Assignor, ConsumerHeartbeat, ConsumerHeartbeatAnswer, ConsumerHeartbeatError,
    DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions, InvalidHeartbeat,
    InvalidRegex, MemberEpoch, MigrationPolicy, NoConsumerGroup,
};
pub use ids::{Epoch, GroupId, InstanceId, MemberId};
pub use late::Asker;
pub use offsets::CommittedOffset;
pub use record::{
    ClassicGroupValue, ClassicMemberFacet, ClassicMemberValue, ConsumerCurrentValue,
    ConsumerEpochValue, ConsumerMemberValue, ConsumerTargetEpochValue, GroupRecord, RecordBytes,
    RegexValue, ReplayError, TopicPartitions,
};
pub use request::{
    Client, CommitOffsets, CommitPartition, CommitTopic, DeleteOffsets, FetchOffsets, GroupRequest,
    Heartbeat, JoinGroup, LeaveGroup, Leaver, ListGroups, MemberAssignment, NamedPartitions,
    Protocol, SyncGroup,
};
pub use settings::GroupSettings;
pub use shard::{Effects, GroupShard, Ticket, TopicChanges};
pub use survey::{Surveyed, SurveyedGroup, SurveyedOffset};
