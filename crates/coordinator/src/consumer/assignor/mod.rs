//! Who gets which partition: pure arithmetic over a snapshot of the group.

mod mixed;
mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use ottla_types::{PartitionId, TopicId};

use super::partitions::Partitions;
use crate::ids::{InstanceId, MemberId};

/// The ways to assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// As even as can be, and as little moved as can be.
    Uniform,
    /// Neighbouring partitions of each topic, the same numbers of each topic for one member.
    Range,
}

impl Assignor {
    /// All of them; the first is taken where no member asks for one.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// What each member of the group is to have. Every partition of a topic that somebody
    /// subscribes to gets exactly one member, which subscribes to it.
    pub(crate) fn assign(self, group: &GroupSpec) -> BTreeMap<MemberId, Partitions> {
        let assigned = match self {
            _ if group.members.is_empty() => BTreeMap::new(),
            Self::Range => range::assign(group),
            Self::Uniform if group.subscribes_alike() => uniform::assign(group),
            Self::Uniform => mixed::assign(group),
        };
        debug_assert_eq!(assigned.len(), group.members.len(), "each member is answered for");
        assigned
    }
}

/// A member as an assignor sees it.
#[derive(Clone, Debug)]
pub(crate) struct MemberSpec<'a> {
    /// The name of a static member, by which it keeps its place.
    pub(crate) instance: Option<&'a InstanceId>,
    /// The existing topics that it subscribes to; members with one subscription share it.
    pub(crate) topics: Rc<BTreeSet<TopicId>>,
    /// What it was to have so far.
    pub(crate) target: &'a Partitions,
}

/// A group as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupSpec<'a> {
    /// The members.
    pub(crate) members: BTreeMap<&'a MemberId, MemberSpec<'a>>,
    /// How many partitions each subscribed topic has.
    pub(crate) partitions: BTreeMap<TopicId, usize>,
}

impl GroupSpec<'_> {
    /// Whether all members subscribe to the same topics.
    fn subscribes_alike(&self) -> bool {
        let mut all = self.members.values().map(|member| &member.topics);
        let Some(first) = all.next() else { return true };
        all.all(|topics| Rc::ptr_eq(topics, first) || topics == first)
    }

    fn exists(&self, topic: TopicId, partition: PartitionId) -> bool {
        let count = self.partitions.get(&topic).copied().unwrap_or(0);
        usize::try_from(partition.get()).is_ok_and(|number| number < count)
    }
}

/// Partitions by their numbers.
fn numbers(range: Range<usize>) -> impl Iterator<Item = PartitionId> {
    range.map(|number| {
        PartitionId::new(i32::try_from(number).expect("a topic has fewer than 2^31 partitions"))
    })
}
