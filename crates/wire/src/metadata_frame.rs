//! The frame around the records of `__cluster_metadata`: varints of frame version, type and
//! version, then the body in its flexible form (KIP-631).

use crate::codec::{DecodeError, EncodeError, Reader, Writer};
use crate::records::MetadataRecord;

/// The only frame version there is.
const FRAME_VERSION: u32 = 1;

impl<'a> MetadataRecord<'a> {
    /// Decodes the value of a stored record.
    ///
    /// # Errors
    /// If it is not a metadata record of a known type and version, or bytes are left over.
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(value);
        let frame = reader.uvarint()?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::UnknownRecordFrame { version: frame });
        }
        let type_number = reader.uvarint()?;
        let version = reader.uvarint()?;
        let version = i16::try_from(version)
            .map_err(|_| DecodeError::UnsupportedVersion { version: i16::MAX })?;
        let record = Self::decode_body(&mut reader, type_number, version)?;
        reader.finish()?;
        Ok(record)
    }

    /// Appends the value of a stored record, in a version that the finalized metadata.version
    /// allows.
    ///
    /// # Errors
    /// If the version is unknown, or cannot say what the record holds.
    pub fn encode(&self, out: &mut Vec<u8>, version: i16) -> Result<(), EncodeError> {
        let mut writer = Writer::new(out);
        writer.uvarint(FRAME_VERSION);
        writer.uvarint(self.type_number());
        let raw =
            u32::try_from(version).map_err(|_| EncodeError::UnsupportedVersion { version })?;
        writer.uvarint(raw);
        self.encode_body(&mut writer, version)
    }
}
