//! `ottla doctor`: what is wrong between here and a cluster, and on this machine.

use std::fs;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::reach::{self, Reach, Session, explain};
use crate::show::{Answer, Cell, Column, Format, Show, Table, print};

const EXAMPLES: &str = "\
Examples:
  ottla doctor
  ottla doctor -o json";

/// Below this a node of a few hundred partitions runs out of descriptors.
const DESCRIPTORS_MIN: u64 = 4_096;

/// A disk is called full where less than this is free, in both ways.
const FREE_PERCENT_MIN: u64 = 10;
const FREE_BYTES_MIN: u64 = 5_000_000_000;

/// The first second of 2024: whoever believes in an earlier one has no clock.
const CLOCK_MIN_MS: i64 = 1_704_067_200_000;

/// Checks this machine, and the way to every broker
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    show: Show,
}

const CHECKS: &[Column] = &[
    Column::text("CHECK", "check"),
    Column::text("RESULT", "result"),
    Column::text("DETAIL", "detail"),
];

/// What was checked; a problem does not end the others.
struct Checks {
    table: Table,
    problems: usize,
}

impl Checks {
    fn note(&mut self, check: &str, result: Result<String, String>) {
        let (word, detail) = match result {
            Ok(detail) => ("ok", detail),
            Err(problem) => {
                self.problems += 1;
                ("problem", problem)
            }
        };
        self.table.row([Cell::text(check), Cell::text(word), Cell::text(detail)]);
    }
}

pub(crate) fn run(arguments: &Arguments, before: &Reach) -> ExitCode {
    let reach = arguments.reach.clone().or(before);
    let format = Format::or_default(arguments.show.output);
    reach::run_patiently(&reach, async |session| {
        let mut checks = Checks { table: Table::new(CHECKS), problems: 0 };
        checks.note("clock", clock(session));
        checks.note("descriptors", descriptors());
        let reached = reach::greet(session).await;
        let is_there = reached.is_ok();
        let places: Vec<&str> = session.places.iter().map(|place| place.typed.as_str()).collect();
        let answers = || format!("{} answers", places.join(", "));
        checks.note("cluster", reached.map(|()| answers()).map_err(|failure| failure.to_string()));
        if is_there {
            of_cluster(session, &mut checks).await?;
        }
        print("doctor", &Answer::Table(checks.table), format)?;
        if checks.problems == 0 { Ok(()) } else { Err(Failure::Items) }
    })
}

fn clock(session: &Session) -> Result<String, String> {
    let now = session.env.clock.wall();
    let shown = crate::words::time(Some(now));
    if now.millis() >= CLOCK_MIN_MS {
        return Ok(shown);
    }
    Err(format!("it says {shown}: set it, or records get that time and are deleted as too old"))
}

/// How many files a process may have open, if the system says so.
fn descriptors() -> Result<String, String> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    // Soft, then hard; a node takes all of the latter.
    let hard = line.and_then(|line| line.split_whitespace().nth(1));
    match hard.map(|text| (text, text.parse::<u64>())) {
        None => Ok("the system does not tell".to_owned()),
        Some((text, Ok(hard))) if hard < DESCRIPTORS_MIN => Err(format!(
            "a process may open {text} files: a node needs three for each partition in use; raise \
             `ulimit -Hn`, or LimitNOFILE of the service"
        )),
        Some((text, _)) => Ok(format!("a process may open {text} files")),
    }
}

async fn of_cluster(session: &Session, checks: &mut Checks) -> Result<(), Failure> {
    let admin = session.admin();
    let mut all_reached = true;
    for node in admin.nodes().await? {
        let name = format!("broker {}", node.id);
        let shown = format!("{}:{}", node.host, node.port);
        let tried = session.client.try_broker(&node).await;
        all_reached &= tried.is_ok();
        let unreached = session.client.unreached();
        let wrong = unreached.iter().find(|each| each.broker.id == node.id);
        let told = |error: ottla_client::CallError| {
            wrong.map_or_else(
                || error.to_string(),
                |wrong| explain::wrong_address(&session.places, wrong).replace('\n', " "),
            )
        };
        checks.note(&name, tried.map(|()| format!("{shown} answers")).map_err(told));
    }
    // Brokers tell of their disks themselves.
    if !all_reached {
        return Ok(());
    }
    for dir in admin.log_dirs().await? {
        let name = format!("disk of broker {}", dir.broker);
        let result = match (&dir.error, dir.bytes_total, dir.bytes_usable) {
            (Some(error), _, _) => Err(format!("{} is not served: {error}", dir.path)),
            (None, Some(total), Some(free)) => room(&dir.path, total, free),
            (None, _, _) => Ok(format!("{}: the broker does not tell", dir.path)),
        };
        checks.note(&name, result);
    }
    Ok(())
}

fn room(path: &str, total: u64, free: u64) -> Result<String, String> {
    let percent = free.saturating_mul(100) / total.max(1);
    let told = format!("{path}: {} free ({percent} %)", crate::words::size(free));
    if percent >= FREE_PERCENT_MIN || free >= FREE_BYTES_MIN {
        return Ok(told);
    }
    Err(format!("{told}: make room, or lower log.retention.bytes before writes are refused"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_in_percent_and_in_bytes() {
        const GB: u64 = 1_000_000_000;
        for (total, free, expected) in [
            (100 * GB, 50 * GB, true),
            (100 * GB, 6 * GB, true),
            (10 * GB, 2 * GB, true),
            (100 * GB, 4 * GB, false),
            (0, 0, false),
        ] {
            assert_eq!(room("/data", total, free).is_ok(), expected, "{free} of {total}");
        }
        assert_eq!(room("/data", 100 * GB, 20 * GB).unwrap(), "/data: 20.0 GB free (20 %)");
    }
}
