//! The node's own process.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use ottla_env::{Process, Usage};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};

/// This process.
#[derive(Debug)]
pub(crate) struct RealProcess;

// Not `std::process::exit`: that runs the exit handlers of the C library, and a thread stuck on a
// dying disk may hold what they wait for.
// SAFETY: POSIX declares it so; it takes any status and touches no memory of ours.
#[expect(unsafe_code, reason = "no safe crate of ours offers it")]
unsafe extern "C" {
    safe fn _exit(status: i32) -> !;
}

impl Process for RealProcess {
    fn halt(&self, why: &str) {
        if tracing::enabled!(tracing::Level::ERROR) {
            tracing::error!(why, "the node halts");
        } else {
            // Nobody collects events: the reason must still be found.
            drop(writeln!(std::io::stderr(), "the node halts: {why}"));
        }
        drop(std::io::stderr().flush());
        _exit(1)
    }

    fn descriptors_max(&self) -> Option<usize> {
        getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok())
    }

    fn usage(&self) -> Option<Usage> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        // Not readable everywhere: containers may hide it.
        let io = fs::read_to_string("/proc/self/io").ok();
        let io = |name| io.as_ref().and_then(|io| field(io, name));
        let kib = |name| field(&status, name).map(|kib| kib.saturating_mul(1_024));
        Some(Usage {
            cpu: Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()?,
            resident_bytes: kib("VmRSS:")?,
            virtual_bytes: kib("VmSize:")?,
            device_read_bytes: io("read_bytes:"),
            device_written_bytes: io("write_bytes:"),
            threads: field(&status, "Threads:")?,
            open_files: open_files()?,
            open_files_max: getrlimit(Resource::Nofile).current,
        })
    }
}

/// A number of `/proc/self/status` or `io`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Newer kernels (6.2) tell it at once, older ones name each.
fn open_files() -> Option<u64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).ok()?.len() {
        0 => fs::read_dir(folder).ok().map(|files| files.count() as u64),
        count => Some(count),
    }
}

/// Takes every file descriptor that this process may have: a partition needs one for each of its
/// segments in use, and the customary limit of 1,024 is meant for programs that call `select`.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
}

/// Asks a process of ours to stop (SIGTERM). One that has ended already is no mistake.
pub fn terminate(process: u32) {
    let id = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some(Err(error)) = id.map(|id| kill_process(id, Signal::TERM)) {
        tracing::debug!(%error, process, "a process cannot be told to stop");
    }
}

/// Resolves when the system asks this process to stop: SIGTERM, or SIGINT from a terminal. Meant
/// for loop 0.
///
/// # Errors
/// When the system refuses the signal handlers.
pub async fn stop_requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    std::future::poll_fn(|cx| {
        let terminated = terminate.poll_recv(cx).is_ready();
        let interrupted = interrupt.poll_recv(cx).is_ready();
        if terminated || interrupted {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_takes() {
        let file = fs::File::open("/dev/null").unwrap();
        let usage = RealProcess.usage().unwrap();
        assert!(usage.cpu > Duration::ZERO && usage.threads > 0);
        assert!(usage.resident_bytes > 1 << 20 && usage.virtual_bytes > usage.resident_bytes);
        assert!(usage.open_files > 3 && usage.open_files_max.is_none_or(|max| max > 3));
        assert!(usage.device_read_bytes.is_some() && usage.device_written_bytes.is_some());
        drop(file);
        assert_eq!(field("Name:\tx\nVmRSS:\t  200 kB\n", "VmRSS:"), Some(200));
    }
}
