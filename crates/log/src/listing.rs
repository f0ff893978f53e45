//! The names in a log's directory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_env::{DirEntry, Disk, DiskExt};
use ottla_types::Offset;

use crate::compact::SWAP;
use crate::files::{parse_segment_name, parse_snapshot_name, parse_suffixed};

/// The names in a log's directory at one moment, and how long the files are.
#[derive(Clone, Debug)]
pub(crate) struct Listing(Vec<DirEntry>);

impl Listing {
    pub(crate) async fn read(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Self> {
        disk.list(directory).await.map(Self)
    }

    /// What somebody found in a directory; one that is missing is empty.
    pub(crate) fn of(listed: io::Result<Vec<DirEntry>>) -> io::Result<Self> {
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(Vec::new())),
            listed => listed.map(Self),
        }
    }

    /// First offsets and bytes of the segments, the oldest first.
    pub(crate) fn segments(&self) -> Vec<(Offset, u64)> {
        let parse = |entry: &DirEntry| parse_segment_name(&entry.name).map(|at| (at, entry.len));
        sorted(self.files().filter_map(parse))
    }

    /// The ends of the producers' snapshots, the oldest first.
    pub(crate) fn snapshots(&self) -> Vec<Offset> {
        sorted(self.files().filter_map(|entry| parse_snapshot_name(&entry.name)))
    }

    /// The bytes of a file; `None` if there is none of that name.
    pub(crate) fn len_of(&self, name: &str) -> Option<u64> {
        self.files().find(|entry| entry.name == name).map(|entry| entry.len)
    }

    /// A file that a compaction was about to give a segment's name.
    pub(crate) fn swap(&self) -> Option<&str> {
        let names = self.files().map(|entry| &*entry.name);
        names.into_iter().find(|name| parse_suffixed(name, SWAP).is_some())
    }

    /// The files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &DirEntry> {
        self.0.iter().filter(|entry| !entry.is_dir)
    }
}

fn sorted<T: Ord>(found: impl Iterator<Item = T>) -> Vec<T> {
    let mut found: Vec<T> = found.collect();
    found.sort_unstable();
    found
}
