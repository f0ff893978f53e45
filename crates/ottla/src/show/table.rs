//! Columns that stand below each other.

use std::io::{self, Write};

use super::lines::escape;
use super::{Column, Table};

pub(super) fn write(
    out: &mut Vec<u8>,
    table: &Table,
    shown: impl Fn(&Column) -> bool,
    bold: bool,
) -> io::Result<()> {
    let columns: Vec<usize> =
        (0..table.columns.len()).filter(|at| shown(&table.columns[*at])).collect();
    let mut lines: Vec<Vec<String>> =
        vec![columns.iter().map(|at| table.columns[*at].title.to_owned()).collect()];
    for row in &table.rows {
        lines.push(columns.iter().map(|at| escape(&row[*at].text).into_owned()).collect());
    }
    let width = |nth: usize| lines.iter().map(|line| line[nth].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        let mut text = String::new();
        for (nth, value) in line.iter().enumerate() {
            let gap = if nth == 0 { "" } else { "  " };
            let padding = " ".repeat(widths[nth] - value.chars().count());
            if table.columns[columns[nth]].right {
                text.extend([gap, &padding, value]);
            } else {
                text.extend([gap, value, &padding]);
            }
        }
        match text.trim_end() {
            title if number == 0 && bold => writeln!(out, "\x1b[1m{title}\x1b[0m")?,
            line => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}
