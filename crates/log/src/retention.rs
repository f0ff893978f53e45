//! Which segments of a log need not be kept any longer: a decision over facts, without a file.

use std::time::Duration;

use ottla_types::planted::{self, Bug};
use ottla_types::{Offset, Timestamp};

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its first offset.
    pub base: Offset,
    /// The size of its file of batches.
    pub bytes: u64,
    /// Its largest timestamp; `None` where no record has one, or it is not known.
    pub newest: Option<Timestamp>,
}

/// What is known of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFacts<'a> {
    /// All segments, the oldest first; the last one is appended to.
    pub segments: &'a [SegmentFacts],
    /// The oldest offset that is shown.
    pub start: Offset,
    /// Nothing at or behind it is deleted.
    pub high_watermark: Offset,
    /// The log's end.
    pub end: Offset,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionLimits {
    /// `retention.ms`; `None`: for ever.
    pub age: Option<Duration>,
    /// `retention.bytes`; `None`: whatever the size.
    pub bytes: Option<u64>,
}

impl RetentionLimits {
    /// Nothing goes but what somebody has deleted: an empty `cleanup.policy`, or one that compacts
    /// only.
    pub const NONE: Self = Self { age: None, bytes: None };
}

/// Whole segments, the oldest, that may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Of which nothing is shown any more.
    pub below_start: usize,
    /// Without which the log is still as large as it may be.
    pub by_size: usize,
    /// All of whose records are too old.
    pub by_age: usize,
}

impl Expired {
    /// How many there are.
    #[must_use]
    pub const fn segments(&self) -> usize {
        self.below_start + self.by_size + self.by_age
    }
}

impl LogFacts<'_> {
    /// What Kafka would delete now: segments below the log's start, then by size, then by age; each
    /// time the oldest, as long as they qualify, and none that reaches beyond the high watermark.
    /// The last segment goes too if it holds anything: a successor is needed first.
    #[must_use]
    pub fn expired(&self, limits: RetentionLimits, now: Timestamp) -> Expired {
        let below_start = self.count(0, |at| self.base_behind(at).is_some_and(|b| b <= self.start));
        let sizes = &self.segments[below_start..];
        let total: u64 = sizes.iter().map(|segment| segment.bytes).sum();
        let mut surplus = limits.bytes.and_then(|limit| total.checked_sub(limit));
        let by_size = self.count(below_start, |at| {
            surplus = surplus.and_then(|surplus| surplus.checked_sub(self.segments[at].bytes));
            surplus.is_some()
        });
        let by_age = self.count(below_start + by_size, |at| {
            let newest = self.segments[at].newest;
            newest.zip(limits.age).is_some_and(|(newest, limit)| is_older(newest, limit, now))
        });
        Expired { below_start, by_size, by_age }
    }

    /// How many segments from `first` on may go one after the other.
    fn count(&self, first: usize, mut qualifies: impl FnMut(usize) -> bool) -> usize {
        let may_go = |at: &usize| {
            let committed = self.base_behind(*at).unwrap_or(self.end) <= self.high_watermark;
            let empty_last = self.base_behind(*at).is_none() && self.segments[*at].bytes == 0;
            committed && !empty_last && qualifies(*at)
        };
        (first..self.segments.len()).take_while(may_go).count()
    }

    /// Where the segment behind that one begins.
    fn base_behind(&self, at: usize) -> Option<Offset> {
        self.segments.get(at + 1).map(|segment| segment.base)
    }
}

fn is_older(newest: Timestamp, limit: Duration, now: Timestamp) -> bool {
    let limit = if planted::is(Bug::RetentionTooEarly) { limit / 2 } else { limit };
    let age = now.millis().saturating_sub(newest.millis());
    // A record of the future is of no age.
    u64::try_from(age).is_ok_and(|age| Duration::from_millis(age) > limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four segments of 100 bytes and ten offsets, from 0 to 40, whose newest records are of 10,
    /// 20, 30 and 40 seconds; now it is 60 seconds.
    const FOUR: &[(i64, u64, i64)] = &[(0, 100, 10), (10, 100, 20), (20, 100, 30), (30, 100, 40)];

    #[test]
    #[rustfmt::skip]
    fn segments_go_by_age_from_the_oldest_on() {
        //           start  hw  limits                gone
        check(FOUR, (0,     40, age(50)),             "");
        check(FOUR, (0,     40, age(49)),             "age 1");
        check(FOUR, (0,     40, age(30)),             "age 2");
        check(FOUR, (0,     40, age(29)),             "age 3");
        check(FOUR, (0,     40, age(0)),              "age 4");
        check(FOUR, (0,     40, RetentionLimits::NONE), "");
        // A young one in front keeps older ones behind it, and so does one of unknown age.
        check(&[(0, 100, 55), (10, 100, 1), (40, 0, -1)], (0, 40, age(30)), "");
        check(&[(0, 100, -1), (10, 100, 1), (40, 0, -1)], (0, 40, age(30)), "");
        // A record of the future is not old.
        check(&[(0, 100, 99), (40, 0, -1)],             (0, 40, age(0)), "");
    }

    #[test]
    #[rustfmt::skip]
    fn segments_go_by_size_as_long_as_enough_is_left() {
        check(FOUR, (0, 40, bytes(401)), "");
        check(FOUR, (0, 40, bytes(400)), "");
        check(FOUR, (0, 40, bytes(301)), "");
        check(FOUR, (0, 40, bytes(300)), "size 1");
        check(FOUR, (0, 40, bytes(101)), "size 2");
        check(FOUR, (0, 40, bytes(0)),   "size 4");
        // What is left is looked at for its age.
        let both = RetentionLimits { bytes: Some(300), ..age(30) };
        check(FOUR, (0, 40, both),       "size 1 age 1");
    }

    #[test]
    #[rustfmt::skip]
    fn segments_go_below_the_start_and_never_behind_the_high_watermark() {
        let none = RetentionLimits::NONE;
        check(FOUR, (9,  40, none), "");
        check(FOUR, (10, 40, none), "start 1");
        check(FOUR, (39, 40, none), "start 3");
        // The last one is not below the start for being deleted in full: it goes when it is rolled.
        check(FOUR, (40, 40, none), "start 3");
        check(FOUR, (0,  39, age(0)),   "age 3");
        check(FOUR, (0,  30, age(0)),   "age 3");
        check(FOUR, (0,  29, age(0)),   "age 2");
        check(FOUR, (0,  9,  bytes(0)), "");
        // Sizes count from the start on: the first segment is gone already.
        check(FOUR, (10, 40, bytes(300)), "start 1");
        check(FOUR, (10, 40, bytes(200)), "start 1 size 1");
        // A last segment without a record stays.
        let rolled = &[(0, 100, 10), (40, 0, -1)];
        check(rolled, (0, 40, age(0)),   "age 1");
        check(rolled, (0, 40, bytes(0)), "size 1");
        check(&[(40, 0, -1)], (40, 40, bytes(0)), "");
    }

    fn age(seconds: u64) -> RetentionLimits {
        RetentionLimits { age: Some(Duration::from_secs(seconds)), bytes: None }
    }

    fn bytes(bytes: u64) -> RetentionLimits {
        RetentionLimits { age: None, bytes: Some(bytes) }
    }

    fn check(segments: &[(i64, u64, i64)], log: (i64, i64, RetentionLimits), gone: &str) {
        let (start, high_watermark, limits) = log;
        let facts = |(base, bytes, seconds): &(i64, u64, i64)| SegmentFacts {
            base: Offset::new(*base),
            bytes: *bytes,
            newest: Timestamp::from_wire(*seconds * 1_000),
        };
        let listed: Vec<_> = segments.iter().map(facts).collect();
        let log = LogFacts {
            segments: &listed,
            start: Offset::new(start),
            high_watermark: Offset::new(high_watermark),
            end: Offset::new(40),
        };
        let expired = log.expired(limits, Timestamp::from_millis(60_000));
        let Expired { below_start, by_size, by_age } = expired;
        let counts = [("start", below_start), ("size", by_size), ("age", by_age)];
        let told = counts.iter().filter(|(_, count)| *count > 0);
        let told: Vec<_> = told.map(|(why, count)| format!("{why} {count}")).collect();
        assert_eq!(told.join(" "), gone, "{log:?} {limits:?}");
    }
}
