//! Checkpoints: what a log leaves on the disk beside its batches, so that the next start reads the
//! batches behind its recovery point only.
//!
//! The order is the whole of it. A recovery point is a promise that all below it is durable, the
//! files that are derived from it included; so the host syncs the batches, then what
//! [`CheckpointPlan::write`] has written, then the names, and only then writes the recovery point
//! down.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_types::Offset;

use crate::{LEADER_EPOCH_CHECKPOINT, LeaderEpochCache, Log, LogPosition, Unsynced};

/// A checkpoint at the log's end, as of the moment when it was begun.
#[derive(Debug)]
pub struct CheckpointPlan {
    /// To be synced, and told to [`Log::on_synced`], before [`Self::write`].
    pub unsynced: Option<Unsynced>,
    upto: LogPosition,
    directory: Arc<Path>,
    epochs: Option<LeaderEpochCache>,
}

/// Files of a checkpoint that are in the page cache.
#[derive(Debug)]
pub struct WrittenCheckpoint {
    /// To be synced before [`Self::publish`].
    pub files: Vec<Arc<dyn File>>,
    /// Its names are to be synced after [`Self::publish`].
    pub directory: PathBuf,
    upto: LogPosition,
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
    /// What the epochs' file says.
    epochs: LeaderEpochCache,
    /// Bytes behind the recovery point when the checkpoint under way was begun.
    in_flight: Option<u64>,
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
        let mut written = WrittenCheckpoint {
            files: Vec::new(),
            directory: self.directory.to_path_buf(),
            upto: self.upto,
            epochs: self.epochs,
            renames: Vec::new(),
        };
        if let Some(epochs) = &written.epochs {
            let path = self.directory.join(LEADER_EPOCH_CHECKPOINT);
            let temporary = self.directory.join(format!("{LEADER_EPOCH_CHECKPOINT}.tmp"));
            let file = disk.open_file(&temporary, Open::Ensure).await?;
            disk.truncate_to(&file, 0).await?;
            file.write_at(0, &[IoSlice::new(epochs.encode().as_bytes())])?;
            written.files.push(file);
            written.renames.push((temporary, path));
        }
        Ok(written)
    }
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
    pub(crate) const fn new(recovery_point: Offset, bytes: u64, epochs: LeaderEpochCache) -> Self {
        Self { recovery_point, bytes, epochs, in_flight: None }
    }

    pub(crate) const fn on_written(&mut self, bytes: u64) {
        self.bytes += bytes;
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

    /// Begins a checkpoint at the log's end. `None` while the log rolls, syncs (so wait for the sync
    /// before) or has another one under way, and when there is nothing new. It ends with
    /// [`Self::on_checkpointed`] or [`Self::abandon_checkpoint`].
    pub fn begin_checkpoint(&mut self) -> Option<CheckpointPlan> {
        let upto = self.end();
        let dirty_epochs = *self.leader_epochs() != self.checkpoints.epochs;
        let news =
            self.recovery_point() < upto.offset || dirty_epochs || self.durability.has_unsynced();
        if self.is_rolling() || self.is_syncing() || self.is_checkpointing() || !news {
            return None;
        }
        self.checkpoints.in_flight = Some(self.checkpoints.bytes);
        Some(CheckpointPlan {
            unsynced: self.take_unsynced(),
            upto,
            directory: Arc::clone(self.directory()),
            epochs: dirty_epochs.then(|| self.leader_epochs().clone()),
        })
    }

    /// As [`Self::begin_checkpoint`], for the last one before the log is closed: what Kafka writes
    /// when it closes a log is among it.
    pub fn begin_closing_checkpoint(&mut self) -> Option<CheckpointPlan> {
        self.begin_checkpoint()
    }

    /// A checkpoint's files and names are durable: its recovery point may be written down. What it
    /// returns is to be removed once that is durable.
    ///
    /// # Panics
    /// If none was begun.
    pub fn on_checkpointed(&mut self, written: WrittenCheckpoint) -> Superseded {
        let checkpoints = &mut self.checkpoints;
        let bytes = checkpoints.in_flight.take().expect("a checkpoint was begun");
        assert!(checkpoints.recovery_point <= written.upto.offset, "recovery points only rise");
        assert!(
            written.upto.offset <= self.durability.synced_end.offset,
            "the batches were synced first"
        );
        checkpoints.bytes -= bytes;
        checkpoints.recovery_point = written.upto.offset;
        if let Some(epochs) = written.epochs {
            checkpoints.epochs = epochs;
        }
        Superseded(Vec::new())
    }

    /// A checkpoint that was begun comes to nothing: the next one does its work again.
    ///
    /// # Panics
    /// If none was begun.
    pub fn abandon_checkpoint(&mut self) {
        let begun = self.checkpoints.in_flight.take();
        assert!(begun.is_some(), "a checkpoint was begun");
    }

    /// Whether a checkpoint was begun and has not ended.
    #[must_use]
    pub const fn is_checkpointing(&self) -> bool {
        self.checkpoints.in_flight.is_some()
    }
}
