//! Reading a log again after a crash: a core that is fed the bytes of one segment after another.

use ottla_records::{BatchStream, HeaderError, StreamError, StreamedBatch};
use ottla_types::Offset;

use crate::segment::{Loaded, SegmentTail};
use crate::{LeaderEpochCache, ProducerState};

/// What is wrong at the first byte of a segment that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{bytes} bytes are not a whole batch")]
    Cut { bytes: u64 },
    #[error(transparent)]
    Batch(#[from] StreamError),
    #[error("a batch begins at offset {found}, but {expected} is due")]
    Offset { found: Offset, expected: Offset },
    #[error("a batch ends at offset {found}, out of reach of its segment")]
    OutOfReach { found: Offset },
}

/// What the whole log's batches say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    pub(crate) producers: ProducerState,
    pub(crate) epochs: LeaderEpochCache,
    pub(crate) batches: u64,
}

/// The scan of one segment.
#[derive(Debug)]
pub(crate) struct RecoveryScan<'a> {
    base: Offset,
    segment: &'a Loaded,
    file_len: u64,
    interval: u32,
    next_offset: Offset,
    stream: BatchStream,
    tail: SegmentTail,
    fault: Option<Fault>,
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct ScannedSegment {
    /// The good batches.
    pub(crate) tail: SegmentTail,
    pub(crate) next_offset: Offset,
    /// What lies behind them, if anything does.
    pub(crate) fault: Option<Fault>,
}

impl From<HeaderError> for Fault {
    fn from(error: HeaderError) -> Self {
        Self::Batch(error.into())
    }
}

impl<'a> RecoveryScan<'a> {
    /// A scan of a segment of `file_len` bytes, whose indexes are empty yet and get an entry for
    /// every `interval` bytes.
    pub(crate) fn new(base: Offset, segment: &'a Loaded, file_len: u64, interval: u32) -> Self {
        Self {
            base,
            segment,
            file_len,
            interval,
            next_offset: base,
            stream: BatchStream::new(),
            tail: SegmentTail::default(),
            fault: None,
        }
    }

    /// Takes the next bytes of the file. `false` once a fault is found: the rest is not wanted.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], rebuilt: &mut Rebuilt) -> bool {
        while self.fault.is_none() && !chunk.is_empty() {
            match self.stream.next(&mut chunk) {
                Ok(None) => break,
                Ok(Some(batch)) => self.fault = self.on_batch(&batch, rebuilt).err(),
                Err(error) => self.fault = Some(error.into()),
            }
        }
        self.fault.is_none()
    }

    fn on_batch(&mut self, batch: &StreamedBatch, rebuilt: &mut Rebuilt) -> Result<(), Fault> {
        let header = &batch.header;
        if header.base_offset < self.next_offset {
            let (found, expected) = (header.base_offset, self.next_offset);
            return Err(Fault::Offset { found, expected });
        }
        let found = header.last_offset();
        if found.get() - self.base.get() > i64::from(i32::MAX) {
            return Err(Fault::OutOfReach { found });
        }
        assert_eq!(batch.position, self.tail.position, "batches lie end to end");
        self.tail.push(&self.segment.index, header, self.interval);
        self.next_offset = found.next();
        // Epochs grow with offsets in every log that Kafka or we write; where they do not, the
        // newest stands, as in Kafka.
        let newer = |epoch: &_| rebuilt.epochs.latest().is_none_or(|latest| *epoch > latest);
        if let Some(epoch) = header.leader_epoch.filter(newer) {
            rebuilt.epochs.assign(epoch, header.base_offset).expect("the epoch is newer");
        }
        self.segment.on_ended(rebuilt.producers.on_appended(header, batch.marker));
        // What is being read again was committed, or will be when it is durable.
        rebuilt.producers.on_high_watermark(self.next_offset);
        rebuilt.batches += 1;
        Ok(())
    }

    /// The end of the file.
    pub(crate) fn finish(self) -> ScannedSegment {
        let bytes = self.file_len - self.tail.position;
        let fault = match (self.fault, bytes) {
            (Some(fault), _) => Some(fault),
            (None, 0) => None,
            (None, bytes) => Some(Fault::Cut { bytes }),
        };
        ScannedSegment { tail: self.tail, next_offset: self.next_offset, fault }
    }
}
