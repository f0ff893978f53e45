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
use std::time::{Duration, Instant};

use ottla_env::File;
use rustix::io::Errno;

use crate::disk::{RealFile, Unsynced};

/// Less is a burst that no queue minds.
const WORTHWHILE_BYTES: u64 = 16 * 1024 * 1024;

/// Who appends so much a second may do so faster than pieces are written: then the device's full
/// speed counts, and its queue is never empty anyway.
const HURRY_BYTES_A_SECOND: u64 = 256 * 1024 * 1024;

/// No sync waits longer for pieces.
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// What is on its way at a time: a millisecond of a device.
const PIECE_BYTES: u64 = 1024 * 1024;

/// The end of a file, which appends go to: a few of the largest batches that are usual.
const TAIL_BYTES: u64 = 128 * 1024;

/// Whether a sync of so many bytes is worth a preparation.
pub(crate) const fn is_worthwhile(unsynced: u64) -> bool {
    unsynced >= WORTHWHILE_BYTES
}

/// What is left to hand to the device.
pub(crate) struct WriteOut {
    ranges: Vec<Range>,
    /// Of pieces and tails, bytes that were not handed over.
    left_bytes: u64,
    /// When the sync is to do the rest.
    until: Instant,
}

struct Range {
    file: Arc<dyn File>,
    from: u64,
    to: u64,
}

impl WriteOut {
    /// Of files with what they were given since their last sync; `None` if that is too little to
    /// matter, or comes too fast.
    pub(crate) fn of(files: &[Arc<dyn File>], unsynced: &[Unsynced]) -> Option<Self> {
        let left_bytes = unsynced.iter().map(|some| some.bytes).sum();
        let patience = patience(unsynced).filter(|_| is_worthwhile(left_bytes))?;
        let of_one = |(file, unsynced): (&Arc<dyn File>, &Unsynced)| {
            let (from, to) = before_tail(RealFile::of(file).len().ok()?, unsynced.bytes)?;
            Some(Range { file: Arc::clone(file), from, to })
        };
        let ranges = files.iter().zip(unsynced).filter_map(of_one).collect();
        Some(Self { ranges, left_bytes, until: Instant::now() + patience })
    }

    /// What the sync that follows has to write, besides what has come meanwhile.
    pub(crate) const fn left_bytes(&self) -> u64 {
        self.left_bytes
    }

    /// Writes the next piece, and waits for it; `false` when none is left, or the time is over.
    ///
    /// # Errors
    /// What the device has said of it, or of what was written before. A sync by the same
    /// descriptor does not say it again.
    pub(crate) fn next_piece(&mut self) -> io::Result<bool> {
        let Some(range) = self.ranges.last_mut() else { return Ok(false) };
        if Instant::now() > self.until {
            return Ok(false);
        }
        let piece_end = range.to.min(range.from + PIECE_BYTES);
        match written_back(RealFile::of(&range.file), range.from, piece_end) {
            Ok(()) => {}
            Err(error) if is_no_word_about_the_file(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.left_bytes = self.left_bytes.saturating_sub(piece_end - range.from);
        range.from = piece_end;
        if range.from == range.to {
            self.ranges.pop();
        }
        Ok(true)
    }
}

/// How long pieces may take: half the time in which as much came, lest they set the pace where the
/// device is slower with them than with a full queue. `None` where it came too fast for any.
fn patience(unsynced: &[Unsynced]) -> Option<Duration> {
    let (mut bytes, mut a_second) = (0, 0);
    for some in unsynced.iter().filter(|some| some.bytes > 0) {
        let micros = some.within.as_micros().max(1);
        bytes += u128::from(some.bytes);
        a_second += u128::from(some.bytes) * 1_000_000 / micros;
    }
    if a_second > u128::from(HURRY_BYTES_A_SECOND) {
        return None;
    }
    let half = bytes * 500_000 / a_second.max(1);
    Some(Duration::from_micros(u64::try_from(half).unwrap_or(u64::MAX)).min(PATIENCE_MAX))
}

/// Whether this kernel, or who watches over the process, has no such call for such a file.
fn is_no_word_about_the_file(error: &io::Error) -> bool {
    let unavailable = [Errno::NOSYS, Errno::PERM, Errno::INVAL, Errno::SPIPE];
    Errno::from_io_error(error).is_some_and(|errno| unavailable.contains(&errno))
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
    #[rustfmt::skip]
    fn pieces_have_half_the_time_in_which_as_much_came() {
        let check = |files: &[(u64, u64)], expected: Option<u64>| {
            let unsynced = |(bytes, millis): &(u64, u64)| {
                Unsynced { bytes: *bytes, within: Duration::from_millis(*millis) }
            };
            let unsynced: Vec<_> = files.iter().map(unsynced).collect();
            let expected = expected.map(Duration::from_millis);
            assert_eq!(patience(&unsynced), expected, "{files:?}");
        };
        check(&[(64 * MIB, 1_000)],                   Some(500));
        check(&[(64 * MIB, 256)],                     Some(128));
        check(&[(64 * MIB, 200)],                     None);
        check(&[(64 * MIB, 0)],                       None);
        // Together they come faster than each.
        check(&[(64 * MIB, 512), (32 * MIB, 512)],    Some(256));
        check(&[(64 * MIB, 400), (64 * MIB, 400)],    None);
        // Whoever has got nothing says nothing; whoever rested for an hour has not been slow.
        check(&[(64 * MIB, 1_000), (0, 0)],           Some(500));
        check(&[(64 * MIB, 3_600_000)],               Some(1_000));
    }

    #[test]
    fn a_call_that_is_not_there_says_nothing_about_the_file() {
        for (errno, expected) in
            [(Errno::NOSYS, true), (Errno::PERM, true), (Errno::IO, false), (Errno::NOSPC, false)]
        {
            assert_eq!(is_no_word_about_the_file(&errno.into()), expected, "{errno}");
        }
    }
}
