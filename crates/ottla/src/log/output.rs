//! Tables for people, JSON for programs.

use std::io::{self, Write};

use crate::json::Json;

/// The version of the JSON that is written; it changes when a field goes or means something else.
const VERSION: i64 = 1;

/// Rows of a table that are held back until the widths of its columns are known. Later rows may
/// be wider; they are written as they come.
const ROWS_AHEAD: usize = 500;

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON document, with the version of its form.
    Json,
}

/// A column of a table, and the field of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) key: &'static str,
}

/// What stands in a column.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    json: Json,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, json: Json) -> Self {
        Self { text: text.into(), json }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json: Json::text(text.clone()), text }
    }

    pub(super) fn number(number: i64) -> Self {
        Self::new(number.to_string(), Json::Number(number))
    }

    pub(super) fn count(count: u64) -> Self {
        Self::new(count.to_string(), Json::count(count))
    }

    pub(super) fn optional(number: Option<i64>) -> Self {
        number.map_or_else(Self::none, Self::number)
    }

    pub(super) fn none() -> Self {
        Self::new("-", Json::Null)
    }
}

/// What belongs to a row and does not fit into columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    /// Written below the row.
    pub(super) lines: Vec<String>,
    /// A field more.
    pub(super) field: Option<(&'static str, Json)>,
}

/// Where a command's answer goes.
pub(super) struct Output<'a> {
    out: &'a mut dyn Write,
    format: Format,
    /// Written where a table has no row.
    empty: &'static str,
    columns: &'static [Column],
    /// Of the table's first rows.
    held: Vec<(Vec<String>, Vec<String>)>,
    widths: Option<Vec<usize>>,
    sections: usize,
    rows: usize,
}

impl<'a> Output<'a> {
    /// Begins a document of that kind.
    pub(super) fn begin(
        out: &'a mut dyn Write,
        format: Format,
        kind: &'static str,
        empty: &'static str,
    ) -> io::Result<Self> {
        if format == Format::Json {
            write!(out, "{{\"ottla\":{VERSION},\"kind\":\"{kind}\",\"sections\":[")?;
        }
        let (columns, held, widths) = ([].as_slice(), Vec::new(), None);
        Ok(Self { out, format, empty, columns, held, widths, sections: 0, rows: 0 })
    }

    pub(super) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// A line of its own, above all tables.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Begins a table of its own. `heading` is a line above it, `fields` say the same in JSON.
    pub(super) fn section(
        &mut self,
        heading: &str,
        fields: &[(&'static str, Json)],
        columns: &'static [Column],
    ) -> io::Result<()> {
        self.end_section()?;
        self.columns = columns;
        match self.format {
            Format::Table => {
                let blank = if self.sections == 0 { "" } else { "\n" };
                writeln!(self.out, "{blank}{heading}")?;
            }
            Format::Json => {
                let comma = if self.sections == 0 { "" } else { "," };
                write!(self.out, "{comma}\n{{")?;
                for (name, value) in fields {
                    write!(self.out, "\"{name}\":{value},")?;
                }
                write!(self.out, "\"rows\":[")?;
            }
        }
        self.sections += 1;
        Ok(())
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>, details: Details) -> io::Result<()> {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows += 1;
        match self.format {
            Format::Table => self.table_row(cells, details.lines),
            Format::Json => {
                let keys = self.columns.iter().map(|column| column.key);
                let fields = keys.zip(cells.into_iter().map(|cell| cell.json));
                let object = Json::Object(fields.chain(details.field).collect());
                let comma = if self.rows == 1 { "" } else { "," };
                write!(self.out, "{comma}\n{object}")
            }
        }
    }

    fn table_row(&mut self, cells: Vec<Cell>, lines: Vec<String>) -> io::Result<()> {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.text).collect();
        match &self.widths {
            Some(widths) => write_row(self.out, widths, &cells, &lines),
            None => {
                self.held.push((cells, lines));
                if self.held.len() == ROWS_AHEAD { self.write_held() } else { Ok(()) }
            }
        }
    }

    fn write_held(&mut self) -> io::Result<()> {
        let titles: Vec<String> =
            self.columns.iter().map(|column| column.title.to_owned()).collect();
        let rows = || std::iter::once(&titles).chain(self.held.iter().map(|(cells, _)| cells));
        let width = |at: usize| rows().map(|cells| cells[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        write_row(self.out, &widths, &titles, &[])?;
        for (cells, lines) in self.held.drain(..) {
            write_row(self.out, &widths, &cells, &lines)?;
        }
        self.widths = Some(widths);
        Ok(())
    }

    fn end_section(&mut self) -> io::Result<()> {
        if self.sections == 0 {
            return Ok(());
        }
        match self.format {
            Format::Table if self.rows == 0 => writeln!(self.out, "{}", self.empty)?,
            Format::Table if self.widths.is_none() => self.write_held()?,
            Format::Table => {}
            Format::Json => write!(self.out, "]}}")?,
        }
        (self.widths, self.rows) = (None, 0);
        Ok(())
    }

    /// Ends the document. `fields` say in JSON what `lines` say below the tables.
    pub(super) fn finish(
        mut self,
        lines: &[String],
        fields: &[(&'static str, Json)],
    ) -> io::Result<()> {
        self.end_section()?;
        match self.format {
            Format::Table => {
                if self.sections > 0 && !lines.is_empty() {
                    writeln!(self.out)?;
                }
                lines.iter().try_for_each(|line| writeln!(self.out, "{line}"))?;
            }
            Format::Json => {
                write!(self.out, "\n]")?;
                for (name, value) in fields {
                    write!(self.out, ",\"{name}\":{value}")?;
                }
                writeln!(self.out, "}}")?;
            }
        }
        self.out.flush()
    }
}

/// The last cell is not padded: it may be long.
fn write_row(
    out: &mut dyn Write,
    widths: &[usize],
    cells: &[String],
    lines: &[String],
) -> io::Result<()> {
    let last = cells.len() - 1;
    for (cell, width) in cells.iter().zip(widths).take(last) {
        write!(out, "{cell:<width$}  ")?;
    }
    writeln!(out, "{}", cells[last])?;
    lines.iter().try_for_each(|line| writeln!(out, "    {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] =
        [Column { title: "OFFSET", key: "offset" }, Column { title: "WHAT", key: "what" }];

    fn written(format: Format) -> String {
        let mut bytes = Vec::new();
        let mut output = Output::begin(&mut bytes, format, "Test", "(nothing)").unwrap();
        let fields = [("path", Json::text("p"))];
        output.section("p: a test", &fields, &COLUMNS).unwrap();
        output.row(vec![Cell::number(1_234_567), Cell::text("a b")], Details::default()).unwrap();
        let details =
            Details { lines: vec!["more".to_owned()], field: Some(("more", Json::Bool(true))) };
        output.row(vec![Cell::none(), Cell::count(7)], details).unwrap();
        output.section("q", &[("path", Json::text("q"))], &COLUMNS).unwrap();
        output.finish(&["done".to_owned()], &[("done", Json::Bool(true))]).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_is_as_wide_as_it_has_to_be() {
        let expected = "p: a test\nOFFSET   WHAT\n1234567  a b\n-        7\n    more\n\nq\n\
                        (nothing)\n\ndone\n";
        assert_eq!(written(Format::Table), expected);
    }

    #[test]
    fn json_is_one_document() {
        let expected = "{\"ottla\":1,\"kind\":\"Test\",\"sections\":[\n\
                        {\"path\":\"p\",\"rows\":[\n\
                        {\"offset\":1234567,\"what\":\"a b\"},\n\
                        {\"offset\":null,\"what\":7,\"more\":true}]},\n\
                        {\"path\":\"q\",\"rows\":[]}\n],\"done\":true}\n";
        assert_eq!(written(Format::Json), expected);
    }
}
