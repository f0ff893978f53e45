//! Medians, and how far they can be trusted.

/// Resamples: the ends of an interval stand still to two digits.
const RESAMPLES: usize = 10_000;
/// Fixed, so that the same samples always give the same interval.
const SEED: u64 = 0x0771a;

/// A median and the interval in which it lies with 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// `None` where there is nothing. Of two or three values the interval is their range, about: more
/// pairs make it narrow, not this.
pub(crate) fn estimate(values: &[f64]) -> Option<Estimate> {
    let middle = median(values)?;
    let mut random = Random(SEED);
    let mut resample = || {
        let drawn: Vec<f64> =
            (0..values.len()).map(|_| values[random.below(values.len())]).collect();
        median(&drawn).unwrap_or(middle)
    };
    let mut medians: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    medians.sort_by(f64::total_cmp);
    let at = |per_mille: usize| medians[(RESAMPLES - 1) * per_mille / 1000];
    Some(Estimate { median: middle, low: at(25), high: at(975) })
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => None,
        0 => Some(f64::midpoint(sorted[half - 1], sorted[half])),
        _ => Some(sorted[half]),
    }
}

/// Splitmix64: also for the order of runs.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_the_median_and_narrows_with_more_values() {
        check(&[], None);
        check(&[4.0], Some((4.0, 4.0, 4.0)));
        check(&[1.0, 2.0, 3.0], Some((2.0, 1.0, 3.0)));
        check(&[1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 5.0], Some((5.0, 2.0, 8.0)));
        let many: Vec<f64> = (0..101).map(f64::from).collect();
        let estimate = estimate(&many).unwrap();
        assert!(estimate.low > 30.0 && estimate.high < 70.0, "{estimate:?}");
    }

    fn check(values: &[f64], expected: Option<(f64, f64, f64)>) {
        let found = estimate(values).map(|it| (it.median, it.low, it.high));
        assert_eq!(found, expected, "{values:?}");
    }
}
