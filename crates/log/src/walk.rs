//! From one batch header to the next, over the bytes of a segment.

use ottla_records::{BatchHeader, HEADER_BYTES, HeaderError};

/// Bytes read at once in search of a header: an index interval, a page.
pub(crate) const CHUNK_BYTES: usize = 4 << 10;

/// A walk over a segment's batches, fed with whatever bytes its host could get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderWalk {
    /// Where the next header begins.
    pub(crate) at: u64,
    /// Where the segment ends.
    pub(crate) end: u64,
}

/// A batch in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalkedBatch {
    pub(crate) at: u64,
    pub(crate) header: BatchHeader,
}

impl HeaderWalk {
    /// How many bytes to read at `self.at`, at the most; 0 at the end.
    pub(crate) fn wanted(&self, most: usize) -> usize {
        usize::try_from(self.end - self.at).map_or(most, |left| left.min(most))
    }

    /// The next batch whose header lies in `chunk`, bytes of the file from `chunk_at` on; `None`
    /// when the walk has to read on at `self.at`.
    pub(crate) fn next_in(
        &mut self,
        chunk_at: u64,
        chunk: &[u8],
    ) -> Option<Result<WalkedBatch, HeaderError>> {
        let at = self.at;
        let within = usize::try_from(at.checked_sub(chunk_at)?).ok()?;
        let bytes = chunk.get(within..).filter(|_| at < self.end)?;
        let reaches_end = chunk_at + chunk.len() as u64 >= self.end;
        if bytes.len() < HEADER_BYTES && !reaches_end {
            return None;
        }
        Some(BatchHeader::parse(bytes).and_then(|header| self.step_over(header)))
    }

    /// Segments end with a batch, so a batch that does not end within its segment is damaged.
    fn step_over(&mut self, header: BatchHeader) -> Result<WalkedBatch, HeaderError> {
        let at = self.at;
        let next = at + u64::from(header.size);
        if next > self.end {
            return Err(HeaderError::Length { length: header.size.cast_signed() });
        }
        self.at = next;
        Ok(WalkedBatch { at, header })
    }
}
