//! `gates`: what a request, a start and an idle node may cost, held on any machine.
//!
//! Wall times of a shared machine say nothing, so most gates count what does not depend on its
//! load: instructions, allocations, system calls, waits, memory. Each compares a figure of the
//! release build with its budget (`budgets`). How each is measured, and how each was shown to
//! fail: `docs/internals/gates.md`.

mod budgets;
mod counted;
mod idle;
mod lifecycle;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Instant;

use budgets::{GATES, Gate, Verdict};

use crate::node::build;
use crate::{Outcome, command};

/// What was measured, by the name of its gate.
type Figures = BTreeMap<&'static str, f64>;

/// One way to measure, which gives the figures of several gates.
struct Measurement {
    name: &'static str,
    /// A program that must be installed.
    tool: Option<&'static str>,
    run: fn() -> Result<Figures, String>,
}

const MEASUREMENTS: [Measurement; 5] = [
    Measurement { name: "instructions", tool: Some("valgrind"), run: counted::instructions },
    Measurement { name: "syscalls", tool: Some("strace"), run: counted::syscalls },
    Measurement { name: "locks", tool: Some("strace"), run: counted::lock_waits },
    Measurement { name: "idle", tool: None, run: idle::idle },
    Measurement { name: "start", tool: None, run: lifecycle::starts },
];

/// Measures what was named, or everything, and compares it with the budgets. What needs a tool
/// that is not installed is left out, and said so.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let names: Vec<&str> = MEASUREMENTS.iter().map(|each| each.name).collect();
    command::only(arguments, &names)?;
    build(&["ottla", "ottla-bench"])?;
    let mut failed = Vec::new();
    for each in &MEASUREMENTS {
        if !arguments.is_empty() && !arguments.iter().any(|name| name == each.name) {
            continue;
        }
        if let Some(tool) = each.tool.filter(|tool| !is_installed(tool)) {
            println!("{}: LEFT OUT, for there is no {tool} here", each.name);
            continue;
        }
        let started = Instant::now();
        let figures = (each.run)().map_err(|why| format!("gate {}: {why}", each.name))?;
        println!("{} ({:.0} s)", each.name, started.elapsed().as_secs_f64());
        failed.extend(figures.iter().filter_map(|(name, value)| judge(name, *value)));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nxtask: ")) }
}

/// Prints a figure beside its budget; what is wrong with it, in words.
fn judge(name: &str, value: f64) -> Option<String> {
    let gate = GATES.iter().find(|gate| gate.name == name).expect("every figure has a gate");
    let (verdict, said) = match gate.limit.judge(value) {
        Verdict::Within => ("yes", ""),
        Verdict::Better => ("yes", ": lower the record in budgets.rs, so that this is kept"),
        Verdict::Exceeded => ("NO", ""),
    };
    println!("  {verdict:<4}{name:<21}{value:>10.2} {:<9} {}{said}", gate.unit, gate.limit);
    (verdict == "NO").then(|| exceeded(gate, value))
}

fn exceeded(gate: &Gate, value: f64) -> String {
    let Gate { name, unit, limit, why } = gate;
    format!("{name}: {value:.2} {unit}; {limit}: {why}")
}

fn is_installed(tool: &str) -> bool {
    let mut ask = Command::new(tool);
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}
