//! One figure of one row as it was measured: a line of `bench/results.jsonl`, and what tables and
//! charts are made of.

use std::fmt::Write as _;

use super::cases::{Better, Case, Figure, Row};
use super::runs::{QUIET_CPUS, Round};
use super::statistics::{Estimate, estimate, median};
use crate::json::Json;

/// When, on what, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Setting {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: String,
    /// Which processors; the short form or the whole.
    pub(crate) run: String,
    /// Of Kafka, what was chosen for it.
    pub(crate) kafka: String,
    /// Properties of both, or of one, beside the defaults.
    pub(crate) properties: String,
}

/// A figure and what it was for each system.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) setting: Setting,
    pub(crate) case: String,
    pub(crate) row: String,
    pub(crate) what: String,
    pub(crate) figure: String,
    pub(crate) systems: Vec<(String, Vec<f64>)>,
    pub(crate) compared: Vec<Compared>,
    /// What the first system shall keep, and the end of its interval that has to.
    pub(crate) limit: Option<(f64, f64)>,
    pub(crate) better: Better,
}

/// How many times better one system is than another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compared {
    pub(crate) ours: usize,
    pub(crate) peer: usize,
    /// Of the pairs' ratios.
    pub(crate) ratio: Estimate,
    pub(crate) pairs: usize,
    /// Whether others left the machine alone; where they never did, all pairs are taken, and no
    /// goal is reached.
    pub(crate) quiet: bool,
    pub(crate) goal: Option<f64>,
}

impl Line {
    /// `None` where no run knows the figure.
    pub(crate) fn new(
        setting: &Setting,
        case: &Case,
        row: &Row,
        figure: &Figure,
        rounds: &[Round],
    ) -> Option<Self> {
        let values = |at: usize| rounds.iter().map(|round| round[at].figure(figure)).collect();
        let mut systems: Vec<(String, Vec<f64>)> =
            (0..case.systems.len()).map(|at| (name_of(case, at), values(at))).collect();
        for (_, values) in &mut systems {
            values.retain(|value: &f64| value.is_finite());
        }
        if systems.iter().all(|(_, values)| values.is_empty()) {
            return None;
        }
        let compared = (case.pairs.iter().enumerate())
            .filter_map(|(number, pair)| compare(figure, number, *pair, rounds))
            .collect();
        let limit = figure.limit.and_then(|limit| {
            let found = estimate(&systems[0].1)?;
            Some((limit, if figure.better == Better::More { found.low } else { found.high }))
        });
        Some(Self {
            setting: setting.clone(),
            case: case.name.to_owned(),
            row: row.name.to_owned(),
            what: row.what.to_owned(),
            figure: figure.name.to_owned(),
            systems,
            compared,
            limit,
            better: figure.better,
        })
    }

    /// Whether goals and limit are reached, in words; empty where there are none.
    pub(crate) fn verdict(&self) -> String {
        let mut text = String::new();
        for each in &self.compared {
            let Some(goal) = each.goal else { continue };
            let low = each.ratio.low;
            let _ = match low >= goal {
                true if !each.quiet => write!(text, "{}x: no quiet pair; ", digits(goal)),
                true => write!(text, "{}x: **reached**; ", digits(goal)),
                false => write!(text, "{}x: {} of it; ", digits(goal), percent(low / goal)),
            };
        }
        if let Some((limit, found)) = self.limit {
            let reached = if self.better == Better::More { found >= limit } else { found <= limit };
            let limit = digits(limit);
            let _ = match reached {
                true => write!(text, "{limit}: **reached**; "),
                false => write!(text, "{limit}: {}; ", digits(found)),
            };
        }
        text.trim_end_matches("; ").to_owned()
    }

    pub(crate) fn to_json(&self) -> String {
        let mut out = String::from("{");
        let setting = &self.setting;
        let texts = [
            ("date", &setting.date),
            ("commit", &setting.commit),
            ("machine", &setting.machine),
            ("run", &setting.run),
            ("kafka", &setting.kafka),
            ("properties", &setting.properties),
            ("case", &self.case),
            ("row", &self.row),
            ("what", &self.what),
            ("figure", &self.figure),
        ];
        for (name, text) in texts {
            let _ = write!(out, "\"{name}\":{},", quoted(text));
        }
        let better = match self.better {
            Better::Less => "less",
            Better::More => "more",
            Better::Neither => "neither",
        };
        let _ = write!(out, "\"better\":\"{better}\",");
        let list = |values: &[f64]| {
            values.iter().map(|value| format!("{value:.6}")).collect::<Vec<_>>().join(",")
        };
        let systems = self.systems.iter().map(|(name, values)| {
            format!("{{\"name\":{},\"values\":[{}]}}", quoted(name), list(values))
        });
        let compared = self.compared.iter().map(|each| {
            let Compared { ours, peer, ratio, pairs, quiet, goal } = each;
            let goal = goal.map_or_else(|| "null".to_owned(), |goal| goal.to_string());
            format!(
                "{{\"ours\":{ours},\"peer\":{peer},\"median\":{:.4},\"low\":{:.4},\
                 \"high\":{:.4},\"pairs\":{pairs},\"quiet\":{quiet},\"goal\":{goal}}}",
                ratio.median, ratio.low, ratio.high
            )
        });
        let limit = self
            .limit
            .map_or_else(|| "null".to_owned(), |(limit, found)| format!("[{limit},{found:.6}]"));
        let _ = write!(
            out,
            "\"systems\":[{}],\"compared\":[{}],\"limit\":{limit}}}",
            systems.collect::<Vec<_>>().join(","),
            compared.collect::<Vec<_>>().join(",")
        );
        out
    }

    /// `None` for what is no such line.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let json = Json::parse(text)?;
        let owned = |name: &str| json.field(name).text().to_owned();
        let number = |json: &Json| match json {
            Json::Number(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        let system = |system: &Json| {
            let values = system.field("values").elements().iter().filter_map(number);
            (system.field("name").text().to_owned(), values.collect())
        };
        let place = |json: &Json| match json {
            Json::Number(text) => text.parse::<usize>().ok(),
            _ => None,
        };
        let compared = |each: &Json| {
            let of = |name: &str| number(each.field(name));
            let ratio = Estimate { median: of("median")?, low: of("low")?, high: of("high")? };
            let (ours, peer) = (place(each.field("ours"))?, place(each.field("peer"))?);
            let pairs = place(each.field("pairs"))?;
            let quiet = *each.field("quiet") != Json::Bool(false);
            Some(Compared { ours, peer, ratio, pairs, quiet, goal: of("goal") })
        };
        let limit = json.field("limit").elements();
        Some(Self {
            setting: Setting {
                date: owned("date"),
                commit: owned("commit"),
                machine: owned("machine"),
                run: owned("run"),
                kafka: owned("kafka"),
                properties: owned("properties"),
            },
            case: owned("case"),
            row: owned("row"),
            what: owned("what"),
            figure: owned("figure"),
            systems: json.field("systems").elements().iter().map(system).collect(),
            compared: json.field("compared").elements().iter().filter_map(compared).collect(),
            limit: limit.first().and_then(number).zip(limit.get(1).and_then(number)),
            better: match json.field("better").text() {
                "less" => Better::Less,
                "more" => Better::More,
                "neither" => Better::Neither,
                _ => return None,
            },
        })
    }
}

fn compare(
    figure: &Figure,
    number: usize,
    (ours, peer): (usize, usize),
    rounds: &[Round],
) -> Option<Compared> {
    let quiet = |round: &&Round| {
        !figure.is_wall || [ours, peer].iter().all(|at| round[*at].foreign_cpus() <= QUIET_CPUS)
    };
    let ratio =
        |round: &Round| figure.ratio(round[ours].figure(figure), round[peer].figure(figure));
    let of = |rounds: &mut dyn Iterator<Item = &Round>| -> Vec<f64> {
        rounds.map(ratio).filter(|ratio| ratio.is_finite()).collect()
    };
    let ratios = of(&mut rounds.iter().filter(quiet));
    let (ratios, quiet) = match ratios.is_empty() {
        true => (of(&mut rounds.iter()), false),
        false => (ratios, true),
    };
    let goal = figure.goals.iter().find(|(of, _)| *of == number).map(|(_, goal)| *goal);
    Some(Compared { ours, peer, ratio: estimate(&ratios)?, pairs: ratios.len(), quiet, goal })
}

/// With a letter where a system is there twice.
fn name_of(case: &Case, at: usize) -> String {
    let system = case.systems[at];
    let name = system.name();
    let earlier = case.systems[..at].iter().filter(|other| **other == system).count();
    let twice = case.systems.iter().filter(|other| **other == system).count() > 1;
    match (twice, earlier) {
        (false, _) => name.to_owned(),
        (true, 0) => format!("{name}, A"),
        (true, _) => format!("{name}, B"),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `median (lowest to highest)`.
pub(crate) fn spread(values: &[f64]) -> String {
    let Some(middle) = median(values) else { return "none".to_owned() };
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("**{}** ({} to {})", digits(middle), digits(lowest), digits(highest))
}

/// `median [low, high]`.
pub(crate) fn interval(ratio: Estimate) -> String {
    let Estimate { median, low, high } = ratio;
    format!("**{}** [{}, {}]", digits(median), digits(low), digits(high))
}

/// Three significant digits, whole numbers without a point.
pub(crate) fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::super::table::CASES;
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_their_spread() {
        check(&[3.0, 1.0, 2.0], "**2** (1 to 3)");
        check(&[1.0, 2.5], "**1.75** (1 to 2.5)");
        check(&[0.1234, 1234.5, 12.34], "**12.3** (0.123 to 1234)");
        check(&[], "none");
    }

    fn check(values: &[f64], text: &str) {
        assert_eq!(spread(values), text);
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = small([2.0, 2.0], [30.0, 50.0], [0.0, 0.0]);
        assert_eq!(Line::from_json(&line.to_json()), Some(line));
        assert_eq!(Line::from_json("{}"), None);
    }

    #[test]
    fn goals_are_held_against_the_lower_end() {
        assert_eq!(small([2.0, 2.0], [30.0, 50.0], [0.0, 0.0]).verdict(), "10x: **reached**");
        assert_eq!(small([2.0, 2.0], [15.0, 50.0], [0.0, 0.0]).verdict(), "10x: 75 % of it");
    }

    #[test]
    fn pairs_that_others_disturbed_count_for_cpu_only() {
        let case = CASES.iter().find(|case| case.name == "small").unwrap();
        let loud = small([2.0, 2.0], [30.0, 50.0], [0.0, 1.9]);
        assert_eq!(loud.compared[0].pairs, 2);
        let rate = case.rows[0].figures[1];
        assert!(rate.is_wall);
        let rounds = rounds([2.0, 2.0], [30.0, 50.0], [0.0, 1.9]);
        let compared = compare(&rate, 0, (0, 1), &rounds).unwrap();
        assert_eq!((compared.pairs, compared.quiet), (1, true));
        let rounds = self::rounds([2.0, 2.0], [30.0, 50.0], [1.8, 1.9]);
        let compared = compare(&rate, 0, (0, 1), &rounds).unwrap();
        assert_eq!((compared.pairs, compared.quiet), (2, false));
    }

    /// The first figure of the case, from microseconds a request.
    fn small(ours: [f64; 2], kafka: [f64; 2], foreign: [f64; 2]) -> Line {
        let case = CASES.iter().find(|case| case.name == "small").unwrap();
        let row = &case.rows[0];
        let setting = Setting { kafka: "a \"b\"".to_owned(), ..Setting::default() };
        Line::new(&setting, case, row, &row.figures[0], &rounds(ours, kafka, foreign)).unwrap()
    }

    fn rounds(ours: [f64; 2], kafka: [f64; 2], foreign: [f64; 2]) -> Vec<Round> {
        let sample = |us: f64, foreign: f64| {
            Sample::parse(&format!(
                "produce.broker_cpu_s {us}\nproduce.requests 1000000\nproduce.wall_s 1\n\
                 produce.foreign_cpus {foreign}\n"
            ))
        };
        (0..2)
            .map(|at| vec![sample(ours[at], foreign[at]), sample(kafka[at], foreign[at])])
            .collect()
    }
}
