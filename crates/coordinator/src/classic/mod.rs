//! Classic groups: the members join, one of them assigns.

use crate::ids::GroupId;
use crate::record::ClassicGroupValue;

/// A group whose members choose a leader's assignment.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) group: GroupId,
    pub(crate) value: Option<ClassicGroupValue>,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) const fn new(group: GroupId) -> Self {
        Self { group, value: None }
    }

    /// A group as of its last rebalance.
    pub(crate) const fn loaded(group: GroupId, value: ClassicGroupValue) -> Self {
        Self { group, value: Some(value) }
    }
}
