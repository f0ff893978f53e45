//! `check` and `fix`.

use std::time::Instant;

use crate::{Outcome, command, tidy};

/// Says yes or no and writes nothing. Every step runs, so that one call reports every mistake.
pub(crate) fn check(arguments: &[String]) -> Outcome {
    command::only(arguments, &["--no-tests"])?;
    let mut failed = Vec::new();
    let mut step = |name: &'static str, outcome: &dyn Fn() -> Outcome| {
        let started = Instant::now();
        let result = outcome();
        let verdict = if result.is_ok() { "yes" } else { "NO" };
        println!("{name:<8} {verdict:<4} {:.1} s", started.elapsed().as_secs_f64());
        if let Err(why) = result {
            failed.push(format!("{name}: {why}"));
        }
    };
    step("format", &|| cargo(&["fmt", "--all", "--", "--check"]));
    step("tidy", &|| tidy::run(&[]));
    step("gen", &|| crate::generated(&["--check".to_owned()]));
    step("clippy", &clippy);
    if arguments.is_empty() {
        step("tests", &|| cargo(&["test", "--workspace", "--locked", "--quiet"]));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\nxtask: ")) }
}

fn clippy() -> Outcome {
    let scope = ["clippy", "--workspace", "--all-targets", "--locked", "--quiet"];
    cargo(&[&scope[..], &["--", "-D", "warnings"]].concat())
}

/// Repairs what tools can repair by themselves, and writes what is generated.
pub(crate) fn fix(arguments: &[String]) -> Outcome {
    command::only(arguments, &[])?;
    let scope = ["clippy", "--workspace", "--all-targets", "--fix"];
    cargo(&[&scope[..], &["--allow-dirty", "--allow-staged"]].concat())?;
    crate::generated(&[])?;
    cargo(&["fmt", "--all"])
}

fn cargo(arguments: &[&str]) -> Outcome {
    command::run(command::cargo().args(arguments))
}
