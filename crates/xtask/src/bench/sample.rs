//! What one run of the generator printed.

use std::collections::BTreeMap;

use super::cases::Figure;

/// Numbers by their names, and the delays that were seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    numbers: BTreeMap<String, f64>,
    /// By value, in nanoseconds.
    delays: BTreeMap<u64, u64>,
}

impl Sample {
    /// From lines of `name value`; others are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            if name == "histogram" {
                let pair = |pair: &str| {
                    let (value, count) = pair.split_once(':')?;
                    Some((value.parse().ok()?, count.parse().ok()?))
                };
                sample.delays = value.split(',').filter_map(pair).collect();
            } else if let Ok(value) = value.parse() {
                sample.numbers.insert(name.to_owned(), value);
            }
        }
        sample
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.numbers.insert(name.to_owned(), value);
    }

    /// Adds what another run of the same said; where both name a number, that one's counts.
    pub(crate) fn extend(&mut self, other: Self) {
        self.numbers.extend(other.numbers);
    }

    /// Not a number where the sample lacks what the figure is made of.
    pub(crate) fn figure(&self, figure: &Figure) -> f64 {
        let value = self.get(figure.value).unwrap_or(f64::NAN);
        let by = if figure.by.is_empty() { Some(1.0) } else { self.get(figure.by) };
        figure.factor * value / by.unwrap_or(f64::NAN)
    }

    /// Processors that were busy with neither broker nor generator, at the worst.
    pub(crate) fn foreign_cpus(&self) -> f64 {
        let foreign = self.numbers.iter().filter(|(name, _)| name.ends_with(".foreign_cpus"));
        foreign.map(|(_, value)| *value).fold(0.0, f64::max)
    }
}

/// The delays of several runs taken together: how many, then p50, p99, p99.9 and the longest, in
/// microseconds. `None` where there are none.
pub(crate) fn delays<'a>(samples: impl Iterator<Item = &'a Sample>) -> Option<(u64, [f64; 4])> {
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    for (value, count) in samples.flat_map(|sample| &sample.delays) {
        *all.entry(*value).or_default() += count;
    }
    let total: u64 = all.values().sum();
    let quantile = |of_1000: u64| {
        let rank = (total * of_1000).div_ceil(1000);
        let mut seen = 0;
        let found = all.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        #[allow(clippy::cast_precision_loss, reason = "delays are hours at most")]
        let value = *found?.0 as f64 / 1e3;
        Some(value)
    };
    Some((total, [quantile(500)?, quantile(990)?, quantile(999)?, quantile(1000)?]))
}

#[cfg(test)]
mod tests {
    use super::super::cases::less;
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "quotients of small whole numbers")]
    fn figures_are_quotients_of_what_was_printed() {
        let sample = Sample::parse("cpu 6\nrequests 3\nnoise\na.foreign_cpus 0.5\n");
        assert_eq!(sample.figure(&less("", "cpu", "requests", 10.0)), 20.0);
        assert_eq!(sample.figure(&less("", "cpu", "", 10.0)), 60.0);
        assert!(sample.figure(&less("", "cpu", "absent", 1.0)).is_nan());
        assert_eq!(sample.foreign_cpus(), 0.5);
    }

    #[test]
    fn delays_of_several_runs_are_one_distribution() {
        let runs = ["histogram 1000:98,5000:1", "histogram 1000:1,9000:100"].map(Sample::parse);
        assert_eq!(delays(runs.iter()), Some((200, [5.0, 9.0, 9.0, 9.0])));
        assert_eq!(delays([Sample::default()].iter()), None);
    }
}
