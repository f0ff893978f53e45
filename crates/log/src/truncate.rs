//! Taking back what another leader never committed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::Offset;

use crate::files::snapshot_name;
use crate::listing::Listing;
use crate::load::LoadError;
use crate::lookup::Headers;
use crate::stored_index::index_paths;
use crate::{Checkpointed, DormantLog, Log, LookupError, OpenLogError, segment_name};

/// Why a log could not be truncated. It is gone either way; what is on the disk is a prefix of
/// what it was, and can be opened.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    #[error("find where to cut")]
    Find(#[from] LookupError),
    #[error("open the log again")]
    Open(#[from] OpenLogError),
}

impl From<LoadError> for TruncateError {
    fn from(error: LoadError) -> Self {
        Self::Find(error.into())
    }
}

impl From<io::Error> for TruncateError {
    fn from(error: io::Error) -> Self {
        Self::Open(error.into())
    }
}

impl Log {
    /// Takes back every batch that holds `to` or a later offset, and opens what is left. Segments
    /// go first, the last one foremost, so that a crash at any point leaves a prefix. Readers
    /// must have let go of views of what is cut.
    ///
    /// # Errors
    /// When the disk refuses, or the batches on the way are damaged.
    ///
    /// # Panics
    /// If `to` lies before the log's start or its recovery point
    /// ([`Self::lower_recovery_point`]), or a sync is under way.
    pub async fn truncate(self, disk: &Arc<dyn Disk>, to: Offset) -> Result<Self, TruncateError> {
        assert!(to >= self.start_offset(), "what was deleted cannot be truncated");
        assert!(to >= self.recovery_point(), "the recovery point was lowered first");
        assert!(!self.is_syncing(), "the sync's word is waited for first");
        let view = self.view();
        let Some(span) = view.spans(to, self.end()).next().filter(|_| to < self.end().offset)
        else {
            return Ok(self);
        };
        let keep = span.segment.base;
        let kept = span.segment.load(disk).await?;
        let entry = kept.index.entry_before(to);
        let mut headers = Headers::from(disk, (keep, &kept.file), entry, span.end);
        let mut cut_at = span.end;
        while let Some(batch) = headers.next().await? {
            if batch.header.last_offset() >= to {
                cut_at = batch.at;
                break;
            }
        }
        let later = view.segments().map(|segment| segment.base).filter(|base| *base > keep);
        let later: Vec<Offset> = later.collect();
        for base in later.into_iter().rev() {
            disk.unlink(&self.directory().join(segment_name(base))).await?;
            disk.sync_names(self.directory()).await?;
            for path in index_paths(self.directory(), base) {
                remove_if_there(disk, &path).await?;
            }
        }
        for end in Listing::read(disk, self.directory()).await?.snapshots() {
            if end > to {
                disk.unlink(&self.directory().join(snapshot_name(end))).await?;
            }
        }
        disk.truncate_to(&kept.file, cut_at).await?;
        disk.sync_files(vec![Arc::clone(&kept.file)]).await?;
        let known = Checkpointed {
            recovery_point: Some(self.recovery_point()),
            log_start: Some(self.start_offset()),
            ..Checkpointed::default()
        };
        let (directory, config) = (Arc::clone(self.directory()), *self.config());
        drop(self);
        let dormant = DormantLog::survey(disk, &directory, config, known).await?;
        let mut log = dormant.open(disk).await?;
        log.make_durable(disk).await?;
        Ok(log)
    }

    /// Takes the recovery point back, for a truncation to `to`. The host writes it down, durably,
    /// before it truncates: a log that ends before its recovery point does not open.
    pub fn lower_recovery_point(&mut self, to: Offset) {
        let bases = self.view_of_writer().segments().map(|segment| segment.base);
        // The beginning of a segment stays one, wherever the batch begins that holds the offset.
        let holds = bases.filter(|base| *base <= to).last().unwrap_or(to);
        self.checkpoints.lower(holds);
    }
}

async fn remove_if_there(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<()> {
    match disk.unlink(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
