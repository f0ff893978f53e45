//! Kafka's `<offset>.snapshot`: what producers had written when a log ended at that offset.
//!
//! ```text
//!  0 version 1 (i16)   2 CRC-32C of all that follows (u32)   6 number of producers (i32)
//! 10 per producer: id i64, epoch i16, last sequence i32, last offset i64, offset delta i32,
//!    timestamp i64, coordinator epoch i32, first offset of the open transaction i64
//! -- the trailer, which is ours: "Otla" (u32), then per producer, in the same order: a count (u8)
//!    of older batches, and per batch, the oldest first: last sequence i32, last offset i64,
//!    offset delta i32, timestamp i64
//! ```
//!
//! Kafka keeps the newest batch of each producer only. The trailer has the others that would be
//! recognised; Apache Kafka's reader covers it with the checksum and looks no further than the
//! array. It is left out where there is nothing to say, and a file without it is as good as any.
//! `docs/adr/0009` says why.

#[cfg(test)]
mod tests;

use ottla_records::crc32c;
use ottla_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::producers::Producer;
use crate::{ProducerState, RECENT_BATCHES, RecentBatch};

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COVERED_AT: usize = 6;
const TRAILER: [u8; 4] = *b"Otla";

/// Bytes of a producer in the array.
const PRODUCER_BYTES: usize = 46;
/// Bytes of a batch in the trailer.
const BATCH_BYTES: usize = 24;

/// Why a snapshot cannot be used. An older one can, or the batches themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFault {
    #[error("it ends in the middle")]
    Short,
    #[error("version {version} is not known")]
    Version { version: i16 },
    #[error("its checksum is {stored:#010x}, its bytes have {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("producer {at} of it is none that Kafka writes")]
    Producer { at: usize },
    #[error("the bytes behind the last producer are unknown")]
    Trailer,
}

impl ProducerState {
    /// The file's bytes.
    ///
    /// # Panics
    /// If there are 2^31 producers.
    #[must_use]
    pub fn encode_snapshot(&self) -> Vec<u8> {
        let count = i32::try_from(self.len()).expect("memory ends before");
        let mut bytes = Vec::with_capacity(COVERED_AT + 4 + self.len() * PRODUCER_BYTES);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&count.to_be_bytes());
        for (id, producer) in self.producers() {
            encode_producer(id, producer, &mut bytes);
        }
        if self.producers().any(|(_, producer)| producer.older().next().is_some()) {
            self.encode_trailer(&mut bytes);
        }
        let crc = crc32c(&bytes[COVERED_AT..]);
        bytes[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn encode_trailer(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&TRAILER);
        for (_, producer) in self.producers() {
            let count = u8::try_from(producer.older().count()).expect("they are four at most");
            bytes.push(count);
            for batch in producer.older() {
                encode_batch(batch, bytes);
                let timestamp = Timestamp::to_wire(batch.timestamp);
                bytes.extend_from_slice(&timestamp.to_be_bytes());
            }
        }
    }

    /// Reads the snapshot of a log that ended at `end`.
    ///
    /// # Errors
    /// When it is not what Kafka or we write, or tells of what lies at `end` or behind it.
    pub fn parse_snapshot(bytes: &[u8], end: Offset) -> Result<Self, SnapshotFault> {
        let mut reader = Reader { bytes };
        let version = i16::from_be_bytes(reader.take()?);
        if version != VERSION {
            return Err(SnapshotFault::Version { version });
        }
        let stored = u32::from_be_bytes(reader.take()?);
        let computed = crc32c(reader.bytes);
        if stored != computed {
            return Err(SnapshotFault::Crc { stored, computed });
        }
        let count = usize::try_from(i32::from_be_bytes(reader.take()?)).unwrap_or(usize::MAX);
        // What the bytes cannot hold is not made room for.
        if count > reader.bytes.len() / PRODUCER_BYTES {
            return Err(SnapshotFault::Short);
        }
        let (array, trailer) = reader.bytes.split_at(count * PRODUCER_BYTES);
        let mut array = Reader { bytes: array };
        let mut trailer = Trailer::open(trailer)?;
        let mut state = Self::default();
        for at in 0..count {
            let (id, mut producer) = array.producer()?.ok_or(SnapshotFault::Producer { at })?;
            trailer.add_older(&mut producer)?;
            if !producer.is_below(end) || !state.restore(id, Box::new(producer)) {
                return Err(SnapshotFault::Producer { at });
            }
        }
        trailer.close()?;
        Ok(state)
    }
}

impl Producer {
    /// The recent batches but the newest.
    fn older(&self) -> impl Iterator<Item = &RecentBatch> {
        let known = self.recent.iter().flatten().count();
        self.recent.iter().flatten().take(known.saturating_sub(1))
    }

    fn newest(&self) -> Option<&RecentBatch> {
        self.recent.iter().flatten().last()
    }

    /// Whether all that is told of it lies below `end`, and its batches in order.
    fn is_below(&self, end: Offset) -> bool {
        let batches = self.recent.iter().flatten();
        let ordered =
            batches.clone().zip(batches.skip(1)).all(|(a, b)| a.last_offset < b.base_offset);
        let newest = self.newest().map(|newest| newest.last_offset);
        ordered && newest.max(self.transaction_start).is_none_or(|last| last < end)
    }
}

fn encode_producer(id: ProducerId, producer: &Producer, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&id.get().to_be_bytes());
    bytes.extend_from_slice(&producer.epoch.get().to_be_bytes());
    match producer.newest() {
        Some(newest) => encode_batch(newest, bytes),
        None => {
            bytes.extend_from_slice(&Sequence::to_wire(None).to_be_bytes());
            bytes.extend_from_slice(&Offset::to_wire(None).to_be_bytes());
            bytes.extend_from_slice(&0_i32.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&Timestamp::to_wire(producer.last_timestamp).to_be_bytes());
    bytes.extend_from_slice(&producer.coordinator_epoch.unwrap_or(-1).to_be_bytes());
    bytes.extend_from_slice(&Offset::to_wire(producer.transaction_start).to_be_bytes());
}

/// What array and trailer say of a batch alike.
fn encode_batch(batch: &RecentBatch, bytes: &mut Vec<u8>) {
    let delta = batch.last_offset.get() - batch.base_offset.get();
    let delta = i32::try_from(delta).expect("a batch spans less than 2^31 offsets");
    bytes.extend_from_slice(&batch.last_sequence.get().to_be_bytes());
    bytes.extend_from_slice(&batch.last_offset.get().to_be_bytes());
    bytes.extend_from_slice(&delta.to_be_bytes());
}

/// Takes numbers from the front of bytes.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const LEN: usize>(&mut self) -> Result<[u8; LEN], SnapshotFault> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(SnapshotFault::Short)?;
        self.bytes = rest;
        Ok(*taken)
    }

    /// `None` for numbers that Kafka never writes.
    fn producer(&mut self) -> Result<Option<(ProducerId, Producer)>, SnapshotFault> {
        let id = ProducerId::from_wire(i64::from_be_bytes(self.take()?));
        let epoch = ProducerEpoch::from_wire(i16::from_be_bytes(self.take()?));
        let kept = self.batch()?;
        let last_timestamp = Timestamp::from_wire(i64::from_be_bytes(self.take()?));
        let coordinator_epoch = i32::from_be_bytes(self.take()?);
        let transaction_start = Offset::from_wire(i64::from_be_bytes(self.take()?));
        let (Some(id), Some(epoch)) = (id, epoch) else { return Ok(None) };
        let mut producer = Producer {
            last_timestamp,
            transaction_start,
            coordinator_epoch: (coordinator_epoch >= 0).then_some(coordinator_epoch),
            ..Producer::new(epoch)
        };
        match kept {
            Kept::Nothing => {}
            Kept::Batch(batch) => {
                producer.remember(RecentBatch { timestamp: last_timestamp, ..batch });
            }
            Kept::Nonsense => return Ok(None),
        }
        Ok(Some((id, producer)))
    }

    fn batch(&mut self) -> Result<Kept, SnapshotFault> {
        let last_sequence = Sequence::from_wire(i32::from_be_bytes(self.take()?));
        let last_offset = Offset::from_wire(i64::from_be_bytes(self.take()?));
        let delta = i32::from_be_bytes(self.take()?);
        // What a coordinator writes has an offset, but no sequence to recognise it by.
        let (Some(last_sequence), Some(last_offset)) = (last_sequence, last_offset) else {
            return Ok(Kept::Nothing);
        };
        let base_offset = Offset::from_wire(last_offset.get() - i64::from(delta));
        let Some(base_offset) = base_offset.filter(|_| delta >= 0) else {
            return Ok(Kept::Nonsense);
        };
        let first_sequence = last_sequence.plus(-delta);
        let timestamp = None;
        let batch =
            RecentBatch { first_sequence, last_sequence, base_offset, last_offset, timestamp };
        Ok(Kept::Batch(batch))
    }
}

/// What a producer's entry says of its newest batch.
enum Kept {
    Nothing,
    Batch(RecentBatch),
    Nonsense,
}

/// The bytes behind the array, if there are any.
struct Trailer<'a> {
    reader: Option<Reader<'a>>,
}

impl<'a> Trailer<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, SnapshotFault> {
        if bytes.is_empty() {
            return Ok(Self { reader: None });
        }
        let bytes = bytes.strip_prefix(&TRAILER).ok_or(SnapshotFault::Trailer)?;
        Ok(Self { reader: Some(Reader { bytes }) })
    }

    /// Puts the older batches of the next producer in front of its newest.
    fn add_older(&mut self, producer: &mut Producer) -> Result<(), SnapshotFault> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let [count] = reader.take()?;
        let newest = producer.recent[0].take();
        let fits = usize::from(count) < RECENT_BATCHES && (count == 0 || newest.is_some());
        if !fits || usize::from(count) * BATCH_BYTES > reader.bytes.len() {
            return Err(SnapshotFault::Trailer);
        }
        for _ in 0..count {
            let Kept::Batch(batch) = reader.batch()? else { return Err(SnapshotFault::Trailer) };
            let timestamp = Timestamp::from_wire(i64::from_be_bytes(reader.take()?));
            producer.remember(RecentBatch { timestamp, ..batch });
        }
        newest.into_iter().for_each(|newest| producer.remember(newest));
        Ok(())
    }

    fn close(self) -> Result<(), SnapshotFault> {
        match self.reader {
            Some(reader) if !reader.bytes.is_empty() => Err(SnapshotFault::Trailer),
            _ => Ok(()),
        }
    }
}
