//! What Apache's tools are told of the client: properties of Java's client, in files and on the
//! command line.

use std::collections::BTreeMap;
use std::fs;

use super::flags::Given;
use super::thrown::Thrown;
use super::{ToolError, complain};
use crate::reach::properties::{ClientProperties, PROPERTIES};

/// Properties, by what takes them.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) client: ClientProperties,
    /// Those that the tool serves itself.
    pub(super) own: BTreeMap<String, String>,
}

/// Properties that say how the client is to do what it does in its own way: where nothing depends
/// on them, they are taken with a note.
const WITHOUT_EFFECT: &[&str] = &[
    "bootstrap.controllers",
    "check.crcs",
    "client.dns.lookup",
    "connections.max.idle.ms",
    "default.api.timeout.ms",
    "enable.metrics.push",
    "key.deserializer",
    "key.serializer",
    "log.level",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "metadata.max.age.ms",
    "metadata.recovery.strategy",
    "metrics.num.samples",
    "metrics.sample.window.ms",
    "partitioner.adaptive.partitioning.enable",
    "partitioner.availability.timeout.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "value.deserializer",
    "value.serializer",
];

/// Properties of a consumer that say what a tool does rather than its client.
pub(super) const READERS_OWN: [&str; 5] = [
    "group.id",
    "auto.offset.reset",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "max.poll.records",
];

/// Properties of Kafka's clients that mean something, and that this client does not serve.
const REFUSED: &[&str] = &[
    "allow.auto.create.topics",
    "client.rack",
    "config.providers",
    "enable.idempotence",
    "exclude.internal.topics",
    "group.remote.assignor",
    "interceptor.classes",
    "max.request.size",
    "metric.reporters",
    "partition.assignment.strategy",
    "transaction.timeout.ms",
    "transactional.id",
];

const REFUSED_PREFIXES: &[&str] = &["sasl.", "ssl.", "security.", "config.providers."];

/// The exception of Kafka's clients for properties that make no sense.
fn refused(message: String) -> ToolError {
    ToolError::thrown("org.apache.kafka.common.config.ConfigException", message)
}

impl Settings {
    /// What a tool's properties are where nobody says anything else.
    pub(super) fn usual(usual: &[(&str, &str)]) -> Self {
        let mut settings = Self::default();
        for (name, value) in usual {
            settings.client.set(name, value).expect("a tool's own properties are served");
        }
        settings
    }

    /// What a tool was given in the files of the options `files` and the pairs of the options
    /// `pairs`; what comes later counts more. `own` are the properties that it serves itself.
    pub(super) fn read(
        mut self,
        given: &Given,
        (files, pairs): (&[&str], &[&str]),
        own: &[&str],
    ) -> Result<Self, ToolError> {
        for option in files {
            for path in given.words(option) {
                for (name, value) in properties_of(path)? {
                    self.take(&name, &value, own)?;
                }
            }
        }
        for option in pairs {
            for pair in given.words(option) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                self.take(name, value, own)?;
            }
        }
        Ok(self)
    }

    /// What most tools are given: a server, and a file of properties.
    pub(super) fn of_admin(given: &Given) -> Result<Self, ToolError> {
        let mut settings = Self::default().read(given, (&["command-config"], &[]), &[])?;
        settings.bootstrap(given)?;
        Ok(settings)
    }

    /// The servers that were named.
    pub(super) fn bootstrap(&mut self, given: &Given) -> Result<(), ToolError> {
        match given.word("bootstrap-server")? {
            Some(servers) => self.set("bootstrap.servers", servers),
            None => Ok(()),
        }
    }

    /// Sets a property that the client serves.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), ToolError> {
        self.client.set(name, value).map_err(refused)
    }

    fn take(&mut self, name: &str, value: &str, own: &[&str]) -> Result<(), ToolError> {
        if own.contains(&name) {
            self.own.insert(name.to_owned(), value.to_owned());
        } else if PROPERTIES.iter().any(|known| known.name == name) {
            self.set(name, value)?;
        } else if REFUSED.contains(&name)
            || REFUSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        {
            return Err(refused(format!("{name}={value}: this client does not serve {name}")));
        } else if WITHOUT_EFFECT.contains(&name) {
            complain(&format!("ottla: {name} has no effect on this client"));
        } else {
            complain(&format!("ottla: {name} is no property of this client"));
        }
        Ok(())
    }

    pub(super) fn own(&self, name: &str) -> Option<&str> {
        self.own.get(name).map(String::as_str)
    }

    /// A property of the tool's own that is true or false.
    pub(super) fn own_flag(&self, name: &str) -> Result<Option<bool>, ToolError> {
        let Some(value) = self.own(name) else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(refused(format!(
                "Invalid value {value} for configuration {name}: Expected value to be either true or false"
            ))),
        }
    }

    /// A property of the tool's own that is a number.
    pub(super) fn own_number(&self, name: &str) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.own(name) else { return Ok(None) };
        let wrong = || format!("Invalid value {value} for configuration {name}: Not a number");
        value.parse().map(Some).map_err(|_| refused(wrong()))
    }
}

/// The properties of a file.
pub(super) fn properties_of(path: &str) -> Result<BTreeMap<String, String>, ToolError> {
    let text = read_file(path).map_err(|error| match error {
        // Java's two ways to read a file complain differently.
        ToolError::Thrown(_) if !std::path::Path::new(path).exists() => {
            ToolError::thrown("java.nio.file.NoSuchFileException", path)
        }
        error => error,
    })?;
    let (properties, wrong) = ottla_broker::parse_properties(&text);
    match wrong.as_slice() {
        [] => Ok(properties.into_iter().collect()),
        wrong => Err(refused(format!("{path}: {}", wrong.join("; ")))),
    }
}

/// A file that was named on the command line.
pub(super) fn read_file(path: &str) -> Result<String, ToolError> {
    let failed = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::NotFound => {
            let cause = Thrown::new("java.nio.file.NoSuchFileException", path);
            let told = format!("Unable to read file {path}");
            Thrown::new("java.io.IOException", told).caused_by(&cause).into()
        }
        _ => ToolError::thrown("java.io.IOException", format!("{path}: {why}")),
    };
    let bytes = fs::read(path).map_err(failed)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => {
            let told = format!("{path} is not UTF-8");
            Err(ToolError::thrown("java.nio.charset.MalformedInputException", told))
        }
    }
}
