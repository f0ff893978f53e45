//! Little that claims to be much: counts, tags, lengths, compressed zeros.

use ottla_records::{BatchHeader, Compression, HEADER_BYTES, crc32c};

use super::*;

const MIB: usize = 1 << 20;

/// INVALID_RECORD, CORRUPT_MESSAGE, MESSAGE_TOO_LARGE: the batch is refused.
const REFUSALS: [i16; 3] = [87, 2, 10];

/// A batch of one record whose section is anything.
fn with_section(codec: Compression, section: &[u8]) -> Vec<u8> {
    let mut bytes = batch(1)[..HEADER_BYTES].to_vec();
    bytes.extend_from_slice(section);
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[21..23].copy_from_slice(&i16::from(codec.id()).to_be_bytes());
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    assert!(BatchHeader::parse(&bytes).is_ok());
    bytes
}

#[test]
fn compressed_zeros_are_inflated_no_further_than_their_bound() {
    World::new(501).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        // Only then has the node to look at all records.
        client.create(&[("cleanup.policy", "compact")]).await;
        let zeros = vec![0; 129 * MIB];
        for codec in [Compression::Zstd, Compression::Gzip] {
            let section = codec.compress(zeros.clone());
            assert!(section.len() < MIB, "{codec:?}: {}", section.len());
            let produced = client.produce(-1, &with_section(codec, &section)).await;
            assert!(REFUSALS.contains(&produced.error), "{codec:?} {produced:?}");
        }
        // A bare block of snappy begins with what it inflates to: 4 GiB, less one.
        let claims = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00];
        let produced = client.produce(-1, &with_section(Compression::Snappy, &claims)).await;
        assert!(REFUSALS.contains(&produced.error), "{produced:?}");
    });
}

/// A request with its header's tagged fields spelled out; the body of ApiVersions 3 is two empty
/// texts and no tag.
fn tagged(count: u32, fields: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 0, 0, 18, 0, 3, 0, 0, 0, 9, 0xff, 0xff];
    put_varint(&mut frame, count);
    frame.extend_from_slice(fields);
    frame.extend_from_slice(&[2, b'x', 2, b'1', 0]);
    let length = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

fn put_varint(into: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        into.push(value.to_be_bytes()[3] | 0x80);
        value >>= 7;
    }
    into.push(value.to_be_bytes()[3]);
}

#[test]
fn tagged_fields_by_the_million_cost_nothing_and_claimed_ones_end_the_connection() {
    World::new(502).live(async |life| {
        let _node = life.node(&[]).await;
        let mut fields = Vec::new();
        for tag in 0..1_000_000 {
            put_varint(&mut fields, tag);
            fields.push(0);
        }
        let mut client = life.client().await;
        client.stream.write_all(Bytes::from(tagged(1_000_000, &fields))).await.unwrap();
        let answer = client.answer(ApiKey::ApiVersions, 0).await;
        assert_eq!(answer.frame[..4], [0, 0, 0, 9], "its number");
        for claimed in [1, 3, u32::MAX >> 1, u32::MAX] {
            let mut client = life.client().await;
            client.stream.write_all(Bytes::from(tagged(claimed, &[]))).await.unwrap();
            let ended = client.stream.read(&mut [0; 64]).await;
            assert!(matches!(ended, Ok(0) | Err(_)), "{claimed}: {ended:?}");
        }
    });
}

#[test]
fn a_count_without_its_elements_ends_the_connection() {
    World::new(503).live(async |life| {
        let _node = life.node(&[]).await;
        // Metadata 0: so many names, of which none comes.
        for count in [1, 1_000, i32::MAX, -2] {
            let mut frame = vec![0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
            frame.extend_from_slice(&count.to_be_bytes());
            let mut client = life.client().await;
            client.stream.write_all(Bytes::from(frame)).await.unwrap();
            let ended = client.stream.read(&mut [0; 64]).await;
            assert!(matches!(ended, Ok(0) | Err(_)), "{count}: {ended:?}");
        }
    });
}

#[test]
fn bytes_behind_a_body_are_passed_over() {
    World::new(505).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        // ApiVersions 0 and Metadata 0 without names, each with three bytes more than it has.
        for (key, body) in [(ApiKey::ApiVersions, 0), (ApiKey::Metadata, 4)] {
            let mut frame = vec![0, 0, 0, 13 + body, 0, key.to_wire().to_be_bytes()[1], 0, 0];
            frame.extend_from_slice(&[0, 0, 0, 1, 0xff, 0xff]);
            frame.resize(frame.len() + usize::from(body), 0);
            frame.extend_from_slice(b"abc");
            client.stream.write_all(Bytes::from(frame)).await.unwrap();
            assert!(client.answer(key, 0).await.frame.len() > 4, "{key:?}");
        }
    });
}

#[test]
fn a_fetch_of_two_gib_of_each_of_ten_thousand_partitions_has_its_bound() {
    World::new(504).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for _ in 0..2 {
            assert_eq!(client.produce(-1, &batch(MIB - 1_000)).await.error, OK);
        }
        let partition = FetchPartition { partition_max_bytes: i32::MAX, ..Default::default() };
        let other = |number| FetchPartition { partition: number, ..partition.clone() };
        let all = (0..10_000)
            .map(|number| if number % 10 == 0 { partition.clone() } else { other(number) });
        let topic =
            FetchTopic { topic: TOPIC.into(), partitions: all.collect(), ..Default::default() };
        let request = FetchRequest {
            max_bytes: i32::MAX,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        };
        client.send(ApiKey::Fetch, FETCH, |writer| request.encode(writer, FETCH)).await;
        let answer = client.answer(ApiKey::Fetch, FETCH).await;
        // 2 GB were asked for and are there; Kafka's bound of an answer is 55 MiB.
        assert!((MIB..58 * MIB).contains(&answer.frame.len()), "{}", answer.frame.len());
    });
}
