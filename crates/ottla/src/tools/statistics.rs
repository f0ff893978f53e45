//! What `kafka-producer-perf-test` counts and prints.

use std::time::Duration;

/// Latencies that are kept: enough for percentiles, few enough for memory.
const KEPT_MAX: u64 = 500_000;

/// Counts records of a run, or of its steady part.
#[derive(Debug)]
pub(super) struct Statistics {
    is_steady: bool,
    /// Every so-manieth latency is kept.
    sampling: u64,
    latencies: Vec<u64>,
    whole: Counted,
    window: Counted,
}

/// Some records together.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    records: u64,
    bytes: u64,
    latency_ms: u64,
    latency_ms_max: u64,
}

/// Numbers of records and bytes are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss, reason = "for a reader")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Counted {
    fn add(&mut self, latency_ms: u64, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.latency_ms += latency_ms;
        self.latency_ms_max = self.latency_ms_max.max(latency_ms);
    }

    fn records_per_second(&self, within: Duration) -> f64 {
        float(self.records) / within.as_secs_f64().max(0.001)
    }

    fn megabytes_per_second(&self, within: Duration) -> f64 {
        float(self.bytes) / within.as_secs_f64().max(0.001) / (1024.0 * 1024.0)
    }

    fn latency_ms_average(&self) -> f64 {
        float(self.latency_ms) / float(self.records.max(1))
    }
}

impl Statistics {
    /// Of so many records.
    pub(super) fn new(records: u64, is_steady: bool) -> Self {
        let sampling = records / records.clamp(1, KEPT_MAX);
        Self {
            is_steady,
            sampling: sampling.max(1),
            latencies: Vec::new(),
            whole: Counted::default(),
            window: Counted::default(),
        }
    }

    /// Counts a record that was written.
    pub(super) fn add(&mut self, latency: Duration, bytes: usize) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        if self.whole.records.is_multiple_of(self.sampling) {
            self.latencies.push(latency_ms);
        }
        self.whole.add(latency_ms, bytes as u64);
        self.window.add(latency_ms, bytes as u64);
    }

    /// What was counted since it was last asked; `None` for nothing.
    pub(super) fn since_last(&mut self, within: Duration) -> Option<String> {
        let window = std::mem::take(&mut self.window);
        (window.records > 0).then(|| {
            format!(
                "{} records sent, {:.1} records/sec ({:.2} MB/sec), {:.1} ms avg latency, {:.1} ms \
                 max latency.",
                window.records,
                window.records_per_second(within),
                window.megabytes_per_second(within),
                window.latency_ms_average(),
                float(window.latency_ms_max),
            )
        })
    }

    /// What was counted in all.
    pub(super) fn total(&mut self, within: Duration) -> String {
        self.latencies.sort_unstable();
        let percentile = |per_mille: usize| {
            let at = self.latencies.len() * per_mille / 1_000;
            self.latencies.get(at).copied().unwrap_or(0)
        };
        format!(
            "{}{} records sent, {:.6} records/sec ({:.2} MB/sec), {:.2} ms avg latency, {:.2} ms \
             max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.whole.records,
            if self.is_steady { " steady state" } else { "" },
            self.whole.records_per_second(within),
            self.whole.megabytes_per_second(within),
            self.whole.latency_ms_average(),
            float(self.whole.latency_ms_max),
            percentile(500),
            percentile(950),
            percentile(990),
            percentile(999),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_as_kafkas_tool_prints_them() {
        let mut statistics = Statistics::new(4, false);
        for ms in [1, 2, 3, 10] {
            statistics.add(Duration::from_millis(ms), 1 << 20);
        }
        let second = Duration::from_secs(1);
        assert_eq!(
            statistics.since_last(second).unwrap(),
            "4 records sent, 4.0 records/sec (4.00 MB/sec), 4.0 ms avg latency, 10.0 ms max latency."
        );
        assert_eq!(statistics.since_last(second), None);
        assert_eq!(
            statistics.total(second),
            "4 records sent, 4.000000 records/sec (4.00 MB/sec), 4.00 ms avg latency, 10.00 ms max \
             latency, 3 ms 50th, 10 ms 95th, 10 ms 99th, 10 ms 99.9th."
        );
        assert!(Statistics::new(1, true).total(second).starts_with("0 steady state records sent"));
    }
}
