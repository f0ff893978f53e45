//! A line a row, for other tools: all columns, exact numbers, a title first.

use std::borrow::Cow;
use std::io::{self, Write};

use super::Table;

pub(super) fn write(
    out: &mut Vec<u8>,
    table: &Table,
    between: char,
    spelled: fn(&str) -> Cow<'_, str>,
) -> io::Result<()> {
    let between = between.to_string();
    let titles: Vec<&str> = table.columns.iter().map(|column| column.title).collect();
    writeln!(out, "{}", titles.join(&between))?;
    for row in &table.rows {
        let values: Vec<Cow<'_, str>> = row.iter().map(|cell| spelled(cell.plain())).collect();
        writeln!(out, "{}", values.join(&between))?;
    }
    Ok(())
}

/// Without what would end a value or a line, or move a terminal's cursor.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c.is_control() || c == '\\') {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().flat_map(|c| match c {
        c if c.is_control() || c == '\\' => c.escape_default().collect::<Vec<_>>(),
        c => vec![c],
    });
    Cow::Owned(escaped.collect())
}

/// As RFC 4180 has it.
pub(crate) fn quote(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}
