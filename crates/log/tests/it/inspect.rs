//! Verifying folders, Apache Kafka's and our own, in order and damaged.

use std::path::Path;

use ottla_env::{DiskExt, Open};
use ottla_log::inspect::{
    Finding, Found, Known, LogDirectory, SegmentReader, Severity, Totals, Trouble, partition_of,
    verify_directory, verify_partition,
};
use ottla_testkit::apache_folder;
use ottla_types::Offset;

use crate::memory_disk::MemoryDisk;
use crate::support::{DIRECTORY, append, now, numbered, open, sync};

/// Apache Kafka's log directory, at `data`.
pub(crate) fn apache() -> MemoryDisk {
    let disk = MemoryDisk::default();
    for (path, bytes) in apache_folder() {
        disk.put(&format!("data/{path}"), &bytes);
    }
    disk
}

fn read_directory(disk: &MemoryDisk) -> LogDirectory {
    now(LogDirectory::read(&disk.ports(), Path::new("data"))).unwrap().unwrap()
}

pub(crate) fn verify_all(disk: &MemoryDisk) -> (Totals, Vec<Finding>) {
    let mut findings = Vec::new();
    let (ports, directory) = (disk.ports(), read_directory(disk));
    let mut report = |finding| findings.push(finding);
    let totals = now(verify_directory(&ports, &directory, true, &mut report)).unwrap();
    (totals, findings)
}

/// The worst of what there is to say of the whole folder.
fn worst(disk: &MemoryDisk) -> Option<Severity> {
    verify_all(disk).1.iter().map(|finding| finding.severity).max()
}

#[test]
fn apache_kafkas_folder_is_in_order() {
    let (totals, findings) = verify_all(&apache());
    // The metadata log has neither high watermark nor recovery point; nothing is odd about it.
    assert_eq!(findings, []);
    assert_eq!((totals.partitions, totals.segments), (8, 14));
    assert!(totals.batches > 300 && totals.bytes > 30_000, "{totals:?}");
}

/// Which file, from and to which byte, and what any flipped bit in there amounts to at least.
#[test]
#[rustfmt::skip]
fn every_flipped_bit_is_found() {
    let end = usize::MAX;
    // The bits 0 to 60 of a batch are its header; offset and epoch lie outside of its checksum.
    check_flips("transactions-0/00000000000000000004.log",           0..16,  Severity::Derived);
    check_flips("transactions-0/00000000000000000004.log",          16..200, Severity::Damage);
    check_flips("idempotent-0/00000000000000000018.log",            16..381, Severity::Derived);
    check_flips("transactions-0/00000000000000000004.index",         0..end, Severity::Derived);
    check_flips("transactions-0/00000000000000000004.timeindex",     0..end, Severity::Derived);
    check_flips("transactions-0/00000000000000000004.txnindex",      0..34,  Severity::Derived);
    check_flips("transactions-0/00000000000000000017.snapshot",      0..end, Severity::Derived);
    check_flips("idempotent-0/00000000000000000030.snapshot",        0..end, Severity::Derived);
}

fn check_flips(path: &str, range: std::ops::Range<usize>, least: Severity) {
    let disk = apache();
    let (directory, _) = path.split_once('/').unwrap();
    let known = read_directory(&disk).known(&partition_of(directory).unwrap());
    let (directory, path) = (format!("data/{directory}"), format!("data/{path}"));
    let whole = disk.content(&path);
    for at in range.start..range.end.min(whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.put(&path, &bytes);
        let findings = verify_one(&disk, &directory, known);
        let worst = findings.iter().map(|finding| finding.severity).max();
        assert!(worst >= Some(least), "{path} byte {at}: {findings:?}");
    }
}

/// Whatever is in a file, all of it is either good batches or damage, and reading ends.
#[test]
fn every_byte_is_accounted_for() {
    let whole = apache().content("data/transactions-0/00000000000000000004.log");
    let mut state = 9_u64;
    let mut dice = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..2_000 {
        let mut bytes = whole.clone();
        for _ in 0..=dice(3) {
            let at = dice(bytes.len());
            match dice(4) {
                0 => bytes[at] = bytes[at].wrapping_add(u8::try_from(1 + dice(255)).unwrap()),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..bytes.len().min(at + 1 + dice(90)))),
                _ => drop(bytes.splice(at..at, whole[..dice(whole.len())].iter().copied())),
            }
            bytes.push(0);
        }
        check_accounted(&bytes);
    }
}

fn check_accounted(bytes: &[u8]) {
    let disk = MemoryDisk::default();
    disk.put("data/t-0/00000000000000000004.log", bytes);
    let ports = disk.ports();
    let path = Path::new("data/t-0/00000000000000000004.log");
    let file = now(ports.open_file(path, Open::Existing)).unwrap();
    let mut reader = now(SegmentReader::new(&ports, file, Offset::new(4), None)).unwrap();
    let (mut at, mut next) = (0, 4);
    while let Some(found) = now(reader.next()).unwrap() {
        match found {
            Found::Batch { position, batch } => {
                assert!(position == at && batch.crc_matches());
                assert!(batch.header.base_offset.get() >= next, "offsets grow");
                next = batch.header.last_offset().get() + 1;
                at += u64::from(batch.header.size);
            }
            Found::Damage(damage) => {
                assert!(damage.position == at && damage.bytes > 0);
                at += damage.bytes;
            }
        }
    }
    assert_eq!(at, bytes.len() as u64);
}

#[test]
fn every_cut_of_a_sealed_segment_is_found() {
    let disk = apache();
    let path = "data/transactions-0/00000000000000000004.log";
    let whole = disk.content(path);
    for len in 0..whole.len() {
        disk.put(path, &whole[..len]);
        let known = Known { clean: true, ..Known::default() };
        let findings = verify_one(&disk, "data/transactions-0", known);
        assert!(findings.iter().any(|it| it.severity >= Severity::Derived), "{len}: {findings:?}");
    }
}

#[test]
#[rustfmt::skip]
fn derived_files_of_another_place_are_found() {
    check_copy("idempotent-0/00000000000000000000.index",     "idempotent-0/00000000000000000009.index");
    check_copy("idempotent-0/00000000000000000000.timeindex", "idempotent-0/00000000000000000009.timeindex");
    check_copy("idempotent-0/00000000000000000018.snapshot",  "idempotent-0/00000000000000000030.snapshot");
    check_copy("idempotent-0/00000000000000000009.snapshot",  "idempotent-0/00000000000000000010.snapshot");
    check_copy("transactions-0/00000000000000000004.txnindex","idempotent-0/00000000000000000009.txnindex");
}

fn check_copy(from: &str, onto: &str) {
    let disk = apache();
    disk.put(&format!("data/{onto}"), &disk.content(&format!("data/{from}")));
    assert_eq!(
        worst(&disk),
        Some(Severity::Derived),
        "{from} as {onto}: {:?}",
        verify_all(&disk).1
    );
}

#[test]
fn checkpoints_are_compared_with_the_logs() {
    let recovery = "recovery-point-offset-checkpoint";
    let high = "replication-offset-checkpoint";
    check_checkpoint(recovery, "0\n1\nidempotent 0 31\n", Some(Severity::Damage));
    check_checkpoint(high, "0\n1\nidempotent 0 31\n", Some(Severity::Damage));
    check_checkpoint(recovery, "0\n1\nidempotent 0 30\n", None);
    check_checkpoint(recovery, "0\n2\nidempotent 0 30\n", Some(Severity::Derived));
    check_checkpoint(recovery, "0\n1\ngone 0 7\n", Some(Severity::Note));
}

fn check_checkpoint(file: &str, text: &str, expected: Option<Severity>) {
    let disk = apache();
    disk.put(&format!("data/{file}"), text.as_bytes());
    assert_eq!(worst(&disk), expected, "{file} {text:?}");
}

/// Bytes at the end that are no batch: whether they are safe to cut is a matter of what was
/// promised.
#[test]
#[rustfmt::skip]
fn a_torn_tail_is_no_damage_after_a_crash() {
    check_tail(Some(30), true,  Some(Severity::Damage));
    check_tail(Some(30), false, Some(Severity::Note));
    check_tail(Some(18), false, Some(Severity::Note));
    check_tail(None,     false, Some(Severity::Note));
    check_tail(Some(31), false, Some(Severity::Damage));
}

fn check_tail(recovery_point: Option<i64>, clean: bool, expected: Option<Severity>) {
    let disk = apache();
    let path = "data/idempotent-0/00000000000000000018.log";
    disk.put(path, &[&disk.content(path)[..], &[7; 100]].concat());
    let recovery_point = recovery_point.map(Offset::new);
    let known = Known { recovery_point, clean, ..Known::default() };
    let findings = verify_one(&disk, "data/idempotent-0", known);
    let worst = findings.iter().map(|finding| finding.severity).max();
    assert_eq!(worst, expected, "{findings:?}");
}

fn verify_one(disk: &MemoryDisk, directory: &str, known: Known) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |finding| findings.push(finding);
    now(verify_partition(&disk.ports(), Path::new(directory), known, &mut report)).unwrap();
    findings
}

#[test]
fn beside_a_running_node_only_what_does_not_move_is_judged() {
    let disk = apache();
    disk.put("data/.lock", b"");
    disk.lock_all();
    let last = "data/idempotent-0/00000000000000000018";
    let log = disk.content(&format!("{last}.log"));
    disk.put(&format!("{last}.log"), &log[..log.len() - 1]);
    disk.put(&format!("{last}.index"), &[1; 9]);
    disk.put("data/recovery-point-offset-checkpoint", b"0\n1\nidempotent 0 18\n");
    assert!(read_directory(&disk).running);
    assert_eq!(verify_all(&disk).1, []);
    disk.put("data/recovery-point-offset-checkpoint", b"0\n1\nidempotent 0 30\n");
    assert_eq!(worst(&disk), Some(Severity::Damage));
}

/// Apache Kafka makes the index files of a segment in full length, and cuts them when it stops.
#[test]
fn what_a_kill_leaves_of_apache_kafkas_folder_is_in_order() {
    let disk = apache();
    disk.remove("data/.kafka_cleanshutdown");
    for partition in ["idempotent-0/00000000000000000018", "compact-0/00000000000000000000"] {
        for (ending, zeros) in [("index", 10_485_760 / 8 * 8), ("timeindex", 10_485_756)] {
            let path = format!("data/{partition}.{ending}");
            let mut bytes = disk.content(&path);
            bytes.resize(zeros, 0);
            disk.put(&path, &bytes);
        }
    }
    assert_eq!(verify_all(&disk).1, []);
}

#[test]
fn a_folder_of_ours_is_in_order() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for sequence in 0..40 {
        append(
            &disk,
            &mut log,
            &numbered(sequence % 3, 0, i32::try_from(sequence / 3).unwrap(), &["v"]),
        )
        .unwrap();
    }
    sync(&disk, &mut log);
    let known = Known { recovery_point: Some(log.end().offset), clean: true, ..Known::default() };
    let findings = verify_one(&disk, DIRECTORY, known);
    let worse = findings.iter().filter(|finding| finding.severity > Severity::Note);
    assert_eq!(worse.count(), 0, "{findings:?}");
    let longer = Known { recovery_point: Some(log.end().offset.next()), ..known };
    let findings = verify_one(&disk, DIRECTORY, longer);
    let is_behind =
        |finding: &Finding| matches!(finding.trouble, Trouble::BehindRecoveryPoint { .. });
    assert!(findings.iter().any(is_behind), "{findings:?}");
}
