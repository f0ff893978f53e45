//! The indexes of one segment, in memory: where to begin to look for an offset or a time.

use ottla_types::{Offset, Timestamp};

use crate::append_list::AppendList;

/// Bytes of an entry in Kafka's `.index` file.
const OFFSET_ENTRY_BYTES: u32 = 8;
/// Bytes of an entry in Kafka's `.timeindex` file.
const TIME_ENTRY_BYTES: u32 = 12;

/// Sparse entries, appended by the segment's writer while readers search. Offsets are relative to
/// the segment's base, as in Kafka's files.
#[derive(Debug)]
pub(crate) struct SegmentIndex {
    base: Offset,
    /// Relative last offset of a batch in the upper half, the position of its first byte in the
    /// lower.
    pub(crate) offsets: AppendList<1>,
    /// The largest timestamp so far, and the relative last offset of the batch that has it.
    pub(crate) times: AppendList<2>,
}

/// The largest timestamp of a segment's first batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxTimestamp {
    pub(crate) timestamp: Timestamp,
    /// The last offset of the batch that has it.
    pub(crate) offset: Offset,
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    /// The last offset of the batch.
    pub(crate) last_offset: Offset,
    /// Its first byte.
    pub(crate) position: u64,
}

impl SegmentIndex {
    pub(crate) const fn new(base: Offset) -> Self {
        Self { base, offsets: AppendList::new(), times: AppendList::new() }
    }

    /// Adds an entry for the batch that ends with `last_offset` and begins at `position`.
    pub(crate) fn push_offset(&self, last_offset: Offset, position: u64) {
        let position = u32::try_from(position).expect("a segment is below 2 GiB");
        self.offsets.push([u64::from(self.relative(last_offset)) << 32 | u64::from(position)]);
    }

    /// Adds an entry if it says something new: timestamps in the index grow strictly.
    pub(crate) fn push_time(&self, max: MaxTimestamp) {
        let len = self.times.len();
        let newest = len.checked_sub(1).map(|last| self.times.get(last)[0]);
        let timestamp = max.timestamp.millis().cast_unsigned();
        if newest.is_none_or(|newest| newest < timestamp) {
            self.times.push([timestamp, u64::from(self.relative(max.offset))]);
        }
    }

    /// A copy with one entry for every `interval` bytes or more, for a segment that nobody writes
    /// to any more. With each offset entry stays the time entry that covers what lies before it.
    pub(crate) fn thinned(&self, interval: u64) -> Self {
        let thin = Self::new(self.base);
        let mut times = 0;
        let mut next_position = interval;
        for at in 0..self.offsets.len() {
            let [entry] = self.offsets.get(at);
            let (relative, position) = (entry >> 32, entry & u64::from(u32::MAX));
            if position < next_position {
                continue;
            }
            next_position = position + interval;
            let len = self.times.len();
            let covered = self.times.partition_point(len, |[_, holder]| holder <= relative);
            if covered > times {
                thin.times.push(self.times.get(covered - 1));
                times = covered;
            }
            thin.offsets.push([entry]);
        }
        self.newest_time().into_iter().for_each(|newest| thin.push_time(newest));
        thin
    }

    /// Where to begin to look for the batch that holds `offset`, if not at the segment's beginning:
    /// no such batch begins before.
    pub(crate) fn entry_before(&self, offset: Offset) -> Option<IndexEntry> {
        let relative = offset.get().checked_sub(self.base.get())?;
        let relative = u64::try_from(relative).unwrap_or(0);
        let len = self.offsets.len();
        let after = self.offsets.partition_point(len, |[entry]| entry >> 32 <= relative);
        after.checked_sub(1).map(|at| self.offset_at(at))
    }

    /// An offset behind all batches that begin before `position`, not far behind the last of them;
    /// `None` if no entry is.
    pub(crate) fn offset_behind(&self, position: u64) -> Option<Offset> {
        let len = self.offsets.len();
        let before = |[entry]: [u64; 1]| entry & u64::from(u32::MAX) < position;
        let at = Some(self.offsets.partition_point(len, before)).filter(|at| *at < len)?;
        let relative = self.offsets.get(at)[0] >> 32;
        Some(self.base.plus(relative.cast_signed()))
    }

    /// Where to begin to look for the first batch with a timestamp of `time` or later.
    pub(crate) fn entry_before_time(&self, time: Timestamp) -> Option<IndexEntry> {
        // The offset index is looked at first: an entry of it is appended after the time entry
        // that covers it, so what lies before this entry is covered by the times seen next.
        let newest = self.newest_offset()?;
        let len = self.times.len();
        let wanted = time.millis();
        let earlier = self.times.partition_point(len, |[millis, _]| millis.cast_signed() < wanted);
        match earlier.checked_sub(1)? {
            _ if earlier == len => Some(newest),
            at => self.entry_before(self.time_at(at).offset),
        }
    }

    /// The largest timestamp of the batches in front of an entry, which lies below `bound` and not
    /// far from it.
    pub(crate) fn max_before(&self, bound: Offset) -> (Option<MaxTimestamp>, Option<IndexEntry>) {
        let below = u64::try_from(bound.get() - self.base.get()).unwrap_or(0);
        let len = self.offsets.len();
        let after = self.offsets.partition_point(len, |[entry]| entry >> 32 < below);
        let Some(at) = after.checked_sub(1) else { return (None, None) };
        let entry = self.offset_at(at);
        let holder = u64::from(self.relative(entry.last_offset));
        // Time entries are made with offset entries: these cover all that lies in front.
        let len = self.times.len();
        let times = self.times.partition_point(len, |[_, relative]| relative <= holder);
        (times.checked_sub(1).map(|at| self.time_at(at)), Some(entry))
    }

    /// The newest offset entry.
    pub(crate) fn newest_offset(&self) -> Option<IndexEntry> {
        self.offsets.len().checked_sub(1).map(|last| self.offset_at(last))
    }

    /// The newest time entry.
    pub(crate) fn newest_time(&self) -> Option<MaxTimestamp> {
        self.times.len().checked_sub(1).map(|last| self.time_at(last))
    }

    /// Whether files of at most `bytes` can take no further entry behind `more` that are to come;
    /// of times, one more is made when the segment is sealed.
    pub(crate) fn is_full(&self, bytes: u32, more: usize) -> bool {
        let full = |len: usize, entry: u32| len + more >= (bytes / entry) as usize;
        full(self.offsets.len(), OFFSET_ENTRY_BYTES) || full(self.times.len() + 1, TIME_ENTRY_BYTES)
    }

    fn offset_at(&self, at: usize) -> IndexEntry {
        let [entry] = self.offsets.get(at);
        let relative = i64::try_from(entry >> 32).expect("it has 31 bits");
        IndexEntry { last_offset: self.base.plus(relative), position: entry & u64::from(u32::MAX) }
    }

    fn time_at(&self, at: usize) -> MaxTimestamp {
        let [timestamp, relative] = self.times.get(at);
        MaxTimestamp {
            timestamp: Timestamp::from_millis(timestamp.cast_signed()),
            offset: self.base.plus(relative.cast_signed()),
        }
    }

    /// # Panics
    /// If the offset is out of reach: the writer rolls before.
    fn relative(&self, offset: Offset) -> u32 {
        let relative = i32::try_from(offset.get() - self.base.get());
        relative.map(i32::cast_unsigned).expect("a segment spans less than 2^31 offsets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn the_search_begins_at_the_nearest_entry() {
        let index = SegmentIndex::new(Offset::new(100));
        check(&index, 100, 0);
        index.push_offset(Offset::new(110), 5_000);
        index.push_offset(Offset::new(120), 10_000);
        check(&index,  50, 0);
        check(&index, 100, 0);
        check(&index, 109, 0);
        check(&index, 110, 5_000);
        check(&index, 119, 5_000);
        check(&index, 120, 10_000);
        check(&index, 999, 10_000);
    }

    fn check(index: &SegmentIndex, offset: i64, position: u64) {
        let found = index.entry_before(Offset::new(offset));
        assert_eq!(found.map_or(0, |entry| entry.position), position, "{offset}");
    }

    #[test]
    fn what_lies_before_a_position_ends_before_an_offset() {
        let index = SegmentIndex::new(Offset::new(100));
        check_behind(&index, 1, None);
        index.push_offset(Offset::new(110), 5_000);
        index.push_offset(Offset::new(120), 10_000);
        check_behind(&index, 1, Some(110));
        check_behind(&index, 5_000, Some(110));
        check_behind(&index, 5_001, Some(120));
        check_behind(&index, 10_001, None);
    }

    fn check_behind(index: &SegmentIndex, position: u64, offset: Option<i64>) {
        assert_eq!(index.offset_behind(position), offset.map(Offset::new), "{position}");
    }

    #[test]
    #[rustfmt::skip]
    fn the_search_for_a_time_begins_before_the_first_batch_that_may_have_it() {
        let index = SegmentIndex::new(Offset::ZERO);
        check_time(&index, 0, 0);
        for (timestamp, offset, position) in [(10, 5, 1_000), (10, 6, 2_000), (30, 8, 3_000)] {
            index.push_time(max(timestamp, offset));
            index.push_offset(Offset::new(offset), position);
        }
        check_time(&index,  5, 0);
        check_time(&index, 10, 0);
        check_time(&index, 11, 1_000);
        check_time(&index, 30, 1_000);
        check_time(&index, 31, 3_000);
        assert_eq!(index.newest_time(), Some(max(30, 8)));
    }

    fn max(timestamp: i64, offset: i64) -> MaxTimestamp {
        MaxTimestamp { timestamp: Timestamp::from_millis(timestamp), offset: Offset::new(offset) }
    }

    fn check_time(index: &SegmentIndex, millis: i64, position: u64) {
        let found = index.entry_before_time(Timestamp::from_millis(millis));
        assert_eq!(found.map_or(0, |entry| entry.position), position, "{millis}");
    }

    #[test]
    #[rustfmt::skip]
    fn a_thin_index_leads_to_an_earlier_place_only() {
        let index = SegmentIndex::new(Offset::ZERO);
        for n in 0..1_000 {
            // The largest timestamp grows in leaps.
            index.push_time(max(n / 7, n / 7 * 7));
            index.push_offset(Offset::new(n), u64::try_from(n).unwrap() * 100);
        }
        let thin = index.thinned(1_500);
        assert_eq!((index.offsets.len(), thin.offsets.len()), (1_000, 66));
        assert_eq!(thin.newest_time(), index.newest_time());
        for n in 0..1_000 {
            let position = |entry: Option<IndexEntry>| entry.map_or(0, |entry| entry.position);
            let before = |index: &SegmentIndex| position(index.entry_before(Offset::new(n)));
            let (near, far) = (before(&index), before(&thin));
            assert!(far <= near && near - far < 1_500, "offset {n}");
            let time = Timestamp::from_millis(n);
            let before = |index: &SegmentIndex| position(index.entry_before_time(time));
            assert!(before(&thin) <= before(&index), "time {n}");
            // What it says of the front of the segment is true of that front.
            let (known, at) = thin.max_before(Offset::new(n));
            let at = position(at);
            let front = i64::try_from(at / 100).unwrap();
            assert!(known.is_none_or(|known| known.timestamp.millis() >= (front - 1) / 7), "front {n}");
            assert!(known.is_some() || at == 0);
        }
    }

    #[test]
    fn an_index_is_full_when_its_file_would_be() {
        let index = SegmentIndex::new(Offset::ZERO);
        assert!(!index.is_full(24, 0));
        index.push_offset(Offset::ZERO, 0);
        index.push_offset(Offset::new(1), 100);
        assert!(!index.is_full(24, 0));
        index.push_offset(Offset::new(2), 200);
        assert!(index.is_full(24, 0));
        assert!(!index.is_full(32, 0));
        index.push_time(max(10, 0));
        assert!(index.is_full(32, 0));
        assert!(!index.is_full(36, 0));
        assert!(index.is_full(36, 1));
    }
}
