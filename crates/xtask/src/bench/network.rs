//! A place of our own: a network without the congestion control that the system prefers, and a
//! folder for everything that nodes write.
//!
//! BBR paces even the loopback, which costs everybody on it several times the CPU and hides what
//! is to be measured. Inside a network namespace a route can ask for cubic instead, for every
//! system alike and without touching the machine's settings; it needs root.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, command};

/// Set inside: `own` in a network of our own, else `shared`.
const INSIDE: &str = "OTTLA_BENCH_NETWORK";

const ENTER: &str = "\
    ip link set lo up &&
    ip route change local 127.0.0.0/8 dev lo table local congctl cubic &&
    ip route replace local 127.0.0.1 dev lo table local congctl cubic &&
    ulimit -n \"$(ulimit -H -n)\" &&
    exec \"$0\" \"$@\"";

/// Whether this process is in a network of its own.
pub(super) fn is_own() -> bool {
    std::env::var_os(INSIDE).is_some_and(|inside| inside == "own")
}

/// Whether this process is the one that measures.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// All folders of a call's nodes, in one. They go together at the end: a file system that has just
/// deleted thousands of files is slow to make new ones.
#[derive(Debug)]
struct Suite(PathBuf);

impl Drop for Suite {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs this command again in a place of its own, in a shared network where none is allowed.
///
/// # Errors
/// When it fails.
pub(super) fn enter(arguments: &[String]) -> Outcome {
    let folder = std::env::temp_dir().join(format!("ottla-bench-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let suite = Suite(folder);
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let allowed = enter_and("true".as_ref()).output().is_ok_and(|tried| tried.status.success());
    let (mut again, network) = match allowed {
        true => (enter_and(program.as_ref()), "own"),
        false => (command::program(program), "shared"),
    };
    again.arg("bench").args(arguments).env(INSIDE, network).env("TMPDIR", &suite.0);
    command::run(&mut again)
}

fn enter_and(program: &OsStr) -> Command {
    let mut command = command::program("unshare");
    command.args(["--net", "sh", "-c", ENTER]).arg(program);
    command
}
