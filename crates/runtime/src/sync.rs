//! Syncs of several files that are one answer.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use ottla_env::{File, Reply};
use rustix::fs::syncfs;

use crate::dirt::{favours_whole, machine_dirty_bytes};
use crate::disk::{RealFile, Unsynced};
use crate::file_system::FileSystems;
use crate::pool::{Job, Pool, Turn};
use crate::write_out::{self, WriteOut};

/// Files that are synced at the same time. The journal of a file system commits for all who wait,
/// so eight at once take a quarter of the time of one after the other; twice as many gain little
/// (measured: `docs/adr/0013`). Several log directories share them, file by file.
pub(crate) const SYNC_THREADS_MAX: usize = 8;

struct SyncSet {
    files: Vec<Arc<dyn File>>,
    progress: Mutex<Progress>,
}

struct Progress {
    next: usize,
    workers: usize,
    failed: Option<io::Error>,
    to: Option<Reply<io::Result<()>>>,
}

/// Makes the bytes of all `files` durable, in `pool`: many of them written a piece at a time first
/// (`docs/adr/0029`), then by one sync of their file system, where that is cheaper
/// (`docs/adr/0018`), or of each.
pub(crate) fn submit(
    pool: &Arc<Pool>,
    file_systems: &Arc<FileSystems>,
    files: Vec<Arc<dyn File>>,
    to: Reply<io::Result<()>>,
) {
    match files.as_slice() {
        [] => to.send(Ok(())),
        [only] if !write_out::is_worthwhile(RealFile::of(only).unsynced()) => {
            submit_each(pool, files, to);
        }
        [..] => {
            let (file_systems, own) = (Arc::clone(file_systems), Arc::clone(pool));
            // To ask the kernel costs more than a loop should spend.
            pool.submit(Job::Once(Box::new(move || begin(&own, file_systems, files, to))));
        }
    }
}

fn begin(
    pool: &Arc<Pool>,
    file_systems: Arc<FileSystems>,
    files: Vec<Arc<dyn File>>,
    to: Reply<io::Result<()>>,
) {
    let unsynced: Vec<Unsynced> =
        files.iter().map(|file| RealFile::of(file).take_unsynced()).collect();
    let Some(mut write_out) = WriteOut::of(&files, &unsynced) else {
        let own = unsynced.iter().map(|some| some.bytes).sum();
        return sync(pool, &file_systems, files, own, to);
    };
    let own = Arc::clone(pool);
    let mut rest = Some((files, to));
    pool.submit(Job::Turns(Box::new(move || {
        let written = write_out.next_piece();
        if let Ok(true) = written {
            return Turn::More;
        }
        let (files, to) = rest.take().expect("the last turn is one");
        match written {
            Ok(_) => {
                let newer = files.iter().map(|file| RealFile::of(file).take_unsynced().bytes);
                let left = write_out.left_bytes() + newer.sum::<u64>();
                sync(&own, &file_systems, files, left, to);
            }
            Err(error) => to.send(Err(error)),
        }
        Turn::Last
    })));
}

/// `own`: the bytes of the files that may still have to be written.
fn sync(
    pool: &Pool,
    file_systems: &FileSystems,
    files: Vec<Arc<dyn File>>,
    own: u64,
    to: Reply<io::Result<()>>,
) {
    match whole(file_systems, &files, own) {
        Some(file_system) => to.send(syncfs(file_system).map_err(io::Error::from)),
        None => submit_each(pool, files, to),
    }
}

/// The one file system to sync instead of these files.
fn whole(file_systems: &FileSystems, files: &[Arc<dyn File>], own: u64) -> Option<Arc<fs::File>> {
    if files.len() < 2 {
        return None;
    }
    let device = RealFile::of(files.first()?).device();
    let together = files.iter().all(|file| RealFile::of(file).device() == device);
    let file_system = file_systems.synced_whole(device).filter(|_| together)?;
    let dirty = machine_dirty_bytes().ok()?;
    favours_whole(files.len(), own, dirty).then_some(file_system)
}

fn submit_each(pool: &Pool, files: Vec<Arc<dyn File>>, to: Reply<io::Result<()>>) {
    let workers = files.len().min(SYNC_THREADS_MAX);
    let progress = Progress { next: 0, workers, failed: None, to: Some(to) };
    let set = Arc::new(SyncSet { files, progress: Mutex::new(progress) });
    for _ in 0..workers {
        let set = Arc::clone(&set);
        pool.submit(Job::Turns(Box::new(move || set.sync_one())));
    }
}

impl SyncSet {
    fn sync_one(&self) -> Turn {
        let Some(file) = self.lock().take_next(&self.files) else { return self.end() };
        if let Err(error) = RealFile::of(&file).sync_data() {
            self.lock().failed.get_or_insert(error);
        }
        Turn::More
    }

    fn end(&self) -> Turn {
        let mut progress = self.lock();
        progress.workers -= 1;
        if progress.workers == 0 {
            let result = progress.failed.take().map_or(Ok(()), Err);
            let to = progress.to.take().expect("the last worker is one");
            drop(progress);
            to.send(result);
        }
        Turn::Last
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("nothing panics under the lock")
    }
}

impl Progress {
    /// The next file; none after a failure, which no other file's success would heal.
    fn take_next(&mut self, files: &[Arc<dyn File>]) -> Option<Arc<dyn File>> {
        if self.failed.is_some() {
            return None;
        }
        let file = files.get(self.next).map(Arc::clone)?;
        self.next += 1;
        Some(file)
    }
}
