//! Fuzz targets: bytes that nobody means well with, at every decoder.
//!
//! `cargo xtask fuzz` builds this with a counter in every edge and runs the targets one after the
//! other. Inputs that reach what none has reached before are kept and changed further. The same
//! seed draws the same inputs.

#![allow(clippy::print_stdout, reason = "this is a command line tool: stdout is its answer")]

mod coverage;
mod draws;
mod engine;
mod memory;
mod support;
mod targets;

// What the tests of the crates know is not written twice.
#[allow(dead_code, reason = "the tests use more of it")]
#[macro_use]
#[path = "../../crates/wire/tests/it/subject.rs"]
mod subject;
#[path = "../../crates/wire/tests/it/generated/mod.rs"]
mod generated;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/log/tests/it/memory_disk.rs"]
mod memory_disk;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../crates/wire/tests/it/random.rs"]
mod random;

use std::process::ExitCode;
use std::time::Duration;

use engine::Run;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const USAGE: &str = "\
ottla-fuzz TARGET... [--seconds N] [--seed N] [--findings FOLDER]
ottla-fuzz TARGET --input FILE
ottla-fuzz --list

  Without a target, all of them; 60 seconds each unless told otherwise.";

struct Arguments {
    names: Vec<String>,
    seconds: u64,
    seed: u64,
    findings: String,
    input: Option<String>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fuzz: {why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments {
        names: Vec::new(),
        seconds: 60,
        seed: 1,
        findings: "findings".to_owned(),
        input: None,
    };
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is not a number"));
        match argument.as_str() {
            "--seconds" => arguments.seconds = number(value()?)?,
            "--seed" => arguments.seed = number(value()?)?,
            "--findings" => arguments.findings = value()?,
            "--input" => arguments.input = Some(value()?),
            "--list" => {
                for target in targets::ALL {
                    println!("{:<12} {}", target.name, target.what);
                }
                return Ok(None);
            }
            name if !name.starts_with('-') => arguments.names.push(name.to_owned()),
            _ => return Err(format!("{argument} is not known\n\n{USAGE}")),
        }
    }
    Ok(Some(arguments))
}

fn run(arguments: Option<Arguments>) -> Result<(), String> {
    let Some(arguments) = arguments else { return Ok(()) };
    let chosen = |name: &String| {
        let found = targets::ALL.iter().find(|target| target.name == name);
        found.ok_or_else(|| format!("there is no target {name}; see --list"))
    };
    let mut chosen: Vec<_> = arguments.names.iter().map(chosen).collect::<Result<_, _>>()?;
    if chosen.is_empty() {
        chosen = targets::ALL.iter().collect();
    }
    if let Some(path) = &arguments.input {
        let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        chosen.iter().for_each(|target| (target.run)(&bytes));
        return Ok(());
    }
    let mut failed = Vec::new();
    for target in chosen {
        let run = Run {
            target,
            seed: arguments.seed,
            time: Duration::from_secs(arguments.seconds),
            findings: arguments.findings.as_ref(),
        };
        if let Err(why) = run.go() {
            eprintln!("fuzz: {}: {why}", target.name);
            failed.push(target.name);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("there are findings: {}", failed.join(", "))),
    }
}
