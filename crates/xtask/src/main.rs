//! The developer's one command.
//!
//! `cargo xtask check` says yes or no and writes nothing; what may write is `fix`, `gen` and
//! `bench`. Continuous integration calls the same commands.

#![allow(clippy::print_stdout, reason = "this is a command line tool: stdout is its answer")]

mod bench;
mod check;
mod command;
mod configuration;
mod differential;
mod fuzz;
mod gates;
mod generate;
mod hostile;
mod interop;
mod json;
mod node;
mod options;
mod readme;
mod scanner;
mod session;
mod sim;
mod tidy;
mod vectors;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  check [--no-tests]     format, tidy, gen, clippy, tests: yes or no; writes nothing
  fix                    what formatter and clippy can repair by themselves
  gen [--check]          Rust from crates/wire/schema, the README's table of APIs,
                         docs/configuration.md, docs/operations/metrics.md: write them, or only compare
  tidy                   the rules of the house alone (also a test of this package)
  sim --seed N | --seeds A..B | --minutes M | --planted
                         the node in the simulator
  interop [--short | --long] [--bootstrap HOST:PORT [--data FOLDER]] [STEP...]
                         Kafka's tools, its Java client and kcat against a node, started for it
                         unless one is named (see tests/acceptance/run); --short alone also
                         kills nodes, cuts their power, compares what Kafka's tools print
                         with what they print of Kafka, and runs groups of all clients;
                         --long alone runs every script whole and makes docs/clients.md anew
  interop kills | power-cut | tools | groups | first-minutes | lines | streams | connect
        | mirror | peer-suites [ARGUMENT...]
                         one of these alone (see tests/acceptance)
  bench [CASE...] [--peer kafka] [--pairs N] [--short] [--warm-ups N] [--kafka NETWORK/IO/HEAP]
        [--seed N] [--to FOLDER] [--budget] | --draw
                         beside Apache Kafka, in pairs; appends to bench/RESULTS.md and
                         bench/results.jsonl, and draws docs/performance.md anew (see there)
  gates [instructions | syscalls | locks | idle | start]...
                         what a request, a start and an idle node may cost, against budgets
  session [--ottla BINARY]
                         docs/session.svg: a terminal session, recorded from a real run
  vectors encode | ask | record
                         golden vectors and answers, made anew from Apache Kafka
  hostile --broker HOST:PORT
                         spoilt frames at a running node
  fuzz [TARGET...] [--seconds N] [--seed N] | TARGET --input FILE | --list
                         hostile bytes at every decoder, guided by what they reach (see fuzz/)
  differential [--peer | --record] [--seeds A..B] [--only PREFIX]
                         the same requests to a node and to Apache Kafka, or to a node alone beside
                         what Apache Kafka answered when that was recorded; whatever is answered
                         otherwise must have its reason in docs/differences.md";

/// What a command ends with: a sentence for the person who called it.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// `gen`: writes the files that have drifted, or with `--check` names them.
fn generated(arguments: &[String]) -> Outcome {
    command::only(arguments, &["--check"])?;
    let check = !arguments.is_empty();
    generate::run(check).map_err(|error| error.to_string())?;
    readme::generate(check)?;
    configuration::generate(check)
}

fn dispatch(arguments: &[String]) -> Outcome {
    let Some((name, rest)) = arguments.split_first() else {
        println!("{USAGE}");
        return Ok(());
    };
    match name.as_str() {
        "check" => check::check(rest),
        "fix" => check::fix(rest),
        "gen" => generated(rest),
        "tidy" => tidy::run(rest),
        "sim" => sim::run(rest),
        "interop" => interop::run(rest),
        "bench" => bench::run(rest),
        "gates" => gates::run(rest),
        "session" => session::run(rest),
        "vectors" => vectors::run(rest),
        "hostile" => hostile::run(rest),
        "fuzz" => fuzz::run(rest),
        "differential" => differential::run(rest),
        "help" | "-h" | "--help" => {
            println!("{USAGE}");
            Ok(())
        }
        other => Err(format!("there is no command `{other}`\n\n{USAGE}")),
    }
}
