//! Batches that arrive in pieces, verified without being held in memory.

use crc_fast::{CrcAlgorithm, Digest};

use crate::header::at;
use crate::record::RecordIter;
use crate::{BatchHeader, Compression, EndTransactionMarker, HEADER_BYTES, HeaderError};

/// Control batches are read only if they are this small; those that end transactions have 78
/// bytes and one record.
const MARKER_BYTES_MAX: usize = 1_024;

/// A batch whose checksum was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamedBatch {
    pub header: BatchHeader,
    /// Where it begins, counted from the beginning of the stream.
    pub position: u64,
    /// What it says of a transaction, if it is a control batch that ends one.
    pub marker: Option<EndTransactionMarker>,
}

/// Why a stream holds no further batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the stored checksum is {stored:#010x}, the bytes have {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
}

/// Takes a stream of batches apart. Memory is constant, however long a header claims its batch to
/// be.
#[derive(Debug)]
pub struct BatchStream {
    position: u64,
    head: [u8; HEADER_BYTES],
    /// Bytes of the head that are here.
    have: usize,
    body: Option<Body>,
}

/// A batch whose header is here.
#[derive(Debug)]
struct Body {
    header: BatchHeader,
    /// Bytes that are not here.
    left: usize,
    crc: Digest,
    control: Vec<u8>,
}

impl Default for BatchStream {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchStream {
    /// A stream that begins with a batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { position: 0, head: [0; HEADER_BYTES], have: 0, body: None }
    }

    /// The end of the last whole batch.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Takes bytes from the front of `chunk` until a batch is whole; `None` if the chunk ends
    /// before that, and the next call goes on with the next chunk.
    ///
    /// # Errors
    /// When a header is malformed or a checksum wrong; the stream is of no further use then.
    pub fn next(&mut self, chunk: &mut &[u8]) -> Result<Option<StreamedBatch>, StreamError> {
        self.have += fill(&mut self.head[self.have..], chunk);
        if self.have < HEADER_BYTES {
            return Ok(None);
        }
        let body = match &mut self.body {
            Some(body) => body,
            none @ None => none.insert(Body::open(&self.head)?),
        };
        body.take(chunk);
        if body.left > 0 {
            return Ok(None);
        }
        let batch = body.finish(self.position)?;
        *self = Self { position: self.position + u64::from(batch.header.size), ..Self::new() };
        Ok(Some(batch))
    }
}

impl Body {
    fn open(head: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let header = BatchHeader::parse(head)?;
        let mut crc = Digest::new(CrcAlgorithm::Crc32Iscsi);
        crc.update(&head[at::ATTRIBUTES..]);
        let left = header.size as usize - HEADER_BYTES;
        Ok(Self { header, left, crc, control: Vec::new() })
    }

    fn take(&mut self, chunk: &mut &[u8]) {
        let (part, rest) = chunk.split_at(chunk.len().min(self.left));
        *chunk = rest;
        self.left -= part.len();
        self.crc.update(part);
        let is_control = self.header.attributes.is_control();
        if is_control && self.control.len() + part.len() <= MARKER_BYTES_MAX {
            self.control.extend_from_slice(part);
        }
    }

    fn finish(&self, position: u64) -> Result<StreamedBatch, StreamError> {
        let header = self.header;
        let computed = u32::try_from(self.crc.finalize()).expect("a CRC-32 has 32 bits");
        if computed != header.crc {
            return Err(StreamError::Checksum { stored: header.crc, computed });
        }
        Ok(StreamedBatch { header, position, marker: read_marker(header, &self.control) })
    }
}

fn fill(into: &mut [u8], chunk: &mut &[u8]) -> usize {
    let len = into.len().min(chunk.len());
    let (part, rest) = chunk.split_at(len);
    into[..len].copy_from_slice(part);
    *chunk = rest;
    len
}

/// What a control batch says of a transaction. Kafka writes one record in each, uncompressed; a
/// control batch of another kind, or an empty one that compaction left, says nothing.
fn read_marker(header: BatchHeader, section: &[u8]) -> Option<EndTransactionMarker> {
    if !header.attributes.is_control() || header.attributes.compression() != Compression::None {
        return None;
    }
    let record = RecordIter::new(header, section).next()?.ok()?;
    EndTransactionMarker::parse(record.key, record.value).ok()?
}
