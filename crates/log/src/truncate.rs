//! Taking back what another leader never committed.

use std::sync::Arc;

use ottla_env::{Disk, DiskExt};
use ottla_types::Offset;

use crate::lookup::Headers;
use crate::{Log, LookupError, OpenLogError, ReadError, segment_name};

/// Why a log could not be truncated. It is gone either way; what is on the disk is a prefix of
/// what it was, and can be opened.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    #[error("find where to cut")]
    Find(#[from] LookupError),
    #[error("open the log again")]
    Open(#[from] OpenLogError),
}

impl From<ReadError> for TruncateError {
    fn from(error: ReadError) -> Self {
        Self::Find(error.into())
    }
}

impl From<std::io::Error> for TruncateError {
    fn from(error: std::io::Error) -> Self {
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
    /// If `to` lies before the log's start, or a sync is under way.
    pub async fn truncate(self, disk: &Arc<dyn Disk>, to: Offset) -> Result<Self, TruncateError> {
        assert!(to >= self.start_offset(), "what was deleted cannot be truncated");
        assert!(!self.is_syncing(), "the sync's word is waited for first");
        let view = self.view();
        let Some(span) = view.spans(to, self.end()).next().filter(|_| to < self.end().offset)
        else {
            return Ok(self);
        };
        let keep = span.segment.base;
        let kept = span.segment.load(disk).await?;
        let mut headers = Headers::new(disk, span, kept.index.position_before(to));
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
        }
        disk.truncate_to(&kept.file, cut_at).await?;
        let (directory, config) = (Arc::clone(self.directory()), *self.config());
        Ok(Self::open(Arc::clone(disk), &directory, config).await?)
    }
}
