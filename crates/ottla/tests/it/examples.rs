//! Every example of every help text is run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::node::{Node, quiet_ottla, said};

/// Commands whose examples are not run here: they run until they are stopped, or are about files
/// of a node (`tests/it/log.rs` has those).
const LEFT_OUT: [&str; 2] = ["server", "log"];

pub(crate) fn help(path: &[String]) -> String {
    let mut command = quiet_ottla();
    command.args(path).arg("--help");
    said(command, "").ok()
}

/// The commands below one, from its help.
pub(crate) fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The lines below `Examples:`.
fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1);
    lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned()).collect()
}

/// Every command that does something, and its examples.
fn all(path: &[String], found: &mut Vec<(String, Vec<String>)>) {
    let help = help(path);
    let below = commands(&help);
    for name in &below {
        if !LEFT_OUT.contains(&name.as_str()) {
            all(&[path, std::slice::from_ref(name)].concat(), found);
        }
    }
    let examples = examples(&help);
    if below.is_empty() || !examples.is_empty() {
        found.push((path.join(" "), examples));
    }
}

/// What the examples speak of.
fn furnish(node: &Node) {
    let mut topics = vec!["topic", "create", "hello", "orders", "payments", "old-orders"];
    topics.extend(["-s", "max.message.bytes=1000000"]);
    node.ottla(&topics).ok();
    node.ottla_given("7,open\n7,paid\n8,open\n", &["produce", "orders", "-K", ","]).ok();
    node.ottla(&["produce", "hello", "hi"]).ok();
    for group in ["readers", "writers", "old-readers"] {
        node.ottla(&["consume", "orders", "-g", group, "-n", "1"]).ok();
    }
    fs::write(node.folder().join("orders.txt"), "9\tnew\n").unwrap();
}

/// What went wrong.
fn run(node: &Node, example: &str) -> Option<String> {
    let binary = Path::new(env!("CARGO_BIN_EXE_ottla")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    // What goes on until it is stopped is looked at once.
    let endless = example.contains("watch") && !example.contains("--times");
    let line = if endless { format!("{example} --times 1") } else { example.to_owned() };
    // Where a node without a configuration serves its metrics.
    let line = line.replace("127.0.0.1:8080", &node.http);
    if example.split(' ').any(|word| word.starts_with('/')) {
        return Some(format!("{example}: a test runs it, so it names no place outside"));
    }
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(node.folder());
    command.env("PATH", format!("{}:{path}", binary.display()));
    command.env("OTTLA_BOOTSTRAP", &node.address).env("XDG_CONFIG_HOME", node.folder());
    // What an example writes is not written among the files of whoever runs the tests.
    command.env("HOME", node.folder());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KAFKA_") {
            command.env_remove(name);
        }
    }
    let said = said(command, "typed\n");
    // What the doctor finds is the machine's.
    let found = example.starts_with("ottla doctor") && said.out.contains("problem");
    (said.code != 0 && !found).then(|| format!("{example}: {said:?}"))
}

#[test]
fn every_command_has_an_example_and_every_example_works() {
    let mut found = Vec::new();
    all(&[], &mut found);
    let without: Vec<&String> =
        found.iter().filter(|(_, examples)| examples.is_empty()).map(|(path, _)| path).collect();
    assert_eq!(without, [] as [&String; 0], "commands without an example");
    let node = Node::start("examples");
    furnish(&node);
    let (mut seen, mut failed) = (BTreeSet::new(), Vec::new());
    for example in found.iter().flat_map(|(_, examples)| examples) {
        if seen.insert(example) {
            failed.extend(run(&node, example));
        } else {
            failed.push(format!("twice: {example}"));
        }
    }
    assert_eq!(failed, [] as [&str; 0]);
    assert!(seen.len() > 40, "only {}", seen.len());
}
