//! What happens to a node, on standard error: a line for people, or a JSON document a line.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use ottla_broker::{LogFormat, LogLevel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::json::Json;

/// From here on events of this level, and of more important ones, are told.
pub(crate) fn tell(format: LogFormat, level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level);
    match format {
        LogFormat::Json => builder.event_format(Document).init(),
        LogFormat::Text => builder.event_format(Line { coloured: is_coloured() }).init(),
    }
}

/// What <https://no-color.org> asks for.
fn is_coloured() -> bool {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|said| said.is_empty());
    wanted && std::io::stderr().is_terminal()
}

/// One document, as every event is written to `ottla.log.format=json`.
pub(crate) fn document(level: Level, message: &str, fields: Vec<(&'static str, Json)>) -> Json {
    let mut time = String::new();
    // Where the clock cannot be spelled, the rest of the event still counts.
    let _spelled = SystemTime.format_time(&mut Writer::new(&mut time));
    Json::Object(vec![
        ("time", Json::Text(time)),
        ("level", Json::text(level.as_str())),
        ("message", Json::text(message)),
        ("fields", Json::Object(fields)),
    ])
}

/// A line for people.
struct Line {
    coloured: bool,
}

/// A JSON document.
struct Document;

/// What an event consists of.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, Json)>,
}

impl Parts {
    fn of(event: &Event<'_>) -> Self {
        let mut parts = Self::default();
        event.record(&mut parts);
        parts
    }

    fn take(&mut self, field: &Field, value: Json) {
        match (field.name(), value) {
            ("message", Json::Text(text)) => self.message = text,
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, Json::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, Json::text(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, Json::Number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, Json::count(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, Json::Bool(value));
    }
}

impl<S, N> FormatEvent<S, N> for Document
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Parts { message, fields } = Parts::of(event);
        writeln!(writer, "{}", document(*event.metadata().level(), &message, fields))
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let level = *event.metadata().level();
        let (before, after) = if self.coloured { (colour(level), "\u{1b}[0m") } else { ("", "") };
        let Parts { message, fields } = Parts::of(event);
        write!(writer, " {before}{level:>5}{after} {}", Plain(&message))?;
        for (name, value) in fields {
            match value {
                Json::Text(text) => write!(writer, " {name}={}", Plain(&text))?,
                value => write!(writer, " {name}={value}")?,
            }
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        _ => "\u{1b}[32m",
    }
}

/// What stays in its line, and moves no cursor: clients have a say in it.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            c if c.is_control() => write!(f, "{}", c.escape_default()),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Told {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is told of one event, behind its time.
    fn told<E>(format: E) -> String
    where
        E: FormatEvent<
                tracing_subscriber::Registry,
                tracing_subscriber::fmt::format::DefaultFields,
            > + Send
            + Sync
            + 'static,
    {
        let told = Told::default();
        let builder = tracing_subscriber::fmt().with_writer(told.clone()).event_format(format);
        tracing::subscriber::with_default(builder.finish(), || {
            tracing::warn!(topic = "a\"\nb", count = 3_u64, lost = false, "it is \u{7}late");
        });
        let bytes = told.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(bytes).unwrap();
        let at = text.find('Z').unwrap();
        text[at + 1..].to_owned()
    }

    #[test]
    fn an_event_stays_in_its_line() {
        let line = told(Line { coloured: false });
        assert_eq!(line, "  WARN it is \\u{7}late topic=a\"\\nb count=3 lost=false\n");
        let line = told(Line { coloured: true });
        assert!(line.starts_with(" \u{1b}[33m WARN\u{1b}[0m it is"), "{line:?}");
    }

    #[test]
    fn an_event_is_a_document() {
        let expected = "\",\"level\":\"WARN\",\"message\":\"it is \\u0007late\",\
                        \"fields\":{\"topic\":\"a\\\"\\nb\",\"count\":3,\"lost\":false}}\n";
        assert_eq!(told(Document), expected);
    }
}
