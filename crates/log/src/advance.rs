//! Letting go of the oldest records: the log's start moves, and whole segments below it go.
//!
//! The order carries it. The host writes the new start down, durably; then the log forgets the
//! segments, so that no reader finds them; then their files are renamed, which a start after a
//! crash finishes; and after a while, for those who still read them, they are removed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{DirEntry, Disk, DiskExt};
use ottla_types::Offset;

use crate::compact::CLEANED;
use crate::files::{parse_suffixed, segment_file};
use crate::{Log, LogView};

/// What is appended to the name of a file that is on its way out.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";

/// The files of a segment; its batches last: as long as they have their name, a start finds the
/// segment, and somebody will come back to it.
const EXTENSIONS: [&str; 5] = ["snapshot", "txnindex", "timeindex", "index", "log"];

/// Segments that a log has forgotten. Their files have their names still.
#[derive(Debug)]
#[must_use]
pub struct Doomed {
    directory: Arc<Path>,
    bases: Vec<Offset>,
}

/// Files under names that nobody takes for a log's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct SetAside(Vec<PathBuf>);

impl Doomed {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bases.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bases.is_empty()
    }

    /// Renames the files, once the log's new start is durable. A crash that takes the new names
    /// back does no harm: the segments lie below the log's start.
    ///
    /// # Errors
    /// When the disk refuses; the next start finds the rest.
    pub async fn set_aside(self, disk: &Arc<dyn Disk>) -> io::Result<SetAside> {
        let mut aside = SetAside::default();
        for base in self.bases {
            for extension in EXTENSIONS {
                let from = self.directory.join(segment_file(base, extension));
                let onto = deleted(&from);
                match disk.move_to(&from, &onto).await {
                    Ok(()) => aside.0.push(onto),
                    // Most segments have no `.txnindex`, and many no `.snapshot`.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(aside)
    }
}

impl SetAside {
    /// Those in a log's directory, and what a compaction has left incomplete.
    pub(crate) fn among<'a>(directory: &Path, files: impl Iterator<Item = &'a DirEntry>) -> Self {
        let deleted = |entry: &&DirEntry| {
            entry.name.ends_with(DELETED_SUFFIX) || parse_suffixed(&entry.name, CLEANED).is_some()
        };
        Self(files.filter(deleted).map(|entry| directory.join(&entry.name)).collect())
    }

    /// These.
    pub(crate) const fn these(paths: Vec<PathBuf>) -> Self {
        Self(paths)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes them.
    pub async fn remove(self, disk: &Arc<dyn Disk>) {
        for path in self.0 {
            if let Err(error) = disk.unlink(&path).await
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "deleted file not removed");
            }
        }
    }
}

/// The name of a file on its way out.
pub(crate) fn deleted(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DELETED_SUFFIX);
    name.into()
}

impl LogView {
    /// The view of a log that starts at `start`, no lower than before: without the segments that
    /// end below it.
    fn starting_at(&self, start: Offset) -> (Self, Vec<Offset>) {
        let mut sealed = self.sealed().to_vec();
        let ends = |at: usize| sealed.get(at + 1).map_or(self.active().base, |s| s.segment.base);
        let gone = (0..sealed.len()).take_while(|at| ends(*at) <= start).count();
        let bases = sealed.drain(..gone).map(|sealed| sealed.segment.base).collect();
        (Self::new(start, sealed, Arc::clone(self.active())), bases)
    }
}

impl Log {
    /// Whether [`Self::advance_start`] may go as far as `to`: the recovery point, where a start
    /// after a crash begins, lies in what is left then. Otherwise a checkpoint comes first: what
    /// producers were further back cannot be brought up to date without the batches.
    #[must_use]
    pub fn may_start_at(&self, to: Offset) -> bool {
        let bases = self.view_of_writer().segments().map(|segment| segment.base);
        let kept = bases.take_while(|base| *base <= to).last();
        kept.is_none_or(|kept| kept <= self.recovery_point())
    }

    /// Nothing below `to` is shown any more; the segments that lie there in full are the caller's
    /// to remove. Views from before go on with them. Epochs that ended there are forgotten.
    /// Producers are not: who wrote last is not told by what is left (KIP-360).
    ///
    /// # Panics
    /// If the log ends before `to`.
    pub fn advance_start(&mut self, to: Offset) -> Doomed {
        assert!(to <= self.end().offset, "nobody deletes what is not there yet");
        let start = to.max(self.start_offset());
        let (view, bases) = self.view().starting_at(start);
        self.set_view(view, start);
        Doomed { directory: Arc::clone(self.directory()), bases }
    }
}
