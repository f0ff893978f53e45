//! What consumers of committed records may see.

use ottla_log::{Log, ReadOutcome};
use ottla_records::{
    BatchBuilder, BatchOptions, BuiltBatch, ControlType, EndTransactionMarker, NewRecord,
    ProducerStamp,
};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Sequence};

use crate::memory_disk::MemoryDisk;
use crate::support::{NOW, append, batch, build, open};

fn stamp(producer: i64, sequence: Option<i32>) -> Option<ProducerStamp> {
    Some(ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::ZERO,
        base_sequence: sequence.map(Sequence::new),
    })
}

pub(crate) fn data(producer: i64, sequence: i32) -> BuiltBatch {
    let producer = stamp(producer, Some(sequence));
    build(BatchOptions { producer, transactional: true, ..Default::default() }, &["a", "b"])
}

pub(crate) fn marker(producer: i64, kind: ControlType) -> BuiltBatch {
    let options = BatchOptions {
        producer: stamp(producer, None),
        transactional: true,
        control: true,
        ..Default::default()
    };
    let committed = kind == ControlType::Commit;
    let value = EndTransactionMarker { committed, coordinator_epoch: 0 }.value();
    let mut builder = BatchBuilder::new(options);
    let (key, value) = (kind.key(), Some(&value[..]));
    builder.push(NewRecord { timestamp: NOW, key: Some(&key), value, headers: &[] });
    builder.build()
}

/// Three producers: offsets 0-1 of 1, 2-3 of 2, 4 of nobody, 5 aborts 1, 6-7 of 3, 8 commits 3,
/// 9 aborts 2, 10 of nobody.
fn filled(disk: &MemoryDisk) -> (Log, Vec<i64>) {
    let mut log = open(disk);
    let steps = [
        data(1, 0),
        data(2, 0),
        batch(&["c"]),
        marker(1, ControlType::Abort),
        data(3, 0),
        marker(3, ControlType::Commit),
        marker(2, ControlType::Abort),
        batch(&["d"]),
    ];
    let mut stable = Vec::new();
    for step in &steps {
        append(disk, &mut log, step).unwrap();
        let end = log.end().offset;
        stable.push(log.last_stable_offset(end).get());
    }
    (log, stable)
}

#[test]
fn no_one_reads_past_the_first_open_transaction() {
    let (mut log, stable) = filled(&MemoryDisk::default());
    assert_eq!(stable, [0, 0, 0, 2, 2, 2, 10, 11]);
    assert_eq!(log.last_stable_offset(Offset::new(11)), Offset::new(11));
}

#[test]
fn a_marker_counts_when_it_is_committed() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &data(1, 0)).unwrap();
    append(&disk, &mut log, &marker(1, ControlType::Commit)).unwrap();
    append(&disk, &mut log, &batch(&["c"])).unwrap();
    assert_eq!(log.last_stable_offset(Offset::new(1)), Offset::ZERO);
    assert_eq!(log.last_stable_offset(Offset::new(2)), Offset::ZERO);
    assert_eq!(log.last_stable_offset(Offset::new(3)), Offset::new(3));
    assert_eq!(log.last_stable_offset(Offset::new(4)), Offset::new(4));
}

#[test]
#[rustfmt::skip]
fn readers_learn_which_transactions_to_skip() {
    let disk = MemoryDisk::default();
    let (log, _) = filled(&disk);
    for log in [log, open(&disk)] {
        check(&log, 0, 11, &[(1, 0), (2, 2)]);
        check(&log, 0,  2, &[(1, 0)]);
        check(&log, 2, 11, &[(1, 0), (2, 2)]);
        check(&log, 6,  9, &[(2, 2)]);
        check(&log, 10, 11, &[]);
    }
}

fn check(log: &Log, from: i64, upto: i64, expected: &[(i64, i64)]) {
    let aborted = log.view().aborted(Offset::new(from), Offset::new(upto)).unwrap();
    let aborted: Vec<_> =
        aborted.iter().map(|a| (a.producer.get(), a.first_offset.get())).collect();
    assert_eq!(aborted, expected, "{from}..{upto}");
}

#[test]
fn aborted_transactions_are_found_across_segments() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &data(1, 0)).unwrap();
    while log.end().offset < Offset::new(60) {
        append(&disk, &mut log, &batch(&["c"])).unwrap();
    }
    append(&disk, &mut log, &marker(1, ControlType::Abort)).unwrap();
    assert!(log.end().segment_base > Offset::new(10));
    check(&log, 0, 2, &[(1, 0)]);
    check(&open(&disk), 0, 2, &[(1, 0)]);
}

#[test]
fn a_slice_ends_before_an_offset_that_is_near_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for _ in 0..60 {
        append(&disk, &mut log, &batch(&["c"])).unwrap();
    }
    let (view, end) = (log.view(), log.end());
    assert!(end.segment_base > Offset::new(20), "several segments");
    for from in 0..60 {
        let from = Offset::new(from);
        for bytes in [1, 100, 1_000, 100_000] {
            let ReadOutcome::Slice(slice) = view.read(from, end, bytes, true).unwrap() else {
                panic!("nothing at {from}");
            };
            let batches = i64::from(slice.len.div_ceil(69));
            let behind = view.end_of(&slice, end.offset).get();
            let last = slice.first.offset.get() + batches;
            assert!((last..last + 8).contains(&behind), "{from}, {bytes}: {behind} for {last}");
        }
    }
}

#[test]
fn a_producer_does_not_leave_its_transaction() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &data(1, 0)).unwrap();
    let outside = crate::support::numbered(1, 0, 2, &["c"]);
    let refused = append(&disk, &mut log, &outside).unwrap_err();
    assert_eq!(refused.to_string(), "producer 1 has a transaction open and wrote outside of it");
    append(&disk, &mut log, &marker(1, ControlType::Abort)).unwrap();
    append(&disk, &mut log, &outside).unwrap();
}
