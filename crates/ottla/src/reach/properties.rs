//! Kafka's properties of clients, as far as they are served, for `-X` and profiles.

use std::time::Duration;

use ottla_client::ProducerBuilder;
use ottla_client::{Acks, ClientBuilder, Compression, ConsumerBuilder, GroupProtocol, Isolation};

/// What was said of a client; `None` where nothing was.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientProperties {
    pub(crate) bootstrap: Option<String>,
    client_id: Option<String>,
    pub(super) request_timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    acks: Option<Acks>,
    linger: Option<Duration>,
    batch_bytes: Option<usize>,
    buffer_bytes: Option<u32>,
    delivery_timeout: Option<Duration>,
    compression: Option<Compression>,
    isolation: Option<Isolation>,
    fetch_min_bytes: Option<i32>,
    fetch_max_wait: Option<Duration>,
    fetch_max_bytes: Option<i32>,
    partition_max_bytes: Option<i32>,
    group_protocol: Option<GroupProtocol>,
    group_instance: Option<String>,
    session_timeout: Option<Duration>,
    heartbeat_interval: Option<Duration>,
    poll_interval_max: Option<Duration>,
}

/// One property: its name, what it takes, and where that goes.
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) takes: &'static str,
    set: fn(&mut ClientProperties, &str) -> Option<()>,
}

const fn property(
    name: &'static str,
    takes: &'static str,
    set: fn(&mut ClientProperties, &str) -> Option<()>,
) -> Property {
    Property { name, takes, set }
}

macro_rules! into {
    ($field:ident, $parse:expr) => {
        |properties, value| {
            properties.$field = Some($parse(value)?);
            Some(())
        }
    };
}

/// Alphabetically.
pub(crate) const PROPERTIES: &[Property] = &[
    property("acks", "0, 1, all", into!(acks, acks)),
    property("batch.size", "bytes", into!(batch_bytes, number)),
    property("bootstrap.servers", "host:port,...", into!(bootstrap, text)),
    property("buffer.memory", "bytes", into!(buffer_bytes, number)),
    property("client.id", "a name", into!(client_id, text)),
    property("compression.type", "none, gzip, snappy, lz4, zstd", into!(compression, compression)),
    property("delivery.timeout.ms", "milliseconds", into!(delivery_timeout, millis)),
    property("fetch.max.bytes", "bytes", into!(fetch_max_bytes, size)),
    property("fetch.max.wait.ms", "milliseconds", into!(fetch_max_wait, millis)),
    property("fetch.min.bytes", "bytes", into!(fetch_min_bytes, size)),
    property("group.instance.id", "a name", into!(group_instance, text)),
    property("group.protocol", "classic, consumer", into!(group_protocol, protocol)),
    property("heartbeat.interval.ms", "milliseconds", into!(heartbeat_interval, millis)),
    property("isolation.level", "read_uncommitted, read_committed", into!(isolation, isolation)),
    property("linger.ms", "milliseconds", into!(linger, millis)),
    property("max.partition.fetch.bytes", "bytes", into!(partition_max_bytes, size)),
    property("max.poll.interval.ms", "milliseconds", into!(poll_interval_max, millis)),
    property("request.timeout.ms", "milliseconds", into!(request_timeout, millis)),
    property("security.protocol", "PLAINTEXT", |_, value| (value == "PLAINTEXT").then_some(())),
    property("session.timeout.ms", "milliseconds", into!(session_timeout, millis)),
    property("socket.connection.setup.timeout.ms", "milliseconds", into!(connect_timeout, millis)),
];

fn number<T: std::str::FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

fn size(value: &str) -> Option<i32> {
    number(value).filter(|size| *size >= 0)
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn millis(value: &str) -> Option<Duration> {
    number(value).map(Duration::from_millis)
}

pub(crate) fn acks(value: &str) -> Option<Acks> {
    match value {
        "all" | "-1" => Some(Acks::All),
        "1" => Some(Acks::Leader),
        "0" => Some(Acks::None),
        _ => None,
    }
}

pub(crate) fn compression(value: &str) -> Option<Compression> {
    match value {
        "none" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip),
        "snappy" => Some(Compression::Snappy),
        "lz4" => Some(Compression::Lz4),
        "zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

fn isolation(value: &str) -> Option<Isolation> {
    match value {
        "read_uncommitted" => Some(Isolation::ReadUncommitted),
        "read_committed" => Some(Isolation::ReadCommitted),
        _ => None,
    }
}

fn protocol(value: &str) -> Option<GroupProtocol> {
    match value.to_ascii_lowercase().as_str() {
        "classic" => Some(GroupProtocol::Classic),
        "consumer" => Some(GroupProtocol::Consumer),
        _ => None,
    }
}

impl ClientProperties {
    /// Takes a property over what was said before.
    ///
    /// # Errors
    /// When there is none of that name, or the value makes no sense for it.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let Some(property) = PROPERTIES.iter().find(|each| each.name == name) else {
            let known = PROPERTIES.iter().map(|each| each.name);
            let near = crate::near::suggestion(name, known);
            return Err(format!(
                "no property {name} is served by this client{near}; those that are: {}",
                PROPERTIES.iter().map(|each| each.name).collect::<Vec<_>>().join(", ")
            ));
        };
        let wrong = || match name {
            "security.protocol" => format!(
                "{name}={value}: this version speaks PLAINTEXT only, no TLS and no passwords"
            ),
            _ => format!("{name}={value}: it takes {}", property.takes),
        };
        (property.set)(self, value).ok_or_else(wrong)
    }

    pub(super) fn client(&self, mut builder: ClientBuilder) -> ClientBuilder {
        let Self { client_id, request_timeout, connect_timeout, .. } = self;
        builder = builder.client_id(client_id.as_deref().unwrap_or("ottla-cli"));
        builder = builder.request_timeout(request_timeout.unwrap_or(Duration::from_secs(15)));
        builder.connect_timeout(connect_timeout.unwrap_or(Duration::from_secs(5)))
    }

    /// The protocol of groups, where one was named.
    pub(crate) const fn group_protocol(&self) -> Option<GroupProtocol> {
        self.group_protocol
    }

    pub(crate) fn producer(&self, mut builder: ProducerBuilder) -> ProducerBuilder {
        if let Some(acks) = self.acks {
            builder = builder.acks(acks);
        }
        if let Some(linger) = self.linger {
            builder = builder.linger(linger);
        }
        if let Some(compression) = self.compression {
            builder = builder.compression(compression);
        }
        if let Some(bytes) = self.batch_bytes {
            builder = builder.batch_bytes(bytes);
        }
        if let Some(bytes) = self.buffer_bytes {
            builder = builder.buffer_bytes(bytes);
        }
        builder.delivery_timeout(self.delivery_timeout.unwrap_or(Duration::from_secs(30)))
    }

    /// `usual`: bytes of an answer and of one partition in it, where nothing was said.
    pub(crate) fn consumer(
        &self,
        mut builder: ConsumerBuilder,
        usual: (i32, i32),
    ) -> ConsumerBuilder {
        if let Some(isolation) = self.isolation {
            builder = builder.isolation(isolation);
        }
        if let Some(protocol) = self.group_protocol {
            builder = builder.protocol(protocol);
        }
        if let Some(instance) = &self.group_instance {
            builder = builder.instance(instance);
        }
        if let Some(timeout) = self.session_timeout {
            builder = builder.session_timeout(timeout);
        }
        if let Some(interval) = self.heartbeat_interval {
            builder = builder.heartbeat_interval(interval);
        }
        if let Some(interval) = self.poll_interval_max {
            builder = builder.poll_interval_max(interval);
        }
        let all = self.fetch_max_bytes.unwrap_or(usual.0);
        let wait = self.fetch_max_wait.unwrap_or(Duration::from_millis(500));
        builder
            .fetch_wait(self.fetch_min_bytes.unwrap_or(1), wait)
            .fetch_bytes(all, self.partition_max_bytes.unwrap_or(usual.1))
    }

    /// How long operators' requests are tried.
    pub(super) fn admin_timeout(&self) -> Duration {
        self.request_timeout.unwrap_or(Duration::from_secs(15))
    }
}
