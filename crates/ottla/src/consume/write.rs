//! How records are written: by a format, for people, or as JSON.

use std::io::{self, IsTerminal as _, Write};

use ottla_client::ConsumerRecord;
use ottla_types::Timestamp;

use crate::kcat::Surroundings;
use crate::show::{Format, escape, quote};
use crate::template::Template;
use crate::{json, words};

/// What waits before it is written at most.
const BUFFER_BYTES: usize = 256 * 1024;

/// How records are written.
#[derive(Clone, Debug)]
pub(super) enum Style {
    Template(Template),
    /// Place, time, key and value, for somebody who looks on; the key stands out in bold.
    People {
        bold: bool,
    },
    /// One JSON document a line.
    Json,
    /// The same, as kcat has it.
    Kcat(Surroundings),
    /// Values with tabs between them, titles first.
    Tabs,
    /// The same with commas, as RFC 4180 has it.
    Commas,
}

/// The columns of values.
const TITLES: [&str; 6] = ["TOPIC", "PARTITION", "OFFSET", "TIMESTAMP", "KEY", "VALUE"];

impl Style {
    /// `template` and `format` as they were given: values in a pipe, more on a terminal.
    pub(super) fn chosen(template: Option<&Template>, format: Option<Format>) -> Self {
        match (template, format) {
            (Some(template), _) => Self::Template(template.clone()),
            (None, Some(Format::Json | Format::Jsonl)) => Self::Json,
            (None, Some(Format::Table | Format::Wide)) => Self::people(),
            (None, Some(Format::Tsv)) => Self::Tabs,
            (None, Some(Format::Csv)) => Self::Commas,
            (None, None) if io::stdout().is_terminal() => Self::people(),
            (None, None) => Self::Template(Template::value_lines()),
        }
    }

    fn people() -> Self {
        Self::People { bold: crate::show::is_bold() }
    }
}

/// Standard output, written to in large pieces.
pub(super) struct Writer {
    style: Style,
    buffer: Vec<u8>,
    out: io::Stdout,
    written: u64,
}

impl Writer {
    pub(super) fn new(style: Style) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES * 2);
        match style {
            Style::Tabs => buffer.extend_from_slice((TITLES.join("\t") + "\n").as_bytes()),
            Style::Commas => buffer.extend_from_slice((TITLES.join(",") + "\n").as_bytes()),
            Style::Template(_) | Style::People { .. } | Style::Json | Style::Kcat(_) => {}
        }
        Self { style, buffer, out: io::stdout(), written: 0 }
    }

    pub(super) fn record(&mut self, record: &ConsumerRecord) -> io::Result<()> {
        match &self.style {
            Style::Template(template) => template.write(&mut self.buffer, record),
            Style::People { bold } => for_people(&mut self.buffer, record, *bold),
            Style::Json => as_json(&mut self.buffer, record),
            Style::Kcat(known) => as_kcat_json(&mut self.buffer, record, known),
            Style::Tabs => as_values(&mut self.buffer, record, b'\t'),
            Style::Commas => as_values(&mut self.buffer, record, b','),
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
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        out.flush()
    }

    /// Bytes that are out.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }
}

/// One record, whatever its key and its value look like. None of these is told from an empty one:
/// by `\N` among tabs; among commas by the quotes of what is empty.
fn as_values(out: &mut Vec<u8>, record: &ConsumerRecord, between: u8) {
    let is_csv = between == b',';
    let spelled = if is_csv { quote } else { escape };
    out.extend_from_slice(record.partition.topic.as_str().as_bytes());
    let time = record.timestamp.map_or(-1, Timestamp::millis);
    for number in [record.partition.partition.get().into(), record.offset.get(), time] {
        out.push(between);
        write!(out, "{number}").expect("a Vec takes everything");
    }
    for bytes in [&record.key, &record.value] {
        out.push(between);
        match bytes.as_deref() {
            None if is_csv => {}
            None => out.extend_from_slice(b"\\N"),
            Some([]) if is_csv => out.extend_from_slice(b"\"\""),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => out.extend_from_slice(spelled(text).as_bytes()),
                Err(_) => out.extend_from_slice(words::hex(bytes).as_bytes()),
            },
        }
    }
    out.push(b'\n');
}

fn for_people(out: &mut Vec<u8>, record: &ConsumerRecord, bold: bool) {
    let shown = |bytes: &Option<bytes::Bytes>| match bytes.as_deref() {
        None => "-".to_owned(),
        Some(bytes) => match words::text(bytes) {
            Some(text) => text.to_owned(),
            None => words::hex(bytes),
        },
    };
    let (topic, partition) = (&record.partition.topic, record.partition.partition);
    let (mut key, value) = (shown(&record.key), shown(&record.value));
    if bold && record.key.is_some() {
        key = format!("\x1b[1m{key}\x1b[0m");
    }
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

/// A document as kcat writes it: bytes that are no text are written as the text nearest to them.
fn as_kcat_json(out: &mut Vec<u8>, record: &ConsumerRecord, known: &Surroundings) {
    use json::Json;
    let text = |bytes: &[u8]| Json::text(String::from_utf8_lossy(bytes));
    let bytes = |bytes: &Option<bytes::Bytes>| bytes.as_deref().map_or(Json::Null, text);
    let topic = &record.partition.topic;
    let partition = usize::try_from(record.partition.partition.get()).unwrap_or(usize::MAX);
    let leader = known.topics.get(topic).and_then(|topic| topic.partitions.get(partition)?.leader);
    let kind = match record.timestamp {
        None => "unknown",
        Some(_) if known.by_append.contains(topic) => "logappend",
        Some(_) => "create",
    };
    let mut fields = vec![
        ("topic", Json::text(topic.as_str())),
        ("partition", Json::Number(record.partition.partition.get().into())),
        ("offset", Json::Number(record.offset.get())),
        ("tstype", Json::text(kind)),
        ("ts", Json::Number(record.timestamp.map_or(0, Timestamp::millis))),
        ("broker", Json::Number(leader.unwrap_or(-1).into())),
    ];
    if !record.headers.is_empty() {
        let headers = record.headers.iter();
        let pairs = headers.flat_map(|(name, value)| [text(name), bytes(value)]);
        fields.push(("headers", Json::List(pairs.collect())));
    }
    fields.extend([("key", bytes(&record.key)), ("payload", bytes(&record.value))]);
    writeln!(out, "{}", Json::Object(fields)).expect("a Vec takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ottla_types::Offset;

    fn check(key: Option<&'static [u8]>, value: Option<&'static [u8]>, tabs: &str, commas: &str) {
        let record = ConsumerRecord {
            partition: ottla_client::partition("t", 1).unwrap(),
            offset: Offset::new(7),
            timestamp: Some(Timestamp::from_millis(9)),
            key: key.map(Bytes::from_static),
            value: value.map(Bytes::from_static),
            headers: Vec::new(),
            leader_epoch: None,
        };
        for (between, expected) in [(b'\t', tabs), (b',', commas)] {
            let mut out = Vec::new();
            as_values(&mut out, &record, between);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
        }
    }

    #[test]
    fn values_can_be_told_apart() {
        check(Some(b"k"), Some(b"v"), "t\t1\t7\t9\tk\tv", "t,1,7,9,k,v");
        check(None, None, "t\t1\t7\t9\t\\N\t\\N", "t,1,7,9,,");
        check(Some(b""), Some(b""), "t\t1\t7\t9\t\t", "t,1,7,9,\"\",\"\"");
        check(
            Some(b"a\tb"),
            Some(b"x,\"y\"\nz"),
            "t\t1\t7\t9\ta\\tb\tx,\"y\"\\nz",
            "t,1,7,9,a\tb,\"x,\"\"y\"\"\nz\"",
        );
        check(Some(b"\\N"), Some(b"\xff\0"), "t\t1\t7\t9\t\\\\N\t0xff00", "t,1,7,9,\\N,0xff00");
    }
}
