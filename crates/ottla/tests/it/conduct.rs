//! What all commands have in common: exit codes, dry runs, watching, completion.

use std::process::Command;

use crate::node::{Node, Said, quiet_ottla, said};

fn furnished(name: &str) -> Node {
    let node = Node::start(name);
    node.ottla(&["topic", "create", "orders", "payments", "-p", "2"]).ok();
    node.ottla_given("a\nb\nc\n", &["produce", "orders", "-p", "0"]).ok();
    node.ottla(&["consume", "orders", "-g", "readers", "-n", "2"]).ok();
    node.ottla(&["config", "set", "topic", "orders", "retention.ms=86400000"]).ok();
    node
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
#[rustfmt::skip]
fn exit_codes_tell_a_failure_from_a_mistake() {
    let node = furnished("exit-codes");
    for (line, code, told) in [
        ("topic list",                               0, ""),
        ("consume orders -n 0",                      0, ""),
        ("topic delete nothing --if-exists --yes",   0, "there is no topic nothing"),
        ("group lag",                                0, ""),
        ("config describe topic payments",           0, "nothing was set for topic payments"),
        ("--help",                                   0, ""),
        ("produce --help",                           0, ""),
        ("topic describe ordrs",                     1, "did you mean orders?"),
        ("consume nothing -e",                       1, "there is no topic nothing"),
        ("group describe nobody",                    1, "there is no group nobody"),
        ("produce orders --file /nowhere",           1, "cannot read /nowhere"),
        ("topic create orders",                      1, "orders"),
        ("topic create new orders --dry-run",        1, "orders"),
        ("topic delete nothing --yes",               1, "there is no topic nothing"),
        ("topic alter orders -p 1",                  1, "cannot have 1"),
        ("config set topic orders nonsense=1",       1, "nonsense"),
        ("config describe topic nothing",            1, "there is no topic nothing"),
        ("topic list -b 127.0.0.1:1",                1, "nothing listens at 127.0.0.1:1"),
        ("topic list -b no.such.host.invalid",       1, "is not known here"),
        ("-X bootstrap.servers=127.0.0.1:1 topic list -b 127.0.0.1:1", 1, "nothing listens at"),
        ("topic",                                    2, "Usage: ottla topic"),
        ("topc list",                                2, "topic"),
        ("topic list -o xml",                        2, "jsonl"),
        ("produce",                                  2, "<TOPIC>"),
        ("consume orders -o x",                      2, "it is one of: start, end"),
        ("consume orders -f %q",                     2, "%q is none of"),
        ("consume orders --filter key~(",            2, "key~("),
        ("produce orders -z brotli",                 2, "none, gzip, snappy, lz4 or zstd"),
        ("group seek readers",                       2, "--to <PLACE>"),
        ("topic delete orders",                      2, "say --yes to do it"),
        ("topic create a/b",                         2, "a/b"),
        ("topic list -X nonsense=1",                 2, "no property nonsense"),
        ("topic list -X acks",                       2, "-X takes NAME=VALUE"),
        ("topic list -X security.protocol=SSL",      2, "PLAINTEXT"),
        ("topic list --profile nobody",              2, "there is no profile nobody"),
        ("-b 127.0.0.1:1 version",                   2, "for commands that talk to a cluster"),
        ("--memory topic list",                      2, "for a node"),
        ("dev --port 0",                             2, "1 to 65535, or auto"),
    ] {
        let said = node.ottla(&words(line));
        assert_eq!(said.code, code, "{line}: {said:?}");
        assert!(said.err.contains(told), "{line}: {said:?}");
        assert!(code == 0 || said.out.is_empty(), "{line}: errors go to standard error: {said:?}");
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    let node = furnished("dry-run");
    let state = || {
        let show = |line: &str| node.ottla(&words(line)).ok();
        [show("topic list"), show("config list"), show("group lag"), show("topic describe orders")]
    };
    let before = state();
    for line in [
        "topic create more --dry-run",
        "topic alter orders -p 5 --set retention.ms=1 --dry-run",
        "topic delete orders --dry-run",
        "topic trim orders --before end --dry-run",
        "config set topic orders retention.ms=1 --dry-run",
        "config unset topic orders retention.ms --dry-run",
        "group seek readers --to start --dry-run",
        "group delete readers --dry-run",
        "group delete-offsets readers orders --dry-run",
    ] {
        let said = node.ottla(&words(line));
        assert_eq!(said.code, 0, "{line}: {said:?}");
        assert!(!(said.out.is_empty() && said.err.is_empty()), "{line} says what it would do");
        assert_eq!(state(), before, "{line}");
    }
}

#[test]
fn lists_can_be_watched() {
    let node = furnished("watch");
    for (list, title) in [
        ("topic list -w", "TOPIC\t"),
        ("topic watch", "TOPIC\t"),
        ("group list -w", "GROUP\t"),
        ("group lag -w", "GROUP\t"),
        ("cluster nodes -w", "NODE\t"),
    ] {
        let line = format!("{list} --times 2 --every 1ms");
        let out = node.ottla(&words(&line)).ok();
        let titles = out.lines().filter(|line| line.starts_with(title)).count();
        assert_eq!(titles, 2, "{line}: {out}");
    }
}

/// What a shell is offered for the last of the words.
fn offered(node: &Node, line: &str) -> Vec<String> {
    let mut command = quiet_ottla();
    let words: Vec<&str> = line.split(' ').collect();
    let index = (words.len() - 1).to_string();
    command.env("OTTLA_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index);
    command.env("OTTLA_BOOTSTRAP", &node.address).arg("--").args(&words);
    said(command, "").ok().lines().map(str::to_owned).collect()
}

#[test]
fn shells_are_offered_what_the_cluster_knows() {
    let node = furnished("completion");
    for (line, expected) in [
        ("ottla topic describe o", "orders"),
        ("ottla consume ", "orders payments"),
        ("ottla group describe r", "readers"),
        ("ottla consume orders -g r", "readers"),
        ("ottla config describe topic p", "payments"),
        ("ottla config set group r", "readers"),
        ("ottla config describe broker ", "1 default"),
        ("ottla topic describe x", ""),
        ("ottla topic describe _", "__consumer_offsets"),
        ("ottla topic describe -b 127.0.0.1:1 o", ""),
        ("ottla topic des", "describe"),
        ("ottla consume orders --output j", "json jsonl"),
    ] {
        let offered = offered(&node, line);
        let names = offered.iter().filter(|name| !name.starts_with('-'));
        let names: Vec<&str> = names.map(String::as_str).collect();
        assert_eq!(names.join(" "), expected, "{line}");
    }
}

#[test]
fn shells_call_this_binary_for_completion() {
    let node = furnished("completion-script");
    let binary = env!("CARGO_BIN_EXE_ottla");
    let script = format!(
        "source <({binary} completion bash); COMP_WORDS=(ottla topic describe or); COMP_CWORD=3; \
         _clap_complete_ottla ottla or; echo \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script]).env("OTTLA_BOOTSTRAP", &node.address);
    let Said { out, err, .. } = said(bash, "");
    assert_eq!(out, "orders\n", "{err}");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let mut command = quiet_ottla();
        command.args(["completion", shell]);
        assert!(said(command, "").ok().contains("OTTLA_COMPLETE"), "{shell}");
    }
}
