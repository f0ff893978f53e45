//! `interop`: the acceptance steps against a node that is started for them.

use crate::node::{Launch, Node, build};
use crate::{Outcome, command};

/// Every argument is the script's own. With `--bootstrap` nothing is started.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut script = command::program("tests/acceptance/run");
    script.args(arguments);
    if arguments.iter().any(|argument| argument == "--bootstrap") {
        return command::run(&mut script);
    }
    build(&["ottla"])?;
    let node = Node::start(Launch::ottla(&[])?, &[])?;
    let launch = &node.launch;
    script.args(["--bootstrap", &launch.address.to_string(), "--data"]).arg(launch.data());
    let outcome = command::run(&mut script);
    let stopped = node.stop();
    outcome.and(stopped)
}
