//! Loading a segment: its index files where the batches bear them out, the batches themselves
//! where not.

use std::io;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_types::Offset;

use crate::listing::Listing;
use crate::lookup::{Headers, WalkedBatch};
use crate::recovery::{Rebuilt, RecoveryScan, ScanPoint};
use crate::restore::producers_at;
use crate::scan::{ScannedFile, scan};
use crate::segment::{Loaded, Segment, SegmentTail, Stored};
use crate::stored_index::{StoredIndex, has_entries, write_all};
use crate::walk::HeaderWalk;
use crate::{Fault, LeaderEpochCache, ProducerState, ReadError};

/// How much further apart index entries may be than they are made before they count as missing:
/// an Apache broker begins to count anew whenever it starts.
const GAP_MAX: u64 = 16;

/// Why a segment cannot be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    Storage(io::Error),
    Damaged { segment: Offset, position: u64, fault: Fault },
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Storage(error)
    }
}

impl From<LoadError> for ReadError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Storage(error) => Self::Storage(error),
            LoadError::Damaged { segment, position, fault } => {
                Self::Damaged { segment, position, fault }
            }
        }
    }
}

/// The front of a segment.
#[derive(Debug)]
pub(crate) struct Front {
    /// With all index entries of the front.
    pub(crate) loaded: Loaded,
    /// Where it ends.
    pub(crate) point: ScanPoint,
}

impl Segment {
    /// The open segment: opened now, unless somebody has done so before.
    pub(crate) async fn load(&self, disk: &Arc<dyn Disk>) -> Result<&Loaded, LoadError> {
        if let Some(loaded) = self.get() {
            return Ok(loaded);
        }
        let listing = Listing::read(disk, &self.directory).await?;
        let Front { loaded, point } = self.load_front(disk, &listing, None).await?;
        if self.thinned_to.is_some() {
            point.tail.seal(&loaded.index);
            self.mend(disk, &loaded).await;
        }
        Ok(self.set(loaded))
    }

    /// Writes the index files of a sealed segment anew if they could not be used.
    async fn mend(&self, disk: &Arc<dyn Disk>, loaded: &Loaded) {
        if loaded.stored.entries.offsets < loaded.entries().offsets
            && let Err(error) = write_all(disk, (&self.directory, self.base), loaded).await
        {
            tracing::info!(segment = %self.path().display(), %error, "indexes not written");
        }
    }

    /// Opens the segment as far as the batches that end below `upto`, all of which are whole.
    pub(crate) async fn load_front(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        upto: Option<Offset>,
    ) -> Result<Front, LoadError> {
        // The first segment of a new log may not have been made yet.
        let how = if self.thinned_to.is_some() { Open::Existing } else { Open::Ensure };
        let file = disk.open_file(&self.path(), how).await?;
        if self.surveyed == 0 || upto.is_some_and(|upto| upto <= self.base) {
            let mut loaded = Loaded::new(self.base, file);
            loaded.stored.excess = has_entries(listing, self.base);
            return Ok(Front { loaded, point: ScanPoint::beginning_of(self.base) });
        }
        if let Some(front) = self.load_stored(disk, listing, &file, upto).await? {
            return Ok(front);
        }
        tracing::info!(segment = %self.path().display(), "indexes are made anew");
        self.rebuild(disk, listing, &file, upto).await
    }

    /// The front as the index files tell it; `None` if they cannot be used.
    async fn load_stored(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        file: &Arc<dyn File>,
        upto: Option<Offset>,
    ) -> Result<Option<Front>, LoadError> {
        let Some(stored) = StoredIndex::read(disk, listing, self).await? else { return Ok(None) };
        let Some(loaded) = stored.parse(self, file, upto) else { return Ok(None) };
        match self.walk_tail(disk, &loaded, upto).await {
            Ok(point) => Ok(point.map(|point| Front { loaded, point })),
            // Perhaps an entry points to nowhere; otherwise the scan will find the same.
            Err(LoadError::Damaged { .. }) => Ok(None),
            Err(error @ LoadError::Storage(_)) => Err(error),
        }
    }

    /// Walks from the last index entry to the end of what is wanted. `None` if the batches
    /// contradict the entries on the way: as many as can be looked at without reading all.
    pub(crate) async fn walk_tail(
        &self,
        disk: &Arc<dyn Disk>,
        loaded: &Loaded,
        upto: Option<Offset>,
    ) -> Result<Option<ScanPoint>, LoadError> {
        let mut entry = loaded.index.newest_offset();
        let begin = entry.map_or(0, |entry| entry.position);
        let newest = loaded.index.newest_time();
        let mut point = ScanPoint::beginning_of(self.base);
        point.tail = SegmentTail::at_last_entry(begin, newest);
        let walk = HeaderWalk { at: begin, end: self.surveyed };
        let mut headers = Headers::new(disk, (self.base, &loaded.file), walk);
        while let Some(WalkedBatch { at, header }) = headers.next().await? {
            let last_offset = header.last_offset();
            if upto.is_some_and(|upto| last_offset >= upto) {
                break;
            }
            // A time entry was made with the offset entry, and covers its batch.
            let covered = header.max_timestamp <= newest.map(|newest| newest.timestamp);
            if entry.take().is_some_and(|entry| entry.last_offset != last_offset || !covered)
                || header.base_offset < point.next_offset
                || at - begin > u64::from(self.interval) * GAP_MAX
            {
                return Ok(None);
            }
            point.tail.walk(&header);
            point.next_offset = last_offset.next();
            point.epoch = header.leader_epoch;
        }
        if entry.is_some() || !self.has_newest_time(disk, loaded).await? {
            return Ok(None);
        }
        if begin > 0 {
            let walk = HeaderWalk { at: 0, end: self.surveyed };
            let first = Headers::new(disk, (self.base, &loaded.file), walk).next().await?;
            point.tail.first_timestamp = first.and_then(|first| first.header.max_timestamp);
        }
        Ok(Some(point))
    }

    /// Whether the newest time entry is that of a batch.
    async fn has_newest_time(
        &self,
        disk: &Arc<dyn Disk>,
        loaded: &Loaded,
    ) -> Result<bool, LoadError> {
        let Some(newest) = loaded.index.newest_time() else { return Ok(true) };
        let entry = loaded.index.entry_before(newest.offset);
        let mut headers = Headers::from(disk, (self.base, &loaded.file), entry, self.surveyed);
        while let Some(WalkedBatch { header, .. }) = headers.next().await? {
            if header.last_offset() >= newest.offset {
                return Ok(header.base_offset <= newest.offset
                    && header.max_timestamp == Some(newest.timestamp));
            }
        }
        Ok(false)
    }

    /// Reads all batches of the front.
    async fn rebuild(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        file: &Arc<dyn File>,
        upto: Option<Offset>,
    ) -> Result<Front, LoadError> {
        let no_epochs = || (LeaderEpochCache::default(), self.base);
        let mut rebuilt = Rebuilt::new((ProducerState::default(), self.base), no_epochs());
        let mut front = self.scan_front(disk, file, upto, &mut rebuilt).await?;
        if rebuilt.aborts {
            // Where aborted transactions begin, the segments before this one may have to say.
            let producers = producers_at(disk, &self.directory, listing, self.base).await?;
            rebuilt = Rebuilt::new((producers, self.base), no_epochs());
            front = self.scan_front(disk, file, upto, &mut rebuilt).await?;
        }
        front.loaded.stored = Stored { disproved: true, ..Stored::default() };
        Ok(front)
    }

    async fn scan_front(
        &self,
        disk: &Arc<dyn Disk>,
        file: &Arc<dyn File>,
        upto: Option<Offset>,
        rebuilt: &mut Rebuilt,
    ) -> Result<Front, LoadError> {
        let loaded = Loaded::new(self.base, Arc::clone(file));
        let into = Some((&loaded, self.interval));
        let core = RecoveryScan::new(self.base, ScanPoint::beginning_of(self.base), into);
        let scanned = ScannedFile { file, len: self.surveyed, rewrite: false };
        let found = scan(disk, scanned, core.upto(upto), rebuilt).await?;
        match found.fault {
            None => Ok(Front { loaded, point: found.point }),
            Some(fault) => {
                let position = found.point.tail.position;
                Err(LoadError::Damaged { segment: self.base, position, fault })
            }
        }
    }
}
