//! What checkpoints kept of producers and epochs, and the batches behind it.

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_types::planted::{self, Bug};
use ottla_types::{LeaderEpoch, Offset};

use crate::files::snapshot_name;
use crate::listing::Listing;
use crate::load::LoadError;
use crate::lookup::Headers;
use crate::recovery::{Rebuilt, RecoveryScan, ScanPoint};
use crate::scan::{ScannedFile, scan};
use crate::segment::{Loaded, Segment};
use crate::{DormantLog, LEADER_EPOCH_CHECKPOINT, LeaderEpochCache, OpenLogError, ProducerState};

/// The snapshot that a log goes on from.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The end of the log that it tells of.
    pub(crate) end: Offset,
    pub(crate) producers: ProducerState,
    /// Snapshots that were found on the way and are none.
    pub(crate) odd: Vec<Offset>,
}

impl Snapshot {
    /// The newest snapshot in `range` that can be read; an empty one at 0 if there is none.
    pub(crate) async fn newest(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        listing: &Listing,
        range: RangeInclusive<Offset>,
    ) -> io::Result<Self> {
        let mut odd = Vec::new();
        for end in listing.snapshots().into_iter().rev().filter(|end| range.contains(end)) {
            let bytes = disk.read_whole(&directory.join(snapshot_name(end))).await?;
            match ProducerState::parse_snapshot(&bytes, end) {
                Ok(producers) => {
                    let directory = directory.display();
                    tracing::debug!(%directory, %end, "producers restored from a snapshot");
                    let forgets = planted::is(Bug::SnapshotForgetsProducers);
                    let producers = if forgets { ProducerState::default() } else { producers };
                    return Ok(Self { end, producers, odd });
                }
                Err(fault) => {
                    let directory = directory.display();
                    tracing::info!(%directory, %end, %fault, "producer snapshot cannot be used");
                    odd.push(end);
                }
            }
        }
        Ok(Self { end: Offset::ZERO, producers: ProducerState::default(), odd })
    }
}

/// The epochs that the checkpoint tells of; `None` if it cannot be read.
async fn stored_epochs(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    listing: &Listing,
) -> io::Result<Option<LeaderEpochCache>> {
    if listing.len_of(LEADER_EPOCH_CHECKPOINT).is_none() {
        return Ok(None);
    }
    let text = disk.read_whole(&directory.join(LEADER_EPOCH_CHECKPOINT)).await?;
    match LeaderEpochCache::parse(&String::from_utf8_lossy(&text)) {
        Ok(epochs) => Ok(Some(epochs)),
        Err(error) => {
            tracing::info!(directory = %directory.display(), %error, "epochs cannot be used");
            Ok(None)
        }
    }
}

/// What a log knew when it ended at some offset.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) rebuilt: Rebuilt,
    /// Bytes that were read again for it.
    pub(crate) bytes: u64,
    /// What the epochs' file says.
    pub(crate) stored_epochs: LeaderEpochCache,
    /// The snapshots that are there.
    pub(crate) snapshots: BTreeSet<Offset>,
}

/// The batches of a log up to some offset, which all are whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusted<'a> {
    pub(crate) upto: Offset,
    /// Which segment holds it, the oldest being 0, and how far in it that is.
    pub(crate) segment: usize,
    pub(crate) loaded: &'a Loaded,
    pub(crate) point: ScanPoint,
}

impl DormantLog {
    /// What producers and epochs were at the end of what is trusted. Batches are read as far as no
    /// checkpoint knows of them.
    pub(crate) async fn restore(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        trusted: Trusted<'_>,
    ) -> Result<Restored, OpenLogError> {
        let directory = &*self.directory;
        let range = self.oldest_snapshot(trusted.upto)..=trusted.upto;
        let snapshot = Snapshot::newest(disk, directory, listing, range).await?;
        let stored = stored_epochs(disk, directory, listing).await?;
        let mut epochs = stored.clone().unwrap_or_default();
        epochs.truncate_from_end(trusted.upto);
        let newest = self.newest_epoch(disk, listing, trusted).await?;
        let usable =
            stored.is_some() && newest.is_none_or(|newest| epochs.latest() == Some(newest));
        let epochs = match usable {
            true => (epochs, trusted.upto),
            false => (LeaderEpochCache::default(), Offset::ZERO),
        };
        let mut restored = Restored {
            rebuilt: Rebuilt::new((snapshot.producers, snapshot.end), epochs),
            bytes: 0,
            stored_epochs: stored.unwrap_or_default(),
            snapshots: listing.snapshots().into_iter().collect(),
        };
        self.replay(disk, trusted, &mut restored).await?;
        // Those behind what is trusted may not be durable, or be of batches that are lost.
        let newer = restored.snapshots.split_off(&trusted.upto.next());
        for end in newer.into_iter().chain(snapshot.odd) {
            restored.snapshots.remove(&end);
            disk.unlink(&directory.join(snapshot_name(end))).await?;
        }
        // Where the segment with the recovery point was deleted, one may serve that is no more
        // durable than they are: the next checkpoint writes it again.
        let durable = self.settled.map(|end| end.offset).or(self.known.recovery_point);
        restored.snapshots.split_off(&durable.unwrap_or(Offset::ZERO).next());
        Ok(restored)
    }

    /// What a snapshot has to tell of at least. Where the batches behind the recovery point are
    /// gone, an older one would have transactions open that have ended since, and refuse producers
    /// that have gone on; who is unknown may begin anywhere.
    fn oldest_snapshot(&self, upto: Offset) -> Offset {
        let durable = self.known.recovery_point.unwrap_or(Offset::ZERO);
        if self.settled.is_none() && durable < upto { upto } else { Offset::ZERO }
    }

    /// The epoch of the last batch that is trusted.
    async fn newest_epoch(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        trusted: Trusted<'_>,
    ) -> Result<Option<LeaderEpoch>, LoadError> {
        let before = match trusted.segment.checked_sub(1) {
            Some(before) if trusted.point.tail.position == 0 => &self.view.sealed()[before],
            _ => return Ok(trusted.point.epoch),
        };
        // Not what is kept in memory: its last entry may be far from the end.
        let front = before.segment.load_front(disk, listing, None).await?;
        Ok(front.point.epoch)
    }

    /// Reads the trusted batches that no checkpoint knows of.
    async fn replay(
        &self,
        disk: &Arc<dyn Disk>,
        trusted: Trusted<'_>,
        restored: &mut Restored,
    ) -> Result<(), OpenLogError> {
        let from = restored.rebuilt.producers_from.min(restored.rebuilt.epochs_from);
        if from >= trusted.upto {
            return Ok(());
        }
        let segments: Vec<_> = self.view.segments().take(trusted.segment + 1).collect();
        let holds = segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
        for (at, segment) in segments.iter().enumerate().skip(holds) {
            let is_last = at == trusted.segment;
            let loaded = if is_last { trusted.loaded } else { segment.load(disk).await? };
            let point = segment.point_of(disk, loaded, from).await?;
            let core = RecoveryScan::new(segment.base, point, None).upto(Some(trusted.upto));
            let begin = point.tail.position;
            let len = if is_last { trusted.point.tail.position } else { segment.surveyed };
            let file = ScannedFile { file: &loaded.file, len, rewrite: false };
            let found = scan(disk, file, core, &mut restored.rebuilt).await?;
            let position = found.point.tail.position;
            if let Some(fault) = found.fault {
                return Err(OpenLogError::Corrupt { segment_base: segment.base, position, fault });
            }
            restored.bytes += position - begin;
        }
        Ok(())
    }
}

impl Segment {
    /// Where the first batch lies that holds `offset` or a later one.
    async fn point_of(
        &self,
        disk: &Arc<dyn Disk>,
        loaded: &Loaded,
        offset: Offset,
    ) -> Result<ScanPoint, LoadError> {
        let mut point = ScanPoint::beginning_of(self.base);
        if offset <= self.base {
            return Ok(point);
        }
        let entry = loaded.index.entry_before(offset);
        let mut headers = Headers::from(disk, (self.base, &loaded.file), entry, self.surveyed);
        while let Some(batch) = headers.next().await? {
            point.tail.position = batch.at;
            if batch.header.last_offset() >= offset {
                return Ok(point);
            }
        }
        point.tail.position = self.surveyed;
        Ok(point)
    }
}

/// The producers of a log when it ended at `upto`, where a segment begins.
pub(crate) async fn producers_at(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    listing: &Listing,
    upto: Offset,
) -> Result<ProducerState, LoadError> {
    let range = Offset::ZERO..=upto;
    let snapshot = Snapshot::newest(disk, directory, listing, range).await?;
    let epochs = (LeaderEpochCache::default(), upto);
    let mut rebuilt = Rebuilt::new((snapshot.producers, snapshot.end), epochs);
    let segments = listing.segments();
    let holds = segments.partition_point(|(base, _)| *base <= snapshot.end).saturating_sub(1);
    for (base, len) in segments.into_iter().skip(holds).take_while(|(base, _)| *base < upto) {
        let path = directory.join(crate::segment_name(base));
        let file = disk.open_file(&path, Open::Existing).await?;
        let core = RecoveryScan::new(base, ScanPoint::beginning_of(base), None);
        let scanned = ScannedFile { file: &file, len, rewrite: false };
        let found = scan(disk, scanned, core, &mut rebuilt).await?;
        if let Some(fault) = found.fault {
            let position = found.point.tail.position;
            return Err(LoadError::Damaged { segment: base, position, fault });
        }
    }
    Ok(rebuilt.producers)
}
