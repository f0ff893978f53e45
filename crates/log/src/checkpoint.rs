//! Checkpoints: what a log leaves on the disk beside its batches, so that the next start reads the
//! batches behind its recovery point only.
//!
//! The order is the whole of it. A recovery point is a promise that all below it is durable, the
//! files that are derived from it included; so the host syncs the batches, then what
//! [`CheckpointPlan::write`] has written, then the names, and only then writes the recovery point
//! down.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_types::Offset;

use crate::files::snapshot_name;
use crate::restore::Restored;
use crate::segment::{Entries, Segment};
use crate::stored_index::write_entries;
use crate::{LEADER_EPOCH_CHECKPOINT, LeaderEpochCache, Log, LogPosition, Unsynced};

/// A checkpoint at the log's end, as of the moment when it was begun.
#[derive(Debug)]
pub struct CheckpointPlan {
    /// To be synced, and told to [`Log::on_synced`], before [`Self::write`].
    pub unsynced: Option<Unsynced>,
    upto: LogPosition,
    directory: Arc<Path>,
    active: Arc<Segment>,
    /// Index entries of the active segment that its files have not got.
    entries: Range<Entries>,
    /// Bytes of the producers' snapshot, if there is none for that end.
    snapshot: Option<Vec<u8>>,
    epochs: Option<LeaderEpochCache>,
    /// Files of segments that were sealed since, written and not synced.
    derived: Vec<PathBuf>,
}

/// Files of a checkpoint that are in the page cache.
#[derive(Debug)]
pub struct WrittenCheckpoint {
    /// To be synced before [`Self::publish`].
    pub files: Vec<Arc<dyn File>>,
    /// Its names are to be synced after [`Self::publish`].
    pub directory: PathBuf,
    upto: LogPosition,
    segment_base: Offset,
    entries: Entries,
    epochs: Option<LeaderEpochCache>,
    renames: Vec<(PathBuf, PathBuf)>,
}

/// Files that no start will need any more once the recovery point is durable.
#[derive(Debug)]
#[must_use]
pub struct Superseded(Vec<PathBuf>);

/// What a log knows of its checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    recovery_point: Offset,
    /// Bytes behind the recovery point, those included that were there when the log was opened.
    bytes: u64,
    /// Opening had to read what a checkpoint should have told.
    was_incomplete: bool,
    /// What the epochs' file says.
    epochs: LeaderEpochCache,
    /// Index entries of the active segment that are in its files.
    stored: Entries,
    /// The ends of the snapshots that are there.
    snapshots: BTreeSet<Offset>,
    /// Files of sealed segments that were written and not synced.
    derived: Vec<PathBuf>,
    in_flight: Option<InFlight>,
}

/// A checkpoint that was begun.
#[derive(Debug)]
struct InFlight {
    upto: Offset,
    /// Bytes behind the recovery point then.
    bytes: u64,
    derived: Vec<PathBuf>,
}

impl CheckpointPlan {
    /// The recovery point that it leads to.
    #[must_use]
    pub const fn upto(&self) -> LogPosition {
        self.upto
    }

    /// Writes what is derived from the batches, into the page cache only.
    ///
    /// # Errors
    /// When the disk refuses. The recovery point stays where it is then
    /// ([`Log::abandon_checkpoint`]); the log goes on.
    pub async fn write(self, disk: &Arc<dyn Disk>) -> io::Result<WrittenCheckpoint> {
        let Self { directory, active, entries, upto, .. } = self;
        let loaded = active.get().expect("the active segment is open");
        let place = (&*directory, active.base);
        let mut written = WrittenCheckpoint {
            files: write_entries(disk, place, loaded, entries.clone()).await?,
            directory: directory.to_path_buf(),
            upto,
            segment_base: active.base,
            entries: entries.end,
            epochs: self.epochs,
            renames: Vec::new(),
        };
        if let Some(snapshot) = self.snapshot {
            let path = directory.join(snapshot_name(upto.offset));
            written.files.push(write_file(disk, &path, &snapshot).await?);
        }
        if let Some(epochs) = &written.epochs {
            let path = directory.join(LEADER_EPOCH_CHECKPOINT);
            let temporary = directory.join(format!("{LEADER_EPOCH_CHECKPOINT}.tmp"));
            let file = write_file(disk, &temporary, epochs.encode().as_bytes()).await?;
            written.files.push(file);
            written.renames.push((temporary, path));
        }
        for path in self.derived {
            match disk.open_file(&path, Open::Existing).await {
                Ok(file) => written.files.push(file),
                // Its segment was deleted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}

/// Writes a small file, into the page cache only.
pub(crate) async fn write_file(
    disk: &Arc<dyn Disk>,
    path: &Path,
    content: &[u8],
) -> io::Result<Arc<dyn File>> {
    let file = disk.open_file(path, Open::Ensure).await?;
    disk.truncate_to(&file, 0).await?;
    file.write_at(0, &[IoSlice::new(content)])?;
    Ok(file)
}

impl WrittenCheckpoint {
    /// The offset to be written down for the log.
    #[must_use]
    pub const fn recovery_point(&self) -> Offset {
        self.upto.offset
    }

    /// Gives files that replace others their names, once their bytes are durable: a crash leaves
    /// the old or the new ones, never a mixture.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn publish(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        for (from, onto) in &self.renames {
            disk.move_to(from, onto).await?;
        }
        Ok(())
    }

    /// Makes it durable, by itself. A host that has many syncs them together.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn make_durable(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        if !self.files.is_empty() {
            disk.sync_files(self.files.clone()).await?;
        }
        self.publish(disk).await?;
        disk.sync_names(&self.directory).await
    }
}

impl Superseded {
    /// Removes them. No harm is done by those that cannot be removed.
    pub async fn remove(self, disk: &Arc<dyn Disk>) {
        for path in self.0 {
            if let Err(error) = disk.unlink(&path).await
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "superseded file not removed");
            }
        }
    }
}

impl Checkpoints {
    /// Of a log that was just opened, whose active segment has so many index entries in its files.
    pub(crate) fn new(recovery_point: Offset, restored: &Restored, stored: Entries) -> Self {
        Self {
            recovery_point,
            bytes: 0,
            was_incomplete: restored.bytes > 0,
            epochs: restored.stored_epochs.clone(),
            stored,
            snapshots: restored.snapshots.clone(),
            derived: Vec::new(),
            in_flight: None,
        }
    }

    /// The same, with so many bytes behind the recovery point, and files to sync.
    pub(crate) fn with_unsynced(self, bytes: u64, derived: Vec<PathBuf>) -> Self {
        Self { bytes, derived, ..self }
    }

    pub(crate) const fn on_written(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The active segment's entries that are in its files.
    pub(crate) const fn stored(&self) -> Entries {
        self.stored
    }

    /// A new segment has begun; `derived` was written of the one before, with a snapshot or not.
    pub(crate) fn on_rolled(&mut self, derived: Vec<PathBuf>, snapshot: Option<Offset>) {
        self.derived.extend(derived);
        self.stored = Entries::default();
        self.snapshots.extend(snapshot);
    }

    /// Whether a checkpoint at `end` has made a snapshot, or is about to. It is not to be written
    /// again: a recovery point may vouch for it.
    pub(crate) fn has_snapshot_at(&self, end: Offset) -> bool {
        let begun = self.in_flight.as_ref().is_some_and(|begun| begun.upto == end);
        begun || self.snapshots.contains(&end)
    }

    /// The end of the log is about to be taken back to some offset behind `to`.
    pub(crate) fn lower(&mut self, to: Offset) {
        self.recovery_point = self.recovery_point.min(to);
    }

    /// The snapshots that no start will need once there is one for `newest`: Kafka's are at the
    /// beginnings of segments, since it may delete up to there.
    fn take_superseded(&mut self, newest: Offset, bases: &BTreeSet<Offset>) -> Vec<Offset> {
        let older = self.snapshots.range(..newest).filter(|end| !bases.contains(end));
        let superseded: Vec<Offset> = older.copied().collect();
        superseded.iter().for_each(|end| _ = self.snapshots.remove(end));
        superseded
    }
}

impl Log {
    /// Bytes that would be read again if the process died now.
    #[must_use]
    pub const fn uncheckpointed_bytes(&self) -> u64 {
        self.checkpoints.bytes
    }

    /// Everything before it is durable, and so is what is derived from it. What the host writes
    /// into `recovery-point-offset-checkpoint`.
    #[must_use]
    pub const fn recovery_point(&self) -> Offset {
        self.checkpoints.recovery_point
    }

    /// Begins a checkpoint at the log's end. `None` while the log rolls, syncs (so wait for the
    /// sync before) or has another one under way, and when there is nothing new. It ends with
    /// [`Self::on_checkpointed`] or [`Self::abandon_checkpoint`].
    pub fn begin_checkpoint(&mut self) -> Option<CheckpointPlan> {
        if self.is_rolling() || self.is_syncing() || self.is_checkpointing() || !self.has_news() {
            return None;
        }
        let (upto, unsynced) = (self.end(), self.take_unsynced());
        let active = Arc::clone(self.view_of_writer().active());
        let entries = self.checkpoints.stored..self.active().entries();
        let dirty_epochs = *self.leader_epochs() != self.checkpoints.epochs;
        let epochs = dirty_epochs.then(|| self.leader_epochs().clone());
        let is_there = self.checkpoints.snapshots.contains(&upto.offset);
        let wanted = upto.offset > Offset::ZERO && !is_there;
        let snapshot = wanted.then(|| self.producers().encode_snapshot());
        let (directory, checkpoints) = (Arc::clone(self.directory()), &mut self.checkpoints);
        let derived = std::mem::take(&mut checkpoints.derived);
        let bytes = checkpoints.bytes;
        checkpoints.in_flight =
            Some(InFlight { upto: upto.offset, bytes, derived: derived.clone() });
        let plan = CheckpointPlan {
            unsynced,
            upto,
            directory,
            active,
            entries,
            snapshot,
            epochs,
            derived,
        };
        Some(plan)
    }

    /// Whether a checkpoint would have something to write.
    fn has_news(&self) -> bool {
        let checkpoints = &self.checkpoints;
        checkpoints.recovery_point < self.end().offset
            || checkpoints.was_incomplete
            || checkpoints.epochs != *self.leader_epochs()
            || checkpoints.stored != self.active().entries()
            || !checkpoints.derived.is_empty()
            || self.durability.has_unsynced()
    }

    /// As [`Self::begin_checkpoint`], for the last one before the log is closed: the time index
    /// gets Kafka's last entry.
    pub fn begin_closing_checkpoint(&mut self) -> Option<CheckpointPlan> {
        self.seal_times();
        self.begin_checkpoint()
    }

    /// A checkpoint's files and names are durable: its recovery point may be written down. What it
    /// returns is to be removed once that is durable.
    ///
    /// # Panics
    /// If none was begun, or its batches were not synced.
    pub fn on_checkpointed(&mut self, written: WrittenCheckpoint) -> Superseded {
        let (upto, synced_end) = (written.upto, self.synced_end());
        let bases: BTreeSet<Offset> =
            self.view_of_writer().segments().map(|segment| segment.base).collect();
        let active_base = self.view_of_writer().active().base;
        let checkpoints = &mut self.checkpoints;
        let begun = checkpoints.in_flight.take().expect("a checkpoint was begun");
        assert!(checkpoints.recovery_point <= upto.offset, "recovery points only rise");
        assert!(upto.offset <= synced_end.offset, "the batches were synced first");
        checkpoints.bytes -= begun.bytes;
        checkpoints.recovery_point = upto.offset;
        checkpoints.was_incomplete = false;
        if written.segment_base == active_base {
            checkpoints.stored = written.entries;
        }
        if let Some(epochs) = written.epochs {
            checkpoints.epochs = epochs;
        }
        checkpoints.snapshots.insert(upto.offset);
        let superseded = checkpoints.take_superseded(upto.offset, &bases);
        let path = |end: &Offset| written.directory.join(snapshot_name(*end));
        Superseded(superseded.iter().map(path).collect())
    }

    /// A checkpoint that was begun comes to nothing: the next one does its work again.
    ///
    /// # Panics
    /// If none was begun.
    pub fn abandon_checkpoint(&mut self) {
        let begun = self.checkpoints.in_flight.take().expect("a checkpoint was begun");
        self.checkpoints.derived.extend(begun.derived);
    }

    /// Whether a checkpoint was begun and has not ended.
    #[must_use]
    pub const fn is_checkpointing(&self) -> bool {
        self.checkpoints.in_flight.is_some()
    }
}
