//! `sim`: the node in the simulator.

use crate::{Outcome, command};

/// Runs seeds; with `--planted`, runs the test that plants known bugs and demands each is caught.
/// Every other option is the simulator's own.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let planted = arguments.iter().any(|argument| argument == "--planted");
    if planted {
        command::only(arguments, &["--planted"])?;
        let test = ["test", "-p", "ottla-sim", "--features", "planted", "--test", "planted"];
        return command::run(command::cargo().args(test));
    }
    let mut run = command::cargo();
    run.args(["run", "--quiet", "-p", "ottla-sim", "--bin", "sim", "--"]).args(arguments);
    command::run(&mut run)
}
