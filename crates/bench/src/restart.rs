//! How long a system takes from its start on a full folder to the first answers that are right.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use ottla_types::Offset;

use crate::connection::Connection;
use crate::frames::{self, lookup};
use crate::start::{Started, first_answer};

const USAGE: &str = "ends --address HOST:PORT --topic NAME --to FILE
restart --address HOST:PORT --topic NAME --ends FILE --fetches N -- COMMAND...";

/// The partitions of a topic and their ends, in a file from before the start.
type Ends = BTreeMap<i32, i64>;

/// Writes the ends of a topic's partitions to a file, one `partition end` a line.
///
/// # Errors
/// When a partition does not say its end.
pub(crate) fn write_ends(arguments: &[String]) -> Result<(), String> {
    let [a, address, b, topic, c, path] = arguments else { return Err(USAGE.to_owned()) };
    if [a.as_str(), b, c] != ["--address", "--topic", "--to"] {
        return Err(USAGE.to_owned());
    }
    let mut connection = Connection::open(parsed(address)?).map_err(|error| error.to_string())?;
    let partitions = lookup::led(&ask(&mut connection, &lookup::metadata(topic))?)?;
    let partitions = 0..i32::try_from(partitions).expect("a topic has fewer");
    let ends = lookup::ends(&ask(&mut connection, &lookup::latest(topic, partitions))?)?;
    let mut text = String::new();
    for (partition, end) in &ends {
        let _ = writeln!(text, "{partition} {end}");
    }
    std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))
}

/// Starts a command; prints when it answered at all, when every partition had a leader, when a
/// sample of them gave its last record, and when every partition told its end.
///
/// # Errors
/// When it does not answer in time, or not what was there before.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [a, address, b, topic, c, path, d, fetches, dashes, line @ ..] = arguments else {
        return Err(USAGE.to_owned());
    };
    if [a.as_str(), b, c, d, dashes] != ["--address", "--topic", "--ends", "--fetches", "--"] {
        return Err(USAGE.to_owned());
    }
    let fetches = fetches.parse().map_err(|_| format!("`{fetches}` is no number"))?;
    let ends = read_ends(path)?;
    let sample = sample(&ends, fetches);
    let started = Started::new(parsed(address)?, line)?;
    started.until("restart.first_answer_ms", first_answer)?;
    started.until("restart.leaders_ms", |connection| {
        let led = lookup::led(&ask(connection, &lookup::metadata(topic))?)?;
        if led == ends.len() { Ok(()) } else { Err(format!("{led} partitions are led")) }
    })?;
    started.until("restart.last_records_ms", |connection| {
        reach(connection, topic, &sample)?;
        sample.iter().try_for_each(|(partition, end)| last(connection, topic, *partition, *end))
    })?;
    started.until("restart.every_end_ms", |connection| reach(connection, topic, &ends))?;
    started.print_cpu("restart.broker_cpu_s")
}

fn parsed(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| format!("`{address}` is no address"))
}

fn ask(connection: &mut Connection, frame: &[u8]) -> Result<Vec<u8>, String> {
    connection.ask(frame).map_err(|error| error.to_string())
}

fn read_ends(path: &str) -> Result<Ends, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = |line: &str| {
        let (partition, end) = line.split_once(' ')?;
        Some((partition.parse().ok()?, end.parse().ok()?))
    };
    text.lines().map(line).collect::<Option<Ends>>().ok_or_else(|| format!("{path}: no ends"))
}

/// As many partitions, spread over all that hold something.
fn sample(ends: &Ends, count: usize) -> Ends {
    let filled: Vec<_> = ends.iter().filter(|(_, end)| **end > 0).collect();
    let step = filled.len().div_ceil(count.max(1)).max(1);
    filled.into_iter().step_by(step).map(|(partition, end)| (*partition, *end)).collect()
}

/// Whether the partitions reach as far as they did: what was being written may have got further.
fn reach(connection: &mut Connection, topic: &str, ends: &Ends) -> Result<(), String> {
    let found = lookup::ends(&ask(connection, &lookup::latest(topic, ends.keys().copied()))?)?;
    match ends.iter().find(|(partition, end)| found.get(*partition) < Some(*end)) {
        None => Ok(()),
        Some((partition, end)) => {
            let found = found.get(partition);
            Err(format!("partition {partition} ends at {found:?}, before {end}"))
        }
    }
}

/// Whether a partition gives what was its last record.
fn last(connection: &mut Connection, topic: &str, partition: i32, end: i64) -> Result<(), String> {
    let from = Offset::new(end - 1);
    let fetched = frames::fetched(&ask(connection, &frames::fetch(topic, partition, from))?, from)?;
    match fetched.next.get() >= end {
        true => Ok(()),
        false => Err(format!("partition {partition} was read to {}", fetched.next.get())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_spread_over_the_partitions_that_hold_something() {
        check(10, 2, &[1, 6]);
        check(3, 9, &[1, 2]);
        check(1, 3, &[]);
    }

    /// Partition 0 is empty.
    fn check(partitions: i32, count: usize, expected: &[i32]) {
        let ends: Ends = (0..partitions).map(|at| (at, i64::from(at))).collect();
        let sampled: Vec<i32> = sample(&ends, count).into_keys().collect();
        assert_eq!(sampled, expected, "{count} of {partitions}");
    }
}
