//! The node's own process.

use std::io::Write as _;

use ottla_env::Process;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
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
