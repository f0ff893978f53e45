//! Which part of a log is compacted, whether it is worth it, and which segments become one: a
//! decision over facts, without a file.

use std::ops::Range;

use ottla_types::Offset;

/// What decides how much of a log is to be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtFacts<'a> {
    /// First offset and bytes of each segment that nobody appends to, the oldest first.
    pub sealed: &'a [(Offset, u64)],
    /// Where the segment begins that is appended to.
    pub active: Offset,
    /// The oldest offset that is shown.
    pub start: Offset,
    /// The log's end.
    pub end: Offset,
    /// What `cleaner-offset-checkpoint` says: everything below was compacted.
    pub compacted: Option<Offset>,
    /// Nothing at or behind it is touched: it is open, or not committed, or not checkpointed.
    pub bound: Offset,
    /// Where the oldest dirty segment begins that is younger than `min.compaction.lag.ms`.
    pub young: Option<Offset>,
}

/// The part of a log that a compaction would look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// Everything below was compacted, each record against all others below.
    pub from: Offset,
    /// Where the first segment begins that is not touched.
    pub upto: Offset,
    /// Bytes of the segments that begin in front of `from`.
    pub clean_bytes: u64,
    /// Bytes of those that hold what lies between.
    pub dirty_bytes: u64,
    /// The checkpoint is not one of this log, or records below its start are gone.
    pub resets_checkpoint: bool,
}

impl Dirt {
    /// The part that is dirty, of all that would be read: what `min.cleanable.dirty.ratio` is
    /// compared with. 0 where there is nothing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of sizes needs no more than 52 bits")]
    pub fn ratio(&self) -> f64 {
        let total = self.clean_bytes + self.dirty_bytes;
        if total == 0 { 0.0 } else { self.dirty_bytes as f64 / total as f64 }
    }
}

impl DirtFacts<'_> {
    /// Where the part begins that was never compacted, and whether the checkpoint was of no use.
    #[must_use]
    pub fn first_dirty(&self) -> (Offset, bool) {
        match self.compacted {
            Some(compacted) if compacted < self.start || compacted > self.end => (self.start, true),
            Some(compacted) => (compacted, false),
            None => (self.start, false),
        }
    }

    /// What a compaction would look at now.
    #[must_use]
    pub fn dirt(&self) -> Dirt {
        let (from, resets_checkpoint) = self.first_dirty();
        let bounds = [Some(self.bound), Some(self.active), self.young];
        let bound = bounds.into_iter().flatten().min().unwrap_or(from).max(from);
        let upto = self.segment_of(bound);
        let clean = self.sealed.iter().filter(|(base, _)| *base < from);
        let first = self.segment_of(from.min(upto));
        let dirty = self.sealed.iter().filter(|(base, _)| *base >= first && *base < upto);
        Dirt {
            from,
            upto,
            clean_bytes: clean.map(|(_, bytes)| bytes).sum(),
            dirty_bytes: dirty.map(|(_, bytes)| bytes).sum(),
            resets_checkpoint,
        }
    }

    /// Where the segment begins that holds an offset: whole segments are compacted.
    fn segment_of(&self, offset: Offset) -> Offset {
        if offset >= self.active {
            return self.active;
        }
        let after = self.sealed.partition_point(|(base, _)| *base <= offset);
        after.checked_sub(1).map_or(offset, |at| self.sealed[at].0)
    }
}

/// A segment as far as it matters for what it may be joined with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSizes {
    pub(crate) base: Offset,
    pub(crate) bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) time_index_bytes: u64,
}

/// What a segment may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLimits {
    pub(crate) bytes: u64,
    pub(crate) index_bytes: u64,
}

/// Segments that become one each, which cannot outgrow its limits: compaction adds nothing. The
/// last one ends in front of `end`.
pub(crate) fn group(
    segments: &[SegmentSizes],
    limits: GroupLimits,
    end: Offset,
) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut sum = SegmentSizes { base: end, bytes: 0, index_bytes: 0, time_index_bytes: 0 };
    for (at, next) in segments.iter().enumerate() {
        let bound = segments.get(at + 1).map_or(end, |after| after.base);
        let spans = bound.get() - 1 - sum.base.get();
        let joins = sum.bytes + next.bytes <= limits.bytes
            && sum.index_bytes + next.index_bytes <= limits.index_bytes
            && sum.time_index_bytes + next.time_index_bytes <= limits.index_bytes
            // One without records reaches nowhere.
            && (next.bytes == 0 || spans <= i64::from(i32::MAX));
        match groups.last_mut().filter(|_| joins) {
            Some(group) => {
                group.end += 1;
                sum.bytes += next.bytes;
                sum.index_bytes += next.index_bytes;
                sum.time_index_bytes += next.time_index_bytes;
            }
            None => {
                groups.push(at..at + 1);
                sum = *next;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four segments of 100 bytes and ten offsets; the active one begins at 40.
    const FOUR: &[(i64, u64)] = &[(0, 100), (10, 100), (20, 100), (30, 100)];

    #[test]
    #[rustfmt::skip]
    fn whole_segments_below_every_bound_are_compacted() {
        //    compacted  start  bound  young     from..upto clean dirty
        check(None,      0,     50,    None,     "0..40 0 400");
        check(None,      0,     39,    None,     "0..30 0 300");
        check(None,      0,     9,     None,     "0..0 0 0");
        check(None,      0,     50,    Some(20), "0..20 0 200");
        check(None,      0,     15,    Some(20), "0..10 0 100");
        check(Some(20),  0,     50,    None,     "20..40 200 200");
        check(Some(40),  0,     50,    None,     "40..40 400 0");
        // The map was full in the middle of a segment, which is read again; as in Kafka it counts
        // on both sides.
        check(Some(15),  0,     50,    None,     "15..40 200 300");
        // What is dirty never begins behind what may be touched.
        check(Some(40),  0,     20,    None,     "40..40 400 0");
        check(Some(20),  0,     5,     None,     "20..20 200 0");
        // A checkpoint below the start, or behind the end, is none.
        check(None,      15,    50,    None,     "15..40 200 300");
        check(Some(5),   15,    50,    None,     "15..40 200 300 reset");
        check(Some(51),  0,     50,    None,     "0..40 0 400 reset");
        check(Some(50),  0,     50,    None,     "50..40 400 0");
    }

    fn check(compacted: Option<i64>, start: i64, bound: i64, young: Option<i64>, expected: &str) {
        let sealed: Vec<_> =
            FOUR.iter().map(|(base, bytes)| (Offset::new(*base), *bytes)).collect();
        let facts = DirtFacts {
            sealed: &sealed,
            active: Offset::new(40),
            start: Offset::new(start),
            end: Offset::new(50),
            compacted: compacted.map(Offset::new),
            bound: Offset::new(bound),
            young: young.map(Offset::new),
        };
        let Dirt { from, upto, clean_bytes, dirty_bytes, resets_checkpoint } = facts.dirt();
        let reset = if resets_checkpoint { " reset" } else { "" };
        let told = format!("{from}..{upto} {clean_bytes} {dirty_bytes}{reset}");
        assert_eq!(told, expected, "{facts:?}");
    }

    #[test]
    fn the_ratio_is_that_of_dirty_bytes() {
        let dirt = |clean_bytes, dirty_bytes| {
            let (from, upto) = (Offset::ZERO, Offset::ZERO);
            Dirt { from, upto, clean_bytes, dirty_bytes, resets_checkpoint: false }.ratio()
        };
        for (clean, dirty, expected) in [(0, 0, 0.0), (0, 5, 1.0), (30, 10, 0.25), (5, 0, 0.0)] {
            assert!((dirt(clean, dirty) - expected).abs() < f64::EPSILON, "{clean} {dirty}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn small_neighbours_become_one_segment() {
        let far = i64::from(i32::MAX);
        let log = |segments: &[(i64, u64)]| segments.to_vec();
        check_groups(&log(FOUR), 400, 40,                             "0..4");
        check_groups(&log(FOUR), 399, 40,                             "0..3 3..4");
        check_groups(&log(FOUR), 100, 40,                             "0..1 1..2 2..3 3..4");
        // One that is larger than it may be stays alone.
        check_groups(&[(0, 900), (10, 10), (20, 10)], 100, 30,        "0..1 1..3");
        // Offsets of a segment span less than 2^31.
        check_groups(&[(0, 10), (10, 10)], 100, far + 1,              "0..2");
        check_groups(&[(0, 10), (10, 10)], 100, far + 2,              "0..1 1..2");
        check_groups(&[(0, 10), (far, 10), (far + 2, 10)], 100, far + 9, "0..1 1..3");
        check_groups(&[(0, 0), (far + 9, 0), (far + 10, 5)], 100, far + 20, "0..2 2..3");
        check_groups(&[], 100, 0, "");
    }

    fn check_groups(segments: &[(i64, u64)], bytes: u64, end: i64, expected: &str) {
        let sizes = |(base, bytes): &(i64, u64)| SegmentSizes {
            base: Offset::new(*base),
            bytes: *bytes,
            index_bytes: 8,
            time_index_bytes: 12,
        };
        let sizes: Vec<_> = segments.iter().map(sizes).collect();
        let limits = GroupLimits { bytes, index_bytes: 48 };
        let groups = group(&sizes, limits, Offset::new(end));
        let told: Vec<_> = groups.iter().map(|group| format!("{group:?}")).collect();
        assert_eq!(told.join(" "), expected, "{segments:?}");
        assert_eq!(
            group(&sizes, GroupLimits { index_bytes: 12, ..limits }, Offset::new(end)).len(),
            segments.len()
        );
    }
}
