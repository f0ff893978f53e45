//! What a reader has to wait for.

use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File};

use crate::ReadError;
use crate::segment::Segment;

/// What an answer needs and has not got: have it warmed, then ask again.
#[derive(Clone, Debug)]
pub enum Cold {
    /// Bytes that are not in the page cache.
    Pages(ColdRange),
    /// A segment that nobody has looked at since the start.
    Segment(UnloadedSegment),
}

/// Bytes that have to come from the device.
#[derive(Clone, Debug)]
pub struct ColdRange {
    pub file: Arc<dyn File>,
    pub at: u64,
    pub len: usize,
}

/// A segment whose file is not open.
#[derive(Clone, Debug)]
pub struct UnloadedSegment(Arc<Segment>);

impl Cold {
    pub(crate) fn segment(segment: &Arc<Segment>) -> Self {
        Self::Segment(UnloadedSegment(Arc::clone(segment)))
    }

    /// Waits for the device.
    ///
    /// # Errors
    /// When it cannot read, or what it reads cannot be used: asking again would not help.
    pub async fn warm(&self, disk: &Arc<dyn Disk>) -> Result<(), ReadError> {
        match self {
            Self::Pages(ColdRange { file, at, len }) => {
                disk.read_at(file, *at, *len).await?;
            }
            Self::Segment(UnloadedSegment(segment)) => {
                segment.load(disk).await?;
            }
        }
        Ok(())
    }

    /// Whether warming one would have warmed the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Pages(one), Self::Pages(other)) => {
                Arc::ptr_eq(&one.file, &other.file) && one.at == other.at
            }
            (Self::Segment(one), Self::Segment(other)) => Arc::ptr_eq(&one.0, &other.0),
            (Self::Pages(_), Self::Segment(_)) | (Self::Segment(_), Self::Pages(_)) => false,
        }
    }
}
