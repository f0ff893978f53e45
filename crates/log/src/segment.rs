//! One file of batches and its indexes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ottla_env::File;
use ottla_records::BatchHeader;
use ottla_types::{Offset, Timestamp};

use crate::aborted::AbortedIndex;
use crate::index::{MaxTimestamp, SegmentIndex};
use crate::{EndedTransaction, LogConfig, segment_name};

/// What writer and readers share of a segment. Most segments of most logs are never looked at, so
/// a segment is a name until whoever needs it first has loaded it.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset in its file's name: no record in it is older.
    pub(crate) base: Offset,
    pub(crate) directory: Arc<Path>,
    /// Bytes between two index entries.
    pub(crate) interval: u32,
    /// Bytes between two index entries that stay in memory, if not all do.
    pub(crate) thinned_to: Option<u32>,
    /// Its bytes when the log was surveyed; what nobody has loaded has not grown.
    pub(crate) surveyed: u64,
    /// When retention looked at it first: its age, if none of its records has a timestamp.
    pub(crate) seen: OnceLock<Timestamp>,
    /// What the last entry of its `.timeindex` says: not to be relied on for more than that the
    /// segment may be left alone.
    pub(crate) peeked: OnceLock<Option<Timestamp>>,
    /// A compaction of this process has made it from others: positions from before mean nothing.
    pub(crate) is_rewritten: bool,
    loaded: OnceLock<Loaded>,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) file: Arc<dyn File>,
    pub(crate) index: SegmentIndex,
    /// Transactions that a marker in this segment has aborted.
    pub(crate) aborted: AbortedIndex,
    /// What the index files held when it was loaded.
    pub(crate) stored: Stored,
}

/// What the index files of a segment hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    /// They begin with so many of the entries in memory.
    pub(crate) entries: Entries,
    /// And something follows that is of no use.
    pub(crate) excess: bool,
    /// They are missing, or not to be believed: the entries were made from the batches.
    pub(crate) disproved: bool,
}

/// How many entries there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    pub(crate) offsets: usize,
    pub(crate) times: usize,
    pub(crate) aborted: usize,
}

impl Segment {
    /// A segment that is appended to, or will be.
    pub(crate) fn active(
        directory: &Arc<Path>,
        base: Offset,
        surveyed: u64,
        config: &LogConfig,
    ) -> Self {
        Self {
            base,
            directory: Arc::clone(directory),
            interval: config.index_interval_bytes,
            thinned_to: None,
            surveyed,
            seen: OnceLock::new(),
            peeked: OnceLock::new(),
            is_rewritten: false,
            loaded: OnceLock::new(),
        }
    }

    /// A segment that nobody appends to any more. An active segment of 1 GiB may have 6 MB of
    /// index, a sealed one has a sixteenth of it.
    pub(crate) fn sealed(
        directory: &Arc<Path>,
        base: Offset,
        surveyed: u64,
        config: &LogConfig,
    ) -> Self {
        let thinned_to = Some(config.sealed_interval_bytes());
        Self { thinned_to, ..Self::active(directory, base, surveyed, config) }
    }

    /// A segment of so many bytes in the place of others, of which `first` is the first.
    pub(crate) fn rewritten(
        first: &Self,
        all: &[Arc<Self>],
        bytes: u64,
        config: &LogConfig,
    ) -> Self {
        let sealed = Self::sealed(&first.directory, first.base, bytes, config);
        // Records without a time are as old as they were.
        let seen = all.iter().filter_map(|old| old.seen.get()).max().copied();
        let seen = seen.map_or_else(OnceLock::new, OnceLock::from);
        Self { is_rewritten: true, seen, ..sealed }
    }

    /// The same segment, open.
    pub(crate) fn with(mut self, loaded: Loaded) -> Arc<Self> {
        self.loaded = OnceLock::from(loaded);
        Arc::new(self)
    }

    /// The open segment; `None` before anybody needed it.
    pub(crate) fn get(&self) -> Option<&Loaded> {
        self.loaded.get()
    }

    /// Opens the segment with what was loaded, unless somebody was faster: readers and the
    /// writer must share one index.
    pub(crate) fn set(&self, loaded: Loaded) -> &Loaded {
        self.loaded.get_or_init(|| match self.thinned_to {
            Some(interval) => loaded.thinned(interval),
            None => loaded,
        })
    }

    /// Where its batches are.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join(segment_name(self.base))
    }
}

impl Loaded {
    pub(crate) fn new(base: Offset, file: Arc<dyn File>) -> Self {
        let (index, aborted) = (SegmentIndex::new(base), AbortedIndex::new());
        Self { file, index, aborted, stored: Stored::default() }
    }

    /// The entries of this moment.
    pub(crate) fn entries(&self) -> Entries {
        let (offsets, times) = self.index.lens();
        Entries { offsets, times, aborted: self.aborted.len() }
    }

    /// What to keep in memory of a segment that nobody appends to any more. Readers that hold the
    /// old value go on with it.
    pub(crate) fn thinned(&self, interval: u32) -> Self {
        Self {
            file: Arc::clone(&self.file),
            index: self.index.thinned(u64::from(interval)),
            aborted: self.aborted.copied(),
            stored: self.stored,
        }
    }

    /// Takes note of a transaction whose marker lies here.
    pub(crate) fn on_ended(&self, transaction: Option<EndedTransaction>) {
        if let Some(aborted) = transaction.filter(|transaction| !transaction.committed) {
            self.aborted.push(&aborted);
        }
    }
}

/// What the writer, or a recovery, knows of the segment at its hands beyond what readers share.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SegmentTail {
    /// Bytes in it; the next batch goes there.
    pub(crate) position: u64,
    /// Bytes since the last index entry.
    unindexed: u64,
    pub(crate) max_timestamp: Option<MaxTimestamp>,
    /// The timestamp of the first batch that had one.
    pub(crate) first_timestamp: Option<Timestamp>,
}

impl SegmentTail {
    /// A tail that begins with the batch of the last index entry, at `position`.
    pub(crate) const fn at_last_entry(position: u64, max_timestamp: Option<MaxTimestamp>) -> Self {
        Self { position, unindexed: 0, max_timestamp, first_timestamp: None }
    }

    /// Takes note of a batch behind the tail that has no index entry, or has it already.
    pub(crate) fn walk(&mut self, batch: &BatchHeader) {
        if let Some(timestamp) = batch.max_timestamp {
            self.first_timestamp.get_or_insert(timestamp);
            if self.max_timestamp.is_none_or(|max| max.timestamp < timestamp) {
                self.max_timestamp = Some(MaxTimestamp { timestamp, offset: batch.last_offset() });
            }
        }
        self.position += u64::from(batch.size);
        self.unindexed += u64::from(batch.size);
    }

    /// Takes note of a batch that now lies at the tail, with its final offsets. Entries are made
    /// where Kafka makes them, since its tools compare.
    pub(crate) fn push(&mut self, index: &SegmentIndex, batch: &BatchHeader, interval: u32) {
        let (position, wanted) = (self.position, self.unindexed > u64::from(interval));
        if wanted {
            self.unindexed = 0;
        }
        self.walk(batch);
        if wanted {
            self.seal(index);
            index.push_offset(batch.last_offset(), position);
        }
    }

    /// The last entry, made when no batch will follow: readers of a sealed segment then know its
    /// largest timestamp.
    pub(crate) fn seal(&self, index: &SegmentIndex) {
        self.max_timestamp.into_iter().for_each(|max| index.push_time(max));
    }
}
