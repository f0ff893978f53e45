//! What is appended to `bench/RESULTS.md` and `bench/results.jsonl`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::cases::{Case, Row};
use super::line::{Line, Setting, digits, interval, spread};
use super::runs::{QUIET_CPUS, Rounds};
use super::sample;
use super::systems::Kafka;
use super::{Settings, network};
use crate::{Outcome, command};

/// For people.
pub(crate) const RESULTS: &str = "bench/RESULTS.md";
/// For programs: a line a figure.
pub(crate) const LINES: &str = "bench/results.jsonl";

/// The block of one call, as far as it is not in the files yet.
#[derive(Debug)]
pub(crate) struct Report {
    setting: Setting,
    folder: std::path::PathBuf,
    text: String,
    lines: Vec<Line>,
}

impl Report {
    /// The heading: when, what, how.
    ///
    /// # Errors
    /// When a program that knows is not there.
    pub(crate) fn new(
        settings: &Settings,
        kafka: &Kafka,
        arguments: &[String],
    ) -> Result<Self, String> {
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
        let machine = format!(
            "{processors} CPUs ({}), Linux {kernel}; loopback, congestion control {congestion}",
            processor(&read("/proc/cpuinfo"))
        );
        let kafka = format!("Apache Kafka: {}", kafka.settings.describe());
        let text = format!(
            "\n## {date}, commit {commit}\n\n`cargo xtask bench {}`: {}. {machine}. {kafka}.\n",
            arguments.join(" "),
            settings.describe(),
        );
        let run = settings.describe();
        let setting = Setting { date, commit, machine, run, kafka, properties: String::new() };
        Ok(Self { setting, folder: settings.folder(), text, lines: Vec::new() })
    }

    /// A table for one row of a case.
    pub(crate) fn add(&mut self, case: &Case, row: &Row, settings: &Settings, rounds: &Rounds) {
        let mut setting = self.setting.clone();
        setting.run = format!(
            "{} pairs, {}, `ottla-bench {} {}`",
            rounds.rounds.len(),
            case.placement.describe(),
            row.command,
            row.arguments(settings.form).join(" ")
        );
        setting.properties = properties(case);
        let figures = row.figures.iter();
        let lines: Vec<Line> = figures
            .filter_map(|figure| Line::new(&setting, case, row, figure, &rounds.rounds))
            .collect();
        let _ = write!(
            self.text,
            "\n**{}, {}**: {}. {}; {}\n\n",
            case.name, row.name, row.what, setting.run, setting.properties
        );
        self.text.push_str(&table(&lines));
        self.add_delays(&lines, rounds);
        let budget = row.budget(settings.form);
        #[allow(clippy::cast_precision_loss, reason = "few runs")]
        let runs = (case.systems.len() * rounds.rounds.len()) as f64;
        let _ = writeln!(
            self.text,
            "\n{:.0} s; {:.0} s were foreseen for what counts.",
            rounds.took.as_secs_f64(),
            budget * runs
        );
        self.lines.extend(lines);
    }

    /// Of open-loop rows: all runs taken together, for tails that one run has too few samples for.
    fn add_delays(&mut self, lines: &[Line], rounds: &Rounds) {
        let Some(line) = lines.first() else { return };
        for (at, (name, _)) in line.systems.iter().enumerate() {
            let runs = rounds.rounds.iter().map(|round| &round[at]);
            if let Some((count, [p50, p99, p999, max])) = sample::delays(runs) {
                let _ = write!(
                    self.text,
                    "\n{name}, all runs together, {count} delays: p50 {} us, p99 {} us, p99.9 {} \
                     us, longest {} us.\n",
                    digits(p50),
                    digits(p99),
                    digits(p999),
                    digits(max)
                );
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Drops what was added: it says nothing of any system.
    pub(crate) fn forget(&mut self) {
        self.text.clear();
        self.lines.clear();
    }

    /// Moves what was added to the ends of the files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn append(&mut self) -> Outcome {
        append(&self.folder.join(RESULTS), &std::mem::take(&mut self.text))?;
        let lines: String =
            std::mem::take(&mut self.lines).iter().map(|line| line.to_json() + "\n").collect();
        append(&self.folder.join(LINES), &lines)
    }
}

fn append(path: &Path, text: &str) -> Outcome {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("append to {}: {error}", path.display()))
}

/// The newest line of each figure, in the order in which the figures came first.
///
/// # Errors
/// When the file cannot be read, or a line of it.
pub(crate) fn newest(folder: &Path) -> Result<Vec<Line>, String> {
    let path = folder.join(LINES);
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut places = BTreeMap::new();
    let mut lines: Vec<Line> = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let line = Line::from_json(text)
            .ok_or_else(|| format!("{}:{number} is no line of results", path.display()))?;
        let key = (line.case.clone(), line.row.clone(), line.figure.clone());
        match places.get(&key) {
            Some(at) => lines[*at] = line,
            None => {
                places.insert(key, lines.len());
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// A table of figures of the same systems.
pub(crate) fn table(lines: &[Line]) -> String {
    let Some(first) = lines.first() else { return String::new() };
    let names: Vec<&str> = first.systems.iter().map(|(name, _)| name.as_str()).collect();
    let compared =
        lines.iter().max_by_key(|line| line.compared.len()).map_or(&[][..], |line| &line.compared);
    let mut out = format!("| figure | {} |", names.join(" | "));
    for each in compared {
        let _ = write!(out, " {} times better than {} |", names[each.ours], names[each.peer]);
    }
    let columns = names.len() + compared.len() + 1;
    let _ = writeln!(out, " goal |\n|---|{}", "---|".repeat(columns));
    for line in lines {
        let _ = write!(out, "| {} |", line.figure);
        for (_, values) in &line.systems {
            let _ = write!(out, " {} |", spread(values));
        }
        for wanted in compared {
            let found = line
                .compared
                .iter()
                .find(|each| (each.ours, each.peer) == (wanted.ours, wanted.peer));
            let shown = match found {
                Some(found) if found.quiet => interval(found.ratio),
                Some(found) => format!("{}, no quiet pair", interval(found.ratio)),
                None => String::new(),
            };
            let _ = write!(out, " {shown} |");
        }
        let _ = writeln!(out, " {} |", line.verdict());
    }
    out
}

fn properties(case: &Case) -> String {
    let both = match case.properties {
        [] => "defaults".to_owned(),
        some => format!("both: {}", some.join(", ")),
    };
    match case.for_kafka {
        [] => both,
        some => format!("{both}; Kafka: {}", some.join(", ")),
    }
}

fn processor(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |line| line.trim_start_matches([' ', '\t', ':']))
}

/// What a reader of any table has to know.
pub(crate) fn legend() -> String {
    format!(
        "Median (lowest to highest) of the runs; ratios are medians of the pairs' ratios with their \
         95 % interval (bootstrap), above 1 the first system is better; a goal is reached when the \
         lower end of the interval reaches it. Ratios of wall time come from pairs during which \
         others kept at most {QUIET_CPUS} CPUs busy; \
         where there was none, from all pairs, and no goal is reached by them."
    )
}

#[cfg(test)]
mod tests {
    use super::super::cases::Better;
    use super::*;
    use crate::bench::statistics::Estimate;

    #[test]
    fn a_table_says_who_is_better_and_whether_that_is_enough() {
        let ratio = Estimate { median: 4.0, low: 3.0, high: 5.0 };
        let compared = super::super::line::Compared {
            ours: 0,
            peer: 1,
            ratio,
            pairs: 2,
            quiet: true,
            goal: Some(3.0),
        };
        let line = Line {
            setting: Setting::default(),
            case: "c".to_owned(),
            row: "r".to_owned(),
            what: String::new(),
            figure: "ms".to_owned(),
            systems: vec![("O".to_owned(), vec![1.0]), ("K".to_owned(), vec![4.0])],
            compared: vec![compared],
            limit: None,
            better: Better::Less,
        };
        let noise = Line {
            compared: Vec::new(),
            better: Better::Neither,
            figure: "others".to_owned(),
            ..line.clone()
        };
        let expected = "| figure | O | K | O times better than K | goal |\n|---|---|---|---|---|\n\
            | ms | **1** (1 to 1) | **4** (4 to 4) | **4** [3, 5] | 3x: **reached** |\n\
            | others | **1** (1 to 1) | **4** (4 to 4) |  |  |\n";
        assert_eq!(table(&[line, noise]), expected);
        assert_eq!(table(&[]), "");
    }
}
