//! How far groups have read.

mod expiry;
mod requests;
mod store;

use std::sync::Arc;

use ottla_types::{LeaderEpoch, Offset, Timestamp, TopicId};

pub(crate) use store::Offsets;

/// How far a group has read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read; `None` if a client committed a negative number.
    pub offset: Option<Offset>,
    /// The epoch of the last record that was read.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The client's own words.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it goes, whatever its group does; only clients before 2.1 say so.
    pub expires_at: Option<Timestamp>,
    /// Which topic of that name, if the record says so.
    pub topic_id: Option<TopicId>,
}
