//! One file of batches and its indexes.

use std::sync::Arc;

use ottla_env::File;
use ottla_records::BatchHeader;
use ottla_types::{Offset, Timestamp};

use crate::aborted::AbortedIndex;
use crate::index::{MaxTimestamp, SegmentIndex};
use crate::{EndedTransaction, LogConfig};

/// What writer and readers share of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The offset in its file's name: no record in it is older.
    pub(crate) base: Offset,
    pub(crate) file: Arc<dyn File>,
    pub(crate) index: SegmentIndex,
    /// Transactions that a marker in this segment has aborted.
    pub(crate) aborted: AbortedIndex,
}

impl Segment {
    pub(crate) fn new(base: Offset, file: Arc<dyn File>) -> Arc<Self> {
        Arc::new(Self { base, file, index: SegmentIndex::new(base), aborted: AbortedIndex::new() })
    }

    /// What to keep in memory of a segment that nobody appends to any more: an active segment of
    /// 1 GiB may have 6 MB of index, a sealed one has a sixteenth of it. Readers that hold the
    /// old value go on with it.
    pub(crate) fn sealed(&self, config: &LogConfig) -> Arc<Self> {
        Arc::new(Self {
            base: self.base,
            file: Arc::clone(&self.file),
            index: self.index.thinned(u64::from(config.sealed_interval_bytes())),
            aborted: self.aborted.copied(),
        })
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
    /// Takes note of a batch that now lies at the tail, with its final offsets. Entries are made
    /// where Kafka makes them, since its tools compare.
    pub(crate) fn push(&mut self, index: &SegmentIndex, batch: &BatchHeader, interval: u32) {
        if let Some(timestamp) = batch.max_timestamp {
            self.first_timestamp.get_or_insert(timestamp);
            if self.max_timestamp.is_none_or(|max| max.timestamp < timestamp) {
                self.max_timestamp = Some(MaxTimestamp { timestamp, offset: batch.last_offset() });
            }
        }
        if self.unindexed > u64::from(interval) {
            self.max_timestamp.into_iter().for_each(|max| index.push_time(max));
            index.push_offset(batch.last_offset(), self.position);
            self.unindexed = 0;
        }
        self.position += u64::from(batch.size);
        self.unindexed += u64::from(batch.size);
    }

    /// The last entry, made when no batch will follow: readers of a sealed segment then know its
    /// largest timestamp.
    pub(crate) fn seal(&self, index: &SegmentIndex) {
        self.max_timestamp.into_iter().for_each(|max| index.push_time(max));
    }
}
