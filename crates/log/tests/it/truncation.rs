//! What is left of a log that took back its end.

use ottla_types::{LeaderEpoch, Offset};

use crate::memory_disk::MemoryDisk;
use crate::support::{NOW, append, batch, contents, now, numbered, open, sync};

#[test]
fn every_batch_that_holds_the_offset_or_a_later_one_goes() {
    for to in 0..=40 {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        for _ in 0..20 {
            append(&disk, &mut log, &batch(&["a", "b"])).unwrap();
        }
        sync(&disk, &mut log);
        let log = now(log.truncate(&disk.ports(), Offset::new(to))).unwrap();
        assert_eq!(log.end().offset, Offset::new(to / 2 * 2));
        assert_eq!(contents(&disk, &log).len(), usize::try_from(to / 2 * 2).unwrap());
        // It is durable, and goes on.
        let disk = disk.crash(0);
        let mut log = open(&disk);
        append(&disk, &mut log, &batch(&["c"])).unwrap();
        assert_eq!(contents(&disk, &log).len(), usize::try_from(to / 2 * 2 + 1).unwrap());
    }
}

#[test]
fn producers_and_epochs_are_what_they_were_then() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    log.append(&numbered(1, 0, 0, &["a"]).checked(), LeaderEpoch::new(1), NOW).unwrap();
    let (producers, epochs) = (log.producers().clone(), log.leader_epochs().clone());
    log.append(&numbered(1, 0, 1, &["b"]).checked(), LeaderEpoch::new(4), NOW).unwrap();
    log.append(&numbered(2, 0, 0, &["c"]).checked(), LeaderEpoch::new(4), NOW).unwrap();
    let log = now(log.truncate(&disk.ports(), Offset::new(1))).unwrap();
    assert_eq!((log.producers(), log.leader_epochs()), (&producers, &epochs));
}
