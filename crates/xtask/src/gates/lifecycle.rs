//! A node from its start to its end, seen from outside.

use std::fs;
use std::time::{Duration, Instant};

use super::Figures;
use crate::node::{Launch, target, terminate};
use crate::{Outcome, command};

/// Starts that are looked at: the median of so many forgives a busy machine some of them.
const STARTS: usize = 9;
/// A stop takes milliseconds; a busy machine takes longer.
const STOP_SECONDS_MAX: u64 = 60;

/// Milliseconds from the start of the process on an empty folder to its first answer.
pub(super) fn starts() -> Result<Figures, String> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let running = Running::start(&Launch::ottla(&[])?)?;
        took.push(running.start_ms);
        running.stop()?;
    }
    took.sort_by(f64::total_cmp);
    Ok(Figures::from([("start", took[STARTS / 2])]))
}

/// A node that was started and has answered.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: u32,
    start_ms: f64,
}

impl Running {
    /// Starts a node; its folder is the caller's, so that it can be started again.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn start(launch: &Launch) -> Result<Self, String> {
        let mut starter = command::program(target().join("release/ottla-bench"));
        starter.args(["start", "--address", &launch.address.to_string(), "--"]);
        let said = command::output(starter.args(&launch.line))?;
        let value = |name| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let pid = value("start.pid").and_then(|pid| pid.parse().ok());
        let start_ms = value("start.ms").and_then(|ms| ms.parse().ok());
        match (pid, start_ms) {
            (Some(pid), Some(start_ms)) => Ok(Self { pid, start_ms }),
            _ => Err(format!("the starter said: {said}")),
        }
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn stop(self) -> Outcome {
        terminate(self.pid)?;
        let deadline = Instant::now() + Duration::from_secs(STOP_SECONDS_MAX);
        while !has_ended(self.pid) {
            if Instant::now() > deadline {
                return Err(format!("process {} does not end", self.pid));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Resident memory now, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn resident_mib(&self) -> Result<f64, String> {
        let status = read(&format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| "no VmRSS in its status".to_owned())
    }

    /// How often its threads have gone to sleep so far, each of which is a wake-up.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn sleeps(&self) -> Result<u64, String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).map_err(|e| e.to_string())?;
        let mut sleeps = 0;
        for task in tasks {
            let status = task.map_err(|error| error.to_string())?.path().join("status");
            let text = fs::read_to_string(status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            sleeps += line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sleeps)
    }
}

/// Nobody may be there to take the exit status of somebody else's child: that is an end, too.
fn has_ended(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.is_empty() || status.lines().any(|line| line.starts_with("State:\tZ"))
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("read {path}: {error}"))
}
