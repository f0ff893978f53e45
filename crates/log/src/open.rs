//! Opening a log for its writer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_records::{HEADER_BYTES, is_old_message, old_message_size};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use crate::checkpoint::Checkpoints;
use crate::durability::Durability;
use crate::log::Opened;
use crate::recovery::{Rebuilt, RecoveryScan, ScannedSegment};
use crate::segment::{Loaded, Segment};
use crate::view::SealedSegment;
use crate::{
    Checkpointed, DormantLog, Fault, LeaderEpochCache, Log, LogConfig, LogPosition, LogView,
};

/// Bytes read at once by a recovery.
const SCAN_CHUNK_BYTES: usize = 1 << 20;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    pub segments: usize,
    pub batches: u64,
    pub bytes: u64,
    /// What was cut from the end of the last segment.
    pub torn_tail: Option<TornTail>,
}

/// Bytes that a crash left behind the last good batch. No sync ever covered them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub segment_base: Offset,
    /// Where the first bad byte was, and where the log ends now.
    pub position: u64,
    pub bytes: u64,
    pub fault: Fault,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment_base, position, bytes, fault } = self;
        write!(
            f,
            "a crash tore the end of segment {segment_base}: its last {bytes} bytes are cut off at \
             byte {position} ({fault})"
        )
    }
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error("the disk refuses: {0}")]
    Storage(#[from] io::Error),
    /// It was durable before its successor was made, so this is no trace of a crash. Nothing is
    /// cut: a person, or a replica, has to decide.
    #[error("segment {segment_base} is corrupt at byte {position}: {fault}")]
    Corrupt { segment_base: Offset, position: u64, fault: Fault },
    /// Written by a Kafka before 0.11. It is no torn tail, so it is not cut.
    #[error("segment {segment_base} has a message of an old format at byte {position}")]
    OldFormat { segment_base: Offset, position: u64 },
    /// What was durable is gone, or the directory belongs to another log than the recovery point.
    #[error("the log ends at {end}, but was durable up to {recovery_point}")]
    BelowRecoveryPoint { end: Offset, recovery_point: Offset },
    #[error("segment {segment_base} begins before offset {expected}, where the one before it ends")]
    Overlap { segment_base: Offset, expected: Offset },
}

impl Log {
    /// Opens the log in `directory`, or makes one, with nothing known about it: reads every batch,
    /// cuts off what a crash tore, and makes durable what it found.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is bad that no crash can have torn.
    pub async fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: LogConfig,
    ) -> Result<Self, OpenLogError> {
        let known = Checkpointed::default();
        let dormant = DormantLog::survey(&disk, directory, config, known).await?;
        let mut log = dormant.open(&disk).await?;
        if let Some(unsynced) = log.take_unsynced() {
            unsynced.make_durable(&disk).await?;
            log.on_synced(unsynced.upto);
        }
        Ok(log)
    }
}

impl DormantLog {
    /// Opens the files that a writer needs, making them if they are missing, and reads what the
    /// checkpoints do not vouch for; a torn tail is cut off. Syncs nothing: bytes of a process that
    /// was killed, and names, may be in the page cache alone, and are what
    /// [`Log::take_unsynced`] gives first. Until that is done, [`Log::synced_end`] is where the
    /// checkpoints end.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is bad that no crash can have torn.
    pub async fn open(self, disk: &Arc<dyn Disk>) -> Result<Log, OpenLogError> {
        let opened = recover(disk, &self).await?;
        if let Some(torn) = &opened.report.torn_tail {
            tracing::warn!("{}: {torn}", self.directory.display());
        }
        let Self { directory, config, .. } = self;
        Ok(Log::opened(directory, config, opened))
    }

    /// What has to be synced before the log's names are durable: its own and those in it.
    fn directories(&self) -> Vec<PathBuf> {
        let parent = self.directory.parent().map(|parent| {
            if parent.as_os_str().is_empty() { Path::new(".") } else { parent }.to_owned()
        });
        std::iter::once(self.directory.to_path_buf()).chain(parent).collect()
    }
}

async fn recover(disk: &Arc<dyn Disk>, dormant: &DormantLog) -> Result<Opened, OpenLogError> {
    let (view, config) = (&dormant.view, &dormant.config);
    let mut rebuilt = Rebuilt::default();
    let mut report = RecoveryReport { segments: view.sealed().len() + 1, ..Default::default() };
    let mut sealed = Vec::with_capacity(view.sealed().len());
    let mut files = Vec::new();
    let oldest = view.segments().next().expect("a log has a segment");
    let mut end_offset = oldest.base;
    for SealedSegment { segment, .. } in view.sealed() {
        check_order(segment.base, end_offset)?;
        let (loaded, scanned, _) = scan(disk, segment, &mut rebuilt).await?;
        let position = scanned.tail.position;
        if let Some(fault) = scanned.fault {
            return Err(OpenLogError::Corrupt { segment_base: segment.base, position, fault });
        }
        scanned.tail.seal(&loaded.index);
        report.bytes += position;
        end_offset = scanned.next_offset;
        files.push(Arc::clone(&segment.set(loaded).file));
        sealed.push(SealedSegment { segment: Arc::clone(segment), end: position });
    }
    let active = view.active();
    check_order(active.base, end_offset)?;
    let (loaded, mut scanned, file_len) = scan(disk, active, &mut rebuilt).await?;
    if let Some(fault) = scanned.fault.take() {
        let position = scanned.tail.position;
        refuse_old_format(disk, active.base, &loaded, position, file_len).await?;
        report.torn_tail = cut(disk, active.base, &loaded, &mut scanned, file_len, fault).await?;
    }
    report.bytes += scanned.tail.position;
    report.batches = rebuilt.batches;
    files.push(Arc::clone(&active.set(loaded).file));
    let view = LogView::new(view.start_offset(), sealed, Arc::clone(active));
    let (end_offset, known) = (scanned.next_offset, &dormant.known);
    if known.recovery_point.is_some_and(|point| point > end_offset) {
        let recovery_point = known.recovery_point.unwrap_or(end_offset);
        return Err(OpenLogError::BelowRecoveryPoint { end: end_offset, recovery_point });
    }
    let (synced_end, files, directories) = match dormant.settled {
        Some(end) if !dormant.is_new => (end, Vec::new(), Vec::new()),
        Some(end) => (end, Vec::new(), dormant.directories()),
        None => (LogPosition::beginning_of(oldest.base), files, dormant.directories()),
    };
    let recovery_point = known.recovery_point.unwrap_or(oldest.base);
    let bytes = if dormant.is_settled() { 0 } else { report.bytes };
    let _ = config;
    Ok(Opened {
        view,
        tail: scanned.tail,
        end_offset,
        durability: Durability::new(synced_end, files, directories),
        checkpoints: Checkpoints::new(recovery_point, bytes, LeaderEpochCache::default()),
        epochs: rebuilt.epochs,
        producers: rebuilt.producers,
        report,
    })
}

/// A gap between segments may be what compaction left; an overlap cannot be.
fn check_order(segment_base: Offset, expected: Offset) -> Result<(), OpenLogError> {
    if segment_base < expected {
        return Err(OpenLogError::Overlap { segment_base, expected });
    }
    Ok(())
}

/// Opens a segment, making it if it is missing, and reads it from its first byte to its last or to
/// the first fault.
pub(crate) async fn scan(
    disk: &Arc<dyn Disk>,
    segment: &Segment,
    rebuilt: &mut Rebuilt,
) -> io::Result<(Loaded, ScannedSegment, u64)> {
    let file = disk.open_file(&segment.path(), Open::Ensure).await?;
    let file_len = disk.len_of(&file).await?;
    let loaded = Loaded::new(segment.base, file);
    let mut scan = RecoveryScan::new(segment.base, &loaded, file_len, segment.kept_interval);
    let mut at = 0;
    while at < file_len {
        let chunk = disk.read_at(&loaded.file, at, SCAN_CHUNK_BYTES).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += chunk.len() as u64;
        if !scan.feed(&chunk, rebuilt) {
            break;
        }
    }
    let scanned = scan.finish();
    Ok((loaded, scanned, file_len))
}

async fn refuse_old_format(
    disk: &Arc<dyn Disk>,
    segment_base: Offset,
    active: &Loaded,
    position: u64,
    file_len: u64,
) -> Result<(), OpenLogError> {
    let head = disk.read_at(&active.file, position, HEADER_BYTES).await?;
    let size = old_message_size(&head).map(u64::from);
    let Some(size) = size.filter(|size| *size <= file_len - position) else { return Ok(()) };
    let size = usize::try_from(size).expect("a u32 fits");
    let message = disk.read_at(&active.file, position, size).await?;
    if is_old_message(&message) {
        return Err(OpenLogError::OldFormat { segment_base, position });
    }
    Ok(())
}

/// Cuts the last segment behind its good batches. The caller syncs it before anything is
/// appended: a batch behind the cut could otherwise come back after the next crash, and follow
/// what was written in its predecessor's place.
async fn cut(
    disk: &Arc<dyn Disk>,
    segment_base: Offset,
    active: &Loaded,
    scanned: &mut ScannedSegment,
    file_len: u64,
    fault: Fault,
) -> io::Result<Option<TornTail>> {
    if planted::is(Bug::TornTailKept) {
        scanned.tail.position = file_len;
        scanned.next_offset = scanned.next_offset.next();
        return Ok(None);
    }
    let position = scanned.tail.position;
    disk.truncate_to(&active.file, position).await?;
    let bytes = file_len - position;
    Ok(Some(TornTail { segment_base, position, bytes, fault }))
}
