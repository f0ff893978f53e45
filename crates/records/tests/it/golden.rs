//! Batches as Apache Kafka's own classes write them.

use ottla_records::{
    BatchBuilder, BatchError, BatchLimits, BatchOptions, BatchStream, Batches, Compression,
    ControlType, EndTransactionMarker, Inside, NewRecord, ProducerStamp, check_produced,
};
use ottla_types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType,
};

const VECTORS: &str = include_str!("../../../testkit/vectors/records/batches.hex");
const TIME: i64 = 1_700_000_000_000;
const FULL: BatchLimits =
    BatchLimits { size_max: 1 << 20, inside: Inside::Full { inflated_max: 1 << 20 } };

pub(crate) struct Vector {
    codec: Compression,
    variant: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn vectors() -> impl Iterator<Item = Vector> {
    VECTORS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let codec = Compression::ALL.into_iter().find(|codec| codec.name() == fields[0]);
        Vector { codec: codec.unwrap(), variant: fields[1], bytes: unhex(fields[2]) }
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(TIME + millis)
}

/// What the vectors hold, but for the large ones and the markers.
fn expected() -> [NewRecord<'static>; 5] {
    let key: Option<&[u8]> = Some(b"key");
    let value: Option<&[u8]> = Some(b"value");
    let (none, empty): (Option<&[u8]>, Option<&[u8]>) = (None, Some(b""));
    let record = |timestamp, key, value| NewRecord { timestamp, key, value, headers: &[] };
    [
        record(at(0), none, value),
        record(at(300), key, none),
        NewRecord {
            headers: &[("name", Some(b"value")), ("null", None), ("", Some(b""))],
            ..record(at(-70), key, value)
        },
        record(at(300), empty, empty),
        record(at(0), none, none),
    ]
}

fn options(vector: &Vector) -> BatchOptions {
    let producer = |sequence| {
        Some(ProducerStamp {
            id: ProducerId::new(4_000),
            epoch: ProducerEpoch::new(3),
            base_sequence: Some(Sequence::new(sequence)),
        })
    };
    let plain = BatchOptions { compression: vector.codec, ..Default::default() };
    match vector.variant {
        "plain" => plain,
        "idempotent" => BatchOptions { producer: producer(i32::MAX), ..plain },
        "transactional" => BatchOptions { producer: producer(7), transactional: true, ..plain },
        "append-time" => BatchOptions { append_time: Some(at(1_000)), ..plain },
        other => unreachable!("{other}"),
    }
}

fn is_ordinary(vector: &Vector) -> bool {
    !matches!(vector.variant, "large" | "abort" | "commit")
}

#[test]
fn what_kafka_writes_is_read() {
    assert_eq!(vectors().count(), 26);
    for vector in vectors() {
        let batch = Batches::new(&vector.bytes).next().unwrap().unwrap();
        assert!(batch.crc_matches());
        assert_eq!(batch.bytes.len(), vector.bytes.len());
        assert_eq!(batch.header.encode(), vector.bytes[..61]);
        assert_eq!(batch.header.attributes.compression(), vector.codec);
        let records = batch.records(1 << 20).unwrap();
        if is_ordinary(&vector) {
            check_records(&vector, &records);
        }
        if vector.variant == "large" {
            let value = records.iter().next().unwrap().unwrap().value.unwrap();
            assert_eq!(value.len(), 150_000);
            assert!((0..).zip(value).all(|(at, byte)| usize::from(*byte) == at / 1_000));
        }
    }
}

fn check_records(vector: &Vector, records: &ottla_records::Records<'_>) {
    let expected = expected();
    assert_eq!(records.iter().count(), expected.len());
    for (offset, (record, expected)) in (0..).zip(records.iter().zip(expected)) {
        let record = record.unwrap();
        let timestamp = match vector.variant {
            "append-time" => at(1_000),
            _ => expected.timestamp,
        };
        assert_eq!(record.offset, Offset::new(offset));
        assert_eq!(record.timestamp, Some(timestamp), "{} {offset}", vector.variant);
        assert_eq!((record.key, record.value), (expected.key, expected.value));
        assert_eq!(record.headers.len(), expected.headers.len());
        for ((key, value), header) in record.headers.iter().zip(expected.headers) {
            assert_eq!((key, value), (header.0.as_bytes(), header.1));
        }
    }
}

#[test]
fn what_producers_send_passes_the_check() {
    for vector in vectors() {
        let checked = check_produced(&vector.bytes, FULL);
        match vector.variant {
            "append-time" => assert_eq!(checked.unwrap_err(), BatchError::AppendTime),
            "abort" | "commit" => {
                assert!(matches!(checked, Err(BatchError::BaseOffset { .. })));
            }
            _ => {
                let checked = checked.unwrap();
                let head = checked.head_at(Offset::new(77), LeaderEpoch::new(5));
                assert_eq!(head[16..], vector.bytes[16..61], "only the place was changed");
            }
        }
    }
}

#[test]
fn we_write_what_kafka_writes() {
    for vector in vectors().filter(is_ordinary) {
        let mut builder = BatchBuilder::new(options(&vector));
        for record in expected() {
            builder.push(record);
        }
        let built = builder.build();
        let header = Batches::new(&vector.bytes).next().unwrap().unwrap().header;
        let ours = built.batch().header;
        assert_eq!(ours.attributes, header.attributes);
        assert_eq!(
            (ours.base_timestamp, ours.max_timestamp),
            (header.base_timestamp, header.max_timestamp)
        );
        assert_eq!((ours.producer, ours.records_count), (header.producer, header.records_count));
        // Compressors differ in their bytes, so only the uncompressed batch is the same in all.
        if vector.codec == Compression::None {
            assert_eq!(built.bytes(), vector.bytes, "{}", vector.variant);
        }
        check_records(&vector, &built.batch().records(1 << 20).unwrap());
    }
}

#[test]
fn markers_are_read_and_written() {
    for vector in vectors().filter(|vector| matches!(vector.variant, "abort" | "commit")) {
        let committed = vector.variant == "commit";
        let marker = EndTransactionMarker { committed, coordinator_epoch: 9 };
        let kind = if committed { ControlType::Commit } else { ControlType::Abort };
        let producer = Some(ProducerStamp {
            id: ProducerId::new(4_000),
            epoch: ProducerEpoch::new(3),
            base_sequence: None,
        });
        let options = BatchOptions {
            base_offset: Offset::new(12),
            leader_epoch: Some(LeaderEpoch::new(5)),
            producer,
            transactional: true,
            control: true,
            ..Default::default()
        };
        let mut builder = BatchBuilder::new(options);
        let (key, value) = (kind.key(), marker.value());
        builder.push(NewRecord {
            timestamp: at(0),
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        });
        assert_eq!(builder.build().bytes(), vector.bytes);
        let streamed = BatchStream::new().next(&mut &vector.bytes[..]).unwrap().unwrap();
        assert_eq!(streamed.marker, Some(marker));
    }
}

#[test]
fn a_stream_gives_the_same_batches_however_it_is_cut() {
    let all: Vec<u8> = vectors().flat_map(|vector| vector.bytes).collect();
    let whole: Vec<_> = Batches::new(&all).map(|batch| batch.unwrap().header).collect();
    for size in [1, 7, 60, 61, 62, 1_000, all.len()] {
        let mut stream = BatchStream::new();
        let mut headers = Vec::new();
        for mut chunk in all.chunks(size) {
            while let Some(batch) = stream.next(&mut chunk).unwrap() {
                headers.push(batch.header);
            }
            assert!(chunk.is_empty());
        }
        assert_eq!(headers, whole);
        assert_eq!(stream.position(), all.len() as u64);
    }
    assert!(whole.iter().any(|h| h.attributes.timestamp_type() == TimestampType::LogAppendTime));
}
