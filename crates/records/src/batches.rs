//! Walking over the batches of a slice.

use crate::header::{SIZED_BYTES, at};
use crate::{BatchHeader, HEADER_BYTES, HeaderError, InflateError, Records};

/// A batch in its bytes, parsed but not verified.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    /// The whole batch, header included.
    pub bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Whether the stored checksum fits the bytes.
    #[must_use]
    pub fn crc_matches(&self) -> bool {
        crc_of(self.bytes) == self.header.crc
    }

    /// The records, inflated if they are compressed, to `inflated_max` bytes at the most.
    ///
    /// # Errors
    /// When they do not inflate, or to more than that.
    pub fn records(&self, inflated_max: usize) -> Result<Records<'a>, InflateError> {
        Records::open(self.header, &self.bytes[HEADER_BYTES..], inflated_max)
    }
}

/// CRC-32C, the checksum of batches and of producer snapshots.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C of a batch, over everything from its attributes on.
pub(crate) fn crc_of(batch: &[u8]) -> u32 {
    crc32c(&batch[at::ATTRIBUTES..])
}

/// The batches of a slice, in order. A batch whose end lies beyond the slice is not yielded: reads
/// cut where they like (KIP-74).
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// Walks over `bytes`, which begin with a batch.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been walked over: after the end, the beginning of a cut batch, or nothing.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether the size of the next batch is known and its bytes are all here.
    fn has_whole_batch(&self) -> bool {
        let length: Option<&[u8; 4]> =
            self.rest.get(at::LENGTH..SIZED_BYTES).and_then(|field| field.first_chunk());
        // A negative length is not a cut batch: let the parser say what is wrong with it.
        length.is_some_and(|length| {
            let length = usize::try_from(i32::from_be_bytes(*length));
            length.map_or(true, |length| length <= self.rest.len() - SIZED_BYTES)
        })
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.has_whole_batch() {
            return None;
        }
        let header = match BatchHeader::parse(self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let (bytes, rest) = self.rest.split_at(header.size as usize);
        self.rest = rest;
        Some(Ok(Batch { header, bytes }))
    }
}
