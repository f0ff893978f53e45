//! Rolling: the active segment is sealed and a fresh one takes its place.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use crate::checkpoint::write_file;
use crate::files::snapshot_name;
use crate::segment::{Entries, Loaded, Segment};
use crate::stored_index::{index_paths, write_entries};
use crate::{LogConfig, segment_name};

/// What has to be done on the disk before a log can go on in a fresh segment. Appends are refused
/// until then.
#[derive(Clone, Debug)]
pub struct RollPlan {
    pub(crate) directory: Arc<Path>,
    pub(crate) base: Offset,
    /// The segment that is full, with its last index entries.
    pub(crate) full: Arc<Segment>,
    pub(crate) full_bytes: u64,
    pub(crate) config: LogConfig,
    /// Index entries of the full segment that its files have not got.
    pub(crate) entries: Range<Entries>,
    /// Bytes of the producers' snapshot, unless a checkpoint at the same end has made it.
    pub(crate) snapshot: Option<Vec<u8>>,
}

/// A segment that exists, durably, and holds nothing; what came before it is durable in full.
#[derive(Debug)]
pub struct FreshSegment {
    pub(crate) segment: Arc<Segment>,
    /// The full one, as it is kept from now on.
    pub(crate) sealed: Arc<Segment>,
    /// Files that are derived from it: written, and left to the next checkpoint to sync.
    pub(crate) derived: Vec<PathBuf>,
    /// A snapshot of the producers is among them.
    pub(crate) has_snapshot: bool,
}

/// Why there is no fresh segment.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    /// What is durable of the old one is unknown for ever: its log is dead
    /// ([`Log::on_sync_failed`](crate::Log::on_sync_failed)), and so is the log directory.
    #[error("sync the old segment or the directory: {0}")]
    Sync(#[source] io::Error),
    /// The disk may be full; another plan may be tried later.
    #[error("make a new segment, or write the indexes of the old one: {0}")]
    Create(#[source] io::Error),
}

impl RollPlan {
    /// Makes the old segment durable, then the new one and its name. In this order: recovery
    /// takes a torn segment that has a successor for corruption.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn prepare(self, disk: &Arc<dyn Disk>) -> Result<FreshSegment, RollError> {
        let full = self.full.get().expect("the active segment is open");
        disk.sync_files(vec![Arc::clone(&full.file)]).await.map_err(RollError::Sync)?;
        let derived = self.write_derived(disk, full).await.map_err(RollError::Create)?;
        let path = self.directory.join(segment_name(self.base));
        // An earlier try may have left the file behind; it is empty.
        let file = disk.open_file(&path, Open::Ensure).await.map_err(RollError::Create)?;
        if !planted::is(Bug::SegmentNameNotSynced) {
            disk.sync_names(&self.directory).await.map_err(RollError::Sync)?;
        }
        let Self { directory, config, .. } = &self;
        let sealed = Segment::sealed(directory, self.full.base, self.full_bytes, config);
        let thin = full.thinned(config.sealed_interval_bytes());
        let fresh = Segment::active(directory, self.base, 0, config);
        Ok(FreshSegment {
            segment: fresh.with(Loaded::new(self.base, file)),
            sealed: sealed.with(thin),
            derived,
            has_snapshot: self.snapshot.is_some(),
        })
    }

    /// Writes what Kafka has beside a segment that is full, into the page cache only: until the
    /// next checkpoint has synced it, recovery would read the segment again.
    async fn write_derived(&self, disk: &Arc<dyn Disk>, full: &Loaded) -> io::Result<Vec<PathBuf>> {
        let (directory, base) = (&*self.directory, self.full.base);
        // Nothing is synced here, so what has to be is left to whoever loads the segment next.
        if !(full.stored.disproved && self.entries.start == Entries::default()) {
            write_entries(disk, (directory, base), full, self.entries.clone()).await?;
        }
        let mut derived = index_paths(directory, base).to_vec();
        if let Some(snapshot) = &self.snapshot {
            let path = directory.join(snapshot_name(self.base));
            write_file(disk, &path, snapshot).await?;
            derived.push(path);
        }
        Ok(derived)
    }
}
