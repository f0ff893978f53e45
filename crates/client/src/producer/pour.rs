//! Many records of one topic at once: told by the batch, not one by one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ottla_env::Purpose;
use ottla_records::{BatchBuilder, BatchOptions, NewRecord};
use ottla_types::{PartitionId, Timestamp, TopicName, TopicPartition};
use tokio::sync::OwnedSemaphorePermit;

use super::batch::Batch;
use super::partitioner::by_key;
use super::{Delivered, Partitioner, ProduceError, Producer, Record};
use crate::wait;

/// A record that is copied once, into its batch.
#[derive(Clone, Copy, Debug)]
pub struct PouredRecord<'a> {
    /// Names the partition; else the key decides, or the producer.
    pub partition: Option<PartitionId>,
    /// The time that it is about; else when it is taken.
    pub timestamp: Option<Timestamp>,
    /// What it is about.
    pub key: Option<&'a [u8]>,
    /// What is said; `None` is a tombstone where a topic is compacted.
    pub value: Option<&'a [u8]>,
    /// Whatever else there is to say, by name.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl PouredRecord<'_> {
    /// At most what it takes in a batch.
    fn size(&self) -> usize {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) + 5;
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + 5 + len(*value)).sum();
        21 + len(self.key) + len(self.value) + headers
    }

    fn to_record(self, topic: &TopicName) -> Record {
        let owned = bytes::Bytes::copy_from_slice;
        let mut record = Record::to(topic.as_str());
        (record.key, record.value) = (self.key.map(owned), self.value.map(owned));
        let header = |(name, value): &(&str, Option<&[u8]>)| ((*name).to_owned(), value.map(owned));
        record.headers = self.headers.iter().map(header).collect();
        record
    }
}

/// What became of the records that were poured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poured {
    /// How many are written.
    pub delivered: u64,
    /// How many are not.
    pub failed: u64,
    /// Why the first of those is not.
    pub error: Option<ProduceError>,
    /// Where the first one is.
    pub first: Option<Delivered>,
}

/// Counts what became of the batches of one [`Pour`].
#[derive(Debug, Default)]
pub(super) struct Tally {
    poured: RefCell<Poured>,
}

impl Tally {
    pub(super) fn delivered(&self, count: i32, first: impl FnOnce() -> Delivered) {
        let mut poured = self.poured.borrow_mut();
        poured.delivered += u64::from(count.unsigned_abs());
        poured.first.get_or_insert_with(first);
    }

    pub(super) fn failed(&self, count: i32, error: &ProduceError) {
        let mut poured = self.poured.borrow_mut();
        poured.failed += u64::from(count.unsigned_abs());
        poured.error.get_or_insert_with(|| error.clone());
    }
}

/// Takes records of one topic and counts what becomes of them. See [`Producer::pour`].
pub struct Pour<'a> {
    producer: &'a Producer,
    topic: TopicName,
    partitions: usize,
    /// Batches that take records; at most one for each partition, each holding its memory.
    open: BTreeMap<i32, Open>,
    /// Where records without a key go until their batch is full.
    sticky: usize,
    turn: Cell<usize>,
    tally: Rc<Tally>,
}

struct Open {
    builder: BatchBuilder,
    /// When its first record was taken, which decides when it is late.
    first: Timestamp,
    memory: OwnedSemaphorePermit,
}

impl Producer {
    /// Begins to take many records of one topic.
    ///
    /// # Errors
    /// When there is no such topic, and none is made on the fly.
    pub async fn pour(&self, topic: &TopicName) -> Result<Pour<'_>, ProduceError> {
        let partitions = self.partitions_of(topic).await?;
        Ok(Pour {
            producer: self,
            topic: topic.clone(),
            partitions,
            open: BTreeMap::new(),
            sticky: self.draw(partitions),
            turn: Cell::new(0),
            tally: Rc::default(),
        })
    }

    fn draw(&self, count: usize) -> usize {
        let drawn = self.shared.cluster.env.rng.next(Purpose::Jitter) % (count as u64);
        usize::try_from(drawn).expect("below the count")
    }
}

impl Pour<'_> {
    /// Takes a record; waits while the producer holds as much as it may.
    ///
    /// # Errors
    /// When the record cannot be taken: no such partition, or too large.
    pub async fn push(&mut self, record: PouredRecord<'_>) -> Result<(), ProduceError> {
        let partition = self.choose(&record)?;
        let settings = &self.producer.shared.settings;
        let size = record.size();
        let full = |open: &Open| open.builder.uncompressed_size() + size > settings.batch_bytes;
        if self.open.get(&partition).is_some_and(full) {
            self.hand_over(partition);
            wait::pause().await;
        }
        let timestamp =
            record.timestamp.unwrap_or_else(|| self.producer.shared.cluster.env.clock.wall());
        if !self.open.contains_key(&partition) {
            let memory = self.memory(size.max(settings.batch_bytes)).await?;
            let compression = settings.compression;
            let options = BatchOptions { compression, ..BatchOptions::default() };
            let builder = BatchBuilder::with_room(options, size.max(settings.batch_bytes));
            self.open.insert(partition, Open { builder, first: timestamp, memory });
        }
        let open = self.open.get_mut(&partition).expect("it was just opened");
        let PouredRecord { key, value, headers, .. } = record;
        open.builder.push(NewRecord { timestamp, key, value, headers });
        Ok(())
    }

    /// Lets go of what was taken so far, without waiting for more to share its batches.
    pub async fn hand_over_all(&mut self) {
        while let Some((partition, _)) = self.open.first_key_value() {
            self.hand_over(*partition);
        }
        wait::pause().await;
    }

    /// How many records were written so far, and the first failure.
    #[must_use]
    pub fn so_far(&self) -> Poured {
        self.tally.poured.borrow().clone()
    }

    /// Waits until everything is written or has failed.
    pub async fn finish(mut self) -> Poured {
        self.hand_over_all().await;
        self.producer.flush().await;
        self.so_far()
    }

    fn choose(&mut self, record: &PouredRecord<'_>) -> Result<i32, ProduceError> {
        let count = self.partitions;
        let chosen = match (record.partition, &self.producer.shared.settings.partitioner) {
            (Some(named), _) => {
                let known = usize::try_from(named.get()).ok().filter(|number| *number < count);
                let topic = &self.topic;
                known.ok_or_else(|| ProduceError::NoPartition {
                    topic: topic.clone(),
                    partition: named,
                    count,
                })?
            }
            (None, Partitioner::HashOrSticky) => {
                record.key.map_or(self.sticky, |key| by_key(key, count))
            }
            (None, Partitioner::RoundRobin) => {
                let turn = self.turn.get();
                self.turn.set(turn.wrapping_add(1));
                turn % count
            }
            (None, Partitioner::Custom(choose)) => {
                choose(&record.to_record(&self.topic), count) % count
            }
        };
        Ok(i32::try_from(chosen).expect("below the count"))
    }

    /// Memory for a batch. Batches that are not full yet must not hold what none would give back.
    async fn memory(&mut self, bytes: usize) -> Result<OwnedSemaphorePermit, ProduceError> {
        let producer = self.producer;
        let buffer_bytes = producer.shared.settings.buffer_bytes;
        let too_large = || ProduceError::TooLarge { bytes, buffer_bytes };
        let needed = u32::try_from(bytes).map_err(|_| too_large())?;
        if needed > buffer_bytes {
            return Err(too_large());
        }
        if let Ok(memory) = Arc::clone(&producer.memory).try_acquire_many_owned(needed) {
            return Ok(memory);
        }
        self.hand_over_all().await;
        let memory = Arc::clone(&producer.memory).acquire_many_owned(needed).await;
        Ok(memory.expect("nobody closes it"))
    }

    /// Gives a batch to the sender.
    fn hand_over(&mut self, partition: i32) {
        let Some(open) = self.open.remove(&partition) else { return };
        if usize::try_from(partition) == Ok(self.sticky) {
            // The next one is another one, where there is another one.
            let drawn = self.producer.draw(self.partitions);
            let again = drawn == self.sticky;
            self.sticky = if again { (drawn + 1) % self.partitions } else { drawn };
        }
        let to =
            TopicPartition { topic: self.topic.clone(), partition: PartitionId::new(partition) };
        let shared = &self.producer.shared;
        let (created, deadline) = shared.now_and_deadline();
        let Open { builder, memory, first } = open;
        let tally = (Rc::clone(&self.tally), first);
        let serial = shared.next_serial();
        shared.take_batch(to, Batch::full(serial, builder, tally, memory, (created, deadline)));
    }
}

impl std::fmt::Debug for Pour<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pour").field("topic", &self.topic).finish_non_exhaustive()
    }
}
