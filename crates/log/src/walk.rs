//! From one batch header to the next, over the bytes of a segment.

use ottla_records::{HEADER_BYTES, HeaderError};

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

impl HeaderWalk {
    /// How many bytes to read at `self.at`, at the most; 0 at the end.
    pub(crate) fn wanted(&self, most: usize) -> usize {
        usize::try_from(self.end - self.at).map_or(most, |left| left.min(most))
    }

    /// The next header and what follows it in `chunk`, bytes of the file from `chunk_at` on;
    /// `None` when the walk has to read on at `self.at`.
    pub(crate) fn head_in<'a>(&self, chunk_at: u64, chunk: &'a [u8]) -> Option<&'a [u8]> {
        let within = usize::try_from(self.at.checked_sub(chunk_at)?).ok()?;
        let bytes = chunk.get(within..).filter(|_| self.at < self.end)?;
        // At the end of a segment there is nothing to read on: let the parser complain.
        let reaches_end = chunk_at + chunk.len() as u64 >= self.end;
        (bytes.len() >= HEADER_BYTES || reaches_end).then_some(bytes)
    }

    /// Goes on behind a batch of `size` bytes, and says where it began. Segments end with a
    /// batch, so a batch that does not end within its segment is damaged.
    pub(crate) fn step(&mut self, size: u32) -> Result<u64, HeaderError> {
        let at = self.at;
        let next = at + u64::from(size);
        if next > self.end {
            return Err(HeaderError::Length { length: size.cast_signed() });
        }
        self.at = next;
        Ok(at)
    }
}
