//! Consumer groups (KIP-848): the coordinator assigns.

use crate::ids::GroupId;
use crate::record::GroupRecord;

/// A group whose members say what they want, and are told what they have.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    group: GroupId,
}

impl ConsumerGroup {
    /// A group without members.
    pub(crate) fn new(group: GroupId) -> Self {
        Self { group }
    }

    /// Takes a record of this group.
    pub(crate) fn replay(&mut self, record: &GroupRecord) {
        debug_assert_eq!(record.group(), &self.group);
    }
}
