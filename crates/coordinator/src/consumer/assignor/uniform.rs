//! All members subscribe to the same topics: each gets its share of the partitions, and keeps what
//! it has as far as its share goes. Three steps, each linear in the number of partitions.

use std::collections::BTreeMap;

use super::{GroupSpec, Partitions, numbers};
use crate::ids::MemberId;

pub(super) fn assign(group: &GroupSpec) -> BTreeMap<MemberId, Partitions> {
    let topics = &group.members.values().next().expect("not empty").topics;
    let total: usize = topics.iter().map(|topic| group.partitions[topic]).sum();
    let mut shares = Shares::new(total, group.members.len());
    let mut assigned: BTreeMap<MemberId, Partitions> = BTreeMap::new();
    let mut taken = Partitions::default();
    let mut given_up = Vec::new();
    let mut unfilled = Vec::new();
    for (id, member) in &group.members {
        let mut kept = Partitions::default();
        let mut share = shares.most();
        for (topic, partition) in member.target.iter() {
            if !topics.contains(&topic) || !group.exists(topic, partition) {
                continue;
            }
            // What an odd log gave to two members stays with the first.
            if !taken.insert(topic, partition) {
                continue;
            }
            if share == 0 {
                given_up.push((topic, partition));
                continue;
            }
            share -= 1;
            kept.insert(topic, partition);
        }
        let missing = shares.settle(share);
        if missing > 0 {
            unfilled.push(((*id).clone(), missing));
        }
        assigned.insert((*id).clone(), kept);
    }
    let mut free = topics
        .iter()
        .flat_map(|topic| numbers(0..group.partitions[topic]).map(|partition| (*topic, partition)))
        .filter(|(topic, partition)| !taken.contains(*topic, *partition))
        .chain(given_up);
    for (id, missing) in unfilled {
        let partitions = assigned.get_mut(&id).expect("inserted above");
        for (topic, partition) in free.by_ref().take(missing) {
            partitions.insert(topic, partition);
        }
    }
    assert!(free.next().is_none(), "shares add up to all partitions");
    assigned
}

/// How large the shares are, while members are asked one after the other.
struct Shares {
    /// Everybody's.
    least: usize,
    /// How many members may still have one more.
    larger: usize,
    /// How many members are still to be asked.
    members: usize,
}

impl Shares {
    const fn new(partitions: usize, members: usize) -> Self {
        Self { least: partitions / members, larger: partitions % members, members }
    }

    /// The largest share that the next member may have.
    const fn most(&self) -> usize {
        if self.larger > 0 { self.least + 1 } else { self.least }
    }

    /// The next member keeps all but `room` of its largest share. Gives what it lacks: where it
    /// can do without the extra partition, it leaves that to a member that may have it already.
    const fn settle(&mut self, room: usize) -> usize {
        let may_have_extra = self.larger > 0;
        let gives_up_extra = may_have_extra && room > 0 && self.members > self.larger;
        if may_have_extra && !gives_up_extra {
            self.larger -= 1;
        }
        self.members -= 1;
        if gives_up_extra { room - 1 } else { room }
    }
}
