//! What a producer sent, checked once.

use ottla_types::{LeaderEpoch, Offset, ProducerId, Timestamp, TimestampType};

use crate::batches::crc_of;
use crate::header::at;
use crate::record::RecordIter;
use crate::skim::skim;
use crate::{
    Batch, BatchHeader, Compression, EndTransactionMarker, HEADER_BYTES, HeaderError, InflateError,
    RawRecords, Record, RecordError,
};

/// What a topic takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Bytes of a batch as it is sent: `max.message.bytes`.
    pub size_max: u32,
    pub inside: Inside,
}

/// How deep the check goes. The records of uncompressed batches are always walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// The header of a compressed batch is believed: `ottla.record.validation=header`.
    Header,
    /// Compressed batches are inflated, to so many bytes at the most, and walked as well.
    Full { inflated_max: usize },
}

/// Why a produced batch is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("there is no batch")]
    Missing,
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the batch has {size} bytes, more than the topic's limit of {max}")]
    TooLarge { size: u32, max: u32 },
    #[error("the batch should have {size} bytes, but only {have} came")]
    Cut { size: u32, have: usize },
    #[error("{bytes} bytes follow the batch, where there should be one batch alone")]
    MoreThanOne { bytes: usize },
    #[error("the stored checksum is {stored:#010x}, the bytes have {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("the base offset of a produced batch is 0, not {offset}")]
    BaseOffset { offset: Offset },
    #[error("only the cluster writes control records")]
    Control,
    #[error("{offsets} offsets, but {records} records")]
    Count { offsets: u64, records: u32 },
    #[error("producer {producer} did not number its records")]
    NoSequence { producer: ProducerId },
    #[error("only the leader stamps a batch with its append time")]
    AppendTime,
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error("record {index}: {error}")]
    Record { index: u32, error: RecordError },
    #[error("record {index} has offset {offset} within its batch")]
    RecordOffset { index: u32, offset: Offset },
}

/// Why a batch's timestamps are refused: `message.timestamp.before.max.ms` and its sibling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("timestamp {} is out of range [{}, {}]", .timestamp.millis(), .earliest.millis(), .latest.millis())]
    OutOfRange { timestamp: Timestamp, earliest: Timestamp, latest: Timestamp },
    #[error("the maximum timestamp {} is before the base timestamp {}", .max.millis(), .base.millis())]
    BeforeBase { max: Timestamp, base: Timestamp },
}

/// One whole batch that may be appended: checked as far as [`BatchLimits`] say, or built here.
#[derive(Clone, Debug)]
pub struct CheckedBatch<'a> {
    pub(crate) header: BatchHeader,
    /// A copy, since a leader changes fields of it; the records stay where they are.
    pub(crate) head: [u8; HEADER_BYTES],
    pub(crate) section: &'a [u8],
    /// The earliest timestamp of a record, where the records were walked.
    pub(crate) min_timestamp: Option<Timestamp>,
}

/// Checks what a producer sent for one partition: exactly one batch that says of itself what is
/// true, as Kafka does before it appends.
///
/// # Errors
/// With the first thing that is wrong.
pub fn check_produced(bytes: &[u8], limits: BatchLimits) -> Result<CheckedBatch<'_>, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::Missing);
    }
    let header = BatchHeader::parse(bytes)?;
    check_size(&header, bytes.len(), limits.size_max)?;
    let computed = crc_of(bytes);
    if computed != header.crc {
        return Err(BatchError::Checksum { stored: header.crc, computed });
    }
    check_header(&header)?;
    let mut checked = CheckedBatch::trusted(Batch { header, bytes });
    match (header.attributes.compression(), limits.inside) {
        (Compression::None, _) => checked.check_records(checked.section)?,
        (_, Inside::Header) => {}
        (codec, Inside::Full { inflated_max }) => {
            let records = codec.inflate(checked.section, inflated_max)?;
            checked.check_records(&records)?;
        }
    }
    Ok(checked)
}

fn check_size(header: &BatchHeader, have: usize, max: u32) -> Result<(), BatchError> {
    let size = header.size;
    if size > max {
        return Err(BatchError::TooLarge { size, max });
    }
    match have.checked_sub(size as usize) {
        None => Err(BatchError::Cut { size, have }),
        Some(0) => Ok(()),
        Some(bytes) => Err(BatchError::MoreThanOne { bytes }),
    }
}

fn check_header(header: &BatchHeader) -> Result<(), BatchError> {
    if header.base_offset != Offset::ZERO {
        return Err(BatchError::BaseOffset { offset: header.base_offset });
    }
    let (offsets, records) = (u64::from(header.last_offset_delta) + 1, header.records_count);
    if offsets != u64::from(records) {
        return Err(BatchError::Count { offsets, records });
    }
    if header.attributes.is_control() {
        return Err(BatchError::Control);
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::AppendTime);
    }
    match header.producer {
        Some(stamp) if stamp.base_sequence.is_none() => {
            Err(BatchError::NoSequence { producer: stamp.id })
        }
        Some(_) | None => Ok(()),
    }
}

impl<'a> CheckedBatch<'a> {
    /// For a batch that was built here.
    pub(crate) fn trusted(batch: Batch<'a>) -> Self {
        let (head, section) =
            batch.bytes.split_first_chunk().expect("a parsed batch has a whole header");
        Self { header: batch.header, head: *head, section, min_timestamp: None }
    }

    /// The header as it would be appended, but for base offset and leader epoch.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.header.size
    }

    /// The header with its place in the log, both fields being outside the checksum. What follows
    /// it is [`Self::section`].
    #[must_use]
    pub fn head_at(&self, base_offset: Offset, epoch: LeaderEpoch) -> [u8; HEADER_BYTES] {
        let mut head = self.head;
        head[at::BASE_OFFSET..at::LENGTH].copy_from_slice(&base_offset.get().to_be_bytes());
        let epoch = LeaderEpoch::to_wire(Some(epoch)).to_be_bytes();
        head[at::LEADER_EPOCH..at::MAGIC].copy_from_slice(&epoch);
        head
    }

    /// The records, compressed or not, where the producer's frame has them.
    #[must_use]
    pub const fn section(&self) -> &'a [u8] {
        self.section
    }

    /// What it says of a transaction, if it is a control batch that ends one.
    #[must_use]
    pub fn marker(&self) -> Option<EndTransactionMarker> {
        EndTransactionMarker::of(&self.header, self.section)
    }

    /// Gives every record the leader's time (`message.timestamp.type=LogAppendTime`): two fields
    /// of the header say so, and the checksum changes with them.
    pub fn stamp_append_time(&mut self, now: Timestamp) {
        self.restamp(TimestampType::LogAppendTime, Some(now));
    }

    /// Checks the timestamps of a topic that keeps its producers' times. Without a look at the
    /// records, the header's two timestamps stand for all.
    ///
    /// # Errors
    /// When a timestamp is out of `earliest..=latest`.
    pub fn check_timestamps(
        &self,
        earliest: Timestamp,
        latest: Timestamp,
    ) -> Result<(), TimestampError> {
        let Some(max) = self.header.max_timestamp else { return Ok(()) };
        if max < self.header.base_timestamp {
            return Err(TimestampError::BeforeBase { max, base: self.header.base_timestamp });
        }
        for timestamp in [Some(max), self.min_timestamp].into_iter().flatten() {
            if timestamp < earliest || timestamp > latest {
                return Err(TimestampError::OutOfRange { timestamp, earliest, latest });
            }
        }
        Ok(())
    }

    /// The positions of the first `most` records whose timestamp is out of `earliest..=latest`, for
    /// a producer who is refused because of them. Inflates a compressed batch; what cannot be
    /// inflated within `inflated_max` bytes, or not be read, has none to tell.
    #[must_use]
    pub fn out_of_range(
        &self,
        (earliest, latest): (Timestamp, Timestamp),
        inflated_max: usize,
        most: usize,
    ) -> Vec<(u32, Timestamp)> {
        let records = self.header.attributes.compression().inflate(self.section, inflated_max);
        let records = records.unwrap_or_default();
        let all = (0..).zip(RecordIter::new(self.header, &records).map_while(Result::ok));
        let stamped = all.filter_map(|(index, record)| Some((index, record.timestamp?)));
        stamped.filter(|(_, time)| *time < earliest || *time > latest).take(most).collect()
    }

    /// How many records have no key, and the positions of the first `most` of them. Of what cannot
    /// be inflated within `inflated_max` bytes, or not be read, none is told.
    #[must_use]
    pub fn without_key(&self, inflated_max: usize, most: usize) -> (usize, Vec<u32>) {
        let records = self.header.attributes.compression().inflate(self.section, inflated_max);
        let records = records.unwrap_or_default();
        let all = (0..).zip(RawRecords::new(&self.header, &records).map_while(Result::ok));
        let keyless = all.filter(|(_, record)| record.key.is_none()).map(|(index, _)| index);
        let (mut count, mut first) = (0, Vec::new());
        for index in keyless {
            count += 1;
            if first.len() < most {
                first.push(index);
            }
        }
        (count, first)
    }

    /// Walks over the records: framing, offsets 0 to n-1, and what their latest timestamp is.
    /// A header that is wrong about the latter is corrected, as Kafka does it.
    fn check_records(&mut self, records: &[u8]) -> Result<(), BatchError> {
        let base = self.header.base_timestamp.millis();
        let at = |delta| Some(Timestamp::from_wire(base.checked_add(delta)?));
        let bounds = skim(&self.header, records).and_then(|d| at(d.min).zip(at(d.max)));
        let Some((min, max)) = bounds else { return Err(what_is_wrong(self.header, records)) };
        // A record without a timestamp hides the earliest of the others.
        self.min_timestamp = min.or_else(|| {
            let all = RecordIter::new(self.header, records).flatten();
            all.filter_map(|record| record.timestamp).min()
        });
        if max != self.header.max_timestamp {
            self.restamp(TimestampType::CreateTime, max);
        }
        Ok(())
    }

    fn restamp(&mut self, by: TimestampType, max: Option<Timestamp>) {
        self.header.attributes = self.header.attributes.with_timestamp_type(by);
        self.header.max_timestamp = max;
        let bits = self.header.attributes.bits().to_be_bytes();
        self.head[at::ATTRIBUTES..at::LAST_OFFSET_DELTA].copy_from_slice(&bits);
        let max = Timestamp::to_wire(max).to_be_bytes();
        self.head[at::MAX_TIMESTAMP..at::PRODUCER_ID].copy_from_slice(&max);
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        crc.update(&self.head[at::ATTRIBUTES..]);
        crc.update(self.section);
        self.header.crc = u32::try_from(crc.finalize()).expect("a CRC-32 has 32 bits");
        self.head[at::CRC..at::ATTRIBUTES].copy_from_slice(&self.header.crc.to_be_bytes());
    }
}

/// Names the first thing that made a quick look over records give up.
fn what_is_wrong(header: BatchHeader, records: &[u8]) -> BatchError {
    for (index, record) in (0_u32..).zip(RecordIter::new(header, records)) {
        match record {
            Err(error) => return BatchError::Record { index, error },
            Ok(Record { offset, .. }) if offset.get() != i64::from(index) => {
                return BatchError::RecordOffset { index, offset };
            }
            Ok(_) => {}
        }
    }
    // Both looks agree, as a test with damaged batches shows; if they ever do not, the batch is
    // refused.
    BatchError::Record { index: 0, error: RecordError::Malformed { field: "framing" } }
}
