//! Taking records out of a batch that is in a log, as compaction does: what stays keeps its offset,
//! its time and its bytes, and the batch its first and last offset, its producer and its codec.

use ottla_types::{Offset, Timestamp, TimestampType};

use crate::batches::crc_of;
use crate::header::at;
use crate::{Attributes, Batch, BatchHeader, HEADER_BYTES, RecordError, varint};

/// A record in the bytes of its batch, inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    pub offset: Offset,
    pub key: Option<&'a [u8]>,
    /// A record without a value is a tombstone: it says that its key is no more.
    pub has_value: bool,
    timestamp_delta: i64,
    /// The record from its length on.
    bytes: &'a [u8],
    attributes: u8,
    /// The record behind its timestamp.
    rest: &'a [u8],
}

/// The records of a batch, from its inflated bytes, without a look at their headers. Ends after the
/// first error.
#[derive(Clone, Debug)]
pub struct RawRecords<'a> {
    base_offset: Offset,
    last_offset_delta: u32,
    left: u32,
    rest: &'a [u8],
}

impl<'a> RawRecords<'a> {
    /// The records of a batch with this header.
    #[must_use]
    pub const fn new(header: &BatchHeader, inflated: &'a [u8]) -> Self {
        Self {
            base_offset: header.base_offset,
            last_offset_delta: header.last_offset_delta,
            left: header.records_count,
            rest: inflated,
        }
    }

    fn take(&mut self) -> Result<RawRecord<'a>, RecordError> {
        let malformed = |field| RecordError::Malformed { field };
        let from = self.rest;
        let len = varint::take_i32(&mut self.rest).and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or_else(|| malformed("length"))?;
        let mut body = self.rest.split_off(..len).ok_or_else(|| malformed("length"))?;
        let bytes = &from[..from.len() - self.rest.len()];
        let attributes = *body.split_off_first().ok_or_else(|| malformed("attributes"))?;
        let timestamp_delta =
            varint::take_i64(&mut body).ok_or_else(|| malformed("timestamp delta"))?;
        let rest = body;
        let delta = varint::take_i32(&mut body).ok_or_else(|| malformed("offset delta"))?;
        let within = u32::try_from(delta).ok().filter(|delta| *delta <= self.last_offset_delta);
        let within = within.ok_or(RecordError::Offset { delta })?;
        let key = take_nullable(&mut body).ok_or_else(|| malformed("key"))?;
        let has_value = take_nullable(&mut body).ok_or_else(|| malformed("value"))?.is_some();
        let offset = self.base_offset.plus(i64::from(within));
        Ok(RawRecord { offset, key, has_value, timestamp_delta, bytes, attributes, rest })
    }
}

/// Bytes behind their length; any negative length spells null.
fn take_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match usize::try_from(varint::take_i32(bytes)?) {
        Err(_) => Some(None),
        Ok(len) => bytes.split_off(..len).map(Some),
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let bytes = std::mem::take(&mut self.rest).len();
            return (bytes > 0).then_some(Err(RecordError::Trailing { bytes }));
        }
        self.left -= 1;
        let record = self.take();
        if record.is_err() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(record)
    }
}

impl RawRecord<'_> {
    /// Appends the record with another time to be relative to.
    fn put_rebased(&self, into: &mut Vec<u8>, timestamp_delta: i64) {
        let len = 1 + varint::len(timestamp_delta) + self.rest.len();
        varint::put(into, i64::try_from(len).expect("nothing in memory is longer"));
        into.push(self.attributes);
        varint::put(into, timestamp_delta);
        into.extend_from_slice(self.rest);
    }
}

impl Batch<'_> {
    /// The batch with those records that `keep` names, in their order. With a `horizon`, the time
    /// from which on its tombstones may go, that is what its base timestamp says from now on
    /// (KIP-534).
    ///
    /// # Errors
    /// When a record cannot be read.
    ///
    /// # Panics
    /// If nothing is kept, or the batch outgrew 2 GiB.
    pub fn retaining(
        &self,
        inflated: &[u8],
        keep: &[bool],
        horizon: Option<Timestamp>,
    ) -> Result<Vec<u8>, RecordError> {
        let old = &self.header;
        let base = horizon.unwrap_or(old.base_timestamp);
        let shift = old.base_timestamp.millis().saturating_sub(base.millis());
        let (mut section, mut max, mut count) = (Vec::with_capacity(inflated.len()), i64::MIN, 0);
        for (record, kept) in RawRecords::new(old, inflated).zip(keep) {
            let record = record?;
            if !kept {
                continue;
            }
            count += 1;
            max = max.max(old.base_timestamp.millis().saturating_add(record.timestamp_delta));
            match horizon {
                None => section.extend_from_slice(record.bytes),
                Some(_) => {
                    record.put_rebased(&mut section, record.timestamp_delta.saturating_add(shift));
                }
            }
        }
        assert!(count > 0, "a batch without records is made by `emptied`");
        let max_timestamp = match old.attributes.timestamp_type() {
            TimestampType::LogAppendTime => old.max_timestamp,
            TimestampType::CreateTime => Timestamp::from_wire(max),
        };
        let attributes = match horizon {
            Some(_) => old.attributes.with_delete_horizon(),
            None => old.attributes,
        };
        let header = BatchHeader {
            attributes,
            base_timestamp: base,
            max_timestamp,
            records_count: count,
            ..*old
        };
        Ok(assemble(header, &old.attributes.compression().compress(section)))
    }

    /// The batch without any record, as it stays where its producer's last sequence, or the last
    /// offset of a log, would be forgotten otherwise.
    #[must_use]
    pub fn emptied(&self) -> Vec<u8> {
        let old = &self.header;
        let attributes = Attributes::of(
            crate::Compression::None,
            old.attributes.is_transactional(),
            old.attributes.is_control(),
        );
        let header = BatchHeader {
            attributes: attributes.with_timestamp_type(old.attributes.timestamp_type()),
            base_timestamp: Timestamp::from_millis(-1),
            records_count: 0,
            ..*old
        };
        assemble(header, &[])
    }
}

/// The batch of a header, whose size and checksum are left to be found, and its records.
fn assemble(header: BatchHeader, section: &[u8]) -> Vec<u8> {
    let size = i32::try_from(HEADER_BYTES + section.len()).expect("a batch is below 2 GiB");
    let header = BatchHeader { size: size.unsigned_abs(), crc: 0, ..header };
    let mut bytes = Vec::with_capacity(HEADER_BYTES + section.len());
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(section);
    let crc = crc_of(&bytes).to_be_bytes();
    bytes[at::CRC..at::ATTRIBUTES].copy_from_slice(&crc);
    bytes
}

#[cfg(test)]
mod tests {
    use ottla_types::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};

    use super::*;
    use crate::{BatchBuilder, BatchOptions, Batches, Compression, NewRecord, ProducerStamp};

    /// Four records at 100, 200, 50 and 300; the third is a tombstone.
    fn built(compression: Compression, append_time: Option<i64>) -> Vec<u8> {
        let stamp = ProducerStamp {
            id: ProducerId::new(7),
            epoch: ProducerEpoch::new(1),
            base_sequence: Sequence::from_wire(5),
        };
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: Offset::new(40),
            leader_epoch: Some(LeaderEpoch::new(3)),
            compression,
            producer: Some(stamp),
            append_time: append_time.map(Timestamp::from_millis),
            ..BatchOptions::default()
        });
        let headers: &[(&str, Option<&[u8]>)] = &[("h", Some(b"x"))];
        for (time, key, value) in
            [(100, "a", Some("1")), (200, "b", Some("2")), (50, "c", None), (300, "d", Some("4"))]
        {
            builder.push(NewRecord {
                timestamp: Timestamp::from_millis(time),
                key: Some(key.as_bytes()),
                value: value.map(str::as_bytes),
                headers,
            });
        }
        builder.build().into_bytes()
    }

    fn retained(bytes: &[u8], keep: [bool; 4], horizon: Option<i64>) -> Vec<u8> {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        let section = &bytes[HEADER_BYTES..];
        let inflated = batch.header.attributes.compression().inflate(section, 1 << 20).unwrap();
        batch.retaining(&inflated, &keep, horizon.map(Timestamp::from_millis)).unwrap()
    }

    /// Offset, time and key of each record, and the largest time that the header tells.
    fn told(bytes: &[u8]) -> (String, Option<i64>) {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        assert!(batch.crc_matches());
        let header = batch.header;
        assert_eq!((header.base_offset.get(), header.last_offset().get()), (40, 43));
        assert_eq!(header.last_sequence(), Sequence::from_wire(8));
        assert_eq!(header.leader_epoch, Some(LeaderEpoch::new(3)));
        let records = batch.records(1 << 20).unwrap();
        let tell = |record: Result<crate::Record<'_>, _>| {
            let record = record.unwrap();
            assert_eq!(record.headers.len(), 1);
            let key = std::str::from_utf8(record.key.unwrap()).unwrap();
            format!("{}@{}{key}", record.offset, record.timestamp.unwrap().millis())
        };
        let all: Vec<String> = records.iter().map(tell).collect();
        (all.join(" "), header.max_timestamp.map(Timestamp::millis))
    }

    #[test]
    #[rustfmt::skip]
    fn what_stays_keeps_its_offset_and_its_time() {
        for codec in Compression::ALL {
            let batch = built(codec, None);
            check(&batch, [true; 4],                 None,        "40@100a 41@200b 42@50c 43@300d", 300);
            check(&batch, [false, true, true, false], None,        "41@200b 42@50c",                 200);
            check(&batch, [false, false, true, true], Some(9_000), "42@50c 43@300d",                 300);
            check(&batch, [false, false, true, false], Some(20),   "42@50c",                         50);
            // Whose time is the log's, all records have it.
            let batch = built(codec, Some(777));
            check(&batch, [true, false, false, false], None,       "40@777a",                        777);
            check(&batch, [false, false, true, false], Some(9),    "42@777c",                        777);
        }
    }

    fn check(batch: &[u8], keep: [bool; 4], horizon: Option<i64>, records: &str, max: i64) {
        let kept = retained(batch, keep, horizon);
        assert_eq!(told(&kept), (records.to_owned(), Some(max)));
        let header = BatchHeader::parse(&kept).unwrap();
        assert_eq!(header.attributes.has_delete_horizon(), horizon.is_some());
        if let Some(horizon) = horizon {
            assert_eq!(header.base_timestamp.millis(), horizon);
            // Once set, it stays where it is.
            let again = retained_all(&kept);
            assert_eq!(BatchHeader::parse(&again).unwrap().base_timestamp.millis(), horizon);
            assert_eq!(told(&again), (records.to_owned(), Some(max)));
        }
    }

    fn retained_all(bytes: &[u8]) -> Vec<u8> {
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        let section = &bytes[HEADER_BYTES..];
        let inflated = batch.header.attributes.compression().inflate(section, 1 << 20).unwrap();
        batch.retaining(&inflated, &vec![true; batch.header.records_count as usize], None).unwrap()
    }

    #[test]
    fn a_batch_without_records_remembers_offsets_and_sequences() {
        let bytes = built(Compression::Zstd, None);
        let empty = Batches::new(&bytes).next().unwrap().unwrap().emptied();
        assert_eq!(empty.len(), HEADER_BYTES);
        assert_eq!(told(&empty), (String::new(), Some(300)));
    }

    #[test]
    fn damaged_records_are_named() {
        let bytes = built(Compression::None, None);
        let header = BatchHeader::parse(&bytes).unwrap();
        let section = &bytes[HEADER_BYTES..];
        for len in 0..section.len() {
            assert!(RawRecords::new(&header, &section[..len]).any(|record| record.is_err()));
        }
        let longer = [section, &[0]].concat();
        assert!(RawRecords::new(&header, &longer).any(|record| record.is_err()));
        assert_eq!(RawRecords::new(&header, section).filter_map(Result::ok).count(), 4);
    }
}
