//! Mending a damaged log.

use std::path::Path;

use ottla_log::inspect::{Lost, Mend, RecoverError, RecoveryPlan, Severity, damaged_name};
use ottla_log::{Log, OpenLogError, segment_name};
use ottla_records::{BatchBuilder, BatchOptions, NewRecord};
use ottla_types::Offset;

use crate::inspect::{apache, verify_all};
use crate::memory_disk::MemoryDisk;
use crate::support::{DIRECTORY, NOW, append, batch, contents, now, open, sync, try_open};

/// A log of four segments and more, and where its batches lie: offset, segment, position, size.
fn filled() -> (MemoryDisk, Vec<(i64, Offset, usize, usize)>) {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let mut places = Vec::new();
    while places.len() < 40 {
        let offset = log.end().offset.get();
        append(&disk, &mut log, &batch(&[&format!("value {offset}")])).unwrap();
        let end = log.end();
        let size = batch(&[&format!("value {offset}")]).checked().header().size as usize;
        let at = usize::try_from(end.position).unwrap() - size;
        places.push((offset, end.segment_base, at, size));
    }
    sync(&disk, &mut log);
    (disk, places)
}

fn path_of(base: Offset) -> String {
    format!("{DIRECTORY}/{}", segment_name(base))
}

/// Flips a bit in the records of one batch.
fn damage(disk: &MemoryDisk, place: (i64, Offset, usize, usize)) {
    let (_, base, at, size) = place;
    let mut bytes = disk.content(&path_of(base));
    bytes[at + size - 1] ^= 4;
    disk.put(&path_of(base), &bytes);
}

fn plan(disk: &MemoryDisk) -> RecoveryPlan {
    now(RecoveryPlan::survey(&disk.ports(), Path::new(DIRECTORY))).unwrap()
}

fn perform(disk: &MemoryDisk, mend: Mend) -> Log {
    let plan = plan(disk);
    let recovered = now(plan.perform(&disk.ports(), mend, None)).unwrap();
    for path in &recovered.kept {
        assert!(disk.list().contains(&path.display().to_string()), "{path:?}");
    }
    let disk = disk.crash(0);
    let log = open(&disk);
    assert_eq!(log.end().offset, recovered.end, "what was mended is durable");
    log
}

#[test]
fn a_whole_log_needs_nothing() {
    let (disk, _) = filled();
    let plan = plan(&disk);
    assert!(plan.is_whole());
    assert_eq!(plan.lost(Mend::TruncateAtDamage), []);
    let before = disk.list();
    now(plan.perform(&disk.ports(), Mend::TruncateAtDamage, None)).unwrap();
    assert_eq!(disk.list(), before);
}

#[test]
fn damage_in_a_sealed_segment_costs_what_was_announced() {
    let (disk, places) = filled();
    let (middle, other) = (places[14], places[21]);
    damage(&disk, middle);
    damage(&disk, other);
    assert!(matches!(try_open(&disk), Err(OpenLogError::Corrupt { .. })));

    let lost = |from: i64, upto: Option<i64>| Lost {
        from: Offset::new(from),
        upto: upto.map(Offset::new),
    };
    let plan = plan(&disk);
    assert_eq!(plan.lost(Mend::SkipDamage), [lost(14, Some(15)), lost(21, Some(22))]);
    assert_eq!(plan.lost(Mend::TruncateAtDamage), [lost(14, None)]);
    assert_eq!(plan.good_bytes_lost(Mend::SkipDamage), 0);
    let behind: usize = places[15..].iter().map(|(_, _, _, size)| size).sum();
    let behind = (behind - other.3) as u64;
    assert_eq!(plan.good_bytes_lost(Mend::TruncateAtDamage), behind);

    let skipped = disk.crash(0);
    perform(&skipped, Mend::SkipDamage);
    let log = open(&skipped);
    let offsets: Vec<i64> = contents(&skipped, &log).iter().map(|(offset, _)| *offset).collect();
    let expected: Vec<i64> = (0..40).filter(|offset| ![14, 21].contains(offset)).collect();
    assert_eq!(offsets, expected);

    let log = perform(&disk, Mend::TruncateAtDamage);
    assert_eq!(contents(&disk, &log).len(), 14);
}

#[test]
fn the_damaged_bytes_are_kept_beside_the_log() {
    let (disk, places) = filled();
    let (_, base, at, size) = places[14];
    damage(&disk, places[14]);
    let damaged = disk.content(&path_of(base));
    let later = disk.content(&path_of(places[30].1));
    let aside = |base, at| format!("{DIRECTORY}/{}", damaged_name(base, at));

    let skipped = disk.crash(0);
    perform(&skipped, Mend::SkipDamage);
    assert_eq!(skipped.content(&aside(base, at as u64)), damaged[at..at + size]);

    perform(&disk, Mend::TruncateAtDamage);
    assert_eq!(disk.content(&aside(base, at as u64)), damaged[at..]);
    assert_eq!(disk.content(&aside(places[30].1, 0)), later);
}

#[test]
fn a_log_whose_first_batch_is_bad_keeps_its_place() {
    let (disk, places) = filled();
    damage(&disk, places[0]);
    let log = perform(&disk, Mend::TruncateAtDamage);
    assert_eq!(log.end().offset, Offset::ZERO);

    let (disk, places) = filled();
    let last = places[39].1;
    let in_last = places.iter().filter(|(_, base, ..)| *base == last);
    in_last.for_each(|place| damage(&disk, *place));
    let log = perform(&disk, Mend::SkipDamage);
    assert_eq!(log.end().offset, last, "new records go on where the last good segment ends");
}

/// Bytes of any kind over any part of a segment: what is announced is what is lost.
#[test]
fn whatever_is_overwritten_the_rest_is_kept() {
    for (at, len) in [(0, 10), (5, 300), (70, 1), (100, 700), (900, 100), (0, 1_000)] {
        for filler in [0x00, 0xff, 0x02] {
            let (disk, places) = filled();
            let base = places[20].1;
            let whole = disk.content(&path_of(base));
            let mut bytes = whole.clone();
            let end = bytes.len().min(at + len);
            bytes[at.min(end)..end].fill(filler);
            disk.put(&path_of(base), &bytes);
            let lost = plan(&disk).lost(Mend::SkipDamage);
            let hit = |place: &&(i64, Offset, usize, usize)| {
                let (_, of, at, size) = **place;
                of == base && bytes[at..at + size] != whole[at..at + size]
            };
            let expected: Vec<i64> = places.iter().filter(hit).map(|place| place.0).collect();
            let told: Vec<i64> =
                lost.iter().flat_map(|lost| lost.from.get()..lost.upto.unwrap().get()).collect();
            assert_eq!(told, expected, "{at} {len} {filler}");
            perform(&disk, Mend::SkipDamage);
            let log = open(&disk);
            assert_eq!(contents(&disk, &log).len(), 40 - expected.len());
        }
    }
}

/// Larger than what is read at once, with damage across the seam.
#[test]
fn a_large_segment_is_read_in_pieces() {
    let one = batch(&["x".repeat(99_937).as_str()]).bytes().to_vec();
    let mut bytes = Vec::new();
    for offset in 0..100_i64 {
        let at = bytes.len();
        bytes.extend_from_slice(&one);
        bytes[at..at + 8].copy_from_slice(&offset.to_be_bytes());
    }
    assert_eq!(bytes.len() / 100, one.len());
    let seam = 4 << 20;
    for (from, upto) in [(seam - 10, seam + 10), (seam - 700_000, seam + 500_000), (9, 9_000_000)] {
        let mut damaged = bytes.clone();
        damaged[from..upto].fill(0);
        let disk = MemoryDisk::default();
        disk.put(&path_of(Offset::ZERO), &damaged);
        let offset = |at: usize| Offset::new(i64::try_from(at / one.len()).unwrap());
        let lost = Lost { from: offset(from), upto: Some(offset(upto - 1).next()) };
        assert_eq!(plan(&disk).lost(Mend::SkipDamage), [lost], "{from} {upto}");
    }
}

#[test]
fn a_value_that_looks_like_a_batch_is_not_taken_for_one() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let mut inner = batch(&["inside"]).bytes().to_vec();
    inner[..8].copy_from_slice(&2_i64.to_be_bytes());
    let at = usize::try_from(log.end().position).unwrap();
    let mut outer = BatchBuilder::new(BatchOptions::default());
    let value = Some(inner.as_slice());
    outer.push(NewRecord { timestamp: NOW, key: None, value, headers: &[] });
    append(&disk, &mut log, &outer.build()).unwrap();
    append(&disk, &mut log, &batch(&["b"])).unwrap();
    sync(&disk, &mut log);
    let path = path_of(Offset::ZERO);
    let mut bytes = disk.content(&path);
    bytes[at + 30] ^= 1;
    disk.put(&path, &bytes);
    let lost = plan(&disk).lost(Mend::SkipDamage);
    assert_eq!(lost, [Lost { from: Offset::new(1), upto: Some(Offset::new(2)) }]);
}

/// The machine dies in the middle, and recovering is done again.
#[test]
fn recovering_survives_a_death_at_every_change() {
    for mend in [Mend::SkipDamage, Mend::TruncateAtDamage] {
        let mut changes = 0;
        while die_after(mend, changes) {
            changes += 1;
        }
        assert!(changes > 15, "{mend:?} changes {changes} things");
    }
}

/// False when it did not come to that.
fn die_after(mend: Mend, changes: usize) -> bool {
    let (disk, places) = filled();
    damage(&disk, places[14]);
    damage(&disk, places[21]);
    let (_, base, at, size) = places[14];
    let bad = disk.content(&path_of(base))[at..at + size].to_vec();
    let first = plan(&disk);
    disk.refuse_after(changes);
    let died = now(first.perform(&disk.ports(), mend, None)).is_err();
    let after = disk.crash(if changes.is_multiple_of(2) { 0 } else { usize::MAX });
    let again = plan(&after);
    now(again.perform(&after.ports(), mend, None)).unwrap();
    let log = open(&after);
    let offsets: Vec<i64> = contents(&after, &log).iter().map(|(offset, _)| *offset).collect();
    let expected: Vec<i64> = match mend {
        Mend::SkipDamage => (0..40).filter(|offset| ![14, 21].contains(offset)).collect(),
        Mend::TruncateAtDamage => (0..14).collect(),
    };
    assert_eq!(offsets, expected, "{mend:?} {changes}");
    let aside = after.content(&format!("{DIRECTORY}/{}", damaged_name(base, at as u64)));
    assert!(aside.starts_with(&bad), "{mend:?} {changes}");
    died
}

#[test]
fn what_recovering_cannot_mend_it_says() {
    let (disk, places) = filled();
    let (first, second) = (disk.content(&path_of(Offset::ZERO)), places[20].1);
    disk.put(&path_of(second), &[&disk.content(&path_of(second))[..], &first].concat());
    assert!(!plan(&disk).is_whole());
    disk.put(&path_of(Offset::new(1)), &first);
    let refused = now(RecoveryPlan::survey(&disk.ports(), Path::new(DIRECTORY)));
    assert!(matches!(refused, Err(RecoverError::Overlap { .. })), "{refused:?}");
}

#[test]
fn apache_kafkas_folder_is_in_order_after_it_was_mended() {
    for mend in [Mend::SkipDamage, Mend::TruncateAtDamage] {
        let disk = apache();
        let path = "data/transactions-0/00000000000000000004.log";
        let mut bytes = disk.content(path);
        bytes[470] ^= 1;
        disk.put(path, &bytes);
        let directory = Path::new("data/transactions-0");
        let ports = disk.ports();
        let plan = now(RecoveryPlan::survey(&ports, directory)).unwrap();
        now(plan.perform(&ports, mend, Some(Path::new("data")))).unwrap();
        let findings = verify_all(&disk).1;
        let worst = findings.iter().map(|finding| finding.severity).max();
        assert!(worst <= Some(Severity::Note), "{mend:?}: {findings:?}");
    }
}
