//! `bench`: Ottla beside Apache Kafka, in pairs, on the same machine in the same minutes.
//!
//! A figure alone says nothing on a machine that others use: what counts is the ratio within a
//! pair, whose halves run seconds apart. The primary figure is the broker's CPU time, read from
//! outside; wall time counts from pairs during which nobody else was at work.

mod cases;
mod chart;
mod choice;
mod line;
mod network;
mod page;
mod report;
mod runs;
mod sample;
mod statistics;
mod systems;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use cases::{Case, Form, Kind};
use report::Report;
use systems::Kafka;
use table::CASES;

use crate::node::build;
use crate::{Outcome, command};

/// How the runs are made.
#[derive(Debug)]
pub(crate) struct Settings {
    pairs: usize,
    /// Runs of each system before the first that counts, in the first row of a case.
    warm_ups: usize,
    form: Form,
    /// Of the order of runs.
    seed: u64,
    /// Settings of Kafka's that were named; else the best of several is chosen.
    kafka: Option<systems::Settings>,
    /// Where results are appended; the repository where nothing is named.
    to: Option<PathBuf>,
    cases: Vec<&'static Case>,
}

impl Settings {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let (kafka, to) = (None, None);
        let mut settings = Self {
            pairs: 7,
            warm_ups: 2,
            form: Form::Whole,
            seed: 1,
            kafka,
            to,
            cases: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--pairs" => settings.pairs = number(rest.next())?.max(1),
                "--warm-ups" => settings.warm_ups = number(rest.next())?,
                "--short" => settings.form = Form::Short,
                "--smoke" => settings.form = Form::Smoke,
                "--seed" => {
                    let seed = number(rest.next())?;
                    settings.seed = u64::try_from(seed).map_err(|error| error.to_string())?;
                }
                "--to" => settings.to = Some(rest.next().ok_or("--to needs a folder")?.into()),
                "--kafka" => {
                    let text = rest.next().map_or("", String::as_str);
                    let wrong = || "--kafka NETWORK/IO/HEAP, as 2/4/1".to_owned();
                    settings.kafka = Some(systems::Settings::parse(text).ok_or_else(wrong)?);
                }
                "--peer" => match rest.next().map(String::as_str) {
                    Some("kafka") => {}
                    _ => return Err("the only peer is kafka".to_owned()),
                },
                name => settings.cases.push(case(name)?),
            }
        }
        if settings.cases.is_empty() {
            settings.cases = CASES.iter().collect();
        }
        Ok(settings)
    }

    /// In words, for the report.
    pub(crate) fn describe(&self) -> String {
        let form = match self.form {
            Form::Whole => "whole form",
            Form::Short => "short form",
            Form::Smoke => "only whether everything runs",
        };
        format!("{form}, {} pairs after {} warm-ups", self.pairs, self.warm_ups)
    }

    /// The folder under which results are written.
    pub(crate) fn folder(&self) -> PathBuf {
        self.to.clone().unwrap_or_else(command::root)
    }

    /// Seconds that a case takes, about.
    fn budget(&self, case: &Case) -> f64 {
        let rows = case.rows.iter().enumerate().map(|(number, row)| {
            let rounds = row.warm_ups(case.kind, number == 0, self.warm_ups)
                + row.pairs(self.pairs, self.form);
            #[allow(clippy::cast_precision_loss, reason = "few runs")]
            let runs = (rounds * case.systems.len()) as f64;
            runs * row.budget(self.form)
        });
        let starts = if case.kind == Kind::Load { START_SECONDS } else { 0.0 };
        starts + rows.sum::<f64>()
    }
}

/// Of the nodes of a case.
const START_SECONDS: f64 = 5.0;

fn case(name: &str) -> Result<&'static Case, String> {
    CASES.iter().find(|case| case.name == name).ok_or_else(|| {
        let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
        format!("there is no case `{name}`; there are {}", names.join(", "))
    })
}

fn number(text: Option<&String>) -> Result<usize, String> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| "a number is needed".to_owned())
}

/// Runs the cases, appends what came out to `bench/RESULTS.md` and `bench/results.jsonl`, and draws
/// `docs/performance.md` anew. `--draw` alone only draws, `--budget` only says how long it takes.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    if arguments == ["--draw"] {
        return page::draw();
    }
    let (budget_only, arguments): (Vec<String>, Vec<String>) =
        arguments.iter().cloned().partition(|argument| argument == "--budget");
    let settings = Settings::parse(&arguments)?;
    if !network::is_inside() {
        print_budget(&settings);
        if !budget_only.is_empty() {
            return Ok(());
        }
        build(&["ottla", "ottla-bench"])?;
        return network::enter(&arguments);
    }
    measure(&settings, &arguments)
}

fn print_budget(settings: &Settings) {
    let mut total = if settings.kafka.is_some() { 0.0 } else { choice::SECONDS };
    for case in &settings.cases {
        let seconds = settings.budget(case);
        total += seconds;
        println!("{:<16} {seconds:>6.0} s foreseen", case.name);
    }
    println!("{:<16} {:>6.0} s, {:.0} minutes", "all", total, total / 60.0);
}

fn measure(settings: &Settings, arguments: &[String]) -> Outcome {
    let classpath = kafka_classpath()?;
    let kafka = match settings.kafka {
        Some(settings) => Kafka { classpath, settings },
        None => choice::best(classpath)?,
    };
    let mut report = Report::new(settings, &kafka, arguments)?;
    let mut failed = Vec::new();
    for case in &settings.cases {
        let started = Instant::now();
        let outcome = runs::run(case, settings, &kafka, |row, rounds| {
            report.add(case, row, settings, rounds);
            println!("{}", report.text());
            match settings.form {
                Form::Smoke => report.forget(),
                Form::Whole | Form::Short => return report.append(),
            }
            Ok(())
        });
        // One case that fails must not cost the others their half hour.
        if let Err(why) = outcome {
            eprintln!("{}: {why}", case.name);
            failed.push(case.name);
        }
        let (took, foreseen) = (started.elapsed().as_secs_f64(), settings.budget(case));
        eprintln!("{}: {took:.0} s, {foreseen:.0} s foreseen", case.name);
    }
    if settings.to.is_none() && settings.form != Form::Smoke {
        page::draw()?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join(", "))),
    }
}

/// Where Apache Kafka's classes are.
///
/// # Errors
/// When neither `KAFKA_PEER` nor `KAFKA_HOME` tells.
pub(crate) fn kafka_classpath() -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_of_all_cases_fits_into_its_minutes() {
        let settings = parse("--short --pairs 5").unwrap();
        let all: f64 = settings.cases.iter().map(|case| settings.budget(case)).sum();
        assert!(all + choice::SECONDS < 40.0 * 60.0, "{all:.0} s");
    }

    #[test]
    fn a_mistyped_case_is_refused() {
        for wrong in ["smal", "--pairs", "--pairs x", "--kafka 2", "--peer other", "--fast"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("small reads --peer kafka").unwrap().cases.len(), 2);
    }

    fn parse(text: &str) -> Result<Settings, String> {
        let arguments: Vec<String> = text.split(' ').map(str::to_owned).collect();
        Settings::parse(&arguments)
    }
}
