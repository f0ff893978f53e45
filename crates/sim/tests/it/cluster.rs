//! The node in its simulator. `cargo xtask sim` runs more seeds.

use ottla_sim::{Options, Workload, simulate};

#[test]
fn a_few_seeds_are_clean() {
    for seed in 0..20 {
        let report = simulate(seed, &Options::default());
        assert!(report.is_clean(), "{report}");
        assert!(report.acked > 0, "something was written: {report}");
    }
}

fn groups() -> Options {
    Options { workload: Workload::Groups, ..Options::default() }
}

#[test]
fn a_few_seeds_of_groups_are_clean() {
    // 17 and 32 set the wall clock back; in 30 the topics come after the group.
    for seed in [0, 1, 17, 30] {
        let report = simulate(seed, &groups());
        assert!(report.is_clean(), "{report}");
        assert!(report.read >= report.acked, "everything was read: {report}");
    }
}

#[test]
fn the_same_seed_of_groups_gives_the_same_run() {
    let run = || {
        let report = simulate(3, &groups());
        (report.trace_hash, report.time, report.polls, report.acked, report.read)
    };
    assert_eq!(run(), run());
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
