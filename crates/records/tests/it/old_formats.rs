//! Messages of formats 0 and 1, made into batches and out of them.

use ottla_records::{
    Batch, BatchBuilder, BatchHeader, BatchLimits, BatchOptions, Compression, DownConvertError,
    DownLimits, InflateError, Inside, MessageError, MessageFormat, NewRecord, UpConvertError,
    check_produced, down_convert, up_convert,
};
use ottla_types::{Offset, Timestamp};

use MessageFormat::{V0, V1};

const VECTORS: &str = include_str!("../../../testkit/vectors/batches/MessageSet.hex");
const TIME: i64 = 1_700_000_000_000;
const INFLATED_MAX: usize = 1 << 20;
const LIMITS: DownLimits = DownLimits { bytes: usize::MAX, inflated_max: INFLATED_MAX };
/// All that messages know.
const CODECS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];

/// Offset, timestamp, key and value.
type Told = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn told(batch: &[u8]) -> Vec<Told> {
    let header = BatchHeader::parse(batch).unwrap();
    let records = Batch { header, bytes: batch }.records(INFLATED_MAX).unwrap();
    let tell = |record: Result<ottla_records::Record<'_>, _>| {
        let record = record.unwrap();
        assert!(record.headers.is_empty());
        let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let time = Timestamp::to_wire(record.timestamp);
        (record.offset.get(), time, own(record.key), own(record.value))
    };
    records.iter().map(tell).collect()
}

fn up(set: &[u8]) -> Vec<u8> {
    let batch = up_convert(set, INFLATED_MAX).unwrap().into_bytes();
    let limits =
        BatchLimits { size_max: u32::MAX, inside: Inside::Full { inflated_max: INFLATED_MAX } };
    check_produced(&batch, limits).unwrap();
    batch
}

fn down(batches: &[u8], format: MessageFormat, from: i64) -> Vec<u8> {
    let mut set = Vec::new();
    down_convert(batches, format, Offset::new(from), LIMITS, &mut set).unwrap();
    set
}

/// Timestamp, key and value.
type Few = (i64, Option<&'static [u8]>, Option<&'static [u8]>);

/// What the vectors hold, from offset 7 on.
fn few() -> [Few; 5] {
    let key: Option<&[u8]> = Some(b"k");
    let value: Option<&[u8]> = Some(&[0, 0xff, b'v']);
    [
        (TIME, key, value),
        (TIME + 5, None, value),
        (TIME - 5, key, None),
        (TIME + 1, Some(b""), Some(b"")),
        (TIME + 100_000_000_000, None, Some(&[b'x'; 200])),
    ]
}

fn few_in_a_batch(compression: Compression, append_time: Option<i64>) -> Vec<u8> {
    let mut batch = BatchBuilder::new(BatchOptions {
        base_offset: Offset::new(7),
        compression,
        append_time: append_time.map(Timestamp::from_millis),
        ..BatchOptions::default()
    });
    for (timestamp, key, value) in few() {
        let timestamp = Timestamp::from_millis(timestamp);
        batch.push(NewRecord { timestamp, key, value, headers: &[("lost", Some(b"x"))] });
    }
    batch.build().into_bytes()
}

struct Vector {
    format: MessageFormat,
    codec: Compression,
    append_time: Option<i64>,
    set: Vec<u8>,
}

/// What Apache Kafka builds.
fn vectors() -> Vec<Vector> {
    let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let [format, name, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let digits = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        let codec = name.split('_').next().unwrap();
        Vector {
            format: if format == "v0" { V0 } else { V1 },
            codec: CODECS.into_iter().find(|known| known.name() == codec).unwrap(),
            append_time: name.ends_with("_append_time").then_some(TIME + 9),
            set: (0..hex.len() / 2).map(digits).collect(),
        }
    };
    lines.map(parse).collect()
}

#[test]
fn what_kafka_writes_becomes_a_batch() {
    assert_eq!(vectors().len(), 12);
    for Vector { format, codec, append_time, set } in vectors() {
        if append_time.is_some() {
            assert_eq!(up_convert(&set, INFLATED_MAX).unwrap_err(), UpConvertError::AppendTime);
            continue;
        }
        let batch = up(&set);
        assert_eq!(BatchHeader::parse(&batch).unwrap().attributes.compression(), codec);
        let expected = (0..).zip(few()).map(|(offset, (timestamp, key, value))| {
            let timestamp = if format == V0 { -1 } else { timestamp };
            (offset, timestamp, key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))
        });
        assert_eq!(told(&batch), expected.collect::<Vec<_>>(), "{format:?} {codec:?}");
    }
}

#[test]
fn a_batch_becomes_what_kafka_writes() {
    for Vector { format, codec, append_time, set } in vectors() {
        let ours = down(&few_in_a_batch(codec, append_time), format, 0);
        if codec == Compression::None {
            assert_eq!(ours, set, "{format:?}");
            continue;
        }
        // Compressors differ, what they compress does not.
        let (ours, theirs) = (taken_apart(&ours, format, codec), taken_apart(&set, format, codec));
        assert_eq!(ours, theirs, "{format:?} {codec:?}");
    }
}

/// What a wrapper says of itself, what is inside, and the checksum of an old frame's header.
fn taken_apart(set: &[u8], format: MessageFormat, codec: Compression) -> (Vec<u8>, Vec<u8>, u8) {
    // Offset, then format to key; sizes and checksums cover what is compressed.
    let value_at = if format == V0 { 26 } else { 34 };
    let mut section = set[value_at..].to_vec();
    let mut old_checksum = 0;
    if (format, codec) == (V0, Compression::Lz4) {
        // The header of both frames is the plainest: six bytes, and not the checksum that the
        // format of frames has.
        let plain = codec.compress(Vec::new());
        assert_eq!((section[..6].to_vec(), section[6] == plain[6]), (plain[..6].to_vec(), false));
        old_checksum = std::mem::replace(&mut section[6], plain[6]);
    }
    let inside = codec.inflate(&section, INFLATED_MAX).unwrap().into_owned();
    ([&set[..8], &set[16..value_at - 4]].concat(), inside, old_checksum)
}

/// Numbers that look random and are the same every time (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let len = self.below(60);
        let byte = |draws: &mut Self| u8::try_from(draws.below(256)).unwrap();
        (len < 50).then(|| (0..len).map(|_| byte(self)).collect())
    }
}

#[test]
fn what_went_down_comes_up_as_it_was() {
    let mut draws = Draws(1);
    for round in 0..400 {
        for codec in CODECS {
            let base = i64::try_from(draws.below(1 << 40)).unwrap();
            let mut batch = BatchBuilder::new(BatchOptions {
                base_offset: Offset::new(base),
                compression: codec,
                ..BatchOptions::default()
            });
            for _ in 0..=draws.below(20) {
                let timestamp = i64::try_from(draws.below(1 << 42)).unwrap() - 1;
                batch.push(NewRecord {
                    timestamp: Timestamp::from_millis(timestamp),
                    key: draws.bytes().as_deref(),
                    value: draws.bytes().as_deref(),
                    headers: &[],
                });
            }
            let batch = batch.build().into_bytes();
            check_there_and_back(&batch, base, &format!("round {round}, {codec:?}"));
        }
    }
}

#[track_caller]
fn check_there_and_back(batch: &[u8], base: i64, what: &str) {
    for format in [V0, V1] {
        let again = told(&up(&down(batch, format, base)));
        let expected = told(batch).into_iter().map(|(offset, timestamp, key, value)| {
            (offset - base, if format == V0 { -1 } else { timestamp }, key, value)
        });
        assert_eq!(again, expected.collect::<Vec<_>>(), "{what} {format:?}");
    }
}

/// A message of format 1 with these attributes and this value; its checksum is right.
fn message(offset: i64, attributes: u8, timestamp: i64, value: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![1, attributes];
    body.extend(timestamp.to_be_bytes());
    body.extend((-1_i32).to_be_bytes());
    body.extend(value.map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes());
    body.extend(value.unwrap_or_default());
    let size = i32::try_from(body.len() + 4).unwrap();
    let crc = crc32(&body);
    [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
}

fn plain(offset: i64) -> Vec<u8> {
    message(offset, 0, TIME, Some(b"v"))
}

/// Bit by bit, so that the test does not share the product's implementation.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

fn wrapped(offset: i64, inside: &[Vec<u8>]) -> Vec<u8> {
    message(offset, 1, TIME, Some(&Compression::Gzip.compress(inside.concat())))
}

#[test]
#[rustfmt::skip]
fn what_is_no_set_is_refused_by_its_name() {
    check(&[],                                              &UpConvertError::Empty);
    check(&plain(0)[..20],                                  &UpConvertError::Empty);
    check(&[wrapped(0, &[plain(0)]), plain(1)].concat(),    &UpConvertError::NotAlone);
    check(&[plain(0), wrapped(0, &[plain(0)])].concat(),    &UpConvertError::NotAlone);
    check(&wrapped(0, &[wrapped(0, &[plain(0)])]),          &UpConvertError::Nested);
    check(&wrapped(0, &[]),                                 &UpConvertError::NothingInside);
    check(&message(0, 1, TIME, None),                       &UpConvertError::NothingInside);
    check(&wrapped(1, &[plain(0), plain(2)]),               &UpConvertError::OffsetBelow { offset: 1, last: 2 });
    check(&message(0, 8, TIME, None),                       &UpConvertError::AppendTime);
    check(&message(0, 0, -2, None),                         &UpConvertError::Timestamp { timestamp: -2 });
    check(&message(0, 0, i64::MAX, None),                   &UpConvertError::Timestamp { timestamp: i64::MAX });
    check(&message(0, 4, TIME, None),                       &UpConvertError::Message(MessageError::Codec { id: 4 }));
    check(&wrapped(0, &[vec![0; 30]]),                      &UpConvertError::Message(MessageError::Size { size: 0 }));
    let old = down(&few_in_a_batch(Compression::None, None), V0, 0);
    check(&[plain(0), old].concat(),                        &UpConvertError::Mixed { first: V1, other: V0 });
    check(&[plain(0), few_in_a_batch(Compression::None, None)].concat(), &UpConvertError::Message(MessageError::Magic { magic: 2 }));
    let large = vec![0; INFLATED_MAX + 1];
    check(&wrapped(0, &[message(0, 0, TIME, Some(&large))]), &UpConvertError::Inflate(InflateError::TooLarge { max: INFLATED_MAX }));
}

#[track_caller]
fn check(set: &[u8], error: &UpConvertError) {
    assert_eq!(up_convert(set, INFLATED_MAX).unwrap_err(), *error);
}

#[test]
fn damage_within_a_compressed_message_is_seen() {
    let mut inside = plain(0);
    *inside.last_mut().unwrap() ^= 1;
    let refused = up_convert(&wrapped(0, &[inside]), INFLATED_MAX).unwrap_err();
    assert!(matches!(refused, UpConvertError::Message(MessageError::Checksum { .. })), "{refused}");
}

/// Some clients number what is inside of a compressed message from 0, some all alike, and some
/// versions of librdkafka send the wrapper with 0.
#[test]
fn offsets_are_given_by_order() {
    for inside in [[0, 1, 2], [0, 0, 0], [7, 8, 9]] {
        for wrapper in [0, 9] {
            let set = wrapped(wrapper, &inside.map(plain));
            let offsets: Vec<i64> = told(&up(&set)).iter().map(|record| record.0).collect();
            assert_eq!(offsets, [0, 1, 2], "{inside:?}");
        }
    }
}

#[test]
fn what_comes_before_is_left_out_where_it_can_be() {
    let records = |batch: &[u8], from| told(&up(&down(batch, V1, from))).len();
    for (from, left) in [(7, 5), (8, 4), (11, 1)] {
        assert_eq!(records(&few_in_a_batch(Compression::None, None), from), left);
        assert_eq!(records(&few_in_a_batch(Compression::Gzip, None), from), 5);
    }
    assert!(down(&few_in_a_batch(Compression::None, None), V1, 12).is_empty());
}

#[test]
fn control_batches_and_those_without_records_are_passed_over() {
    let of = |control| {
        let options = BatchOptions { control, ..BatchOptions::default() };
        let mut batch = BatchBuilder::new(options);
        let timestamp = Timestamp::from_millis(TIME);
        batch.push(NewRecord { timestamp, key: Some(&[0, 0, 0, 1]), value: None, headers: &[] });
        batch.build().into_bytes()
    };
    let header = BatchHeader::parse(&of(false)).unwrap();
    let bytes = of(false);
    let emptied = Batch { header, bytes: &bytes }.emptied();
    let before = [of(true), emptied].concat();
    let mut set = Vec::new();
    let next = down_convert(&before, V1, Offset::ZERO, LIMITS, &mut set).unwrap();
    assert_eq!((next, set.len()), (Some(Offset::new(1)), 0));
    let few = few_in_a_batch(Compression::None, None);
    let next = down_convert(&[before, few].concat(), V1, Offset::ZERO, LIMITS, &mut set).unwrap();
    assert_eq!((next, told(&up(&set)).len()), (Some(Offset::new(12)), 5));
}

#[test]
fn a_set_has_a_batch_at_least_and_ends_at_its_bound() {
    let few = few_in_a_batch(Compression::None, None);
    let all = [&few[..], &few, &few].concat();
    let one = down(&few, V1, 0).len();
    for (bytes, batches) in [(0, 1), (one, 1), (one + 1, 2), (usize::MAX, 3)] {
        let mut set = vec![9];
        let limits = DownLimits { bytes, ..LIMITS };
        down_convert(&all, V1, Offset::ZERO, limits, &mut set).unwrap();
        assert_eq!((set[0], set.len()), (9, 1 + one * batches), "{bytes}");
    }
    // The beginning of a batch is none.
    let next = down_convert(&few[..few.len() - 1], V1, Offset::ZERO, LIMITS, &mut Vec::new());
    assert_eq!(next, Ok(None));
}

#[test]
fn what_cannot_be_told_is_an_error_where_it_is_the_first() {
    let (few, zstd) =
        (few_in_a_batch(Compression::None, None), few_in_a_batch(Compression::Zstd, None));
    let refused = DownConvertError::Codec { codec: Compression::Zstd };
    check_down(&[&zstd[..], &few].concat(), INFLATED_MAX, &Err(refused));
    let alone = down(&few, V1, 0).len();
    check_down(&[&few[..], &zstd].concat(), INFLATED_MAX, &Ok(alone));
    let gzip = few_in_a_batch(Compression::Gzip, None);
    let bomb = DownConvertError::Inflate(InflateError::TooLarge { max: 100 });
    check_down(&gzip, 100, &Err(bomb));
    // The records inflate to less than the bound, and are longer as messages.
    check_down(&gzip, 320, &Err(DownConvertError::TooLarge { max: 320 }));
}

#[track_caller]
fn check_down(batches: &[u8], inflated_max: usize, outcome: &Result<usize, DownConvertError>) {
    let (mut set, limits) = (Vec::new(), DownLimits { inflated_max, ..LIMITS });
    let converted = down_convert(batches, V1, Offset::ZERO, limits, &mut set);
    assert_eq!(converted.map(|_| set.len()), *outcome);
}
