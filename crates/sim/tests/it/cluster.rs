//! The node in its simulator. `cargo xtask sim` runs more seeds.

use ottla_sim::{Options, simulate};

#[test]
fn a_few_seeds_are_clean() {
    for seed in 0..20 {
        let report = simulate(seed, &Options::default());
        assert!(report.is_clean(), "{report}");
        assert!(report.acked > 0, "something was written: {report}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let report = simulate(seed, &Options::default());
        (report.trace_hash, report.time, report.polls, report.acked, report.read)
    };
    for seed in [3, 7, 8] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(3), run(7));
}

#[test]
fn two_processes_tell_the_same_trace() {
    let told = || {
        let mut sim = std::process::Command::new(env!("CARGO_BIN_EXE_sim"));
        let output = sim.args(["--seed", "7"]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let first = told();
    assert!(first.contains("trace "), "{first}");
    assert_eq!(first, told());
}
