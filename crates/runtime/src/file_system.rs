//! What concerns a whole file system: its room, and making all of it durable.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use ottla_env::Space;
use rustix::fs::{fstatfs, fstatvfs, syncfs};
use rustix::system::uname;

/// The directories that stand for their file systems, kept open: Linux tells a descriptor of the
/// failed writes since it was opened, so one that is opened for a sync knows of none before it.
/// As many as there are log directories.
#[derive(Debug, Default)]
pub(crate) struct FileSystems {
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

#[derive(Debug)]
struct Known {
    directory: Arc<fs::File>,
    device: u64,
    /// A sync of all of it costs no more than its bytes, and its failures are told.
    synced_whole: bool,
}

/// ext2, ext3 and ext4, and XFS. Others, like btrfs, commit more than the bytes that are asked for,
/// or stand for a file system below them.
const SYNCED_WHOLE: [i64; 2] = [0xef53, 0x5846_5342];

impl FileSystems {
    fn of(&self, directory: &Path) -> io::Result<Arc<fs::File>> {
        let mut known = self.known.lock().expect("nothing panics under the lock");
        if let Some(known) = known.get(directory) {
            return Ok(Arc::clone(&known.directory));
        }
        let file = Arc::new(fs::File::open(directory)?);
        let kind = fstatfs(&file)?.f_type;
        let synced_whole = SYNCED_WHOLE.contains(&kind) && syncs_tell_of_errors();
        let device = file.metadata()?.dev();
        let new = Known { directory: Arc::clone(&file), device, synced_whole };
        known.insert(directory.to_owned(), new);
        Ok(file)
    }

    /// The file system of a log directory, if to sync all of it may be cheaper than to sync a few
    /// of its files.
    pub(crate) fn synced_whole(&self, device: u64) -> Option<Arc<fs::File>> {
        let known = self.known.lock().expect("nothing panics under the lock");
        let mut on_it = known.values().filter(|known| known.device == device);
        on_it.find(|known| known.synced_whole).map(|known| Arc::clone(&known.directory))
    }

    pub(crate) fn space(&self, directory: &Path) -> io::Result<Space> {
        let found = fstatvfs(self.of(directory)?)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total_bytes: bytes(found.f_blocks), available_bytes: bytes(found.f_bavail) })
    }

    pub(crate) fn sync_all(&self, directory: &Path) -> io::Result<()> {
        let file = self.of(directory)?;
        if syncs_tell_of_errors() { Ok(syncfs(file)?) } else { sync_tree(directory) }
    }
}

/// Whether this kernel's `syncfs` says what went wrong.
fn syncs_tell_of_errors() -> bool {
    static TELLS: OnceLock<bool> = OnceLock::new();
    *TELLS.get_or_init(|| syncfs_tells_of_errors(&uname().release().to_string_lossy()))
}

/// Whether this is Linux 5.8 or later: earlier ones wait, and keep to themselves what went wrong.
fn syncfs_tells_of_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 8),
        _ => false,
    }
}

/// Every file and name below a directory, one after the other: what this node has on the file
/// system.
fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        match sync_entry(&entry?) {
            // Removed meanwhile, which the sync of the directory covers.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    fs::File::open(directory)?.sync_all()
}

fn sync_entry(entry: &fs::DirEntry) -> io::Result<()> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        sync_tree(&entry.path())
    } else if kind.is_file() {
        fs::File::open(entry.path())?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_that_keep_errors_to_themselves_are_known() {
        for (release, tells) in [
            ("6.18.44-fc-v669", true),
            ("5.8", true),
            ("10.0.1", true),
            ("5.7.19-arch1", false),
            ("4.18.0-553.el8_10.x86_64", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(syncfs_tells_of_errors(release), tells, "{release}");
        }
    }

    #[test]
    fn everything_below_a_directory_is_synced_one_by_one() {
        let root = std::env::temp_dir().join(format!("ottla-sync-tree-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), b"content").unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("a/link")).unwrap();
        sync_tree(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(sync_tree(&root).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
