//! The index files of a segment on the disk: read when the segment is loaded, appended to by
//! checkpoints and rolls. They are never synced here, and never believed without a look at the
//! batches.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File, Open};
use ottla_records::HEADER_BYTES;
use ottla_types::Offset;

use crate::aborted::AbortedIndex;
use crate::files::{index_name, time_index_name, transaction_index_name};
use crate::index::SegmentIndex;
use crate::index_file::{
    ABORTED_ENTRY_BYTES, IndexBounds, OFFSET_ENTRY_BYTES, OffsetEntries, TIME_ENTRY_BYTES,
    TimeEntries,
};
use crate::listing::Listing;
use crate::segment::{Entries, Loaded, Segment, Stored};

/// Bytes of the three files.
#[derive(Debug)]
pub(crate) struct StoredIndex {
    offsets: Vec<u8>,
    times: Vec<u8>,
    aborted: Vec<u8>,
    /// A file is longer than all entries that its segment could have.
    longer: bool,
}

impl StoredIndex {
    /// Reads the files; `None` if one is missing. No `.txnindex` is as good as an empty one: Kafka
    /// makes it with its first entry.
    pub(crate) async fn read(
        disk: &Arc<dyn Disk>,
        listing: &Listing,
        segment: &Segment,
    ) -> io::Result<Option<Self>> {
        let [offsets, times, aborted] = names(segment.base);
        let (Some(_), Some(_)) = (listing.len_of(&offsets), listing.len_of(&times)) else {
            return Ok(None);
        };
        let mut index =
            Self { offsets: Vec::new(), times: Vec::new(), aborted: Vec::new(), longer: false };
        let files = [
            (offsets, OFFSET_ENTRY_BYTES, &mut index.offsets),
            (times, TIME_ENTRY_BYTES, &mut index.times),
            (aborted, ABORTED_ENTRY_BYTES, &mut index.aborted),
        ];
        for (name, entry_bytes, into) in files {
            let len = listing.len_of(&name).unwrap_or(0);
            // Apache Kafka makes the files of the active segment 10 MiB long, and a kill leaves
            // them so: what no batch can have an entry for is not read.
            let most = (segment.surveyed / HEADER_BYTES as u64 + 1) * entry_bytes as u64;
            index.longer |= len > most;
            if len > 0 {
                *into = read_front(disk, &segment.directory.join(name), len.min(most)).await?;
            }
        }
        Ok(Some(index))
    }

    /// The entries of the batches below `upto`, or of all; `None` if the files are not what Kafka
    /// writes. Whether they are true, the batches have to say.
    pub(crate) fn parse(
        &self,
        segment: &Segment,
        file: &Arc<dyn File>,
        upto: Option<Offset>,
    ) -> Option<Loaded> {
        let base = segment.base;
        let last = base.plus(i64::from(i32::MAX));
        let end_offset = upto.unwrap_or_else(|| last.next());
        let bounds = IndexBounds { base, end_offset, end_position: segment.surveyed };
        let all_offsets = OffsetEntries::parse(&self.offsets).ok()?;
        let all_times = TimeEntries::parse(&self.times).ok()?;
        let aborted = AbortedIndex::parse(&self.aborted, base, end_offset).ok()?;
        if upto.is_none() {
            all_offsets.check_within(&bounds).ok()?;
            all_times.check_within(&bounds).ok()?;
        }
        let (offsets, times) = (all_offsets.below(&bounds), all_times.below(&bounds));
        let index = SegmentIndex::from_entries(base, offsets, times);
        let exact = self.offsets.len() == offsets.len() * OFFSET_ENTRY_BYTES
            && self.times.len() == times.len() * TIME_ENTRY_BYTES
            && self.aborted.len() == aborted.len() * ABORTED_ENTRY_BYTES;
        let mut loaded = Loaded { index, aborted, ..Loaded::new(base, Arc::clone(file)) };
        let excess = !exact || self.longer;
        loaded.stored = Stored { entries: loaded.entries(), excess, disproved: false };
        Some(loaded)
    }
}

async fn read_front(disk: &Arc<dyn Disk>, path: &Path, len: u64) -> io::Result<Vec<u8>> {
    let file = disk.open_file(path, Open::Existing).await?;
    disk.read_at(&file, 0, usize::try_from(len).map_err(io::Error::other)?).await
}

fn names(base: Offset) -> [String; 3] {
    [index_name(base), time_index_name(base), transaction_index_name(base)]
}

/// Paths of the index files of a segment.
pub(crate) fn index_paths(directory: &Path, base: Offset) -> [PathBuf; 3] {
    names(base).map(|name| directory.join(name))
}

/// Writes the entries between two moments to the files of a segment, into the page cache only, and
/// gives the files. All three are there afterwards.
///
/// As long as there is no `.index`, a start makes all three anew. So when they are written from
/// their beginnings it comes last; and where a start would believe them at once, the file that
/// nothing contradicts, that of aborted transactions, is durable by then.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn write_entries(
    disk: &Arc<dyn Disk>,
    (directory, base): (&Path, Offset),
    loaded: &Loaded,
    entries: Range<Entries>,
) -> io::Result<Vec<Arc<dyn File>>> {
    let Range { start, end } = entries;
    let [offsets_path, times_path, aborted_path] = index_paths(directory, base);
    let offsets = loaded.index.encode_offsets(start.offsets..end.offsets);
    let times = loaded.index.encode_times(start.times..end.times);
    let aborted = loaded.aborted.encode(start.aborted..end.aborted);
    let offsets_at = start.offsets * OFFSET_ENTRY_BYTES;
    let times_at = start.times * TIME_ENTRY_BYTES;
    let aborted_at = start.aborted * ABORTED_ENTRY_BYTES;
    let anew = start == Entries::default();
    let wary = anew && loaded.stored.disproved && end.aborted > 0;
    if wary {
        // That an older `.index` is gone.
        disk.sync_names(directory).await?;
    }
    let mut files = vec![
        write_at(disk, &aborted_path, (aborted_at, &aborted), anew).await?,
        write_at(disk, &times_path, (times_at, &times), anew).await?,
    ];
    if wary {
        disk.sync_files(files.clone()).await?;
        disk.sync_names(directory).await?;
    }
    files.push(write_at(disk, &offsets_path, (offsets_at, &offsets), anew).await?);
    Ok(files)
}

/// Writes bytes to a file, which ends behind them if it is written anew.
async fn write_at(
    disk: &Arc<dyn Disk>,
    path: &Path,
    (at, bytes): (usize, &[u8]),
    anew: bool,
) -> io::Result<Arc<dyn File>> {
    let file = disk.open_file(path, Open::Ensure).await?;
    if anew {
        disk.truncate_to(&file, 0).await?;
    }
    if !bytes.is_empty() {
        file.write_at(at as u64, &[IoSlice::new(bytes)])?;
    }
    Ok(file)
}

/// Makes the files of a segment hold exactly the entries in memory. Nothing is done where they do.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn write_all(
    disk: &Arc<dyn Disk>,
    (directory, base): (&Path, Offset),
    loaded: &Loaded,
) -> io::Result<()> {
    let (entries, stored) = (loaded.entries(), loaded.stored);
    tidy(disk, (directory, base), stored).await?;
    if entries != stored.entries || stored.disproved {
        write_entries(disk, (directory, base), loaded, stored.entries..entries).await?;
    }
    Ok(())
}

/// Leaves nothing in the files of a segment but what is of use: cuts them behind that, or sees to
/// it that they are not believed before they are written anew. Empty ones would be: a short segment
/// without aborted transactions has such.
///
/// # Errors
/// When the disk refuses.
pub(crate) async fn tidy(
    disk: &Arc<dyn Disk>,
    (directory, base): (&Path, Offset),
    stored: Stored,
) -> io::Result<()> {
    if stored.disproved {
        return match disk.unlink(&directory.join(index_name(base))).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    if !stored.excess {
        return Ok(());
    }
    let lens = [
        stored.entries.offsets * OFFSET_ENTRY_BYTES,
        stored.entries.times * TIME_ENTRY_BYTES,
        stored.entries.aborted * ABORTED_ENTRY_BYTES,
    ];
    for (path, len) in index_paths(directory, base).iter().zip(lens) {
        let file = disk.open_file(path, Open::Ensure).await?;
        disk.truncate_to(&file, len as u64).await?;
    }
    Ok(())
}

/// Whether there is any index file of a segment that is not empty.
pub(crate) fn has_entries(listing: &Listing, base: Offset) -> bool {
    names(base).iter().any(|name| listing.len_of(name).is_some_and(|len| len > 0))
}
