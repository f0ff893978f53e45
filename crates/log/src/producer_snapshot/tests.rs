use ottla_records::{BatchHeader, EndTransactionMarker, ProducerStamp};

use super::*;
use crate::fixtures::{Dice, damaged, golden_file, golden_segments};

/// Directory, the offset that the snapshot is of, producers in it.
#[test]
#[rustfmt::skip]
fn our_snapshots_are_apache_kafkas() {
    check_golden("idempotent-0",    9, 1);
    check_golden("idempotent-0",   18, 1);
    check_golden("idempotent-0",   30, 2);
    check_golden("transactions-0",  4, 2);
    check_golden("transactions-0", 17, 2);
    check_golden("transactions-0", 23, 2);
    check_golden("compact-0",       6, 0);
}

fn check_golden(directory: &str, end: i64, producers: usize) {
    let end = Offset::new(end);
    let golden = golden_file(directory, &format!("{:020}.snapshot", end.get())).unwrap();
    let read = ProducerState::parse_snapshot(&golden, end).unwrap();
    assert_eq!(read.len(), producers, "{directory} {end}");
    assert_eq!(read.encode_snapshot(), golden, "{directory} {end}");

    let replayed = replay(directory, end);
    let ours = replayed.encode_snapshot();
    // All but the checksum, and the trailer.
    assert_eq!(ours[..2], golden[..2]);
    assert_eq!(ours[6..golden.len()], golden[6..], "{directory} {end}");
    assert_eq!(ProducerState::parse_snapshot(&ours, end), Ok(replayed));
}

fn replay(directory: &str, end: Offset) -> ProducerState {
    let mut state = ProducerState::default();
    for batch in golden_segments(directory).iter().flat_map(|segment| &segment.batches) {
        if batch.header.base_offset < end {
            state.on_appended(&batch.header, batch.marker);
        }
    }
    state.on_high_watermark(end);
    state
}

#[test]
fn five_batches_of_a_producer_survive_where_apache_kafka_keeps_one() {
    let end = Offset::new(18);
    let bytes = replay("idempotent-0", end).encode_snapshot();
    assert_eq!(bytes.len(), 10 + PRODUCER_BYTES + 4 + 1 + 4 * BATCH_BYTES);
    let state = ProducerState::parse_snapshot(&bytes, end).unwrap();
    let known: Vec<i32> =
        state.recent(ProducerId::ZERO).map(|batch| batch.first_sequence.get()).collect();
    assert_eq!(known, [13, 14, 15, 16, 17]);
}

#[test]
fn what_lies_behind_its_offset_is_not_believed() {
    let bytes = replay("idempotent-0", Offset::new(18)).encode_snapshot();
    let parse = |end| ProducerState::parse_snapshot(&bytes, Offset::new(end)).map(drop);
    assert_eq!(parse(18), Ok(()));
    assert_eq!(parse(17), Err(SnapshotFault::Producer { at: 0 }));
}

#[test]
fn every_cut_and_every_flipped_bit_is_seen() {
    let end = Offset::new(23);
    let good = replay("transactions-0", end).encode_snapshot();
    assert!(good.len() > 10 + 2 * PRODUCER_BYTES, "it has a trailer");
    for bytes in damaged(&good) {
        assert!(ProducerState::parse_snapshot(&bytes, end).is_err(), "{bytes:x?}");
    }
    let longer = [&good[..], &[0]].concat();
    assert!(ProducerState::parse_snapshot(&longer, end).is_err());
}

/// Bytes with a checksum that is right, whatever else they say.
#[test]
fn nonsense_under_a_good_checksum_is_refused_or_means_something() {
    let end = Offset::new(1 << 40);
    let mut dice = Dice(7);
    let kinds = Kinds::golden();
    let mut states = std::iter::repeat_with(|| random_state(&kinds, &mut dice));
    let good = states.find(|state| state.len() > 3).unwrap().encode_snapshot();
    let (mut taken, mut refused) = (0, 0);
    let mut check = |mut bytes: Vec<u8>| {
        if bytes.len() >= COVERED_AT {
            bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
            let crc = crc32c(&bytes[COVERED_AT..]);
            bytes[CRC_AT..COVERED_AT].copy_from_slice(&crc.to_be_bytes());
        }
        match ProducerState::parse_snapshot(&bytes, end) {
            Ok(state) => {
                let again = state.encode_snapshot();
                assert_eq!(ProducerState::parse_snapshot(&again, end), Ok(state));
                taken += 1;
            }
            Err(_) => refused += 1,
        }
    };
    damaged(&good).for_each(&mut check);
    for _ in 0..2_000 {
        let len = dice.roll(120);
        check(dice.bytes(len));
    }
    assert!(taken > 100 && refused > 100, "{taken} {refused}");
}

#[test]
fn any_state_is_read_as_it_was_written() {
    let end = Offset::new(1 << 40);
    let mut dice = Dice(3);
    let kinds = Kinds::golden();
    for _ in 0..300 {
        let state = random_state(&kinds, &mut dice);
        let read = ProducerState::parse_snapshot(&state.encode_snapshot(), end);
        assert_eq!(read, Ok(as_kept(&state)));
    }
}

/// As in Kafka, the newest batch is kept with the time of what its producer wrote last, which may
/// be a batch without a sequence or a marker.
fn as_kept(state: &ProducerState) -> ProducerState {
    let mut kept = ProducerState::default();
    for (id, producer) in state.producers() {
        let mut producer = producer.clone();
        let newest = producer.recent.iter_mut().flatten().last();
        newest.into_iter().for_each(|newest| newest.timestamp = producer.last_timestamp);
        assert!(kept.restore(id, Box::new(producer)));
    }
    kept
}

/// Headers of the kinds there are, as Apache Kafka wrote them.
struct Kinds {
    plain: BatchHeader,
    transactional: BatchHeader,
    marker: BatchHeader,
}

impl Kinds {
    fn golden() -> Self {
        let transactions = golden_segments("transactions-0");
        let marker = &transactions[1].batches[0];
        assert!(marker.marker.is_some());
        Self {
            plain: golden_segments("idempotent-0")[0].batches[0].header,
            transactional: transactions[0].batches[0].header,
            marker: marker.header,
        }
    }
}

/// Producers with up to seven batches each, some with open or ended transactions.
fn random_state(kinds: &Kinds, dice: &mut Dice) -> ProducerState {
    let mut state = ProducerState::default();
    let mut next = dice.number(1 << 30);
    for id in 0..dice.number(6) {
        let kind = [kinds.plain, kinds.transactional][dice.roll(2)];
        let mut sequence = Sequence::new(i32::MAX - 9).plus(i32::try_from(dice.roll(20)).unwrap());
        let id = ProducerId::new(id * 1_000);
        let epoch = ProducerEpoch::new(i16::try_from(dice.roll(3)).unwrap());
        for _ in 0..dice.roll(8) {
            let count = u32::try_from(1 + dice.roll(4)).unwrap();
            let base_sequence = Some(sequence).filter(|_| dice.roll(9) > 0);
            let stamp = ProducerStamp { id, epoch, base_sequence };
            let header = header(&kind, next, count, stamp);
            state.on_appended(&header, None);
            sequence = sequence.plus(count.cast_signed());
            next = header.last_offset().get() + 1;
        }
        if kind == kinds.transactional && dice.roll(2) == 0 {
            // A transaction ends in the next epoch, as with its second version (KIP-890).
            let epoch = ProducerEpoch::new(epoch.get() + 1);
            let stamp = ProducerStamp { id, epoch, base_sequence: None };
            let marker =
                EndTransactionMarker { committed: dice.roll(2) == 0, coordinator_epoch: 4 };
            state.on_appended(&header(&kinds.marker, next, 1, stamp), Some(marker));
            next += 1;
        }
    }
    state.on_high_watermark(Offset::new(next));
    state
}

fn header(kind: &BatchHeader, base: i64, count: u32, stamp: ProducerStamp) -> BatchHeader {
    BatchHeader {
        base_offset: Offset::new(base),
        last_offset_delta: count - 1,
        records_count: count,
        producer: Some(stamp),
        max_timestamp: Timestamp::from_wire(base + 7),
        ..*kind
    }
}
