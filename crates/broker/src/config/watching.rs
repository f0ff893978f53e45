//! What a person or a program sees of a node: HTTP, and what is written to its log.

use ottla_metadata::ConfigRule;

use super::Listener;
use super::listener::parse_http;
use super::property::{Described, Property, Reader, STRING, Update};

/// How the events of a node are written: `ottla.log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON document a line.
    Json,
}

/// The least important events that are written: `ottla.log.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// Unexpected, but served.
    #[default]
    Warn,
    /// A state has changed.
    Info,
    /// For whoever looks for a mistake.
    Debug,
}

impl LogFormat {
    /// Reads a property's value.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("text or json is needed".to_owned()),
        }
    }
}

impl LogLevel {
    /// Reads a property's value.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err("error, warn, info or debug is needed".to_owned()),
        }
    }
}

/// What others see of a node.
#[derive(Clone, Debug)]
pub struct WatchingConfig {
    /// Where metrics and health are told; `None`: nowhere.
    pub http_listener: Option<Listener>,
    /// How events are written.
    pub log_format: LogFormat,
    /// Which events are.
    pub log_level: LogLevel,
}

impl WatchingConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let http_listener = reader.read(&HTTP_LISTENER).flatten();
        let (log_format, log_level) = (reader.read(&LOG_FORMAT), reader.read(&LOG_LEVEL));
        Some(Self { http_listener, log_format: log_format?, log_level: log_level? })
    }
}

static HTTP_LISTENER: Property<Option<Listener>> = Property {
    name: "ottla.http.listener",
    synonym: None,
    default: None,
    rule: STRING,
    update: Update::ReadOnly,
    doc: "Where the node answers HTTP, as http://HOST:PORT: /metrics for Prometheus, /health and \
          /ready. Whoever reaches it may read it: there is no password. Where absent or empty, \
          nowhere.",
    parse: parse_http,
};

const FORMATS: &[&str] = &["text", "json"];

static LOG_FORMAT: Property<LogFormat> = Property {
    name: "ottla.log.format",
    synonym: None,
    default: Some("text"),
    rule: ConfigRule::Word { words: FORMATS, served: FORMATS },
    update: Update::ReadOnly,
    doc: "How the node writes what happens to it to standard error: `text` for people, `json` for \
          programs, a document a line.",
    parse: LogFormat::parse,
};

const LEVELS: &[&str] = &["error", "warn", "info", "debug"];

static LOG_LEVEL: Property<LogLevel> = Property {
    name: "ottla.log.level",
    synonym: None,
    default: Some("warn"),
    rule: ConfigRule::Word { words: LEVELS, served: LEVELS },
    update: Update::ReadOnly,
    doc: "What of it the node writes: `error` where a person must act, `warn` also what was \
          unexpected and served all the same, `info` also changes of its state, `debug` also what \
          helps to find a mistake.",
    parse: LogLevel::parse,
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[&HTTP_LISTENER, &LOG_FORMAT, &LOG_LEVEL];
