//! Consumer groups (KIP-848): the coordinator assigns.

use crate::answer::{CommitError, FetchOffsetsError};
use crate::ids::GroupId;
use crate::record::GroupRecord;
use crate::request::{CommitOffsets, FetchOffsets};

/// A group whose members say what they want, and are told what they have. Until this coordinator
/// serves the protocol, such a group is one that another coordinator left: its offsets are told,
/// and its members have to find each other anew.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    group: GroupId,
}

impl ConsumerGroup {
    /// A group without members.
    pub(crate) const fn new(group: GroupId) -> Self {
        Self { group }
    }

    /// Takes a record of this group.
    pub(crate) fn replay(&mut self, record: &GroupRecord) {
        assert_eq!(record.group(), &self.group, "a record goes to its own group");
    }

    pub(crate) const fn is_empty(&self) -> bool {
        true
    }

    pub(crate) const fn check_commit(&self, commit: &CommitOffsets) -> Result<(), CommitError> {
        match commit.epoch {
            None => Ok(()),
            Some(_) => Err(CommitError::UnknownMember),
        }
    }

    pub(crate) const fn check_fetch(&self, fetch: &FetchOffsets) -> Result<(), FetchOffsetsError> {
        match (&fetch.member, fetch.epoch) {
            (None, None) => Ok(()),
            (Some(_), _) | (None, Some(_)) => Err(FetchOffsetsError::UnknownMember),
        }
    }

    pub(crate) const fn is_subscribed_to(&self, _topic: &str) -> bool {
        false
    }

    pub(crate) const fn state_name(&self) -> &'static str {
        "Empty"
    }

    pub(crate) fn tombstones(&self) -> Vec<GroupRecord> {
        let group = self.group.clone();
        vec![
            GroupRecord::ConsumerTargetEpoch { group: group.clone(), value: None },
            GroupRecord::ConsumerTopics { group: group.clone() },
            GroupRecord::ConsumerEpoch { group, value: None },
        ]
    }
}
