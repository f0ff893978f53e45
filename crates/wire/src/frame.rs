//! Frames and headers: the length in front, and which version of the headers a request and its
//! response carry.

use crate::ApiKey;
use crate::codec::{DecodeError, EncodeError, Reader, Writer, signed};
use crate::messages::{RequestHeader, ResponseHeader};

/// The header versions that go with a version of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderVersions {
    /// Version of the [`RequestHeader`]: 1, or 2 with tagged fields.
    pub request: i16,
    /// Version of the [`ResponseHeader`]: 0, or 1 with tagged fields.
    pub response: i16,
}

impl ApiKey {
    /// The headers of a request of `version` and of its response.
    ///
    /// `ApiVersions` is always answered with header 0: a client that does not know the node's
    /// versions yet must be able to read it (KIP-511).
    #[must_use]
    pub const fn header_versions(self, version: i16) -> HeaderVersions {
        let flexible = match self.first_flexible_version() {
            Some(first) => version >= first,
            None => false,
        };
        let response = flexible && !matches!(self, Self::ApiVersions);
        HeaderVersions { request: 1 + flexible as i16, response: response as i16 }
    }
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of a frame without being told its version: the first four bytes, key and
    /// version of the API, say it.
    ///
    /// A version beyond the known ones is no error here: an unknown version of `ApiVersions` is
    /// answered, and its header is that of the newest version.
    ///
    /// # Errors
    /// [`DecodeError::UnknownApiKey`], or if the bytes are not a header.
    pub fn decode_any(reader: &mut Reader<'a>) -> Result<(ApiKey, Self), DecodeError> {
        let mut ahead = *reader;
        let raw = ahead.i16()?;
        let version = ahead.i16()?;
        let key = ApiKey::from_wire(raw).ok_or(DecodeError::UnknownApiKey { key: raw })?;
        Ok((key, Self::decode(reader, key.header_versions(version).request)?))
    }
}

impl ResponseHeader<'_> {
    /// Appends the header of the response to a request of `version`.
    ///
    /// # Errors
    /// None in practice: every header can be said.
    pub fn encode_for(
        &self,
        writer: &mut Writer<'_>,
        key: ApiKey,
        version: i16,
    ) -> Result<(), EncodeError> {
        self.encode(writer, key.header_versions(version).response)
    }
}

/// A frame whose length is not known yet: four bytes are kept free for it.
#[derive(Debug)]
#[must_use = "the length is written by `close`"]
pub struct OpenFrame {
    start: usize,
}

impl OpenFrame {
    /// Begins a frame at the end of the buffer.
    pub fn open(out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        Self { start }
    }

    /// Writes the length: what was appended since, and `elsewhere` bytes (record slices) that are
    /// sent in between but are not in the buffer.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] if a signed 32-bit length cannot say it.
    ///
    /// # Panics
    /// If the buffer was cut below the frame since.
    pub fn close(self, out: &mut [u8], elsewhere: usize) -> Result<(), EncodeError> {
        let frame = out.get_mut(self.start..).and_then(|frame| frame.split_first_chunk_mut::<4>());
        let (prefix, body) = frame.expect("a frame only grows until it is closed");
        *prefix = signed(body.len() + elsewhere)?.to_be_bytes();
        Ok(())
    }
}
