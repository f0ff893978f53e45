//! The 61 bytes that open a batch.

use ottla_types::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TimestampType,
};

use crate::Compression;

/// Size of the header.
pub const HEADER_BYTES: usize = 61;

/// Bytes that say how large a batch is: its base offset and the length of what follows them.
pub const SIZED_BYTES: usize = 12;

/// The two above in the types of size fields.
const SIZED: u32 = 12;
const SMALLEST: u32 = 61;
const _: () = assert!(SIZED_BYTES == 12 && HEADER_BYTES == 61, "the same numbers twice");

/// The only format that Kafka 4 writes.
const MAGIC: i8 = 2;

/// Where the fields lie; `at::CRC + 4` is where the checksum begins to count.
pub(crate) mod at {
    pub(crate) const BASE_OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const LEADER_EPOCH: usize = 12;
    pub(crate) const MAGIC: usize = 16;
    pub(crate) const CRC: usize = 17;
    pub(crate) const ATTRIBUTES: usize = 21;
    pub(crate) const LAST_OFFSET_DELTA: usize = 23;
    pub(crate) const BASE_TIMESTAMP: usize = 27;
    pub(crate) const MAX_TIMESTAMP: usize = 35;
    pub(crate) const PRODUCER_ID: usize = 43;
    pub(crate) const PRODUCER_EPOCH: usize = 51;
    pub(crate) const BASE_SEQUENCE: usize = 53;
    pub(crate) const COUNT: usize = 57;
}

/// The 16 attribute bits; unknown ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u16);

impl Attributes {
    const CODEC: u16 = 0b111;
    const LOG_APPEND_TIME: u16 = 1 << 3;
    const TRANSACTIONAL: u16 = 1 << 4;
    const CONTROL: u16 = 1 << 5;
    const DELETE_HORIZON: u16 = 1 << 6;

    pub(crate) fn of(compression: Compression, transactional: bool, control: bool) -> Self {
        let mut bits = u16::from(compression.id());
        if transactional {
            bits |= Self::TRANSACTIONAL;
        }
        if control {
            bits |= Self::CONTROL;
        }
        Self(bits)
    }

    pub(crate) const fn with_timestamp_type(self, by: TimestampType) -> Self {
        match by {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    pub(crate) const fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    /// The bits as they are stored.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// How the records are compressed.
    #[must_use]
    pub fn compression(self) -> Compression {
        Compression::from_id(self.codec()).expect("a header with an unknown codec is not parsed")
    }

    fn codec(self) -> u8 {
        (self.0 & Self::CODEC).to_be_bytes()[1]
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        match self.0 & Self::LOG_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether its records are marks of the cluster's own, which no consumer is shown.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time when tombstones may go (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }
}

/// Who wrote a batch, and which of its batches this is (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// The sequence of the first record; `None` in what coordinators write for a producer.
    pub base_sequence: Option<Sequence>,
}

/// A parsed header; its numbers have been checked against each other as far as the header alone
/// allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the whole batch, header included; at least [`HEADER_BYTES`].
    pub size: u32,
    /// The leader that appended it; `None` in a batch that no leader has seen.
    pub leader_epoch: Option<LeaderEpoch>,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    pub attributes: Attributes,
    /// Last offset less base offset; compaction keeps it when records vanish.
    pub last_offset_delta: u32,
    /// What the records' timestamps are relative to.
    pub base_timestamp: Timestamp,
    /// The latest of the records' timestamps.
    pub max_timestamp: Option<Timestamp>,
    pub producer: Option<ProducerStamp>,
    pub records_count: u32,
}

/// As much of a header as a search for an offset needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSpan {
    pub base_offset: Offset,
    pub last_offset: Offset,
    /// Bytes of the whole batch, header included; at least [`HEADER_BYTES`].
    pub size: u32,
}

impl BatchSpan {
    /// Parses the header that `bytes` begin with, and checks no more than it uses.
    ///
    /// # Errors
    /// When the bytes are too few, or those fields contradict the format.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or(HeaderError::Short { have: bytes.len() })?;
        let size = parse_size(head)?;
        check_magic(head)?;
        let delta = count(head, at::LAST_OFFSET_DELTA, "lastOffsetDelta")?;
        let base_offset = parse_base_offset(head, delta)?;
        Ok(Self { base_offset, last_offset: base_offset.plus(i64::from(delta)), size })
    }
}

/// Why bytes do not begin with a batch header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("{have} bytes cannot hold a batch header of {HEADER_BYTES}")]
    Short { have: usize },
    #[error("a batch length of {length} bytes is impossible")]
    Length { length: i32 },
    #[error("record format {magic} is not format 2")]
    Magic { magic: i8 },
    #[error("codec {id} does not exist")]
    Codec { id: u8 },
    #[error("{field} cannot be {value}")]
    Field { field: &'static str, value: i64 },
}

impl BatchHeader {
    /// Parses the header that `bytes` begin with. The checksum is not looked at.
    ///
    /// # Errors
    /// When the bytes are too few, or the fields contradict the format.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let head: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or(HeaderError::Short { have: bytes.len() })?;
        let size = parse_size(head)?;
        check_magic(head)?;
        let attributes = Attributes(u16::from_be_bytes(field(head, at::ATTRIBUTES)));
        if Compression::from_id(attributes.codec()).is_none() {
            return Err(HeaderError::Codec { id: attributes.codec() });
        }
        let last_offset_delta = count(head, at::LAST_OFFSET_DELTA, "lastOffsetDelta")?;
        Ok(Self {
            base_offset: parse_base_offset(head, last_offset_delta)?,
            size,
            leader_epoch: LeaderEpoch::from_wire(i32::from_be_bytes(field(head, at::LEADER_EPOCH))),
            crc: u32::from_be_bytes(field(head, at::CRC)),
            attributes,
            last_offset_delta,
            base_timestamp: Timestamp::from_millis(i64::from_be_bytes(field(
                head,
                at::BASE_TIMESTAMP,
            ))),
            max_timestamp: Timestamp::from_wire(i64::from_be_bytes(field(head, at::MAX_TIMESTAMP))),
            producer: parse_producer(head)?,
            records_count: count(head, at::COUNT, "recordsCount")?,
        })
    }

    /// The header in its 61 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut head = [0; HEADER_BYTES];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(at::BASE_OFFSET, &self.base_offset.get().to_be_bytes());
        put(at::LENGTH, &(self.size - SIZED).to_be_bytes());
        put(at::LEADER_EPOCH, &LeaderEpoch::to_wire(self.leader_epoch).to_be_bytes());
        put(at::MAGIC, &MAGIC.to_be_bytes());
        put(at::CRC, &self.crc.to_be_bytes());
        put(at::ATTRIBUTES, &self.attributes.bits().to_be_bytes());
        put(at::LAST_OFFSET_DELTA, &self.last_offset_delta.to_be_bytes());
        put(at::BASE_TIMESTAMP, &self.base_timestamp.millis().to_be_bytes());
        put(at::MAX_TIMESTAMP, &Timestamp::to_wire(self.max_timestamp).to_be_bytes());
        let (id, epoch, sequence) = match self.producer {
            Some(stamp) => (Some(stamp.id), Some(stamp.epoch), stamp.base_sequence),
            None => (None, None, None),
        };
        put(at::PRODUCER_ID, &ProducerId::to_wire(id).to_be_bytes());
        put(at::PRODUCER_EPOCH, &ProducerEpoch::to_wire(epoch).to_be_bytes());
        put(at::BASE_SEQUENCE, &Sequence::to_wire(sequence).to_be_bytes());
        put(at::COUNT, &self.records_count.to_be_bytes());
        head
    }

    /// The offset of the last record, present or compacted away.
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.plus(self.last_offset_delta as i64)
    }

    /// The sequence of the last record, where the producer numbers its records.
    #[must_use]
    pub fn last_sequence(&self) -> Option<Sequence> {
        let first = self.producer?.base_sequence?;
        // Parsed from 31 bits, so it fits.
        let delta = i32::try_from(self.last_offset_delta).expect("a delta has 31 bits");
        Some(first.plus(delta))
    }
}

pub(crate) fn field<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *head[at..].first_chunk().expect("every field lies within the header")
}

fn check_magic(head: &[u8; HEADER_BYTES]) -> Result<(), HeaderError> {
    let magic = i8::from_be_bytes(field(head, at::MAGIC));
    if magic == MAGIC { Ok(()) } else { Err(HeaderError::Magic { magic }) }
}

fn parse_size(head: &[u8; HEADER_BYTES]) -> Result<u32, HeaderError> {
    let length = i32::from_be_bytes(field(head, at::LENGTH));
    length
        .checked_add(SIZED.cast_signed())
        .and_then(|size| u32::try_from(size).ok())
        .filter(|size| *size >= SMALLEST)
        .ok_or(HeaderError::Length { length })
}

/// Refuses offsets so large that the batch's last one, or the one after it, would overflow.
fn parse_base_offset(head: &[u8; HEADER_BYTES], delta: u32) -> Result<Offset, HeaderError> {
    let value = i64::from_be_bytes(field(head, at::BASE_OFFSET));
    match (Offset::from_wire(value), value.checked_add(i64::from(delta) + 1)) {
        (Some(offset), Some(_)) => Ok(offset),
        (None, _) | (_, None) => Err(HeaderError::Field { field: "baseOffset", value }),
    }
}

fn parse_producer(head: &[u8; HEADER_BYTES]) -> Result<Option<ProducerStamp>, HeaderError> {
    let raw_epoch = i16::from_be_bytes(field(head, at::PRODUCER_EPOCH));
    let id = ProducerId::from_wire(i64::from_be_bytes(field(head, at::PRODUCER_ID)));
    match (id, ProducerEpoch::from_wire(raw_epoch)) {
        (None, _) => Ok(None),
        (Some(_), None) => {
            Err(HeaderError::Field { field: "producerEpoch", value: i64::from(raw_epoch) })
        }
        (Some(id), Some(epoch)) => {
            let sequence = i32::from_be_bytes(field(head, at::BASE_SEQUENCE));
            Ok(Some(ProducerStamp { id, epoch, base_sequence: Sequence::from_wire(sequence) }))
        }
    }
}

fn count(head: &[u8; HEADER_BYTES], at: usize, name: &'static str) -> Result<u32, HeaderError> {
    let value = i32::from_be_bytes(field(head, at));
    u32::try_from(value).map_err(|_| HeaderError::Field { field: name, value: i64::from(value) })
}
