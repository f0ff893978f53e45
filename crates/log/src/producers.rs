//! What each producer wrote last: what makes a resent batch a duplicate, and a lost one a gap
//! (KIP-98, KIP-360).

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_records::{BatchHeader, EndTransactionMarker, ProducerStamp};
use ottla_types::planted::{self, Bug};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Batches of a producer that are recognised when they come again: as many as an idempotent
/// producer keeps in flight.
pub const RECENT_BATCHES: usize = 5;

/// A batch that may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentBatch {
    pub first_sequence: Sequence,
    pub last_sequence: Sequence,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub timestamp: Option<Timestamp>,
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    #[error("producer {producer} has epoch {epoch}, but was seen with {current}")]
    InvalidProducerEpoch { producer: ProducerId, epoch: ProducerEpoch, current: ProducerEpoch },
    #[error("producer {producer} sent sequence {sequence} where {expected} was due")]
    OutOfOrderSequence { producer: ProducerId, sequence: Sequence, expected: Sequence },
    #[error("producer {producer} has a transaction open and wrote outside of it")]
    InvalidTransactionState { producer: ProducerId },
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Append it.
    New,
    /// It is in the log already, there.
    Duplicate(RecentBatch),
}

/// A transaction that a marker has ended in this partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedTransaction {
    pub producer: ProducerId,
    pub first_offset: Offset,
    /// The marker's.
    pub last_offset: Offset,
    pub committed: bool,
    /// Where the oldest transaction begins that was still open then, or else what follows the
    /// marker.
    pub last_stable_offset: Offset,
}

/// A producer as an operator is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Of its newest batch in this epoch.
    pub last_sequence: Option<Sequence>,
    pub last_timestamp: Option<Timestamp>,
    /// Of the coordinator that wrote its last marker.
    pub coordinator_epoch: Option<i32>,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
}

/// The producers of one partition. A replay of the log's headers rebuilds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerState {
    /// Boxed, since a map makes room for eleven at once, and most partitions have one.
    producers: BTreeMap<ProducerId, Box<Producer>>,
    /// First offset of each open transaction.
    open_transactions: BTreeMap<Offset, ProducerId>,
    /// First and last offset of each ended transaction whose marker is not committed yet: until
    /// then a change of leaders can undo it.
    ending_transactions: BTreeMap<Offset, Offset>,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) epoch: ProducerEpoch,
    /// The newest batches of this epoch, the oldest first; `None`s at the end.
    pub(crate) recent: [Option<RecentBatch>; RECENT_BATCHES],
    pub(crate) last_timestamp: Option<Timestamp>,
    /// Where its open transaction begins.
    pub(crate) transaction_start: Option<Offset>,
    /// Of the coordinator that wrote its last marker.
    pub(crate) coordinator_epoch: Option<i32>,
}

impl ProducerState {
    /// Whether a batch fits what its producer wrote before. Kafka's rules: the recent batches are
    /// searched first; an unknown producer may begin anywhere, since what it wrote before may
    /// have been deleted; a known one begins a new epoch at 0.
    ///
    /// # Errors
    /// When the batch comes from a fenced producer, leaves a gap, or breaks a transaction.
    pub fn check(&self, batch: &BatchHeader) -> Result<Admission, ProducerError> {
        let Some(stamp) = batch.producer else { return Ok(Admission::New) };
        let Some(known) = self.producers.get(&stamp.id) else { return Ok(Admission::New) };
        known.admit(stamp, batch)
    }

    /// As [`Self::check`], of a batch behind others, outside of transactions, that are to be in
    /// the log before it and that nobody has taken note of yet.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn check_behind(
        &self,
        others: &[BatchHeader],
        batch: &BatchHeader,
    ) -> Result<Admission, ProducerError> {
        let Some(stamp) = batch.producer else { return Ok(Admission::New) };
        // Only so many of them matter: as many are remembered.
        let mut before = [None; RECENT_BATCHES];
        let theirs = others.iter().rev().filter_map(|other| Some((other.producer?, other)));
        let same = theirs.filter(|(other, _)| other.id == stamp.id);
        for (place, other) in before.iter_mut().rev().zip(same) {
            *place = Some(other);
        }
        let mut before = before.into_iter().flatten().peekable();
        let Some((first, _)) = before.peek() else { return self.check(batch) };
        let known = self.producers.get(&stamp.id);
        let mut known = known.map_or_else(|| Producer::new(first.epoch), |known| (**known).clone());
        before.for_each(|(stamp, other)| known.on_appended(stamp, other));
        known.admit(stamp, batch)
    }

    /// Takes note of a batch that is in the log, with its final offsets; `marker` if it is a
    /// control batch that ends a transaction. Nothing is checked: the leader has done so. Says
    /// which transaction has ended, if one has.
    pub fn on_appended(
        &mut self,
        batch: &BatchHeader,
        marker: Option<EndTransactionMarker>,
    ) -> Option<EndedTransaction> {
        let stamp = batch.producer?;
        if batch.attributes.is_control() {
            return self.on_marker(batch, stamp, marker?);
        }
        let producer = self.enter(stamp);
        producer.on_appended(stamp, batch);
        if batch.attributes.is_transactional() && producer.transaction_start.is_none() {
            producer.transaction_start = Some(batch.base_offset);
            self.open_transactions.insert(batch.base_offset, stamp.id);
        }
        None
    }

    /// The state of a batch's producer, in the batch's epoch.
    fn enter(&mut self, stamp: ProducerStamp) -> &mut Producer {
        let fresh = || Box::new(Producer::new(stamp.epoch));
        let producer = self.producers.entry(stamp.id).or_insert_with(fresh);
        producer.enter_epoch(stamp.epoch);
        producer
    }

    /// A marker for a transaction without records here ends nothing.
    fn on_marker(
        &mut self,
        batch: &BatchHeader,
        stamp: ProducerStamp,
        marker: EndTransactionMarker,
    ) -> Option<EndedTransaction> {
        let producer = self.enter(stamp);
        producer.last_timestamp = batch.max_timestamp;
        producer.coordinator_epoch = Some(marker.coordinator_epoch);
        let first_offset = producer.transaction_start.take()?;
        let opened = self.open_transactions.remove(&first_offset);
        assert_eq!(opened, Some(stamp.id), "every open transaction is listed once");
        let last_offset = batch.last_offset();
        self.ending_transactions.insert(first_offset, last_offset);
        Some(EndedTransaction {
            producer: stamp.id,
            first_offset,
            last_offset,
            committed: marker.committed,
            last_stable_offset: self.first_open_transaction().unwrap_or_else(|| last_offset.next()),
        })
    }

    /// What lies below `high_watermark` cannot be undone any more.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.ending_transactions.retain(|_, last_offset| *last_offset >= high_watermark);
    }

    /// How far a consumer may read that wants committed records only: no further than the first
    /// transaction that is open, or ended by a marker that is not committed.
    #[must_use]
    pub fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        let ending = self.ending_transactions.keys().next().copied();
        let first = [self.first_open_transaction(), ending].into_iter().flatten().min();
        first.map_or(high_watermark, |first| first.min(high_watermark))
    }

    fn first_open_transaction(&self) -> Option<Offset> {
        self.open_transactions.keys().next().copied()
    }

    /// Forgets producers that wrote nothing for `idle` (`producer.id.expiration.ms`); one with an
    /// open transaction stays.
    pub fn expire(&mut self, now: Timestamp, idle: Duration) {
        self.producers.retain(|_, producer| {
            let written = Timestamp::to_wire(producer.last_timestamp);
            let age = u64::try_from(now.millis().saturating_sub(written)).unwrap_or(0);
            producer.transaction_start.is_some() || Duration::from_millis(age) < idle
        });
    }

    /// All producers, by their ids.
    pub(crate) fn producers(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, &**producer))
    }

    /// All producers, by their ids, for an operator.
    pub fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.producers().map(|(id, producer)| ActiveProducer {
            id,
            epoch: producer.epoch,
            last_sequence: producer.recent.iter().flatten().last().map(|it| it.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            transaction_start: producer.transaction_start,
        })
    }

    /// One producer.
    pub(crate) fn producer(&self, id: ProducerId) -> Option<&Producer> {
        self.producers.get(&id).map(|producer| &**producer)
    }

    /// Adds a producer as it was kept. False if there is one of that id, or another whose open
    /// transaction begins at the same offset: what was kept is not to be believed then.
    pub(crate) fn restore(&mut self, id: ProducerId, producer: Box<Producer>) -> bool {
        let first =
            producer.transaction_start.map(|start| self.open_transactions.insert(start, id));
        self.producers.insert(id, producer).is_none() && first.is_none_or(|taken| taken.is_none())
    }

    /// How many producers are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// The batches of a producer that would be recognised, the oldest first.
    pub fn recent(&self, producer: ProducerId) -> impl Iterator<Item = &RecentBatch> {
        self.producers.get(&producer).into_iter().flat_map(|known| known.recent.iter().flatten())
    }
}

impl Producer {
    pub(crate) const fn new(epoch: ProducerEpoch) -> Self {
        Self {
            epoch,
            recent: [None; RECENT_BATCHES],
            last_timestamp: None,
            transaction_start: None,
            coordinator_epoch: None,
        }
    }

    fn admit(&self, stamp: ProducerStamp, batch: &BatchHeader) -> Result<Admission, ProducerError> {
        if let Some(same) = self.find(stamp, batch.last_sequence())
            && !planted::is(Bug::NoDeduplicationOfRetriedBatch)
        {
            return Ok(Admission::Duplicate(same));
        }
        self.check(stamp)?;
        if self.transaction_start.is_some() && !batch.attributes.is_transactional() {
            return Err(ProducerError::InvalidTransactionState { producer: stamp.id });
        }
        Ok(Admission::New)
    }

    /// Takes note of a batch with records.
    fn on_appended(&mut self, stamp: ProducerStamp, batch: &BatchHeader) {
        self.enter_epoch(stamp.epoch);
        self.last_timestamp = batch.max_timestamp;
        if let (Some(first_sequence), Some(last_sequence)) =
            (stamp.base_sequence, batch.last_sequence())
        {
            self.remember(RecentBatch {
                first_sequence,
                last_sequence,
                base_offset: batch.base_offset,
                last_offset: batch.last_offset(),
                timestamp: batch.max_timestamp,
            });
        }
    }

    /// The very same batch, if it is among the recent ones.
    fn find(&self, stamp: ProducerStamp, last: Option<Sequence>) -> Option<RecentBatch> {
        let same = |batch: &&RecentBatch| {
            stamp.base_sequence == Some(batch.first_sequence) && last == Some(batch.last_sequence)
        };
        self.recent.iter().flatten().find(same).filter(|_| stamp.epoch == self.epoch).copied()
    }

    fn check(&self, stamp: ProducerStamp) -> Result<(), ProducerError> {
        let producer = stamp.id;
        if stamp.epoch < self.epoch {
            let (epoch, current) = (stamp.epoch, self.epoch);
            return Err(ProducerError::InvalidProducerEpoch { producer, epoch, current });
        }
        // What coordinators write for a producer is not numbered.
        let Some(sequence) = stamp.base_sequence else { return Ok(()) };
        let newest = self.recent.iter().flatten().last().filter(|_| stamp.epoch == self.epoch);
        let expected = newest.map_or(Sequence::ZERO, |batch| batch.last_sequence.plus(1));
        if sequence != expected && !planted::is(Bug::NoDeduplicationOfRetriedBatch) {
            return Err(ProducerError::OutOfOrderSequence { producer, sequence, expected });
        }
        Ok(())
    }

    /// Batches of an older epoch are not recognised any more: they come from a fenced producer.
    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.recent = [None; RECENT_BATCHES];
        }
    }

    pub(crate) fn remember(&mut self, batch: RecentBatch) {
        match self.recent.iter().position(Option::is_none) {
            Some(free) => self.recent[free] = Some(batch),
            None => {
                self.recent.rotate_left(1);
                self.recent[RECENT_BATCHES - 1] = Some(batch);
            }
        }
    }
}
