//! `fuzz`: bytes that nobody means well with, at every decoder.

use std::path::PathBuf;

use crate::{Outcome, command};

/// A counter in every edge of every crate that is linked, dependencies in Rust included. The
/// compiler's pass works on stable releases; what counts is in `fuzz/src/coverage.rs`.
const COUNTERS: &str = "-Cpasses=sancov-module \
                        -Cllvm-args=-sanitizer-coverage-level=3 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters";

/// Builds the targets, in a folder of their own, and runs them; every argument is theirs.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let package = command::root().join("fuzz");
    let host = host()?;
    let mut build = command::cargo();
    build.args(["build", "--release", "--locked", "--quiet", "--target", &host]);
    build.arg("--manifest-path").arg(package.join("Cargo.toml"));
    build.arg("--target-dir").arg(package.join("target")).env("RUSTFLAGS", COUNTERS);
    command::run(&mut build)?;
    let binary: PathBuf = ["target", &host, "release", "ottla-fuzz"].iter().collect();
    let mut targets = command::program(package.join(binary));
    // Here, so that a file named on the command line is found.
    command::run(targets.args(["--findings", "fuzz/findings"]).args(arguments))
}

/// Named, so that build scripts and macros, which run here, are built without counters.
fn host() -> Result<String, String> {
    let version = command::output(command::program("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not name its host".to_owned())
}
