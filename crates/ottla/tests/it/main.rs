//! The binary from outside. Here: what somebody sees who starts a node wrongly, which is one
//! sentence for each mistake, on stderr, with its cause and its cure.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod conduct;
mod config;
mod dev;
mod docs;
mod examples;
mod help;
mod kcat;
mod log;
mod node;
mod observed;
mod operate;
mod records;
mod start;
mod topic;

use std::fs;
use std::process::{Command, Output};

fn ottla(arguments: &[&str]) -> Output {
    ottla_with(&[], arguments)
}

fn ottla_with(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/mistakes");
    fs::create_dir_all(folder).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    // Whoever runs the tests may have variables of Kafka's, and they would be properties.
    let foreign = std::env::vars_os().map(|(name, _)| name);
    for name in foreign.filter(|name| name.to_string_lossy().starts_with("KAFKA_")) {
        command.env_remove(name);
    }
    command.env_remove("CLUSTER_ID");
    let command = command.args(arguments).envs(environment.iter().copied());
    command.current_dir(folder).output().unwrap()
}

/// `overrides` are refused with `told`, a line each, before anything is made.
fn refused(overrides: &[&str], told: &[&str]) {
    let pairs = overrides.iter().flat_map(|pair| ["--override", *pair]);
    let arguments: Vec<&str> = ["server"].into_iter().chain(pairs).collect();
    let output = ottla(&arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().collect::<Vec<_>>(), told, "{overrides:?}");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
}

#[test]
fn every_mistake_has_its_line() {
    refused(
        &["num.partitions"],
        &["ottla: --override takes NAME=VALUE, and `num.partitions` is not: write, for example, \
           num.partitions=3"],
    );
    refused(
        &["node.id=x", "num.partitions=0", "ottla.durability=yes", "log.dirs=a,b"],
        &[
            "ottla: node.id=x: Not a number of type INT",
            "ottla: log.dirs=a,b: only one folder is supported yet",
            "ottla: ottla.durability=yes: String must be one of: fsync, page-cache",
            "ottla: num.partitions=0: Value must be at least 1",
        ],
    );
    refused(
        &["listeners=PLAINTEXT://0.0.0.0:9092"],
        &["ottla: advertised.listeners=PLAINTEXT://0.0.0.0:9092: no client can connect to this \
           address: advertise one that they can reach, as in PLAINTEXT://my-host:9092"],
    );
}

#[test]
fn a_data_folder_that_is_a_file_is_named() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/a-file");
    fs::write(file, "").unwrap();
    let told = format!(
        "ottla: cannot use the data folder {file}: {file}: File exists (os error 17); a file \
         stands in its way: choose a folder with --override log.dirs=FOLDER"
    );
    refused(&[&format!("log.dirs={file}")], &[&told]);
}

#[test]
fn a_line_of_the_file_that_makes_no_sense_is_named() {
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/broken.properties");
    fs::write(file, "num.partitions=3\nnonsense\n").unwrap();
    let output = ottla(&["server", "--config", file]);
    let told = format!("ottla: cannot read {file}: line 2: `nonsense` is not name=value\n");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), told);
    assert_eq!(output.status.code(), Some(1));
}
