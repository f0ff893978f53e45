//! `differential`: the same requests, sound and spoilt, to Apache Kafka and to a node of ours, and
//! every answer that is another one.

mod batch;
mod catalog;
mod compare;
mod decode;
mod encode;
mod normal;
mod peer;
mod random;
mod record;
mod script;
mod shapes;
mod value;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use crate::node::{Launch, Node};
use crate::options::Options;
use crate::{Outcome, bench, command, node};
use catalog::Catalog;
use compare::{Difference, Rule};
use peer::{Peer, Row};
use script::Case;

const USAGE: &str = "\
cargo xtask differential [--peer | --record] [--seeds A..B] [--only PREFIX]
                         [--ottla-at HOST:PORT] [--kafka-at HOST:PORT]

  Puts the same requests to Apache Kafka and to a node of ours, and fails where the answers differ
  without a reason in docs/differences.md. Without --peer, Apache Kafka's answers are those that
  --record wrote down the last time. With --peer or --record, KAFKA_HOME is the folder of an
  Apache Kafka release, or KAFKA_PEER a program that prints a class path.
  --peer      asks both, the cases, the spoilt requests and those of the seeds (0..4)
  --record    asks both, and writes Apache Kafka's answers to tests/differential/kafka.expected
  --only      only cases whose names begin so
  --...-at    nodes that run already, on fresh directories; see tests/differential/README.md";

/// Seeds whose requests are part of the record.
const RECORDED: Range<u64> = 0..1;
/// Seeds of the full form.
const FULL: Range<u64> = 0..4;

/// Settings that both are started with, beside those of any node.
const PROPERTIES: [&str; 6] = [
    "auto.create.topics.enable=false",
    "group.initial.rebalance.delay.ms=0",
    "offsets.topic.num.partitions=3",
    "offsets.topic.replication.factor=1",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.num.partitions=1",
];

/// What is asked, and of whom.
struct Plan {
    catalog: Catalog,
    cases: Vec<Case>,
    samples: Vec<Case>,
    seeds: Range<u64>,
    only: String,
}

pub(crate) fn run(arguments: &[String]) -> Outcome {
    let known = ["--peer", "--record", "--seeds", "--only", "--ottla-at", "--kafka-at"];
    let options = Options::parse(arguments, &known, USAGE)?;
    let record = options.is_set("--record");
    let with_kafka = record || options.is_set("--peer") || options.is_set("--kafka-at");
    let plan = Plan::read(&options, with_kafka && !record)?;
    let kafka = if with_kafka { plan.of_kafka(options.value("--kafka-at"))? } else { recorded()? };
    if record {
        if !plan.only.is_empty() {
            return Err("a record is of everything: --record without --only".to_owned());
        }
        write_record(&kafka)?;
    }
    let ottla = plan.of_ottla(options.value("--ottla-at"))?;
    let kafka: Vec<Row> = kafka.into_iter().filter(|row| plan.wants(&row.case)).collect();
    println!("{} questions", ottla.len());
    plan.judge(&compare::differences(&kafka, &ottla)?)
}

fn folder() -> PathBuf {
    command::root().join("tests/differential")
}

fn read(name: &str) -> Result<String, String> {
    let path = folder().join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

const RECORD: &str = "kafka.expected";

fn recorded() -> Result<Vec<Row>, String> {
    record::read(&read(RECORD)?).map_err(|why| format!("{RECORD}: {why}"))
}

fn write_record(rows: &[Row]) -> Outcome {
    let path = folder().join(RECORD);
    fs::write(&path, record::write(rows)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Files of cases, in the order in which they are asked: the first prepares what others use.
const FILES: [&str; 8] =
    ["setup", "frames", "topics", "produce", "fetch", "offsets", "groups", "admin"];

/// Sound requests that are spoilt, one a version and API.
const SAMPLES: &str = "samples";

impl Plan {
    fn read(options: &Options, full: bool) -> Result<Self, String> {
        let catalog = Catalog::read()?;
        let mut cases = Vec::new();
        for file in FILES {
            cases.extend(script::parse(file, &read(&format!("{file}.cases"))?, &catalog)?);
        }
        let samples = script::parse(SAMPLES, &read(&format!("{SAMPLES}.cases"))?, &catalog)?;
        let seeds = match options.value("--seeds") {
            Some(text) => range(text)?,
            None if full => FULL,
            None => RECORDED,
        };
        let only = options.value("--only").unwrap_or_default().to_owned();
        Ok(Self { catalog, cases, samples, seeds, only })
    }

    fn wants(&self, case: &str) -> bool {
        case.starts_with(&self.only) || case.starts_with(FILES[0])
    }

    /// Asks Apache Kafka, started for it unless it runs.
    fn of_kafka(&self, running: Option<&str>) -> Result<Vec<Row>, String> {
        if let Some(address) = running {
            return self.ask(parse_address(address)?);
        }
        let properties = PROPERTIES.map(str::to_owned);
        let jvm = ["-Xmx512m".to_owned()];
        let launch = Launch::kafka(&bench::kafka_classpath()?, &jvm, &properties)?;
        let node = Node::start(launch, &[])?;
        self.ask(node.launch.address)
    }

    /// Asks a node of ours, built and started for it unless it runs.
    fn of_ottla(&self, running: Option<&str>) -> Result<Vec<Row>, String> {
        if let Some(address) = running {
            return self.ask(parse_address(address)?);
        }
        // What is synced later is shown later: answers would depend on the disk.
        let properties = [&PROPERTIES[..], &["ottla.durability=page-cache"]].concat();
        let launch = Launch::ottla(&properties)?.with_binary(node::build_debug("ottla")?);
        let node = Node::start(launch, &[])?;
        let rows = self.ask(node.launch.address)?;
        node.stop()?;
        Ok(rows)
    }

    fn ask(&self, address: SocketAddr) -> Result<Vec<Row>, String> {
        let mut peer = Peer::new(address, &self.catalog);
        let mut rows = Vec::new();
        for case in self.cases.iter().filter(|case| self.wants(&case.name)) {
            rows.extend(peer.case(case)?);
        }
        if self.wants("shapes/") {
            rows.extend(shapes::ask(&mut peer, &self.samples, &self.catalog)?);
        }
        for seed in self.seeds.clone().filter(|_| self.wants("seed ")) {
            rows.extend(random::ask(&mut peer, seed, &self.catalog)?);
        }
        Ok(rows)
    }

    /// Shows what has no reason, and reasons of nothing.
    fn judge(&self, differences: &[Difference]) -> Outcome {
        let rules = Rule::read(&read("explained")?)?;
        let mut used = BTreeSet::new();
        let mut unexplained = 0;
        for difference in differences {
            match rules.iter().find(|rule| rule.explains(difference)) {
                Some(rule) => {
                    used.insert(rule.name.clone());
                }
                None => {
                    unexplained += 1;
                    println!("{difference}");
                }
            }
        }
        println!("{} differences, {unexplained} of them unexplained", differences.len());
        if unexplained > 0 {
            return Err("answers differ without a reason".to_owned());
        }
        if self.only.is_empty() { told(&rules, &used) } else { Ok(()) }
    }
}

/// Every reason is needed, and told to those who read the manual.
fn told(rules: &[Rule], used: &BTreeSet<String>) -> Outcome {
    let page = command::root().join("docs/differences.md");
    let page = fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
    let told = compare::told(&page, "## Protocol");
    let names: BTreeSet<String> = rules.iter().map(|rule| rule.name.clone()).collect();
    if let Some(name) = names.difference(&told).next() {
        return Err(format!("docs/differences.md does not tell of `{name}`"));
    }
    if let Some(name) = told.difference(&names).next() {
        return Err(format!("docs/differences.md tells of `{name}`, which explains nothing"));
    }
    // Which differences the seeds come upon is a matter of how many there are.
    let sure = rules.iter().filter(|rule| !rule.is_of_seeds());
    let stale: BTreeSet<&str> =
        sure.map(|rule| rule.name.as_str()).filter(|name| !used.contains(*name)).collect();
    match stale.is_empty() {
        true => Ok(()),
        false => Err(format!("nothing is explained any more by {stale:?}")),
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text} is not ADDRESS:PORT"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.ok_or_else(|| format!("{text} is not A..B"))
}
