//! The table of topic properties: which are served, and what their values may be.

use std::collections::BTreeMap;

use super::TopicConfig;

/// A property that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfigProperty {
    /// Kafka's name.
    pub name: &'static str,
    /// What its value may be.
    kind: Kind,
    /// The broker properties that a topic inherits it from, the one that counts most first.
    pub synonyms: &'static [&'static str],
    /// Kafka has it for tests: it is never listed.
    pub internal: bool,
}

/// The type of a property's values, as DescribeConfigs names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicConfigType {
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A word.
    String,
    /// Words, parted by commas.
    List,
}

impl TopicConfigType {
    /// Kafka's name.
    const fn word(self) -> &'static str {
        match self {
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::String => "STRING",
            Self::List => "LIST",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A whole number of 32 bits, not less than `min`.
    Int { min: i32 },
    /// A whole number of 64 bits, not less than `min`.
    Long { min: i64 },
    /// One of `words`, of which only `served` are accepted yet.
    Word { words: &'static [&'static str], served: &'static [&'static str] },
    /// A list of `words`, perhaps an empty one; only `served` is accepted in it yet.
    List { words: &'static [&'static str], served: &'static str },
}

pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const COMPRESSION_TYPE: &str = "compression.type";
pub(super) const FILE_DELETE_DELAY_MS: &str = "file.delete.delay.ms";
pub(super) const INDEX_INTERVAL_BYTES: &str = "index.interval.bytes";
pub(super) const INTERNAL_SEGMENT_BYTES: &str = "internal.segment.bytes";
pub(super) const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
pub(super) const TIMESTAMP_AFTER_MAX_MS: &str = "message.timestamp.after.max.ms";
pub(super) const TIMESTAMP_BEFORE_MAX_MS: &str = "message.timestamp.before.max.ms";
pub(super) const TIMESTAMP_TYPE: &str = "message.timestamp.type";
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
pub(super) const RETENTION_BYTES: &str = "retention.bytes";
pub(super) const RETENTION_MS: &str = "retention.ms";
pub(super) const SEGMENT_BYTES: &str = "segment.bytes";
pub(super) const SEGMENT_INDEX_BYTES: &str = "segment.index.bytes";
pub(super) const SEGMENT_JITTER_MS: &str = "segment.jitter.ms";
pub(super) const SEGMENT_MS: &str = "segment.ms";

/// The words of `cleanup.policy`.
pub(super) const COMPACT: &str = "compact";
/// See [`COMPACT`].
pub(super) const DELETE: &str = "delete";

/// Every property that a topic may set, by name. What is not enforced is not accepted.
#[rustfmt::skip]
pub const TOPIC_CONFIGS: [TopicConfigProperty; 16] = [
    property(CLEANUP_POLICY, Kind::List { words: &[COMPACT, DELETE], served: DELETE },
        &["log.cleanup.policy"]),
    property(COMPRESSION_TYPE, Kind::Word {
        words: &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
        served: &["producer"],
    }, &["compression.type"]),
    property(FILE_DELETE_DELAY_MS, Kind::Long { min: 0 }, &["log.segment.delete.delay.ms"]),
    property(INDEX_INTERVAL_BYTES, Kind::Int { min: 0 }, &["log.index.interval.bytes"]),
    TopicConfigProperty {
        name: INTERNAL_SEGMENT_BYTES,
        kind: Kind::Int { min: 256 },
        synonyms: &[],
        internal: true,
    },
    property(MAX_MESSAGE_BYTES, Kind::Int { min: 0 }, &["message.max.bytes"]),
    property(TIMESTAMP_AFTER_MAX_MS, Kind::Long { min: 0 }, &["log.message.timestamp.after.max.ms"]),
    property(TIMESTAMP_BEFORE_MAX_MS, Kind::Long { min: 0 }, &["log.message.timestamp.before.max.ms"]),
    property(TIMESTAMP_TYPE, Kind::Word {
        words: &["CreateTime", "LogAppendTime"],
        served: &["CreateTime", "LogAppendTime"],
    }, &["log.message.timestamp.type"]),
    // Of one replica, one is always in sync: Kafka asks for no more than there are, either.
    property(MIN_INSYNC_REPLICAS, Kind::Int { min: 1 }, &["min.insync.replicas"]),
    property(RETENTION_BYTES, Kind::Long { min: i64::MIN }, &["log.retention.bytes"]),
    property(RETENTION_MS, Kind::Long { min: -1 },
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"]),
    property(SEGMENT_BYTES, Kind::Int { min: 1 << 20 }, &["log.segment.bytes"]),
    property(SEGMENT_INDEX_BYTES, Kind::Int { min: 4 }, &["log.index.size.max.bytes"]),
    property(SEGMENT_JITTER_MS, Kind::Long { min: 0 },
        &["log.roll.jitter.ms", "log.roll.jitter.hours"]),
    property(SEGMENT_MS, Kind::Long { min: 1 }, &["log.roll.ms", "log.roll.hours"]),
];

/// Every other property that Kafka 4.3 has for topics: known, refused, one step each away.
pub const UNSUPPORTED_TOPIC_CONFIGS: [&str; 18] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "delete.retention.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "unclean.leader.election.enable",
];

const fn property(
    name: &'static str,
    kind: Kind,
    synonyms: &'static [&'static str],
) -> TopicConfigProperty {
    TopicConfigProperty { name, kind, synonyms, internal: false }
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
    #[error("Invalid value {value} for configuration {name}: Not a number of type {word}",
        word = .of.word())]
    NotANumber {
        /// The name.
        name: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        of: TopicConfigType,
    },
    /// The number is too small.
    #[error("Invalid value {value} for configuration {name}: Value must be at least {min}")]
    TooSmall {
        /// The name.
        name: &'static str,
        /// The number.
        value: i64,
        /// The smallest that is legal.
        min: i64,
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
    /// There is nothing between two commas of a list.
    #[error("Configuration '{name}' values must not be empty.")]
    EmptyItem {
        /// The name.
        name: &'static str,
    },
    /// The values of properties are text.
    #[error("Null value not supported for topic configs: {names}")]
    Null {
        /// The names of the properties without a value, parted by commas.
        names: String,
    },
}

impl TopicConfig {
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
}

fn unsupported(name: &str) -> bool {
    UNSUPPORTED_TOPIC_CONFIGS.contains(&name)
}

fn find(name: &str) -> Result<&'static TopicConfigProperty, TopicConfigError> {
    TopicConfigProperty::named(name).ok_or_else(|| {
        let name = name.to_owned();
        if unsupported(&name) {
            TopicConfigError::UnsupportedName { name }
        } else {
            TopicConfigError::Unknown { name }
        }
    })
}

impl TopicConfigProperty {
    /// The property of that name, if it is served.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        TOPIC_CONFIGS.iter().find(|property| property.name == name)
    }

    /// The type of its values.
    #[must_use]
    pub const fn value_type(&self) -> TopicConfigType {
        match self.kind {
            Kind::Int { .. } => TopicConfigType::Int,
            Kind::Long { .. } => TopicConfigType::Long,
            Kind::Word { .. } => TopicConfigType::String,
            Kind::List { .. } => TopicConfigType::List,
        }
    }

    /// Kafka trims a value before it looks at it.
    ///
    /// # Errors
    /// When a topic cannot have the value.
    pub fn check(&self, value: &str) -> Result<(), TopicConfigError> {
        let (name, value) = (self.name, value.trim());
        match self.kind {
            Kind::Int { min } => {
                let number = value.parse::<i32>().map(i64::from).ok();
                check_number(name, value, number, i64::from(min), TopicConfigType::Int)
            }
            Kind::Long { min } => {
                let number = value.parse().ok();
                check_number(name, value, number, min, TopicConfigType::Long)
            }
            Kind::Word { words, served } => {
                check_word(name, value, words)?;
                accept(served.contains(&value), name, value)
            }
            // An empty list is a list; one of an empty item is a mistake.
            Kind::List { .. } if value.is_empty() => Ok(()),
            Kind::List { words, served } => {
                let items = || value.split(',').map(str::trim);
                if items().any(str::is_empty) {
                    return Err(TopicConfigError::EmptyItem { name });
                }
                items().try_for_each(|item| check_word(name, item, words))?;
                accept(items().all(|item| item == served), name, value)
            }
        }
    }
}

fn check_number(
    name: &'static str,
    value: &str,
    number: Option<i64>,
    min: i64,
    of: TopicConfigType,
) -> Result<(), TopicConfigError> {
    match number {
        Some(number) if number >= min => Ok(()),
        Some(value) => Err(TopicConfigError::TooSmall { name, value, min }),
        None => Err(TopicConfigError::NotANumber { name, value: value.to_owned(), of }),
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
        check("cleanup.policy=", "");
        check("cleanup.policy=,", "Configuration 'cleanup.policy' values must not be empty.");
        check("cleanup.policy=delete,", "Configuration 'cleanup.policy' values must not be empty.");
        check("cleanup.policy=delete,foo", &format!("Invalid value foo for configuration cleanup.policy: {policy}"));
        check("cleanup.policy=Delete", &format!("Invalid value Delete for configuration cleanup.policy: {policy}"));
        check("cleanup.policy=compact", "Topic config cleanup.policy=compact is not supported by this version of Ottla");
        check("cleanup.policy=compact,delete", "Topic config cleanup.policy=compact,delete is not supported by this version of Ottla");
        check("compression.type=producer", "");
        check("compression.type=zstd", "Topic config compression.type=zstd is not supported by this version of Ottla");
        check("compression.type=foo", "Invalid value foo for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer");
        check("retention.ms=-1", "");
        check("retention.ms=-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1");
        check("retention.ms=abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG");
        check("retention.ms=99999999999999999999", "Invalid value 99999999999999999999 for configuration retention.ms: Not a number of type LONG");
        check("retention.bytes=-5", "");
        check("segment.ms=0", "Invalid value 0 for configuration segment.ms: Value must be at least 1");
        check("segment.index.bytes=3", "Invalid value 3 for configuration segment.index.bytes: Value must be at least 4");
        check("min.insync.replicas=0", "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1");
        check("min.insync.replicas=5", "");
        check("no.such=1", "Unknown topic config name: no.such");
        check("preallocate=true", "Topic config preallocate is not supported by this version of Ottla");
        check("segment.bytes=abc no.such=x", "Unknown topic config name: no.such");
        check("flush.ms=1 no.such=x", "Unknown topic config name: no.such");
    }

    fn check(properties: &str, refusal: &str) {
        let outcome = TopicConfig::check(&super::super::tests::parse(properties));
        assert_eq!(outcome.map_or_else(|e| e.to_string(), |()| String::new()), refusal);
    }

    #[test]
    fn every_property_of_kafka_is_in_exactly_one_list() {
        let served: Vec<_> = TOPIC_CONFIGS.iter().map(|property| property.name).collect();
        assert!(served.is_sorted() && UNSUPPORTED_TOPIC_CONFIGS.is_sorted());
        assert!(!served.iter().any(|name| unsupported(name)));
        assert_eq!(served.len() + UNSUPPORTED_TOPIC_CONFIGS.len(), 34);
    }
}
