//! What a writer is told.

use ottla_log::{AppendError, Appended, LogPosition, ProducerError};
use ottla_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};

use crate::memory_disk::MemoryDisk;
use crate::support::{
    DIRECTORY, EPOCH, NOW, append, batch, build, contents, now, numbered, open, roll, sync,
};

fn new(base: i64, last: i64) -> Appended {
    Appended::New { base_offset: Offset::new(base), last_offset: Offset::new(last) }
}

#[test]
fn records_get_dense_offsets_across_segments() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for n in 0..50 {
        let appended = append(&disk, &mut log, &batch(&["a", "b"])).unwrap();
        assert_eq!(appended, new(2 * n, 2 * n + 1));
    }
    let offsets: Vec<i64> = contents(&disk, &log).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    assert!(disk.list().len() > 3, "{:?}", disk.list());
    assert!(disk.list().contains(&format!("{DIRECTORY}/00000000000000000000.log")));
}

#[test]
fn nothing_is_appended_between_plan_and_roll() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let large = batch(&["x".repeat(800).as_str()]);
    log.append(&large.checked(), EPOCH, NOW).unwrap();
    let refused = log.append(&large.checked(), EPOCH, NOW);
    assert!(matches!(refused, Err(AppendError::NeedsRoll)));
    // This one would fit, but the old segment is being made durable.
    let refused = log.append(&batch(&["a"]).checked(), EPOCH, NOW);
    assert!(matches!(refused, Err(AppendError::NeedsRoll)));
    roll(&disk, &mut log);
    assert_eq!(log.append(&large.checked(), EPOCH, NOW).unwrap(), new(1, 1));
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let refused = append(&disk, &mut log, &batch(&["x".repeat(1_000).as_str()]));
    assert!(matches!(refused, Err(AppendError::LargerThanSegment { max: 1_000, .. })));
    assert_eq!(log.end().offset, Offset::ZERO);
}

#[test]
fn an_old_leader_is_refused() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    log.append(&batch(&["a"]).checked(), LeaderEpoch::new(3), NOW).unwrap();
    let refused = log.append(&batch(&["b"]).checked(), LeaderEpoch::new(2), NOW);
    assert!(matches!(refused, Err(AppendError::Epoch(_))));
    log.append(&batch(&["b"]).checked(), LeaderEpoch::new(5), NOW).unwrap();
    let entries: Vec<_> =
        log.leader_epochs().entries().iter().map(|e| (e.epoch, e.start)).collect();
    assert_eq!(
        entries,
        [(LeaderEpoch::new(3), Offset::ZERO), (LeaderEpoch::new(5), Offset::new(1))]
    );
}

#[test]
fn a_log_is_dead_after_a_failed_write() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    sync(&disk, &mut log);
    disk.fail_writes();
    let failed = append(&disk, &mut log, &batch(&["b"]));
    assert!(matches!(failed, Err(AppendError::Storage(_))));
    assert!(matches!(append(&disk, &mut log, &batch(&["c"])), Err(AppendError::Dead)));
    assert_eq!(log.end().offset, Offset::new(1));
    // What the failed write left behind is a torn tail for the next start.
    let disk = disk.crash(1_000);
    let log = open(&disk);
    assert!(log.recovery().torn_tail.is_some());
    assert_eq!(contents(&disk, &log), [(0, "a".to_owned())]);
}

#[test]
fn a_log_that_ran_out_of_space_goes_on_once_the_rest_is_cut_off() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    disk.set_full(true);
    let (end, segment) = (log.end(), format!("{DIRECTORY}/00000000000000000000.log"));
    let failed = append(&disk, &mut log, &batch(&["b"]));
    assert!(matches!(failed, Err(AppendError::Full(_))));
    assert!(disk.content(&segment).len() as u64 > end.position, "half of it is there");
    disk.set_full(false);
    let refused = append(&disk, &mut log, &batch(&["b"]));
    assert!(matches!(refused, Err(AppendError::NeedsCut)), "not behind half a batch");
    assert_eq!(log.end(), end);
    // Neither a sync meanwhile nor a crash makes anything of the half.
    sync(&disk, &mut log);
    assert_eq!(log.synced_end(), end);
    let crashed = disk.crash(1_000);
    let reopened = open(&crashed);
    assert!(reopened.recovery().torn_tail.is_some());
    assert_eq!(contents(&crashed, &reopened), [(0, "a".to_owned())]);

    now(log.cut_plan().perform(&disk.ports())).unwrap();
    log.on_cut();
    assert_eq!(disk.content(&segment).len() as u64, end.position);
    append(&disk, &mut log, &batch(&["b"])).unwrap();
    let crashed = disk.crash(1_000);
    let reopened = open(&crashed);
    assert_eq!(reopened.recovery().torn_tail, None);
    assert_eq!(contents(&crashed, &reopened), [(0, "a".to_owned()), (1, "b".to_owned())]);
}

#[test]
fn a_log_is_dead_after_a_failed_sync() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let unsynced = log.take_unsynced().unwrap();
    disk.fail_syncs();
    log.on_sync_failed();
    assert!(log.take_unsynced().is_none());
    assert!(matches!(append(&disk, &mut log, &batch(&["b"])), Err(AppendError::Dead)));
    assert!(log.synced_end().offset < unsynced.upto.offset);
}

#[test]
fn the_synced_end_follows_the_syncs() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    assert!(log.take_unsynced().is_none());
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let first = log.end();
    let unsynced = log.take_unsynced().unwrap();
    assert_eq!((unsynced.files.len(), unsynced.upto), (1, first));
    assert_eq!(unsynced.bytes, first.position);
    append(&disk, &mut log, &batch(&["b"])).unwrap();
    assert!(log.take_unsynced().is_none(), "one sync at a time");
    assert_eq!(log.synced_end().offset, Offset::ZERO);
    log.on_synced(unsynced.upto);
    assert_eq!(log.synced_end(), first);
    assert_eq!(log.dirty_bytes(), log.end().position - first.position);
    sync(&disk, &mut log);
    assert_eq!(log.synced_end(), log.end());
    assert_eq!(log.dirty_bytes(), 0);
}

#[test]
fn a_roll_makes_all_before_it_durable() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    while log.end().segment_base == Offset::ZERO {
        append(&disk, &mut log, &batch(&["a"])).unwrap();
    }
    let synced = log.synced_end();
    assert_eq!(
        synced,
        LogPosition { offset: synced.offset, segment_base: synced.offset, position: 0 }
    );
    assert_eq!(synced.offset.next(), log.end().offset);
    assert_eq!(open(&disk.crash(0)).end().offset, synced.offset);
}

#[test]
fn a_sync_after_a_roll_covers_every_byte_that_was_appended() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["x".repeat(800).as_str()])).unwrap();
    append(&disk, &mut log, &batch(&["y".repeat(800).as_str()])).unwrap();
    let unsynced = log.take_unsynced().unwrap();
    assert_eq!((unsynced.files.len(), unsynced.upto), (2, log.end()));
    assert!(unsynced.bytes > 1_600, "a host's account of dirty bytes comes out even");
    log.on_synced(unsynced.upto);
    assert_eq!((log.dirty_bytes(), log.synced_end()), (0, log.end()));
}

#[test]
fn no_sync_is_handed_out_while_a_roll_is_under_way() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let large = batch(&["x".repeat(800).as_str()]);
    log.append(&large.checked(), EPOCH, NOW).unwrap();
    let refused = log.append(&large.checked(), EPOCH, NOW);
    assert!(matches!(refused, Err(AppendError::NeedsRoll)));
    assert!(log.take_unsynced().is_none(), "the roll syncs the same file");
    log.abandon_roll();
    assert_eq!(log.take_unsynced().unwrap().upto, log.end());
    assert!(log.is_syncing(), "a roll has to wait for this one");
}

#[test]
fn a_roll_during_a_sync_waits_for_its_word() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["x".repeat(800).as_str()])).unwrap();
    let unsynced = log.take_unsynced().unwrap();
    append(&disk, &mut log, &batch(&["y".repeat(800).as_str()])).unwrap();
    assert_eq!(log.synced_end().offset, Offset::ZERO);
    log.on_synced(unsynced.upto);
    assert_eq!(log.synced_end().offset, Offset::new(1));
    sync(&disk, &mut log);
    assert_eq!(log.synced_end(), log.end());
}

#[test]
fn bytes_on_both_sides_of_a_roll_are_synced_together() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["x".repeat(700).as_str()])).unwrap();
    let first = log.take_unsynced().unwrap();
    append(&disk, &mut log, &batch(&["y"])).unwrap();
    append(&disk, &mut log, &batch(&["z".repeat(700).as_str()])).unwrap();
    assert_eq!(log.end().segment_base, Offset::new(2));
    log.on_synced(first.upto);
    let second = log.take_unsynced().unwrap();
    assert_eq!((second.files.len(), second.upto), (2, log.end()));
    log.on_synced(second.upto);
    assert_eq!((log.synced_end(), log.dirty_bytes()), (log.end(), 0));
}

#[test]
fn a_segment_spans_no_more_time_than_its_topic_wants() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let at = |millis| {
        let append_time = Some(ottla_types::Timestamp::from_millis(millis));
        build(ottla_records::BatchOptions { append_time, ..Default::default() }, &["a"])
    };
    log.append(&at(0).checked(), EPOCH, NOW).unwrap();
    log.append(&at(3_600_000).checked(), EPOCH, NOW).unwrap();
    let refused = log.append(&at(3_600_001).checked(), EPOCH, NOW);
    assert!(matches!(refused, Err(AppendError::NeedsRoll)));
}

#[test]
fn a_batch_sent_again_keeps_its_first_offset() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for n in 0..6 {
        append(&disk, &mut log, &numbered(7, 0, 2 * n, &["a", "b"])).unwrap();
    }
    let end = log.end();
    for n in 1..6 {
        let appended = append(&disk, &mut log, &numbered(7, 0, 2 * n, &["a", "b"])).unwrap();
        let base = i64::from(2 * n);
        let Appended::Duplicate { base_offset, last_offset, timestamp } = appended else {
            panic!("{appended:?}");
        };
        assert_eq!((base_offset.get(), last_offset.get()), (base, base + 1));
        assert_eq!(timestamp, Some(NOW));
    }
    assert_eq!(log.end(), end);
    // Older than the recent five: no longer recognised, so it is out of order.
    check_refused(&mut log, &numbered(7, 0, 0, &["a", "b"]), out_of_order(0, 12));
}

#[test]
fn gaps_and_fenced_producers_are_refused() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    // An unknown producer may begin anywhere: what it wrote before may have been deleted.
    append(&disk, &mut log, &numbered(7, 3, 40, &["a"])).unwrap();
    check_refused(&mut log, &numbered(7, 3, 42, &["c"]), out_of_order(42, 41));
    check_refused(&mut log, &numbered(7, 3, 39, &["c"]), out_of_order(39, 41));
    // Same first sequence, another length: not the same batch.
    check_refused(&mut log, &numbered(7, 3, 40, &["a", "b"]), out_of_order(40, 41));
    check_refused(&mut log, &numbered(7, 4, 41, &["b"]), out_of_order(41, 0));
    let fenced = ProducerError::InvalidProducerEpoch {
        producer: ProducerId::new(7),
        epoch: ProducerEpoch::new(2),
        current: ProducerEpoch::new(3),
    };
    check_refused(&mut log, &numbered(7, 2, 41, &["b"]), fenced);
    append(&disk, &mut log, &numbered(7, 4, 0, &["b"])).unwrap();
    // The old epoch's batches are not recognised any more.
    let fenced = ProducerError::InvalidProducerEpoch {
        producer: ProducerId::new(7),
        epoch: ProducerEpoch::new(3),
        current: ProducerEpoch::new(4),
    };
    check_refused(&mut log, &numbered(7, 3, 40, &["a"]), fenced);
}

#[test]
fn sequences_wrap() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(7, 0, i32::MAX, &["a", "b"])).unwrap();
    let again = append(&disk, &mut log, &numbered(7, 0, i32::MAX, &["a", "b"])).unwrap();
    assert!(matches!(again, Appended::Duplicate { .. }));
    assert_eq!(append(&disk, &mut log, &numbered(7, 0, 1, &["c"])).unwrap(), new(2, 2));
}

fn out_of_order(sequence: i32, expected: i32) -> ProducerError {
    ProducerError::OutOfOrderSequence {
        producer: ProducerId::new(7),
        sequence: Sequence::new(sequence),
        expected: Sequence::new(expected),
    }
}

fn check_refused(
    log: &mut ottla_log::Log,
    batch: &ottla_records::BuiltBatch,
    expected: ProducerError,
) {
    let end = log.end();
    match log.append(&batch.checked(), EPOCH, NOW) {
        Err(AppendError::Producer(error)) => assert_eq!(error, expected),
        outcome => panic!("{outcome:?}"),
    }
    assert_eq!(log.end(), end);
}

#[test]
fn producers_that_were_idle_for_long_are_forgotten() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(7, 0, 0, &["a"])).unwrap();
    let idle = std::time::Duration::from_secs(10);
    log.expire_producers(ottla_types::Timestamp::from_millis(NOW.millis() + 9_999), idle);
    assert_eq!(log.producers().len(), 1);
    log.expire_producers(ottla_types::Timestamp::from_millis(NOW.millis() + 10_000), idle);
    assert!(log.producers().is_empty());
    append(&disk, &mut log, &numbered(7, 0, 5, &["b"])).unwrap();
}

#[test]
fn a_fresh_segment_is_not_made_when_the_old_one_cannot_be_synced() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let large = batch(&["x".repeat(800).as_str()]);
    log.append(&large.checked(), EPOCH, NOW).unwrap();
    let _ = log.append(&large.checked(), EPOCH, NOW);
    disk.fail_syncs();
    let failed = now(log.roll_plan().prepare(&disk.ports()));
    assert!(matches!(failed, Err(ottla_log::RollError::Sync(_))));
    assert_eq!(disk.list().len(), 1);
}
