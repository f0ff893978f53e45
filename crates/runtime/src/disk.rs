//! Files.

use std::any::Any;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ottla_env::{CachedRead, DirEntry, Disk, File, FileLock, Glance, GlanceAt, Open, Reply, Space};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwrite, pwritev, retry_on_intr};

use crate::file_system::FileSystems;
use crate::pool::{Job, Pool};
use crate::{residency, sync};

/// More would fight for the device: one reads while the other is being answered.
const READ_THREADS_MAX: usize = 2;

/// Names and lengths are in memory most of the time, but a removal of much takes its time.
const NAME_THREADS_MAX: usize = 2;

/// A write of no more than this is copied together before: a list of parts costs the kernel more.
const SMALL_BYTES_MAX: usize = 512;

/// A read of no more than this is not preceded by a look at the file's length.
const SMALL_READ_BYTES: usize = 16 * 1024;

/// Of a small file, bytes that are read at once, so that its length need not be asked for.
const NOTE_BYTES: usize = 512;

/// The machine's files. The Now half runs where it is called, the Later half in the pools: one
/// each for what writes to the device, what reads from it, and what looks up or changes names, so
/// that none of them waits for another.
#[derive(Debug)]
pub(crate) struct RealDisk {
    syncs: Arc<Pool>,
    reads: Pool,
    names: Pool,
    file_systems: Arc<FileSystems>,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct RealFile {
    file: fs::File,
    /// The file system that it is on.
    device: u64,
    /// Bytes written since its last sync.
    unsynced: AtomicU64,
    /// When that was, or when it was opened.
    synced_at: Mutex<Instant>,
}

/// What was written to a file between two syncs of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsynced {
    pub(crate) bytes: u64,
    pub(crate) within: Duration,
}

impl RealFile {
    /// The file behind the port.
    ///
    /// # Panics
    /// If the file is of another world.
    pub(crate) fn of(file: &Arc<dyn File>) -> &Self {
        file.as_any().downcast_ref().expect("files are of the world that opened them")
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn new(file: fs::File) -> io::Result<Self> {
        let device = file.metadata()?.dev();
        let synced_at = Mutex::new(Instant::now());
        Ok(Self { file, device, unsynced: AtomicU64::new(0), synced_at })
    }

    pub(crate) const fn device(&self) -> u64 {
        self.device
    }

    /// What was written since somebody asked last: whoever asks is about to sync.
    pub(crate) fn take_unsynced(&self) -> Unsynced {
        let mut synced_at = self.synced_at.lock().expect("nothing panics under the lock");
        let within = std::mem::replace(&mut *synced_at, Instant::now()).elapsed();
        Unsynced { bytes: self.unsynced.swap(0, Ordering::Relaxed), within }
    }

    pub(crate) fn unsynced(&self) -> u64 {
        self.unsynced.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    pub(crate) fn sync_data(&self) -> io::Result<()> {
        self.take_unsynced();
        self.file.sync_data()
    }

    fn write_whole(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let len = parts.iter().map(|part| part.len()).sum();
        let written = match parts {
            [only] => retry_on_intr(|| pwrite(&self.file, only, at))?,
            [..] => retry_on_intr(|| pwritev(&self.file, parts, at))?,
        };
        if written == len { Ok(()) } else { self.write_rest(at, parts, written) }
    }

    /// The rest of a vectored write that was cut short: at a full disk or a signal, so it is rare
    /// and may copy the list.
    fn write_rest(&self, at: u64, parts: &[IoSlice<'_>], mut done: usize) -> io::Result<()> {
        let mut rest = parts.to_vec();
        let mut rest = rest.as_mut_slice();
        IoSlice::advance_slices(&mut rest, done);
        while !rest.is_empty() {
            let written = retry_on_intr(|| pwritev(&self.file, rest, at + done as u64))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            done += written;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }
}

impl File for RealFile {
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.unsynced.fetch_add(len as u64, Ordering::Relaxed);
        if len <= SMALL_BYTES_MAX && parts.len() > 1 {
            let mut together = [0; SMALL_BYTES_MAX];
            self.write_whole(at, &[IoSlice::new(joined(parts, &mut together))])
        } else {
            self.write_whole(at, parts)
        }
    }

    fn read_cached(&self, at: u64, buffer: &mut [u8]) -> io::Result<CachedRead> {
        let mut flags = ReadWriteFlags::NOWAIT;
        let mut done = 0;
        while done < buffer.len() {
            let mut into = [IoSliceMut::new(&mut buffer[done..])];
            match preadv2(&self.file, &mut into, at + done as u64, flags) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(Errno::AGAIN) => return Ok(CachedRead::Cold),
                Err(Errno::INTR) => {}
                // A file system that cannot tell: read, and hope that its cache is warm.
                Err(Errno::OPNOTSUPP) if !flags.is_empty() => flags = ReadWriteFlags::empty(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(CachedRead::Ready(done))
    }

    fn is_cached(&self, at: u64, len: u64) -> bool {
        residency::is_cached(&self.file, at, len)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The parts, one behind the other, in `room` for them.
fn joined<'a>(parts: &[IoSlice<'_>], room: &'a mut [u8; SMALL_BYTES_MAX]) -> &'a [u8] {
    let mut filled = 0;
    for part in parts {
        room[filled..filled + part.len()].copy_from_slice(part);
        filled += part.len();
    }
    &room[..filled]
}

/// The lock of an open file: POSIX ties it to the process and to this descriptor's file, so the
/// file must not be opened a second time while the lock is held.
#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl FileLock for RealLock {}

impl RealDisk {
    pub(crate) fn new() -> Self {
        Self {
            syncs: Arc::new(Pool::new("sync", sync::SYNC_THREADS_MAX)),
            reads: Pool::new("read", READ_THREADS_MAX),
            names: Pool::new("name", NAME_THREADS_MAX),
            file_systems: Arc::default(),
        }
    }

    fn on_path<T: Send + 'static>(
        &self,
        path: &Path,
        to: Reply<io::Result<T>>,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) {
        on_path(&self.names, path, to, work);
    }
}

fn later<T: Send + 'static>(
    pool: &Pool,
    to: Reply<io::Result<T>>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) {
    pool.submit(Job::Once(Box::new(move || to.send(work()))));
}

fn on_path<T: Send + 'static>(
    pool: &Pool,
    path: &Path,
    to: Reply<io::Result<T>>,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) {
    let path = path.to_owned();
    later(pool, to, move || work(&path).map_err(|error| about(&path, error)));
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, how: Open, to: Reply<io::Result<Arc<dyn File>>>) {
        self.on_path(path, to, move |path| {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(true);
            match how {
                Open::Existing => {}
                Open::New => drop(options.create_new(true)),
                Open::Ensure => drop(options.create(true)),
            }
            Ok(Arc::new(RealFile::new(options.open(path)?)?) as Arc<dyn File>)
        });
    }

    fn len(&self, file: &Arc<dyn File>, to: Reply<io::Result<u64>>) {
        let file = Arc::clone(file);
        later(&self.names, to, move || Ok(RealFile::of(&file).file.metadata()?.len()));
    }

    fn read(&self, file: &Arc<dyn File>, at: u64, len: usize, to: Reply<io::Result<Vec<u8>>>) {
        let file = Arc::clone(file);
        later(&self.reads, to, move || read_range(&RealFile::of(&file).file, at, len));
    }

    fn read_ahead(&self, file: &Arc<dyn File>, at: u64, len: u64, to: Reply<io::Result<()>>) {
        let file = Arc::clone(file);
        later(&self.reads, to, move || residency::read_ahead(&RealFile::of(&file).file, at, len));
    }

    fn read_file(&self, path: &Path, to: Reply<io::Result<Vec<u8>>>) {
        self.on_path(path, to, |path| fs::read(path));
    }

    fn sync(&self, files: Vec<Arc<dyn File>>, to: Reply<io::Result<()>>) {
        sync::submit(&self.syncs, &self.file_systems, files, to);
    }

    fn truncate(&self, file: &Arc<dyn File>, len: u64, to: Reply<io::Result<()>>) {
        let file = Arc::clone(file);
        later(&self.names, to, move || RealFile::of(&file).file.set_len(len));
    }

    fn sync_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        on_path(&self.syncs, path, to, |path| fs::File::open(or_here(path))?.sync_all());
    }

    fn sync_all(&self, path: &Path, to: Reply<io::Result<()>>) {
        let file_systems = Arc::clone(&self.file_systems);
        on_path(&self.syncs, path, to, move |path| file_systems.sync_all(or_here(path)));
    }

    fn space(&self, path: &Path, to: Reply<io::Result<Space>>) {
        let file_systems = Arc::clone(&self.file_systems);
        self.on_path(path, to, move |path| file_systems.space(or_here(path)));
    }

    fn create_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path(path, to, |path| fs::create_dir_all(path));
    }

    fn read_dir(&self, path: &Path, to: Reply<io::Result<Vec<DirEntry>>>) {
        self.on_path(path, to, |path| entries(path, |_| true));
    }

    fn glance(&self, folders: Vec<PathBuf>, at: GlanceAt, to: Reply<io::Result<Vec<Glance>>>) {
        let look = move |folder: PathBuf| {
            let note = folder.join(at.note);
            let entries = entries(&folder, |name| name.ends_with(at.measured));
            Glance {
                entries: entries.map_err(|error| about(&folder, error)),
                note: read_note(&note).map_err(|error| about(&note, error)),
            }
        };
        later(&self.names, to, move || Ok(folders.into_iter().map(look).collect()));
    }

    fn rename(&self, from: &Path, onto: &Path, to: Reply<io::Result<()>>) {
        let onto = onto.to_owned();
        self.on_path(from, to, move |from| fs::rename(from, onto));
    }

    fn remove_file(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path(path, to, |path| fs::remove_file(path));
    }

    fn remove_dir(&self, path: &Path, to: Reply<io::Result<()>>) {
        self.on_path(path, to, |path| fs::remove_dir_all(path));
    }

    fn lock(&self, path: &Path, to: Reply<io::Result<Box<dyn FileLock>>>) {
        self.on_path(path, to, |path| {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => Ok(Box::new(RealLock { _file: file }) as Box<dyn FileLock>),
                // POSIX lets a system answer either.
                Err(Errno::ACCESS | Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => Err(error.into()),
            }
        });
    }
}

/// The parent of a bare name is spelled `""` by `Path`, which no system call takes.
fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn entries(path: &Path, measured: impl Fn(&str) -> bool) -> io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(or_here(path))?
        .map(|found| dir_entry(&found?, &measured))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn dir_entry(found: &fs::DirEntry, measured: impl Fn(&str) -> bool) -> io::Result<DirEntry> {
    // A name that is not UTF-8 is not Kafka's: shown, never matched.
    let name = found.file_name().to_string_lossy().into_owned();
    let is_dir = found.file_type()?.is_dir();
    let len = if is_dir || !measured(&name) { 0 } else { found.metadata()?.len() };
    Ok(DirEntry { name, is_dir, len })
}

/// All bytes of a file that is expected to be tiny.
fn read_note(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut file = fs::File::open(path)?;
    let mut bytes = vec![0; NOTE_BYTES];
    let mut done = 0;
    while done < NOTE_BYTES {
        match file.read(&mut bytes[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    if done == NOTE_BYTES {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn read_range(file: &fs::File, at: u64, len: usize) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt as _;

    // No more memory than the file can fill, whatever was asked for; little needs no question.
    let there = || file.metadata().map(|file| file.len().saturating_sub(at));
    let most = if len <= SMALL_READ_BYTES { len as u64 } else { there()? };
    let mut bytes = vec![0; len.min(usize::try_from(most).unwrap_or(usize::MAX))];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// The same kind of error, with the path that it is about.
fn about(path: &Path, error: io::Error) -> io::Error {
    #[derive(Debug)]
    struct About {
        path: PathBuf,
        error: io::Error,
    }
    impl std::fmt::Display for About {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}: {}", self.path.display(), self.error)
        }
    }
    impl std::error::Error for About {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.error)
        }
    }
    io::Error::new(error.kind(), About { path: path.to_owned(), error })
}
