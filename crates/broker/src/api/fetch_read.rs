//! What the partitions of a Fetch give, read by nobody: ranges of files that lie in the page cache.

use std::ops::Range;
use std::sync::Arc;

use ottla_env::{CachedRead, Part};
use ottla_log::{
    AbortedTransaction, Located, LogPosition, LogView, ReadError, ReadOutcome, RecordSlice,
};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};
use ottla_wire::ErrorCode;
use ottla_wire::hot::FetchPartition;

use crate::partition::{Absent, Bounds, Cold, ColdRecords, Isolation, Partition, TopicEntry};

/// Below this many bytes a copy costs less than a system call of its own.
const COPY_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of an answer of which small slices are copied; behind them they, too, are sent from their
/// files. A consumer of thousands of partitions gets tens of MB in one answer, and takes its time.
const COPIED_BYTES_MAX: u32 = 1024 * 1024;

/// A slice that ends so near the log's end belongs to a consumer that keeps up: what comes next is
/// written by us, and in the page cache.
const TAIL_BYTES: u64 = 8 * 1024 * 1024;

/// Places that one pass remembers to be cold: the first is read for the fetch, the others on the
/// side, for the next one.
const COLD_PLACES_MAX: usize = 16;

/// What one partition of the request gives.
#[derive(Debug)]
pub(super) struct PartitionRead {
    pub(super) index: i32,
    pub(super) found: Result<Found, ErrorCode>,
}

impl PartitionRead {
    /// How many bytes of batches it gives.
    pub(super) fn bytes(&self) -> u64 {
        let records = self.found.as_ref().ok().and_then(|found| found.records.as_ref());
        records.map_or(0, |records| u64::from(records.slice.len))
    }
}

/// Part of a partition's log.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) partition: Arc<Partition>,
    pub(super) bounds: Bounds,
    pub(super) records: Option<Records>,
    /// There is nothing to read, now.
    pub(super) caught_up: bool,
}

/// Records for a consumer.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) given: Given,
    /// What a reader of committed records has to skip in them.
    pub(super) aborted: Vec<AbortedTransaction>,
    /// Where they lie.
    slice: RecordSlice,
}

/// How an answer gets records.
#[derive(Debug)]
pub(super) enum Given {
    /// Copied, to this place in [`FetchRoom::copied`].
    Copied(Range<usize>),
    /// Sent from the file.
    Sent(Part),
}

/// What a look at the partitions of a Fetch needs memory for, which the loop keeps.
#[derive(Debug, Default)]
pub(crate) struct FetchRoom {
    pub(super) reads: Vec<PartitionRead>,
    /// Small slices of all partitions, one behind the other.
    pub(super) copied: Vec<u8>,
}

impl FetchRoom {
    pub(crate) fn clear(&mut self) {
        self.reads.clear();
        self.copied.clear();
    }

    /// The memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.reads.capacity() * size_of::<PartitionRead>() + self.copied.capacity()
    }
}

/// A read from the device that the same request has waited for.
#[derive(Clone, Debug)]
pub(super) struct Warmed {
    pub(super) cold: Cold,
    /// Otherwise the bytes stay cold, and would be tried for ever.
    pub(super) readable: bool,
}

/// What a request wants of all its partitions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Bytes of all partitions together.
    pub(super) bytes: u32,
    pub(super) isolation: Isolation,
    pub(super) warmed: Option<&'a Warmed>,
}

/// What a pass over the partitions came to.
#[derive(Debug, Default)]
pub(super) struct Pass {
    pub(super) bytes: u32,
    /// There is something that the client should hear of at once.
    pub(super) urgent: bool,
    /// Places that are not in the page cache, and the partitions that they belong to.
    pub(super) cold: Vec<(Arc<Partition>, Cold)>,
    /// What consumers that read from the device will want next.
    pub(super) next: Vec<(Arc<Partition>, Cold)>,
    /// Partitions that could have given records, now or later.
    pub(super) found: usize,
}

/// Why there are no records.
enum Trouble {
    /// The client has to hear of it.
    Failed(ErrorCode),
    Cold(Cold),
}

impl Pass {
    /// Reads one partition of a topic that exists.
    pub(super) fn read(
        &mut self,
        topic: &TopicEntry,
        asked: &FetchPartition,
        wanted: Wanted<'_>,
        copied: &mut Vec<u8>,
    ) -> Result<Found, ErrorCode> {
        match topic.partition(asked.partition) {
            Ok(partition) => self.read_partition(partition, asked, wanted, copied),
            Err(absent) => {
                // The topic may be about to get more partitions: no hurry then.
                self.urgent |= absent == Absent::Offline;
                Err(absent.into())
            }
        }
    }

    /// Reads one partition.
    pub(super) fn read_partition(
        &mut self,
        partition: &Arc<Partition>,
        asked: &FetchPartition,
        wanted: Wanted<'_>,
        copied: &mut Vec<u8>,
    ) -> Result<Found, ErrorCode> {
        let read = read_one(partition, asked, wanted, self, copied);
        match &read {
            Ok(_) => self.found += 1,
            Err(_) => self.urgent = true,
        }
        read
    }

    /// Takes note of a place that is not in the page cache; an error if the device cannot read it.
    fn on_cold(
        &mut self,
        partition: &Arc<Partition>,
        cold: Cold,
        wanted: Wanted<'_>,
    ) -> Result<(), ErrorCode> {
        let failed = |warmed: &Warmed| !warmed.readable && warmed.cold.is_same(&cold);
        if wanted.warmed.is_some_and(failed) {
            partition.traffic().on_fetch_failed();
            return Err(ErrorCode::KafkaStorageError);
        }
        if self.cold.len() < COLD_PLACES_MAX {
            self.cold.push((Arc::clone(partition), cold));
        }
        Ok(())
    }
}

fn read_one(
    partition: &Arc<Partition>,
    asked: &FetchPartition,
    wanted: Wanted<'_>,
    pass: &mut Pass,
    copied: &mut Vec<u8>,
) -> Result<Found, ErrorCode> {
    if partition.is_offline() {
        return Err(Absent::Offline.into());
    }
    check_epoch(partition, believed_epoch(asked))?;
    // Before the bounds: a log that is open by now has shown what is stable.
    let unsure = wanted.isolation == Isolation::ReadCommitted && partition.is_unsure_of_stable();
    let bounds = bounds_of(partition);
    let from = Offset::from_wire(asked.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    // Between the high watermark and the log's end lies what is not committed yet: not out of
    // range, but not to be read either.
    if from < bounds.log_start || from > bounds.log_end.offset {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let caught_up = from >= bounds.readable_end(wanted.isolation);
    let found = |records| Found { partition: Arc::clone(partition), bounds, records, caught_up };
    if unsure {
        pass.on_cold(partition, Cold::Writer(Arc::clone(partition)), wanted)?;
        return Ok(found(None));
    }
    if caught_up {
        return Ok(found(None));
    }
    let budget = wanted.bytes.saturating_sub(pass.bytes);
    let bytes = u32::try_from(asked.partition_max_bytes).unwrap_or(0).min(budget);
    let first = pass.bytes == 0;
    let records = if bytes > 0 || first {
        let copies = pass.bytes < COPIED_BYTES_MAX;
        let reading = Reading { partition, bounds: &bounds, wanted, copies };
        match reading.records(from, bytes, first, copied) {
            Ok(records) => records,
            Err(Trouble::Failed(error)) => return Err(error),
            Err(Trouble::Cold(cold)) => {
                pass.on_cold(partition, cold, wanted)?;
                return Ok(found(None));
            }
        }
    } else {
        None
    };
    // What can be read and is not in the answer, for want of room or because an answer has bytes
    // of one segment only, is nothing that waiting would bring.
    let newest = bounds.high_watermark.segment_base;
    let whole = records.as_ref().is_some_and(|found| found.slice.first.segment_base >= newest);
    pass.urgent |= !whole;
    if let Some(records) = &records {
        pass.bytes += records.slice.len;
        pass.next.extend(next(partition, &bounds, records));
    }
    Ok(found(records))
}

/// What lies behind the records, unless it is in the page cache: a consumer that reads a log from
/// its beginning should find each window there when it comes.
fn next(
    partition: &Arc<Partition>,
    bounds: &Bounds,
    records: &Records,
) -> Option<(Arc<Partition>, Cold)> {
    let (slice, end) = (&records.slice, bounds.log_end);
    let same_segment = slice.first.segment_base == end.segment_base;
    let near = same_segment && end.position < slice.at + u64::from(slice.len) + TAIL_BYTES;
    if near || matches!(records.given, Given::Copied(_)) {
        return None;
    }
    let next = ColdRecords::behind(slice)?;
    Some((Arc::clone(partition), Cold::Records(next)))
}

thread_local! {
    /// For the planted bug alone: what the answer before was made of.
    static RECYCLED: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// A planted bug: the answer goes out with the bytes that its buffer held for another one.
fn recycle(copy: &mut [u8]) {
    if planted::is(Bug::FetchAnswerFromRecycledBuffer) {
        RECYCLED.with_borrow_mut(|before| {
            let own = copy.to_vec();
            let count = own.len().min(before.len());
            copy[..count].copy_from_slice(&before[..count]);
            *before = own;
        });
    }
}

fn bounds_of(partition: &Partition) -> Bounds {
    let mut bounds = partition.bounds();
    if planted::is(Bug::FetchShowsUnsyncedRecords) {
        bounds.high_watermark = bounds.log_end;
        bounds.last_stable = bounds.log_end.offset;
    }
    bounds
}

/// A client that knows another leader epoch has to refresh its metadata (KIP-320).
pub(super) fn check_epoch(partition: &Partition, asked: i32) -> Result<(), ErrorCode> {
    let own = partition.leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
    match asked {
        -1 => Ok(()),
        asked if asked < own.get() => Err(ErrorCode::FencedLeaderEpoch),
        asked if asked > own.get() => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// The leader epoch that a fetch believes in. Kafka takes any negative one for none, here only.
pub(super) fn believed_epoch(asked: &FetchPartition) -> i32 {
    asked.current_leader_epoch.max(-1)
}

/// A read of one partition.
struct Reading<'a> {
    partition: &'a Partition,
    /// Loaded before the view.
    bounds: &'a Bounds,
    wanted: Wanted<'a>,
    /// The answer has room for small copies.
    copies: bool,
}

impl Reading<'_> {
    /// At most `bytes` from `from` on; with `first`, at least one batch.
    fn records(
        &self,
        from: Offset,
        bytes: u32,
        first: bool,
        copied: &mut Vec<u8>,
    ) -> Result<Option<Records>, Trouble> {
        let view = self.partition.view();
        let upto = self.readable(&view)?;
        let Some(mut slice) = self.slice(&view, from, upto, bytes, first)? else {
            return Ok(None);
        };
        let warmed = self.wanted.warmed.and_then(|warmed| match &warmed.cold {
            Cold::Records(range) if warmed.readable && range.begins_as(&slice) => Some(range),
            Cold::Records(_) | Cold::Log(_) | Cold::Writer(_) => None,
        });
        if let Some(range) = warmed.filter(|range| range.len() < slice.len) {
            // No more than was waited for, unless that is less than the first batch.
            slice = self.slice(&view, from, upto, range.len(), first)?.unwrap_or(slice);
        }
        let is_warm = warmed.is_some_and(|range| slice.len <= range.len());
        let given = self.give(&slice, is_warm, warmed.is_some(), copied)?;
        let aborted = match self.wanted.isolation {
            Isolation::ReadUncommitted => Vec::new(),
            Isolation::ReadCommitted => view
                .aborted(from, view.end_of(&slice, upto.offset))
                .map_err(|cold| Trouble::Cold(Cold::Log(cold)))?,
        };
        Ok(Some(Records { given, aborted, slice }))
    }

    fn slice(
        &self,
        view: &LogView,
        from: Offset,
        upto: LogPosition,
        bytes: u32,
        first: bool,
    ) -> Result<Option<RecordSlice>, Trouble> {
        let newest = self.bounds.newest;
        if from == newest.offset
            && let Some(slice) = view.rest(newest, upto, bytes)
        {
            return Ok(Some(slice));
        }
        match view.read(from, upto, bytes, first) {
            Ok(ReadOutcome::Slice(slice)) => Ok(Some(slice)),
            Ok(ReadOutcome::Empty) => Ok(None),
            Ok(ReadOutcome::Cold(cold)) => Err(Trouble::Cold(Cold::Log(cold))),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Where the readable part of the log ends. The high watermark's place is known; that of a
    /// last stable offset below it is looked up.
    fn readable(&self, view: &LogView) -> Result<LogPosition, Trouble> {
        let end = self.bounds.readable_end(self.wanted.isolation);
        let hw = self.bounds.high_watermark;
        if end == hw.offset {
            return Ok(hw);
        }
        match view.position_of(end, hw) {
            Ok(Located::Batch(position)) => Ok(position),
            Ok(Located::End) => Ok(hw),
            Ok(Located::Cold(cold)) => Err(Trouble::Cold(Cold::Log(cold))),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// What the answer holds of a slice. A small one is copied, which finds out whether it is in
    /// the page cache; any other is sent from the file, which would wait for the device where it
    /// is not, so that is found out before. What was read from the device for this very request is
    /// not doubted (`is_warm`), lest a cache that is too small makes it wait for ever.
    fn give(
        &self,
        slice: &RecordSlice,
        is_warm: bool,
        tried: bool,
        copied: &mut Vec<u8>,
    ) -> Result<Given, Trouble> {
        let file = || {
            let file = Arc::clone(&slice.file);
            Given::Sent(Part::File { file, at: slice.at, len: u64::from(slice.len) })
        };
        if slice.len < COPY_BYTES_MAX && self.copies {
            let before = copied.len();
            copied.resize(before + slice.len as usize, 0);
            let read = slice.file.read_cached(slice.at, &mut copied[before..]);
            if let Ok(CachedRead::Ready(count)) = read
                && count == copied.len() - before
            {
                recycle(&mut copied[before..]);
                return Ok(Given::Copied(before..copied.len()));
            }
            copied.truncate(before);
            match read {
                Ok(CachedRead::Ready(_)) => return Ok(file()),
                Ok(CachedRead::Cold) if is_warm => return Ok(file()),
                Ok(CachedRead::Cold) => {}
                Err(error) => return Err(self.failed(&error.into())),
            }
        } else if is_warm || slice.file.is_cached(slice.at, u64::from(slice.len)) {
            return Ok(file());
        }
        let front = ColdRecords::front_of(slice);
        // The first batch alone is larger than what was read at once.
        let cold = if tried { ColdRecords::all_of(slice) } else { front };
        Err(Trouble::Cold(Cold::Records(cold)))
    }

    fn failed(&self, error: &ReadError) -> Trouble {
        Trouble::Failed(match error {
            ReadError::BelowStart { .. } | ReadError::BeyondEnd { .. } => {
                ErrorCode::OffsetOutOfRange
            }
            ReadError::Damaged { .. } | ReadError::Storage(_) => {
                tracing::error!(partition = %self.partition.name(), %error, "read failed");
                self.partition.traffic().on_fetch_failed();
                ErrorCode::KafkaStorageError
            }
        })
    }
}
