//! `vectors`: what tests compare us with, made anew from Apache Kafka and from real clients.

mod record;
mod recorder;

use crate::options::Options;
use crate::{Outcome, command};
use std::fs;
use std::path::{Path, PathBuf};

const USAGE: &str = "\
cargo xtask vectors COMMAND

  encode --kafka SCRIPT [--next JAR]
        golden vectors from Apache Kafka's own message classes; with the jar of newer clients,
        also of versions that only they know
  ask --kafka SCRIPT --broker HOST:PORT [--update] [SCRIPT.probe...]
        puts the questions of testkit/probes to a broker and shows where it answers otherwise;
        --update writes its answers into the scripts
  record --listen HOST:PORT --to HOST:PORT --client NAME -- PROGRAM ARGUMENT...
        runs a client against a proxy and keeps what it said and was told

SCRIPT prints a class path of Apache Kafka when called with `classpath`; OTTLA_PEER_KAFKA names it
as well.";

/// Versions that the release of the peer script does not know yet.
const NEWER: [&str; 5] = [
    "4.4.0",
    "ApiVersionsRequest@5",
    "ApiVersionsResponse@5",
    "DeleteGroupsRequest@3",
    "DeleteGroupsResponse@3",
];

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let Some((name, rest)) = arguments.split_first() else { return Err(USAGE.into()) };
    match name.as_str() {
        "encode" => encode(&Options::parse(rest, &["--kafka", "--next"], USAGE)?),
        "ask" => ask(&Options::parse(rest, &["--kafka", "--broker", "--update"], USAGE)?),
        "record" => record::run(&Options::parse(rest, &["--listen", "--to", "--client"], USAGE)?),
        other => Err(format!("there is no command `vectors {other}`\n\n{USAGE}")),
    }
}

fn testkit() -> PathBuf {
    command::root().join("crates/testkit")
}

/// The class path that the peer script prints.
fn class_path(options: &Options) -> Result<String, String> {
    let script = match options.value("--kafka") {
        Some(script) => script.to_owned(),
        None => std::env::var("OTTLA_PEER_KAFKA")
            .map_err(|_| format!("--kafka or OTTLA_PEER_KAFKA is needed\n\n{USAGE}"))?,
    };
    let path = command::output(command::program(script).arg("classpath"))?;
    Ok(path.trim().to_owned())
}

fn encode(options: &Options) -> Outcome {
    let path = class_path(options)?;
    let vectors = testkit().join("vectors");
    let java = |path: &str, program: &str, more: &[&str]| {
        let mut java = command::program("java");
        java.args(["-cp", path]).arg(vectors.join(program)).arg(&vectors).args(more);
        command::run(&mut java)
    };
    java(&path, "Encode.java", &[])?;
    java(&path, "Batches.java", &[])?;
    match options.value("--next") {
        Some(jar) => {
            let [release, messages @ ..] = NEWER;
            let more = [&["--append", release][..], &messages].concat();
            java(&format!("{jar}:{path}"), "Encode.java", &more)
        }
        None => {
            println!("without --next: {} are left out", NEWER[1..].join(" "));
            Ok(())
        }
    }
}

fn ask(options: &Options) -> Outcome {
    let path = class_path(options)?;
    let broker = options.required("--broker")?;
    let probes = testkit().join("probes");
    let named: Vec<PathBuf> = options.rest().iter().map(PathBuf::from).collect();
    let scripts = if named.is_empty() { all_scripts(&probes)? } else { named };
    let mut different = 0;
    for script in &scripts {
        let mut java = command::program("java");
        java.args(["-cp", &path]).arg(probes.join("Probe.java")).arg(broker).arg(script);
        let given = command::output(&mut java)?;
        if options.is_set("--update") {
            fs::write(script, given).map_err(|error| format!("{}: {error}", script.display()))?;
        } else {
            let expected = fs::read_to_string(script)
                .map_err(|error| format!("{}: {error}", script.display()))?;
            different += show_differences(&expected, &given);
        }
    }
    if different == 0 { Ok(()) } else { Err(format!("{different} answers differ")) }
}

/// In the order of their names, which says what a fresh broker is asked first.
fn all_scripts(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let listed = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut scripts: Vec<PathBuf> = listed
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "probe"))
        .collect();
    scripts.sort();
    Ok(scripts)
}

/// Prints each question that was answered otherwise, with both answers; returns how many.
fn show_differences(expected: &str, given: &str) -> usize {
    let (mut case, mut question, mut different) = ("", "", 0);
    // Both are the same script: only the lines of answers can differ.
    for (expected, given) in expected.lines().zip(given.lines()) {
        if expected.starts_with("==") {
            case = expected;
        } else if !expected.starts_with('<') {
            question = expected;
        } else if expected != given {
            different += 1;
            println!(
                "{case}\n{question}\n- {}\n+ {}",
                &expected[2..],
                given.get(2..).unwrap_or("")
            );
        }
    }
    different
}
