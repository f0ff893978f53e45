//! The one writer of a partition.

use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::File;
use ottla_records::{BatchHeader, CheckedBatch, EndTransactionMarker};
use ottla_types::planted::{self, Bug};
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::append_run::Ahead;
use crate::checkpoint::Checkpoints;
use crate::durability::Durability;
use crate::open::RecoveryReport;
use crate::segment::{Loaded, SegmentTail};
use crate::view::SealedSegment;
use crate::{
    Admission, FreshSegment, LeaderEpochCache, LogConfig, LogView, ProducerError, ProducerState,
    RollPlan, SegmentFacts, StaleEpoch,
};

/// A place between two batches: Kafka calls it `LogOffsetMetadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPosition {
    pub offset: Offset,
    /// The first offset of the segment.
    pub segment_base: Offset,
    /// Bytes before it in the segment.
    pub position: u64,
}

impl LogPosition {
    /// The first byte of a segment.
    pub(crate) const fn beginning_of(segment_base: Offset) -> Self {
        Self { offset: segment_base, segment_base, position: 0 }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is the new end of the log.
    New { base_offset: Offset, last_offset: Offset },
    /// It was there already: the producer sent it again.
    Duplicate { base_offset: Offset, last_offset: Offset, timestamp: Option<Timestamp> },
}

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the segment is full: roll, then append again")]
    NeedsRoll,
    #[error("a batch of {size} bytes does not fit into a segment of {max}")]
    LargerThanSegment { size: u32, max: u32 },
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error(transparent)]
    Epoch(#[from] StaleEpoch),
    /// How much was written is unknown. It has to be cut off ([`Log::cut_plan`]); nothing is
    /// appended before that.
    #[error("no space for the log: {0}")]
    Full(#[source] io::Error),
    #[error("what a full disk left of an earlier batch is not cut off yet")]
    NeedsCut,
    /// How much was written is unknown, so nothing can be appended until the log is opened again.
    #[error("write to the log: {0}")]
    Storage(#[from] io::Error),
    #[error("an earlier write or sync failed; the log must be opened again")]
    Dead,
}

/// One partition on disk.
#[derive(Debug)]
pub struct Log {
    directory: Arc<Path>,
    config: LogConfig,
    view: LogView,
    tail: SegmentTail,
    end_offset: Offset,
    health: Health,
    epochs: LeaderEpochCache,
    producers: ProducerState,
    pub(crate) durability: Durability,
    pub(crate) checkpoints: Checkpoints,
    recovery: RecoveryReport,
}

/// Whether the log takes batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Open,
    /// A successor of the active segment is being made.
    Rolling,
    /// Behind the last good append the file holds what a full disk took of another.
    NeedsCut,
    /// What the file holds behind the last good append is unknown.
    Dead,
}

/// What opening hands to a log.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) view: LogView,
    pub(crate) tail: SegmentTail,
    pub(crate) end_offset: Offset,
    pub(crate) epochs: LeaderEpochCache,
    pub(crate) producers: ProducerState,
    pub(crate) durability: Durability,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) report: RecoveryReport,
}

impl Log {
    pub(crate) fn opened(directory: Arc<Path>, config: LogConfig, from: Opened) -> Self {
        assert!(from.view.active().get().is_some(), "a writer has its segment open");
        Self {
            directory,
            config,
            view: from.view,
            tail: from.tail,
            end_offset: from.end_offset,
            health: Health::Open,
            epochs: from.epochs,
            producers: from.producers,
            durability: from.durability,
            checkpoints: from.checkpoints,
            recovery: from.report,
        }
    }

    pub(crate) const fn directory(&self) -> &Arc<Path> {
        &self.directory
    }

    pub(crate) const fn config(&self) -> &LogConfig {
        &self.config
    }

    /// From here on the log has these settings; what was written stays as it is. A segment that is
    /// being made has the former ones.
    pub const fn configure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// At how many bytes a segment is full: no batch may have more.
    #[must_use]
    pub const fn segment_bytes(&self) -> u32 {
        self.config.segment_bytes
    }

    pub(crate) fn is_rolling(&self) -> bool {
        self.health == Health::Rolling
    }

    pub(crate) const fn view_of_writer(&self) -> &LogView {
        &self.view
    }

    /// Makes the time index's last entry, as if no batch would follow.
    pub(crate) fn seal_times(&self) {
        self.tail.seal(&self.active().index);
    }

    pub(crate) fn active(&self) -> &Loaded {
        self.view.active().get().expect("a writer has its segment open")
    }

    /// The oldest offset.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        self.view.start_offset()
    }

    /// The log's end; the next record gets its offset.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        LogPosition {
            offset: self.end_offset,
            segment_base: self.view.active().base,
            position: self.tail.position,
        }
    }

    /// For readers.
    #[must_use]
    pub fn view(&self) -> LogView {
        self.view.clone()
    }

    /// Where each epoch begins.
    #[must_use]
    pub const fn leader_epochs(&self) -> &LeaderEpochCache {
        &self.epochs
    }

    /// What each producer wrote last.
    #[must_use]
    pub const fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// Forgets producers that wrote nothing for `idle`: `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp, idle: Duration) {
        self.producers.expire(now, idle);
    }

    /// How far a consumer may read that wants committed records only, when every consumer may
    /// read up to `high_watermark`.
    pub fn last_stable_offset(&mut self, high_watermark: Offset) -> Offset {
        self.producers.on_high_watermark(high_watermark);
        // A transaction may be open whose beginning was deleted.
        self.producers.last_stable_offset(high_watermark).max(self.start_offset())
    }

    /// What opening it found.
    #[must_use]
    pub const fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// Appends a batch: gives it the next offsets and the leader's epoch, and writes it into the
    /// page cache. Nothing of it is copied but the header. A batch that its producer sent before
    /// is recognised and not written again.
    ///
    /// # Errors
    /// Without an effect, except that after [`AppendError::Storage`] the log is dead, and after
    /// [`AppendError::Full`] it needs a cut.
    pub fn append(
        &mut self,
        batch: &CheckedBatch<'_>,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if self.health == Health::Dead {
            return Err(AppendError::Dead);
        }
        match self.producers.check(batch.header())? {
            Admission::New => self.append_new(batch, epoch, now),
            Admission::Duplicate(same) => Ok(Appended::Duplicate {
                base_offset: if planted::is(Bug::DuplicateAnsweredWithWrongOffset) {
                    self.end_offset
                } else {
                    same.base_offset
                },
                last_offset: same.last_offset,
                timestamp: same.timestamp,
            }),
        }
    }

    fn append_new(
        &mut self,
        batch: &CheckedBatch<'_>,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let (size, max) = (batch.size(), self.config.segment_bytes);
        if size > max {
            return Err(AppendError::LargerThanSegment { size, max });
        }
        if let Some(latest) = self.epochs.latest().filter(|latest| epoch < *latest) {
            return Err(StaleEpoch { epoch, latest }.into());
        }
        if self.health == Health::NeedsCut {
            return Err(AppendError::NeedsCut);
        }
        let full = |log: &Self| log.is_full_for(batch.header(), now, Ahead::NONE);
        if self.health == Health::Rolling || full(self) {
            self.health = Health::Rolling;
            return Err(AppendError::NeedsRoll);
        }
        let base_offset = self.end_offset;
        self.write(batch, epoch)?;
        let header = BatchHeader { base_offset, leader_epoch: Some(epoch), ..*batch.header() };
        self.on_written(&header, epoch, batch.marker());
        Ok(Appended::New { base_offset, last_offset: header.last_offset() })
    }

    fn write(&mut self, batch: &CheckedBatch<'_>, epoch: LeaderEpoch) -> Result<(), AppendError> {
        let head = batch.head_at(self.end_offset, epoch);
        self.write_parts(&[IoSlice::new(&head), IoSlice::new(batch.section())])
    }

    /// Writes behind the last batch.
    pub(crate) fn write_parts(&mut self, parts: &[IoSlice<'_>]) -> Result<(), AppendError> {
        let written = self.active().file.write_at(self.tail.position, parts);
        written.map_err(|error| {
            let no_space =
                matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            self.health = if no_space { Health::NeedsCut } else { Health::Dead };
            if no_space { AppendError::Full(error) } else { AppendError::Storage(error) }
        })
    }

    pub(crate) const fn health(&self) -> Health {
        self.health
    }

    pub(crate) fn active_file(&self) -> Arc<dyn File> {
        Arc::clone(&self.active().file)
    }

    /// What a full disk left behind the log's end is gone.
    ///
    /// # Panics
    /// If no append asked for it.
    pub fn on_cut(&mut self) {
        assert!(self.health == Health::NeedsCut, "an append asked for a cut");
        self.health = Health::Open;
    }

    /// A batch is in the file.
    pub(crate) fn on_written(
        &mut self,
        header: &BatchHeader,
        epoch: LeaderEpoch,
        marker: Option<EndTransactionMarker>,
    ) {
        let active = self.view.active().get().expect("a writer has its segment open");
        let bytes = u64::from(header.size);
        self.durability.on_written(&active.file, bytes);
        self.checkpoints.on_written(bytes);
        self.tail.push(&active.index, header, self.config.index_interval_bytes);
        self.end_offset = header.last_offset().next();
        self.epochs.assign(epoch, header.base_offset).expect("an older epoch was refused");
        active.on_ended(self.producers.on_appended(header, marker));
    }

    /// Kafka's reasons to roll before a batch, which is not the next one but follows those `ahead`.
    pub(crate) fn is_full_for(
        &self,
        batch: &BatchHeader,
        now: Timestamp,
        ahead: Ahead<'_>,
    ) -> bool {
        let position = self.tail.position + ahead.bytes;
        let end = ahead.headers.last().map_or(self.end_offset, |last| last.last_offset().next());
        let relative = end.get() - self.view.active().base.get();
        let room = u64::from(self.config.segment_bytes).saturating_sub(position);
        let time = batch.max_timestamp.unwrap_or(now).millis();
        let first = || ahead.headers.iter().find_map(|batch| batch.max_timestamp);
        let first = self.tail.first_timestamp.or_else(first);
        let age = first.map_or(0, |first| time.saturating_sub(first.millis()));
        let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
        let age_max = self.config.age_max(&self.directory, self.view.active().base);
        // Those ahead have an entry each at the most.
        let entries = ahead.headers.len();
        u64::from(batch.size) > room
            || (position > 0 && age > age_max)
            || (position > 0
                && self.active().index.is_full(self.config.segment_index_bytes, entries))
            || relative + i64::from(batch.last_offset_delta) > i64::from(i32::MAX)
    }

    /// Asks for a successor of the active segment, as an append does that finds no room: since all
    /// that it holds may go, say. False, and nothing is asked for, if it is empty, or if the log
    /// takes no batch now.
    pub fn begin_roll(&mut self) -> bool {
        let may = self.health == Health::Open && self.tail.position > 0;
        if may {
            self.health = Health::Rolling;
        }
        may
    }

    /// What is known of the segment that is appended to.
    #[must_use]
    pub fn active_facts(&self) -> SegmentFacts {
        SegmentFacts {
            base: self.view.active().base,
            bytes: self.tail.position,
            newest: self.tail.max_timestamp.map(|max| max.timestamp),
        }
    }

    /// Another view of the same log, which starts at `start`.
    pub(crate) fn set_view(&mut self, view: LogView, start: Offset) {
        assert_eq!(view.active().base, self.view.active().base, "only old segments may go");
        self.view = view;
        self.epochs.truncate_from_start(start);
    }

    /// How to make a successor of the active segment, once [`AppendError::NeedsRoll`] was
    /// answered, or [`Self::begin_roll`]: from then on, until [`Self::roll`] or
    /// [`Self::abandon_roll`], nothing else is, and no sync is handed out.
    ///
    /// Wait for a sync that is under way ([`Self::is_syncing`]) before: if it fails, the success of
    /// the plan's own proves nothing, and a successor behind missing bytes leaves a hole.
    ///
    /// # Panics
    /// If no append asked for it.
    #[must_use]
    pub fn roll_plan(&self) -> RollPlan {
        assert!(self.health == Health::Rolling, "an append asked for a roll");
        assert!(self.tail.position > 0, "an empty segment takes any batch that fits");
        self.seal_times();
        let wanted = !self.checkpoints.has_snapshot_at(self.end_offset);
        RollPlan {
            directory: Arc::clone(&self.directory),
            base: self.end_offset,
            full: Arc::clone(self.view.active()),
            full_bytes: self.tail.position,
            config: self.config,
            entries: self.checkpoints.stored()..self.active().entries(),
            snapshot: wanted.then(|| self.producers.encode_snapshot()),
        }
    }

    /// Goes on in a fresh segment. The old one is durable, by the way in which the fresh one was
    /// made; but while a sync is under way whose outcome is not known, its word is waited for:
    /// after one that fails, the success of another proves nothing.
    pub fn roll(&mut self, fresh: FreshSegment) {
        assert_eq!(fresh.segment.base, self.end_offset, "nothing was appended since the plan");
        assert!(self.health == Health::Rolling, "an append asked for a roll");
        let mut sealed = self.view.sealed().to_vec();
        let snapshot = fresh.has_snapshot.then_some(self.end_offset);
        self.checkpoints.on_rolled(fresh.derived, snapshot);
        sealed.push(SealedSegment { segment: fresh.sealed, end: self.tail.position });
        self.view = LogView::new(self.view.start_offset(), sealed, fresh.segment);
        self.tail = SegmentTail::default();
        self.health = Health::Open;
        // The old file stays listed: the host counts the bytes of a sync, and tells its waiters of
        // it, when it has taken that sync itself.
        if !self.durability.is_syncing() {
            self.durability.synced_end = self.end();
        }
    }

    /// There is no fresh segment: the next append asks for a roll again.
    ///
    /// # Panics
    /// If no append asked for it.
    pub fn abandon_roll(&mut self) {
        assert!(self.health == Health::Rolling, "an append asked for a roll");
        self.health = Health::Open;
    }

    /// The sync that was taken last has failed: what is durable is unknown for ever. The log takes
    /// no batch any more.
    pub fn on_sync_failed(&mut self) {
        self.health = Health::Dead;
    }
}
