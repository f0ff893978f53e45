//! The checksum of an lz4 frame's header, as messages of format 0 have it.
//!
//! Kafka's first lz4 counted the frame's magic number into the checksum, which the format of frames
//! does not. Format 1 has it right (KIP-57).

use std::borrow::Cow;

/// The magic number that opens a frame.
const MAGIC_BYTES: usize = 4;
/// The bits of the flags for a content size and for a dictionary, and what each adds to the header.
const OPTIONAL: [(u8, usize); 2] = [(0x08, 8), (0x01, 4)];

/// The frame with the checksum that a reader of frames looks for. What is too short for a header is
/// left to that reader.
pub(crate) fn with_right_checksum(frame: &[u8]) -> Cow<'_, [u8]> {
    let Some(at) = checksum_at(frame) else { return Cow::Borrowed(frame) };
    sealed(frame, at, xxh32_of_few(&frame[MAGIC_BYTES..at]))
}

/// The frame with the checksum that clients of format 0 look for.
pub(crate) fn with_old_checksum(frame: &[u8]) -> Cow<'_, [u8]> {
    let Some(at) = checksum_at(frame) else { return Cow::Borrowed(frame) };
    sealed(frame, at, xxh32_of_few(&frame[..at]))
}

fn sealed(frame: &[u8], at: usize, hash: u32) -> Cow<'_, [u8]> {
    // It is the second byte of the hash.
    let [_, checksum, ..] = hash.to_le_bytes();
    let mut frame = frame.to_vec();
    frame[at] = checksum;
    Cow::Owned(frame)
}

/// Where the checksum of the header lies.
fn checksum_at(frame: &[u8]) -> Option<usize> {
    let flags = *frame.get(MAGIC_BYTES)?;
    let present = OPTIONAL.iter().filter(|(bit, _)| flags & bit != 0);
    let at = MAGIC_BYTES + 2 + present.map(|(_, bytes)| bytes).sum::<usize>();
    (at < frame.len()).then_some(at)
}

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

/// XXH32 with seed 0. Inputs of 16 bytes and more begin with another loop, which only a header with
/// a dictionary, of which Kafka knows none, would need.
fn xxh32_of_few(bytes: &[u8]) -> u32 {
    let length = u32::try_from(bytes.len()).expect("a header has at most 19 bytes");
    let (lanes, rest) = bytes.as_chunks::<4>();
    let lane = |hash: u32, lane: &[u8; 4]| {
        let hash = hash.wrapping_add(u32::from_le_bytes(*lane).wrapping_mul(PRIMES[2]));
        hash.rotate_left(17).wrapping_mul(PRIMES[3])
    };
    let byte = |hash: u32, byte: &u8| {
        let hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIMES[4]));
        hash.rotate_left(11).wrapping_mul(PRIMES[0])
    };
    let hash = lanes.iter().fold(PRIMES[4].wrapping_add(length), lane);
    let hash = rest.iter().fold(hash, byte);
    let hash = (hash ^ (hash >> 15)).wrapping_mul(PRIMES[1]);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(PRIMES[2]);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Compression;

    #[test]
    fn the_hash_is_the_known_one() {
        assert_eq!(xxh32_of_few(b""), 0x02cc_5d05);
        assert_eq!(xxh32_of_few(b"a"), 0x550d_7456);
        assert_eq!(xxh32_of_few(b"abc"), 0x32d1_53ff);
    }

    #[test]
    fn a_checksum_made_old_and_right_again_is_the_one_that_was() {
        let frame = Compression::Lz4.compress(vec![7; 1_000]);
        let old = with_old_checksum(&frame);
        assert_ne!(*old, *frame);
        assert_eq!(frame.iter().zip(&*old).filter(|(a, b)| a != b).count(), 1);
        assert_eq!(*with_right_checksum(&old), *frame);
        assert_eq!(*with_right_checksum(&frame), *frame);
    }

    #[test]
    fn what_has_no_header_is_left_alone() {
        let frame = Compression::Lz4.compress(vec![7; 10]);
        for len in 0..7 {
            assert_eq!(&*with_right_checksum(&frame[..len]), &frame[..len]);
        }
        // Content size and dictionary are part of the header, where the flags say so.
        assert_eq!(checksum_at(&[0, 0, 0, 0, 0x68, 0]), None);
        let mut long = [0; 30];
        for (flags, at) in [(0x60, 6), (0x68, 14), (0x61, 10), (0x69, 18)] {
            long[4] = flags;
            assert_eq!(checksum_at(&long), Some(at));
        }
    }
}
