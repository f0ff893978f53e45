//! Each topic is cut into ranges, one a subscriber, in the order of the subscribers' names. The
//! members' order is the same for all topics, so topics with equally many partitions and the same
//! subscribers are cut alike, and records of one key meet in one member.

use std::collections::BTreeMap;
use std::ops::Range;

use ottla_types::TopicId;

use super::{GroupSpec, Partitions, numbers};
use crate::ids::MemberId;

pub(super) fn assign(group: &GroupSpec) -> BTreeMap<MemberId, Partitions> {
    let mut order: Vec<_> = group.members.iter().collect();
    // Static members first, by their own names: these outlive their member ids.
    order.sort_by_key(|(id, member)| (member.instance.is_none(), member.instance, **id));
    let mut subscribers: BTreeMap<TopicId, usize> = BTreeMap::new();
    for (_, member) in &order {
        for topic in member.topics.iter() {
            *subscribers.entry(*topic).or_default() += 1;
        }
    }
    let mut cuts: BTreeMap<TopicId, Cut> = subscribers
        .into_iter()
        .map(|(topic, members)| (topic, Cut::new(group.partitions[&topic], members)))
        .collect();
    let mut assigned = BTreeMap::new();
    for (id, member) in order {
        let mut partitions = Partitions::default();
        for topic in member.topics.iter() {
            let cut = cuts.get_mut(topic).expect("counted above");
            for partition in numbers(cut.take()) {
                partitions.insert(*topic, partition);
            }
        }
        assigned.insert((*id).clone(), partitions);
    }
    assigned
}

/// How far a topic is cut up.
struct Cut {
    /// What each subscriber gets at least.
    least: usize,
    /// How many subscribers get one more.
    longer: usize,
    /// Where the next range begins.
    next: usize,
}

impl Cut {
    const fn new(partitions: usize, members: usize) -> Self {
        let (least, longer) = (partitions / members, partitions % members);
        Self { least, longer, next: 0 }
    }

    /// The next range.
    const fn take(&mut self) -> Range<usize> {
        let length = if self.longer > 0 { self.least + 1 } else { self.least };
        self.longer = self.longer.saturating_sub(1);
        let start = self.next;
        self.next += length;
        start..self.next
    }
}
