//! What is left of a log whose beginning was deleted.

use std::path::Path;

use ottla_log::{
    Checkpointed, DormantLog, EpochEntry, Log, ReadError, ReadOutcome, RetentionLimits,
    SegmentFacts,
};
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, NewRecord};
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::memory_disk::MemoryDisk;
use crate::support::{
    DIRECTORY, NOW, SMALL, append, batch, checkpoint, now, numbered, open, reopen, roll, sync,
};

/// A log of 40 records in batches of one, ten to a segment or so, all of them durable.
fn filled(disk: &MemoryDisk) -> Log {
    let mut log = open(disk);
    for n in 0..40 {
        append(disk, &mut log, &at_second(n)).unwrap();
    }
    sync(disk, &mut log);
    log
}

/// A batch of one record of that time.
fn at_second(second: i64) -> BuiltBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    let timestamp = Timestamp::from_millis(second * 1_000);
    builder.push(NewRecord { timestamp, key: None, value: Some(&[7; 30]), headers: &[] });
    builder.build()
}

fn bases(disk: &MemoryDisk, suffix: &str) -> Vec<i64> {
    let digits = |name: &String| {
        let name = name.strip_prefix(DIRECTORY)?.strip_prefix('/')?.strip_suffix(suffix)?;
        name.parse().ok()
    };
    disk.list().iter().filter_map(digits).collect()
}

/// The first offset that a reader finds at or behind `from`.
fn readable(log: &Log, from: i64) -> Option<i64> {
    match log.view().read(Offset::new(from), log.end(), u32::MAX, true) {
        Ok(ReadOutcome::Slice(slice)) => Some(slice.first.offset.get()),
        Ok(ReadOutcome::Empty) => Some(log.end().offset.get()),
        Ok(ReadOutcome::Cold(cold)) => panic!("{cold:?}"),
        Err(ReadError::BelowStart { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// The log after a restart that knows where it starts.
fn reopened(disk: &MemoryDisk, log_start: i64) -> Log {
    let known = Checkpointed { log_start: Some(Offset::new(log_start)), ..Checkpointed::default() };
    let ports = disk.ports();
    let survey = DormantLog::survey(&ports, Path::new(DIRECTORY), SMALL, known);
    let mut dormant = now(survey).unwrap();
    now(dormant.take_leftovers().remove(&ports));
    let mut log = now(dormant.open(&ports)).unwrap();
    sync(disk, &mut log);
    log
}

#[test]
fn records_below_the_start_are_gone_and_whole_segments_with_them() {
    for to in 0..=40 {
        let disk = MemoryDisk::default();
        let mut log = filled(&disk);
        let all = bases(&disk, ".log");
        let doomed = log.advance_start(Offset::new(to));
        assert_eq!(log.start_offset(), Offset::new(to));
        assert_eq!(readable(&log, to), Some(to));
        assert_eq!((to > 0).then(|| readable(&log, to - 1)).flatten(), None);
        let ends = all[1..].iter().copied();
        let gone = ends.filter(|end| *end <= to).count();
        assert_eq!(doomed.len(), gone);
        let aside = now(doomed.set_aside(&disk.ports())).unwrap();
        assert_eq!(bases(&disk, ".log"), all[gone..]);
        assert_eq!(bases(&disk, ".log.deleted"), all[..gone]);
        now(aside.remove(&disk.ports()));
        assert!(disk.list().iter().all(|name| !name.contains(".deleted")));
        let mut log = reopened(&disk, to);
        assert_eq!((log.start_offset().get(), log.end().offset.get()), (to, 40));
        assert_eq!(readable(&log, to), Some(to));
        append(&disk, &mut log, &batch(&["more"])).unwrap();
        assert_eq!(log.end().offset.get(), 41);
    }
}

#[test]
fn whoever_holds_a_view_from_before_goes_on_reading() {
    let disk = MemoryDisk::default();
    let mut log = filled(&disk);
    let (view, end) = (log.view(), log.end());
    let doomed = log.advance_start(Offset::new(40));
    now(now(doomed.set_aside(&disk.ports())).unwrap().remove(&disk.ports()));
    for from in 0..40 {
        let read = view.read(Offset::new(from), end, u32::MAX, true).unwrap();
        assert!(matches!(read, ReadOutcome::Slice(slice) if slice.first.offset.get() == from));
    }
}

#[test]
fn the_start_never_goes_back() {
    let disk = MemoryDisk::default();
    let mut log = filled(&disk);
    assert!(!log.advance_start(Offset::new(30)).is_empty());
    assert!(log.advance_start(Offset::new(5)).is_empty());
    assert_eq!(log.start_offset(), Offset::new(30));
}

#[test]
fn a_deleted_segment_that_a_crash_brings_back_takes_no_producer_away() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(7, 0, 0, &["first"])).unwrap();
    let known = checkpoint(&disk, &mut log);
    for sequence in 1..40 {
        append(&disk, &mut log, &numbered(7, 0, sequence, &["more"])).unwrap();
    }
    sync(&disk, &mut log);
    let all = bases(&disk, ".log");
    let oldest = format!("{DIRECTORY}/{:020}.log", all[0]);
    let content = disk.content(&oldest);
    let doomed = log.advance_start(Offset::new(*all.last().unwrap()));
    now(now(doomed.set_aside(&disk.ports())).unwrap().remove(&disk.ports()));
    // The name of the oldest is there again; of those behind it nothing is.
    disk.put(&oldest, &content);
    let known = Checkpointed { log_start: Some(log.start_offset()), ..known };
    let again = reopen(&disk, known).unwrap();
    assert_eq!((again.start_offset(), again.end()), (log.start_offset(), log.end()));
    assert_eq!(again.producers(), log.producers());
}

#[test]
fn a_restart_finishes_what_a_crash_left_of_a_deletion() {
    let disk = MemoryDisk::default();
    let mut log = filled(&disk);
    let all = bases(&disk, ".log");
    // The start was written down, and half of the segments had their new names.
    let aside = now(log.advance_start(Offset::new(all[1])).set_aside(&disk.ports()));
    drop(aside.unwrap());
    let mut log = reopened(&disk, 39);
    assert_eq!(bases(&disk, ".log.deleted"), [0; 0]);
    assert_eq!((log.start_offset().get(), log.end().offset.get()), (39, 40));
    let doomed = log.advance_start(Offset::new(39));
    assert_eq!(doomed.len(), 2, "what lies below the start is still to go");
}

#[test]
fn a_log_that_is_deleted_in_full_goes_on_behind_its_end() {
    let disk = MemoryDisk::default();
    let mut log = filled(&disk);
    assert!(log.begin_roll());
    assert!(!log.begin_roll(), "one is under way");
    roll(&disk, &mut log);
    assert!(!log.begin_roll(), "the new segment is empty");
    now(now(log.advance_start(Offset::new(40)).set_aside(&disk.ports()))
        .unwrap()
        .remove(&disk.ports()));
    assert_eq!(bases(&disk, ".log"), [40]);
    append(&disk, &mut log, &at_second(50)).unwrap();
    sync(&disk, &mut log);
    let log = reopened(&disk, 40);
    assert_eq!((log.start_offset().get(), log.end().offset.get()), (40, 41));
}

#[test]
fn epochs_that_ended_below_the_start_are_forgotten() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for epoch in [1, 1, 4, 4, 6, 6] {
        log.append(&batch(&["a"]).checked(), LeaderEpoch::new(epoch), NOW).unwrap();
    }
    assert!(log.advance_start(Offset::new(3)).is_empty());
    let entry =
        |epoch, start| EpochEntry { epoch: LeaderEpoch::new(epoch), start: Offset::new(start) };
    assert_eq!(log.leader_epochs().entries(), [entry(4, 3), entry(6, 4)]);
}

#[test]
fn ages_are_looked_for_as_far_as_segments_are_old() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    let seconds = |facts: Vec<SegmentFacts>| -> Vec<Option<i64>> {
        facts.iter().map(|facts| facts.newest.map(|newest| newest.millis() / 1_000)).collect()
    };
    let sealed = |older: Option<i64>| {
        let older = older.map(|second| Timestamp::from_millis(second * 1_000));
        now(log.view().sealed_facts(&disk.ports(), older, NOW)).unwrap()
    };
    let ends: Vec<i64> = bases(&disk, ".log")[1..].iter().map(|base| base - 1).collect();
    assert_eq!(seconds(sealed(None)), [None, None, None]);
    assert_eq!(seconds(sealed(Some(0))), [Some(ends[0]), None, None]);
    assert_eq!(seconds(sealed(Some(ends[0] + 1))), [Some(ends[0]), Some(ends[1]), None]);
    assert_eq!(seconds(sealed(Some(99))), [Some(ends[0]), Some(ends[1]), Some(ends[2])]);
    assert_eq!(seconds(vec![log.active_facts()]), [Some(39)]);
    assert_eq!(RetentionLimits::NONE.age, None);
}

#[test]
fn a_deleted_record_is_not_found_by_its_time() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a", "b", "c"])).unwrap();
    for start in 0..=3 {
        assert!(log.advance_start(Offset::new(start)).is_empty());
        let found = now(log.view().first_since(&disk.ports(), NOW, log.end())).unwrap();
        assert_eq!(found.map(|found| found.offset.get()), (start < 3).then_some(start));
    }
}

#[test]
fn a_segment_without_times_is_as_old_as_the_first_look_at_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for _ in 0..20 {
        // -1 seconds: no timestamp.
        append(&disk, &mut log, &at_second(-1)).unwrap();
    }
    for (look, expected) in [(50, 50), (60, 50), (70, 50)] {
        let (older, look) = (Timestamp::from_millis(10), Timestamp::from_millis(look));
        let facts = now(log.view().sealed_facts(&disk.ports(), Some(older), look)).unwrap();
        assert_eq!(facts[0].newest, Some(Timestamp::from_millis(expected)));
    }
}
