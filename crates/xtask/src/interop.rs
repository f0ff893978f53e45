//! `interop`: the acceptance steps against a node that is started for them.

use crate::node::{Launch, Node, build, target};
use crate::{Outcome, command};

/// What starts and ends nodes of its own, and has a short form, in order.
const LIVES: [&str; 7] =
    ["first-minutes", "lines", "kills", "power-cut", "tools", "own-tools", "groups"];

/// What starts nodes of its own and takes minutes: Apache Kafka's frameworks on top of a node, and
/// the tests that clients bring along.
const LONG: [&str; 5] = ["old-clients", "streams", "connect", "mirror", "peer-suites"];

/// What is made by the runs of the groups and of the long ones.
const PAGE: &str = "docs/clients.md";

/// Every argument is the script's own. With `--bootstrap` nothing is started. With `--short` and no
/// step named, a newcomer's first lines are typed, files go in and out, nodes are killed and lose
/// their power, a few times, Kafka's tools and those of Ottla are asked what Kafka's were asked of
/// Kafka, and groups of all clients come and go. With `--long` alone, what takes long follows, and
/// the page about clients is made anew. The name of one of those scripts in front runs it alone.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if let Some((name, rest)) = arguments.split_first()
        && LIVES.iter().chain(&LONG).any(|script| script == name)
    {
        build(&["ottla"])?;
        return live(name, rest);
    }
    let (arguments, length) = match arguments {
        [only] if only == "--long" => (&[][..], Length::Long),
        [only] if only == "--short" => (arguments, Length::Short),
        _ => (arguments, Length::Steps),
    };
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
    match length {
        Length::Steps => Ok(()),
        Length::Short => LIVES.iter().try_for_each(|name| live(name, arguments)),
        Length::Long => long(),
    }
}

/// How much of it is run behind the steps of `tests/acceptance/run`.
enum Length {
    Steps,
    Short,
    Long,
}

/// Every script in its long form, whatever became of the others; the groups twice in a row on one
/// node. The table of the clients is made first, the sections follow.
fn long() -> Outcome {
    let mut failed = Vec::new();
    for name in LIVES.iter().chain(&LONG) {
        let arguments = match *name {
            "groups" => &["--every-client", "--times", "2", "--matrix", PAGE][..],
            name if LONG.contains(&name) => &["--page", PAGE],
            _ => &[],
        };
        if let Err(why) = live(name, &words(arguments)) {
            eprintln!("{why}");
            failed.push(*name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn words(some: &[&str]) -> Vec<String> {
    some.iter().map(|word| (*word).to_owned()).collect()
}

fn live(name: &str, arguments: &[String]) -> Outcome {
    let mut script = command::program(format!("tests/acceptance/{name}"));
    command::run(script.arg("--ottla").arg(target().join("release/ottla")).args(arguments))
}
