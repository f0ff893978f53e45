//! From times to offsets.

use ottla_log::{Log, LogPosition};
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, Compression, NewRecord};
use ottla_types::Timestamp;

use crate::memory_disk::MemoryDisk;
use crate::support::{append, now, open};

/// Timestamps of each batch, in the order of their offsets.
type Times = &'static [&'static [i64]];

const RISING: Times = &[&[10, 20], &[30], &[40, 50, 60], &[70]];
const MIXED: Times = &[&[50, 10], &[5], &[90, 80], &[7, 95, 95], &[20]];
const LEVEL: Times = &[&[5, 5], &[5], &[5]];

fn timed(compression: Compression, times: &[i64]) -> BuiltBatch {
    let mut builder = BatchBuilder::new(BatchOptions { compression, ..Default::default() });
    for time in times {
        let timestamp = Timestamp::from_millis(*time);
        // So large that the index gets entries and the log several segments.
        let value = Some(&[7; 90][..]);
        builder.push(NewRecord { timestamp, key: None, value, headers: &[] });
    }
    builder.build()
}

fn filled(disk: &MemoryDisk, compression: Compression, rounds: usize, times: Times) -> Log {
    let mut log = open(disk);
    for times in std::iter::repeat_n(times, rounds).flatten() {
        append(disk, &mut log, &timed(compression, times)).unwrap();
    }
    log
}

/// Compares with a look at every record.
fn check(compression: Compression, rounds: usize, times: Times) {
    let disk = MemoryDisk::default();
    let log = filled(&disk, compression, rounds, times);
    let all: Vec<i64> =
        std::iter::repeat_n(times, rounds).flatten().copied().flatten().copied().collect();
    check_all(&disk, &log, &all, log.end());
    check_all(&disk, &open(&disk), &all, log.end());
    disk.cool();
    check_all(&disk, &log, &all, log.end());
}

fn check_all(disk: &MemoryDisk, log: &Log, all: &[i64], upto: LogPosition) {
    let view = log.view();
    for time in 0..100 {
        let expected = all.iter().position(|at| *at >= time);
        let found = now(view.first_since(&disk.ports(), Timestamp::from_millis(time), upto));
        let found = found.unwrap();
        assert_eq!(found.map(|found| found.offset.get()), expected.map(to_i64), "{time}");
        assert_eq!(
            found.map(|found| found.timestamp.millis()),
            expected.map(|at| all[at]),
            "{time}"
        );
    }
    let max = all.iter().max();
    let expected = max.and_then(|max| all.iter().position(|at| at == max));
    let found = now(view.latest(&disk.ports(), upto)).unwrap();
    assert_eq!(found.map(|found| found.offset.get()), expected.map(to_i64));
}

fn to_i64(index: usize) -> i64 {
    i64::try_from(index).unwrap()
}

#[test]
fn times_are_found_in_every_shape_of_log() {
    for compression in [Compression::None, Compression::Zstd] {
        for rounds in [0, 1, 2, 9] {
            for times in [RISING, MIXED, LEVEL] {
                check(compression, rounds, times);
            }
        }
    }
}

#[test]
fn no_record_behind_the_bound_is_found() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let mut all = Vec::new();
    let mut bounds = vec![(log.end(), 0)];
    for n in 0..40 {
        let times = [n, 90 - n];
        append(&disk, &mut log, &timed(Compression::None, &times)).unwrap();
        all.extend(times);
        bounds.push((log.end(), all.len()));
    }
    for (upto, records) in bounds {
        check_all(&disk, &log, &all[..records], upto);
    }
}
