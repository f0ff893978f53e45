//! How often which delay was seen, to three digits.

/// Values below this have a counter each; above it, each doubling shares half as many.
const EXACT: u64 = 2048;
const HALF: u64 = EXACT / 2;

/// Counters of values up to `u64::MAX`, each at most a thousandth too low.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        let slot = slot(value);
        if slot >= self.counts.len() {
            self.counts.resize(slot + 1, 0);
        }
        self.counts[slot] += 1;
        self.total += 1;
        self.max = self.max.max(value);
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn max(&self) -> u64 {
        self.max
    }

    /// The value that so many of a hundred thousand do not exceed; `None` where there are none.
    pub(crate) fn quantile(&self, of_100_000: u64) -> Option<u64> {
        let rank = (self.total * of_100_000).div_ceil(100_000).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(|slot| lowest(slot).min(self.max))
    }

    /// `value:count` of each counter that is not zero, for a program that adds histograms up.
    pub(crate) fn spelled(&self) -> String {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let pairs: Vec<String> =
            filled.map(|(slot, count)| format!("{}:{count}", lowest(slot))).collect();
        pairs.join(",")
    }
}

fn slot(value: u64) -> usize {
    // 11 bits are kept, whatever the size.
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(EXACT.ilog2());
    let slot = u64::from(shift) * HALF + (value >> shift);
    usize::try_from(slot).expect("64 bits")
}

/// The lowest value of a counter.
fn lowest(slot: usize) -> u64 {
    let slot = slot as u64;
    if slot < EXACT {
        return slot;
    }
    let shift = slot / HALF - 1;
    (slot - shift * HALF) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_three_digits() {
        for value in [0, 1, 999, 2047, 2048, 2049, 4095, 4096, 123_456, 987_654_321, u64::MAX] {
            let kept = lowest(slot(value));
            assert!(kept <= value && value - kept <= value / 1000, "{value} became {kept}");
            assert_eq!(slot(kept), slot(value), "{value}");
        }
    }

    #[test]
    fn slots_follow_each_other() {
        for slot_before in 0..20_000 {
            assert_eq!(slot(lowest(slot_before + 1)), slot_before + 1);
            assert!(lowest(slot_before) < lowest(slot_before + 1));
        }
    }

    #[test]
    fn a_quantile_is_a_value_that_was_seen() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value));
        for (of_100_000, expected) in [(50_000, 50), (99_000, 99), (99_900, 100), (0, 1)] {
            assert_eq!(histogram.quantile(of_100_000), Some(expected), "{of_100_000}");
        }
        assert_eq!(Histogram::default().quantile(50_000), None);
        assert_eq!((histogram.total(), histogram.max()), (100, 100));
    }

    #[test]
    fn what_is_spelled_leaves_out_what_is_zero() {
        let mut histogram = Histogram::default();
        [7, 7, 3].into_iter().for_each(|value| histogram.record(value));
        assert_eq!(histogram.spelled(), "3:1,7:2");
    }
}
