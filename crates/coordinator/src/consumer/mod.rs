//! Consumer groups (KIP-848): the members say what they want, the coordinator assigns.
//!
//! Three epochs follow each other. The *group epoch* grows when members, subscriptions or topics
//! change. The *target assignment* is made anew for it: what each member is to have in the end. And
//! each *member's epoch* follows when the member has given up what it is not to have. A partition
//! is free once the member that had it says so, and only then the next one gets it.
//!
//! A decision changes the group by its records only: each is replayed at once, and the next step
//! of the same decision builds on it. So what a restart replays is what was decided.

mod admit;
mod answer;
mod assignor;
mod change;
mod classic_members;
mod describe;
mod group;
mod heard;
mod heartbeat;
mod member;
mod migration;
mod pace;
mod partitions;
mod protocol;
mod reconcile;
mod regex;
mod request;
mod settle;
mod target;
mod timing;
mod topic_hash;
mod xxh3;

#[cfg(test)]
mod tests;

use ottla_metadata::MetadataImage;

use crate::clock::Now;

pub use answer::{
    ConsumerHeartbeatAnswer, ConsumerHeartbeatError, DescribedConsumerGroup,
    DescribedConsumerMember, DescribedPartitions, NoConsumerGroup,
};
pub use assignor::Assignor;
pub use regex::InvalidRegex;
pub use request::{ConsumerHeartbeat, InvalidHeartbeat, MemberEpoch};
pub use timing::MigrationPolicy;

pub(crate) use group::ConsumerGroup;

/// When something happens, and what the cluster looks like then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) now: Now,
    pub(crate) image: &'a MetadataImage,
}
