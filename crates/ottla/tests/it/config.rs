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
fn all_that_is_printed_can_be_read_again() {
    let output = ottla_with(&[], &["config", "--all"]);
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/all.properties");
    fs::write(file, &output.stdout).unwrap();
    let again = ottla_with(&[], &["config", "--config", file, "--all"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(String::from_utf8(again.stderr).unwrap(), "");
}
