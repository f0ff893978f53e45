//! Cutting off what a full disk left of a batch.

use std::io;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File};

use crate::Log;

/// What has to be done on the disk before a log takes batches again that ran out of space in the
/// middle of one.
#[derive(Clone, Debug)]
pub struct CutPlan {
    file: Arc<dyn File>,
    end: u64,
}

impl CutPlan {
    /// Cuts the segment behind its last whole batch, durably: what a crash brought back behind
    /// later batches would look like a hole among them.
    ///
    /// # Errors
    /// When the disk refuses; what it holds of the segment is then unknown for ever, and the log
    /// is dead ([`Log::on_sync_failed`]).
    pub async fn perform(self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        disk.truncate_to(&self.file, self.end).await?;
        disk.sync_files(vec![self.file]).await
    }
}

impl Log {
    /// How to cut off what an append left that was answered
    /// [`AppendError::Full`](crate::AppendError::Full); [`Log::on_cut`] when it is done. Readers
    /// and syncs need not wait: no bound and no synced end reaches behind the last whole batch.
    #[must_use]
    pub fn cut_plan(&self) -> CutPlan {
        CutPlan { file: self.active_file(), end: self.end().position }
    }
}
