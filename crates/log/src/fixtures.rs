//! What the tests of the file formats share: Apache Kafka's folder, and damage.

use ottla_records::{BatchStream, StreamedBatch};
use ottla_testkit::apache_folder;
use ottla_types::Offset;

use crate::files::parse_segment_name;

/// A segment of the folder.
pub(crate) struct GoldenSegment {
    pub(crate) base: Offset,
    pub(crate) batches: Vec<StreamedBatch>,
}

/// A file of a partition's directory in the folder.
pub(crate) fn golden_file(directory: &str, name: &str) -> Option<Vec<u8>> {
    apache_folder().remove(&format!("{directory}/{name}"))
}

/// The segments of a partition's directory in the folder, in order.
pub(crate) fn golden_segments(directory: &str) -> Vec<GoldenSegment> {
    let prefix = format!("{directory}/");
    let mut segments = Vec::new();
    for (path, bytes) in apache_folder() {
        let Some(base) = path.strip_prefix(&prefix).and_then(parse_segment_name) else { continue };
        let mut stream = BatchStream::new();
        let mut rest = bytes.as_slice();
        let batches = std::iter::from_fn(|| stream.next(&mut rest).unwrap()).collect();
        segments.push(GoldenSegment { base, batches });
    }
    assert!(!segments.is_empty(), "{directory} is in the folder");
    segments
}

/// Numbers from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    pub(crate) fn number(&mut self, below: usize) -> i64 {
        i64::try_from(self.roll(below)).unwrap()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| u8::try_from(self.roll(256)).unwrap()).collect()
    }
}

/// Every shorter copy of some bytes, and every copy with one bit flipped.
pub(crate) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..bytes.len()).map(|len| bytes[..len].to_vec());
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    });
    cut.chain(flipped)
}
