//! What is left of a log after a crash.

use ottla_log::{Fault, OpenLogError};
use ottla_types::Offset;

use crate::memory_disk::MemoryDisk;
use crate::support::{DIRECTORY, append, batch, contents, numbered, open, sync, try_open};

#[test]
fn a_new_log_survives_a_crash_as_it_is() {
    let disk = MemoryDisk::default();
    drop(open(&disk));
    let disk = disk.crash(0);
    assert_eq!(disk.list(), [format!("{DIRECTORY}/00000000000000000000.log")]);
    assert_eq!(open(&disk).end().offset, Offset::ZERO);
}

#[test]
fn what_was_synced_survives_and_the_torn_rest_is_cut() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a", "b"])).unwrap();
    sync(&disk, &mut log);
    let synced = log.end();
    append(&disk, &mut log, &batch(&["c"])).unwrap();
    append(&disk, &mut log, &batch(&["d"])).unwrap();
    let whole = usize::try_from(log.end().position - synced.position).unwrap();
    for luck in 0..=whole {
        let disk = disk.crash(luck);
        let log = open(&disk);
        let survivors = 2 + luck / (whole / 2);
        let values: Vec<_> = contents(&disk, &log).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, &["a", "b", "c", "d"][..survivors], "{luck} bytes of luck");
        assert_eq!(log.recovery().torn_tail.is_some(), luck % (whole / 2) != 0);
        assert_eq!(log.synced_end(), log.end());
        assert_eq!(contents(&disk.crash(0), &log).len(), survivors, "what was found is durable");
    }
}

#[test]
fn a_cut_batch_cannot_come_back() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let end = usize::try_from(log.end().position).unwrap();
    append(&disk, &mut log, &batch(&["b"])).unwrap();
    append(&disk, &mut log, &batch(&["c"])).unwrap();
    sync(&disk, &mut log);
    // The second batch is damaged, the third is whole.
    let name = format!("{DIRECTORY}/00000000000000000000.log");
    let mut bytes = disk.content(&name);
    bytes[end + 65] ^= 1;
    disk.put(&name, &bytes);
    let mut log = open(&disk);
    let torn = log.recovery().torn_tail.clone().unwrap();
    assert!(matches!(torn.fault, Fault::Batch(_)), "{torn:?}");
    assert_eq!((torn.position, torn.bytes), (end as u64, (bytes.len() - end) as u64));
    append(&disk, &mut log, &batch(&["B"])).unwrap();
    let disk = disk.crash(1_000);
    let log = open(&disk);
    assert_eq!(contents(&disk, &log), [(0, "a".to_owned()), (1, "B".to_owned())]);
}

#[test]
fn damage_below_a_durable_segment_is_an_error_and_nothing_is_cut() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    while log.end().segment_base == Offset::ZERO {
        append(&disk, &mut log, &batch(&["a"])).unwrap();
    }
    sync(&disk, &mut log);
    let name = format!("{DIRECTORY}/00000000000000000000.log");
    let whole = disk.content(&name);
    check_corrupt(&disk, &name, &whole[..whole.len() - 1]);
    check_corrupt(&disk, &name, &[&whole[..], &[0; 10]].concat());
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    check_corrupt(&disk, &name, &flipped);
    disk.put(&name, &whole);
    assert_eq!(open(&disk).end(), log.end());
}

fn check_corrupt(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    disk.put(name, bytes);
    let opened = try_open(disk);
    let Err(OpenLogError::Corrupt { segment_base, .. }) = opened else { panic!("{opened:?}") };
    assert_eq!(segment_base, Offset::ZERO);
    assert_eq!(disk.content(name), bytes);
}

#[test]
fn offsets_that_run_backwards_are_cut() {
    let one = batch(&["a"]);
    let disk = MemoryDisk::default();
    let name = format!("{DIRECTORY}/00000000000000000005.log");
    let placed = |offset| {
        let head = one.checked().head_at(Offset::new(offset), crate::support::EPOCH);
        [&head[..], one.checked().section()].concat()
    };
    disk.put(&name, &[placed(5), placed(7), placed(7)].concat());
    let log = open(&disk);
    let torn = log.recovery().torn_tail.clone().unwrap();
    assert_eq!(torn.fault, Fault::Offset { found: Offset::new(7), expected: Offset::new(8) });
    assert_eq!((log.start_offset().get(), log.end().offset.get()), (5, 8));
}

#[test]
fn segments_that_overlap_are_an_error() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a", "b", "c"])).unwrap();
    disk.put(&format!("{DIRECTORY}/00000000000000000002.log"), &[]);
    assert!(matches!(try_open(&disk), Err(OpenLogError::Overlap { .. })));
}

#[test]
fn producers_epochs_and_bounds_are_rebuilt_as_they_were() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for n in 0..40 {
        append(&disk, &mut log, &numbered(n % 3, 0, i32::try_from(n / 3).unwrap(), &["a"]))
            .unwrap();
    }
    sync(&disk, &mut log);
    let again = open(&disk.crash(0));
    assert_eq!(again.producers(), log.producers());
    assert_eq!(again.leader_epochs(), log.leader_epochs());
    assert_eq!((again.start_offset(), again.end()), (log.start_offset(), log.end()));
    assert_eq!(again.recovery().batches, 40);
    assert!(again.recovery().segments > 2);
}

#[test]
fn a_log_goes_on_after_a_kill_between_a_new_segments_name_and_its_first_batch() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["x".repeat(800).as_str()])).unwrap();
    let _ = log.append(
        &batch(&["y".repeat(800).as_str()]).checked(),
        crate::support::EPOCH,
        crate::support::NOW,
    );
    drop(crate::support::now(log.roll_plan().prepare(&disk.ports())).unwrap());
    let disk = disk.crash(0);
    let mut log = open(&disk);
    assert_eq!(log.end().segment_base, Offset::new(1));
    append(&disk, &mut log, &batch(&["z"])).unwrap();
    assert_eq!(contents(&disk, &log).len(), 2);
}

#[test]
fn messages_of_an_old_format_are_not_cut() {
    // Offset 0, format 1, timestamp 7, no key, value `abc`; the checksum is a CRC-32.
    let body = b"\x01\0\0\0\0\0\0\0\0\x07\xff\xff\xff\xff\0\0\0\x03abc";
    let crc = 0xe6ee_d6b7_u32.to_be_bytes();
    let message = [&[0; 8][..], &[0, 0, 0, 25], &crc, body].concat();
    let disk = MemoryDisk::default();
    let name = format!("{DIRECTORY}/00000000000000000000.log");
    disk.put(&name, &message);
    assert!(matches!(try_open(&disk), Err(OpenLogError::OldFormat { position: 0, .. })));
    assert_eq!(disk.content(&name), message);
}
