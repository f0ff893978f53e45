//! What readers hold: they take no lock, and the writer goes on appending.

use std::io;
use std::sync::Arc;

use ottla_env::{CachedRead, Disk, File};
use ottla_records::{BatchSpan, HeaderError};
use ottla_types::Offset;

use crate::aborted::AbortedTransaction;
use crate::segment::{Loaded, Segment};
use crate::walk::{CHUNK_BYTES, HeaderWalk};
use crate::{Cold, ColdRange, Fault, LogPosition};

/// The segments of a log. A clone costs a reference count. It stays true until the log rolls or is
/// truncated; how far it may be read, the reader learns with it, as one snapshot.
#[derive(Clone, Debug)]
pub struct LogView(Arc<Shape>);

#[derive(Debug)]
struct Shape {
    start: Offset,
    sealed: Vec<SealedSegment>,
    active: Arc<Segment>,
}

/// A segment that nobody appends to any more.
#[derive(Clone, Debug)]
pub(crate) struct SealedSegment {
    pub(crate) segment: Arc<Segment>,
    /// Its bytes.
    pub(crate) end: u64,
}

/// Bytes of a segment that hold batches for a reader: a range of a file, not the bytes.
#[derive(Clone, Debug)]
pub struct RecordSlice {
    pub file: Arc<dyn File>,
    /// Where in the file they begin.
    pub at: u64,
    pub len: u32,
    /// Where the first batch lies; its base offset may be below what was asked for.
    pub first: LogPosition,
}

/// What a read found.
#[derive(Clone, Debug)]
pub enum ReadOutcome {
    Slice(RecordSlice),
    /// Nothing to read below the bound; or the first batch is larger than what was asked for.
    Empty,
    Cold(Cold),
}

/// Where an offset lies.
#[derive(Clone, Debug)]
pub enum Located {
    /// The first batch that ends with the offset or behind it.
    Batch(LogPosition),
    /// No batch below the bound does.
    End,
    Cold(Cold),
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the log begins at {start}")]
    BelowStart { start: Offset },
    #[error("the log may be read up to {end}")]
    BeyondEnd { end: Offset },
    #[error("segment {segment} is damaged at byte {position}: {fault}")]
    Damaged { segment: Offset, position: u64, fault: Fault },
    #[error("read a segment: {0}")]
    Storage(#[from] io::Error),
}

/// A segment as far as a reader may read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) segment: &'a Arc<Segment>,
    pub(crate) end: u64,
}

/// A batch in a segment.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    span: Span<'a>,
    file: &'a Arc<dyn File>,
    at: u64,
    batch: BatchSpan,
}

/// A bound as a view has it.
enum Rebound {
    To(LogPosition),
    Cold(Cold),
}

enum Found<'a> {
    Batch(Place<'a>),
    End,
    Cold(Cold),
}

impl LogView {
    pub(crate) fn new(start: Offset, sealed: Vec<SealedSegment>, active: Arc<Segment>) -> Self {
        Self(Arc::new(Shape { start, sealed, active }))
    }

    pub(crate) fn active(&self) -> &Arc<Segment> {
        &self.0.active
    }

    pub(crate) fn sealed(&self) -> &[SealedSegment] {
        &self.0.sealed
    }

    /// All segments, the oldest first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        let sealed = self.0.sealed.iter().map(|sealed| &sealed.segment);
        sealed.chain(std::iter::once(&self.0.active))
    }

    /// The oldest offset that may be read.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.0.start
    }

    /// First offset and bytes of each segment that nobody appends to, the oldest first.
    #[must_use]
    pub fn sealed_sizes(&self) -> Vec<(Offset, u64)> {
        self.sealed().iter().map(|it| (it.segment.base, it.end)).collect()
    }

    /// Where the segment begins that is appended to.
    #[must_use]
    pub fn active_base(&self) -> Offset {
        self.active().base
    }

    /// How many bytes of batches there are up to `end`, a position loaded before this view.
    #[must_use]
    pub fn bytes_below(&self, end: LogPosition) -> u64 {
        let whole = self.0.sealed.iter().filter(|it| it.segment.base < end.segment_base);
        whole.map(|it| it.end).sum::<u64>() + end.position
    }

    /// Whole batches from the one that holds `from`, and perhaps the beginning of another: up to
    /// `max_bytes` of one segment, nothing at or behind `upto`. `at_least_one`: the first batch
    /// comes whole even if it is larger (KIP-74); without that, [`ReadOutcome::Empty`].
    ///
    /// # Errors
    /// When `from` lies outside of `start..=upto`, or the disk fails.
    pub fn read(
        &self,
        from: Offset,
        upto: LogPosition,
        max_bytes: u32,
        at_least_one: bool,
    ) -> Result<ReadOutcome, ReadError> {
        let place = match self.find(from, upto)? {
            Found::Batch(place) => place,
            Found::End => return Ok(ReadOutcome::Empty),
            Found::Cold(cold) => return Ok(ReadOutcome::Cold(cold)),
        };
        let first_size = place.batch.size;
        if first_size > max_bytes && !at_least_one {
            return Ok(ReadOutcome::Empty);
        }
        let readable = place.span.end - place.at;
        let len = readable.min(u64::from(max_bytes.max(first_size)));
        Ok(ReadOutcome::Slice(RecordSlice {
            file: Arc::clone(place.file),
            at: place.at,
            len: u32::try_from(len).expect("bounded by a u32"),
            first: place.position(),
        }))
    }

    /// What [`Self::read`] finds from a place where a batch is known to begin, without a look at
    /// it: everything from `at` to `upto`. `None` where somebody has to look: the two do not lie in
    /// the newest segment, or have more than `max_bytes` between them, so that the size of the
    /// first batch matters.
    #[must_use]
    pub fn rest(&self, at: LogPosition, upto: LogPosition, max_bytes: u32) -> Option<RecordSlice> {
        let Shape { start, active, .. } = &*self.0;
        let newest = at.segment_base == active.base && upto.segment_base == active.base;
        if !newest || at.offset < *start || at.offset >= upto.offset {
            return None;
        }
        let len = upto.position.checked_sub(at.position).expect("offsets rise with positions");
        let len = u32::try_from(len).ok().filter(|len| *len <= max_bytes)?;
        let file = Arc::clone(&active.get()?.file);
        Some(RecordSlice { file, at: at.position, len, first: at })
    }

    /// Where the batch that holds `offset` lies, or the first one behind it.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn position_of(&self, offset: Offset, upto: LogPosition) -> Result<Located, ReadError> {
        Ok(match self.find(offset, upto)? {
            Found::Batch(place) => Located::Batch(place.position()),
            Found::End => Located::End,
            Found::Cold(cold) => Located::Cold(cold),
        })
    }

    /// The aborted transactions with records in `from..upto`, in the order of their markers. A
    /// reader asks with the end of its slice, below the last stable offset: by then the markers
    /// of all of them are there.
    ///
    /// # Errors
    /// With what has to be warmed before the answer is known: a transaction may end segments later.
    pub fn aborted(&self, from: Offset, upto: Offset) -> Result<Vec<AbortedTransaction>, Cold> {
        let later = self.0.sealed.partition_point(|sealed| sealed.segment.base <= from);
        let mut found = Vec::new();
        for segment in self.segments().skip(later.saturating_sub(1)) {
            let loaded = segment.get().ok_or_else(|| Cold::segment(segment))?;
            if loaded.aborted.collect(from, upto, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    /// An offset behind the slice's last batch, near it, and not behind `upto`.
    #[must_use]
    pub fn end_of(&self, slice: &RecordSlice, upto: Offset) -> Offset {
        let base = slice.first.segment_base;
        let at = self.0.sealed.partition_point(|sealed| sealed.segment.base < base);
        let mut segments = self.segments().skip(at);
        let end = slice.at + u64::from(slice.len);
        // The slice was read from it, so it is loaded.
        let loaded = segments.next().and_then(|segment| segment.get());
        let behind = loaded.and_then(|loaded| loaded.index.offset_behind(end));
        let behind = behind.or_else(|| segments.next().map(|next| next.base));
        behind.map_or(upto, |behind| behind.min(upto))
    }

    fn find(&self, from: Offset, upto: LogPosition) -> Result<Found<'_>, ReadError> {
        if from < self.0.start {
            return Err(ReadError::BelowStart { start: self.0.start });
        }
        if from > upto.offset {
            return Err(ReadError::BeyondEnd { end: upto.offset });
        }
        if from == upto.offset {
            return Ok(Found::End);
        }
        let upto = match self.rebound(upto)? {
            Rebound::To(upto) => upto,
            Rebound::Cold(cold) => return Ok(Found::Cold(cold)),
        };
        for span in self.spans(from, upto) {
            match find_in(span, from)? {
                // Offsets may be missing at the end of a compacted segment.
                Found::End => {}
                found @ (Found::Batch(_) | Found::Cold(_)) => return Ok(found),
            }
        }
        Ok(Found::End)
    }

    /// A bound, in places of this view. Where a compaction has written the bound's segment anew
    /// since it was loaded, its position there is another one.
    fn rebound(&self, upto: LogPosition) -> Result<Rebound, ReadError> {
        if upto.segment_base >= self.active().base {
            return Ok(Rebound::To(upto));
        }
        let after = self.sealed().partition_point(|it| it.segment.base <= upto.segment_base);
        let holds = after.checked_sub(1).map(|at| &self.sealed()[at]);
        let Some(SealedSegment { segment, end }) = holds.filter(|it| it.segment.is_rewritten)
        else {
            return Ok(Rebound::To(upto));
        };
        let position = match find_in(Span { segment, end: *end }, upto.offset)? {
            Found::Batch(place) => place.at,
            Found::End => *end,
            Found::Cold(cold) => return Ok(Rebound::Cold(cold)),
        };
        let (offset, segment_base) = (upto.offset, segment.base);
        Ok(Rebound::To(LogPosition { offset, segment_base, position }))
    }

    /// As [`Self::rebound`], once what it needs is in the page cache.
    pub(crate) async fn rebounded(
        &self,
        disk: &Arc<dyn Disk>,
        upto: LogPosition,
    ) -> Result<LogPosition, ReadError> {
        loop {
            match self.rebound(upto)? {
                Rebound::To(upto) => return Ok(upto),
                Rebound::Cold(cold) => cold.warm(disk).await?,
            }
        }
    }

    /// The segments from the one that may hold `from`, as far as `upto`.
    pub(crate) fn spans(&self, from: Offset, upto: LogPosition) -> impl Iterator<Item = Span<'_>> {
        let Shape { sealed, active, .. } = &*self.0;
        assert!(
            upto.segment_base <= active.base,
            "a bound is no newer than the view it is used on"
        );
        let holds = sealed.partition_point(|sealed| sealed.segment.base <= from).saturating_sub(1);
        // The active segment is the answer if it begins at or before `from`.
        let skip = if active.base <= from { sealed.len() } else { holds };
        let sealed = sealed[skip..].iter().map(|sealed| (&sealed.segment, sealed.end));
        sealed
            .chain(std::iter::once((active, upto.position)))
            .take_while(move |(segment, _)| segment.base <= upto.segment_base)
            .map(move |(segment, end)| {
                let end = if segment.base == upto.segment_base { upto.position } else { end };
                Span { segment, end }
            })
    }
}

impl Span<'_> {
    /// A walk from a batch to the span's end.
    pub(crate) const fn from(&self, at: u64) -> HeaderWalk {
        HeaderWalk { at, end: self.end }
    }
}

impl Place<'_> {
    fn position(&self) -> LogPosition {
        LogPosition {
            offset: self.batch.base_offset,
            segment_base: self.span.segment.base,
            position: self.at,
        }
    }
}

/// Walks from the nearest index entry to the first batch that ends with `from` or behind it.
fn find_in(span: Span<'_>, from: Offset) -> Result<Found<'_>, ReadError> {
    let Some(Loaded { file, index, .. }) = span.segment.get() else {
        return Ok(Found::Cold(Cold::segment(span.segment)));
    };
    let mut entry = index.entry_before(from).filter(|entry| entry.position < span.end);
    let mut walk = span.from(entry.map_or(0, |entry| entry.position));
    let mut buffer = [0; CHUNK_BYTES];
    'chunk: while walk.at < walk.end {
        let (at, len) = (walk.at, walk.wanted(CHUNK_BYTES));
        let chunk = match file.read_cached(at, &mut buffer[..len])? {
            CachedRead::Ready(len) => &buffer[..len],
            CachedRead::Cold => {
                let range = ColdRange { file: Arc::clone(file), at, len };
                return Ok(Found::Cold(Cold::Pages(range)));
            }
        };
        if chunk.len() < len {
            return Err(ReadError::Storage(io::ErrorKind::UnexpectedEof.into()));
        }
        while let Some(head) = walk.head_in(at, chunk) {
            let batch =
                BatchSpan::parse(head).and_then(|batch| Ok((walk.step(batch.size)?, batch)));
            let last_offset = batch.as_ref().ok().map(|(_, batch)| batch.last_offset);
            if entry.take().is_some_and(|entry| Some(entry.last_offset) != last_offset) {
                // Index files have no checksum. The batches have.
                walk = span.from(0);
                continue 'chunk;
            }
            let (at, batch) = batch.map_err(|error| damaged(span.segment.base, walk.at, error))?;
            if batch.last_offset >= from {
                return Ok(Found::Batch(Place { span, file, at, batch }));
            }
        }
    }
    Ok(Found::End)
}

fn damaged(segment: Offset, position: u64, error: HeaderError) -> ReadError {
    ReadError::Damaged { segment, position, fault: error.into() }
}
