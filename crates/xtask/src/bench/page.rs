//! `docs/performance.md`: its tables and charts, made from the newest lines of results.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::chart;
use super::line::Line;
use super::report::{legend, newest, table};
use super::table::CASES;
use crate::{Outcome, command};

const PAGE: &str = "docs/performance.md";
const CHARTS: &str = "docs/performance";
const BEGIN: &str = "<!-- results: begin -->\n";
const END: &str = "<!-- results: end -->";

/// Draws everything anew.
///
/// # Errors
/// When there are no results, or a file cannot be written.
pub(crate) fn draw() -> Outcome {
    let root = command::root();
    let lines = in_order(newest(&root)?);
    let charts = root.join(CHARTS);
    fs::create_dir_all(&charts).map_err(|error| format!("make {CHARTS}: {error}"))?;
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page).map_err(|error| format!("read {PAGE}: {error}"))?;
    write(&charts.join("goals.svg"), &chart::of_goals(&lines))?;
    let mut results = format!("{}\n\n![goals](performance/goals.svg)\n", legend());
    for case in CASES {
        let of_case: Vec<&Line> = lines.iter().filter(|line| line.case == case.name).collect();
        if of_case.is_empty() {
            continue;
        }
        write(&charts.join(format!("{}.svg", case.name)), &chart::of_case(case.name, &of_case))?;
        results += &section(case.name, &of_case);
    }
    let fresh =
        replaced(&text, &results).ok_or_else(|| format!("{PAGE} has no place for results"))?;
    write(&page, &fresh)
}

/// Cases in the order of their table, whatever was measured last.
fn in_order(mut lines: Vec<Line>) -> Vec<Line> {
    lines.retain(|line| CASES.iter().any(|case| case.name == line.case));
    let place = |line: &Line| {
        let case = CASES.iter().position(|case| case.name == line.case);
        let rows = case.map(|at| CASES[at].rows).unwrap_or_default();
        (case, rows.iter().position(|row| row.name == line.row))
    };
    lines.sort_by_key(place);
    lines
}

fn section(name: &str, lines: &[&Line]) -> String {
    let mut text = format!("\n### {name}\n\n![{name}](performance/{name}.svg)\n");
    let mut rest = lines;
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|line| line.row == first.row).count();
        let (row, after) = rest.split_at(count);
        let owned: Vec<Line> = row.iter().map(|line| (*line).clone()).collect();
        let setting = &first.setting;
        let _ = write!(
            text,
            "\n**{}**: {}. {}, commit {}; {}; {}; {}.\n\n{}",
            first.row,
            first.what,
            setting.date,
            setting.commit,
            setting.run,
            setting.kafka,
            setting.properties,
            table(&owned)
        );
        rest = after;
    }
    text
}

fn replaced(page: &str, results: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{results}{END}{after}"))
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_results_are_replaced() {
        let page = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(replaced(&page, "new\n"), Some(format!("a\n{BEGIN}new\n{END}\nb\n")));
        assert_eq!(replaced("a\n", "new\n"), None);
    }
}
