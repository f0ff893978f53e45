//! Messages of formats 0 and 1, as clients wrote them before Kafka 0.11: read and written one by
//! one.
//!
//! ```text
//! offset i64 | size i32 | CRC-32 u32 | format i8 | attributes i8 | timestamp i64 | key | value
//!                                                                  only format 1   length i32 each
//! ```
//!
//! A set is messages one behind the other. A compressed message has a whole set as its value.

use crate::{Compression, InflateError, SIZED_BYTES, old_lz4};

/// What a message has behind its size at least: checksum, format, attributes, two lengths.
const MESSAGE_BYTES_MIN: usize = 14;
/// Checksum, where format and attributes stand, counted from behind the size.
const CHECKED_FROM: usize = 4;
/// The bits of the attributes that name the codec.
const CODEC_BITS: u8 = 0x07;
/// The bit of the attributes that says that the leader set the timestamp; format 1 only.
const APPEND_TIME_BIT: u8 = 0x08;
/// "None", for timestamps and lengths.
const NONE: i64 = -1;

/// The format of a message, its "magic".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFormat {
    /// Before 0.10: no timestamps, and absolute offsets inside of compressed messages.
    V0,
    /// 0.10: offsets inside of a compressed message count from the first of them.
    V1,
}

/// Why a message of an old format cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("a message of {size} bytes is shorter than any")]
    Size { size: i32 },
    #[error("format {magic} is none of a message")]
    Magic { magic: u8 },
    #[error("the stored checksum is {stored:#010x}, the bytes have {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("the {field} of a message is cut")]
    Cut { field: &'static str },
    #[error("codec {id} is none of a message")]
    Codec { id: u8 },
}

/// A message whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// As it was sent: within a compressed message of format 1, relative.
    pub(crate) offset: i64,
    pub(crate) format: MessageFormat,
    pub(crate) codec: Compression,
    /// The leader set the timestamp, or so it says.
    pub(crate) append_time: bool,
    /// Milliseconds, or -1; format 0 has none.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
}

/// The messages of a set, in order. What is cut at its end is left out, as by Kafka; ends after the
/// first error.
#[derive(Clone, Debug)]
pub(crate) struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    pub(crate) const fn new(set: &'a [u8]) -> Self {
        Self { rest: set }
    }

    fn take(&mut self) -> Result<Option<Message<'a>>, MessageError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<SIZED_BYTES>() else {
            return Ok(None);
        };
        let [.., a, b, c, d] = *head;
        let size = i32::from_be_bytes([a, b, c, d]);
        let bytes = usize::try_from(size).ok().filter(|size| *size >= MESSAGE_BYTES_MIN);
        let bytes = bytes.ok_or(MessageError::Size { size })?;
        let Some((body, rest)) = rest.split_at_checked(bytes) else { return Ok(None) };
        self.rest = rest;
        let offset = i64::from_be_bytes(*head.first_chunk().expect("twelve bytes hold eight"));
        parse(offset, body).map(Some)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let taken = self.take().transpose();
        if !matches!(taken, Some(Ok(_))) {
            self.rest = &[];
        }
        taken
    }
}

/// A message from its bytes behind the size.
fn parse(offset: i64, body: &[u8]) -> Result<Message<'_>, MessageError> {
    let (stored, checked) = body.split_first_chunk().ok_or(MessageError::Cut { field: "head" })?;
    let mut rest = checked;
    let [magic, attributes] = take(&mut rest, "head")?;
    let format = match magic {
        0 => MessageFormat::V0,
        1 => MessageFormat::V1,
        magic => return Err(MessageError::Magic { magic }),
    };
    let (stored, computed) = (u32::from_be_bytes(*stored), crc_fast::crc32_iso_hdlc(checked));
    if stored != computed {
        return Err(MessageError::Checksum { stored, computed });
    }
    let id = attributes & CODEC_BITS;
    let codec = Compression::from_id(id).filter(|codec| *codec != Compression::Zstd);
    let timestamp = match format {
        MessageFormat::V0 => NONE,
        MessageFormat::V1 => i64::from_be_bytes(take(&mut rest, "timestamp")?),
    };
    Ok(Message {
        offset,
        format,
        codec: codec.ok_or(MessageError::Codec { id })?,
        append_time: format == MessageFormat::V1 && attributes & APPEND_TIME_BIT != 0,
        timestamp,
        key: take_nullable(&mut rest, "key")?,
        value: take_nullable(&mut rest, "value")?,
    })
}

fn take<const N: usize>(bytes: &mut &[u8], field: &'static str) -> Result<[u8; N], MessageError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(MessageError::Cut { field })?;
    *bytes = rest;
    Ok(*taken)
}

/// Bytes behind their length; any negative length spells null, as for Kafka.
fn take_nullable<'a>(
    bytes: &mut &'a [u8],
    field: &'static str,
) -> Result<Option<&'a [u8]>, MessageError> {
    let length = i32::from_be_bytes(take(bytes, field)?);
    match usize::try_from(length) {
        Err(_) => Ok(None),
        Ok(length) => bytes.split_off(..length).map(Some).ok_or(MessageError::Cut { field }),
    }
}

impl<'a> Message<'a> {
    /// The set that a compressed message holds, `max` bytes at the most; `None` without a value.
    ///
    /// # Errors
    /// When it does not inflate, or to more.
    pub(crate) fn inflate(&self, max: usize) -> Result<Option<Vec<u8>>, InflateError> {
        let Some(value) = self.value else { return Ok(None) };
        let inflated = match (self.codec, self.format) {
            (Compression::Lz4, MessageFormat::V0) => {
                self.codec.inflate(&old_lz4::with_right_checksum(value), max)?.into_owned()
            }
            (codec, MessageFormat::V0 | MessageFormat::V1) => {
                codec.inflate(value, max)?.into_owned()
            }
        };
        Ok(Some(inflated))
    }

    /// Appends the message to a set.
    pub(crate) fn put(&self, set: &mut Vec<u8>) {
        set.extend_from_slice(&self.offset.to_be_bytes());
        let size_at = set.len();
        set.extend_from_slice(&[0; 8]);
        let checked_from = set.len();
        let by = if self.append_time { APPEND_TIME_BIT } else { 0 };
        match self.format {
            MessageFormat::V0 => set.extend_from_slice(&[0, self.codec.id()]),
            MessageFormat::V1 => {
                set.extend_from_slice(&[1, self.codec.id() | by]);
                set.extend_from_slice(&self.timestamp.to_be_bytes());
            }
        }
        put_nullable(set, self.key);
        put_nullable(set, self.value);
        let crc = crc_fast::crc32_iso_hdlc(&set[checked_from..]);
        let size = length(set.len() - checked_from + CHECKED_FROM);
        set[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
        set[size_at + 4..checked_from].copy_from_slice(&crc.to_be_bytes());
    }
}

fn put_nullable(set: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => set.extend_from_slice(&(-1_i32).to_be_bytes()),
        Some(bytes) => {
            set.extend_from_slice(&length(bytes.len()).to_be_bytes());
            set.extend_from_slice(bytes);
        }
    }
}

fn length(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a message lies in a batch, or inflates to less than 2 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(format: MessageFormat) -> Message<'static> {
        Message {
            offset: 5,
            format,
            codec: Compression::None,
            append_time: false,
            timestamp: if format == MessageFormat::V1 { 7 } else { -1 },
            key: None,
            value: Some(b"abc"),
        }
    }

    fn set(messages: &[Message<'_>]) -> Vec<u8> {
        let mut set = Vec::new();
        messages.iter().for_each(|message| message.put(&mut set));
        set
    }

    #[test]
    fn what_is_written_is_read() {
        for format in [MessageFormat::V0, MessageFormat::V1] {
            for (key, value) in
                [(None, None), (Some(&b""[..]), None), (Some(b"k"), Some(&b"v"[..]))]
            {
                let one = Message { key, value, ..message(format) };
                let both = set(&[one, message(format)]);
                let read: Result<Vec<_>, _> = Messages::new(&both).collect();
                assert_eq!(read, Ok(vec![one, message(format)]));
            }
        }
        let stamped = Message { append_time: true, ..message(MessageFormat::V1) };
        let alone = set(&[stamped]);
        assert_eq!(Messages::new(&alone).next(), Some(Ok(stamped)));
    }

    #[test]
    fn a_cut_message_at_the_end_is_left_out() {
        let both = set(&[message(MessageFormat::V0), message(MessageFormat::V1)]);
        let first = set(&[message(MessageFormat::V0)]).len();
        for len in first..both.len() {
            assert_eq!(Messages::new(&both[..len]).map(Result::unwrap).count(), 1, "{len}");
        }
    }

    #[test]
    fn damage_anywhere_is_seen() {
        let whole = set(&[message(MessageFormat::V1)]);
        for at in 12..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(Messages::new(&damaged).next().unwrap().is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_no_message_is_named() {
        let mut short = set(&[message(MessageFormat::V0)]);
        short[8..12].copy_from_slice(&13_i32.to_be_bytes());
        check(&short, &MessageError::Size { size: 13 });
        short[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
        check(&short, &MessageError::Size { size: -1 });
        check(&resealed(16, 2), &MessageError::Magic { magic: 2 });
        check(&resealed(17, 4), &MessageError::Codec { id: 4 });
        check(&resealed(25, 9), &MessageError::Cut { field: "value" });
        check(&resealed(18, 0x7f), &MessageError::Cut { field: "key" });
    }

    /// A message of format 0 with another byte, and the checksum made right.
    fn resealed(at: usize, byte: u8) -> Vec<u8> {
        let mut bytes = set(&[message(MessageFormat::V0)]);
        bytes[at] = byte;
        let crc = crc_fast::crc32_iso_hdlc(&bytes[16..]).to_be_bytes();
        bytes[12..16].copy_from_slice(&crc);
        bytes
    }

    fn check(set: &[u8], error: &MessageError) {
        assert_eq!(Messages::new(set).next(), Some(Err(error.clone())));
    }
}
