//! Groups of kinds that are not served here: Apache Kafka's share and streams groups, and whatever
//! comes after them. Their members may be back one day, with a coordinator that knows them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_wire::{Layout, Reader};

use crate::ids::GroupId;

/// How keys are spelled.
const KEY: Layout = Layout { version: 0, flexible: false };

/// Who has records that are not read. Bounded by the log that it is a replay of.
#[derive(Debug, Default)]
pub(crate) struct ForeignGroups {
    /// The keys of a group that have a value; no set is empty.
    keys: BTreeMap<GroupId, BTreeSet<Box<[u8]>>>,
}

impl ForeignGroups {
    /// Takes a record of a type that is not known. All keys that Kafka has begin with the group.
    pub(crate) fn replay(&mut self, key: &[u8], has_value: bool) {
        let Some(group) = group_of(key) else { return };
        if has_value {
            self.keys.entry(group).or_default().insert(key.into());
        } else if let Some(keys) = self.keys.get_mut(&group) {
            keys.remove(key);
            if keys.is_empty() {
                self.keys.remove(&group);
            }
        }
    }

    /// The name is another group's from now on.
    pub(crate) fn remove(&mut self, group: &GroupId) {
        self.keys.remove(group);
    }

    /// Whether there is such a group.
    pub(crate) fn contains(&self, group: &GroupId) -> bool {
        self.keys.contains_key(group)
    }
}

fn group_of(key: &[u8]) -> Option<GroupId> {
    let mut reader = Reader::new(key);
    reader.i16().ok()?;
    let group = reader.string(KEY).ok()?;
    Some(GroupId::new(&group))
}
