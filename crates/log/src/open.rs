//! Opening a log for its writer.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::Offset;

use crate::checkpoint::Checkpoints;
use crate::durability::Durability;
use crate::listing::Listing;
use crate::load::LoadError;
use crate::log::Opened;
use crate::recovery::ScanPoint;
use crate::restore::Trusted;
use crate::segment::Segment;
use crate::stored_index::tidy;
use crate::{Checkpointed, DormantLog, Fault, Log, LogConfig, LogPosition, LogView, segment_name};

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    pub segments: usize,
    pub batches: u64,
    pub bytes: u64,
    /// What was cut from the end of the last segment.
    pub torn_tail: Option<TornTail>,
}

/// Bytes that a crash left behind the last good batch. No sync ever covered them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub segment_base: Offset,
    /// Where the first bad byte was, and where the log ends now.
    pub position: u64,
    pub bytes: u64,
    pub fault: Fault,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment_base, position, bytes, fault } = self;
        write!(
            f,
            "a crash tore the end of segment {segment_base}: its last {bytes} bytes are cut off at \
             byte {position} ({fault})"
        )
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error("the disk refuses: {0}")]
    Storage(#[from] io::Error),
    /// It was durable before its successor was made, so this is no trace of a crash. Nothing is
    /// cut: a person, or a replica, has to decide.
    #[error("segment {segment_base} is corrupt at byte {position}: {fault}")]
    Corrupt { segment_base: Offset, position: u64, fault: Fault },
    /// Written by a Kafka before 0.11. It is no torn tail, so it is not cut.
    #[error("segment {segment_base} has a message of an old format at byte {position}")]
    OldFormat { segment_base: Offset, position: u64 },
    /// What was durable is gone, or the directory belongs to another log than the recovery point.
    #[error("the log ends at {end}, but was durable up to {recovery_point}")]
    BelowRecoveryPoint { end: Offset, recovery_point: Offset },
    /// Somebody has written to the log between a clean stop and now.
    #[error("the log was stopped cleanly at {end:?}, but its batches do not end there")]
    NotAsStopped { end: LogPosition },
    /// A process was killed in a compaction, between two renames: the only copy of some records
    /// bears a name that is no segment's. [`DormantLog::survey`] completes it.
    #[error("a compaction was interrupted: {file} is not in its place")]
    InterruptedCompaction { file: String },
    #[error("segment {segment_base} begins before offset {expected}, where the one before it ends")]
    Overlap { segment_base: Offset, expected: Offset },
}

impl From<LoadError> for OpenLogError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Storage(error) => Self::Storage(error),
            LoadError::Damaged { segment: segment_base, position, fault } => {
                Self::Corrupt { segment_base, position, fault }
            }
        }
    }
}

impl Log {
    /// Opens the log in `directory`, or makes one, with nothing known about it: reads every batch,
    /// cuts off what a crash tore, and makes durable what it found.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is bad that no crash can have torn.
    pub async fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: LogConfig,
    ) -> Result<Self, OpenLogError> {
        let known = Checkpointed::default();
        let dormant = DormantLog::survey(&disk, directory, config, known).await?;
        let mut log = dormant.open(&disk).await?;
        log.make_durable(&disk).await?;
        Ok(log)
    }
}

impl DormantLog {
    /// Opens the files that a writer needs, making them if they are missing, and reads what the
    /// checkpoints do not vouch for; a torn tail is cut off. Syncs nothing: bytes of a process that
    /// was killed, and names, may be in the page cache alone, and are what
    /// [`Log::take_unsynced`] gives first. Until that is done, [`Log::synced_end`] is where the
    /// checkpoints end.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is bad that no crash can have torn.
    pub async fn open(mut self, disk: &Arc<dyn Disk>) -> Result<Log, OpenLogError> {
        if self.is_new {
            disk.make_dir(&self.directory).await?;
        }
        let listing = match self.listing.take() {
            Some(listing) => listing,
            None => Listing::read(disk, &self.directory).await?,
        };
        let mut opened = match self.settled {
            Some(end) => self.open_settled(disk, &listing, end).await?,
            None => self.recover(disk, &listing).await?,
        };
        if opened.end_offset < self.start_offset() {
            self = self.start_over(disk, &listing).await?;
            opened = self.open_settled(disk, &listing, self.end()).await?;
        }
        if let Some(torn) = &opened.report.torn_tail {
            tracing::warn!("{}: {torn}", self.directory.display());
        }
        let Self { directory, config, .. } = self;
        Ok(Log::opened(directory, config, opened))
    }

    /// All that is left of the log was deleted, and what it went on with was lost: it begins anew
    /// where it was to begin.
    async fn start_over(self, disk: &Arc<dyn Disk>, listing: &Listing) -> io::Result<Self> {
        let start = self.start_offset();
        tracing::warn!("{}: the log ends before its start {start}", self.directory.display());
        for (base, _) in listing.segments().into_iter().rev() {
            disk.unlink(&self.directory.join(segment_name(base))).await?;
        }
        let active = Arc::new(Segment::active(&self.directory, start, 0, &self.config));
        let view = LogView::new(start, Vec::new(), active);
        let settled = Some(LogPosition::beginning_of(start));
        Ok(Self { view, settled, is_new: true, ..self })
    }

    async fn open_settled(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        end: LogPosition,
    ) -> Result<Opened, OpenLogError> {
        let active = self.view.active();
        let loaded = active.load(disk).await?;
        let point = active.walk_tail(disk, loaded, None).await?;
        let agrees = |point: &ScanPoint| {
            (point.next_offset, point.tail.position) == (end.offset, end.position)
        };
        let point = point.filter(agrees).ok_or(OpenLogError::NotAsStopped { end })?;
        tidy(disk, (&self.directory, active.base), loaded.stored).await?;
        let segment = self.view.sealed().len();
        let trusted = Trusted { upto: end.offset, segment, loaded, point };
        let restored = self.restore(disk, listing, trusted).await?;
        let directories = if self.is_new { self.directories() } else { Vec::new() };
        Ok(Opened {
            view: self.view(),
            tail: point.tail,
            end_offset: end.offset,
            durability: Durability::settled(end, directories),
            checkpoints: Checkpoints::new(end.offset, &restored, loaded.stored.entries),
            report: RecoveryReport {
                segments: segment + 1,
                batches: restored.rebuilt.batches,
                bytes: restored.bytes,
                torn_tail: None,
            },
            epochs: restored.rebuilt.epochs,
            producers: restored.rebuilt.producers,
        })
    }
}
