//! The five codecs, in the framings that Kafka's clients write and read.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// How the records of a batch are compressed: `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    /// Written in the blocks of the Java library (xerial); one bare block is read as well.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// Since KIP-110.
    Zstd,
}

/// Why records do not inflate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("the records inflate to more than {max} bytes")]
    TooLarge { max: usize },
    #[error("the records are not valid {codec}: {reason}", codec = codec.name())]
    Corrupt { codec: Compression, reason: String },
}

impl Compression {
    /// All of them, by id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of that number.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// The name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Compresses at the level that Kafka's clients take by default.
    #[must_use]
    pub fn compress(self, records: Vec<u8>) -> Vec<u8> {
        const IN_MEMORY: &str = "compressing from memory to memory does not fail";
        match self {
            Self::None => records,
            Self::Gzip => gzip(&records).expect(IN_MEMORY),
            Self::Snappy => snappy(&records).expect(IN_MEMORY),
            Self::Lz4 => lz4(&records).expect(IN_MEMORY),
            Self::Zstd => {
                zstd::bulk::compress(&records, zstd::DEFAULT_COMPRESSION_LEVEL).expect(IN_MEMORY)
            }
        }
    }

    /// The uncompressed records, `max` bytes at the most. Copies nothing where there is no codec.
    ///
    /// # Errors
    /// When the bytes are not of this codec, or inflate to more than `max`.
    pub fn inflate(self, section: &[u8], max: usize) -> Result<Cow<'_, [u8]>, InflateError> {
        let inflated = match self {
            Self::None => return Ok(Cow::Borrowed(section)),
            Self::Gzip => bounded(flate2::bufread::MultiGzDecoder::new(section), max),
            Self::Snappy => unsnappy(section, max),
            Self::Lz4 => bounded(FrameDecoder::new(section), max),
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(section)
                .and_then(|from| bounded(from, max)),
        };
        match inflated {
            Ok(Some(records)) => Ok(Cow::Owned(records)),
            Ok(None) => Err(InflateError::TooLarge { max }),
            Err(error) => Err(InflateError::Corrupt { codec: self, reason: error.to_string() }),
        }
    }
}

/// Everything from `reader`; `None` if that is more than `max`.
fn bounded(reader: impl Read, max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

fn gzip(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(records)?;
    encoder.finish()
}

/// Independent blocks of 64 KiB: all that the Java client's reader takes.
fn lz4(records: &[u8]) -> io::Result<Vec<u8>> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(records)?;
    Ok(encoder.finish()?)
}

/// What opens a stream of the Java library: its magic, version 1, readable since version 1.
const XERIAL: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_MAGIC_BYTES: usize = 8;
/// Uncompressed bytes in a block of it.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

fn snappy(records: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = XERIAL.to_vec();
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let block = encoder.compress_vec(block)?;
        let len = i32::try_from(block.len()).map_err(io::Error::other)?;
        stream.extend_from_slice(&len.to_be_bytes());
        stream.extend_from_slice(&block);
    }
    Ok(stream)
}

fn unsnappy(mut rest: &[u8], max: usize) -> io::Result<Option<Vec<u8>>> {
    let magic = &XERIAL[..XERIAL_MAGIC_BYTES];
    let mut records = Vec::new();
    if !rest.starts_with(magic) {
        return Ok(unsnappy_block(rest, &mut records, max)?.then_some(records));
    }
    while !rest.is_empty() {
        // Streams may follow each other: each opens with the same 16 bytes.
        if rest.starts_with(magic) {
            rest = rest.get(XERIAL.len()..).ok_or(io::ErrorKind::UnexpectedEof)?;
            continue;
        }
        let (len, after) = rest.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(io::Error::other)?;
        let block = after.get(..len).ok_or(io::ErrorKind::UnexpectedEof)?;
        if !unsnappy_block(block, &mut records, max)? {
            return Ok(None);
        }
        rest = &after[len..];
    }
    Ok(Some(records))
}

/// Appends a block, inflated, to `records`; `false` if they would outgrow `max`. The block says
/// how large it is before anything is allocated.
fn unsnappy_block(block: &[u8], records: &mut Vec<u8>, max: usize) -> io::Result<bool> {
    let from = records.len();
    let len = snap::raw::decompress_len(block)?;
    if len > max - from {
        return Ok(false);
    }
    records.resize(from + len, 0);
    snap::raw::Decoder::new().decompress(block, &mut records[from..])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        let long: Vec<u8> = (0..200_000_u32).map(|n| n.wrapping_mul(n).to_be_bytes()[2]).collect();
        for codec in Compression::ALL {
            for records in [&b""[..], b"a", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &long] {
                let section = codec.compress(records.to_vec());
                let inflated = codec.inflate(&section, records.len()).unwrap();
                assert_eq!(inflated, records, "{codec:?}");
            }
            assert_eq!(Compression::from_id(codec.id()), Some(codec));
        }
        assert_eq!(Compression::from_id(5), None);
    }

    #[test]
    fn inflating_stops_at_its_bound() {
        for codec in &Compression::ALL[1..] {
            let section = codec.compress(vec![0; 100_000]);
            let outcome = codec.inflate(&section, 99_999);
            assert_eq!(outcome, Err(InflateError::TooLarge { max: 99_999 }), "{codec:?}");
        }
    }

    #[test]
    fn garbage_and_cut_sections_are_refused() {
        for codec in &Compression::ALL[1..] {
            let whole = codec.compress((0..=255).collect());
            check_corrupt(*codec, b"\xff\xff\xff\xff garbage");
            check_corrupt(*codec, &whole[..whole.len() - 5]);
        }
    }

    fn check_corrupt(codec: Compression, section: &[u8]) {
        let outcome = codec.inflate(section, 1 << 20);
        assert!(matches!(outcome, Err(InflateError::Corrupt { .. })), "{codec:?} {outcome:?}");
    }

    #[test]
    fn snappy_without_the_java_framing_is_read() {
        let block = snap::raw::Encoder::new().compress_vec(b"bare").unwrap();
        assert_eq!(&*Compression::Snappy.inflate(&block, 4).unwrap(), b"bare");
        let twice = Compression::Snappy.compress(b"ab".to_vec()).repeat(2);
        assert_eq!(&*Compression::Snappy.inflate(&twice, 4).unwrap(), b"abab");
    }
}
