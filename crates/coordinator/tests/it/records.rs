//! Records keep their meaning on the way to the log and back.

use ottla_coordinator::{GroupRecord, RecordBytes, ReplayError};

use crate::hostile::vectors;

#[test]
fn apaches_records_survive_byte_for_byte() {
    for (key, value) in vectors() {
        check_bytes(&RecordBytes { key, value });
    }
}

#[test]
fn records_are_written_as_kafka_writes_them() {
    // Record type 1, group, topic, partition; version 4, offset, epoch, metadata, time, no tags.
    check(
        "0001 0001 67 0003 747970 00000002",
        Some("0004 0000000000000005 ffffffff 02 6d 0000000000000009 00"),
    );
    // With an expiry of its own: version 1, without an epoch.
    check(
        "0001 0001 67 0003 747970 00000002",
        Some("0001 0000000000000005 0000 0000000000000009 000000000000000a"),
    );
    check("0001 0001 67 0003 747970 00000002", None);
    // Record type 2, group; version 3, type, generation, protocol, leader, time, one member.
    check(
        "0002 0001 67",
        Some(
            "0003 0002 7372 00000004 0001 70 0001 6d 0000000000000009 00000001 \
             0001 6d 0001 69 0001 63 0001 68 00000064 000000c8 00000001 01 00000002 0203",
        ),
    );
    check("0002 0001 67", Some("0003 0000 00000000 ffff ffff ffffffffffffffff 00000000"));
    check("0002 0001 67", None);
    check("0003 0001 67", Some("0000 00000007 01 00 08 0000000000000005"));
    check("0004 0001 67", None);
    check("0006 0001 67", Some("0000 00000007 01 00 08 0000000000000005"));
    check("0008 0001 67 0001 6d", Some("0000 fffffffe 00000003 00 01 01 00"));
    check("0010 0001 67 0001 72", Some("0000 02 02 61 0000000000000001 0000000000000009 00"));
}

fn check(key: &str, value: Option<&str>) {
    check_bytes(&RecordBytes { key: bytes(key), value: value.map(bytes) });
}

fn check_bytes(stored: &RecordBytes) {
    let record = GroupRecord::decode(&stored.key, stored.value.as_deref()).unwrap().unwrap();
    assert_eq!(&record.encode(), stored, "{record:?}");
}

#[test]
fn older_versions_are_read() {
    // Record type 0 is type 1 of old, and the first versions had fewer fields.
    let old = "0000 0000000000000005 0000 0000000000000009";
    let new = "0004 0000000000000005 ffffffff 01 0000000000000009 00";
    check_reads_as("0000 0001 67 0001 74 00000000", old, "0001 0001 67 0001 74 00000000", new);
    let old = "0003 0000000000000005 ffffffff 0000 0000000000000009";
    check_reads_as("0001 0001 67 0001 74 00000000", old, "0001 0001 67 0001 74 00000000", new);
    let old = "0000 0002 7372 00000004 0001 70 0001 6d 00000001 \
               0001 6d 0001 63 0001 68 000000c8 00000000 00000000";
    let new = "0003 0002 7372 00000004 0001 70 0001 6d ffffffffffffffff 00000001 \
               0001 6d ffff 0001 63 0001 68 000000c8 000000c8 00000000 00000000";
    check_reads_as("0002 0001 67", old, "0002 0001 67", new);
}

fn check_reads_as(old_key: &str, old: &str, new_key: &str, new: &str) {
    let read = GroupRecord::decode(&bytes(old_key), Some(&bytes(old))).unwrap().unwrap();
    let written = RecordBytes { key: bytes(new_key), value: Some(bytes(new)) };
    assert_eq!(read.encode(), written, "{read:?}");
}

#[test]
fn unknown_types_are_skipped_and_broken_bytes_refused() {
    let decode = |key: &str, value: Option<&str>| {
        GroupRecord::decode(&bytes(key), value.map(bytes).as_deref())
    };
    // Share and streams groups, and what is not invented yet.
    for kind in ["0009", "000a", "0011", "0063", "ffff"] {
        assert_eq!(decode(kind, Some("00")), Ok(None), "{kind}");
    }
    assert_eq!(decode("00", None), Err(ReplayError::NoType));
    let broken = [
        ("0001 0001", None),
        ("0001 0001 67 0001 74 ffffffff", None),
        ("0001 0001 67 0000 00000000", None),
        ("0001 0001 67 0001 74 00000000", Some("0063 00")),
        ("0001 0001 67 0001 74 00000000", Some("0003 00")),
        ("0002 0001 67", Some("0003 0000 ffffffff ffff ffff ffffffffffffffff 00000000")),
        ("0003 0001 67", Some("0000 ffffffff 00")),
    ];
    for (key, value) in broken {
        assert!(decode(key, value).is_err(), "{key} {value:?}");
    }
}

#[test]
fn only_a_record_that_names_nothing_may_be_left_out() {
    check_broken("00", None, true);
    // An offset of a topic or a partition that cannot be.
    check_broken("0001 0001 67 0000 00000000", Some("0004 00"), true);
    check_broken("0001 0001 67 0001 74 ffffffff", None, true);
    // What it says would take the place of what came before.
    check_broken("0001 0001 67 0001 74 00000000", Some("0063 00"), false);
    check_broken("0001 0001", None, false);
    check_broken("0002 0001 67", Some("0063 00"), false);
    check_broken("0003 0001 67", Some("0000 ffffffff 00"), false);
    check_broken("0008 0001 67 0001 6d", Some("0063 00"), false);
}

fn check_broken(key: &str, value: Option<&str>, names_nothing: bool) {
    let error = GroupRecord::decode(&bytes(key), value.map(bytes).as_deref()).unwrap_err();
    assert_eq!(error.names_nothing(), names_nothing, "{key} {value:?}: {error}");
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
