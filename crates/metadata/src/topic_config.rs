//! The properties of topics: which there are, which of them are served, what they may be.

use std::collections::BTreeMap;

use ottla_types::TimestampType;

/// A property that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfigProperty {
    /// Kafka's name.
    pub name: &'static str,
    /// What its value may be.
    kind: Kind,
    /// Kafka has it for tests: it is never listed.
    pub internal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A whole number of 32 bits, not less than `min`.
    Int { min: i32 },
    /// One of `words`, of which only `served` are accepted yet.
    Word { words: &'static [&'static str], served: &'static [&'static str] },
    /// A list of `words`, of which only the list `served` is accepted yet.
    List { words: &'static [&'static str], served: &'static str },
}

const CLEANUP_POLICY: &str = "cleanup.policy";
const COMPRESSION_TYPE: &str = "compression.type";
const INTERNAL_SEGMENT_BYTES: &str = "internal.segment.bytes";
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const SEGMENT_BYTES: &str = "segment.bytes";

/// Every property that a topic may set, by name. What is not enforced is not accepted.
#[rustfmt::skip]
pub const TOPIC_CONFIGS: [TopicConfigProperty; 6] = [
    property(CLEANUP_POLICY, Kind::List { words: &["compact", "delete"], served: "delete" }),
    property(COMPRESSION_TYPE, Kind::Word {
        words: &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
        served: &["producer"],
    }),
    TopicConfigProperty {
        name: INTERNAL_SEGMENT_BYTES,
        kind: Kind::Int { min: 256 },
        internal: true,
    },
    property(MAX_MESSAGE_BYTES, Kind::Int { min: 0 }),
    property(TIMESTAMP_TYPE, Kind::Word {
        words: &["CreateTime", "LogAppendTime"],
        served: &["CreateTime", "LogAppendTime"],
    }),
    property(SEGMENT_BYTES, Kind::Int { min: 1 << 20 }),
];

/// Every other property that Kafka 4.3 has for topics: known, refused, one step each away.
pub const UNSUPPORTED_TOPIC_CONFIGS: [&str; 28] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

const fn property(name: &'static str, kind: Kind) -> TopicConfigProperty {
    TopicConfigProperty { name, kind, internal: false }
}

/// The settings of a topic. Holding one means they are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `segment.bytes`: when a log segment is full.
    pub segment_bytes: u32,
    /// `max.message.bytes`: the largest batch that is taken.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
}

/// One setting of a topic, as it is told to whoever asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveTopicConfig {
    /// The property.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Where the value comes from.
    pub source: ConfigSource,
}

/// Where the value of a property comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// The topic's own properties.
    Topic,
    /// The broker's properties.
    Broker,
    /// Nobody set it.
    Default,
}

/// Why a property is refused. The words are Kafka's, where Kafka refuses too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// Kafka has no such property.
    #[error("Unknown topic config name: {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Kafka has the property, Ottla does not yet.
    #[error("Topic config {name} is not supported by this version of Ottla")]
    UnsupportedName {
        /// The name.
        name: String,
    },
    /// Kafka has the value, Ottla does not yet.
    #[error("Topic config {name}={value} is not supported by this version of Ottla")]
    UnsupportedValue {
        /// The name.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// The value is not of the property's type.
    #[error("Invalid value {value} for configuration {name}: Not a number of type INT")]
    NotANumber {
        /// The name.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// The number is too small.
    #[error("Invalid value {value} for configuration {name}: Value must be at least {min}")]
    TooSmall {
        /// The name.
        name: &'static str,
        /// The number.
        value: i32,
        /// The smallest that is legal.
        min: i32,
    },
    /// The word is none of the legal ones.
    #[error("Invalid value {value} for configuration {name}: String must be one of: {}",
        words.join(", "))]
    NotOneOf {
        /// The name.
        name: &'static str,
        /// The word.
        value: String,
        /// The legal ones.
        words: &'static [&'static str],
    },
    /// The values of properties are text.
    #[error("Null value not supported for topic configs: {names}")]
    Null {
        /// The names of the properties without a value, parted by commas.
        names: String,
    },
}

impl TopicConfig {
    /// Kafka's defaults.
    pub const KAFKA: Self = Self {
        segment_bytes: 1 << 30,
        max_message_bytes: (1 << 20) + 12,
        timestamp_type: TimestampType::CreateTime,
    };

    /// Checks properties that somebody wants to set: names before values, as Kafka does.
    ///
    /// # Errors
    /// The first property that is refused.
    pub fn check(properties: &BTreeMap<String, String>) -> Result<(), TopicConfigError> {
        let known =
            |name: &String| find(name).map(|_| ()).map_err(|refused| (unsupported(name), refused));
        let refused = properties.keys().filter_map(|name| known(name).err());
        // An unknown name is a mistake, an unsupported one is our debt: the mistake is told first.
        if let Some((_, error)) = refused.min_by_key(|(unsupported, _)| *unsupported) {
            return Err(error);
        }
        properties.iter().try_for_each(|(name, value)| find(name)?.check(value))
    }

    /// These defaults, with a topic's own properties over them. Properties that are not served have
    /// no effect: Apache Kafka may have stored them.
    #[must_use]
    pub fn with(self, properties: &BTreeMap<String, String>) -> Self {
        let number = |name, default| {
            let value = properties.get(name).and_then(|text: &String| text.trim().parse().ok());
            value.unwrap_or(default)
        };
        let segment_bytes = number(SEGMENT_BYTES, self.segment_bytes);
        let timestamp_type = properties.get(TIMESTAMP_TYPE).map(|word| word.trim());
        Self {
            segment_bytes: number(INTERNAL_SEGMENT_BYTES, segment_bytes),
            max_message_bytes: number(MAX_MESSAGE_BYTES, self.max_message_bytes),
            timestamp_type: match timestamp_type {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                Some("CreateTime") => TimestampType::CreateTime,
                Some(_) | None => self.timestamp_type,
            },
        }
    }

    /// Every setting of a topic with these properties of its own, by name: those that are served,
    /// and whatever else was stored for it, which Apache Kafka may have done.
    #[must_use]
    pub fn effective(&self, own: &BTreeMap<String, String>) -> Vec<EffectiveTopicConfig> {
        let served = TOPIC_CONFIGS.iter().filter(|property| !property.internal);
        let mut all: BTreeMap<_, _> =
            served.map(|property| (property.name, self.default_of(property))).collect();
        let names = TOPIC_CONFIGS.iter().map(|property| property.name);
        for name in names.chain(UNSUPPORTED_TOPIC_CONFIGS) {
            if let Some(value) = own.get(name) {
                all.insert(name, (value.clone(), ConfigSource::Topic));
            }
        }
        let told = |(name, (value, source))| EffectiveTopicConfig { name, value, source };
        all.into_iter().map(told).collect()
    }

    fn default_of(&self, property: &TopicConfigProperty) -> (String, ConfigSource) {
        let value = self.value_of(property);
        let is_kafkas = value == Self::KAFKA.value_of(property);
        (value, if is_kafkas { ConfigSource::Default } else { ConfigSource::Broker })
    }

    fn value_of(&self, property: &TopicConfigProperty) -> String {
        match property.name {
            SEGMENT_BYTES | INTERNAL_SEGMENT_BYTES => self.segment_bytes.to_string(),
            MAX_MESSAGE_BYTES => self.max_message_bytes.to_string(),
            TIMESTAMP_TYPE => match self.timestamp_type {
                TimestampType::CreateTime => "CreateTime".to_owned(),
                TimestampType::LogAppendTime => "LogAppendTime".to_owned(),
            },
            COMPRESSION_TYPE => "producer".to_owned(),
            CLEANUP_POLICY => "delete".to_owned(),
            other => unreachable!("{other} is not in the table"),
        }
    }
}

fn unsupported(name: &str) -> bool {
    UNSUPPORTED_TOPIC_CONFIGS.contains(&name)
}

fn find(name: &str) -> Result<&'static TopicConfigProperty, TopicConfigError> {
    TOPIC_CONFIGS.iter().find(|property| property.name == name).ok_or_else(|| {
        let name = name.to_owned();
        if unsupported(&name) {
            TopicConfigError::UnsupportedName { name }
        } else {
            TopicConfigError::Unknown { name }
        }
    })
}

impl TopicConfigProperty {
    /// Kafka trims a value before it looks at it.
    fn check(&self, value: &str) -> Result<(), TopicConfigError> {
        let (name, value) = (self.name, value.trim());
        match self.kind {
            Kind::Int { min } => check_int(name, value, min),
            Kind::Word { words, served } => {
                check_word(name, value, words)?;
                accept(served.contains(&value), name, value)
            }
            Kind::List { words, served } => {
                let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty());
                items().try_for_each(|item| check_word(name, item, words))?;
                accept(!value.is_empty() && items().all(|item| item == served), name, value)
            }
        }
    }
}

fn check_int(name: &'static str, value: &str, min: i32) -> Result<(), TopicConfigError> {
    match value.parse::<i32>() {
        Ok(number) if number >= min => Ok(()),
        Ok(value) => Err(TopicConfigError::TooSmall { name, value, min }),
        Err(_) => Err(TopicConfigError::NotANumber { name, value: value.to_owned() }),
    }
}

fn check_word(
    name: &'static str,
    value: &str,
    words: &'static [&'static str],
) -> Result<(), TopicConfigError> {
    if words.contains(&value) {
        return Ok(());
    }
    Err(TopicConfigError::NotOneOf { name, value: value.to_owned(), words })
}

fn accept(served: bool, name: &'static str, value: &str) -> Result<(), TopicConfigError> {
    if served {
        return Ok(());
    }
    Err(TopicConfigError::UnsupportedValue { name, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where Kafka refuses, these are the words of a broker of 4.3.1.
    #[test]
    #[rustfmt::skip]
    fn topic_properties_are_refused_in_kafkas_words() {
        let int = "Not a number of type INT";
        let policy = "String must be one of: compact, delete";
        check("segment.bytes=1048576", "");
        check("segment.bytes= 1048576 ", "");
        check("segment.bytes=abc", &format!("Invalid value abc for configuration segment.bytes: {int}"));
        check("segment.bytes=99999999999", &format!("Invalid value 99999999999 for configuration segment.bytes: {int}"));
        check("segment.bytes=", &format!("Invalid value  for configuration segment.bytes: {int}"));
        check("segment.bytes=100", "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576");
        check("internal.segment.bytes=256", "");
        check("max.message.bytes=-1", "Invalid value -1 for configuration max.message.bytes: Value must be at least 0");
        check("message.timestamp.type=LogAppendTime", "");
        check("message.timestamp.type=foo", "Invalid value foo for configuration message.timestamp.type: String must be one of: CreateTime, LogAppendTime");
        check("cleanup.policy=delete", "");
        check("cleanup.policy=delete,delete", "");
        check("cleanup.policy=delete,foo", &format!("Invalid value foo for configuration cleanup.policy: {policy}"));
        check("cleanup.policy=compact", "Topic config cleanup.policy=compact is not supported by this version of Ottla");
        check("cleanup.policy=compact,delete", "Topic config cleanup.policy=compact,delete is not supported by this version of Ottla");
        check("cleanup.policy=", "Topic config cleanup.policy= is not supported by this version of Ottla");
        check("compression.type=producer", "");
        check("compression.type=zstd", "Topic config compression.type=zstd is not supported by this version of Ottla");
        check("compression.type=foo", "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer");
        check("no.such=1", "Unknown topic config name: no.such");
        check("retention.ms=1", "Topic config retention.ms is not supported by this version of Ottla");
        check("segment.bytes=abc no.such=x", "Unknown topic config name: no.such");
        check("flush.ms=1 no.such=x", "Unknown topic config name: no.such");
    }

    fn check(properties: &str, refusal: &str) {
        let outcome = TopicConfig::check(&parse(properties));
        assert_eq!(outcome.map_or_else(|e| e.to_string(), |()| String::new()), refusal);
    }

    fn parse(properties: &str) -> BTreeMap<String, String> {
        let one = |text: &str| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        if properties.ends_with(' ') {
            return one(properties).into_iter().collect();
        }
        properties.split(' ').filter_map(one).collect()
    }

    #[test]
    fn stored_properties_go_over_the_defaults() {
        let text = "segment.bytes=2000000 message.timestamp.type=LogAppendTime retention.ms=1";
        let config = TopicConfig::KAFKA.with(&parse(text));
        assert_eq!(config.segment_bytes, 2_000_000);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
        let text = "segment.bytes=2000000 internal.segment.bytes=4096";
        assert_eq!(TopicConfig::KAFKA.with(&parse(text)).segment_bytes, 4096);
    }

    #[test]
    fn what_apache_stored_is_told_as_it_is() {
        let own = parse("cleanup.policy=compact retention.ms=1 segment.bytes=2000000");
        let told = TopicConfig { max_message_bytes: 7, ..TopicConfig::KAFKA }.effective(&own);
        let told: Vec<_> =
            told.iter().map(|c| format!("{}={} {:?}", c.name, c.value, c.source)).collect();
        assert_eq!(
            told,
            [
                "cleanup.policy=compact Topic",
                "compression.type=producer Default",
                "max.message.bytes=7 Broker",
                "message.timestamp.type=CreateTime Default",
                "retention.ms=1 Topic",
                "segment.bytes=2000000 Topic",
            ]
        );
    }

    #[test]
    fn every_property_of_kafka_is_in_exactly_one_list() {
        let served: Vec<_> = TOPIC_CONFIGS.iter().map(|property| property.name).collect();
        assert!(served.is_sorted() && UNSUPPORTED_TOPIC_CONFIGS.is_sorted());
        assert!(!served.iter().any(|name| unsupported(name)));
        assert_eq!(served.len() + UNSUPPORTED_TOPIC_CONFIGS.len(), 34);
        for property in &TOPIC_CONFIGS {
            let value = TopicConfig::KAFKA.value_of(property);
            assert_eq!(property.check(&value), Ok(()), "{}", property.name);
        }
    }
}
