//! Samples, their medians, and the block that is appended to `bench/RESULTS.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use super::cases::{Case, Figure};
use super::{Settings, System, network};
use crate::{Outcome, command};

/// What one run of the generator printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<String, f64>);

impl Sample {
    /// From lines of `name value`; others are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let pair = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter_map(pair).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Not a number where the sample lacks what the figure is made of.
    fn figure(&self, figure: &Figure) -> f64 {
        let value = self.get(figure.value).unwrap_or(f64::NAN);
        let by = if figure.by.is_empty() { Some(1.0) } else { self.get(figure.by) };
        figure.factor * value / by.unwrap_or(f64::NAN)
    }
}

/// The block of one call, as far as it is not in the file yet.
#[derive(Debug)]
pub(crate) struct Report {
    text: String,
}

impl Report {
    /// The heading: when, what, how.
    pub(crate) fn new(settings: &Settings, arguments: &[String]) -> Result<Self, String> {
        let ask = |program: &str, arguments: &[&str]| {
            command::output(Command::new(program).args(arguments).current_dir(command::root()))
                .map(|text| text.trim().to_owned())
        };
        let date = ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
        let commit = ask("git", &["describe", "--always", "--dirty=, with uncommitted changes"])?;
        let kernel = ask("uname", &["-r"])?;
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let system = read("/proc/sys/net/ipv4/tcp_congestion_control");
        let congestion = match network::is_own() {
            true => "cubic both ways, in a network namespace".to_owned(),
            false => format!("cubic towards the broker, {} (the system's) from it", system.trim()),
        };
        let text = format!(
            "\n## {date}, commit {commit}\n\n\
             `cargo xtask bench {}`: {}. {processors} CPUs ({}), Linux {kernel}; loopback, \
             congestion control {congestion}. Apache Kafka: heap 1 GiB, G1, 2 network and 2 I/O \
             threads. Median (lowest to highest); the ratio is the median of the pairs' ratios.\n",
            arguments.join(" "),
            settings.describe(),
            processor(&read("/proc/cpuinfo")),
        );
        Ok(Self { text })
    }

    /// A table for one case; `rounds` hold one sample for each of `systems`.
    pub(crate) fn add(&mut self, case: &Case, systems: &[System], rounds: &[Vec<Sample>]) {
        let out = &mut self.text;
        let names: Vec<&str> = systems.iter().map(|system| system.name()).collect();
        let kafka_by_ours = both(systems);
        let _ =
            write!(out, "\n**{}**: {}\n\n| figure | {} |", case.name, case.what, names.join(" | "));
        let columns = names.len() + usize::from(kafka_by_ours.is_some());
        let ratio = if kafka_by_ours.is_some() { " Kafka ÷ Ottla, page-cache |" } else { "" };
        let _ = writeln!(out, "{ratio}\n|---|{}", "---|".repeat(columns));
        for figure in case.figures {
            let of = |sample: &Sample| sample.figure(figure);
            let _ = write!(out, "| {} |", figure.name);
            for at in 0..systems.len() {
                let values = rounds.iter().map(|round| of(&round[at])).collect();
                let _ = write!(out, " {} |", spread(values));
            }
            if let Some((kafka, ours)) = kafka_by_ours {
                let ratios = rounds.iter().map(|round| of(&round[kafka]) / of(&round[ours]));
                let shown = if figure.compared { spread(ratios.collect()) } else { String::new() };
                let _ = write!(out, " {shown} |");
            }
            out.push('\n');
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Moves the text to the end of the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn append(&mut self) -> Outcome {
        let path = command::root().join("bench/RESULTS.md");
        let text = std::mem::take(&mut self.text);
        let file = OpenOptions::new().append(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("append to {}: {error}", path.display()))
    }
}

/// Where Kafka and its counterpart are in a round.
fn both(systems: &[System]) -> Option<(usize, usize)> {
    let at = |wanted| systems.iter().position(|system| *system == wanted);
    Some((at(System::Kafka)?, at(System::PageCache)?))
}

fn processor(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']))
}

/// `median (lowest to highest)`.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else {
        return "none".to_owned();
    };
    let half = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    };
    format!("**{}** ({} to {})", digits(median), digits(*lowest), digits(*highest))
}

/// Three significant digits.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_shown_with_their_spread() {
        check(&[3.0, 1.0, 2.0], "**2.00** (1.00 to 3.00)");
        check(&[1.0, 2.0], "**1.50** (1.00 to 2.00)");
        check(&[0.1234, 1234.5, 12.34], "**12.3** (0.123 to 1234)");
        check(&[], "none");
    }

    fn check(values: &[f64], text: &str) {
        assert_eq!(spread(values.to_vec()), text);
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "quotients of small whole numbers")]
    fn figures_are_quotients_of_what_was_printed() {
        let sample = Sample::parse("cpu 6\nrequests 3\nnoise\n");
        let figure = |value, by| Figure { name: "", value, by, factor: 10.0, compared: true };
        assert_eq!(sample.figure(&figure("cpu", "requests")), 20.0);
        assert_eq!(sample.figure(&figure("cpu", "")), 60.0);
        assert!(sample.figure(&figure("cpu", "absent")).is_nan());
    }
}
