//! Folders that are gone when whoever made them is.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where Linux keeps a file system in memory.
const MEMORY: &str = "/dev/shm";

/// A folder that is removed when it is dropped. It is locked as long as it is in use, so that what
/// a kill has left behind is told from it, and swept up by the next who makes one.
pub(crate) struct Throwaway {
    path: PathBuf,
    _held: File,
}

impl Throwaway {
    /// A folder among the temporary ones.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn temporary(name: &str) -> Result<Self, String> {
        let base = std::env::temp_dir();
        Self::make(&base, name).map_err(|error| format!("no folder in {}: {error}", base.display()))
    }

    /// A folder in memory.
    ///
    /// # Errors
    /// When it cannot be made, or no file system here is in memory.
    pub(crate) fn in_memory(name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if !is_in_memory(&mounts, MEMORY) {
            return Err(format!(
                "no file system in memory is mounted at {MEMORY}: mount a tmpfs there, or keep the \
                 data in a folder of your choice with --override log.dirs=FOLDER"
            ));
        }
        Self::make(Path::new(MEMORY), name)
            .map_err(|error| format!("no folder in {MEMORY}: {error}"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn make(base: &Path, name: &str) -> io::Result<Self> {
        sweep(base, name);
        for number in 0_u32.. {
            let path = base.join(format!("{name}-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let held = File::open(&path).and_then(|held| held.lock().map(|()| held));
            // Somebody who swept between the two has taken it for a leftover.
            match held {
                Ok(held) if path.exists() => return Ok(Self { path, _held: held }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("there are not so many folders")
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}

/// Removes what those have left who were killed. What cannot be looked at is somebody else's.
fn sweep(base: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let prefix = format!("{name}-");
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(&prefix);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours && is_folder && File::open(entry.path()).is_ok_and(|it| it.try_lock().is_ok()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// Whether the mounts (`device place kind options ...`, a line each) have a file system in memory
/// at the place. The last one mounted there is the one that is seen.
fn is_in_memory(mounts: &str, place: &str) -> bool {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut kinds = fields.filter(|fields| fields.get(1) == Some(&place));
    kinds.next_back().is_some_and(|fields| matches!(fields.get(2), Some(&("tmpfs" | "ramfs"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_are_swept_up_and_what_is_in_use_is_not() {
        let base = std::env::temp_dir().join(format!("ottla-folders-{}", std::process::id()));
        fs::create_dir_all(base.join("ottla-t-7-0/deep")).unwrap();
        fs::create_dir_all(base.join("ottla-other")).unwrap();
        let first = Throwaway::make(&base, "ottla-t").unwrap();
        let second = Throwaway::make(&base, "ottla-t").unwrap();
        let there = || {
            let entries = fs::read_dir(&base).unwrap();
            let names = entries.map(|each| each.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort_unstable();
            names
        };
        let name = |number: u32| format!("ottla-t-{}-{number}", std::process::id());
        assert_eq!(there(), ["ottla-other".to_owned(), name(0), name(1)]);
        assert!(first.path().ends_with(name(0)));
        drop(first);
        assert_eq!(there(), ["ottla-other".to_owned(), name(1)]);
        drop(second);
        fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn memory_is_told_from_disks() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw,nosuid 0 0\n\
                      /dev/vdb /mnt ext4 rw 0 0\ntmpfs /mnt/x tmpfs rw 0 0\n";
        for (place, expected) in
            [("/dev/shm", true), ("/mnt", false), ("/mnt/x", true), ("/nowhere", false)]
        {
            assert_eq!(is_in_memory(mounts, place), expected, "{place}");
        }
        let covered = format!("{mounts}/dev/vdc /dev/shm ext4 rw 0 0\n");
        assert!(!is_in_memory(&covered, "/dev/shm"));
    }
}
