//! A compaction in steps, each a few hundred kilobytes: its host may do something else in between,
//! or give up.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{Disk, DiskExt, File, Open, reply};
use ottla_records::{BatchSpan, HEADER_BYTES, HeaderError};
use ottla_types::{Offset, Timestamp};

use super::filter::{AtHand, Filter, LastRecords, RecordsFault};
use super::key_map::HashSeeds;
use super::passes::{Chunk, Indexer, Output, Rewriter, Taken};
use super::plan::{Dirt, GroupLimits, SegmentSizes, group};
use super::swap::{CLEANED, CleanedSegment, suffixed};
use super::transactions::Transactions;
use crate::advance::SetAside;
use crate::files::{index_name, parse_suffixed, segment_file, time_index_name};
use crate::listing::Listing;
use crate::load::LoadError;
use crate::segment::{Entries, Loaded, Segment, SegmentTail};
use crate::view::SealedSegment;
use crate::{EndedTransaction, Fault, Log, LogConfig, LogView};

/// Bytes read at once; a larger batch comes whole all the same.
const CHUNK_BYTES: u64 = 512 << 10;

/// Bytes written between two syncs, so that the last one finds little to do.
const SYNC_EVERY: u64 = 32 << 20;

/// What a compaction needs to be told.
#[derive(Clone, Copy, Debug)]
pub struct CompactionSettings {
    /// Keys that one pass may tell apart: 24 bytes of memory each.
    pub keys_max: usize,
    pub seeds: HashSeeds,
    /// `delete.retention.ms`.
    pub delete_retention: Duration,
    /// The wall clock.
    pub now: Timestamp,
}

/// Why a log could not be compacted. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactionError {
    #[error("read or write a segment: {0}")]
    Storage(#[from] io::Error),
    /// What is durable of what was written is unknown.
    #[error("make a segment durable: {0}")]
    Sync(#[source] io::Error),
    #[error("segment {segment} is damaged at byte {position}: {fault}")]
    Damaged { segment: Offset, position: u64, fault: Fault },
    #[error("the batch at offset {base_offset} cannot be read: {fault}")]
    Records { base_offset: Offset, fault: RecordsFault },
}

impl From<LoadError> for CompactionError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Storage(error) => Self::Storage(error),
            LoadError::Damaged { segment, position, fault } => {
                Self::Damaged { segment, position, fault }
            }
        }
    }
}

/// Has something done that takes time and waits for nothing, wherever that harms least.
pub type Work<'a> = &'a dyn Fn(Box<dyn FnOnce() + Send>);

/// What a step has come to.
#[derive(Debug)]
pub enum Step {
    /// So many bytes were read.
    Went { bytes: u64 },
    /// A segment is complete. It is to be put into its place before the next step.
    Cleaned(CleanedSegment),
    /// Everything below was compacted.
    Done { upto: Offset },
}

/// What a compaction takes from a log, at one moment.
#[derive(Debug)]
pub struct CompactionStart {
    directory: Arc<Path>,
    config: LogConfig,
    view: LogView,
    last_records: LastRecords,
    dirt: Dirt,
    settings: CompactionSettings,
}

/// A compaction that is under way.
#[derive(Debug)]
pub struct Compaction {
    directory: Arc<Path>,
    config: LogConfig,
    /// Segments that are read, the oldest first, all of them loaded.
    sources: Vec<SealedSegment>,
    sizes: Vec<SegmentSizes>,
    dirt: Dirt,
    settings: CompactionSettings,
    aborted: Vec<EndedTransaction>,
    last_records: LastRecords,
    stage: Stage,
}

/// Where a walk is: a segment among the sources, and a byte in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    position: u64,
    /// No batch behind it begins before; `None` at the beginning of a segment.
    next: Option<Offset>,
}

impl Place {
    /// The first byte of a segment.
    const fn beginning_of(segment: usize) -> Self {
        Self { segment, position: 0, next: None }
    }

    const fn behind(self, taken: Taken) -> Self {
        let position = self.position + taken.bytes;
        Self { position, next: Some(taken.next), ..self }
    }
}

#[derive(Debug)]
enum Stage {
    Indexing(Place, Box<Indexer>),
    /// What becomes of the segments is known: which of them become one, and which is next.
    Between(Vec<Range<usize>>, Box<Filter>),
    Rewriting(Place, Vec<Range<usize>>, Box<Rewriter>),
    Done(Offset),
    /// A step has failed, or was not waited for.
    Over,
}

impl Log {
    /// What is needed to compact the part that was found dirty.
    #[must_use]
    pub fn compaction(&self, dirt: Dirt, settings: CompactionSettings) -> CompactionStart {
        CompactionStart {
            directory: Arc::clone(self.directory()),
            config: *self.config(),
            view: self.view(),
            last_records: LastRecords::of(self.producers()),
            dirt,
            settings,
        }
    }
}

impl CompactionStart {
    /// Opens what will be read. Whatever an earlier compaction has left incomplete goes.
    ///
    /// # Errors
    /// When the disk refuses, or a segment is damaged.
    pub async fn begin(self, disk: &Arc<dyn Disk>) -> Result<Compaction, CompactionError> {
        let Self { directory, config, view, last_records, dirt, settings } = self;
        let listing = Listing::read(disk, &directory).await?;
        // A start takes them for a sign that what is complete behind them is not.
        SetAside::unfinished(&directory, &listing).remove(disk).await;
        let touched = |sealed: &&SealedSegment| sealed.segment.base < dirt.upto;
        let sources: Vec<SealedSegment> = view.sealed().iter().filter(touched).cloned().collect();
        for source in &sources {
            // Whoever reads from a view of now will find it open when its name is gone.
            source.segment.load(disk).await?;
        }
        let bytes_of = |name: String| listing.len_of(&name).unwrap_or(0);
        let size = |source: &SealedSegment| SegmentSizes {
            base: source.segment.base,
            bytes: source.end,
            index_bytes: bytes_of(index_name(source.segment.base)),
            time_index_bytes: bytes_of(time_index_name(source.segment.base)),
        };
        let sizes = sources.iter().map(size).collect();
        let aborted = aborted_below(disk, &view, dirt.upto).await?;
        let span = usize::try_from(dirt.upto.get() - dirt.from.get()).unwrap_or(usize::MAX);
        // No more keys than records.
        let keys_max = settings.keys_max.min(span);
        let transactions = Transactions::new(aborted.iter().copied());
        let indexer = Indexer::new(dirt.from, keys_max, settings.seeds, transactions);
        let first = sources.partition_point(|source| source.segment.base <= dirt.from);
        let first = first.saturating_sub(1);
        let stage = Stage::Indexing(Place::beginning_of(first), Box::new(indexer));
        let mut compaction = Compaction {
            directory,
            config,
            sources,
            sizes,
            dirt,
            settings,
            aborted,
            last_records,
            stage,
        };
        compaction.skip_to_dirt();
        Ok(compaction)
    }
}

/// The aborted transactions that began below `upto`: all of them have ended, some perhaps behind
/// it.
async fn aborted_below(
    disk: &Arc<dyn Disk>,
    view: &LogView,
    upto: Offset,
) -> Result<Vec<EndedTransaction>, CompactionError> {
    let mut found = Vec::new();
    for segment in view.segments() {
        let aborted = &segment.load(disk).await?.aborted;
        for entry in (0..aborted.len()).map(|at| aborted.get(at)) {
            if entry.first_offset < upto {
                found.push(entry);
            }
            // All that began below had ended by then.
            if segment.base >= upto && entry.last_stable_offset >= upto {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

impl Compaction {
    /// Goes on. Not to be given up in the middle: a step that nobody waits for ends it.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is damaged. The log is as it was then, but for segments
    /// that were put into their places before.
    ///
    /// # Panics
    /// After an error.
    pub async fn step(
        &mut self,
        disk: &Arc<dyn Disk>,
        work: Work<'_>,
    ) -> Result<Step, CompactionError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Indexing(place, indexer) => self.index(disk, work, place, indexer).await,
            Stage::Between(groups, filter) => self.begin_group(disk, groups, filter).await,
            Stage::Rewriting(place, groups, rewriter) => {
                self.rewrite(disk, work, place, groups, rewriter).await
            }
            Stage::Done(upto) => {
                self.stage = Stage::Done(upto);
                Ok(Step::Done { upto })
            }
            Stage::Over => panic!("the step before has failed"),
        }
    }

    /// Removes what is incomplete.
    pub async fn discard(self, disk: &Arc<dyn Disk>) {
        if let Ok(listing) = Listing::read(disk, &self.directory).await {
            SetAside::unfinished(&self.directory, &listing).remove(disk).await;
        }
    }

    /// The first walk begins with the batch that may hold the first dirty offset.
    fn skip_to_dirt(&mut self) {
        let Stage::Indexing(place, _) = &mut self.stage else { return };
        let Some(source) = self.sources.get(place.segment) else { return };
        if let Some(loaded) = source.segment.get() {
            let entry = loaded.index.entry_before(self.dirt.from);
            place.position = entry.map_or(0, |entry| entry.position).min(source.end);
        }
    }

    async fn index(
        &mut self,
        disk: &Arc<dyn Disk>,
        work: Work<'_>,
        place: Place,
        indexer: Box<Indexer>,
    ) -> Result<Step, CompactionError> {
        let Some(source) = self.sources.get(place.segment).filter(|_| !indexer.is_full()) else {
            return Ok(self.on_indexed(*indexer));
        };
        let end = self.end_of(place.segment);
        if place.position >= source.end {
            let mut indexer = indexer;
            indexer.on_segment_end(end);
            let place = Place::beginning_of(place.segment + 1);
            self.stage = Stage::Indexing(place, indexer);
            return Ok(Step::Went { bytes: 0 });
        }
        let chunk = read_chunk(disk, source, place, end).await?;
        let (indexer, taken) = done(work, indexer, chunk, Indexer::feed).await?;
        self.stage = Stage::Indexing(place.behind(taken), indexer);
        Ok(Step::Went { bytes: taken.bytes })
    }

    /// Where the segment behind that one begins.
    fn end_of(&self, segment: usize) -> Offset {
        let next = self.sources.get(segment + 1);
        next.map_or(self.dirt.upto, |next| next.segment.base)
    }

    /// All that memory is given for is known: what lies below is compacted now.
    fn on_indexed(&mut self, indexer: Indexer) -> Step {
        let map = indexer.finish();
        let upto = map.upto();
        let touched = self.sizes.partition_point(|size| size.base < upto);
        let limits = GroupLimits {
            bytes: u64::from(self.config.segment_bytes),
            index_bytes: u64::from(self.config.segment_index_bytes),
        };
        let groups = group(&self.sizes[..touched], limits, self.dirt.upto);
        let filter = Filter {
            map,
            transactions: Transactions::new(self.aborted.drain(..)),
            last_records: std::mem::take(&mut self.last_records),
            upto: self.dirt.upto,
            now: self.settings.now,
            delete_retention: self.settings.delete_retention,
            at_hand: AtHand::default(),
        };
        self.stage = Stage::Between(groups.into_iter().rev().collect(), Box::new(filter));
        Step::Went { bytes: 0 }
    }

    async fn begin_group(
        &mut self,
        disk: &Arc<dyn Disk>,
        groups: Vec<Range<usize>>,
        filter: Box<Filter>,
    ) -> Result<Step, CompactionError> {
        let Some(next) = groups.last() else {
            let upto = filter.map.upto();
            self.stage = Stage::Done(upto);
            return Ok(Step::Done { upto });
        };
        let segment = next.start;
        let base = self.sources[segment].segment.base;
        let path = suffixed(&self.directory.join(segment_file(base, "log")), CLEANED);
        let file = disk.open_file(&path, Open::Ensure).await?;
        disk.truncate_to(&file, 0).await?;
        let output = Output {
            loaded: Loaded::new(base, file),
            tail: SegmentTail::default(),
            interval: self.config.index_interval_bytes,
            unsynced: 0,
        };
        let place = Place::beginning_of(segment);
        self.stage = Stage::Rewriting(place, groups, Box::new(Rewriter { filter, output }));
        Ok(Step::Went { bytes: 0 })
    }

    async fn rewrite(
        &mut self,
        disk: &Arc<dyn Disk>,
        work: Work<'_>,
        place: Place,
        groups: Vec<Range<usize>>,
        rewriter: Box<Rewriter>,
    ) -> Result<Step, CompactionError> {
        let group = groups.last().expect("a segment of it is being written").clone();
        if place.segment == group.end {
            return self.end_group(disk, groups, rewriter).await;
        }
        let source = &self.sources[place.segment];
        if place.position >= source.end {
            let place = Place::beginning_of(place.segment + 1);
            self.stage = Stage::Rewriting(place, groups, rewriter);
            return Ok(Step::Went { bytes: 0 });
        }
        let chunk = read_chunk(disk, source, place, self.end_of(place.segment)).await?;
        let (mut rewriter, taken) = done(work, rewriter, chunk, Rewriter::feed).await?;
        if rewriter.output.unsynced >= SYNC_EVERY {
            let file = Arc::clone(&rewriter.output.loaded.file);
            disk.sync_files(vec![file]).await.map_err(CompactionError::Sync)?;
            rewriter.output.unsynced = 0;
        }
        self.stage = Stage::Rewriting(place.behind(taken), groups, rewriter);
        Ok(Step::Went { bytes: taken.bytes })
    }

    /// The segment is written: its indexes are, too, and all of it is made durable.
    async fn end_group(
        &mut self,
        disk: &Arc<dyn Disk>,
        mut groups: Vec<Range<usize>>,
        rewriter: Box<Rewriter>,
    ) -> Result<Step, CompactionError> {
        let Rewriter { filter, output } = *rewriter;
        let Output { mut loaded, tail, .. } = output;
        tail.seal(&loaded.index);
        let group = groups.pop().expect("its last segment was read");
        let replaces: Vec<Arc<Segment>> =
            self.sources[group].iter().map(|source| Arc::clone(&source.segment)).collect();
        let first = replaces.first().expect("no group is empty");
        let mut files = vec![Arc::clone(&loaded.file)];
        let kinds = write_indexes(disk, &self.directory, (first.base, &loaded), &mut files).await?;
        disk.sync_files(files).await.map_err(CompactionError::Sync)?;
        loaded.stored.entries = loaded.entries();
        let segment = Segment::rewritten(first, &replaces, tail.position, &self.config);
        let thin = loaded.thinned(self.config.sealed_interval_bytes());
        let by = SealedSegment { segment: segment.with(thin), end: tail.position };
        let directory = Arc::clone(&self.directory);
        self.stage = Stage::Between(groups, filter);
        Ok(Step::Cleaned(CleanedSegment { directory, replaces, by, kinds }))
    }
}

/// Writes the index files of a segment; those that there are, the segment's own among them.
async fn write_indexes(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    (base, loaded): (Offset, &Loaded),
    files: &mut Vec<Arc<dyn File>>,
) -> io::Result<Vec<&'static str>> {
    let Entries { offsets, times, aborted } = loaded.entries();
    let mut encoded = vec![
        ("index", loaded.index.encode_offsets(0..offsets)),
        ("timeindex", loaded.index.encode_times(0..times)),
    ];
    if aborted > 0 {
        encoded.push(("txnindex", loaded.aborted.encode(0..aborted)));
    }
    let mut kinds = vec!["log"];
    for (kind, bytes) in encoded {
        let path = suffixed(&directory.join(segment_file(base, kind)), CLEANED);
        let file = disk.open_file(&path, Open::Ensure).await?;
        disk.truncate_to(&file, 0).await?;
        if !bytes.is_empty() {
            file.write_at(0, &[IoSlice::new(&bytes)])?;
        }
        files.push(file);
        kinds.push(kind);
    }
    Ok(kinds)
}

/// Whole batches of a segment, which ends in front of `end`, from a place in it on.
async fn read_chunk(
    disk: &Arc<dyn Disk>,
    source: &SealedSegment,
    place: Place,
    end: Offset,
) -> Result<Chunk, CompactionError> {
    let position = place.position;
    let (segment, left) = (&source.segment, source.end - position);
    let file = &segment.get().expect("it was loaded at the beginning").file;
    let read = async |len: u64| {
        let len = usize::try_from(len).expect("a segment is below 2 GiB");
        let bytes = disk.read_at(file, position, len).await?;
        if bytes.len() < len {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof))
        } else {
            Ok(bytes)
        }
    };
    let mut bytes = read(left.min(CHUNK_BYTES)).await?;
    let damaged = |error: HeaderError| CompactionError::Damaged {
        segment: segment.base,
        position,
        fault: error.into(),
    };
    let first = BatchSpan::parse(&bytes).map_err(damaged)?;
    let size = u64::from(first.size);
    if size > left {
        return Err(damaged(HeaderError::Length { length: first.size.cast_signed() }));
    }
    if size > bytes.len() as u64 {
        bytes = read(size).await?;
    }
    assert!(bytes.len() >= HEADER_BYTES, "a header was parsed");
    let from = place.next.unwrap_or(segment.base);
    Ok(Chunk { segment: segment.base, position, from, end, bytes })
}

/// Has a walk take a chunk, elsewhere.
async fn done<W: Send + 'static>(
    work: Work<'_>,
    mut walk: Box<W>,
    chunk: Chunk,
    feed: fn(&mut W, &Chunk) -> Result<Taken, CompactionError>,
) -> Result<(Box<W>, Taken), CompactionError> {
    let (to, answer) = reply();
    work(Box::new(move || {
        let taken = feed(&mut walk, &chunk);
        to.send(taken.map(|taken| (walk, taken)));
    }));
    let ended = |_| Err(io::Error::other("whoever works has ended").into());
    answer.await.unwrap_or_else(ended)
}

impl SetAside {
    /// What a compaction has left incomplete.
    fn unfinished(directory: &Path, listing: &Listing) -> Self {
        let names = listing.files().map(|entry| &entry.name);
        let left = names.filter(|name| parse_suffixed(name, CLEANED).is_some());
        Self::these(left.map(|name| directory.join(name)).collect())
    }
}
