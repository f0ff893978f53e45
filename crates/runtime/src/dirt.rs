//! How much the kernel still has to write, and whose it is: what a sync of a whole file system
//! would have to wait for.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;

/// Foreign bytes that a sync of a whole file system may meet for each file that it saves a sync of
/// its own: a flush of the device takes as long as writing so many.
const FOREIGN_BYTES_A_FILE: u64 = 256 * 1024;

/// The part of its own bytes that a sync of many may be larger by.
const FOREIGN_PART: u64 = 4;

/// What a file may have in dirty pages beyond the bytes that were appended: the page that they
/// began in, its inode, and a block of its extents.
const OVERHEAD_BYTES_A_FILE: u64 = 3 * 4096;

/// The two lines that are looked for are among the first forty.
const VMSTAT_BYTES: usize = 4096;

/// Whether one sync of a file system that holds all of `files` files with `own` unsynced bytes
/// together is cheaper than one of each, while the machine has `dirty` bytes to write.
pub(crate) fn favours_whole(files: usize, own: u64, dirty: u64) -> bool {
    let files = files as u64;
    let foreign = dirty.saturating_sub(own + files * OVERHEAD_BYTES_A_FILE);
    files > 1 && foreign <= (files * FOREIGN_BYTES_A_FILE).max(own / FOREIGN_PART)
}

/// Bytes in the page cache of the machine that are not on their devices yet. Takes 5 us.
///
/// # Errors
/// Where there is no Linux that tells.
pub(crate) fn machine_dirty_bytes() -> io::Result<u64> {
    // Kept open: every read from its beginning is of that moment.
    static VMSTAT: OnceLock<Option<File>> = OnceLock::new();

    let vmstat = VMSTAT.get_or_init(|| File::open("/proc/vmstat").ok()).as_ref();
    let mut told = [0; VMSTAT_BYTES];
    let len = vmstat.ok_or(io::ErrorKind::Unsupported)?.read_at(&mut told, 0)?;
    let pages = dirty_pages(&String::from_utf8_lossy(&told[..len]));
    let pages = pages.ok_or(io::ErrorKind::Unsupported)?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

/// Of the lines of `/proc/vmstat`.
fn dirty_pages(told: &str) -> Option<u64> {
    let number = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line?.trim().parse::<u64>().ok()
    };
    Some(number("nr_dirty")? + number("nr_writeback")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    #[test]
    #[rustfmt::skip]
    fn a_whole_file_system_is_synced_where_nearly_all_of_it_is_ours() {
        let check = |files: usize, own: u64, dirty: u64, whole: bool| {
            assert_eq!(favours_whole(files, own, dirty), whole, "{files} files, {own} of {dirty}");
        };
        check(1,  MIB,       MIB,        false);
        check(2,  KIB,       25 * KIB,   true);
        check(2,  KIB,       537 * KIB,  true);
        check(2,  KIB,       538 * KIB,  false);
        check(12, 12 * KIB,  3 * MIB,    true);
        check(12, 12 * KIB,  4 * MIB,    false);
        check(12, 64 * MIB,  80 * MIB,   true);
        check(12, 64 * MIB,  81 * MIB,   false);
        // The kernel has written most of it already.
        check(12, 64 * MIB,  0,          true);
    }

    #[test]
    fn the_kernel_s_lines_are_read_by_name() {
        let told = "nr_free_pages 7\nnr_dirty 12\nnr_dirty_threshold 99\nnr_writeback 3\n\
                    nr_writeback_temp 5\n";
        assert_eq!(dirty_pages(told), Some(15));
        assert_eq!(dirty_pages("nr_dirty 12\n"), None);
        assert_eq!(dirty_pages("nr_dirty x\nnr_writeback 3\n"), None);
        assert!(machine_dirty_bytes().is_ok(), "this is Linux");
    }
}
