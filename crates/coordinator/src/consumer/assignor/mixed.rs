//! Members subscribe to different topics. Everybody keeps what it has and may have; what is left
//! goes to whoever has least; then partitions move from those with most to those with least, topic
//! after topic, until nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionId, TopicId};

use super::{GroupSpec, Partitions, numbers};
use crate::ids::MemberId;

/// Rounds over all topics. Where subscriptions overlap without being equal each round about halves
/// what is uneven; where they do not, the first round does all.
const ROUNDS_MAX: usize = 16;

pub(super) fn assign(group: &GroupSpec) -> BTreeMap<MemberId, Partitions> {
    let mut balance = Balance::new(group);
    balance.keep(group);
    balance.fill();
    balance.level();
    let ids = group.members.keys().map(|id| (*id).clone());
    ids.zip(balance.assigned).collect()
}

/// A member's place among the members.
type Place = usize;

struct Topic {
    id: TopicId,
    subscribers: Vec<Place>,
    /// Who has each partition.
    owners: Vec<Option<Place>>,
}

struct Balance {
    topics: Vec<Topic>,
    /// What each member has, and how much that is.
    assigned: Vec<Partitions>,
    loads: Vec<usize>,
}

impl Balance {
    fn new(group: &GroupSpec) -> Self {
        let mut subscribers: BTreeMap<TopicId, Vec<Place>> = BTreeMap::new();
        for (place, member) in group.members.values().enumerate() {
            for topic in member.topics.iter() {
                subscribers.entry(*topic).or_default().push(place);
            }
        }
        let topic = |(id, subscribers)| {
            let owners = vec![None; group.partitions[&id]];
            Topic { id, subscribers, owners }
        };
        let mut topics: Vec<Topic> = subscribers.into_iter().map(topic).collect();
        // Topics with the most partitions a subscriber first: where they go leaves least choice.
        topics.sort_by(|a, b| {
            let per_subscriber = |x: &Topic, y: &Topic| x.owners.len() * y.subscribers.len();
            per_subscriber(b, a)
                .cmp(&per_subscriber(a, b))
                .then(a.subscribers.len().cmp(&b.subscribers.len()))
                .then(a.id.cmp(&b.id))
        });
        let members = group.members.len();
        Self { topics, assigned: vec![Partitions::default(); members], loads: vec![0; members] }
    }

    fn keep(&mut self, group: &GroupSpec) {
        let numbered = self.topics.iter().enumerate();
        let at: BTreeMap<TopicId, usize> = numbered.map(|(at, topic)| (topic.id, at)).collect();
        for (place, member) in group.members.values().enumerate() {
            for (topic, partition) in member.target.iter() {
                if !member.topics.contains(&topic) || !group.exists(topic, partition) {
                    continue;
                }
                // What an odd log gave to two members stays with the first.
                if self.owner(at[&topic], partition).is_none() {
                    self.give(at[&topic], partition, place);
                }
            }
        }
    }

    fn fill(&mut self) {
        for at in 0..self.topics.len() {
            let mut by_load = self.by_load(at);
            for partition in numbers(0..self.topics[at].owners.len()) {
                if self.owner(at, partition).is_some() {
                    continue;
                }
                let (load, place) = by_load.pop_first().expect("a topic here has a subscriber");
                self.give(at, partition, place);
                by_load.insert((load + 1, place));
            }
        }
    }

    fn level(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let moved: usize = (0..self.topics.len()).map(|at| self.level_topic(at)).sum();
            if moved == 0 {
                return;
            }
        }
    }

    /// Moves partitions of one topic; says how many.
    fn level_topic(&mut self, at: usize) -> usize {
        let mut by_load = self.by_load(at);
        let mut having: BTreeMap<Place, Vec<PartitionId>> = BTreeMap::new();
        let owners = &self.topics[at].owners;
        for (partition, owner) in numbers(0..owners.len()).zip(owners) {
            having.entry(owner.expect("filled before")).or_default().push(partition);
        }
        let mut givers: BTreeSet<(usize, Place)> =
            having.keys().map(|place| (self.loads[*place], *place)).collect();
        let mut moved = 0;
        while let (Some((most, from)), Some((least, to))) = (givers.pop_last(), by_load.first()) {
            let (least, to) = (*least, *to);
            if most <= least + 1 {
                break;
            }
            let partition = having.get_mut(&from).and_then(Vec::pop).expect("a giver has one");
            self.take(at, partition, from);
            self.give(at, partition, to);
            by_load.remove(&(most, from));
            by_load.remove(&(least, to));
            by_load.extend([(most - 1, from), (least + 1, to)]);
            if !having[&from].is_empty() {
                givers.insert((most - 1, from));
            }
            // The receiver's level has risen: if it could give, it is found at its new place.
            if givers.remove(&(least, to)) {
                givers.insert((least + 1, to));
            }
            moved += 1;
        }
        moved
    }

    fn by_load(&self, at: usize) -> BTreeSet<(usize, Place)> {
        self.topics[at].subscribers.iter().map(|place| (self.loads[*place], *place)).collect()
    }

    fn owner(&self, at: usize, partition: PartitionId) -> Option<Place> {
        self.topics[at].owners[index(partition)]
    }

    fn give(&mut self, at: usize, partition: PartitionId, to: Place) {
        let topic = &mut self.topics[at];
        topic.owners[index(partition)] = Some(to);
        self.loads[to] += 1;
        assert!(self.assigned[to].insert(topic.id, partition), "nobody has it");
    }

    fn take(&mut self, at: usize, partition: PartitionId, from: Place) {
        self.loads[from] -= 1;
        assert!(self.assigned[from].remove(self.topics[at].id, partition), "its owner has it");
    }
}

fn index(partition: PartitionId) -> usize {
    usize::try_from(partition.get()).expect("partition numbers are not negative")
}
