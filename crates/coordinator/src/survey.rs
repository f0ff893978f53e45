//! All groups of a shard at once, for whoever watches them.

use ottla_types::{Offset, PartitionId, TopicName};

use crate::answer::{GroupKind, ListedGroup};
use crate::group::Group;
use crate::ids::GroupId;
use crate::shard::GroupShard;

/// The groups of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// By name.
    pub groups: Vec<SurveyedGroup>,
    /// Committed offsets that are not told, for want of room.
    pub offsets_left_out: u64,
}

/// A group, and how far it has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedGroup {
    /// The group.
    pub group: GroupId,
    /// Kafka's word.
    pub state: &'static str,
    /// Which protocol it follows.
    pub kind: GroupKind,
    /// How many members it has.
    pub members: usize,
    /// By topic and partition; negative numbers, which clients may commit, are no offsets.
    pub offsets: Vec<SurveyedOffset>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedOffset {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// The next offset to read.
    pub offset: Offset,
}

impl GroupShard {
    /// Every group, with at most `offsets_max` offsets in all.
    pub(crate) fn survey(&self, offsets_max: usize) -> Surveyed {
        let mut surveyed = Surveyed::default();
        let mut room = offsets_max;
        for (id, group) in &self.groups {
            let committed =
                self.offsets.of_group(id).filter_map(|(topic, partition, committed)| {
                    let offset = committed.offset?;
                    Some(SurveyedOffset { topic: topic.clone(), partition, offset })
                });
            let mut committed = committed.fuse();
            let offsets: Vec<_> = committed.by_ref().take(room).collect();
            surveyed.offsets_left_out += committed.count() as u64;
            room -= offsets.len();
            let ListedGroup { group: name, state, kind, .. } = group.listed(id);
            let members = group.members();
            surveyed.groups.push(SurveyedGroup { group: name, state, kind, members, offsets });
        }
        surveyed
    }
}

impl Group {
    /// How many members it has.
    fn members(&self) -> usize {
        match self {
            Self::Classic(group) => group.members().len(),
            Self::Consumer(group) => group.members().len(),
        }
    }
}
