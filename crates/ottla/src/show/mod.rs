//! Answers: tables for people, lines for other tools, JSON for programs.

mod lines;
mod table;
mod watch;

use std::io::{self, IsTerminal as _, Write};

use crate::json::Json;
pub(crate) use lines::{escape, quote};
pub(crate) use watch::{Pace, Watch};

/// The version of the JSON that is written; it changes when a field goes or means something else.
const VERSION: i64 = 1;

/// How to write an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// Columns for people, all there are
    Wide,
    /// One JSON document, with the version of its form
    Json,
    /// One JSON document a line, each with the version of its form
    Jsonl,
    /// Values with tabs between them; a tab in a value is \t
    Tsv,
    /// Values with commas between them, quoted where they have to be
    Csv,
}

impl Format {
    /// Columns on a terminal, tabs in a pipe: there the widths of columns are in the way.
    pub(crate) fn or_default(said: Option<Self>) -> Self {
        let usual = if io::stdout().is_terminal() { Self::Table } else { Self::Tsv };
        said.unwrap_or(usual)
    }

    pub(crate) const fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }

    const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// The form of answers, as a command takes it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Show {
    /// How to write the answer [default: table on a terminal, tsv in a pipe]
    #[arg(short, long, global = true, value_name = "FORM", help_heading = "Answer")]
    pub(crate) output: Option<Format>,
}

/// A column of a table, and the field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Without spaces, so that `awk` finds it.
    title: &'static str,
    key: &'static str,
    /// Shown to people only where they want all there is.
    wide: bool,
    /// A number: its digits stand below each other.
    right: bool,
}

impl Column {
    pub(crate) const fn text(title: &'static str, key: &'static str) -> Self {
        Self { title, key, wide: false, right: false }
    }

    pub(crate) const fn number(title: &'static str, key: &'static str) -> Self {
        Self { title, key, wide: false, right: true }
    }

    pub(crate) const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

/// What stands in a column.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    /// As `text`, where other tools are to compute with it.
    plain: Option<String>,
    json: Json,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, json: Json) -> Self {
        Self { text: text.into(), plain: None, json }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { json: Json::text(text.clone()), text, plain: None }
    }

    pub(crate) fn number(number: impl Into<i64>) -> Self {
        let number = number.into();
        Self::new(number.to_string(), Json::Number(number))
    }

    pub(crate) fn count(count: u64) -> Self {
        Self::new(count.to_string(), Json::count(count))
    }

    pub(crate) fn length(count: usize) -> Self {
        Self::count(count as u64)
    }

    /// A number of bytes: in the unit that fits for people, exact for everybody else.
    pub(crate) fn bytes(bytes: u64) -> Self {
        let text = crate::words::size(bytes);
        Self { text, plain: Some(bytes.to_string()), json: Json::count(bytes) }
    }

    pub(crate) fn yes(is: bool) -> Self {
        Self::new(if is { "yes" } else { "no" }, Json::Bool(is))
    }

    pub(crate) fn none() -> Self {
        Self::new("-", Json::Null)
    }

    pub(crate) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(Self::none, cell)
    }

    /// Numbers with commas between them.
    pub(crate) fn numbers(numbers: &[i32]) -> Self {
        let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let json = numbers.iter().map(|number| Json::Number((*number).into())).collect();
        Self::new(if text.is_empty() { "-".to_owned() } else { text.join(",") }, Json::List(json))
    }

    fn plain(&self) -> &str {
        self.plain.as_deref().unwrap_or(&self.text)
    }
}

/// Rows of the same kind.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: &'static [Column],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) const fn new(columns: &'static [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    fn json(&self) -> Vec<Json> {
        let object = |row: &Vec<Cell>| {
            let fields = self.columns.iter().zip(row);
            Json::Object(fields.map(|(column, cell)| (column.key, cell.json.clone())).collect())
        };
        self.rows.iter().map(object).collect()
    }
}

/// One thing, looked at closely.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    fields: Vec<(Column, Cell)>,
    tables: Vec<(Column, Table)>,
}

impl Page {
    pub(crate) fn field(&mut self, title: &'static str, key: &'static str, cell: Cell) {
        self.fields.push((Column::text(title, key), cell));
    }

    pub(crate) fn table(&mut self, title: &'static str, key: &'static str, table: Table) {
        self.tables.push((Column::text(title, key), table));
    }

    fn json(&self) -> Json {
        let fields = self.fields.iter().map(|(column, cell)| (column.key, cell.json.clone()));
        let tables = self.tables.iter().map(|(title, table)| (title.key, Json::List(table.json())));
        Json::Object(fields.chain(tables).collect())
    }
}

/// What a command answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Table(Table),
    Pages(Vec<Page>),
}

/// Whether somebody looks on who has nothing against bold letters.
pub(crate) fn is_bold() -> bool {
    let colours = std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
    colours && io::stdout().is_terminal()
}

/// Writes an answer to standard output.
pub(crate) fn print(kind: &'static str, answer: &Answer, format: Format) -> io::Result<()> {
    let mut text = Vec::new();
    write(&mut text, kind, answer, (format, is_bold()))?;
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

fn write(
    out: &mut Vec<u8>,
    kind: &'static str,
    answer: &Answer,
    (format, bold): (Format, bool),
) -> io::Result<()> {
    if format.is_json() {
        let items = match answer {
            Answer::Table(table) => table.json(),
            Answer::Pages(pages) => pages.iter().map(Page::json).collect(),
        };
        return write_json(out, kind, items, format);
    }
    match answer {
        Answer::Table(table) => write_table(out, table, (format, bold)),
        Answer::Pages(pages) => {
            for (at, page) in pages.iter().enumerate() {
                if at > 0 {
                    writeln!(out)?;
                }
                write_page(out, page, (format, bold))?;
            }
            Ok(())
        }
    }
}

fn write_json(
    out: &mut Vec<u8>,
    kind: &'static str,
    items: Vec<Json>,
    format: Format,
) -> io::Result<()> {
    let head = || vec![("ottla", Json::Number(VERSION)), ("kind", Json::text(kind))];
    if format == Format::Json {
        let mut document = head();
        document.push(("items", Json::List(items)));
        return writeln!(out, "{}", Json::Object(document));
    }
    for item in items {
        let Json::Object(fields) = item else { unreachable!("items are objects") };
        let fields = head().into_iter().chain(fields).collect();
        writeln!(out, "{}", Json::Object(fields))?;
    }
    Ok(())
}

fn write_table(out: &mut Vec<u8>, table: &Table, (format, bold): (Format, bool)) -> io::Result<()> {
    match format {
        Format::Table | Format::Wide => {
            let shown = |column: &Column| format == Format::Wide || !column.wide;
            table::write(out, table, shown, bold)
        }
        Format::Tsv => lines::write(out, table, '\t', escape),
        Format::Csv => lines::write(out, table, ',', quote),
        Format::Json | Format::Jsonl => unreachable!("written as objects"),
    }
}

fn write_page(out: &mut Vec<u8>, page: &Page, (format, bold): (Format, bool)) -> io::Result<()> {
    let width = page.fields.iter().map(|(column, _)| column.title.len()).max().unwrap_or(0);
    for (column, cell) in &page.fields {
        match format {
            Format::Csv => {
                writeln!(out, "{},{}", quote(column.title), quote(cell.plain()))?;
            }
            Format::Tsv => writeln!(out, "{}\t{}", column.title, escape(cell.plain()))?,
            _ => writeln!(out, "{:<width$}  {}", column.title, cell.text)?,
        }
    }
    for (title, table) in page.tables.iter().filter(|(_, table)| table.len() > 0) {
        writeln!(out)?;
        if format.is_for_people() && page.tables.len() > 1 {
            writeln!(out, "{}", title.title)?;
        }
        write_table(out, table, (format, bold))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("NAME", "name"),
        Column::number("SIZE", "size"),
        Column::text("NOTE", "note").wide(),
    ];

    fn check(format: Format, expected: &str) {
        let mut table = Table::new(COLUMNS);
        table.row([Cell::text("a,b"), Cell::bytes(1_500), Cell::none()]);
        table.row([Cell::text("c\td"), Cell::bytes(7), Cell::text("say \"x\"\n")]);
        let mut out = Vec::new();
        write(&mut out, "things", &Answer::Table(table), (format, false)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{format:?}");
    }

    #[test]
    fn each_form_has_its_own_spelling() {
        check(Format::Table, "NAME     SIZE\na,b    1.5 kB\nc\\td  7 bytes\n");
        check(
            Format::Wide,
            "NAME     SIZE  NOTE\na,b    1.5 kB  -\nc\\td  7 bytes  say \"x\"\\n\n",
        );
        check(Format::Tsv, "NAME\tSIZE\tNOTE\na,b\t1500\t-\nc\\td\t7\tsay \"x\"\\n\n");
        check(Format::Csv, "NAME,SIZE,NOTE\n\"a,b\",1500,-\nc\td,7,\"say \"\"x\"\"\n\"\n");
        check(
            Format::Json,
            "{\"ottla\":1,\"kind\":\"things\",\"items\":[\
             {\"name\":\"a,b\",\"size\":1500,\"note\":null},\
             {\"name\":\"c\\td\",\"size\":7,\"note\":\"say \\\"x\\\"\\n\"}]}\n",
        );
        check(
            Format::Jsonl,
            "{\"ottla\":1,\"kind\":\"things\",\"name\":\"a,b\",\"size\":1500,\"note\":null}\n\
             {\"ottla\":1,\"kind\":\"things\",\"name\":\"c\\td\",\"size\":7,\
             \"note\":\"say \\\"x\\\"\\n\"}\n",
        );
    }
}
