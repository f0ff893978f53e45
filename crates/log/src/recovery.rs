//! Reading batches again: a core that is fed the bytes of one segment after another.

use ottla_records::{BatchStream, HeaderError, StreamError, StreamedBatch};
use ottla_types::{LeaderEpoch, Offset};

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

impl From<HeaderError> for Fault {
    fn from(error: HeaderError) -> Self {
        Self::Batch(error.into())
    }
}

/// What the batches of a log say, those from some offset on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    pub(crate) producers: ProducerState,
    /// The producers know what lies before it.
    pub(crate) producers_from: Offset,
    pub(crate) epochs: LeaderEpochCache,
    /// The epochs know what lies before it.
    pub(crate) epochs_from: Offset,
    pub(crate) batches: u64,
    /// A marker that aborts a transaction was among them.
    pub(crate) aborts: bool,
}

impl Rebuilt {
    /// What is known of the batches before two offsets.
    pub(crate) fn new(
        (producers, producers_from): (ProducerState, Offset),
        (epochs, epochs_from): (LeaderEpochCache, Offset),
    ) -> Self {
        Self { producers, producers_from, epochs, epochs_from, batches: 0, aborts: false }
    }

    /// Takes note of a batch; the transaction that it ends, if it does.
    fn on_batch(&mut self, batch: &StreamedBatch, into: Option<&Loaded>) {
        let header = &batch.header;
        self.batches += 1;
        self.aborts |= batch.marker.is_some_and(|marker| !marker.committed);
        if header.base_offset >= self.epochs_from {
            self.take_epoch(header.leader_epoch, header.base_offset);
        }
        if header.base_offset >= self.producers_from {
            let ended = self.producers.on_appended(header, batch.marker);
            into.into_iter().for_each(|loaded| loaded.on_ended(ended));
            // What is being read again was committed, or will be when it is durable.
            self.producers.on_high_watermark(header.last_offset().next());
        }
    }

    /// Epochs grow with offsets in every log that Kafka or we write; where they do not, the newest
    /// stands, as in Kafka.
    fn take_epoch(&mut self, epoch: Option<LeaderEpoch>, at: Offset) {
        let newer = |epoch: &_| self.epochs.latest().is_none_or(|latest| *epoch > latest);
        if let Some(epoch) = epoch.filter(newer) {
            self.epochs.assign(epoch, at).expect("the epoch is newer");
        }
    }
}

/// Where a scan is in its segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScanPoint {
    /// The batches in front of it.
    pub(crate) tail: SegmentTail,
    /// No batch behind it begins before.
    pub(crate) next_offset: Offset,
    /// The leader's epoch of the last batch in front of it.
    pub(crate) epoch: Option<LeaderEpoch>,
}

impl ScanPoint {
    /// The first byte of a segment.
    pub(crate) fn beginning_of(base: Offset) -> Self {
        Self { tail: SegmentTail::default(), next_offset: base, epoch: None }
    }
}

/// A scan of a segment, from some batch on.
#[derive(Debug)]
pub(crate) struct RecoveryScan<'a> {
    base: Offset,
    /// Where index entries go, and bytes between two of them.
    into: Option<(&'a Loaded, u32)>,
    /// Batches that hold it, or a later offset, are not wanted.
    upto: Option<Offset>,
    stream: BatchStream,
    stream_at: u64,
    point: ScanPoint,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// All that is wanted was read.
    Done,
    Faulty(Fault),
}

/// What a scan found.
#[derive(Debug)]
pub(crate) struct ScannedSegment {
    /// The end of the good batches.
    pub(crate) point: ScanPoint,
    /// What lies behind them, if anything does that was wanted.
    pub(crate) fault: Option<Fault>,
}

impl<'a> RecoveryScan<'a> {
    /// A scan of the segment that begins at `base`, from `point` on. The indexes hold entries of
    /// the batches in front of it.
    pub(crate) fn new(base: Offset, point: ScanPoint, into: Option<(&'a Loaded, u32)>) -> Self {
        Self {
            base,
            into,
            upto: None,
            stream: BatchStream::new(),
            stream_at: point.tail.position,
            point,
            state: State::Reading,
        }
    }

    /// The same scan, that ends before the first batch which holds `upto` or a later offset.
    pub(crate) fn upto(self, upto: Option<Offset>) -> Self {
        Self { upto, ..self }
    }

    /// Where the next batch begins.
    pub(crate) const fn position(&self) -> u64 {
        self.point.tail.position
    }

    /// Takes the next bytes of the file. False once the rest is not wanted.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], rebuilt: &mut Rebuilt) -> bool {
        while self.state == State::Reading && !chunk.is_empty() {
            match self.stream.next(&mut chunk) {
                Ok(None) => break,
                Ok(Some(batch)) => self.state = self.on_batch(&batch, rebuilt),
                Err(error) => self.state = State::Faulty(error.into()),
            }
        }
        self.state == State::Reading
    }

    fn on_batch(&mut self, batch: &StreamedBatch, rebuilt: &mut Rebuilt) -> State {
        let (header, expected) = (&batch.header, self.point.next_offset);
        let last = header.last_offset();
        if header.base_offset < expected {
            return State::Faulty(Fault::Offset { found: header.base_offset, expected });
        }
        if last.get() - self.base.get() > i64::from(i32::MAX) {
            return State::Faulty(Fault::OutOfReach { found: last });
        }
        if self.upto.is_some_and(|upto| last >= upto) {
            return State::Done;
        }
        let tail = &mut self.point.tail;
        assert_eq!(self.stream_at + batch.position, tail.position, "batches lie end to end");
        match self.into {
            Some((loaded, interval)) => tail.push(&loaded.index, header, interval),
            None => tail.walk(header),
        }
        self.point.next_offset = last.next();
        self.point.epoch = header.leader_epoch;
        rebuilt.on_batch(batch, self.into.map(|(loaded, _)| loaded));
        State::Reading
    }

    /// The end of the file, which has `file_len` bytes.
    pub(crate) fn finish(self, file_len: u64) -> ScannedSegment {
        let bytes = file_len - self.point.tail.position;
        let fault = match self.state {
            State::Faulty(fault) => Some(fault),
            State::Reading if bytes > 0 => Some(Fault::Cut { bytes }),
            State::Reading | State::Done => None,
        };
        // Behind what was wanted, nothing is wrong.
        let wanted = self.upto.is_none_or(|upto| self.point.next_offset < upto);
        ScannedSegment { point: self.point, fault: fault.filter(|_| wanted) }
    }
}
