//! `bench`: Ottla beside Apache Kafka, in pairs, on the same machine in the same minutes.
//!
//! A figure alone says nothing on a machine that others use: what counts is the ratio within a
//! pair, whose halves run seconds apart. The primary figure is the broker's CPU time, read from
//! outside; wall time is printed and means little where the machine is busy.

mod cases;
mod network;
mod report;

use std::process::Command;

use cases::{CASES, Case, Kind};
use report::{Report, Sample};

use crate::node::{Launch, Node, build, target, terminate};
use crate::{Outcome, command};

/// The systems in the order in which a round asks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Ours with Kafka's bargain, the other half of each pair.
    PageCache,
    Kafka,
    /// Ours as it is by default: an extra row.
    Fsync,
}

impl System {
    pub(crate) const ALL: [Self; 3] = [Self::PageCache, Self::Kafka, Self::Fsync];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PageCache => "Ottla, page-cache",
            Self::Kafka => "Apache Kafka, page cache",
            Self::Fsync => "Ottla, fsync",
        }
    }

    fn launch(self, classpath: &str) -> Result<Launch, String> {
        match self {
            Self::PageCache => Launch::ottla(&["ottla.durability=page-cache"]),
            Self::Fsync => Launch::ottla(&["ottla.durability=fsync"]),
            Self::Kafka => Launch::kafka(classpath),
        }
    }
}

/// How the runs are made.
#[derive(Debug)]
pub(crate) struct Settings {
    pairs: usize,
    /// Runs of each system before the first that counts: a JVM is slow until it is warm.
    warm_ups: usize,
    /// The broker on processor 1, the generator on processor 0; else both wherever they like.
    pinned: bool,
    systems: Vec<System>,
    cases: Vec<&'static Case>,
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let systems = System::ALL.to_vec();
        let mut settings = Self { pairs: 7, warm_ups: 2, pinned: true, systems, cases: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--pairs" => settings.pairs = number(rest.next())?,
                "--warm-ups" => settings.warm_ups = number(rest.next())?,
                "--free" => settings.pinned = false,
                "--kafka-only" => settings.systems = vec![System::Kafka],
                name => {
                    let case = CASES.iter().find(|case| case.name == name);
                    let names = || CASES.map(|case| case.name).join(", ");
                    settings.cases.push(case.ok_or_else(|| {
                        format!("there is no case `{name}`; there are {}", names())
                    })?);
                }
            }
        }
        if settings.cases.is_empty() {
            let light = |case: &&Case| !matches!(case.kind, Kind::CatchUp(_));
            settings.cases = CASES.iter().filter(light).collect();
        }
        Ok(settings)
    }

    /// What goes before a broker's command line.
    fn broker_placement(&self) -> &'static [&'static str] {
        if self.pinned { &["taskset", "-c", "1"] } else { &[] }
    }

    fn generator(&self) -> Command {
        let binary = target().join("release/ottla-bench");
        if !self.pinned {
            return command::program(binary);
        }
        let mut generator = command::program("taskset");
        generator.args(["-c", "0"]).arg(binary);
        generator
    }

    /// In words, for the report.
    pub(crate) fn describe(&self) -> String {
        let placement = match self.pinned {
            true => "broker on CPU 1, generator on CPU 0",
            false => "broker and generator on any CPU",
        };
        format!("{} pairs after {} warm-ups, {placement}", self.pairs, self.warm_ups)
    }
}

fn number(text: Option<&String>) -> Result<usize, String> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| "a number is needed".to_owned())
}

/// Runs the cases and appends what came out to `bench/RESULTS.md`.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let settings = Settings::parse(arguments)?;
    let classpath = kafka_classpath()?;
    if !network::is_own() {
        if settings.systems.contains(&System::PageCache) {
            build(&["ottla"])?;
        }
        build(&["ottla-bench"])?;
        if let Some(outcome) = network::enter(arguments) {
            return outcome;
        }
    }
    let mut report = Report::new(&settings, arguments)?;
    for case in &settings.cases {
        let rounds = match case.kind {
            Kind::Produce(_) => produce(case, &settings, &classpath)?,
            Kind::Start => starts(&settings, &classpath)?,
            Kind::CatchUp(options) => catch_ups(options, &settings, &classpath)?,
        };
        report.add(case, &settings.systems, &rounds);
        // After each case: an hour of measuring must not be lost with its last minute.
        println!("{}", report.text());
        report.append()?;
    }
    Ok(())
}

/// One sample of each system a round. All systems run throughout, so that each is as warm as it
/// gets; those that are not asked are idle.
fn produce(case: &Case, settings: &Settings, classpath: &str) -> Result<Vec<Vec<Sample>>, String> {
    let start =
        |system: &System| Node::start(system.launch(classpath)?, settings.broker_placement());
    let nodes = settings.systems.iter().map(start).collect::<Result<Vec<Node>, String>>()?;
    let mut rounds = Vec::new();
    for round in 0..settings.warm_ups + settings.pairs {
        let samples = nodes.iter().map(|node| produce_once(case, settings, node));
        let samples = samples.collect::<Result<Vec<Sample>, String>>()?;
        let counts = round >= settings.warm_ups;
        eprintln!("{}: round {}{}", case.name, round + 1, if counts { "" } else { " (warm-up)" });
        if counts {
            rounds.push(samples);
        }
    }
    nodes.into_iter().try_for_each(Node::stop)?;
    Ok(rounds)
}

fn produce_once(case: &Case, settings: &Settings, node: &Node) -> Result<Sample, String> {
    let Kind::Produce(options) = case.kind else { unreachable!("others are measured elsewhere") };
    // What the last run left dirty would be written during this one.
    command::run(&mut command::program("sync"))?;
    let mut generator = settings.generator();
    generator.arg("produce").args(["--address", &node.launch.address.to_string()]);
    generator.args(["--pid", &node.pid().to_string()]).args(options.split(' '));
    Ok(Sample::parse(&command::output(&mut generator)?))
}

/// Starts each system on an empty folder, formatted before where it must be.
fn starts(settings: &Settings, classpath: &str) -> Result<Vec<Vec<Sample>>, String> {
    let round = |_| {
        let once = |system: &System| start_once(&system.launch(classpath)?);
        settings.systems.iter().map(once).collect::<Result<Vec<Sample>, String>>()
    };
    (0..settings.pairs).map(round).collect()
}

/// Free on all processors: a start is waited for, not paid for.
fn start_once(launch: &Launch) -> Result<Sample, String> {
    let mut starter = command::program(target().join("release/ottla-bench"));
    starter.args(["start", "--address", &launch.address.to_string(), "--"]);
    starter.args(&launch.line);
    let mut sample = Sample::parse(&command::output(&mut starter)?);
    let pid = sample.get("start.pid").ok_or("the starter names no process")?;
    let pid = format!("{pid:.0}").parse().map_err(|_| format!("{pid} is no process"))?;
    // Long enough for what a system puts off until after its start.
    std::thread::sleep(std::time::Duration::from_secs(2));
    sample.set("idle.rss_kib", resident_kib(pid));
    terminate(pid)?;
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(sample)
}

/// Each system by itself on a fresh folder, which is gone before the next begins: two backlogs
/// would fill the memory, and perhaps the disk.
fn catch_ups(
    options: &str,
    settings: &Settings,
    classpath: &str,
) -> Result<Vec<Vec<Sample>>, String> {
    let round = |_| {
        let once = |system: &System| catch_up_once(options, settings, system.launch(classpath)?);
        settings.systems.iter().map(once).collect::<Result<Vec<Sample>, String>>()
    };
    (0..settings.pairs).map(round).collect()
}

fn catch_up_once(options: &str, settings: &Settings, launch: Launch) -> Result<Sample, String> {
    command::run(&mut command::program("sync"))?;
    let node = Node::start(launch, settings.broker_placement())?;
    let mut generator = settings.generator();
    generator.arg("catch-up").args(["--address", &node.launch.address.to_string()]);
    generator.args(["--pid", &node.pid().to_string(), "--data"]).arg(node.launch.data());
    let mut sample = Sample::parse(&command::output(generator.args(options.split(' ')))?);
    let of = |name| sample.get(name).unwrap_or(f64::NAN);
    let share = of("catch_up.disk_bytes") / of("catch_up.bytes");
    sample.set("catch_up.disk_share", share);
    node.stop()?;
    Ok(sample)
}

fn resident_kib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(f64::NAN)
}

/// Where Apache Kafka's classes are.
fn kafka_classpath() -> Result<String, String> {
    if let Some(peer) = std::env::var_os("KAFKA_PEER") {
        let classpath = command::output(command::program(peer).arg("classpath"))?;
        return Ok(classpath.trim().to_owned());
    }
    match std::env::var("KAFKA_HOME") {
        Ok(home) => Ok(format!("{home}/libs/*")),
        Err(_) => Err("set KAFKA_HOME, the folder of an Apache Kafka release, or KAFKA_PEER, \
                       a program that prints a class path (`$KAFKA_PEER classpath`)"
            .to_owned()),
    }
}
