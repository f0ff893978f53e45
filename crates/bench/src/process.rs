//! A process seen from outside: its CPU clock and its memory.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MADV_HUGEPAGE: i32 = 14;

/// The CPU time of a process, all its threads with those that have ended: nanoseconds, exact, and
/// the same for every runtime, unlike what a program says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(i32);

/// `struct timespec` where `time_t` and `long` have 64 bits.
#[repr(C)]
#[derive(Default)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

// The C library that std links anyway; rustix offers clocks of its own process only.
#[allow(unsafe_code, reason = "the clock of another process has no safe wrapper")]
unsafe extern "C" {
    fn clock_getcpuclockid(pid: i32, clock: *mut i32) -> i32;
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
    fn madvise(memory: *mut u8, len: usize, advice: i32) -> i32;
    fn prctl(option: i32, ...) -> i32;
}

impl CpuClock {
    /// # Errors
    /// When there is no such process.
    pub(crate) fn of(pid: u32) -> Result<Self, String> {
        let pid = i32::try_from(pid).map_err(|_| format!("{pid} is no process"))?;
        let mut clock = 0;
        // SAFETY: `clock` is a valid place for the one number that is written.
        #[allow(unsafe_code, reason = "see the declaration")]
        let failed = unsafe { clock_getcpuclockid(pid, &raw mut clock) };
        if failed == 0 { Ok(Self(clock)) } else { Err(format!("process {pid} has no CPU clock")) }
    }

    /// CPU seconds so far.
    ///
    /// # Panics
    /// If the process has ended: what was measured is worthless then.
    pub(crate) fn seconds(self) -> f64 {
        let mut time = Timespec::default();
        // SAFETY: `time` has the layout of the platform's timespec (64-bit Linux) and is written
        // before the call returns.
        #[allow(unsafe_code, reason = "see the declaration")]
        let failed = unsafe { clock_gettime(self.0, &raw mut time) };
        assert_eq!(failed, 0, "the measured process has ended");
        #[allow(clippy::cast_precision_loss, reason = "seconds of CPU time are small")]
        let seconds = time.seconds as f64 + time.nanoseconds as f64 / 1e9;
        seconds
    }
}

/// CPU seconds that all processors were busy with anything since the machine started: what is
/// neither broker nor generator in it are neighbours, and the kernel's own threads.
pub(crate) fn machine_busy_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    busy_ticks(&stat) / TICKS_A_SECOND
}

/// `USER_HZ`, the same on every platform that Linux runs on today.
const TICKS_A_SECOND: f64 = 100.0;

/// user, nice, system, irq, softirq and steal: without idle and waiting for disks.
fn busy_ticks(stat: &str) -> f64 {
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum()
}

/// Resident memory now and at its highest, as `name value`, in KiB.
pub(crate) fn memory(pid: u32) -> io::Result<Vec<(String, String)>> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(fields(&status))
}

/// Bytes that a process has made the kernel fetch from disks so far; 0 where that is not told.
pub(crate) fn read_from_disk(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn fields(status: &str) -> Vec<(String, String)> {
    let wanted = [("VmRSS:", "rss_kib"), ("VmHWM:", "rss_highest_kib")];
    let found = wanted.iter().filter_map(|(field, name)| {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        Some(((*name).to_owned(), line.split_whitespace().next()?.to_owned()))
    });
    found.collect()
}

/// Touches as much memory as a run will fill with page cache, in huge pages, and frees it at once.
/// Where free memory of a guest is given back to its host, the next writes would pay for getting it
/// again.
pub(crate) fn back_memory(bytes: u64) {
    const HUGE: usize = 2 << 20;
    let len = usize::try_from(bytes).expect("64 bits").next_multiple_of(HUGE);
    let mut memory: Vec<u8> = Vec::with_capacity(len + HUGE);
    let from = memory.as_ptr().align_offset(HUGE);
    // SAFETY: the advice concerns the capacity of `memory`, which is ours, and changes no byte. It
    // may be refused: small pages do as well, later.
    #[allow(unsafe_code, reason = "huge pages have no safe wrapper")]
    let _advised = unsafe { madvise(memory.as_mut_ptr().wrapping_add(from), len, MADV_HUGEPAGE) };
    memory.resize(len + HUGE, 0);
    std::hint::black_box(&memory);
}

/// Lets this process have as many open files as it is allowed at all.
pub(crate) fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Without it a run of thousands of connections says which one could not be opened.
    let _allowed = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Lets this thread sleep exactly: by default the kernel wakes it up to 50 us late.
pub(crate) fn sleep_exactly() {
    const PR_SET_TIMERSLACK: i32 = 29;
    // SAFETY: the call takes numbers only and changes when this thread wakes, nothing else.
    #[allow(unsafe_code, reason = "timer slack has no safe wrapper")]
    let _set = unsafe { prctl(PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
}

/// How often the threads of a process, those that live, have gone to sleep by themselves.
pub(crate) fn sleeps(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let sleeps = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    tasks.filter_map(sleeps).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_clock_goes_on() {
        let clock = CpuClock::of(std::process::id()).unwrap();
        let before = clock.seconds();
        let mut sum = 0_u64;
        while clock.seconds() <= before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(clock.seconds() > before);
        assert!(CpuClock::of(u32::MAX).is_err());
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "whole numbers")]
    fn idle_time_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 100 200 8 16 32 64 64\ncpu0 1"), 63.0);
        assert_eq!(busy_ticks(""), 0.0);
    }

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let text = "Name:\tx\nVmHWM:\t  300 kB\nVmRSS:\t  200 kB\n";
        let expected = [("rss_kib", "200"), ("rss_highest_kib", "300")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(text), expected);
    }
}
