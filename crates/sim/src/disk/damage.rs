//! What happens to files while nobody looks: bits that flip, and files that somebody deletes or
//! cuts while the node is down.

use std::path::Path;

use super::Storage;
use super::names::{Inode, Tree};
use crate::draws::Draws;
use crate::kernel::lock;

/// Harm done to a file, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Its name is removed.
    Removed,
    /// Only so many bytes of it are left.
    CutTo(usize),
    /// All of its bytes are zeros.
    Zeroed,
    /// One bit of the byte at a position is another.
    BitFlipped { at: usize, bit: u8 },
}

/// Bytes of a file that are not those that were written, and were promised to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    pub path: String,
    /// The first of them.
    pub at: u64,
}

/// Whether a file holds batches of a partition that clients write to. The metadata log is not one:
/// a node that cannot trust it cannot go on, and says so.
pub(super) fn is_segment(path: &str) -> bool {
    path.ends_with(".log") && !path.contains("__cluster_metadata")
}

/// Where a write may land that should have gone to the page `from`. Never on the first page of a
/// segment: batches begin there, and a batch does not say which partition it is of.
pub(super) fn places(tree: &Tree, from: (Inode, usize)) -> Vec<(Inode, usize)> {
    let mut places = Vec::new();
    for (inode, pages) in tree.all_pages() {
        let Some(path) = tree.path_of(inode) else { continue };
        let whole = pages.len().div_ceil(4_096);
        let (first, end) = if is_segment(&path) {
            (1, whole)
        } else if path.ends_with("index") || path.ends_with(".snapshot") {
            (0, whole)
        } else {
            continue;
        };
        places.extend((first..end).map(|page| (inode, page)).filter(|place| *place != from));
    }
    places
}

impl Storage {
    /// Every file, with its length, sorted.
    pub(crate) fn files(&self) -> Vec<(String, usize)> {
        lock(&self.state).tree.files()
    }

    /// The content of a file, if there is one.
    pub(crate) fn content(&self, path: &str) -> Option<Vec<u8>> {
        let tree = &mut lock(&self.state).tree;
        let inode = tree.find_file(Path::new(path)).ok()?;
        Some(tree.pages(inode).content().to_vec())
    }

    /// Harms a file. Nothing happens where the device holds no such byte: what was not synced is
    /// in memory alone.
    pub(crate) fn damage(&self, path: &str, damage: Damage) -> bool {
        let tree = &mut lock(&self.state).tree;
        let done = harm(tree, Path::new(path), damage);
        if done {
            self.kernel.note("damage", u64::from(self.host.0), path.len() as u64);
            self.kernel.print(format_args!("{path} of host {}: {damage:?}", self.host.0));
        }
        done
    }

    /// What the device turned out to have lied about, since the last question.
    pub(crate) fn take_damaged(&self) -> Vec<Damaged> {
        std::mem::take(&mut lock(&self.state).damaged)
    }
}

fn harm(tree: &mut Tree, path: &Path, damage: Damage) -> bool {
    let Ok(inode) = tree.find_file(path) else { return false };
    match damage {
        Damage::Removed => {
            let removed = tree.remove_file(path);
            let parent = path.parent().expect("a file has a directory");
            removed.and_then(|()| tree.sync(parent)).is_ok()
        }
        Damage::CutTo(len) => tree.pages(inode).harm(|bytes| bytes.truncate(len)),
        Damage::Zeroed => tree.pages(inode).harm(|bytes| bytes.fill(0)),
        Damage::BitFlipped { at, bit } => tree.pages(inode).flip(at, bit),
    }
}

impl Damage {
    /// Any harm to a file of `len` bytes.
    #[must_use]
    pub fn draw(draws: &Draws, len: usize) -> Self {
        let bit = u8::try_from(draws.below(8)).expect("eight bits");
        match draws.below(6) {
            _ if len == 0 => Self::Removed,
            0 | 1 => Self::Removed,
            2 => Self::Zeroed,
            3 => Self::CutTo(draws.index(len)),
            _ => Self::BitFlipped { at: draws.index(len), bit },
        }
    }
}
