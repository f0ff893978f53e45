//! A disk in memory that answers at once, and forgets in a crash what was not synced.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ottla_env::{
    CachedRead, DirEntry, Disk, File, FileLock, Glance, GlanceAt, Open, Reply, Space, reply,
};

use crate::support::now;

/// The disk. A clone is the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryDisk(Arc<World>);

#[derive(Debug, Default)]
struct World {
    names: Mutex<Names>,
    durable: Mutex<Names>,
    fail_writes: AtomicBool,
    full: AtomicBool,
    fail_syncs: AtomicBool,
    cold: AtomicBool,
    opens: AtomicU64,
    bytes_read: AtomicU64,
    writes: AtomicU64,
    locked: AtomicBool,
    /// Changes that it still makes, and one more; 0 for ever.
    changes_left: AtomicUsize,
}

#[derive(Clone, Debug, Default)]
struct Names {
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct MemoryFile {
    world: std::sync::Weak<World>,
    bytes: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
    warm: AtomicBool,
}

impl MemoryDisk {
    pub(crate) fn ports(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// The disk after a power cut: synced names, synced bytes, and of what was appended after them
    /// the first `luck` bytes.
    pub(crate) fn crash(&self, luck: usize) -> Self {
        self.crash_with(|unsynced| unsynced.truncate(luck))
    }

    /// The disk after a power cut that did `damage` to the unsynced end of every file.
    pub(crate) fn crash_with(&self, mut damage: impl FnMut(&mut Vec<u8>)) -> Self {
        let after = Self::default();
        let durable = self.0.durable.lock().unwrap();
        let mut names = Names { directories: durable.directories.clone(), ..Names::default() };
        for (path, file) in &durable.files {
            if !path.parent().is_some_and(|parent| durable.directories.contains(parent)) {
                continue;
            }
            let mut bytes = file.durable.lock().unwrap().clone();
            let mut unsynced: Vec<u8> =
                file.bytes.lock().unwrap().iter().skip(bytes.len()).copied().collect();
            damage(&mut unsynced);
            bytes.append(&mut unsynced);
            names.files.insert(path.clone(), after.file_of(bytes));
        }
        *after.0.durable.lock().unwrap() = names.clone();
        *after.0.names.lock().unwrap() = names;
        after
    }

    /// The disk after a power cut that took what was not synced of the files with such names, and
    /// nothing else.
    pub(crate) fn crash_losing(&self, suffix: &str) -> Self {
        let after = Self::default();
        for (path, file) in &self.0.names.lock().unwrap().files {
            let path = path.to_str().unwrap();
            let lost = path.ends_with(suffix);
            let bytes = if lost { &file.durable } else { &file.bytes };
            after.put(path, &bytes.lock().unwrap());
        }
        after
    }

    pub(crate) fn fail_writes(&self) {
        self.0.fail_writes.store(true, Ordering::Relaxed);
    }

    /// Writes are done by half, for want of space.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.full.store(full, Ordering::Relaxed);
    }

    pub(crate) fn fail_syncs(&self) {
        self.0.fail_syncs.store(true, Ordering::Relaxed);
    }

    /// Makes so many changes more, and refuses all that come after them.
    pub(crate) fn refuse_after(&self, changes: usize) {
        self.0.changes_left.store(changes + 1, Ordering::Relaxed);
    }

    /// As if another process held every lock.
    pub(crate) fn lock_all(&self) {
        self.0.locked.store(true, Ordering::Relaxed);
    }

    /// Reads from the cache find nothing until the disk has read the file.
    pub(crate) fn cool(&self) {
        self.0.cold.store(true, Ordering::Relaxed);
    }

    /// Another disk with the same files, all of them durable.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        for path in self.list() {
            copy.put(&path, &self.content(&path));
        }
        copy
    }

    pub(crate) fn remove(&self, path: &str) {
        for names in [&self.0.names, &self.0.durable] {
            names.lock().unwrap().files.remove(Path::new(path));
        }
    }

    /// Files that were opened since the last question, and bytes that were read.
    pub(crate) fn take_reads(&self) -> (u64, u64) {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        (take(&self.0.opens), take(&self.0.bytes_read))
    }

    /// Writes since the last question.
    pub(crate) fn take_writes(&self) -> u64 {
        self.0.writes.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        let file = Arc::clone(&self.0.names.lock().unwrap().files[Path::new(path)]);
        file.bytes.lock().unwrap().clone()
    }

    /// Puts a durable file there.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let path = PathBuf::from(path);
        for names in [&self.0.names, &self.0.durable] {
            let mut names = names.lock().unwrap();
            names.directories.insert(path.parent().unwrap().to_owned());
            names.files.insert(path.clone(), self.file_of(bytes.to_vec()));
        }
    }

    /// Changes the bytes of a file, whoever has it open.
    pub(crate) fn overwrite(&self, path: &str, bytes: &[u8]) {
        let file = Arc::clone(&self.0.names.lock().unwrap().files[Path::new(path)]);
        *file.bytes.lock().unwrap() = bytes.to_vec();
    }

    pub(crate) fn list(&self) -> Vec<String> {
        let names = self.0.names.lock().unwrap();
        names.files.keys().map(|path| path.display().to_string()).collect()
    }

    fn file_of(&self, bytes: Vec<u8>) -> Arc<MemoryFile> {
        Arc::new(MemoryFile {
            world: Arc::downgrade(&self.0),
            durable: Mutex::new(bytes.clone()),
            bytes: Mutex::new(bytes),
            warm: AtomicBool::new(false),
        })
    }

    fn open_now(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut names = self.0.names.lock().unwrap();
        match (names.files.get(path), how) {
            (Some(_), Open::New) => Err(io::ErrorKind::AlreadyExists.into()),
            (None, Open::Existing) => Err(io::ErrorKind::NotFound.into()),
            (Some(file), Open::Existing | Open::Ensure) => Ok(Arc::clone(file) as Arc<dyn File>),
            (None, Open::New | Open::Ensure) => {
                self.0.change()?;
                let file = self.file_of(Vec::new());
                names.files.insert(path.to_owned(), Arc::clone(&file));
                Ok(file)
            }
        }
    }

    fn sync_now(&self, files: &[Arc<dyn File>]) -> io::Result<()> {
        self.0.change()?;
        if self.0.fail_syncs.load(Ordering::Relaxed) {
            return Err(io::Error::other("the device is gone"));
        }
        for file in files {
            let file = of(file);
            file.durable.lock().unwrap().clone_from(&file.bytes.lock().unwrap());
        }
        Ok(())
    }
}

fn of(file: &Arc<dyn File>) -> &MemoryFile {
    file.as_any().downcast_ref().unwrap()
}

impl World {
    fn change(&self) -> io::Result<()> {
        match self.changes_left.load(Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(io::Error::other("no change more")),
            left => {
                self.changes_left.store(left - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

#[derive(Debug)]
struct Free;

impl FileLock for Free {}

impl File for MemoryFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.world.upgrade().unwrap().change()?;
        let world = self.world.upgrade().unwrap();
        world.writes.fetch_add(1, Ordering::Relaxed);
        let full = world.full.load(Ordering::Relaxed);
        let failing = full || world.fail_writes.load(Ordering::Relaxed);
        let mut bytes = self.bytes.lock().unwrap();
        let mut at = usize::try_from(at).unwrap();
        for part in parts {
            let part = &part[..if failing { part.len() / 2 } else { part.len() }];
            let end = bytes.len().max(at + part.len());
            bytes.resize(end, 0);
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        match (full, failing) {
            (true, _) => Err(io::ErrorKind::StorageFull.into()),
            (false, true) => Err(io::Error::other("the device is gone")),
            (false, false) => Ok(()),
        }
    }

    fn read_cached(&self, at: u64, buffer: &mut [u8]) -> io::Result<CachedRead> {
        let cold = self.world.upgrade().unwrap().cold.load(Ordering::Relaxed);
        if cold && !self.warm.load(Ordering::Relaxed) {
            return Ok(CachedRead::Cold);
        }
        let bytes = self.bytes.lock().unwrap();
        let from = bytes.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        let len = from.len().min(buffer.len());
        let world = self.world.upgrade().unwrap();
        world.bytes_read.fetch_add(len as u64, Ordering::Relaxed);
        buffer[..len].copy_from_slice(&from[..len]);
        Ok(CachedRead::Ready(len))
    }

    fn is_cached(&self, _: u64, _: u64) -> bool {
        let cold = self.world.upgrade().unwrap().cold.load(Ordering::Relaxed);
        !cold || self.warm.load(Ordering::Relaxed)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open, to: Reply<io::Result<Arc<dyn File>>>) {
        self.0.opens.fetch_add(1, Ordering::Relaxed);
        to.send(self.open_now(path, how));
    }

    fn len(&self, file: &Arc<dyn File>, to: Reply<io::Result<u64>>) {
        to.send(Ok(of(file).bytes.lock().unwrap().len() as u64));
    }

    fn read(&self, file: &Arc<dyn File>, at: u64, len: usize, to: Reply<io::Result<Vec<u8>>>) {
        of(file).warm.store(true, Ordering::Relaxed);
        let mut bytes = vec![0; len];
        let CachedRead::Ready(len) = file.read_cached(at, &mut bytes).unwrap() else {
            unreachable!("the file is warm");
        };
        bytes.truncate(len);
        to.send(Ok(bytes));
    }

    fn read_ahead(&self, file: &Arc<dyn File>, _: u64, _: u64, to: Reply<io::Result<()>>) {
        of(file).warm.store(true, Ordering::Relaxed);
        to.send(Ok(()));
    }

    fn read_file(&self, path: &Path, to: Reply<io::Result<Vec<u8>>>) {
        self.0.opens.fetch_add(1, Ordering::Relaxed);
        to.send(self.open_now(path, Open::Existing).map(|file| {
            let bytes = of(&file).bytes.lock().unwrap().clone();
            self.0.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            bytes
        }));
    }

    fn sync(&self, files: Vec<Arc<dyn File>>, to: Reply<io::Result<()>>) {
        to.send(self.sync_now(&files));
    }

    fn truncate(&self, file: &Arc<dyn File>, len: u64, to: Reply<io::Result<()>>) {
        if let Err(refused) = self.0.change() {
            return to.send(Err(refused));
        }
        of(file).bytes.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        to.send(Ok(()));
    }

    fn sync_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        if let Err(refused) = self.0.change() {
            return to.send(Err(refused));
        }
        let (live, mut durable) = (self.0.names.lock().unwrap(), self.0.durable.lock().unwrap());
        let within = |name: &Path| name.parent() == Some(path);
        durable.files.retain(|name, _| !within(name));
        let files = live.files.iter().filter(|(name, _)| within(name));
        durable.files.extend(files.map(|(name, file)| (name.clone(), Arc::clone(file))));
        durable.directories.extend(live.directories.iter().filter(|name| within(name)).cloned());
        to.send(Ok(()));
    }

    fn sync_all(&self, _: &Path, to: Reply<io::Result<()>>) {
        let names = self.0.names.lock().unwrap().clone();
        let files: Vec<_> =
            names.files.values().map(|file| Arc::clone(file) as Arc<dyn File>).collect();
        let synced = self.sync_now(&files);
        if synced.is_ok() {
            *self.0.durable.lock().unwrap() = names;
        }
        to.send(synced);
    }

    fn space(&self, _: &Path, to: Reply<io::Result<Space>>) {
        to.send(Ok(Space { total_bytes: 1 << 40, available_bytes: 1 << 40 }));
    }

    fn create_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.0.names.lock().unwrap().directories.insert(path.to_owned());
        to.send(Ok(()));
    }

    fn glance(&self, folders: Vec<PathBuf>, at: GlanceAt, to: Reply<io::Result<Vec<Glance>>>) {
        let look = |folder: PathBuf| {
            let (entries, listed) = reply();
            self.read_dir(&folder, entries);
            let (bytes, note_read) = reply();
            self.read_file(&folder.join(at.note), bytes);
            Glance { entries: now(listed).unwrap(), note: now(note_read).unwrap() }
        };
        to.send(Ok(folders.into_iter().map(look).collect()));
    }

    fn read_dir(&self, path: &Path, to: Reply<io::Result<Vec<DirEntry>>>) {
        let names = self.0.names.lock().unwrap();
        if !names.directories.contains(path) {
            return to.send(Err(io::ErrorKind::NotFound.into()));
        }
        let within = names.files.iter().filter(|(name, _)| name.parent() == Some(path));
        let entry = |(name, file): (&PathBuf, &Arc<MemoryFile>)| DirEntry {
            name: name.file_name().unwrap().to_str().unwrap().to_owned(),
            is_dir: false,
            len: file.bytes.lock().unwrap().len() as u64,
        };
        let directories = names.directories.iter().filter(|name| name.parent() == Some(path));
        let directory = |name: &PathBuf| DirEntry {
            name: name.file_name().unwrap().to_str().unwrap().to_owned(),
            is_dir: true,
            len: 0,
        };
        let mut entries: Vec<_> = within.map(entry).chain(directories.map(directory)).collect();
        entries.sort();
        to.send(Ok(entries));
    }

    fn rename(&self, from: &Path, onto: &Path, to: Reply<io::Result<()>>) {
        if let Err(refused) = self.0.change() {
            return to.send(Err(refused));
        }
        let mut names = self.0.names.lock().unwrap();
        let file = names.files.remove(from).ok_or(io::ErrorKind::NotFound);
        to.send(
            file.map(|file| drop(names.files.insert(onto.to_owned(), file))).map_err(Into::into),
        );
    }

    fn remove_file(&self, path: &Path, to: Reply<io::Result<()>>) {
        if let Err(refused) = self.0.change() {
            return to.send(Err(refused));
        }
        self.0.names.lock().unwrap().files.remove(path);
        to.send(Ok(()));
    }

    fn remove_dir(&self, _: &Path, _: Reply<io::Result<()>>) {
        unreachable!("a log does not remove directories");
    }

    fn lock(&self, _: &Path, to: Reply<io::Result<Box<dyn FileLock>>>) {
        to.send(match self.0.locked.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => Ok(Box::new(Free)),
        });
    }
}
