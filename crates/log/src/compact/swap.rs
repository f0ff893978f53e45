//! One segment in place of others, so that a crash at any moment leaves the old ones or the new
//! one. The names are Kafka's, and so is what they mean: whichever of the two systems starts next
//! finishes what the other began.
//!
//! ```text
//! 1  <base>.log.cleaned, .index, .timeindex, .txnindex     a start removes them
//! 2  they are durable, and are called *.swap then; so are the names
//! 3  the old files are called *.deleted; so are the names   a start does so from here on,
//! 4  *.swap loses its suffix                                and goes on
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_types::Offset;

use crate::advance::{SetAside, deleted};
use crate::files::{SEGMENT_KINDS, parse_suffixed, segment_file};
use crate::listing::Listing;
use crate::load::LoadError;
use crate::lookup::Headers;
use crate::segment::Segment;
use crate::view::SealedSegment;
use crate::walk::HeaderWalk;
use crate::{Log, LogView};

/// The files of a compaction that is under way.
pub(crate) const CLEANED: &str = ".cleaned";

/// Its files when they are complete.
pub(crate) const SWAP: &str = ".swap";

/// A segment that is to take the place of others. Its files are complete, durable, and bear names
/// that are no segment's.
#[derive(Debug)]
#[must_use]
pub struct CleanedSegment {
    pub(crate) directory: Arc<Path>,
    pub(crate) replaces: Vec<Arc<Segment>>,
    pub(crate) by: SealedSegment,
    /// The extensions of the files that there are.
    pub(crate) kinds: Vec<&'static str>,
}

/// Old segments whose place was taken in memory.
#[derive(Debug)]
#[must_use]
pub struct Swapping(CleanedSegment);

impl CleanedSegment {
    fn path(&self, kind: &str, suffix: &str) -> PathBuf {
        suffixed(&self.directory.join(segment_file(self.by.segment.base, kind)), suffix)
    }

    /// Bytes of the segments that it replaces, and its own.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.replaces.iter().map(|old| old.surveyed).sum(), self.by.end)
    }

    /// Whether the log still has all segments that this one is made of.
    #[must_use]
    pub fn replaces_part_of(&self, log: &Log) -> bool {
        self.place_in(log.view_of_writer()).is_some()
    }

    /// Where the replaced segments begin among the sealed ones.
    fn place_in(&self, view: &LogView) -> Option<usize> {
        let first = self.replaces.first().expect("it is made of something");
        let sealed = view.sealed();
        let at = sealed.iter().position(|sealed| Arc::ptr_eq(&sealed.segment, first))?;
        let found = sealed.get(at..at + self.replaces.len())?;
        let same = found.iter().zip(&self.replaces);
        same.into_iter().all(|(one, other)| Arc::ptr_eq(&one.segment, other)).then_some(at)
    }

    /// Declares the files complete. From here on a start puts them into their place.
    ///
    /// # Errors
    /// When the disk refuses: which of the two would be found is unknown then.
    pub async fn declare(&self, disk: &Arc<dyn Disk>) -> io::Result<()> {
        for kind in &self.kinds {
            disk.move_to(&self.path(kind, CLEANED), &self.path(kind, SWAP)).await?;
        }
        disk.sync_names(&self.directory).await
    }

    /// Removes the files: the old segments stay.
    pub async fn discard(self, disk: &Arc<dyn Disk>) {
        let paths = self.kinds.iter().map(|kind| self.path(kind, CLEANED));
        SetAside::these(paths.collect()).remove(disk).await;
    }
}

impl Log {
    /// Readers are shown one segment in place of others from now on; views from before go on with
    /// the old ones. The files must have been declared.
    ///
    /// # Panics
    /// If the old ones are not part of the log ([`CleanedSegment::replaces_part_of`]).
    pub fn replace(&mut self, cleaned: CleanedSegment) -> Swapping {
        let view = self.view();
        let at = cleaned.place_in(&view).expect("nobody deletes while segments are swapped");
        let mut sealed = view.sealed().to_vec();
        let by = cleaned.by.clone();
        sealed.splice(at..at + cleaned.replaces.len(), std::iter::once(by));
        let start = view.start_offset();
        self.set_view(LogView::new(start, sealed, Arc::clone(view.active())), start);
        Swapping(cleaned)
    }
}

impl Swapping {
    /// Gives the files their places. What it returns is what readers may still be at.
    ///
    /// # Errors
    /// When the disk refuses. The next start does the rest.
    pub async fn finish(self, disk: &Arc<dyn Disk>) -> io::Result<SetAside> {
        let cleaned = self.0;
        let mut aside = Vec::new();
        for old in &cleaned.replaces {
            for kind in SEGMENT_KINDS.iter().rev() {
                let from = cleaned.directory.join(segment_file(old.base, kind));
                let onto = deleted(&from);
                match disk.move_to(&from, &onto).await {
                    Ok(()) => aside.push(onto),
                    // Most segments have no `.txnindex`.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        disk.sync_names(&cleaned.directory).await?;
        for kind in &cleaned.kinds {
            disk.move_to(&cleaned.path(kind, SWAP), &cleaned.path(kind, "")).await?;
        }
        disk.sync_names(&cleaned.directory).await?;
        Ok(SetAside::these(aside))
    }
}

/// Finishes what a process that was killed had begun to put into its place: Apache Kafka's rules,
/// for its directories and for ours. Without effect where nothing was begun.
///
/// # Errors
/// When the disk refuses, or a complete file is none.
pub(crate) async fn finish_interrupted(
    disk: &Arc<dyn Disk>,
    directory: &Path,
) -> Result<(), LoadError> {
    let listing = Listing::of(disk.list(directory).await)?;
    let of = |suffix| {
        let parse = move |name: &str| parse_suffixed(name, suffix);
        listing.files().filter_map(move |entry| Some((parse(&entry.name)?, entry)))
    };
    let unfinished = of(CLEANED).map(|(base, _)| base).min();
    for (_, entry) in of(CLEANED) {
        disk.unlink(&directory.join(&entry.name)).await?;
    }
    let (mut places, mut range) = (Vec::new(), None);
    for (base, entry) in of(SWAP) {
        let path = directory.join(&entry.name);
        // Some of the files of that segment, or of one before, are not complete: the old ones are
        // all there.
        if unfinished.is_some_and(|unfinished| base >= unfinished) {
            disk.unlink(&path).await?;
            continue;
        }
        if entry.name == format!("{}{SWAP}", segment_file(base, "log")) {
            let end = end_of(disk, &path, (base, entry.len)).await?;
            let (first, last) = range.unwrap_or((base, end));
            range = Some((base.min(first), end.max(last)));
        }
        places.push(path);
    }
    if places.is_empty() {
        return Ok(());
    }
    tracing::info!(directory = %directory.display(), "an interrupted compaction is completed");
    // What takes the place of others is durable before they go.
    disk.sync_names(directory).await?;
    if let Some((first, end)) = range {
        let replaced = |entry: &&ottla_env::DirEntry| {
            parse_suffixed(&entry.name, "").is_some_and(|base| base >= first && base < end)
        };
        for entry in listing.files().filter(replaced) {
            disk.unlink(&directory.join(&entry.name)).await?;
        }
        disk.sync_names(directory).await?;
    }
    for path in places {
        disk.move_to(&path, &path.with_extension("")).await?;
    }
    Ok(disk.sync_names(directory).await?)
}

/// Where a segment ends whose file has so many bytes.
async fn end_of(
    disk: &Arc<dyn Disk>,
    path: &Path,
    (base, len): (Offset, u64),
) -> Result<Offset, LoadError> {
    let file = disk.open_file(path, Open::Existing).await?;
    let mut headers = Headers::new(disk, (base, &file), HeaderWalk { at: 0, end: len });
    let mut end = base;
    while let Some(batch) = headers.next().await? {
        end = batch.header.last_offset().next();
    }
    Ok(end)
}

/// A path with something appended to its name.
pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
