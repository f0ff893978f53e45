//! The two walks of a compaction over the batches of a log, fed with whole chunks of them: the
//! first learns where the newest record of each key is, the second writes what stays.

use std::io::{self, IoSlice};

use ottla_records::{
    Batch, BatchHeader, Batches, HEADER_BYTES, HeaderError, RawRecords, StreamError,
};
use ottla_types::Offset;
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;

use super::CompactionError;
use super::filter::{Filter, Kept, RecordsFault};
use super::key_map::{Full, HashSeeds, KeyHash, KeyMap};
use super::transactions::{Standing, Transactions};
use crate::segment::{Loaded, SegmentTail};
use crate::{EndedTransaction, Fault};

/// Pieces of one write: as many as the system takes at once.
const PIECES_MAX: usize = 1_000;

/// Whole batches of a segment, and perhaps the beginning of another.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) segment: Offset,
    pub(crate) position: u64,
    /// No batch begins before.
    pub(crate) from: Offset,
    /// None reaches as far: the next segment begins there.
    pub(crate) end: Offset,
    pub(crate) bytes: Vec<u8>,
}

/// How far a chunk was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) bytes: u64,
    /// The next batch begins there, or behind it.
    pub(crate) next: Offset,
}

/// The first walk.
#[derive(Debug)]
pub(crate) struct Indexer {
    map: KeyMap,
    transactions: Transactions,
    from: Offset,
    seeds: HashSeeds,
    keys_max: usize,
    is_full: bool,
    /// Of the batch at hand.
    keys: Vec<(KeyHash, Offset)>,
}

/// The second walk, over the segments that become one.
#[derive(Debug)]
pub(crate) struct Rewriter {
    pub(crate) filter: Box<Filter>,
    pub(crate) output: Output,
}

/// A segment that is written.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) loaded: Loaded,
    pub(crate) tail: SegmentTail,
    /// Bytes between two index entries.
    pub(crate) interval: u32,
    /// Bytes that no sync has covered.
    pub(crate) unsynced: u64,
}

impl Chunk {
    /// Hands over the whole batches, each verified. A chunk without a whole batch is cut from a
    /// damaged segment.
    fn each(
        &self,
        mut take: impl FnMut(&Batch<'_>) -> Result<Walk, RecordsFault>,
    ) -> Result<Taken, CompactionError> {
        let mut taken = Taken { bytes: 0, next: self.from };
        let damaged = |taken: Taken, fault| CompactionError::Damaged {
            segment: self.segment,
            position: self.position + taken.bytes,
            fault,
        };
        for batch in Batches::new(&self.bytes) {
            let batch = batch.map_err(|error| damaged(taken, error.into()))?;
            self.check(&batch, taken.next).map_err(|fault| damaged(taken, fault))?;
            let base_offset = batch.header.base_offset;
            let walk =
                take(&batch).map_err(|fault| CompactionError::Records { base_offset, fault })?;
            taken.bytes += u64::from(batch.header.size);
            taken.next = batch.header.last_offset().next();
            if walk == Walk::Ends {
                return Ok(taken);
            }
        }
        if taken.bytes == 0 {
            let length = i32::try_from(self.bytes.len()).unwrap_or(i32::MAX);
            return Err(damaged(taken, Fault::from(HeaderError::Length { length })));
        }
        Ok(taken)
    }

    /// Base offsets lie in front of the checksum, so they are held against their neighbours.
    fn check(&self, batch: &Batch<'_>, expected: Offset) -> Result<(), Fault> {
        let header = &batch.header;
        if !batch.crc_matches() {
            let stored = header.crc;
            let computed = ottla_records::crc32c(&batch.bytes[CHECKED_FROM..]);
            return Err(StreamError::Checksum { stored, computed }.into());
        }
        if header.base_offset < expected {
            return Err(Fault::Offset { found: header.base_offset, expected });
        }
        if header.last_offset() >= self.end {
            return Err(Fault::OutOfReach { found: header.last_offset() });
        }
        Ok(())
    }
}

/// Where the checksum of a batch begins to count.
const CHECKED_FROM: usize = 21;

/// Whether a walk goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    GoesOn,
    Ends,
}

impl Indexer {
    /// A walk from `from` on, to so many keys.
    pub(crate) fn new(
        from: Offset,
        keys_max: usize,
        seeds: HashSeeds,
        transactions: Transactions,
    ) -> Self {
        let map = KeyMap::new(keys_max, seeds, from);
        Self { map, transactions, from, seeds, keys_max, is_full: false, keys: Vec::new() }
    }

    /// Takes the next batches.
    ///
    /// # Errors
    /// When one is damaged.
    pub(crate) fn feed(&mut self, chunk: &Chunk) -> Result<Taken, CompactionError> {
        chunk.each(|batch| self.take(batch))
    }

    /// The segment that was walked over last has no more batches, and the next one begins there.
    pub(crate) fn on_segment_end(&mut self, next: Offset) {
        self.map.advance(next);
    }

    /// Whether there is no room for more keys.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// What was learned.
    pub(crate) fn finish(self) -> KeyMap {
        self.map
    }

    fn take(&mut self, batch: &Batch<'_>) -> Result<Walk, RecordsFault> {
        let header = &batch.header;
        let standing = self.transactions.next(header, &batch.bytes[HEADER_BYTES..]);
        if header.last_offset() < self.from {
            return Ok(Walk::GoesOn);
        }
        if standing == Standing::Data {
            while self.index(batch)? == Err(Full) {
                if self.map.upto() > self.from {
                    self.is_full = true;
                    return Ok(Walk::Ends);
                }
                // One batch alone has more keys than there is room for. Without them, the log
                // would never be compacted.
                self.keys_max *= 2;
                self.map = KeyMap::new(self.keys_max, self.seeds, self.from);
            }
        }
        self.map.advance(header.last_offset().next());
        Ok(Walk::GoesOn)
    }

    fn index(&mut self, batch: &Batch<'_>) -> Result<Result<(), Full>, RecordsFault> {
        let codec = batch.header.attributes.compression();
        let inflated = codec.inflate(&batch.bytes[HEADER_BYTES..], INFLATED_BATCH_BYTES_MAX)?;
        self.keys.clear();
        for record in RawRecords::new(&batch.header, &inflated) {
            let record = record?;
            if let Some(key) = record.key.filter(|_| record.offset >= self.from) {
                self.keys.push((self.map.hash(key), record.offset));
            }
        }
        Ok(self.map.put_all(&self.keys))
    }
}

impl Rewriter {
    /// Takes the next batches, and writes what stays of them into the page cache.
    ///
    /// # Errors
    /// When one is damaged, or the disk refuses.
    pub(crate) fn feed(&mut self, chunk: &Chunk) -> Result<Taken, CompactionError> {
        let Self { filter, output } = self;
        let mut pieces = Pieces { chunk: &chunk.bytes, at: 0, runs: Vec::new() };
        let taken = chunk.each(|batch| {
            let (kept, aborts) = filter.next(batch)?;
            let size = batch.bytes.len();
            match kept {
                Kept::Whole => output.push(&batch.header, aborts),
                Kept::Rebuilt(bytes) => {
                    let header = BatchHeader::parse(&bytes).expect("it was just encoded");
                    output.push(&header, aborts);
                    pieces.runs.push(Piece::Rebuilt(bytes));
                    pieces.at += size;
                    return Ok(Walk::GoesOn);
                }
                Kept::Gone => {
                    pieces.at += size;
                    return Ok(Walk::GoesOn);
                }
            }
            pieces.keep(size);
            Ok(Walk::GoesOn)
        })?;
        output.write(&pieces)?;
        Ok(taken)
    }
}

/// What a chunk comes to, in order. Neighbours that stay as they are, are written from where they
/// were read.
struct Pieces<'a> {
    chunk: &'a [u8],
    at: usize,
    runs: Vec<Piece>,
}

enum Piece {
    Kept(std::ops::Range<usize>),
    Rebuilt(Vec<u8>),
}

impl Pieces<'_> {
    fn keep(&mut self, size: usize) {
        let end = self.at + size;
        match self.runs.last_mut() {
            Some(Piece::Kept(run)) if run.end == self.at => run.end = end,
            _ => self.runs.push(Piece::Kept(self.at..end)),
        }
        self.at = end;
    }

    fn slices(&self) -> Vec<&[u8]> {
        self.runs.iter().map(|piece| self.slice(piece)).collect()
    }

    fn slice<'s>(&'s self, piece: &'s Piece) -> &'s [u8] {
        match piece {
            Piece::Kept(run) => &self.chunk[run.clone()],
            Piece::Rebuilt(bytes) => bytes,
        }
    }
}

impl Output {
    /// Takes note of a batch that comes next.
    fn push(&mut self, header: &BatchHeader, aborts: Option<EndedTransaction>) {
        self.tail.push(&self.loaded.index, header, self.interval);
        self.loaded.on_ended(aborts);
    }

    /// Writes what the tail knows of already.
    fn write(&mut self, pieces: &Pieces<'_>) -> io::Result<()> {
        let slices = pieces.slices();
        let len: u64 = slices.iter().map(|slice| slice.len() as u64).sum();
        let mut at = self.tail.position - len;
        for some in slices.chunks(PIECES_MAX) {
            let parts: Vec<IoSlice<'_>> = some.iter().map(|slice| IoSlice::new(slice)).collect();
            self.loaded.file.write_at(at, &parts)?;
            at += some.iter().map(|slice| slice.len() as u64).sum::<u64>();
        }
        assert_eq!(at, self.tail.position, "every batch is written where the indexes say");
        self.unsynced += len;
        Ok(())
    }
}
