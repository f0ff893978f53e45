//! A group of either protocol: what all requests can ask of one.

use ottla_types::Timestamp;

use crate::answer::{
    CommitError, DeleteOffsetsError, DescribedGroup, FetchOffsetsError, GroupKind, GroupNotFound,
    ListedGroup,
};
use crate::classic::ClassicGroup;
use crate::consumer::ConsumerGroup;
use crate::ids::GroupId;
use crate::record::GroupRecord;
use crate::request::{CommitOffsets, FetchOffsets};

/// A group of either protocol.
#[derive(Debug)]
pub(crate) enum Group {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

impl Group {
    /// No members: it may be deleted, and may follow the other protocol from now on.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// No members, and nobody about to become one.
    pub(crate) fn is_deserted(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_deserted(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether a commit may be taken.
    pub(crate) fn check_commit(&self, commit: &CommitOffsets) -> Result<(), CommitError> {
        match self {
            Self::Classic(group) => group.check_commit(commit),
            Self::Consumer(group) => group.check_commit(commit),
        }
    }

    /// Whether offsets may be told.
    pub(crate) fn check_fetch(&self, fetch: &FetchOffsets) -> Result<(), FetchOffsetsError> {
        match self {
            Self::Classic(_) => Ok(()),
            Self::Consumer(group) => group.check_fetch(fetch),
        }
    }

    /// Whether offsets of topics that it does not read may be deleted.
    pub(crate) fn check_delete_offsets(&self) -> Result<(), DeleteOffsetsError> {
        match self {
            Self::Classic(group) if group.may_delete_offsets() => Ok(()),
            Self::Classic(_) => Err(DeleteOffsetsError::NonEmptyGroup),
            Self::Consumer(_) => Ok(()),
        }
    }

    /// Whether it reads a topic.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.subscribes_to(topic),
        }
    }

    /// Since when an offset is of no use, given when it was committed; `None` while the group may
    /// need it. Offsets of topics that it reads are not asked for.
    pub(crate) fn offsets_idle_since(&self, committed_at: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Classic(group) => group.offsets_idle_since(committed_at),
            Self::Consumer(_) => Some(committed_at),
        }
    }

    /// The records that take it away.
    pub(crate) fn tombstones(&self, id: &GroupId) -> Vec<GroupRecord> {
        match self {
            Self::Classic(_) => vec![GroupRecord::Classic { group: id.clone(), value: None }],
            Self::Consumer(group) => group.tombstones(),
        }
    }

    /// DescribeGroups.
    pub(crate) fn describe(&self, id: &GroupId) -> Result<DescribedGroup, GroupNotFound> {
        match self {
            Self::Classic(group) => Ok(group.describe()),
            Self::Consumer(_) => Err(GroupNotFound::NotClassic(id.clone())),
        }
    }

    /// ListGroups.
    pub(crate) fn listed(&self, id: &GroupId) -> ListedGroup {
        let group = id.clone();
        match self {
            Self::Classic(classic) => ListedGroup {
                group,
                protocol_type: classic.protocol_type().cloned().unwrap_or_default(),
                state: classic.state().name(),
                kind: GroupKind::Classic,
            },
            Self::Consumer(consumer) => ListedGroup {
                group,
                protocol_type: crate::classic::subscription::CONSUMER.into(),
                state: consumer.state().name(),
                kind: GroupKind::Consumer,
            },
        }
    }
}
