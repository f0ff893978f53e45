//! A batch and whoever waits for it.

use std::rc::Rc;

use bytes::Bytes;
use ottla_env::{Mono, Reply};
use ottla_records::{
    BatchBuilder, BatchHeader, BatchOptions, Compression, HEADER_BYTES, NewRecord, ProducerStamp,
    crc32c,
};
use ottla_types::{Offset, Timestamp, TopicPartition};
use tokio::sync::OwnedSemaphorePermit;

use super::pour::Tally;
use super::{Delivered, ProduceError, Record};

/// Where a batch says what its checksum is, and from where on it is taken.
const CRC_AT: std::ops::Range<usize> = 17..21;

/// Records of one partition that travel together.
pub(super) struct Batch {
    /// Tells the batches of a producer apart.
    pub(super) serial: u64,
    content: Content,
    /// How many records it has.
    records: i32,
    waiting: Vec<(Reply<Result<Delivered, ProduceError>>, Timestamp)>,
    /// Who counts the records that nobody waits for one by one, and the time of the first.
    tally: Option<(Rc<Tally>, Timestamp)>,
    /// Given back when the batch is gone.
    _memory: OwnedSemaphorePermit,
    pub(super) created: Mono,
    pub(super) deadline: Mono,
    pub(super) state: State,
    pub(super) tries: u32,
    pub(super) not_before: Mono,
    pub(super) stamp: Option<ProducerStamp>,
    /// It was sent, and whether it was written is not known.
    pub(super) uncertain: bool,
}

enum Content {
    Open(BatchBuilder),
    Sealed(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Takes records.
    Open,
    /// Is to be sent, or sent again.
    Waiting,
    /// Is under way; `alone`: nothing older of its partition was.
    InFlight { alone: bool },
}

impl Batch {
    pub(super) fn new(
        serial: u64,
        compression: Compression,
        memory: OwnedSemaphorePermit,
        (created, deadline): (Mono, Mono),
    ) -> Self {
        let options = BatchOptions { compression, ..BatchOptions::default() };
        Self {
            serial,
            content: Content::Open(BatchBuilder::new(options)),
            records: 0,
            waiting: Vec::new(),
            tally: None,
            _memory: memory,
            created,
            deadline,
            state: State::Open,
            tries: 0,
            not_before: created,
            stamp: None,
            uncertain: false,
        }
    }

    /// A batch that takes no more records, and whose records are counted together.
    pub(super) fn full(
        serial: u64,
        builder: BatchBuilder,
        tally: (Rc<Tally>, Timestamp),
        memory: OwnedSemaphorePermit,
        times: (Mono, Mono),
    ) -> Self {
        let records = i32::try_from(builder.count()).expect("a batch is small");
        Self {
            content: Content::Open(builder),
            records,
            tally: Some(tally),
            state: State::Waiting,
            ..Self::new(serial, Compression::None, memory, times)
        }
    }

    /// Adds a record, and the memory that it takes.
    ///
    /// # Panics
    /// If the batch is sealed.
    pub(super) fn push(
        &mut self,
        record: &Record,
        timestamp: Timestamp,
        memory: Option<OwnedSemaphorePermit>,
        reply: Reply<Result<Delivered, ProduceError>>,
    ) {
        let Content::Open(builder) = &mut self.content else { panic!("a sealed batch is full") };
        let headers: Vec<(&str, Option<&[u8]>)> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        builder.push(NewRecord {
            timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
        if let Some(memory) = memory {
            self._memory.merge(memory);
        }
        self.waiting.push((reply, timestamp));
        self.records += 1;
    }

    /// Bytes before compression.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Open(builder) => builder.uncompressed_size(),
            Content::Sealed(bytes) => bytes.len(),
        }
    }

    /// How many records it has.
    pub(super) const fn count(&self) -> i32 {
        self.records
    }

    /// Its bytes, stamped with a producer's identity and sequence where it has one.
    pub(super) fn seal(&mut self, stamp: Option<ProducerStamp>) -> Bytes {
        let options = BatchOptions::default();
        let content =
            std::mem::replace(&mut self.content, Content::Open(BatchBuilder::new(options)));
        let bytes = match content {
            Content::Open(builder) => restamped(builder.build().into_bytes(), stamp),
            Content::Sealed(bytes) if self.stamp == stamp => bytes,
            Content::Sealed(bytes) => restamped(bytes.into(), stamp),
        };
        self.stamp = stamp;
        self.content = Content::Sealed(bytes.clone());
        bytes
    }

    pub(super) const fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight { .. })
    }

    /// Tells everybody where their records are.
    pub(super) fn deliver(
        self,
        partition: &TopicPartition,
        first: Option<Offset>,
        at: Option<Timestamp>,
    ) {
        if let Some((tally, timestamp)) = self.tally {
            let (partition, timestamp) = (partition.clone(), at.unwrap_or(timestamp));
            tally.delivered(self.records, || Delivered { partition, offset: first, timestamp });
            return;
        }
        for (nth, (reply, timestamp)) in (0..).zip(self.waiting) {
            reply.send(Ok(Delivered {
                partition: partition.clone(),
                offset: first.map(|first| first.plus(nth)),
                timestamp: at.unwrap_or(timestamp),
            }));
        }
    }

    /// Tells everybody why not.
    pub(super) fn fail(self, error: &ProduceError) {
        if let Some((tally, _)) = self.tally {
            tally.failed(self.records, error);
            return;
        }
        for (reply, _) in self.waiting {
            reply.send(Err(error.clone()));
        }
    }
}

fn restamped(mut bytes: Vec<u8>, stamp: Option<ProducerStamp>) -> Bytes {
    let Some(stamp) = stamp else { return Bytes::from(bytes) };
    let header = BatchHeader::parse(&bytes).expect("it was built here");
    let header = BatchHeader { producer: Some(stamp), ..header };
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    let crc = crc32c(&bytes[CRC_AT.end..]);
    bytes[CRC_AT].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_records::Batches;
    use ottla_types::{ProducerEpoch, ProducerId, Sequence};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[test]
    fn a_batch_can_be_stamped_again_and_again() {
        let memory = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("there is one");
        let zero = Mono::from_nanos(0);
        let mut batch = Batch::new(1, Compression::Lz4, memory, (zero, zero));
        let (reply, _answer) = ottla_env::reply();
        batch.push(&Record::to("t").value("hello"), Timestamp::from_millis(5), None, reply);
        for (id, sequence) in [(7, 0), (7, 0), (8, 3)] {
            let stamp = ProducerStamp {
                id: ProducerId::new(id),
                epoch: ProducerEpoch::ZERO,
                base_sequence: Some(Sequence::new(sequence)),
            };
            let bytes = batch.seal(Some(stamp));
            let read = Batches::new(&bytes).next().expect("one batch").expect("a sound one");
            assert!(read.crc_matches());
            assert_eq!(read.header.producer, Some(stamp));
            let records = read.records(1 << 20).expect("it inflates");
            let values: Vec<_> =
                records.iter().map(|record| record.expect("sound").value).collect();
            assert_eq!(values, [Some(&b"hello"[..])]);
        }
    }
}
