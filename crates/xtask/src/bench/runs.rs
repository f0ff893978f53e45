//! The runs of a case: nodes, order, quiet, and one sample of each system a round.

use std::process::Command;
use std::time::{Duration, Instant};

use super::Settings;
use super::cases::{Case, Kind, Placement, Row};
use super::sample::Sample;
use super::statistics::Random;
use super::systems::{Kafka, System};
use crate::node::{Launch, Node, target, terminate};
use crate::{Outcome, command};

/// What a system puts off until after its start is done by then.
const SETTLE: Duration = Duration::from_secs(2);
/// The files of a deleted topic are gone by then: half a second after the topic.
const DELETED: Duration = Duration::from_millis(1200);
/// Others at work delay a run so long at most.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(3);
const QUIET_SAMPLE: Duration = Duration::from_millis(200);
/// Processors that others may keep busy: above it, wall time says nothing.
pub(crate) const QUIET_CPUS: f64 = 0.30;
/// Partitions whose last records a restart has to give.
const FETCHES: &str = "20";

/// One sample a system, in the order of the case's systems.
pub(crate) type Round = Vec<Sample>;

/// All that count of one row.
#[derive(Debug)]
pub(crate) struct Rounds {
    pub(crate) rounds: Vec<Round>,
    pub(crate) took: Duration,
}

/// Runs all rows of a case, and gives each to `done` at once: what was measured must not be lost
/// with what follows it.
///
/// # Errors
/// When a system does not start or a run fails.
pub(crate) fn run(
    case: &Case,
    settings: &Settings,
    kafka: &Kafka,
    mut done: impl FnMut(&Row, &Rounds) -> Outcome,
) -> Outcome {
    let launch = |system: &System| system.launch(kafka, case.properties, case.for_kafka);
    let before: &[&str] = match case.placement {
        Placement::Pinned => &["taskset", "-c", "1"],
        Placement::Free => &[],
    };
    let nodes = match case.kind {
        Kind::Load => {
            let start = |system| Node::start(launch(system)?, before);
            case.systems.iter().map(start).collect::<Result<Vec<Node>, String>>()?
        }
        Kind::Fresh { .. } | Kind::Start | Kind::Restart => Vec::new(),
    };
    let mut random = Random(settings.seed);
    for (number, row) in case.rows.iter().enumerate() {
        let started = Instant::now();
        let warm_ups = row.warm_ups(case.kind, number == 0, settings.warm_ups);
        let mut rounds = Vec::new();
        for round in 0..warm_ups + row.pairs(settings.pairs, settings.form) {
            let once = |at: usize| {
                wait_for_quiet();
                match case.kind {
                    Kind::Load => loaded(case, row, settings, &nodes[at]),
                    Kind::Fresh { .. } => fresh(
                        case,
                        row,
                        settings,
                        &Node::start(launch(&case.systems[at])?, before)?,
                    ),
                    Kind::Start => started_once(row, settings, &launch(&case.systems[at])?),
                    Kind::Restart => restarted(row, settings, launch(&case.systems[at])?),
                }
            };
            let samples = in_random_order(case.systems.len(), &mut random, once)?;
            let counts = round >= warm_ups;
            eprintln!(
                "{}, {}: round {}{}",
                case.name,
                row.name,
                round + 1,
                if counts { "" } else { " (warm-up)" }
            );
            if counts {
                rounds.push(samples);
            }
            if row.arguments(settings.form).contains(&"--delete") {
                std::thread::sleep(DELETED);
            }
        }
        done(row, &Rounds { rounds, took: started.elapsed() })?;
    }
    // Killed, for some are slow to stop with all that was made; others' starts and stops are tested
    // elsewhere.
    drop(nodes);
    Ok(())
}

/// Halves of a pair run next to each other, either first; pairs in either order too.
fn in_random_order<T>(
    count: usize,
    random: &mut Random,
    mut once: impl FnMut(usize) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut order: Vec<Vec<usize>> =
        (0..count).collect::<Vec<_>>().chunks(2).map(<[usize]>::to_vec).collect();
    for pair in &mut order {
        if random.below(2) == 1 {
            pair.reverse();
        }
    }
    if random.below(2) == 1 {
        order.reverse();
    }
    let order: Vec<usize> = order.into_iter().flatten().collect();
    let mut results: Vec<(usize, T)> = Vec::new();
    for at in order {
        results.push((at, once(at)?));
    }
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// The generator, on its processor.
pub(crate) fn generator(placement: Placement) -> Command {
    let binary = target().join("release/ottla-bench");
    match placement {
        Placement::Free => command::program(binary),
        Placement::Pinned => {
            let mut generator = command::program("taskset");
            generator.args(["-c", "0"]).arg(binary);
            generator
        }
    }
}

fn told(generator: &mut Command, node: &Node, row: &Row) {
    generator.arg(row.command).args(["--address", &node.launch.address.to_string()]);
    generator.args(["--pid", &node.pid().to_string()]);
}

fn loaded(case: &Case, row: &Row, settings: &Settings, node: &Node) -> Result<Sample, String> {
    // What the last run left dirty would be written during this one.
    command::run(&mut command::program("sync"))?;
    let mut generator = generator(case.placement);
    told(&mut generator, node, row);
    generator.args(row.arguments(settings.form));
    command::output(&mut generator).map(|text| Sample::parse(&text))
}

/// Two backlogs, or ten thousand topics twice, would fill what the next one needs.
fn fresh(case: &Case, row: &Row, settings: &Settings, node: &Node) -> Result<Sample, String> {
    let Kind::Fresh { warm_up, needs_data } = case.kind else {
        unreachable!("others are run elsewhere")
    };
    command::run(&mut command::program("sync"))?;
    if !warm_up.is_empty() {
        let mut generator = generator(case.placement);
        told(&mut generator, node, row);
        // What the row says of the protocol holds for its warm-up too.
        let protocol = words(row.full).collect::<Vec<_>>();
        let protocol =
            protocol.iter().position(|word| *word == "--protocol").map(|at| &protocol[at..at + 2]);
        generator.args(protocol.unwrap_or_default()).args(words(warm_up));
        command::output(&mut generator)?;
    }
    let mut generator = generator(case.placement);
    told(&mut generator, node, row);
    if needs_data {
        generator.arg("--data").arg(node.launch.data());
    }
    generator.args(row.arguments(settings.form));
    let mut sample = Sample::parse(&command::output(&mut generator)?);
    if let (Some(disk), Some(all)) =
        (sample.get("catch_up.disk_bytes"), sample.get("catch_up.bytes"))
    {
        sample.set("catch_up.disk_share", disk / all);
    }
    Ok(sample)
}

/// Starts a system on an empty folder and then leaves it alone.
fn started_once(row: &Row, settings: &Settings, launch: &Launch) -> Result<Sample, String> {
    let mut starter = generator(Placement::Free);
    starter.args(["start", "--address", &launch.address.to_string(), "--"]).args(&launch.line);
    let mut sample = Sample::parse(&command::output(&mut starter)?);
    let pid = pid_of(&sample)?;
    std::thread::sleep(SETTLE);
    let mut idle = generator(Placement::Free);
    idle.args([row.command, "--pid", &pid.to_string()]).args(row.arguments(settings.form));
    sample.extend(Sample::parse(&command::output(&mut idle)?));
    end(pid, "-TERM")?;
    Ok(sample)
}

/// Fills a node, kills it while more is being written, and times its next start.
fn restarted(row: &Row, settings: &Settings, launch: Launch) -> Result<Sample, String> {
    const TOPIC: &str = "full";
    let node = Node::start(launch, &[])?;
    let fill = || {
        let mut fill = generator(Placement::Free);
        told(&mut fill, &node, row);
        fill.args(["--topic", TOPIC]).args(row.arguments(settings.form));
        fill
    };
    command::output(&mut fill())?;
    let ends = node.launch.data().with_file_name("ends");
    let address = node.launch.address.to_string();
    let mut ask = generator(Placement::Free);
    ask.args(["ends", "--address", &address, "--topic", TOPIC, "--to"]).arg(&ends);
    command::output(&mut ask)?;
    let mut writer = fill();
    writer.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut writer = writer.spawn().map_err(|error| format!("more to write: {error}"))?;
    std::thread::sleep(Duration::from_secs(1));
    let launch = node.kill();
    // The broker that it wrote to is gone, and so it goes by itself, with an error.
    let _status = writer.wait();
    let mut starter = generator(Placement::Free);
    starter.args(["restart", "--address", &address, "--topic", TOPIC, "--ends"]).arg(&ends);
    starter.args(["--fetches", FETCHES, "--"]).args(&launch.line);
    let sample = Sample::parse(&command::output(&mut starter)?);
    end(pid_of(&sample)?, "-KILL")?;
    Ok(sample)
}

fn pid_of(sample: &Sample) -> Result<u32, String> {
    let pid = sample.get("start.pid").ok_or("the starter names no process")?;
    format!("{pid:.0}").parse().map_err(|_| format!("{pid} is no process"))
}

/// Ends a process that somebody else's child was, and waits until it is gone.
fn end(pid: u32, signal: &str) -> Outcome {
    match signal {
        "-TERM" => terminate(pid)?,
        signal => command::run(Command::new("kill").args([signal, &pid.to_string()]))?,
    }
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// Waits for a moment in which others leave most of the machine alone, but not for ever.
fn wait_for_quiet() {
    let deadline = Instant::now() + QUIET_WAIT_MAX;
    while busy_cpus(QUIET_SAMPLE) > QUIET_CPUS && Instant::now() < deadline {}
}

/// Processors that were busy with anything for a while.
fn busy_cpus(sample: Duration) -> f64 {
    let busy = || {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
        // user, nice, system, irq, softirq and steal, in hundredths of a second.
        [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / 100.0
    };
    let before = busy();
    std::thread::sleep(sample);
    (busy() - before) / sample.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_places_whatever_the_order() {
        let mut random = Random(1);
        let mut orders = std::collections::BTreeSet::new();
        for _ in 0..50 {
            let mut order = Vec::new();
            let results = in_random_order(3, &mut random, |at| {
                order.push(at);
                Ok(at)
            });
            assert_eq!(results, Ok(vec![0, 1, 2]));
            orders.insert(order);
        }
        let expected = [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0]].map(|order| order.to_vec());
        assert_eq!(orders, expected.into_iter().collect());
    }
}
