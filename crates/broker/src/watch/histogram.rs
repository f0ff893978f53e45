//! Times in buckets: who counts adds to two numbers, who reads finds out the rest.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a histogram. The first holds times of up to 1 µs, each other one those of up to twice
/// the bound before it, the last but one those of up to 16.8 s, and the last all others.
pub const TIME_BUCKETS: usize = 26;

/// Times that one writer counts, and anybody may read.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: [AtomicU64; TIME_BUCKETS],
    nanos: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; TIME_BUCKETS], nanos: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts something that took so long, `times` times. Calls must not overlap.
    pub(crate) fn record(&self, took: Duration, times: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add_alone(&self.counts[bucket_of(nanos)], times);
        add_alone(&self.nanos, nanos.saturating_mul(times));
    }

    /// What was counted so far; a time that is being counted now may be there in part.
    pub(crate) fn read(&self) -> Times {
        Times {
            counts: self.counts.each_ref().map(|count| count.load(Ordering::Relaxed)),
            nanos: self.nanos.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a counter that nobody else adds to: without the bus lock that others would need.
pub(crate) fn add_alone(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn bucket_of(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1_000);
    let above_first = u64::BITS - micros.saturating_sub(1).leading_zeros();
    (above_first as usize).min(TIME_BUCKETS - 1)
}

/// Times that were counted, by buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many fell into each bucket.
    pub counts: [u64; TIME_BUCKETS],
    /// Their sum in nanoseconds.
    pub nanos: u64,
}

impl Times {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum in seconds.
    #[must_use]
    pub fn sum_seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// The longest time in seconds that a bucket holds; `None` for the last, which holds any.
    #[must_use]
    pub fn bound_seconds(bucket: usize) -> Option<f64> {
        let micros = 1_u64.checked_shl(u32::try_from(bucket).ok()?)?;
        (bucket + 1 < TIME_BUCKETS).then_some(micros as f64 / 1e6)
    }

    /// The time in seconds that a part of all (0 to 1) stayed below, as far as the buckets tell:
    /// within one, times are taken to be spread evenly. `None` if there are none.
    #[must_use]
    pub fn quantile_seconds(&self, part: f64) -> Option<f64> {
        let all = self.count();
        let wanted = part * all as f64;
        let mut below = 0.0;
        for (bucket, count) in self.counts.iter().enumerate() {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                let from = bucket.checked_sub(1).and_then(Self::bound_seconds).unwrap_or(0.0);
                let to = Self::bound_seconds(bucket).unwrap_or(from);
                return Some(from + (to - from) * ((wanted - below) / count));
            }
            below += count;
        }
        None
    }

    /// Those that were counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut later = self.clone();
        for (count, before) in later.counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        later.nanos = later.nanos.saturating_sub(earlier.nanos);
        later
    }

    /// Takes those of another histogram in.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.nanos += other.nanos;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_has_room_for_it() {
        for (nanos, bucket) in [
            (0, 0),
            (1, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000, 2),
            (1_000_000, 10),
            (1_024_000, 10),
            (1_024_001, 11),
            (16_777_216_000, 24),
            (16_777_216_001, 25),
            (u64::MAX, 25),
        ] {
            assert_eq!(bucket_of(nanos), bucket, "{nanos}");
            let within = Times::bound_seconds(bucket).is_none_or(|to| nanos as f64 / 1e9 <= to);
            assert!(within, "{nanos}");
        }
    }

    #[test]
    fn quantiles_are_found_within_their_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.read().quantile_seconds(0.5), None);
        histogram.record(Duration::from_micros(2), 50);
        histogram.record(Duration::from_micros(1_000), 50);
        let times = histogram.read();
        assert_eq!((times.count(), times.nanos), (100, 50_100_000));
        check(&times, 0.5, 2e-6);
        check(&times, 0.25, 1.5e-6);
        check(&times, 0.99, 0.000_512 + 0.000_512 * 0.98);
        check(&times, 1.0, 0.001_024);
        let later = times.since(&histogram.read());
        assert_eq!(later, Times::default());
    }

    fn check(times: &Times, part: f64, expected: f64) {
        let found = times.quantile_seconds(part).unwrap();
        assert!((found - expected).abs() < 1e-9, "{part}: {found}");
    }
}
