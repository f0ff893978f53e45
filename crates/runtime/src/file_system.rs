//! What concerns a whole file system: its room, and making all of it durable.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ottla_env::Space;
use rustix::fs::{fstatvfs, syncfs};

/// The directories that stand for their file systems, kept open: Linux tells a descriptor of the
/// failed writes since it was opened, so one that is opened for a sync knows of none before it.
/// As many as there are log directories.
#[derive(Debug, Default)]
pub(crate) struct FileSystems {
    known: Mutex<BTreeMap<PathBuf, Arc<fs::File>>>,
}

impl FileSystems {
    fn of(&self, directory: &Path) -> io::Result<Arc<fs::File>> {
        let mut known = self.known.lock().expect("nothing panics under the lock");
        if let Some(file) = known.get(directory) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(fs::File::open(directory)?);
        known.insert(directory.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    pub(crate) fn space(&self, directory: &Path) -> io::Result<Space> {
        let found = fstatvfs(self.of(directory)?)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { total_bytes: bytes(found.f_blocks), available_bytes: bytes(found.f_bavail) })
    }

    /// Needs Linux 5.8: before it, `syncfs` waited but did not tell of errors.
    pub(crate) fn sync_all(&self, directory: &Path) -> io::Result<()> {
        Ok(syncfs(self.of(directory)?)?)
    }
}
