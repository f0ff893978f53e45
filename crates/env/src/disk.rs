//! Files, in two halves.
//!
//! *Now* ([`File`]): synchronous, page cache only; may be called under a partition's lock. In the
//! simulator a Now call takes no virtual time and a crash point sits before and after it.
//! *Later* ([`Disk`]): submitted, completed through a [`Reply`]; whatever may wait for a device or
//! a directory. `DiskExt` spells the Later half as futures.
//!
//! Durability is what POSIX promises and no more: written bytes survive a crash once `sync`
//! succeeded on their file; a created, renamed or removed name survives once `sync_dir` succeeded
//! on its directory; both, once `sync_all` succeeded on their file system. A failed `sync` leaves
//! the fate of the bytes unknown for ever: a later success says nothing about them.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::reply::{Abandoned, Answer, Reply, reply};

/// How to open a file. Files are opened for reading and writing both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It must exist.
    Existing,
    /// It must not exist, and is made.
    New,
    /// It is made if it does not exist.
    Ensure,
}

/// What a read from the page cache found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CachedRead {
    /// So many bytes were copied; fewer than asked for only at the end of the file.
    Ready(usize),
    /// The bytes are not all in the cache: submit [`Disk::read`].
    Cold,
}

/// The room of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size in bytes.
    pub total_bytes: u64,
    /// Bytes that a process without privileges may still write.
    pub available_bytes: u64,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// The length of a file in bytes; 0 for a directory.
    pub len: u64,
}

/// What [`Disk::glance`] looks at beside the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GlanceAt {
    /// The small file in each folder whose bytes are wanted.
    pub note: &'static str,
    /// How the names of those files end whose lengths are wanted.
    pub measured: &'static str,
}

/// A folder as [`Disk::glance`] finds it.
#[derive(Debug)]
pub struct Glance {
    /// As [`Disk::read_dir`] answers, but only files whose names end as was asked for have a
    /// length; that of others is 0.
    pub entries: io::Result<Vec<DirEntry>>,
    /// As [`Disk::read_file`] answers for the file that was asked for.
    pub note: io::Result<Vec<u8>>,
}

/// An open file; closed when the last reference goes. It stays readable after its name is removed.
pub trait File: fmt::Debug + Send + Sync + Any {
    /// Writes all of `parts`, one after the other, at position `at`, into the page cache.
    ///
    /// # Errors
    /// When the world refuses (full, failing); how much was written is then unknown.
    fn write_at(&self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;

    /// Reads from the page cache into `buffer`, without waiting for a device.
    ///
    /// # Errors
    /// When the world refuses.
    fn read_cached(&self, at: u64, buffer: &mut [u8]) -> io::Result<CachedRead>;

    /// Whether the bytes of the range, as far as the file goes, are in the page cache, so that
    /// sending them waits for no device. True where the world cannot tell. An answer of this
    /// moment: what is not used for long is dropped from the cache.
    fn is_cached(&self, at: u64, len: u64) -> bool;

    /// For the world that made it: to find its own type again.
    fn as_any(&self) -> &dyn Any;
}

/// A lock on a file that ends when this value, or its process, does.
pub trait FileLock: fmt::Debug + Send + Sync {}

/// The port to files. Paths are relative to the node's working directory, or absolute. Results
/// arrive in any order.
pub trait Disk: Send + Sync {
    fn open(&self, path: &Path, how: Open, to: Reply<io::Result<Arc<dyn File>>>);

    /// The file's length.
    fn len(&self, file: &Arc<dyn File>, to: Reply<io::Result<u64>>);

    /// Up to `len` bytes from `at`; fewer only at the end of the file.
    fn read(&self, file: &Arc<dyn File>, at: u64, len: usize, to: Reply<io::Result<Vec<u8>>>);

    /// Brings the range, as far as the file goes, into the page cache and answers when it is
    /// there. Nothing is read beside the range, here or by later reads of this file: who reads far
    /// ahead says how far.
    fn read_ahead(&self, file: &Arc<dyn File>, at: u64, len: u64, to: Reply<io::Result<()>>);

    /// All bytes of a small file, in one go: a start reads thousands of them.
    fn read_file(&self, path: &Path, to: Reply<io::Result<Vec<u8>>>);

    /// Makes the bytes of all `files` durable, several at a time. After an error the fate of all of
    /// them is unknown.
    fn sync(&self, files: Vec<Arc<dyn File>>, to: Reply<io::Result<()>>);

    /// Cuts the file to `len` bytes, or extends it with zeros.
    fn truncate(&self, file: &Arc<dyn File>, len: u64, to: Reply<io::Result<()>>);

    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path, to: Reply<io::Result<()>>);

    /// Makes durable every byte and every name, of whomever, that the file system of the directory
    /// `path` has been given. It is one call instead of one a file, and pays for others' bytes.
    ///
    /// Fails, as [`Disk::sync`] does, if anything could not be written since the first
    /// [`Disk::space`] or `sync_all` of that path.
    fn sync_all(&self, path: &Path, to: Reply<io::Result<()>>);

    /// The room of the file system of the directory `path`.
    fn space(&self, path: &Path, to: Reply<io::Result<Space>>);

    /// Makes a directory and its missing parents; an existing one is no error.
    fn create_dir(&self, path: &Path, to: Reply<io::Result<()>>);

    /// The names in a directory, sorted.
    fn read_dir(&self, path: &Path, to: Reply<io::Result<Vec<DirEntry>>>);

    /// Looks into each folder, in their order. A start looks at thousands: to hand over each look
    /// would cost more than the look, and to ask for every file's length as much again.
    fn glance(&self, folders: Vec<PathBuf>, at: GlanceAt, to: Reply<io::Result<Vec<Glance>>>);

    /// Renames a file or directory, replacing a file of that name.
    fn rename(&self, from: &Path, onto: &Path, to: Reply<io::Result<()>>);

    /// Removes the name of a file.
    fn remove_file(&self, path: &Path, to: Reply<io::Result<()>>);

    /// Removes a directory and all in it.
    fn remove_dir(&self, path: &Path, to: Reply<io::Result<()>>);

    /// Takes the POSIX record lock (`fcntl`, as Kafka's) of a file, making the file if needed;
    /// an error of kind `WouldBlock` if another process has it.
    fn lock(&self, path: &Path, to: Reply<io::Result<Box<dyn FileLock>>>);
}

/// The Later half as futures.
#[expect(async_fn_in_trait, reason = "implemented for dyn Disk only, awaited on its own loop")]
pub trait DiskExt {
    async fn open_file(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>>;
    async fn len_of(&self, file: &Arc<dyn File>) -> io::Result<u64>;
    async fn read_at(&self, file: &Arc<dyn File>, at: u64, len: usize) -> io::Result<Vec<u8>>;
    async fn cache_range(&self, file: &Arc<dyn File>, at: u64, len: u64) -> io::Result<()>;
    async fn sync_files(&self, files: Vec<Arc<dyn File>>) -> io::Result<()>;
    async fn truncate_to(&self, file: &Arc<dyn File>, len: u64) -> io::Result<()>;
    async fn sync_names(&self, directory: &Path) -> io::Result<()>;
    async fn sync_file_system(&self, of: &Path) -> io::Result<()>;
    async fn space_of(&self, directory: &Path) -> io::Result<Space>;
    async fn make_dir(&self, path: &Path) -> io::Result<()>;
    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    async fn look_at(&self, folders: Vec<PathBuf>, at: GlanceAt) -> io::Result<Vec<Glance>>;
    async fn move_to(&self, from: &Path, onto: &Path) -> io::Result<()>;
    async fn unlink(&self, path: &Path) -> io::Result<()>;
    async fn remove_tree(&self, path: &Path) -> io::Result<()>;
    async fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>>;

    /// The whole of a file.
    async fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Writes a small file so that a crash leaves the old or the new content, never a mixture:
    /// `<path>.tmp`, sync, rename, sync of the directory.
    async fn replace_file(&self, path: &Path, content: &[u8]) -> io::Result<()>;
}

async fn settle<T>(answer: Answer<io::Result<T>>) -> io::Result<T> {
    answer.await.unwrap_or_else(|Abandoned| Err(io::Error::other("the disk's host ended")))
}

impl DiskExt for dyn Disk {
    async fn open_file(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let (to, answer) = reply();
        self.open(path, how, to);
        settle(answer).await
    }

    async fn len_of(&self, file: &Arc<dyn File>) -> io::Result<u64> {
        let (to, answer) = reply();
        self.len(file, to);
        settle(answer).await
    }

    async fn read_at(&self, file: &Arc<dyn File>, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let (to, answer) = reply();
        self.read(file, at, len, to);
        settle(answer).await
    }

    async fn cache_range(&self, file: &Arc<dyn File>, at: u64, len: u64) -> io::Result<()> {
        let (to, answer) = reply();
        self.read_ahead(file, at, len, to);
        settle(answer).await
    }

    async fn sync_files(&self, files: Vec<Arc<dyn File>>) -> io::Result<()> {
        let (to, answer) = reply();
        self.sync(files, to);
        settle(answer).await
    }

    async fn truncate_to(&self, file: &Arc<dyn File>, len: u64) -> io::Result<()> {
        let (to, answer) = reply();
        self.truncate(file, len, to);
        settle(answer).await
    }

    async fn sync_names(&self, directory: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.sync_dir(directory, to);
        settle(answer).await
    }

    async fn sync_file_system(&self, of: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.sync_all(of, to);
        settle(answer).await
    }

    async fn space_of(&self, directory: &Path) -> io::Result<Space> {
        let (to, answer) = reply();
        self.space(directory, to);
        settle(answer).await
    }

    async fn make_dir(&self, path: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.create_dir(path, to);
        settle(answer).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let (to, answer) = reply();
        self.read_dir(path, to);
        settle(answer).await
    }

    async fn look_at(&self, folders: Vec<PathBuf>, at: GlanceAt) -> io::Result<Vec<Glance>> {
        let (to, answer) = reply();
        self.glance(folders, at, to);
        settle(answer).await
    }

    async fn move_to(&self, from: &Path, onto: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.rename(from, onto, to);
        settle(answer).await
    }

    async fn unlink(&self, path: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.remove_file(path, to);
        settle(answer).await
    }

    async fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let (to, answer) = reply();
        self.remove_dir(path, to);
        settle(answer).await
    }

    async fn lock_file(&self, path: &Path) -> io::Result<Box<dyn FileLock>> {
        let (to, answer) = reply();
        self.lock(path, to);
        settle(answer).await
    }

    async fn read_whole(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (to, answer) = reply();
        self.read_file(path, to);
        settle(answer).await
    }

    async fn replace_file(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = Path::new(&temporary);
        let file = self.open_file(temporary, Open::Ensure).await?;
        self.truncate_to(&file, 0).await?;
        file.write_at(0, &[IoSlice::new(content)])?;
        self.sync_files(vec![file]).await?;
        self.move_to(temporary, path).await?;
        match path.parent() {
            Some(directory) => self.sync_names(directory).await,
            None => Ok(()),
        }
    }
}
