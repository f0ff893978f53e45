//! What goes through a partition.

use std::sync::atomic::{AtomicU64, Ordering};

use super::histogram::add_alone;

/// Counters of one partition, or of those that are gone.
///
/// Appends are counted under the partition's lock, and so by one writer at a time. Fetches are not.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    appends: AtomicU64,
    records_in: AtomicU64,
    bytes_in: AtomicU64,
    refused_appends: AtomicU64,
    refused_bytes: AtomicU64,
    fetches: AtomicU64,
    failed_fetches: AtomicU64,
    bytes_out: AtomicU64,
}

/// What went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficReport {
    /// Batches that were appended.
    pub appends: u64,
    /// Records in them.
    pub records_in: u64,
    /// Bytes of them.
    pub bytes_in: u64,
    /// Batches that were refused.
    pub refused_appends: u64,
    /// Bytes of batches that were refused for their size.
    pub refused_bytes: u64,
    /// Answers that told of it.
    pub fetches: u64,
    /// Reads for an answer that a damaged log, or the disk, had fail.
    pub failed_fetches: u64,
    /// Bytes of batches in the answers.
    pub bytes_out: u64,
}

impl Traffic {
    /// So many batches were appended; under the partition's lock.
    pub(crate) fn on_appended(&self, batches: u64, records: u64, bytes: u64) {
        add_alone(&self.appends, batches);
        add_alone(&self.records_in, records);
        add_alone(&self.bytes_in, bytes);
    }

    /// A batch was refused, `too_large` bytes of it for being so many.
    pub(crate) fn on_append_refused(&self, too_large: u64) {
        self.refused_appends.fetch_add(1, Ordering::Relaxed);
        self.refused_bytes.fetch_add(too_large, Ordering::Relaxed);
    }

    /// A consumer is answered with so many bytes of batches.
    pub(crate) fn on_fetched(&self, bytes: u64) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        if bytes > 0 {
            self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// What a consumer asked for could not be read: the log is damaged, or the disk fails.
    pub(crate) fn on_fetch_failed(&self) {
        self.failed_fetches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> TrafficReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficReport {
            appends: read(&self.appends),
            records_in: read(&self.records_in),
            bytes_in: read(&self.bytes_in),
            refused_appends: read(&self.refused_appends),
            refused_bytes: read(&self.refused_bytes),
            fetches: read(&self.fetches),
            failed_fetches: read(&self.failed_fetches),
            bytes_out: read(&self.bytes_out),
        }
    }

    /// Takes over what went through a partition that is gone.
    pub(crate) fn inherit(&self, gone: TrafficReport) {
        self.each(gone, |counter, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        });
    }

    /// What is told of all partitions: never less than before, also while one of them is on its way
    /// out of the sum.
    pub(crate) fn raise(&self, to: TrafficReport) -> TrafficReport {
        self.each(to, |counter, value| {
            counter.fetch_max(value, Ordering::Relaxed);
        });
        self.read()
    }

    fn each(&self, report: TrafficReport, act: impl Fn(&AtomicU64, u64)) {
        act(&self.appends, report.appends);
        act(&self.records_in, report.records_in);
        act(&self.bytes_in, report.bytes_in);
        act(&self.refused_appends, report.refused_appends);
        act(&self.refused_bytes, report.refused_bytes);
        act(&self.fetches, report.fetches);
        act(&self.failed_fetches, report.failed_fetches);
        act(&self.bytes_out, report.bytes_out);
    }
}

impl std::ops::AddAssign for TrafficReport {
    fn add_assign(&mut self, other: Self) {
        self.appends += other.appends;
        self.records_in += other.records_in;
        self.bytes_in += other.bytes_in;
        self.refused_appends += other.refused_appends;
        self.refused_bytes += other.refused_bytes;
        self.fetches += other.fetches;
        self.failed_fetches += other.failed_fetches;
        self.bytes_out += other.bytes_out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_all_never_falls() {
        let (first, all, told) = (Traffic::default(), Traffic::default(), Traffic::default());
        first.on_appended(1, 3, 100);
        first.on_append_refused(7);
        first.on_fetched(100);
        first.on_fetched(0);
        first.on_fetch_failed();
        let report = first.read();
        assert_eq!((report.appends, report.records_in, report.bytes_in), (1, 3, 100));
        assert_eq!((report.refused_appends, report.refused_bytes), (1, 7));
        assert_eq!((report.fetches, report.failed_fetches, report.bytes_out), (2, 1, 100));
        assert_eq!(told.raise(report), report);
        // It is gone, and not counted among those yet.
        assert_eq!(told.raise(TrafficReport::default()), report);
        all.inherit(report);
        let mut sum = all.read();
        sum += report;
        assert_eq!(told.raise(sum).bytes_in, 200);
    }
}
