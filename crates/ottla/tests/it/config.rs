//! `ottla config`, and where properties come from.

use std::fs;

use crate::ottla_with;

const PROFILE: &str = "\
# From the profile of a node without a configuration file:
controller.listener.names=CONTROLLER
group.initial.rebalance.delay.ms=0
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
log.dirs=./ottla-data
node.id=1
ottla.http.listener=http://127.0.0.1:8080
process.roles=broker,controller
";

fn prints(environment: &[(&str, &str)], arguments: &[&str], expected: &str) {
    let arguments: Vec<&str> = ["config"].iter().chain(arguments).copied().collect();
    let output = ottla_with(environment, &arguments);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{arguments:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{arguments:?}");
}

#[test]
fn the_bare_profile_is_printed() {
    prints(&[], &[], PROFILE);
}

#[test]
fn where_clients_find_a_cluster_is_no_property_of_a_node() {
    prints(&[("KAFKA_BOOTSTRAP_SERVERS", "x:1"), ("KAFKA_BROKERS", "x:1")], &[], PROFILE);
}

#[test]
fn each_property_stands_under_the_place_whose_word_counts() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/layers.properties");
    fs::write(file, "num.partitions=2\nlog.dir=data\nlog.retention.hours=9\n").unwrap();
    let expected = format!(
        "# From {file}:\nlog.dirs=data\n\n# From the environment:\nlog.retention.hours=10\n\n\
         # From --override:\nnum.partitions=4\n"
    );
    let variables = [("KAFKA_CFG_LOG_RETENTION_HOURS", "10"), ("KAFKA_NUM_PARTITIONS", "3")];
    prints(&variables, &["--config", file, "--override", "num.partitions=4"], &expected);
}

#[test]
fn a_synonym_goes_over_the_name_in_a_place_that_counts_less() {
    let expected = PROFILE.replace("node.id=1\n", "") + "\n# From --override:\nnode.id=7\n";
    prints(&[], &["--override", "broker.id=7"], &expected);
}

#[test]
fn mistakes_of_all_places_are_told_in_one_run() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/mistakes.properties");
    fs::write(file, "nonsense\nnum.partitions=x\nlog.retention.hour=3\n").unwrap();
    let variables = [("KAFKA_CFG_NUM_IO_THREADS", "3"), ("KAFKA_LOG_ROLL_MS", "0")];
    let output = ottla_with(&variables, &["config", "--config", file, "--override", "x"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    for told in [
        &format!("ottla: cannot read {file}: line 1: `nonsense` is not name=value"),
        "ottla: --override takes NAME=VALUE, and `x` is not",
        "ottla: num.partitions=x: Not a number of type INT",
        "ottla: log.roll.ms=0: Value must be at least 1",
        "these properties have no effect in this version: num.io.threads",
        "no property has the name log.retention.hour; did you mean log.retention.hours?",
    ] {
        assert!(stderr.contains(told), "{told} is not in\n{stderr}");
    }
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
}

#[test]
fn a_synonym_alone_counts_without_a_file() {
    let expected = PROFILE.replace("log.dirs=./ottla-data\n", "");
    let expected = expected + "\n# From the environment:\nlog.dirs=/x\n";
    prints(&[("KAFKA_LOG_DIR", "/x")], &[], &expected);
}

#[test]
fn two_numbers_of_one_node_are_a_mistake() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/numbers.properties");
    fs::write(file, "node.id=1\nbroker.id=2\n").unwrap();
    let output = ottla_with(&[], &["config", "--config", file]);
    let told = format!("ottla: {file}: node.id=1 and broker.id=2: one number is needed\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), told);
    assert_eq!(output.status.code(), Some(1));
    fs::write(file, "node.id=2\nbroker.id = 2\n").unwrap();
    assert!(ottla_with(&[], &["config", "--config", file]).status.success());
}

/// The page is the configuration that it was printed from: a default that somebody says is none
/// any more, and asks for three replicas, for example.
#[test]
fn all_that_is_printed_can_be_read_again() {
    let output = ottla_with(&[("KAFKA_LOG_DIRS", "a\tb\nc")], &["config", "--all"]);
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/all.properties");
    fs::write(file, &output.stdout).unwrap();
    let again = ottla_with(&[], &["config", "--config", file, "--all"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(String::from_utf8(again.stderr).unwrap(), "");
    let lines = |page: Vec<u8>| {
        let page = String::from_utf8(page).unwrap();
        let said = page.lines().filter(|line| !line.is_empty() && !line.starts_with("# From"));
        let mut lines: Vec<String> = said.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(output.stdout), lines(again.stdout));
}
