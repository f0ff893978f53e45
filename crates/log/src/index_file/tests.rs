use super::*;
use crate::ProducerState;
use crate::fixtures::{Dice, damaged, golden_file, golden_segments};
use crate::segment::SegmentTail;

/// `index.interval.bytes` of the topics in Apache Kafka's folder.
const INTERVAL: u32 = 100;

/// Directory, first offset of a segment, offset entries, time entries.
#[test]
#[rustfmt::skip]
fn our_entries_are_apache_kafkas() {
    check_golden("idempotent-0",    0, 4, 4);
    check_golden("idempotent-0",    9, 4, 4);
    check_golden("idempotent-0",   18, 1, 1);
    check_golden("transactions-0",  0, 1, 2);
    check_golden("transactions-0",  4, 6, 4);
    check_golden("transactions-0", 17, 2, 2);
    check_golden("deleted-0",       0, 4, 4);
    check_golden("compact-0",       0, 0, 1);
}

fn check_golden(directory: &str, base: i64, offsets: usize, times: usize) {
    let mut segments = golden_segments(directory).into_iter();
    let segment = segments.find(|segment| segment.base == Offset::new(base)).unwrap();
    let interval = if directory == "compact-0" { 4_096 } else { INTERVAL };
    let index = SegmentIndex::new(segment.base);
    let mut tail = SegmentTail::default();
    segment.batches.iter().for_each(|batch| tail.push(&index, &batch.header, interval));
    tail.seal(&index);
    assert_eq!(index.lens(), (offsets, times), "{directory} {base}");
    let file = |ending: &str| golden_file(directory, &format!("{base:020}.{ending}")).unwrap();
    let (offset_bytes, time_bytes) = (file("index"), file("timeindex"));
    assert_eq!(index.encode_offsets(0..offsets), offset_bytes, "{directory} {base}");
    assert_eq!(index.encode_times(0..times), time_bytes, "{directory} {base}");

    let (offset_entries, time_entries) = parse_both(&offset_bytes, &time_bytes);
    let last = segment.batches.last().unwrap();
    let bounds = IndexBounds {
        base: segment.base,
        end_offset: last.header.last_offset().next(),
        end_position: last.position + u64::from(last.header.size),
    };
    offset_entries.check_within(&bounds).unwrap();
    time_entries.check_within(&bounds).unwrap();
    let read = SegmentIndex::from_entries(segment.base, offset_entries, time_entries);
    assert_eq!(read.encode_offsets(0..offsets), offset_bytes);
    assert_eq!(read.encode_times(0..times), time_bytes);
}

fn parse_both<'a>(offsets: &'a [u8], times: &'a [u8]) -> (OffsetEntries<'a>, TimeEntries<'a>) {
    (OffsetEntries::parse(offsets).unwrap(), TimeEntries::parse(times).unwrap())
}

#[test]
fn our_aborted_transactions_are_apache_kafkas() {
    let mut producers = ProducerState::default();
    for segment in golden_segments("transactions-0") {
        let index = AbortedIndex::new();
        let mut end = segment.base;
        for batch in &segment.batches {
            let ended = producers.on_appended(&batch.header, batch.marker);
            ended.filter(|ended| !ended.committed).iter().for_each(|ended| index.push(ended));
            end = batch.header.last_offset().next();
        }
        let name = format!("{:020}.txnindex", segment.base.get());
        let golden = golden_file("transactions-0", &name).unwrap_or_default();
        assert_eq!(index.encode(0..index.len()), golden, "{name}");
        let read = AbortedIndex::parse(&golden, segment.base, end).unwrap();
        assert_eq!(read.encode(0..read.len()), golden);
        assert_eq!(read.len(), if segment.base == Offset::new(4) { 3 } else { 0 });
    }
}

fn offset_file(entries: &[(u32, u32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(relative, position)| [*relative, *position])
        .flat_map(u32::to_be_bytes)
        .collect()
}

fn time_file(entries: &[(i64, u32)]) -> Vec<u8> {
    let bytes = |(time, relative): &(i64, u32)| {
        [&time.to_be_bytes()[..], &relative.to_be_bytes()[..]].concat()
    };
    entries.iter().flat_map(bytes).collect()
}

#[test]
#[rustfmt::skip]
fn offset_entries_grow_and_zeros_behind_them_are_none() {
    check_offsets(&[],                         Ok(0));
    check_offsets(&[(1, 80), (5, 90)],         Ok(2));
    check_offsets(&[(0, 0), (0, 0)],           Ok(0));
    check_offsets(&[(1, 80), (0, 0), (0, 0)],  Ok(1));
    check_offsets(&[(1, 80), (1, 90)],         order(1));
    check_offsets(&[(1, 80), (2, 80)],         order(1));
    check_offsets(&[(0, 80)],                  order(0));
    check_offsets(&[(0, 0), (1, 80)],          order(0));
    check_offsets(&[(1, 80), (0, 0), (2, 90)], order(1));
    check_offsets(&[(1 << 31, 80)],            entry(0));
    check_offsets(&[(1, 1 << 31)],             entry(0));
    let odd = OffsetEntries::parse(&[0; 15]);
    assert_eq!(odd, Err(IndexFault::Size { bytes: 15, entry_bytes: 8 }));
}

fn check_offsets(entries: &[(u32, u32)], expected: impl Into<Parsed>) {
    let bytes = offset_file(entries);
    let parsed = OffsetEntries::parse(&bytes).map(OffsetEntries::len);
    assert_eq!(parsed, expected.into(), "{entries:?}");
}

type Parsed = Result<usize, IndexFault>;

const fn order(entry: usize) -> Parsed {
    Err(IndexFault::Order { entry })
}

const fn entry(entry: usize) -> Parsed {
    Err(IndexFault::Entry { entry })
}

#[test]
#[rustfmt::skip]
fn time_entries_grow_and_zeros_behind_them_are_none() {
    check_times(&[],                       Ok(0));
    check_times(&[(7, 0), (9, 0), (10, 4)], Ok(3));
    check_times(&[(0, 0)],                 Ok(1));
    check_times(&[(0, 0), (5, 0)],         Ok(2));
    check_times(&[(0, 0), (0, 0)],         Ok(0));
    check_times(&[(0, 1), (0, 0)],         Ok(1));
    check_times(&[(7, 0), (0, 0)],         Ok(1));
    check_times(&[(7, 0), (7, 1)],         order(1));
    check_times(&[(7, 3), (8, 2)],         order(1));
    check_times(&[(7, 0), (0, 0), (8, 1)], order(1));
    check_times(&[(-1, 0)],                entry(0));
    check_times(&[(7, 1 << 31)],           entry(0));
    let odd = TimeEntries::parse(&[0; 13]);
    assert_eq!(odd, Err(IndexFault::Size { bytes: 13, entry_bytes: 12 }));
}

fn check_times(entries: &[(i64, u32)], expected: impl Into<Parsed>) {
    let bytes = time_file(entries);
    let parsed = TimeEntries::parse(&bytes).map(TimeEntries::len);
    assert_eq!(parsed, expected.into(), "{entries:?}");
}

#[test]
#[rustfmt::skip]
fn entries_at_or_behind_an_end_are_left_out() {
    check_below(110, 1_000, 2, 2);
    check_below(106, 1_000, 2, 2);
    check_below(105, 1_000, 1, 1);
    check_below(110,    91, 2, 2);
    check_below(110,    90, 1, 2);
    check_below(100, 1_000, 0, 0);
    check_below( 50, 1_000, 0, 0);
}

fn check_below(end_offset: i64, end_position: u64, offsets: usize, times: usize) {
    let (offset_bytes, time_bytes) =
        (offset_file(&[(1, 80), (5, 90)]), time_file(&[(7, 1), (9, 5)]));
    let (offset_entries, time_entries) = parse_both(&offset_bytes, &time_bytes);
    let (base, end_offset) = (Offset::new(100), Offset::new(end_offset));
    let bounds = IndexBounds { base, end_offset, end_position };
    let lens = (offset_entries.below(&bounds).len(), time_entries.below(&bounds).len());
    assert_eq!(lens, (offsets, times), "{bounds:?}");
    assert_eq!(offset_entries.check_within(&bounds).is_ok(), offsets == 2);
    assert_eq!(time_entries.check_within(&bounds).is_ok(), times == 2);
}

#[test]
fn aborted_transactions_that_contradict_themselves_are_refused() {
    let golden = golden_file("transactions-0", "00000000000000000004.txnindex").unwrap();
    let parse = |bytes: &[u8], base, end| {
        AbortedIndex::parse(bytes, Offset::new(base), Offset::new(end)).map(|index| index.len())
    };
    assert_eq!(parse(&golden, 4, 17), Ok(3));
    assert_eq!(parse(&golden, 4, 12), Ok(2));
    assert_eq!(parse(&golden, 5, 17), Err(IndexFault::OutOfSegment { entry: 0 }));
    let size = IndexFault::Size { bytes: 40, entry_bytes: 34 };
    assert_eq!(parse(&golden[..40], 4, 17), Err(size));
    let swapped = [&golden[34..68], &golden[..34]].concat();
    assert_eq!(parse(&swapped, 4, 17), order(1));
    assert_eq!(parse(&[0; 34], 0, 17), entry(0));
}

/// No checksum tells: so what is taken must be safe to use, and read the same again.
#[test]
fn any_bytes_are_refused_or_read_the_same_again() {
    let mut dice = Dice(1);
    let offsets = golden_file("idempotent-0", "00000000000000000009.index").unwrap();
    let times = golden_file("idempotent-0", "00000000000000000009.timeindex").unwrap();
    let aborted = golden_file("transactions-0", "00000000000000000004.txnindex").unwrap();
    for file in [&offsets, &times, &aborted] {
        damaged(file).for_each(|bytes| check_any(&bytes));
    }
    for _ in 0..3_000 {
        let len = dice.roll(5) * [8, 12, 34, 1][dice.roll(4)];
        let mut bytes = dice.bytes(len);
        if dice.roll(2) == 0 {
            bytes.iter_mut().step_by(4).for_each(|byte| *byte = 0);
        }
        check_any(&bytes);
    }
}

fn check_any(bytes: &[u8]) {
    let base = Offset::new(9);
    let none = parse_both(&[], &[]);
    if let Ok(offsets) = OffsetEntries::parse(bytes) {
        let index = SegmentIndex::from_entries(base, offsets, none.1);
        let len = index.lens().0;
        assert!(len == offsets.len() && bytes.starts_with(&index.encode_offsets(0..len)));
    }
    if let Ok(times) = TimeEntries::parse(bytes) {
        let index = SegmentIndex::from_entries(base, none.0, times);
        let len = index.lens().1;
        assert!(len == times.len() && bytes.starts_with(&index.encode_times(0..len)));
    }
    if let Ok(aborted) = AbortedIndex::parse(bytes, base, Offset::new(i64::MAX)) {
        assert_eq!(aborted.encode(0..aborted.len()), bytes);
    }
}
