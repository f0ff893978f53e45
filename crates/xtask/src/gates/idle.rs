//! What a node costs that nobody uses.

use std::time::{Duration, Instant};

use super::Figures;
use super::lifecycle::Running;
use crate::node::{Launch, target};
use crate::{Outcome, command};

/// Long enough for what a node puts off until after its start.
const SETTLE: Duration = Duration::from_secs(2);
/// How long wake-ups are counted.
const WATCH: Duration = Duration::from_secs(6);
/// Partitions of the larger node.
const PARTITIONS: u32 = 5_000;

/// Memory of an empty node and of one with many partitions that was started again; wake-ups of the
/// latter.
pub(super) fn idle() -> Result<Figures, String> {
    let launch = Launch::ottla(&[])?;
    let empty = Running::start(&launch)?;
    std::thread::sleep(SETTLE);
    let of_none = empty.resident_mib()?;
    make_partitions(&launch, empty.pid)?;
    empty.stop()?;
    let full = Running::start(&launch)?;
    std::thread::sleep(SETTLE);
    let of_many = full.resident_mib()?;
    let (slept, started) = (full.sleeps()?, Instant::now());
    std::thread::sleep(WATCH);
    #[allow(clippy::cast_precision_loss, reason = "a few thousand at most")]
    let wakes = (full.sleeps()? - slept) as f64 / started.elapsed().as_secs_f64();
    full.stop()?;
    Ok(Figures::from([("idle-rss", of_none), ("idle-rss-5000", of_many), ("idle-wakes", wakes)]))
}

fn make_partitions(launch: &Launch, pid: u32) -> Outcome {
    let mut generator = command::program(target().join("release/ottla-bench"));
    generator.args(["topics", "--address", &launch.address.to_string()]);
    generator.args(["--pid", &pid.to_string(), "--topics", "1", "--keep", "1"]);
    generator.args(["--partitions", &PARTITIONS.to_string()]);
    command::output(&mut generator).map(drop)
}
