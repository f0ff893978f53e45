//! Disks that lose, tear and reorder what was not synced, fill up and fail.
//!
//! The Now half takes no virtual time. An operation of the Later half takes effect at the moment of
//! its completion; a sync covers what had been written when it was submitted. A crash point sits
//! before and after every call and every completion.

mod damage;
mod faults;
mod names;
mod pages;

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ottla_env::{CachedRead, DirEntry, Disk, File, FileLock, Glance, GlanceAt, Open, Reply, Space};

use crate::draws::Draws;
use crate::host::{Death, HostId, Life};
use crate::kernel::{Kernel, lock};

pub use damage::{Damage, Damaged};
use faults::Faults;
pub use faults::{DiskFault, Lie, ReadOnly};
use names::{Inode, Tree};
use pages::SyncImage;

type OnCrashPoint = Box<dyn Fn(Death) + Send>;

/// The disk of a machine.
pub(crate) struct Storage {
    kernel: Arc<Kernel>,
    host: HostId,
    state: Mutex<State>,
    on_crash_point: Mutex<Option<OnCrashPoint>>,
}

struct State {
    tree: Tree,
    draws: Draws,
    faults: Faults,
    /// Pages that are in the cache for sure: written or read since it was dropped.
    warm: BTreeSet<(Inode, u64)>,
    /// Pages that the device cannot read.
    unreadable: BTreeSet<(Inode, u64)>,
    /// What the device has lied about and a power loss has shown.
    damaged: Vec<Damaged>,
}

const PAGE: u64 = 4_096;

/// What a disk without faults has.
const CAPACITY: u64 = 1 << 40;

/// The cache is dropped at one write in so many, times [`DiskFault::ColdOneIn`].
const WRITES_PER_DROP: u64 = 10;

impl Storage {
    pub(crate) fn new(host: HostId, kernel: Arc<Kernel>) -> Self {
        let draws = Draws::new(kernel.seed, u64::from(host.0), "disk");
        let state = State {
            tree: Tree::new(),
            draws,
            faults: Faults::default(),
            warm: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            damaged: Vec::new(),
        };
        Self { kernel, host, state: Mutex::new(state), on_crash_point: Mutex::default() }
    }

    pub(crate) fn on_crash_point(&self, call: OnCrashPoint) {
        *lock(&self.on_crash_point) = Some(call);
    }

    pub(crate) fn inject(&self, fault: DiskFault) {
        self.kernel.print(format_args!("disk of host {}: {fault:?}", self.host.0));
        let mut state = lock(&self.state);
        state.faults.take(fault, self.kernel.now());
        match fault {
            DiskFault::UnreadableOneIn(n) => state.lose_pages(n),
            DiskFault::Healed => state.unreadable.clear(),
            DiskFault::Full(true) => state.leave_room(0),
            DiskFault::Room(Some(room)) => state.leave_room(room),
            _ => {}
        }
    }

    pub(crate) fn on_death(&self, death: Death) {
        let mut state = lock(&self.state);
        state.faults.death_after = None;
        if death == Death::PowerLoss {
            state.lose_power();
        }
    }

    /// A place where the machine may die.
    fn crash_point(&self) {
        let mut state = lock(&self.state);
        let Some((calls, death)) = state.faults.death_after else { return };
        if calls > 0 {
            state.faults.death_after = Some((calls - 1, death));
            return;
        }
        drop(state);
        if let Some(die) = &*lock(&self.on_crash_point) {
            die(death);
        }
    }

    fn note(&self, what: &'static str, a: u64) {
        self.kernel.note(what, u64::from(self.host.0), a);
    }
}

/// A life's way to the disk of its machine.
#[derive(Clone)]
pub(crate) struct SimDisk {
    storage: Arc<Storage>,
    life: Arc<Life>,
}

impl SimDisk {
    pub(crate) fn new(storage: Arc<Storage>, life: Arc<Life>) -> Self {
        Self { storage, life }
    }

    /// Calls the Now half.
    fn now<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.alive()?;
        self.storage.crash_point();
        self.alive()?;
        self.storage.note(what, 0);
        let result = work(&mut lock(&self.storage.state));
        self.storage.crash_point();
        self.alive()?;
        result
    }

    fn alive(&self) -> io::Result<()> {
        if self.life.is_over() { Err(io::Error::other("this life is over")) } else { Ok(()) }
    }

    /// Submits to the Later half; `work` happens when it completes.
    fn later<T: Send + 'static>(
        &self,
        what: &'static str,
        to: Reply<io::Result<T>>,
        work: impl FnOnce(&Self, &mut State) -> io::Result<T> + Send + 'static,
    ) {
        let kernel = &self.storage.kernel;
        let latency = |state: &mut State| Ok(state.faults.latency(&state.draws, kernel.now()));
        let Ok(takes) = self.now(what, latency) else {
            return kernel.never_answer(to);
        };
        let disk = self.clone();
        kernel.run_at(kernel.now().after(takes), move || {
            let mut result = None;
            let done = disk.now(what, |state| {
                result = Some(work(&disk, state));
                Ok(())
            });
            match (done, result) {
                (Ok(()), Some(result)) => to.send(result),
                _ => disk.storage.kernel.never_answer(to),
            }
        });
    }

    /// As [`Self::later`], about a path.
    fn on_path<T: Send + 'static>(
        &self,
        what: &'static str,
        path: &Path,
        to: Reply<io::Result<T>>,
        work: impl FnOnce(&Self, &mut State, &Path) -> io::Result<T> + Send + 'static,
    ) {
        self.storage.kernel.print(format_args!("{what} {}", path.display()));
        let path = path.to_owned();
        self.later(what, to, move |disk, state| work(disk, state, &path));
    }

    fn inode(&self, file: &Arc<dyn File>) -> Inode {
        let file: &SimFile = file.as_any().downcast_ref().expect("a file of this world");
        assert!(Arc::ptr_eq(&file.disk.life, &self.life), "files do not outlive their node");
        file.inode
    }

    fn file(&self, inode: Inode) -> Arc<dyn File> {
        Arc::new(SimFile { disk: self.clone(), inode })
    }
}

impl State {
    fn lose_power(&mut self) {
        let Self { tree, draws, warm, unreadable, damaged, .. } = self;
        for (inode, at) in tree.lose_power(draws) {
            let path = tree.path_of(inode);
            damaged.extend(path.map(|path| Damaged { path, at: at as u64 }));
        }
        warm.clear();
        unreadable.retain(|(inode, _)| tree.has(*inode));
    }

    /// The device cannot read some of its pages any more, and the cache has none of those.
    fn lose_pages(&mut self, one_in: u64) {
        self.unreadable.clear();
        if one_in == 0 {
            return;
        }
        for (inode, pages) in self.tree.all_pages() {
            let lost = pages.on_device().filter(|_| self.draws.one_in(one_in));
            self.unreadable.extend(lost.map(|page| (inode, page as u64)));
        }
    }

    /// Others take all but `room` bytes.
    fn leave_room(&mut self, room: u64) {
        self.faults.capacity = Some(self.tree.bytes() + room);
    }

    /// How many bytes of the range the file has.
    fn within(&mut self, inode: Inode, at: u64, len: u64) -> usize {
        let there = (self.tree.pages(inode).len() as u64).saturating_sub(at);
        usize::try_from(len.min(there)).expect("files of this world are small")
    }

    /// Bytes of the range in front of the first page that the device cannot read.
    fn readable(&self, inode: Inode, at: u64, len: usize) -> usize {
        let pages = at / PAGE..(at + len as u64).div_ceil(PAGE);
        let bad = self.unreadable.range((inode, pages.start)..(inode, pages.end)).next();
        bad.map_or(len, |(_, page)| {
            usize::try_from((page * PAGE).saturating_sub(at)).map_or(len, |bytes| bytes.min(len))
        })
    }

    /// Whether a read of the page cache misses something; what it does not miss stays.
    fn is_cold(&mut self, inode: Inode, at: u64, len: usize) -> bool {
        if self.readable(inode, at, len) < len {
            return true;
        }
        let n = self.faults.cold_one_in;
        if n == 0 {
            return false;
        }
        let pages = at / PAGE..(at + len as u64).div_ceil(PAGE);
        let misses = |page| !self.warm.contains(&(inode, page)) && self.draws.one_in(n);
        if pages.clone().any(misses) {
            return true;
        }
        self.warm.extend(pages.map(|page| (inode, page)));
        false
    }

    /// A range was read from the device, or written.
    fn warm(&mut self, inode: Inode, at: u64, len: usize) {
        if self.faults.cold_one_in > 0 {
            let pages = at / PAGE..(at + len as u64).div_ceil(PAGE);
            self.warm.extend(pages.map(|page| (inode, page)));
        }
    }

    fn space(&self) -> Space {
        match self.faults.capacity {
            None => Space { total_bytes: CAPACITY, available_bytes: CAPACITY },
            Some(total_bytes) => {
                let available_bytes = total_bytes.saturating_sub(self.tree.bytes());
                Space { total_bytes, available_bytes }
            }
        }
    }

    /// Refuses to grow a full disk.
    fn room(&self) -> io::Result<()> {
        match self.space().available_bytes {
            0 => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn write(&mut self, inode: Inode, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.faults.content_changes()?;
        let mut at = usize::try_from(at).map_err(io::Error::other)?;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let n = self.faults.cold_one_in;
        if n > 0 && self.draws.one_in(n * WRITES_PER_DROP) {
            self.warm.clear();
        }
        self.warm(inode, at as u64, len);
        self.mend(inode, at as u64, len);
        let room = self.space().available_bytes;
        let pages = self.tree.pages(inode);
        let grows = (at + len).saturating_sub(pages.len());
        let refused = grows as u64 > room;
        let mut allowed = if refused {
            // What was begun of a page is whole, so it has room even when nothing else has.
            let begun = (PAGE - pages.len() as u64 % PAGE) % PAGE;
            let fits = (len - grows).saturating_add(usize::try_from(room + begun).unwrap_or(len));
            self.draws.index(len.min(fits + 1))
        } else {
            len
        };
        for part in parts {
            let taken = &part[..part.len().min(allowed)];
            pages.write(at, taken);
            at += taken.len();
            allowed -= taken.len();
        }
        if refused { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn read(&mut self, inode: Inode, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min(self.tree.pages(inode).len());
        if self.readable(inode, at, len) < len {
            return Err(io::Error::other("the device cannot read a page"));
        }
        self.warm(inode, at, len);
        let mut bytes = vec![0; len];
        let read = self.tree.pages(inode).read(at, &mut bytes);
        bytes.truncate(read);
        Ok(bytes)
    }

    /// All bytes of a file.
    fn whole(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        self.faults.descriptor()?;
        let inode = self.tree.find_file(path)?;
        self.read(inode, 0, usize::MAX)
    }

    fn mend(&mut self, inode: Inode, at: u64, len: usize) {
        for page in at / PAGE..(at + len as u64).div_ceil(PAGE) {
            self.unreadable.remove(&(inode, page));
        }
    }

    fn sync(&mut self, images: Vec<(Inode, SyncImage)>) -> io::Result<()> {
        let fails = !images.is_empty() && std::mem::take(&mut self.faults.next_sync_fails);
        let failing = if fails { self.draws.index(images.len()) } else { usize::MAX };
        for (index, (inode, image)) in images.into_iter().enumerate() {
            let pages = self.tree.pages(inode);
            if index == failing {
                pages.sync_failed(&image);
                return Err(io::Error::other("the device refuses to write"));
            }
            self.lie_about(inode, &image);
            self.tree.pages(inode).synced(image);
        }
        Ok(())
    }

    /// Where the device is to lie, and this is a segment of a partition: it does.
    fn lie_about(&mut self, inode: Inode, image: &SyncImage) {
        let Some(lie) = self.faults.next_sync_lies else { return };
        if !self.tree.path_of(inode).is_some_and(|path| damage::is_segment(&path)) {
            return;
        }
        let Some((page, content)) = self.tree.pages(inode).lie(image, &self.draws) else { return };
        self.faults.next_sync_lies = None;
        if lie == Lie::Misdirected {
            let places = damage::places(&self.tree, (inode, page));
            if !places.is_empty() {
                let (victim, page) = *self.draws.pick(&places);
                self.tree.pages(victim).stray(page, content);
            }
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open, to: Reply<io::Result<Arc<dyn File>>>) {
        self.on_path("open", path, to, move |disk, state, path| {
            state.faults.descriptor()?;
            let inode = match (how, state.tree.find_file(path)) {
                (Open::New, Ok(_)) => Err(ErrorKind::AlreadyExists.into()),
                (Open::New | Open::Ensure, Err(error)) if error.kind() == ErrorKind::NotFound => {
                    state.faults.names_change()?;
                    state.room()?;
                    state.tree.make_file(path)
                }
                (Open::Existing | Open::Ensure, Ok(inode)) => Ok(inode),
                (_, Err(error)) => Err(error),
            };
            inode.map(|inode| disk.file(inode))
        });
    }

    fn len(&self, file: &Arc<dyn File>, to: Reply<io::Result<u64>>) {
        let inode = self.inode(file);
        self.later("len", to, move |_, state| Ok(state.tree.pages(inode).len() as u64));
    }

    fn read(&self, file: &Arc<dyn File>, at: u64, len: usize, to: Reply<io::Result<Vec<u8>>>) {
        let inode = self.inode(file);
        self.later("read", to, move |_, state| state.read(inode, at, len));
    }

    fn read_file(&self, path: &Path, to: Reply<io::Result<Vec<u8>>>) {
        self.on_path("read_file", path, to, move |_, state, path| state.whole(path));
    }

    fn read_ahead(&self, file: &Arc<dyn File>, at: u64, len: u64, to: Reply<io::Result<()>>) {
        let inode = self.inode(file);
        self.later("read_ahead", to, move |_, state| {
            let len = state.within(inode, at, len);
            if state.readable(inode, at, len) < len {
                return Err(io::Error::other("the device cannot read a page"));
            }
            state.warm(inode, at, len);
            Ok(())
        });
    }

    fn sync(&self, files: Vec<Arc<dyn File>>, to: Reply<io::Result<()>>) {
        let inodes: Vec<Inode> = files.iter().map(|file| self.inode(file)).collect();
        let images = self.now("sync", |state| {
            Ok(inodes.iter().map(|inode| (*inode, state.tree.pages(*inode).sync_image())).collect())
        });
        let Ok(images) = images else { return self.storage.kernel.never_answer(to) };
        self.later("sync", to, move |_, state| state.sync(images));
    }

    fn truncate(&self, file: &Arc<dyn File>, len: u64, to: Reply<io::Result<()>>) {
        let inode = self.inode(file);
        self.later("truncate", to, move |_, state| {
            state.faults.content_changes()?;
            let len = usize::try_from(len).map_err(io::Error::other)?;
            if len > state.tree.pages(inode).len() {
                state.room()?;
            }
            state.tree.pages(inode).truncate(len);
            Ok(())
        });
    }

    fn sync_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path("sync_dir", path, to, move |_, state, path| state.tree.sync(path));
    }

    fn sync_all(&self, path: &Path, to: Reply<io::Result<()>>) {
        let images = self.now("sync_all", |state| {
            let images = state.tree.dirty_files().map(|(inode, pages)| (inode, pages.sync_image()));
            Ok((images.collect(), state.tree.changes()))
        });
        let Ok((images, names)) = images else { return self.storage.kernel.never_answer(to) };
        self.on_path("sync_all", path, to, move |_, state, path| {
            state.tree.list(path)?;
            state.sync(images)?;
            state.tree.sync_all(names);
            Ok(())
        });
    }

    fn space(&self, path: &Path, to: Reply<io::Result<Space>>) {
        self.on_path("space", path, to, move |_, state, path| {
            state.tree.list(path)?;
            Ok(state.space())
        });
    }

    fn create_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path("create_dir", path, to, move |_, state, path| {
            if state.tree.list(path).is_err() {
                state.faults.names_change()?;
                state.room()?;
            }
            state.tree.make_dir(path)
        });
    }

    fn read_dir(&self, path: &Path, to: Reply<io::Result<Vec<DirEntry>>>) {
        self.on_path("read_dir", path, to, move |_, state, path| state.tree.list(path));
    }

    fn glance(&self, folders: Vec<PathBuf>, at: GlanceAt, to: Reply<io::Result<Vec<Glance>>>) {
        self.later("glance", to, move |_, state| {
            let unmeasured = |entry: &mut DirEntry| {
                entry.len *= u64::from(entry.name.ends_with(at.measured));
            };
            let look = |folder: &PathBuf| {
                let mut entries = state.tree.list(folder);
                entries.iter_mut().flatten().for_each(unmeasured);
                Glance { entries, note: state.whole(&folder.join(at.note)) }
            };
            Ok(folders.iter().map(look).collect())
        });
    }

    fn rename(&self, from: &Path, onto: &Path, to: Reply<io::Result<()>>) {
        let onto = onto.to_owned();
        self.on_path("rename", from, to, move |_, state, from| {
            state.faults.names_change()?;
            state.tree.rename(from, &onto)
        });
    }

    fn remove_file(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path("remove_file", path, to, move |_, state, path| {
            state.faults.names_change()?;
            state.tree.remove_file(path)
        });
    }

    fn remove_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path("remove_dir", path, to, move |_, state, path| {
            state.faults.names_change()?;
            state.tree.remove_dir(path)
        });
    }

    fn lock(&self, path: &Path, to: Reply<io::Result<Box<dyn FileLock>>>) {
        self.on_path("lock", path, to, move |_, state, path| {
            if let Err(error) = state.tree.find_file(path) {
                if error.kind() != ErrorKind::NotFound {
                    return Err(error);
                }
                state.faults.names_change()?;
                state.room()?;
                state.tree.make_file(path)?;
            }
            // One life at a time has this disk, and POSIX gives a process its own lock again.
            Ok(Box::new(SimLock) as Box<dyn FileLock>)
        });
    }
}

#[derive(Debug)]
struct SimLock;

impl FileLock for SimLock {}

/// An open file of one life.
pub(crate) struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl SimFile {
    /// What a socket takes of the file itself: up to `buffer.len()` bytes from `at`.
    pub(crate) fn send(file: &Arc<dyn File>, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file: &Self = file.as_any().downcast_ref().expect("a file of this world");
        file.disk.now("sendfile", |state| {
            let wanted = buffer.len().min(state.tree.pages(file.inode).len());
            match state.readable(file.inode, at, wanted) {
                0 if wanted > 0 => Err(io::Error::other("the device cannot read a page")),
                // Only what is in front of the page that cannot be read is sent.
                len => Ok(state.tree.pages(file.inode).read(at, &mut buffer[..len])),
            }
        })
    }
}

impl File for SimFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.disk.now("write", |state| state.write(self.inode, at, parts))
    }

    fn read_cached(&self, at: u64, buffer: &mut [u8]) -> io::Result<CachedRead> {
        self.disk.now("read_cached", |state| {
            if state.is_cold(self.inode, at, buffer.len()) {
                return Ok(CachedRead::Cold);
            }
            Ok(CachedRead::Ready(state.tree.pages(self.inode).read(at, buffer)))
        })
    }

    fn is_cached(&self, at: u64, len: u64) -> bool {
        let cached = self.disk.now("is_cached", |state| {
            let len = state.within(self.inode, at, len);
            Ok(!state.is_cold(self.inode, at, len))
        });
        // Of a life that is over nobody asks again.
        cached.unwrap_or(true)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {} of host {}", self.inode, self.disk.life.host().0)
    }
}
