//! How records are written: by a format, for people, or as JSON.

use std::io::{self, IsTerminal as _, Write};

use ottla_client::ConsumerRecord;
use ottla_types::Timestamp;

use crate::show::Format;
use crate::template::Template;
use crate::{json, words};

/// What waits before it is written at most.
const BUFFER_BYTES: usize = 256 * 1024;

/// How records are written.
#[derive(Clone, Debug)]
pub(super) enum Style {
    Template(Template),
    /// Place, time, key and value, for somebody who looks on.
    People,
    /// One JSON document a line.
    Json,
}

impl Style {
    /// `template` and `format` as they were given: values in a pipe, more on a terminal.
    pub(super) fn chosen(template: Option<&Template>, format: Option<Format>) -> Self {
        match (template, format) {
            (Some(template), _) => Self::Template(template.clone()),
            (None, Some(Format::Json | Format::Jsonl)) => Self::Json,
            (None, Some(Format::Table | Format::Wide)) => Self::People,
            (None, Some(Format::Tsv)) => tabs("%t\\t%p\\t%o\\t%T\\t%k\\t%v\\n"),
            (None, Some(Format::Csv)) => tabs("%t,%p,%o,%T,%k,%v\\n"),
            (None, None) if io::stdout().is_terminal() => Self::People,
            (None, None) => Self::Template(Template::value_lines()),
        }
    }
}

fn tabs(format: &str) -> Style {
    Style::Template(Template::parse(format).expect("it is one of ours"))
}

/// Standard output, written to in large pieces.
pub(super) struct Writer {
    style: Style,
    buffer: Vec<u8>,
    out: io::Stdout,
}

impl Writer {
    pub(super) fn new(style: Style) -> Self {
        Self { style, buffer: Vec::with_capacity(BUFFER_BYTES * 2), out: io::stdout() }
    }

    pub(super) fn record(&mut self, record: &ConsumerRecord) -> io::Result<()> {
        match &self.style {
            Style::Template(template) => template.write(&mut self.buffer, record),
            Style::People => for_people(&mut self.buffer, record),
            Style::Json => as_json(&mut self.buffer, record),
        }
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Before anything that may take a while.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut out = self.out.lock();
        out.write_all(&self.buffer)?;
        self.buffer.clear();
        out.flush()
    }
}

fn for_people(out: &mut Vec<u8>, record: &ConsumerRecord) {
    let shown = |bytes: &Option<bytes::Bytes>| match bytes.as_deref() {
        None => "-".to_owned(),
        Some(bytes) => match words::text(bytes) {
            Some(text) => text.to_owned(),
            None => words::hex(bytes),
        },
    };
    let (topic, partition) = (&record.partition.topic, record.partition.partition);
    let (key, value) = (shown(&record.key), shown(&record.value));
    let time = words::time(record.timestamp);
    let line = format!("{topic}[{partition}]@{}  {time}  {key}  {value}", record.offset);
    out.extend_from_slice(line.as_bytes());
    for (name, value) in &record.headers {
        let name = String::from_utf8_lossy(name).into_owned();
        let header = format!("  {name}={}", shown(value));
        out.extend_from_slice(header.as_bytes());
    }
    out.push(b'\n');
}

fn as_json(out: &mut Vec<u8>, record: &ConsumerRecord) {
    use json::Json;
    let bytes = |bytes: &Option<bytes::Bytes>| match bytes.as_deref() {
        None => Json::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Json::text(text),
            Err(_) => Json::Object(vec![("hex", Json::Text(words::hex(bytes)))]),
        },
    };
    let header = |(name, value): &(bytes::Bytes, Option<bytes::Bytes>)| {
        let name = Json::text(String::from_utf8_lossy(name));
        Json::Object(vec![("name", name), ("value", bytes(value))])
    };
    let document = Json::Object(vec![
        ("ottla", Json::Number(1)),
        ("kind", Json::text("record")),
        ("topic", Json::text(record.partition.topic.as_str())),
        ("partition", Json::Number(record.partition.partition.get().into())),
        ("offset", Json::Number(record.offset.get())),
        ("timestamp", Json::optional(record.timestamp.map(Timestamp::millis))),
        ("key", bytes(&record.key)),
        ("value", bytes(&record.value)),
        ("headers", Json::List(record.headers.iter().map(header).collect())),
    ]);
    writeln!(out, "{document}").expect("a Vec takes everything");
}
