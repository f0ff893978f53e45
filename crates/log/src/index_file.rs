//! Kafka's index files of one segment: `.index`, `.timeindex` and `.txnindex`.
//!
//! All numbers are big-endian. None of the files has a checksum: what parses may still say wrong
//! things of the log, so a reader of them compares with the batches where it matters.

#[cfg(test)]
mod tests;

use std::ops::Range;

use ottla_types::{Offset, ProducerId, Timestamp};

use crate::EndedTransaction;
use crate::aborted::AbortedIndex;
use crate::index::{MaxTimestamp, SegmentIndex};

/// Relative last offset of a batch, and the position of its first byte: `i32`, `i32`.
pub(crate) const OFFSET_ENTRY_BYTES: usize = 8;
/// The largest timestamp so far, and the relative last offset of the batch that has it: `i64`,
/// `i32`.
pub(crate) const TIME_ENTRY_BYTES: usize = 12;
/// Version (`i16`), producer, first offset, the marker's offset, last stable offset: `i64` each.
pub(crate) const ABORTED_ENTRY_BYTES: usize = 34;

/// Why an index file cannot be used. It is made anew from the batches then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    #[error("{bytes} bytes are no whole number of entries of {entry_bytes} bytes")]
    Size { bytes: usize, entry_bytes: usize },
    #[error("entry {entry} does not grow over the one before it")]
    Order { entry: usize },
    #[error("entry {entry} points outside of its segment")]
    OutOfSegment { entry: usize },
    #[error("entry {entry} is none that Kafka writes")]
    Entry { entry: usize },
}

/// How far a segment goes, or how much of it is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexBounds {
    pub(crate) base: Offset,
    /// The offset after the last of it.
    pub(crate) end_offset: Offset,
    /// Bytes of it.
    pub(crate) end_position: u64,
}

impl IndexBounds {
    fn holds(&self, relative: u32) -> bool {
        i64::from(relative) < self.end_offset.get() - self.base.get()
    }
}

/// An entry of an `.index` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The last offset of the batch, less the segment's base.
    pub(crate) relative: u32,
    pub(crate) position: u32,
}

/// An entry of a `.timeindex` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    pub(crate) timestamp: Timestamp,
    /// The last offset of the batch that has the timestamp, less the segment's base.
    pub(crate) relative: u32,
}

/// The bytes of an `.index` file; its entries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntries<'a>(&'a [[u8; OFFSET_ENTRY_BYTES]]);

/// The bytes of a `.timeindex` file; its entries grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeEntries<'a>(&'a [[u8; TIME_ENTRY_BYTES]]);

impl<'a> OffsetEntries<'a> {
    /// Takes a file's bytes. The zeros behind the last entry are left out: Apache Kafka makes the
    /// active segment's file in its full length, and cuts it when it stops cleanly.
    ///
    /// # Errors
    /// When the bytes are not what Kafka writes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, IndexFault> {
        let entries = entries(bytes)?;
        let mut before = OffsetEntry { relative: 0, position: 0 };
        let mut len = 0;
        for entry in entries.iter().copied().map(offset_entry) {
            // No batch with an entry is its segment's first.
            if entry.relative <= before.relative || entry.position <= before.position {
                break;
            }
            if entry.relative.max(entry.position) > i32::MAX.cast_unsigned() {
                return Err(IndexFault::Entry { entry: len });
            }
            before = entry;
            len += 1;
        }
        Ok(Self(without_zeros(entries, len)?))
    }

    /// The entries in front of an end; what is behind it was not synced, or is not there.
    pub(crate) fn below(self, bounds: &IndexBounds) -> Self {
        let inside = |entry: &[u8; OFFSET_ENTRY_BYTES]| {
            let OffsetEntry { relative, position } = offset_entry(*entry);
            bounds.holds(relative) && u64::from(position) < bounds.end_position
        };
        Self(&self.0[..self.0.partition_point(inside)])
    }

    /// Whether every entry points into the segment.
    ///
    /// # Errors
    /// When one does not.
    pub(crate) fn check_within(self, bounds: &IndexBounds) -> Result<(), IndexFault> {
        check_all_below(self.len(), self.below(bounds).len())
    }

    pub(crate) const fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = OffsetEntry> + use<'a> {
        self.0.iter().copied().map(offset_entry)
    }
}

impl<'a> TimeEntries<'a> {
    /// Takes a file's bytes, as [`OffsetEntries::parse`] does.
    ///
    /// # Errors
    /// When the bytes are not what Kafka writes.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, IndexFault> {
        let entries = entries(bytes)?;
        let mut before: Option<TimeEntry> = None;
        let mut len = 0;
        for bytes in entries {
            let Some(entry) = time_entry(bytes) else {
                return Err(IndexFault::Entry { entry: len });
            };
            let grows = |before: TimeEntry| {
                before.timestamp < entry.timestamp && before.relative <= entry.relative
            };
            if !before.is_none_or(grows) {
                break;
            }
            before = Some(entry);
            len += 1;
        }
        // Timestamp 0 at relative offset 0 may be a first entry; with zeros behind it, it is one
        // of them.
        let only_zeros = len == 1 && entries.len() > 1 && entries[0] == [0; TIME_ENTRY_BYTES];
        Ok(Self(without_zeros(entries, if only_zeros { 0 } else { len })?))
    }

    /// The entries in front of an end.
    pub(crate) fn below(self, bounds: &IndexBounds) -> Self {
        let inside = |bytes: &[u8; TIME_ENTRY_BYTES]| {
            time_entry(bytes).is_some_and(|entry| bounds.holds(entry.relative))
        };
        Self(&self.0[..self.0.partition_point(inside)])
    }

    /// Whether every entry points into the segment.
    ///
    /// # Errors
    /// When one does not.
    pub(crate) fn check_within(self, bounds: &IndexBounds) -> Result<(), IndexFault> {
        check_all_below(self.len(), self.below(bounds).len())
    }

    pub(crate) const fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = TimeEntry> + use<'a> {
        self.0.iter().map(|bytes| time_entry(bytes).expect("checked by `parse`"))
    }
}

fn entries<const BYTES: usize>(bytes: &[u8]) -> Result<&[[u8; BYTES]], IndexFault> {
    match bytes.as_chunks() {
        (entries, []) => Ok(entries),
        _ => Err(IndexFault::Size { bytes: bytes.len(), entry_bytes: BYTES }),
    }
}

/// The first `len` entries, if nothing but zeros follows them.
fn without_zeros<const BYTES: usize>(
    entries: &[[u8; BYTES]],
    len: usize,
) -> Result<&[[u8; BYTES]], IndexFault> {
    let (entries, rest) = entries.split_at(len);
    match rest.iter().all(|entry| *entry == [0; BYTES]) {
        true => Ok(entries),
        false => Err(IndexFault::Order { entry: len }),
    }
}

const fn check_all_below(len: usize, below: usize) -> Result<(), IndexFault> {
    if below < len { Err(IndexFault::OutOfSegment { entry: below }) } else { Ok(()) }
}

fn offset_entry(bytes: [u8; OFFSET_ENTRY_BYTES]) -> OffsetEntry {
    let [relative, position] = [&bytes[..4], &bytes[4..]].map(be_u32);
    OffsetEntry { relative, position }
}

/// `None` for numbers that Kafka never writes.
fn time_entry(bytes: &[u8; TIME_ENTRY_BYTES]) -> Option<TimeEntry> {
    let relative = be_u32(&bytes[8..]);
    let timestamp = Timestamp::from_wire(be_i64(&bytes[..8]))?;
    i32::try_from(relative).ok().map(|_| TimeEntry { timestamp, relative })
}

fn be_u32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes are asked for"))
}

fn be_i64(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().expect("eight bytes are asked for"))
}

impl SegmentIndex {
    /// The index that was kept in two files.
    pub(crate) fn from_entries(
        base: Offset,
        offsets: OffsetEntries<'_>,
        times: TimeEntries<'_>,
    ) -> Self {
        let index = Self::new(base);
        let offset = |relative: u32| base.plus(i64::from(relative));
        for TimeEntry { timestamp, relative } in times.iter() {
            index.push_time(MaxTimestamp { timestamp, offset: offset(relative) });
        }
        for OffsetEntry { relative, position } in offsets.iter() {
            index.push_offset(offset(relative), u64::from(position));
        }
        index
    }

    /// How many offset entries there are, and how many time entries.
    pub(crate) fn lens(&self) -> (usize, usize) {
        (self.offsets.len(), self.times.len())
    }

    /// The bytes of some offset entries in an `.index` file.
    pub(crate) fn encode_offsets(&self, range: Range<usize>) -> Vec<u8> {
        range.flat_map(|at| self.offsets.get(at)[0].to_be_bytes()).collect()
    }

    /// The bytes of some time entries in a `.timeindex` file.
    pub(crate) fn encode_times(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len() * TIME_ENTRY_BYTES);
        for [timestamp, relative] in range.map(|at| self.times.get(at)) {
            let relative = u32::try_from(relative).expect("relative offsets have 31 bits");
            bytes.extend_from_slice(&timestamp.to_be_bytes());
            bytes.extend_from_slice(&relative.to_be_bytes());
        }
        bytes
    }
}

/// The only version of an entry of a `.txnindex` file.
const ABORTED_VERSION: [u8; 2] = [0; 2];

impl AbortedIndex {
    /// Reads a `.txnindex` file; entries whose markers lie at `end` or behind it are left out.
    ///
    /// # Errors
    /// When the bytes are not what Kafka writes for a segment that begins at `base`.
    pub(crate) fn parse(bytes: &[u8], base: Offset, end: Offset) -> Result<Self, IndexFault> {
        let index = Self::new();
        let mut before: Option<Offset> = None;
        for (at, bytes) in entries(bytes)?.iter().enumerate() {
            let entry = aborted_entry(bytes).ok_or(IndexFault::Entry { entry: at })?;
            if before.is_some_and(|before| entry.last_offset <= before) {
                return Err(IndexFault::Order { entry: at });
            }
            if entry.last_offset < base {
                return Err(IndexFault::OutOfSegment { entry: at });
            }
            before = Some(entry.last_offset);
            if entry.last_offset < end {
                index.push(&entry);
            }
        }
        Ok(index)
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An entry below a length seen before.
    pub(crate) fn get(&self, at: usize) -> EndedTransaction {
        let [producer, first, last, last_stable] = self.entries.get(at).map(u64::cast_signed);
        EndedTransaction {
            producer: ProducerId::new(producer),
            first_offset: Offset::new(first),
            last_offset: Offset::new(last),
            committed: false,
            last_stable_offset: Offset::new(last_stable),
        }
    }

    /// The bytes of some entries in a `.txnindex` file.
    pub(crate) fn encode(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len() * ABORTED_ENTRY_BYTES);
        for numbers in range.map(|at| self.entries.get(at)) {
            bytes.extend_from_slice(&ABORTED_VERSION);
            numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        }
        bytes
    }
}

/// `None` for an entry that contradicts itself.
fn aborted_entry(bytes: &[u8; ABORTED_ENTRY_BYTES]) -> Option<EndedTransaction> {
    let (version, numbers) = bytes.split_at(ABORTED_VERSION.len());
    let number = |at: usize| be_i64(&numbers[at * 8..][..8]);
    let offset = |at: usize| Offset::from_wire(number(at));
    let entry = EndedTransaction {
        producer: ProducerId::from_wire(number(0))?,
        first_offset: offset(1)?,
        last_offset: offset(2)?,
        committed: false,
        last_stable_offset: offset(3)?,
    };
    let ordered = entry.first_offset < entry.last_offset
        && entry.last_stable_offset.get() - 1 <= entry.last_offset.get();
    (version == ABORTED_VERSION && ordered).then_some(entry)
}
