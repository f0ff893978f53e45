//! Reading records.

use std::borrow::Cow;

use ottla_types::{Offset, Timestamp, TimestampType};

use crate::{BatchHeader, InflateError, varint};

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset: Offset,
    /// By the producer or, where the batch says so, by the leader that appended it.
    pub timestamp: Option<Timestamp>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of a record: well-formed, decoded again by each iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Key and value of each. Keys are meant to be UTF-8; nobody checks.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || take_header(&mut rest).ok())
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the {field} of a record is cut or malformed")]
    Malformed { field: &'static str },
    #[error("{bytes} bytes are left over after a record's last header")]
    LeftOver { bytes: usize },
    #[error("{bytes} bytes are left over after the last record")]
    Trailing { bytes: usize },
    #[error("an offset delta of {delta} lies outside the batch")]
    Offset { delta: i32 },
}

/// The records of one batch, inflated if need be.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: BatchHeader,
    section: Cow<'a, [u8]>,
}

impl<'a> Records<'a> {
    /// Inflates `section`, what follows the header in a batch.
    pub(crate) fn open(
        header: BatchHeader,
        section: &'a [u8],
        inflated_max: usize,
    ) -> Result<Self, InflateError> {
        let section = header.attributes.compression().inflate(section, inflated_max)?;
        Ok(Self { header, section })
    }

    /// The records, in order.
    #[must_use]
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter::new(self.header, &self.section)
    }
}

impl<'r> IntoIterator for &'r Records<'_> {
    type Item = Result<Record<'r>, RecordError>;
    type IntoIter = RecordIter<'r>;

    fn into_iter(self) -> RecordIter<'r> {
        self.iter()
    }
}

/// Records decoded one at a time from the inflated bytes of a batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    left: u32,
    rest: &'a [u8],
}

impl<'a> RecordIter<'a> {
    pub(crate) const fn new(header: BatchHeader, section: &'a [u8]) -> Self {
        Self { header, left: header.records_count, rest: section }
    }

    fn take_record(&mut self) -> Result<Record<'a>, RecordError> {
        let mut body = take_sized(&mut self.rest, "length")?;
        let attributes = body.split_off_first();
        attributes.ok_or(RecordError::Malformed { field: "attributes" })?;
        let delta = varint::take_i64(&mut body)
            .ok_or(RecordError::Malformed { field: "timestamp delta" })?;
        let timestamp = self.timestamp(delta)?;
        let offset = self.take_offset(&mut body)?;
        let key = take_nullable(&mut body, "key")?;
        let value = take_nullable(&mut body, "value")?;
        let headers = take_headers(&mut body)?;
        if !body.is_empty() {
            return Err(RecordError::LeftOver { bytes: body.len() });
        }
        Ok(Record { offset, timestamp, key, value, headers })
    }

    fn timestamp(&self, delta: i64) -> Result<Option<Timestamp>, RecordError> {
        match self.header.attributes.timestamp_type() {
            TimestampType::LogAppendTime => Ok(self.header.max_timestamp),
            TimestampType::CreateTime => self
                .header
                .base_timestamp
                .millis()
                .checked_add(delta)
                .map(Timestamp::from_wire)
                .ok_or(RecordError::Malformed { field: "timestamp delta" }),
        }
    }

    fn take_offset(&self, body: &mut &[u8]) -> Result<Offset, RecordError> {
        let delta =
            varint::take_i32(body).ok_or(RecordError::Malformed { field: "offset delta" })?;
        match u32::try_from(delta) {
            Ok(within) if within <= self.header.last_offset_delta => {
                Ok(self.header.base_offset.plus(i64::from(within)))
            }
            Ok(_) | Err(_) => Err(RecordError::Offset { delta }),
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let bytes = std::mem::take(&mut self.rest).len();
            return (bytes > 0).then_some(Err(RecordError::Trailing { bytes }));
        }
        self.left -= 1;
        let record = self.take_record();
        if record.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(record)
    }
}

fn take_sized<'a>(bytes: &mut &'a [u8], field: &'static str) -> Result<&'a [u8], RecordError> {
    take_nullable(bytes, field)?.ok_or(RecordError::Malformed { field })
}

/// Bytes behind their length; -1 spells null, and so does any negative length in Kafka's reader.
fn take_nullable<'a>(
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<Option<&'a [u8]>, RecordError> {
    let len = varint::take_i32(bytes).ok_or(RecordError::Malformed { field })?;
    match usize::try_from(len) {
        Err(_) => Ok(None),
        Ok(len) => bytes.split_off(..len).map(Some).ok_or(RecordError::Malformed { field }),
    }
}

fn take_headers<'a>(body: &mut &'a [u8]) -> Result<Headers<'a>, RecordError> {
    let count = varint::take_i32(body)
        .and_then(|count| u32::try_from(count).ok())
        .ok_or(RecordError::Malformed { field: "header count" })?;
    let bytes = *body;
    for _ in 0..count {
        take_header(body)?;
    }
    Ok(Headers { count, bytes: &bytes[..bytes.len() - body.len()] })
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), RecordError> {
    let key = take_sized(rest, "header key")?;
    Ok((key, take_nullable(rest, "header value")?))
}
