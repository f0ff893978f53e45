//! Opening a log: everything in memory is rebuilt from its batches.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_records::{HEADER_BYTES, is_old_message, old_message_size};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use crate::files::parse_segment_name;
use crate::log::Recovered;
use crate::recovery::{Rebuilt, RecoveryScan, ScannedSegment};
use crate::segment::Segment;
use crate::view::SealedSegment;
use crate::{Fault, Log, LogConfig, LogView, segment_name};

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
    #[error("segment {segment_base} begins before offset {expected}, where the one before it ends")]
    Overlap { segment_base: Offset, expected: Offset },
}

impl Log {
    /// Opens the log in `directory`, or makes one. Reads every batch, cuts off what a crash tore,
    /// and makes durable what it found: bytes of a process that was killed may still be in the
    /// page cache alone.
    ///
    /// # Errors
    /// When the disk refuses, or a batch is bad that no crash can have torn.
    pub async fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        config: LogConfig,
    ) -> Result<Self, OpenLogError> {
        let disk = &disk;
        disk.make_dir(directory).await?;
        let bases = segment_bases(disk, directory).await?;
        let recovered = recover(disk, directory, &bases, &config).await?;
        disk.sync_files(vec![Arc::clone(&recovered.view.active().file)]).await?;
        disk.sync_names(directory).await?;
        if let Some(parent) = directory.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            disk.sync_names(parent).await?;
        }
        if let Some(torn) = &recovered.report.torn_tail {
            tracing::warn!("{}: {torn}", directory.display());
        }
        Ok(Self::recovered(directory.to_owned(), config, recovered))
    }
}

/// The segments in a directory, or the one that a new log begins with.
async fn segment_bases(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Vec<Offset>> {
    let entries = disk.list(directory).await?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    let mut bases: Vec<Offset> =
        files.filter_map(|entry| parse_segment_name(&entry.name)).collect();
    bases.sort_unstable();
    if bases.is_empty() {
        bases.push(Offset::ZERO);
    }
    Ok(bases)
}

async fn recover(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    bases: &[Offset],
    config: &LogConfig,
) -> Result<Recovered, OpenLogError> {
    let (last, earlier) = bases.split_last().expect("a log has a segment");
    let mut rebuilt = Rebuilt::default();
    let mut report = RecoveryReport { segments: bases.len(), ..RecoveryReport::default() };
    let mut sealed = Vec::with_capacity(earlier.len());
    let mut end_offset = bases[0];
    for base in earlier {
        check_order(*base, end_offset)?;
        let (segment, scanned, _) =
            scan(disk, directory, *base, config.sealed_interval_bytes(), &mut rebuilt).await?;
        let position = scanned.tail.position;
        if let Some(fault) = scanned.fault {
            return Err(OpenLogError::Corrupt { segment_base: *base, position, fault });
        }
        scanned.tail.seal(&segment.index);
        report.bytes += position;
        end_offset = scanned.next_offset;
        sealed.push(SealedSegment { segment, end: position });
    }
    check_order(*last, end_offset)?;
    let (active, mut scanned, file_len) =
        scan(disk, directory, *last, config.index_interval_bytes, &mut rebuilt).await?;
    if let Some(fault) = scanned.fault.take() {
        refuse_old_format(disk, &active, scanned.tail.position, file_len).await?;
        report.torn_tail = cut(disk, &active, &mut scanned, file_len, fault).await?;
    }
    report.bytes += scanned.tail.position;
    report.batches = rebuilt.batches;
    Ok(Recovered {
        view: LogView::new(bases[0], sealed, active),
        tail: scanned.tail,
        end_offset: scanned.next_offset,
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
async fn scan(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    base: Offset,
    index_interval: u32,
    rebuilt: &mut Rebuilt,
) -> io::Result<(Arc<Segment>, ScannedSegment, u64)> {
    let file: Arc<dyn File> =
        disk.open_file(&directory.join(segment_name(base)), Open::Ensure).await?;
    let file_len = disk.len_of(&file).await?;
    let segment = Segment::new(base, file);
    let mut scan = RecoveryScan::new(&segment, file_len, index_interval);
    let mut at = 0;
    while at < file_len {
        let chunk = disk.read_at(&segment.file, at, SCAN_CHUNK_BYTES).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += chunk.len() as u64;
        if !scan.feed(&chunk, rebuilt) {
            break;
        }
    }
    let scanned = scan.finish();
    Ok((segment, scanned, file_len))
}

async fn refuse_old_format(
    disk: &Arc<dyn Disk>,
    active: &Segment,
    position: u64,
    file_len: u64,
) -> Result<(), OpenLogError> {
    let head = disk.read_at(&active.file, position, HEADER_BYTES).await?;
    let size = old_message_size(&head).map(u64::from);
    let Some(size) = size.filter(|size| *size <= file_len - position) else { return Ok(()) };
    let size = usize::try_from(size).expect("a u32 fits");
    let message = disk.read_at(&active.file, position, size).await?;
    if is_old_message(&message) {
        return Err(OpenLogError::OldFormat { segment_base: active.base, position });
    }
    Ok(())
}

/// Cuts the last segment behind its good batches. The caller syncs it before anything is
/// appended: a batch behind the cut could otherwise come back after the next crash, and follow
/// what was written in its predecessor's place.
async fn cut(
    disk: &Arc<dyn Disk>,
    active: &Segment,
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
    Ok(Some(TornTail { segment_base: active.base, position, bytes, fault }))
}
