//! A network of our own: loopback without the congestion control that the system prefers.
//!
//! BBR paces even the loopback, which costs everybody on it several times the CPU and hides what
//! is to be measured. Inside a network namespace a route can ask for cubic instead, for every
//! system alike and without touching the machine's settings; it needs root.

use std::ffi::OsStr;
use std::process::Command;

use crate::{Outcome, command};

/// Set inside of the namespace.
const INSIDE: &str = "OTTLA_BENCH_NETWORK";

const ENTER: &str = "\
    ip link set lo up &&
    ip route change local 127.0.0.0/8 dev lo table local congctl cubic &&
    ip route replace local 127.0.0.1 dev lo table local congctl cubic &&
    exec \"$0\" \"$@\"";

/// Whether this process is in a network of its own.
pub(super) fn is_own() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this command again in a network of its own; `None` where that is not allowed.
pub(super) fn enter(arguments: &[String]) -> Option<Outcome> {
    let allowed = enter_and("true".as_ref()).output().is_ok_and(|tried| tried.status.success());
    let program = std::env::current_exe().ok().filter(|_| allowed)?;
    let mut again = enter_and(program.as_ref());
    again.arg("bench").args(arguments).env(INSIDE, "own");
    Some(command::run(&mut again))
}

fn enter_and(program: &OsStr) -> Command {
    let mut command = command::program("unshare");
    command.args(["--net", "sh", "-c", ENTER]).arg(program);
    command
}
