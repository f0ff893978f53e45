//! The planted bugs do their harm, so that a simulation that misses them is to blame.

use ottla_log::Appended;
use ottla_types::Offset;
use ottla_types::planted::{Bug, plant};

use crate::memory_disk::MemoryDisk;
use crate::support::{append, batch, checkpoint, numbered, open, reopen, roll, sync};

/// Heals the thread also when a test fails.
struct Planted;

impl Planted {
    fn new(bug: Bug) -> Self {
        plant(Some(bug));
        Self
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

#[test]
fn a_retried_batch_is_appended_twice() {
    let _planted = Planted::new(Bug::NoDeduplicationOfRetriedBatch);
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    assert_eq!(log.end().offset, Offset::new(2));
}

#[test]
fn a_duplicate_is_answered_with_a_wrong_offset() {
    let _planted = Planted::new(Bug::DuplicateAnsweredWithWrongOffset);
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    let again = append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    let Appended::Duplicate { base_offset, .. } = again else { panic!("{again:?}") };
    assert_eq!(base_offset, Offset::new(1));
}

#[test]
fn a_torn_tail_is_kept() {
    let _planted = Planted::new(Bug::TornTailKept);
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let log = open(&disk.crash(10));
    assert_eq!((log.end().offset, log.end().position), (Offset::new(1), 10));
}

#[test]
fn a_segment_without_a_durable_name_is_lost_with_all_in_it() {
    let _planted = Planted::new(Bug::SegmentNameNotSynced);
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let large = batch(&["x".repeat(800).as_str()]);
    append(&disk, &mut log, &large).unwrap();
    let _ = log.append(&large.checked(), crate::support::EPOCH, crate::support::NOW);
    roll(&disk, &mut log);
    append(&disk, &mut log, &large).unwrap();
    sync(&disk, &mut log);
    assert_eq!(log.synced_end().offset, Offset::new(2));
    assert_eq!(open(&disk.crash(0)).end().offset, Offset::new(1));
}

#[test]
fn a_snapshot_without_producers_makes_a_duplicate_new() {
    let _planted = Planted::new(Bug::SnapshotForgetsProducers);
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    let known = checkpoint(&disk, &mut log);
    let mut log = reopen(&disk, known).unwrap();
    append(&disk, &mut log, &numbered(1, 0, 0, &["a"])).unwrap();
    assert_eq!(log.end().offset, Offset::new(2));
}
