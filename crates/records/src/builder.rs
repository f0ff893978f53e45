//! Building batches: for logs of the cluster's own, for tests, for clients.

use ottla_types::{LeaderEpoch, Offset, Timestamp, TimestampType};

use crate::batches::crc_of;
use crate::header::at;
use crate::{
    Attributes, Batch, BatchHeader, CheckedBatch, Compression, HEADER_BYTES, ProducerStamp, varint,
};

/// What is decided once for a whole batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    pub base_offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
    pub compression: Compression,
    pub producer: Option<ProducerStamp>,
    pub transactional: bool,
    /// The records are control records.
    pub control: bool,
    /// `LogAppendTime`, and this is the time; else the records' own timestamps count.
    pub append_time: Option<Timestamp>,
}

impl Default for BatchOptions {
    /// What a plain producer sends: offset 0, no codec, no producer id.
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: None,
            compression: Compression::None,
            producer: None,
            transactional: false,
            control: false,
            append_time: None,
        }
    }
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// Collects the records of one batch.
#[derive(Debug)]
pub struct BatchBuilder {
    options: BatchOptions,
    count: u32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    section: Vec<u8>,
}

/// A batch that was built here, so there is nothing to check.
#[derive(Clone, Debug)]
pub struct BuiltBatch {
    header: BatchHeader,
    bytes: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch.
    #[must_use]
    pub const fn new(options: BatchOptions) -> Self {
        let none_yet = Timestamp::from_millis(-1);
        Self {
            options,
            count: 0,
            base_timestamp: none_yet,
            max_timestamp: none_yet,
            section: Vec::new(),
        }
    }

    /// An empty batch with room for so many bytes of records, for those who will fill it.
    #[must_use]
    pub fn with_room(options: BatchOptions, bytes: usize) -> Self {
        Self { section: Vec::with_capacity(bytes), ..Self::new(options) }
    }

    /// Adds a record.
    pub fn push(&mut self, record: NewRecord<'_>) -> &mut Self {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let timestamp_delta = record.timestamp.millis() - self.base_timestamp.millis();
        let body_len = record_len(&record, timestamp_delta, i64::from(self.count));
        let into = &mut self.section;
        varint::put(into, body_len);
        let body_from = into.len();
        into.push(0);
        varint::put(into, timestamp_delta);
        varint::put(into, i64::from(self.count));
        put_nullable(into, record.key);
        put_nullable(into, record.value);
        varint::put(into, wire_len(record.headers.len()));
        for (key, value) in record.headers {
            put_nullable(into, Some(key.as_bytes()));
            put_nullable(into, *value);
        }
        assert_eq!(wire_len(into.len() - body_from), body_len, "the length was foreseen");
        self.count += 1;
        self
    }

    /// How many records there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of the batch before compression.
    #[must_use]
    pub const fn uncompressed_size(&self) -> usize {
        HEADER_BYTES + self.section.len()
    }

    /// The batch.
    ///
    /// # Panics
    /// If no record was added, or the batch outgrew 2 GiB: both are mistakes of the caller.
    #[must_use]
    pub fn build(self) -> BuiltBatch {
        assert!(self.count > 0, "a batch has records");
        let options = self.options;
        let attributes =
            Attributes::of(options.compression, options.transactional, options.control);
        let (by, max_timestamp) = match options.append_time {
            Some(time) => (TimestampType::LogAppendTime, time),
            None => (TimestampType::CreateTime, self.max_timestamp),
        };
        let section = options.compression.compress(self.section);
        let size = i32::try_from(HEADER_BYTES + section.len()).expect("a batch is below 2 GiB");
        let mut header = BatchHeader {
            base_offset: options.base_offset,
            size: size.unsigned_abs(),
            leader_epoch: options.leader_epoch,
            crc: 0,
            attributes: attributes.with_timestamp_type(by),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: Timestamp::from_wire(max_timestamp.millis()),
            producer: options.producer,
            records_count: self.count,
        };
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(&section);
        header.crc = crc_of(&bytes);
        bytes[at::CRC..at::ATTRIBUTES].copy_from_slice(&header.crc.to_be_bytes());
        BuiltBatch { header, bytes }
    }
}

impl BuiltBatch {
    /// The batch in its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The batch in its bytes, for keeps.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// For reading.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch { header: self.header, bytes: &self.bytes }
    }

    /// For appending.
    #[must_use]
    pub fn checked(&self) -> CheckedBatch<'_> {
        CheckedBatch::trusted(self.batch())
    }
}

/// Bytes of a record after its own length.
fn record_len(record: &NewRecord<'_>, timestamp_delta: i64, offset_delta: i64) -> i64 {
    let headers: usize = record
        .headers
        .iter()
        .map(|(key, value)| nullable_len(Some(key.as_bytes())) + nullable_len(*value))
        .sum();
    let attributes = 1;
    wire_len(
        attributes
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + nullable_len(record.key)
            + nullable_len(record.value)
            + varint::len(wire_len(record.headers.len()))
            + headers,
    )
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => varint::len(-1),
        Some(bytes) => varint::len(wire_len(bytes.len())) + bytes.len(),
    }
}

fn put_nullable(into: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put(into, -1),
        Some(bytes) => {
            varint::put(into, wire_len(bytes.len()));
            into.extend_from_slice(bytes);
        }
    }
}

fn wire_len(len: usize) -> i64 {
    i64::try_from(len).expect("nothing in memory is longer")
}
