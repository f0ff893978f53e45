//! `interop`: the acceptance steps against a node that is started for them.

use crate::node::{Launch, Node, build, target};
use crate::{Outcome, command};

/// What starts and ends nodes of its own, and has a short form, in order.
const LIVES: [&str; 7] =
    ["first-minutes", "lines", "kills", "power-cut", "tools", "own-tools", "groups"];

/// Every argument is the script's own. With `--bootstrap` nothing is started. With `--short` and no
/// step named, a newcomer's first lines are typed, files go in and out, nodes are killed and lose
/// their power, a few times, Kafka's tools and those of Ottla are asked what Kafka's were asked of
/// Kafka, and groups of all clients come and go. The name of one of those scripts in front runs it
/// alone.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some((name, rest)) = arguments.split_first()
        && LIVES.contains(&name.as_str())
    {
        build(&["ottla"])?;
        return live(name, rest);
    }
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
    outcome.and(stopped)?;
    if arguments != ["--short"] {
        return Ok(());
    }
    LIVES.iter().try_for_each(|name| live(name, arguments))
}

fn live(name: &str, arguments: &[String]) -> Outcome {
    let mut script = command::program(format!("tests/acceptance/{name}"));
    command::run(script.arg("--ottla").arg(target().join("release/ottla")).args(arguments))
}
