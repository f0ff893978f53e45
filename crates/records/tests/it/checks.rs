//! What a producer may and may not send.

use ottla_records::{
    BatchBuilder, BatchError, BatchHeader, BatchLimits, BatchOptions, Batches, BuiltBatch,
    Compression, HeaderError, Inside, NewRecord, ProducerStamp, Record, TimestampError,
    check_produced,
};
use ottla_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TimestampType};

const LIMITS: BatchLimits = BatchLimits { size_max: 1_000, inside: Inside::Header };
const FULL: BatchLimits =
    BatchLimits { size_max: 1_000, inside: Inside::Full { inflated_max: 10_000 } };

fn batch(options: BatchOptions, timestamps: &[i64]) -> BuiltBatch {
    let mut builder = BatchBuilder::new(options);
    for millis in timestamps {
        builder.push(NewRecord {
            timestamp: Timestamp::from_millis(*millis),
            key: Some(b"key"),
            value: None,
            headers: &[("h", Some(b"v")), ("n", None)],
        });
    }
    builder.build()
}

/// `bytes` with `patch` at `at`, and a checksum that fits.
fn patched(batch: &BuiltBatch, at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = batch.bytes().to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Bit by bit, so that the test does not share the product's implementation.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

#[test]
fn one_true_batch_is_taken_whatever_its_codec() {
    for compression in Compression::ALL {
        let built = batch(BatchOptions { compression, ..Default::default() }, &[5, 3, 9]);
        for limits in [LIMITS, FULL] {
            let checked = check_produced(built.bytes(), limits).unwrap();
            assert_eq!(checked.header().records_count, 3);
            assert_eq!(checked.header().max_timestamp, Some(Timestamp::from_millis(9)));
            assert_eq!(checked.size() as usize, built.bytes().len());
            assert_eq!(checked.section().as_ptr(), built.bytes()[61..].as_ptr(), "nothing copied");
        }
    }
}

#[test]
#[rustfmt::skip]
fn what_is_wrong_with_a_batch_is_said() {
    let plain = batch(BatchOptions::default(), &[1, 2]);
    let bytes = plain.bytes();
    check(&[],                                       "there is no batch");
    check(&bytes[..60],                              "60 bytes cannot hold a batch header of 61");
    check(&bytes[..80],                              "the batch should have 95 bytes, but only 80 came");
    check(&[bytes, &[0]].concat(),                   "1 bytes follow the batch, where there should be one batch alone");
    check(&[bytes, bytes].concat(),                  "95 bytes follow the batch, where there should be one batch alone");
    check(&patched(&plain, 8, &[0, 0, 0, 48]),       "a batch length of 48 bytes is impossible");
    check(&patched(&plain, 8, &[0xff; 4]),           "a batch length of -1 bytes is impossible");
    check(&patched(&plain, 8, &[0x7f, 255, 255, 255]), "a batch length of 2147483647 bytes is impossible");
    check(&patched(&plain, 8, &[0, 0, 4, 0]),        "the batch has 1036 bytes, more than the topic's limit of 1000");
    check(&patched(&plain, 16, &[1]),                "record format 1 is not format 2");
    check(&patched(&plain, 21, &[0, 7]),             "codec 7 does not exist");
    check(&patched(&plain, 21, &[0, 0x20]),          "only the cluster writes control records");
    check(&patched(&plain, 21, &[0, 0x08]),          "only the leader stamps a batch with its append time");
    check(&patched(&plain, 7, &[1]),                 "the base offset of a produced batch is 0, not 1");
    check(&patched(&plain, 0, &[0x7f, 255, 255, 255, 255, 255, 255, 255]), "baseOffset cannot be 9223372036854775807");
    check(&patched(&plain, 0, &[0xff; 8]),           "baseOffset cannot be -1");
    check(&patched(&plain, 23, &[0, 0, 0, 2]),       "3 offsets, but 2 records");
    check(&patched(&plain, 23, &[0xff; 4]),          "lastOffsetDelta cannot be -1");
    check(&patched(&plain, 57, &[0xff; 4]),          "recordsCount cannot be -1");
    check(&patched(&plain, 43, &[0; 8]),             "producerEpoch cannot be -1");
    check(&patched(&plain, 43, &[0; 10]),            "producer 0 did not number its records");
    check(&patched(&plain, 61, &[0xff, 1]),          "record 0: the length of a record is cut or malformed");
    check(&patched(&plain, 64, &[2]),                "record 0 has offset 1 within its batch");
    check(&patched(&plain, 64, &[4]),                "record 0: an offset delta of 2 lies outside the batch");
    check(&patched(&plain, 65, &[60]),               "record 0: the key of a record is cut or malformed");
    check(&patched(&plain, 70, &[6]),                "record 0: the header key of a record is cut or malformed");
    check(&patched(&plain, 70, &[2]),                "record 0: 3 bytes are left over after a record's last header");
    check(&patched(&plain, 70, &[1]),                "record 0: the header count of a record is cut or malformed");
}

fn check(bytes: &[u8], error: &str) {
    assert_eq!(check_produced(bytes, LIMITS).unwrap_err().to_string(), error);
}

/// Every damage to the records of a batch with a checksum that fits: the quick look and the
/// thorough one must agree on whether the batch is good.
#[test]
fn damaged_records_are_refused_with_a_reason() {
    let whole = batch(BatchOptions::default(), &[1_000, 1, 500]);
    let mut good = 0;
    for at in 61..whole.bytes().len() {
        for value in 0..=255 {
            let bytes = patched(&whole, at, &[value]);
            let records = Batches::new(&bytes).next().unwrap().unwrap().records(0).unwrap();
            let records: Result<Vec<_>, _> = records.iter().collect();
            let numbered = |records: Vec<Record<'_>>| {
                (0..).zip(records).all(|(n, record)| record.offset.get() == n)
            };
            match check_produced(&bytes, LIMITS) {
                Ok(_) => good += u32::from(records.is_ok_and(numbered)),
                Err(error) => {
                    assert!(!records.is_ok_and(numbered), "byte {at} as {value}: {error}");
                    assert!(!error.to_string().contains("framing"), "byte {at} as {value}");
                    good += 1;
                }
            }
        }
    }
    assert_eq!(good as usize, 256 * (whole.bytes().len() - 61));
}

#[test]
fn a_flipped_bit_anywhere_under_the_checksum_is_seen() {
    let plain = batch(BatchOptions::default(), &[1]);
    for at in 17..plain.bytes().len() {
        let mut bytes = plain.bytes().to_vec();
        bytes[at] ^= 0x10;
        let error = check_produced(&bytes, LIMITS).unwrap_err();
        let seen = matches!(
            error,
            BatchError::Checksum { .. } | BatchError::Header(HeaderError::Field { .. })
        );
        assert!(seen, "byte {at}: {error}");
    }
}

#[test]
fn compressed_records_are_looked_at_only_in_full_mode() {
    let options = BatchOptions { compression: Compression::Gzip, ..Default::default() };
    let bytes = patched(&batch(options, &[1, 2]), 61, &[0]);
    assert!(check_produced(&bytes, LIMITS).is_ok());
    assert!(matches!(check_produced(&bytes, FULL), Err(BatchError::Inflate(_))));
    let bomb = BatchLimits { inside: Inside::Full { inflated_max: 20 }, ..FULL };
    let whole = batch(options, &[1, 2]);
    assert!(matches!(check_produced(whole.bytes(), bomb), Err(BatchError::Inflate(_))));
}

#[test]
fn a_wrong_maximum_timestamp_is_corrected() {
    let bytes = patched(&batch(BatchOptions::default(), &[1, 7]), 35, &[0; 8]);
    let checked = check_produced(&bytes, LIMITS).unwrap();
    assert_eq!(checked.header().max_timestamp, Some(Timestamp::from_millis(7)));
    check_whole(&checked.head_at(Offset::new(9), LeaderEpoch::new(2)), checked.section());
}

#[test]
fn the_append_time_replaces_every_timestamp() {
    let built = batch(BatchOptions::default(), &[1, 7]);
    let mut checked = check_produced(built.bytes(), LIMITS).unwrap();
    checked.stamp_append_time(Timestamp::from_millis(1_000));
    let head = checked.head_at(Offset::new(9), LeaderEpoch::new(2));
    let header = check_whole(&head, checked.section());
    assert_eq!(header.attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(header.base_offset, Offset::new(9));
    assert_eq!(header.leader_epoch, Some(LeaderEpoch::new(2)));
    let bytes = [&head[..], checked.section()].concat();
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    for record in &batch.records(0).unwrap() {
        assert_eq!(record.unwrap().timestamp, Some(Timestamp::from_millis(1_000)));
    }
}

fn check_whole(head: &[u8], section: &[u8]) -> BatchHeader {
    let bytes = [head, section].concat();
    let batch = Batches::new(&bytes).next().unwrap().unwrap();
    assert!(batch.crc_matches());
    assert_eq!(batch.header.crc, crc32c(&bytes[21..]));
    assert_eq!(batch.header.encode(), head);
    batch.header
}

#[test]
fn timestamps_must_lie_within_the_topics_limits() {
    check_times(&[10, 15, 20], Compression::None, None);
    check_times(&[9, 15], Compression::None, Some(9));
    check_times(&[15, 21], Compression::None, Some(21));
    check_times(&[15, 9, 15], Compression::None, Some(9));
    // Without a look inside, the header speaks for the records.
    check_times(&[15, 9, 15], Compression::Lz4, None);
    check_times(&[15, 21], Compression::Lz4, Some(21));
    check_times(&[-1], Compression::None, None);
    check_times(&[15, -1, 9], Compression::None, Some(9));
}

fn check_times(timestamps: &[i64], compression: Compression, refused: Option<i64>) {
    let built = batch(BatchOptions { compression, ..Default::default() }, timestamps);
    let checked = check_produced(built.bytes(), LIMITS).unwrap();
    let (earliest, latest) = (Timestamp::from_millis(10), Timestamp::from_millis(20));
    let expected = refused.map(Timestamp::from_millis);
    let expected = expected.map_or(Ok(()), |timestamp| {
        Err(TimestampError::OutOfRange { timestamp, earliest, latest })
    });
    assert_eq!(checked.check_timestamps(earliest, latest), expected, "{timestamps:?}");
}

#[test]
fn a_producers_last_sequence_wraps() {
    let producer = Some(ProducerStamp {
        id: ProducerId::new(4),
        epoch: ProducerEpoch::new(1),
        base_sequence: Some(ottla_types::Sequence::new(i32::MAX)),
    });
    let built = batch(BatchOptions { producer, ..Default::default() }, &[1, 1]);
    let checked = check_produced(built.bytes(), LIMITS).unwrap();
    assert_eq!(checked.header().producer, producer);
    assert_eq!(checked.header().last_sequence(), Some(ottla_types::Sequence::ZERO));
}

#[test]
fn walking_ends_before_a_cut_batch() {
    let one = batch(BatchOptions::default(), &[1]);
    let three = one.bytes().repeat(3);
    for cut in 0..=three.len() {
        let mut batches = Batches::new(&three[..cut]);
        let whole = batches.by_ref().map(Result::unwrap).count();
        assert_eq!(whole, cut / one.bytes().len());
        assert_eq!(batches.rest().len(), cut % one.bytes().len());
    }
}
