//! From times to offsets.

use ottla_log::{Log, LogPosition, ReadOutcome};
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, Compression, NewRecord};
use ottla_types::{Offset, Timestamp};

use crate::memory_disk::MemoryDisk;
use crate::support::{NOW, append, now, open, reopen, stop};

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

/// For each offset: when the batch that holds it was written, by its first record.
fn written(disk: &MemoryDisk, log: &Log, upto: LogPosition) -> Vec<Option<i64>> {
    let (view, ports) = (log.view(), disk.ports());
    let at = |from| now(view.written_at(&ports, Offset::new(from), upto)).unwrap();
    (0..=upto.offset.get()).map(|from| at(from).map(Timestamp::millis)).collect()
}

#[test]
fn a_record_is_as_old_as_its_batch_and_nobody_has_to_keep_it_open() {
    let disk = MemoryDisk::default();
    let log = filled(&disk, Compression::None, 9, MIXED);
    let batches = std::iter::repeat_n(MIXED, 9).flatten();
    let expected = batches.flat_map(|times| times.iter().map(|_| Some(times[0])));
    let expected: Vec<_> = expected.chain([None]).collect();
    assert_eq!(written(&disk, &log, log.end()), expected);
    assert!(log.view().sealed_sizes().len() > 2, "several segments");
    let known = stop(&disk, log);
    let log = reopen(&disk, known).unwrap();
    disk.cool();
    assert_eq!(written(&disk, &log, log.end()), expected);
    let oldest = now(log.view().written_at(&disk.ports(), Offset::ZERO, log.end())).unwrap();
    assert_eq!(oldest, Some(Timestamp::from_millis(50)));
    let read = log.view().read(Offset::ZERO, log.end(), u32::MAX, true).unwrap();
    assert!(matches!(read, ReadOutcome::Cold(_)), "the oldest segment was closed again");
}

#[test]
fn records_without_a_time_have_no_age_and_appends_have_theirs() {
    for (appended, time, expected) in [
        (None, 7, Some(7)),
        (None, -1, None),
        (Some(NOW), 7, Some(NOW.millis())),
        (Some(NOW), -1, Some(NOW.millis())),
    ] {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        let options = BatchOptions { append_time: appended, ..Default::default() };
        let mut builder = BatchBuilder::new(options);
        let timestamp = Timestamp::from_millis(time);
        builder.push(NewRecord { timestamp, key: None, value: None, headers: &[] });
        append(&disk, &mut log, &builder.build()).unwrap();
        assert_eq!(written(&disk, &log, log.end()), [expected, None], "{appended:?} {time}");
    }
}
