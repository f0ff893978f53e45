//! Committed offsets, and those that an open transaction will commit or abort.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionId, ProducerId, TopicId, TopicName};

use super::CommittedOffset;
use crate::ids::GroupId;

/// The offsets of one group, by topic and partition; no map in it is empty.
type OfGroup = BTreeMap<TopicName, BTreeMap<PartitionId, Stored>>;

/// Names one offset.
type Key = (GroupId, TopicName, PartitionId);

/// The offsets of a shard. Bounded by the log that they are a replay of.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: BTreeMap<GroupId, OfGroup>,
    /// By the producer whose transaction decides them.
    pending: BTreeMap<ProducerId, BTreeMap<Key, Stored>>,
    /// The keys of `pending`, the other way round.
    open: BTreeMap<Key, BTreeSet<ProducerId>>,
    /// Records replayed so far.
    replayed: u64,
}

/// An offset, and which record it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    value: CommittedOffset,
    /// Of two records of one key the later counts, though its transaction may end earlier.
    order: u64,
}

impl Offsets {
    /// Takes a record: a value, or `None` to take away what there is.
    pub(crate) fn replay(
        &mut self,
        key: Key,
        producer: Option<ProducerId>,
        value: Option<CommittedOffset>,
    ) {
        self.replayed += 1;
        let order = self.replayed;
        match (value, producer) {
            (None, _) => self.remove(&key),
            (Some(value), None) => self.put(key, Stored { value, order }),
            (Some(value), Some(producer)) => {
                self.open.entry(key.clone()).or_default().insert(producer);
                self.pending.entry(producer).or_default().insert(key, Stored { value, order });
            }
        }
    }

    /// A transaction has ended: what it held back counts, or never was.
    pub(crate) fn end_transaction(&mut self, producer: ProducerId, committed: bool) {
        let Some(ended) = self.pending.remove(&producer) else { return };
        for (key, stored) in ended {
            if let Some(producers) = self.open.get_mut(&key) {
                producers.remove(&producer);
                if producers.is_empty() {
                    self.open.remove(&key);
                }
            }
            let newest = self.stored(&key).is_none_or(|newest| newest.order < stored.order);
            if committed && newest {
                self.put(key, stored);
            }
        }
    }

    /// The committed offset of a partition.
    pub(crate) fn get(
        &self,
        group: &GroupId,
        topic: &str,
        partition: PartitionId,
    ) -> Option<&CommittedOffset> {
        let stored = self.committed.get(group)?.get(topic)?.get(&partition)?;
        Some(&stored.value)
    }

    /// The committed offsets of a group, by topic and partition.
    pub(crate) fn of_group(
        &self,
        group: &GroupId,
    ) -> impl Iterator<Item = (&TopicName, PartitionId, &CommittedOffset)> {
        let topics = self.committed.get(group).into_iter().flatten();
        topics.flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(partition, stored)| (topic, *partition, &stored.value))
        })
    }

    /// Whether an open transaction may change the offset of a partition.
    pub(crate) fn is_open(
        &self,
        group: &GroupId,
        topic: &TopicName,
        partition: PartitionId,
    ) -> bool {
        !self.open.is_empty() && self.open.contains_key(&(group.clone(), topic.clone(), partition))
    }

    /// What open transactions may change in a group.
    pub(crate) fn open_of_group(&self, group: &GroupId) -> Vec<(TopicName, PartitionId)> {
        let of_group = self.open.keys().filter(|key| key.0 == *group);
        of_group.map(|(_, topic, partition)| (topic.clone(), *partition)).collect()
    }

    /// The partitions of one topic with an offset, committed or pending. An offset that does not
    /// say which topic of that name it means, means any.
    pub(crate) fn of_topic(
        &self,
        group: &GroupId,
        topic: &TopicName,
        id: TopicId,
    ) -> BTreeSet<PartitionId> {
        let means = |stored: &Stored| stored.value.topic_id.is_none_or(|own| own == id);
        let committed = self.committed.get(group).and_then(|topics| topics.get(topic));
        let committed = committed.into_iter().flatten();
        let pending = self.pending.values().flatten();
        let pending = pending.filter(|((of, name, _), _)| of == group && name == topic);
        committed
            .map(|(partition, stored)| (*partition, stored))
            .chain(pending.map(|((_, _, partition), stored)| (*partition, stored)))
            .filter(|(_, stored)| means(stored))
            .map(|(partition, _)| partition)
            .collect()
    }

    /// Every group with an offset, committed or pending.
    pub(crate) fn groups(&self) -> BTreeSet<GroupId> {
        self.committed.keys().chain(self.open.keys().map(|key| &key.0)).cloned().collect()
    }

    fn stored(&self, (group, topic, partition): &Key) -> Option<&Stored> {
        self.committed.get(group)?.get(topic)?.get(partition)
    }

    fn put(&mut self, (group, topic, partition): Key, stored: Stored) {
        let topics = self.committed.entry(group).or_default();
        topics.entry(topic).or_default().insert(partition, stored);
    }

    /// Takes an offset away, pending ones included.
    fn remove(&mut self, key: &Key) {
        let (group, topic, partition) = key;
        if let Some(topics) = self.committed.get_mut(group) {
            if let Some(partitions) = topics.get_mut(topic) {
                partitions.remove(partition);
                if partitions.is_empty() {
                    topics.remove(topic);
                }
            }
            if topics.is_empty() {
                self.committed.remove(group);
            }
        }
        for producer in self.open.remove(key).into_iter().flatten() {
            if let Some(pending) = self.pending.get_mut(&producer) {
                pending.remove(key);
            }
        }
    }
}
