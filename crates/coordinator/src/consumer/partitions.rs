//! Sets of partitions, by topic.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionId, TopicId};

use crate::ids::Epoch;
use crate::record::TopicPartitions;

/// Partitions by topic; a topic that is there has at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partitions(BTreeMap<TopicId, BTreeSet<PartitionId>>);

impl Partitions {
    /// Adds one; whether it was not there yet.
    pub(crate) fn insert(&mut self, topic: TopicId, partition: PartitionId) -> bool {
        self.0.entry(topic).or_default().insert(partition)
    }

    /// Takes one away; whether it was there.
    pub(crate) fn remove(&mut self, topic: TopicId, partition: PartitionId) -> bool {
        let Some(partitions) = self.0.get_mut(&topic) else { return false };
        let was_there = partitions.remove(&partition);
        if partitions.is_empty() {
            self.0.remove(&topic);
        }
        was_there
    }

    /// Whether it is there.
    pub(crate) fn contains(&self, topic: TopicId, partition: PartitionId) -> bool {
        self.0.get(&topic).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each partition, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionId)> {
        self.0.iter().flat_map(|(topic, all)| all.iter().map(|partition| (*topic, *partition)))
    }

    /// Each topic with its partitions, in order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicId, &BTreeSet<PartitionId>)> {
        self.0.iter().map(|(topic, all)| (*topic, all))
    }

    /// As a record holds them; a number that a record has twice counts once.
    pub(crate) fn from_record(topics: &[TopicPartitions]) -> Self {
        topics
            .iter()
            .flat_map(|of| of.partitions.iter().map(|partition| (of.topic, *partition)))
            .collect()
    }

    /// For a record.
    pub(crate) fn to_record(&self) -> Vec<TopicPartitions> {
        let of = |(topic, all): (TopicId, &BTreeSet<PartitionId>)| TopicPartitions {
            topic,
            partitions: all.iter().copied().collect(),
            epochs: None,
        };
        self.topics().map(of).collect()
    }
}

impl FromIterator<(TopicId, PartitionId)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, PartitionId)>>(all: I) -> Self {
        let mut partitions = Self::default();
        for (topic, partition) in all {
            partitions.insert(topic, partition);
        }
        partitions
    }
}

/// Partitions that a member has, each with the epoch in which it was given: a commit of that epoch
/// or a later one counts, though the member may have moved on since (KIP-1251).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedPartitions(BTreeMap<TopicId, BTreeMap<PartitionId, Epoch>>);

impl OwnedPartitions {
    /// Adds one, or changes its epoch.
    pub(crate) fn insert(&mut self, topic: TopicId, partition: PartitionId, since: Epoch) {
        self.0.entry(topic).or_default().insert(partition, since);
    }

    /// The epoch in which the member was given it.
    pub(crate) fn since(&self, topic: TopicId, partition: PartitionId) -> Option<Epoch> {
        self.0.get(&topic)?.get(&partition).copied()
    }

    /// Whether it is there.
    pub(crate) fn contains(&self, topic: TopicId, partition: PartitionId) -> bool {
        self.since(topic, partition).is_some()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each partition with its epoch, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionId, Epoch)> {
        self.0.iter().flat_map(|(topic, all)| {
            all.iter().map(|(partition, since)| (*topic, *partition, *since))
        })
    }

    /// Without the epochs.
    pub(crate) fn partitions(&self) -> Partitions {
        self.iter().map(|(topic, partition, _)| (topic, partition)).collect()
    }

    /// The same, all given in one epoch.
    pub(crate) fn all_since(all: &Partitions, since: Epoch) -> Self {
        all.iter().map(|(topic, partition)| (topic, partition, since)).collect()
    }

    /// As a record holds them. Records before 4.3 have no epochs; `since` stands in.
    pub(crate) fn from_record(topics: &[TopicPartitions], since: Epoch) -> Self {
        let mut owned = Self::default();
        for of in topics {
            let epochs = of.epochs.as_ref().filter(|epochs| epochs.len() == of.partitions.len());
            for (at, partition) in of.partitions.iter().enumerate() {
                let epoch = epochs.and_then(|epochs| Epoch::from_wire(epochs[at]));
                owned.insert(of.topic, *partition, epoch.unwrap_or(since));
            }
        }
        owned
    }

    /// For a record.
    pub(crate) fn to_record(&self) -> Vec<TopicPartitions> {
        let of = |(topic, all): (&TopicId, &BTreeMap<PartitionId, Epoch>)| TopicPartitions {
            topic: *topic,
            partitions: all.keys().copied().collect(),
            epochs: Some(all.values().map(|since| since.get()).collect()),
        };
        self.0.iter().map(of).collect()
    }
}

impl FromIterator<(TopicId, PartitionId, Epoch)> for OwnedPartitions {
    fn from_iter<I: IntoIterator<Item = (TopicId, PartitionId, Epoch)>>(all: I) -> Self {
        let mut owned = Self::default();
        for (topic, partition, since) in all {
            owned.insert(topic, partition, since);
        }
        owned
    }
}
