//! Opening a log that was not stopped cleanly: what lies behind its recovery point is read, and
//! what a crash tore is cut off.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File};
use ottla_records::{HEADER_BYTES, is_old_message, old_message_size};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use crate::checkpoint::Checkpoints;
use crate::durability::Durability;
use crate::listing::Listing;
use crate::load::Front;
use crate::log::Opened;
use crate::open::{OpenLogError, RecoveryReport, TornTail};
use crate::recovery::{RecoveryScan, ScanPoint, ScannedSegment};
use crate::restore::{Restored, Trusted};
use crate::scan::{ScannedFile, scan};
use crate::segment::{Loaded, Segment};
use crate::stored_index::{index_paths, tidy, write_all};
use crate::view::SealedSegment;
use crate::{DormantLog, Fault, LogPosition, LogView};

/// The segments behind a recovery point, as they are read.
struct Recovery<'a> {
    disk: &'a Arc<dyn Disk>,
    dormant: &'a DormantLog,
    restored: Restored,
    sealed: Vec<SealedSegment>,
    /// Where the segment that was read last ends.
    end_offset: Offset,
    /// Files with bytes that may not be durable.
    files: Vec<Arc<dyn File>>,
    /// Index files that were written, and are not durable.
    derived: Vec<PathBuf>,
    /// Bytes behind the recovery point.
    bytes: u64,
    torn_tail: Option<TornTail>,
}

impl DormantLog {
    /// Opens a log with what its recovery point vouches for, and the batches behind that.
    pub(crate) async fn recover(
        &self,
        disk: &Arc<dyn Disk>,
        listing: &Listing,
    ) -> Result<Opened, OpenLogError> {
        let segments: Vec<&Arc<Segment>> = self.view.segments().collect();
        // What a crash has brought back of deleted segments is no part of the log any more.
        let start = self.start_offset();
        let first = segments.partition_point(|segment| segment.base <= start).saturating_sub(1);
        let oldest = segments[first].base;
        let upto = self.known.recovery_point.map_or(oldest, |point| point.max(oldest));
        let segment = segments.partition_point(|segment| segment.base <= upto) - 1;
        let front = segments[segment].load_front(disk, listing, Some(upto)).await?;
        let Front { loaded, point } = &front;
        // Nothing follows it: whoever wrote it down meant no end of a log.
        if upto.get() == i64::MAX {
            return Err(OpenLogError::BelowRecoveryPoint {
                end: point.next_offset,
                recovery_point: upto,
            });
        }
        let trusted = Trusted { upto, segment, loaded, point: *point };
        let restored = self.restore(disk, listing, trusted).await?;
        let segment_base = segments[segment].base;
        let synced_end = LogPosition { offset: upto, segment_base, position: point.tail.position };
        let sealed = self.view.sealed()[..segment].to_vec();
        let mut recovery = Recovery::new(disk, self, restored, sealed, segment_base);
        let (last, earlier) = segments[segment..].split_last().expect("one holds the point");
        let mut front = Some(front);
        for next in earlier {
            let front = match front.take() {
                Some(front) => front,
                None => next.load_front(disk, listing, Some(next.base)).await?,
            };
            recovery.read_sealed(next, front).await?;
        }
        let front = match front.take() {
            Some(front) => front,
            None => last.load_front(disk, listing, Some(last.base)).await?,
        };
        let point = recovery.read_last(last, front).await?;
        Ok(recovery.finish(point, synced_end))
    }
}

impl<'a> Recovery<'a> {
    fn new(
        disk: &'a Arc<dyn Disk>,
        dormant: &'a DormantLog,
        restored: Restored,
        sealed: Vec<SealedSegment>,
        end_offset: Offset,
    ) -> Self {
        Self {
            disk,
            dormant,
            restored,
            sealed,
            end_offset,
            files: Vec::new(),
            derived: Vec::new(),
            bytes: 0,
            torn_tail: None,
        }
    }

    /// A segment that has a successor: all of it was durable before that was made.
    async fn read_sealed(
        &mut self,
        segment: &Arc<Segment>,
        front: Front,
    ) -> Result<(), OpenLogError> {
        let found = self.read(segment, &front).await?;
        let Front { loaded, point: begin } = front;
        let position = found.point.tail.position;
        if let Some(fault) = found.fault {
            return Err(OpenLogError::Corrupt { segment_base: segment.base, position, fault });
        }
        if position > begin.tail.position {
            self.files.push(Arc::clone(&loaded.file));
        }
        found.point.tail.seal(&loaded.index);
        write_all(self.disk, (&segment.directory, segment.base), &loaded).await?;
        self.derived.extend(index_paths(&segment.directory, segment.base));
        self.end_offset = found.point.next_offset;
        self.sealed.push(SealedSegment { segment: Arc::clone(segment), end: position });
        segment.set(loaded);
        Ok(())
    }

    /// The last segment, whose end a crash may have torn.
    async fn read_last(
        &mut self,
        segment: &Arc<Segment>,
        front: Front,
    ) -> Result<ScanPoint, OpenLogError> {
        let ScannedSegment { mut point, fault } = self.read(segment, &front).await?;
        let (loaded, recovery_point) = (front.loaded, self.dormant.known.recovery_point);
        if let Some(fault) = fault {
            let (segment_base, position) = (segment.base, point.tail.position);
            self.refuse_old_format(segment, &loaded, position).await?;
            if recovery_point.is_some_and(|durable| point.next_offset < durable) {
                return Err(OpenLogError::Corrupt { segment_base, position, fault });
            }
            self.torn_tail = self.cut(segment, &loaded, &mut point, fault).await?;
        }
        let end = point.next_offset;
        if let Some(recovery_point) = recovery_point.filter(|durable| end < *durable) {
            return Err(OpenLogError::BelowRecoveryPoint { end, recovery_point });
        }
        tidy(self.disk, (&segment.directory, segment.base), loaded.stored).await?;
        // Even if all of it is below the recovery point: what the life before this one has cut
        // off may come back until its length is durable.
        self.files.push(Arc::clone(&loaded.file));
        segment.set(loaded);
        Ok(point)
    }

    /// Reads what lies behind a front.
    async fn read(
        &mut self,
        segment: &Segment,
        front: &Front,
    ) -> Result<ScannedSegment, OpenLogError> {
        if segment.base < self.end_offset {
            let (segment_base, expected) = (segment.base, self.end_offset);
            return Err(OpenLogError::Overlap { segment_base, expected });
        }
        let (loaded, begin) = (&front.loaded, front.point.tail.position);
        let core = RecoveryScan::new(segment.base, front.point, Some((loaded, segment.interval)));
        let rewrite = self.dormant.known.sync_failed;
        let file = ScannedFile { file: &loaded.file, len: segment.surveyed, rewrite };
        let found = scan(self.disk, file, core, &mut self.restored.rebuilt).await?;
        self.bytes += found.point.tail.position - begin;
        Ok(found)
    }

    async fn refuse_old_format(
        &self,
        segment: &Segment,
        loaded: &Loaded,
        position: u64,
    ) -> Result<(), OpenLogError> {
        let head = self.disk.read_at(&loaded.file, position, HEADER_BYTES).await?;
        let size = old_message_size(&head).map(u64::from);
        let left = segment.surveyed - position;
        let Some(size) = size.filter(|size| *size <= left) else { return Ok(()) };
        let size = usize::try_from(size).expect("a u32 fits");
        let message = self.disk.read_at(&loaded.file, position, size).await?;
        if is_old_message(&message) {
            return Err(OpenLogError::OldFormat { segment_base: segment.base, position });
        }
        Ok(())
    }

    /// Cuts the last segment behind its good batches. The host syncs it before anything is
    /// appended: a batch behind the cut could otherwise come back after the next crash, and follow
    /// what was written in its predecessor's place.
    async fn cut(
        &self,
        segment: &Segment,
        loaded: &Loaded,
        point: &mut ScanPoint,
        fault: Fault,
    ) -> io::Result<Option<TornTail>> {
        if planted::is(Bug::TornTailKept) {
            point.tail.position = segment.surveyed;
            point.next_offset = point.next_offset.next();
            return Ok(None);
        }
        let position = point.tail.position;
        self.disk.truncate_to(&loaded.file, position).await?;
        let bytes = segment.surveyed - position;
        Ok(Some(TornTail { segment_base: segment.base, position, bytes, fault }))
    }

    fn finish(self, point: ScanPoint, synced_end: LogPosition) -> Opened {
        let (dormant, end_offset) = (self.dormant, point.next_offset);
        let active = dormant.view.active();
        let segments = self.sealed.len() + 1;
        let stored = active.get().expect("it was set").stored.entries;
        let checkpoints = Checkpoints::new(synced_end.offset, &self.restored, stored);
        let rebuilt = self.restored.rebuilt;
        Opened {
            view: LogView::new(dormant.start_offset(), self.sealed, Arc::clone(active)),
            tail: point.tail,
            end_offset,
            durability: Durability::recovered(synced_end, self.files, dormant.directories()),
            checkpoints: checkpoints.with_unsynced(self.bytes, self.derived),
            report: RecoveryReport {
                segments,
                batches: rebuilt.batches,
                bytes: self.restored.bytes + self.bytes,
                torn_tail: self.torn_tail,
            },
            epochs: rebuilt.epochs,
            producers: rebuilt.producers,
        }
    }
}
