//! `interop`: the acceptance steps against a node that is started for them.

use crate::node::Node;
use crate::{Outcome, command};

/// Every argument is the script's own. With `--bootstrap` nothing is started.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let mut script = command::program("tests/acceptance/run");
    script.args(arguments);
    if arguments.iter().any(|argument| argument == "--bootstrap") {
        return command::run(&mut script);
    }
    let node = Node::start(&std::env::temp_dir(), &[])?;
    script.args(["--bootstrap", &node.address().to_string(), "--data"]).arg(node.data());
    let outcome = command::run(&mut script);
    let stopped = node.stop();
    outcome.and(stopped)
}
