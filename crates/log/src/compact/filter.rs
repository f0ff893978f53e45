//! What stays of a batch: the decision of each record, and the batch rebuilt from what stays.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_records::{Batch, HEADER_BYTES, InflateError, RawRecord, RawRecords, RecordError};
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;
use ottla_types::planted::{self, Bug};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

use super::key_map::{KeyHash, KeyMap};
use super::transactions::{Standing, Transactions};
use crate::{EndedTransaction, ProducerState};

/// Why the records of a batch cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsFault {
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What a log must not forget of a producer: its last sequence or, without one, its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LastRecord {
    data: Option<Offset>,
    epoch: ProducerEpoch,
}

/// The batches that keep what is known of producers.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRecords(BTreeMap<ProducerId, LastRecord>);

impl LastRecords {
    pub(crate) fn of(producers: &ProducerState) -> Self {
        let last = producers.producers().map(|(id, producer)| {
            let data = producer.recent.iter().flatten().last().map(|batch| batch.last_offset);
            (id, LastRecord { data, epoch: producer.epoch })
        });
        Self(last.collect())
    }

    fn are_in(&self, batch: &Batch<'_>) -> bool {
        let Some(stamp) = batch.header.producer else { return false };
        self.0.get(&stamp.id).is_some_and(|last| match last.data {
            Some(offset) => batch.header.last_offset() == offset,
            None => batch.header.attributes.is_control() && stamp.epoch == last.epoch,
        })
    }
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It stays as it is.
    Whole,
    /// These bytes take its place.
    Rebuilt(Vec<u8>),
    Gone,
}

/// What a compaction holds every batch against.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) map: KeyMap,
    pub(crate) transactions: Transactions,
    pub(crate) last_records: LastRecords,
    /// The batch that ends there stays, be it empty: it says where the next one begins.
    pub(crate) upto: Offset,
    pub(crate) now: Timestamp,
    /// `delete.retention.ms`.
    pub(crate) delete_retention: Duration,
    pub(crate) at_hand: AtHand,
}

/// Of the batch at hand, kept for the next one as room.
#[derive(Debug, Default)]
pub(crate) struct AtHand {
    records: Vec<Looked>,
    /// Of the records that have keys.
    keys: Vec<KeyHash>,
    /// Where the newest record of each of these is.
    newest: Vec<Option<Offset>>,
    /// Which records stay.
    keep: Vec<bool>,
}

/// What of a record decides whether it stays.
#[derive(Clone, Copy, Debug)]
struct Looked {
    offset: Offset,
    has_key: bool,
    has_value: bool,
}

impl AtHand {
    /// Looks at every record, and where the newest of each key is.
    fn look(&mut self, records: RawRecords<'_>, map: &KeyMap) -> Result<(), RecordError> {
        self.records.clear();
        self.keys.clear();
        self.newest.clear();
        self.keep.clear();
        for record in records {
            let record = record?;
            let RawRecord { offset, key, has_value, .. } = record;
            self.records.push(Looked { offset, has_key: key.is_some(), has_value });
            self.keys.extend(key.map(|key| map.hash(key)));
        }
        map.newest_of(&self.keys, &mut self.newest);
        Ok(())
    }
}

/// What was found out about the records of a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    kept: usize,
    tombstones: usize,
}

impl Filter {
    /// The next batch of the log; with the transaction that its marker aborts, if the marker stays
    /// because of what is left of that.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) fn next(
        &mut self,
        batch: &Batch<'_>,
    ) -> Result<(Kept, Option<EndedTransaction>), RecordsFault> {
        let (header, section) = (&batch.header, &batch.bytes[HEADER_BYTES..]);
        let standing = self.transactions.next(header, section);
        let aborts = match standing {
            Standing::Marker { aborts } => aborts,
            Standing::Data | Standing::Aborted | Standing::IdleMarker => None,
        };
        // Nobody has looked at what lies there.
        if header.base_offset >= self.map.upto() {
            return Ok((Kept::Whole, aborts));
        }
        let kept = match standing {
            Standing::Aborted => self.without_records(batch),
            Standing::IdleMarker => self.idle_marker(batch)?,
            Standing::Marker { .. } => Kept::Whole,
            Standing::Data => self.data(batch)?,
        };
        Ok((kept, aborts))
    }

    fn without_records(&self, batch: &Batch<'_>) -> Kept {
        let stays =
            self.last_records.are_in(batch) || batch.header.last_offset().next() == self.upto;
        match stays {
            true if batch.header.records_count == 0 => Kept::Whole,
            true => Kept::Rebuilt(batch.emptied()),
            false => Kept::Gone,
        }
    }

    /// A marker without records to mark stays as long as a tombstone: whoever reads on from in
    /// front of it has to be told that the transaction has ended.
    fn idle_marker(&self, batch: &Batch<'_>) -> Result<Kept, RecordsFault> {
        if batch.header.records_count == 0 {
            return Ok(self.without_records(batch));
        }
        match horizon_of(batch) {
            Some(horizon) if horizon <= self.now => Ok(self.without_records(batch)),
            Some(_) => Ok(Kept::Whole),
            None => {
                let (section, all) = (&batch.bytes[HEADER_BYTES..], batch.header.records_count);
                let codec = batch.header.attributes.compression();
                let inflated = codec.inflate(section, INFLATED_BATCH_BYTES_MAX)?;
                let keep = vec![true; all as usize];
                Ok(Kept::Rebuilt(batch.retaining(&inflated, &keep, Some(self.horizon()))?))
            }
        }
    }

    fn data(&mut self, batch: &Batch<'_>) -> Result<Kept, RecordsFault> {
        let codec = batch.header.attributes.compression();
        let inflated = codec.inflate(&batch.bytes[HEADER_BYTES..], INFLATED_BATCH_BYTES_MAX)?;
        let horizon = horizon_of(batch);
        self.at_hand.look(RawRecords::new(&batch.header, &inflated), &self.map)?;
        let tally = self.decide(horizon);
        if tally.kept == 0 {
            return Ok(self.without_records(batch));
        }
        let sets_horizon = tally.tombstones > 0 && horizon.is_none();
        let keep = &self.at_hand.keep;
        if tally.kept == keep.len() && !sets_horizon {
            return Ok(Kept::Whole);
        }
        let horizon = sets_horizon.then(|| self.horizon());
        Ok(Kept::Rebuilt(batch.retaining(&inflated, keep, horizon)?))
    }

    /// Which of the records at hand stay.
    fn decide(&mut self, horizon: Option<Timestamp>) -> Tally {
        let mut tally = Tally::default();
        let mut at_hand = std::mem::take(&mut self.at_hand);
        let mut newest = at_hand.newest.iter();
        for record in &at_hand.records {
            let newest = record.has_key.then(|| *newest.next().expect("every key was looked for"));
            let stays = self.stays(record, newest, horizon);
            at_hand.keep.push(stays);
            tally.kept += usize::from(stays);
            tally.tombstones += usize::from(stays && !record.has_value);
        }
        self.at_hand = at_hand;
        tally
    }

    /// `newest`: of a record with a key, the newest one that is known.
    fn stays(
        &self,
        record: &Looked,
        newest: Option<Option<Offset>>,
        horizon: Option<Timestamp>,
    ) -> bool {
        if record.offset >= self.map.upto() {
            return true;
        }
        // Written before the topic was to be compacted: nothing could ever take its place.
        let Some(newest) = newest else { return false };
        if planted::is(Bug::CompactionDropsNewestOfKey) && newest == Some(record.offset) {
            return record.offset.get() % 8 != 0;
        }
        let is_newest = newest.is_none_or(|newest| newest <= record.offset);
        let may_go = horizon.is_some_and(|horizon| horizon <= self.now)
            || planted::is(Bug::TombstoneDroppedTooEarly);
        is_newest && (record.has_value || !may_go)
    }

    /// From when on tombstones may go that are met now for the first time.
    fn horizon(&self) -> Timestamp {
        let millis = i64::try_from(self.delete_retention.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.now.millis().saturating_add(millis))
    }
}

fn horizon_of(batch: &Batch<'_>) -> Option<Timestamp> {
    let header = &batch.header;
    header.attributes.has_delete_horizon().then_some(header.base_timestamp)
}
