//! Written bytes on their way to their device, a piece at a time, before a sync of them.
//!
//! While the kernel writes a file back, it holds the pages and the extents of what it hands to the
//! device, and once the device's queue is full it holds them until there is room: an append to the
//! file, on a loop, waits as long. A sync of tens of megabytes is 10 to 100 ms of that. Pieces that
//! wait for each other never fill the queue, and keep away from the page that appends go to; what
//! is left for the sync is little (`docs/adr/0029`).

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::File;

use crate::disk::RealFile;
use crate::file_system::FileSystems;

/// Less is a burst that no queue minds.
const WORTHWHILE_BYTES: u64 = 16 * 1024 * 1024;

/// Who appends so much a second may do so faster than pieces are written: then the device's full
/// speed counts, and its queue is never empty anyway.
const HURRY_BYTES_A_SECOND: u64 = 256 * 1024 * 1024;

/// What is on its way at a time: a millisecond of a device.
const PIECE_BYTES: u64 = 1024 * 1024;

/// The end of a file, which appends go to: a few of the largest batches that are usual.
const TAIL_BYTES: u64 = 128 * 1024;

/// Whether a sync of so many bytes is worth a preparation.
pub(crate) const fn is_worthwhile(unsynced: u64) -> bool {
    unsynced >= WORTHWHILE_BYTES
}

/// Whether so many bytes in that time are more than pieces keep up with.
fn is_hurried(bytes: u64, since: Duration) -> bool {
    u128::from(bytes) * 1_000_000 > u128::from(HURRY_BYTES_A_SECOND) * since.as_micros()
}

/// What is left to hand to the device.
pub(crate) struct WriteOut {
    ranges: Vec<Range>,
    left_bytes: u64,
}

struct Range {
    file: Arc<dyn File>,
    from: u64,
    to: u64,
}

impl WriteOut {
    /// Of files with so many bytes since their last sync, which are taken for their last ones;
    /// `None` if they are too few to matter, or come too fast.
    pub(crate) fn of(
        file_systems: &FileSystems,
        files: &[Arc<dyn File>],
        unsynced: &[u64],
    ) -> Option<Self> {
        let sum = unsynced.iter().sum();
        if !is_worthwhile(sum) {
            return None;
        }
        let since = file_systems.since_much(RealFile::of(files.first()?).device());
        if since.is_some_and(|since| is_hurried(sum, since)) {
            return None;
        }
        let of_one = |(file, unsynced): (&Arc<dyn File>, &u64)| {
            let (from, to) = before_tail(RealFile::of(file).len().ok()?, *unsynced)?;
            Some(Range { file: Arc::clone(file), from, to })
        };
        let left_bytes = unsynced.iter().map(|unsynced| TAIL_BYTES.min(*unsynced)).sum();
        Some(Self { ranges: files.iter().zip(unsynced).filter_map(of_one).collect(), left_bytes })
    }

    /// What the sync that follows has to write, besides what has come meanwhile.
    pub(crate) const fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// Writes the next piece, and waits for it; `false` when none is left.
    ///
    /// # Errors
    /// What the device has said of it, or of what was written before. A sync by the same
    /// descriptor does not say it again.
    pub(crate) fn next_piece(&mut self) -> io::Result<bool> {
        let Some(range) = self.ranges.last_mut() else { return Ok(false) };
        let piece_end = range.to.min(range.from + PIECE_BYTES);
        let result = written_back(RealFile::of(&range.file), range.from, piece_end);
        range.from = piece_end;
        if range.from == range.to {
            self.ranges.pop();
        }
        result.map(|()| true)
    }
}

/// The part of the last `unsynced` bytes that no append touches any more, from a whole piece on.
fn before_tail(len: u64, unsynced: u64) -> Option<(u64, u64)> {
    let to = len.saturating_sub(TAIL_BYTES);
    let from = len.saturating_sub(unsynced) / PIECE_BYTES * PIECE_BYTES;
    (from < to && unsynced > TAIL_BYTES).then_some((from, to))
}

/// `SYNC_FILE_RANGE_WAIT_BEFORE`, `_WRITE` and `_WAIT_AFTER` of Linux.
const WRITE_AND_WAIT: c_uint = 1 | 2 | 4;

// SAFETY: the declaration of the C library's function, on Linux.
#[expect(unsafe_code, reason = "no safe crate of ours has sync_file_range")]
unsafe extern "C" {
    fn sync_file_range(fd: c_int, at: i64, len: i64, flags: c_uint) -> c_int;
}

fn written_back(file: &RealFile, from: u64, to: u64) -> io::Result<()> {
    let offset = |at: u64| i64::try_from(at).expect("no file is larger");
    // SAFETY: the descriptor is open; no memory is passed.
    #[expect(unsafe_code, reason = "no safe crate of ours has sync_file_range")]
    let answer = unsafe {
        sync_file_range(file.fd().as_raw_fd(), offset(from), offset(to - from), WRITE_AND_WAIT)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    #[rustfmt::skip]
    fn what_is_written_ahead_ends_before_the_page_that_appends_go_to() {
        let check = |len: u64, unsynced: u64, expected: Option<(u64, u64)>| {
            assert_eq!(before_tail(len, unsynced), expected, "the last {unsynced} of {len}");
        };
        check(0,           0,         None);
        check(MIB,         0,         None);
        check(TAIL_BYTES,  MIB,       None);
        check(5 * MIB,     1,         None);
        check(5 * MIB,     TAIL_BYTES, None);
        check(5 * MIB,     2 * MIB,   Some((3 * MIB, 5 * MIB - TAIL_BYTES)));
        check(5 * MIB + 9, MIB,       Some((4 * MIB, 5 * MIB + 9 - TAIL_BYTES)));
        // More was written than there is: it was cut off again.
        check(2 * MIB,     9 * MIB,   Some((0, 2 * MIB - TAIL_BYTES)));
    }

    #[test]
    fn who_appends_faster_than_pieces_are_written_is_hurried() {
        let check = |bytes: u64, millis: u64, expected: bool| {
            let since = Duration::from_millis(millis);
            assert_eq!(is_hurried(bytes, since), expected, "{bytes} in {millis} ms");
        };
        check(64 * MIB, 1_000, false);
        check(64 * MIB, 300, false);
        check(64 * MIB, 200, true);
        check(400 * MIB, 1_000, true);
        check(64 * MIB, 0, true);
    }
}
