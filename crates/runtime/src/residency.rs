//! What of a file is in the page cache, and how it gets there.

use std::ffi::{c_int, c_long, c_uint};
use std::fs;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::AsRawFd as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Advice, fadvise, sendfile};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

const PAGE_BYTES: u64 = 4_096;

/// Pages that are still being read count as cached. A device call reads up to 1 MiB, in order, and
/// its pages become readable together, so the last byte of every so many tells. A probe costs as
/// much as a send of 16 KiB.
const PROBE_BYTES: u64 = 256 * 1024;

const COPY_BYTES: usize = 64 * 1024;

/// What one call throws away of a range whose pages it waits for.
const SINK_BYTES_MAX: u64 = 1 << 30;

/// Whether the range, as far as the file goes, can be read without waiting for a device.
pub(crate) fn is_cached(file: &fs::File, at: u64, len: u64) -> bool {
    if len <= PAGE_BYTES - at % PAGE_BYTES {
        // One page: a probe knows.
        return probed(file, at, len, PAGE_BYTES);
    }
    match counted(file, at, len) {
        Counted::All => probed(file, at, len, PROBE_BYTES),
        Counted::Fewer => within(file, at, len).is_ok_and(|len| {
            counted(file, at, len) == Counted::All && probed(file, at, len, PROBE_BYTES)
        }),
        Counted::Unknown => probed(file, at, len, PAGE_BYTES),
    }
}

/// How much of the range the file has.
fn within(file: &fs::File, at: u64, len: u64) -> io::Result<u64> {
    Ok(len.min(file.metadata()?.len().saturating_sub(at)))
}

/// How many of a range's pages the kernel says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    All,
    Fewer,
    /// This kernel, or this file system, does not count.
    Unknown,
}

/// `struct cachestat_range` of Linux 6.5.
#[repr(C)]
struct Range {
    at: u64,
    len: u64,
}

/// `struct cachestat` of Linux 6.5.
#[repr(C)]
#[derive(Default)]
struct CacheStat {
    cache: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// The same number on every architecture that we build for.
const SYS_CACHESTAT: c_long = 451;

// SAFETY: the declaration of the C library's `syscall`.
#[expect(unsafe_code, reason = "no safe crate of ours has cachestat")]
unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
}

fn counted(file: &fs::File, at: u64, len: u64) -> Counted {
    static ABSENT: AtomicBool = AtomicBool::new(false);

    let Some(len) = NonZeroU64::new(len) else { return Counted::All };
    if ABSENT.load(Ordering::Relaxed) {
        return Counted::Unknown;
    }
    let end = at.saturating_add(len.get());
    let range = Range { at, len: end - at };
    let mut found = CacheStat::default();
    let no_flags: c_uint = 0;
    let fd: c_int = file.as_raw_fd();
    // SAFETY: the descriptor is open; the kernel reads `range` and writes `found`, which have the
    // layouts that it declares and outlive the call.
    #[expect(unsafe_code, reason = "no safe crate of ours has cachestat")]
    let answer = unsafe { syscall(SYS_CACHESTAT, fd, &raw const range, &raw mut found, no_flags) };
    if answer == 0 {
        let pages = end.div_ceil(PAGE_BYTES) - at / PAGE_BYTES;
        return if found.cache >= pages { Counted::All } else { Counted::Fewer };
    }
    let error = io::Error::last_os_error();
    // An old kernel, or a sandbox that has never heard of it.
    if matches!(Errno::from_io_error(&error), Some(Errno::NOSYS | Errno::PERM)) {
        ABSENT.store(true, Ordering::Relaxed);
    }
    Counted::Unknown
}

/// Whether the last byte of the range in each `step` of the file can be read at once.
fn probed(file: &fs::File, at: u64, len: u64, step: u64) -> bool {
    let end = at.saturating_add(len);
    let mut from = at;
    while from < end {
        let next = (from / step + 1).saturating_mul(step).min(end);
        match reads_at_once(file, next - 1) {
            Probe::Ready => from = next,
            Probe::Cold => return false,
            // The range ends earlier than was asked for.
            Probe::End => return reads_at_once(file, from) != Probe::Cold,
        }
    }
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Ready,
    Cold,
    /// The file goes no further.
    End,
}

fn reads_at_once(file: &fs::File, at: u64) -> Probe {
    let mut byte = [0];
    match preadv2(file, &mut [IoSliceMut::new(&mut byte)], at, ReadWriteFlags::NOWAIT) {
        Ok(0) => Probe::End,
        Err(Errno::AGAIN) => Probe::Cold,
        // A file system that cannot tell, or an error that the read itself will meet.
        Ok(_) | Err(_) => Probe::Ready,
    }
}

/// Reads the range, as far as the file goes, into the page cache, and waits for it.
pub(crate) fn read_ahead(file: &fs::File, at: u64, len: u64) -> io::Result<()> {
    let Some(len) = NonZeroU64::new(within(file, at, len)?) else { return Ok(()) };
    // Whoever reads ahead explicitly wants the kernel not to do it besides: its own read-ahead
    // would submit to the device in the middle of a send on a loop.
    fadvise(file, 0, None, Advice::Random)?;
    // All of it is asked for at once, in the device's largest pieces; then each page is waited for.
    fadvise(file, at, Some(len), Advice::WillNeed)?;
    match sink() {
        Some(sink) => drain(file, at, len.get(), sink),
        None => copy(file, at, len.get()),
    }
}

/// Where bytes go that nobody wants: sending there waits for the pages and copies none.
fn sink() -> Option<&'static fs::File> {
    static SINK: OnceLock<Option<fs::File>> = OnceLock::new();
    SINK.get_or_init(|| fs::OpenOptions::new().write(true).open("/dev/null").ok()).as_ref()
}

fn drain(file: &fs::File, at: u64, len: u64, sink: &fs::File) -> io::Result<()> {
    let (mut from, end) = (at, at + len);
    while from < end {
        let count = usize::try_from((end - from).min(SINK_BYTES_MAX)).expect("at most 1 GiB");
        match sendfile(sink, file, Some(&mut from), count) {
            // Cut off meanwhile.
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::INVAL) => return copy(file, from, end - from),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// For a system without a sink.
fn copy(file: &fs::File, at: u64, len: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;

    let mut buffer = vec![0; COPY_BYTES];
    let end = at + len;
    let mut from = at;
    while from < end {
        match file.read_at(&mut buffer, from) {
            Ok(0) => return Ok(()),
            Ok(read) => from += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const MIB: u64 = 1024 * 1024;

    /// How long the test file is: what is read ahead lies 4 MiB from what is not.
    const FILE_BYTES: u64 = 16 * MIB;

    /// The kernel is asked, not told: it keeps pages that somebody else looks at, reads more than
    /// it was asked for, begins to read a cold page that is looked at, and drops what was just
    /// read where memory is short. Each of them is rare.
    const TRIES: u32 = 20;

    /// A file on the disk that holds the build, which is a real one.
    fn file() -> fs::File {
        let path = std::env::current_exe().unwrap().with_extension(format!(
            "{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file =
            fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        fs::remove_file(path).unwrap();
        file.write_all(&vec![1; usize::try_from(FILE_BYTES).unwrap()]).unwrap();
        file.sync_all().unwrap();
        file
    }

    fn cool(file: &fs::File) {
        fadvise(file, 0, None, Advice::DontNeed).unwrap();
    }

    /// Whether pages of this file can be dropped at all: some file systems keep all in memory.
    fn can_be_cooled(file: &fs::File) -> bool {
        (0..TRIES).any(|_| {
            cool(file);
            !probed(file, 0, FILE_BYTES, PAGE_BYTES)
        })
    }

    /// In one of some tries: a cold file, of which one range is read, and then another is asked
    /// for.
    fn check(file: &fs::File, read: (u64, u64), asked: (u64, u64), cached: bool) {
        let agreed = (0..TRIES).any(|_| {
            cool(file);
            read_ahead(file, read.0, read.1).unwrap();
            is_cached(file, asked.0, asked.1) == cached
        });
        assert!(agreed, "{read:?} was read, and {asked:?} is always cached={}", !cached);
    }

    #[test]
    fn what_was_dropped_from_the_cache_is_cold_until_it_is_read_ahead() {
        let file = file();
        if !can_be_cooled(&file) {
            return;
        }
        let (nothing, read) = ((0, 0), (8 * MIB + 1, MIB));
        check(&file, nothing, (0, FILE_BYTES), false);
        check(&file, nothing, (12 * MIB, 1), false);
        check(&file, nothing, (FILE_BYTES, MIB), true);
        check(&file, read, read, true);
        check(&file, read, (8 * MIB, MIB + PAGE_BYTES), true);
        check(&file, read, (8 * MIB, 5 * MIB), false);
        check(&file, read, (3 * MIB, 6 * MIB), false);
        check(&file, read, (13 * MIB, 1), false);
        check(&file, (12 * MIB, u64::MAX), (12 * MIB, u64::MAX / 2), true);
    }

    #[test]
    fn every_way_to_find_out_and_to_read_agrees() {
        let file = file();
        // Memory is short now and then, and what was just read goes again.
        let agreed = (0..TRIES).any(|_| {
            cool(&file);
            copy(&file, 0, FILE_BYTES).unwrap();
            probed(&file, 0, FILE_BYTES, PAGE_BYTES)
                && counted(&file, 0, FILE_BYTES) != Counted::Fewer
        });
        assert!(agreed, "all of it was read, and one of two ways says that it is not there");
        assert_ne!(counted(&file, 0, FILE_BYTES + MIB), Counted::All, "the file is shorter");
    }
}
