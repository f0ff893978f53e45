//! Decoding allocates nothing, whatever the bytes claim.

use crate::allocations::bytes_allocated_by;
use ottla_testkit::vectors_of;
use ottla_wire::records::MetadataRecord;
use ottla_wire::{DecodeError, Reader, hot, messages};

/// How one kind of bytes is decoded and then walked where that is free.
struct Decoder {
    name: &'static str,
    decode: fn(&[u8], i16) -> Result<(), DecodeError>,
}

macro_rules! decoders {
    ($($name:ident)*) => {
        [$(Decoder {
            name: stringify!($name),
            decode: |bytes, version| {
                let mut reader = Reader::new(bytes);
                messages::$name::decode(&mut reader, version)?;
                reader.finish()
            },
        }),*]
    };
}

const GENERATED: [Decoder; 30] = decoders! {
    ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
    DeleteRecordsRequest DeleteRecordsResponse DeleteTopicsRequest DeleteTopicsResponse
    DescribeClusterRequest DescribeClusterResponse
    DescribeConfigsRequest DescribeConfigsResponse DescribeQuorumRequest DescribeQuorumResponse
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse FetchRequest FetchResponse
    FindCoordinatorRequest FindCoordinatorResponse InitProducerIdRequest InitProducerIdResponse
    ListOffsetsRequest ListOffsetsResponse MetadataRequest MetadataResponse
    OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse ProduceRequest ProduceResponse
};

const BY_HAND: [Decoder; 3] = [
    Decoder { name: "MetadataRecord", decode: |bytes, _| MetadataRecord::decode(bytes).map(drop) },
    Decoder {
        name: "ProduceRequest",
        decode: |bytes, version| {
            let request = hot::ProduceRequest::decode(bytes, version)?;
            request.partitions.for_each(drop);
            Ok(())
        },
    },
    Decoder {
        name: "FetchRequest",
        decode: |bytes, version| {
            let request = hot::FetchRequest::decode(bytes, version)?;
            request.partitions.for_each(drop);
            request.forgotten.for_each(drop);
            Ok(())
        },
    },
];

/// Claims of a huge length, in both spellings.
const HUGE: [&[u8]; 4] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x7f, 0xff],
    &[0xff, 0xff, 0x7f],
];

#[test]
fn decoding_allocates_nothing_for_legal_and_for_hostile_frames() {
    let (mut legal, mut refused) = (0, 0);
    for decoder in GENERATED.iter().chain(&BY_HAND) {
        for vector in vectors_of(decoder.name) {
            check(decoder, &vector.bytes, vector.version).expect("Apache Kafka wrote it");
            legal += 1;
            for hostile in hostile(&vector.bytes) {
                refused += usize::from(check(decoder, &hostile, vector.version).is_err());
            }
        }
    }
    assert!(legal > 300 && refused > 100_000, "{legal} legal, {refused} refused");
}

fn check(decoder: &Decoder, bytes: &[u8], version: i16) -> Result<(), DecodeError> {
    let (allocated, outcome) = bytes_allocated_by(|| (decoder.decode)(bytes, version));
    assert_eq!(allocated, 0, "{} v{version} of {} bytes", decoder.name, bytes.len());
    outcome
}

/// Cut at each length, and with a huge length written over each place.
fn hostile(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    // Long vectors repeat themselves: what is hostile to their first bytes is enough.
    let places = 0..bytes.len().min(300);
    let cut = places.clone().map(|at| bytes[..at].to_vec());
    let huge = places.flat_map(|at| HUGE.iter().map(move |claim| (at, *claim)));
    let overwritten = huge.map(|(at, claim)| {
        let behind = bytes.len().min(at + claim.len());
        [&bytes[..at], claim, &bytes[behind..]].concat()
    });
    cut.chain(overwritten)
}
