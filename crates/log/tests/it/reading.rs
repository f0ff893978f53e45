//! What a reader finds.

use ottla_log::{Log, LogPosition, ReadError, ReadOutcome, RecordSlice};
use ottla_records::Batches;
use ottla_types::Offset;

use crate::memory_disk::MemoryDisk;
use crate::support::{append, batch, now, open};

/// A log of 60 records in batches of 1, 2, 3, 1, 2, 3, ...
fn filled(disk: &MemoryDisk) -> Log {
    let mut log = open(disk);
    for n in 0..30 {
        append(disk, &mut log, &batch(&["a", "b", "c"][..=n % 3])).unwrap();
    }
    assert_eq!(log.end().offset, Offset::new(60));
    log
}

fn read(log: &Log, from: i64, upto: LogPosition, max: u32, whole: bool) -> ReadOutcome {
    log.view().read(Offset::new(from), upto, max, whole).unwrap()
}

fn slice(outcome: ReadOutcome) -> RecordSlice {
    let ReadOutcome::Slice(slice) = outcome else { panic!("{outcome:?}") };
    slice
}

fn bytes(slice: &RecordSlice) -> Vec<u8> {
    let mut bytes = vec![0; slice.len as usize];
    slice.file.read_cached(slice.at, &mut bytes).unwrap();
    bytes
}

#[test]
fn reads_begin_with_the_batch_that_holds_the_offset() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    for from in 0..60 {
        let slice = slice(read(&log, from, log.end(), u32::MAX, false));
        let bytes = bytes(&slice);
        let first = Batches::new(&bytes).next().unwrap().unwrap().header;
        assert!(first.base_offset.get() <= from && from <= first.last_offset().get());
        assert_eq!(slice.first.offset, first.base_offset);
        assert_eq!(slice.first.position, slice.at);
        assert!(slice.first.segment_base <= first.base_offset);
    }
}

#[test]
fn from_a_known_place_there_is_what_a_look_would_find() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    let (view, end) = (log.view(), log.end());
    let (mut known_places, mut older) = (0, 0);
    for from in 0..60 {
        let looked = slice(read(&log, from, end, u32::MAX, false));
        let rest = |upto, max| view.rest(looked.first, upto, max);
        if looked.first.segment_base != view.active_base() {
            assert!(rest(end, u32::MAX).is_none(), "{from} lies in an older segment");
            older += 1;
            continue;
        }
        let known = rest(end, looked.len).unwrap();
        assert_eq!((known.at, known.len, known.first), (looked.at, looked.len, looked.first));
        assert_eq!(bytes(&known), bytes(&looked));
        // The first batch may be larger than that, and has to come whole.
        assert!(rest(end, looked.len - 1).is_none());
        assert!(rest(looked.first, u32::MAX).is_none(), "nothing there");
        known_places += 1;
    }
    assert!(known_places > 3 && older > 0, "{known_places} and {older}");
}

#[test]
fn following_the_slices_visits_every_record_once() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    for max in [1, 80, 100, 200, 1_000, u32::MAX] {
        let mut next = 0;
        while next < 60 {
            let slice = slice(read(&log, next, log.end(), max, true));
            let bytes = bytes(&slice);
            let mut batches = Batches::new(&bytes);
            for batch in &mut batches {
                let header = batch.unwrap().header;
                assert_eq!(header.base_offset.get(), next, "max {max}");
                next = header.last_offset().get() + 1;
            }
        }
    }
}

#[test]
fn a_first_batch_that_is_too_large_comes_whole_or_not_at_all() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    assert!(matches!(read(&log, 0, log.end(), 10, false), ReadOutcome::Empty));
    let whole = slice(read(&log, 0, log.end(), 10, true));
    assert_eq!(Batches::new(&bytes(&whole)).count(), 1);
}

#[test]
fn reads_end_at_their_bound() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let mut bounds = vec![log.end()];
    for _ in 0..30 {
        append(&disk, &mut log, &batch(&["a", "b"])).unwrap();
        bounds.push(log.end());
    }
    for (n, upto) in bounds.into_iter().enumerate() {
        let mut next = 0;
        while next < upto.offset.get() {
            let bytes = bytes(&slice(read(&log, next, upto, u32::MAX, false)));
            let mut batches = Batches::new(&bytes);
            next = batches.by_ref().last().unwrap().unwrap().header.last_offset().get() + 1;
            assert!(batches.rest().is_empty(), "a bound lies between batches");
        }
        assert_eq!(next, 2 * i64::try_from(n).unwrap());
        assert!(matches!(read(&log, next, upto, u32::MAX, true), ReadOutcome::Empty));
        let beyond = log.view().read(Offset::new(next + 1), upto, 1, true);
        assert!(matches!(beyond, Err(ReadError::BeyondEnd { .. })));
    }
}

#[test]
fn an_old_view_stays_true_while_the_log_rolls() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let (view, upto) = (log.view(), log.end());
    for _ in 0..30 {
        append(&disk, &mut log, &batch(&["b"])).unwrap();
    }
    let old = slice(view.read(Offset::ZERO, upto, u32::MAX, true).unwrap());
    assert_eq!(u64::from(old.len), upto.position);
}

#[test]
fn cold_bytes_are_asked_for() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    disk.cool();
    let ReadOutcome::Cold(cold) = read(&log, 30, log.end(), 100, true) else {
        panic!("nothing is in the cache");
    };
    now(cold.warm(&disk.ports())).unwrap();
    slice(read(&log, 30, log.end(), 100, true));
}

#[test]
fn damage_that_a_reader_meets_is_reported() {
    let disk = MemoryDisk::default();
    let log = filled(&disk);
    let at = slice(read(&log, 0, log.end(), u32::MAX, true));
    at.file.write_at(16, &[std::io::IoSlice::new(&[9])]).unwrap();
    let damaged = log.view().read(Offset::ZERO, log.end(), 100, true);
    assert!(matches!(damaged, Err(ReadError::Damaged { position: 0, .. })), "{damaged:?}");
}
