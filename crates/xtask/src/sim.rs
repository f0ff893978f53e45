//! `sim`: the node in the simulator.

use crate::{Outcome, command};

/// The tests that plant known bugs and demand that each is caught: in a node among its clients, and
/// in one log, where the syncs are far apart.
const PLANTED: [&[&str]; 2] = [&["planted"], &["it", "a_log_that_forgets_is_caught"]];

/// Runs seeds; with `--planted`, the tests of known bugs.
/// Every other option is the simulator's own.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let planted = arguments.iter().any(|argument| argument == "--planted");
    if planted {
        command::only(arguments, &["--planted"])?;
        return PLANTED.iter().try_for_each(|test| {
            let planted = ["test", "-p", "ottla-sim", "--features", "planted", "--test"];
            command::run(command::cargo().args(planted).args(*test))
        });
    }
    let mut run = command::cargo();
    run.args(["run", "--quiet", "-p", "ottla-sim", "--bin", "sim", "--"]).args(arguments);
    command::run(&mut run)
}
