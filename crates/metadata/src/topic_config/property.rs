//! The table of topic properties: which are served, and what their values may be.

use std::collections::BTreeMap;

use super::TopicConfig;
use crate::config_rule::{ConfigRule, InvalidValue};

/// A property that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfigProperty {
    /// Kafka's name.
    pub name: &'static str,
    /// What its value may be.
    pub rule: ConfigRule,
    /// The broker properties that a topic inherits it from, the one that counts most first.
    pub synonyms: &'static [&'static str],
    /// Kafka has it for tests: it is never listed.
    pub internal: bool,
    /// What it does, in a sentence, with its unit.
    pub doc: &'static str,
}

pub(super) const CLEANUP_POLICY: &str = "cleanup.policy";
pub(super) const COMPRESSION_TYPE: &str = "compression.type";
pub(super) const DELETE_RETENTION_MS: &str = "delete.retention.ms";
pub(super) const MAX_COMPACTION_LAG_MS: &str = "max.compaction.lag.ms";
pub(super) const MIN_CLEANABLE_RATIO: &str = "min.cleanable.dirty.ratio";
pub(super) const MIN_COMPACTION_LAG_MS: &str = "min.compaction.lag.ms";
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
pub const TOPIC_CONFIGS: [TopicConfigProperty; 20] = [
    property(CLEANUP_POLICY,
        ConfigRule::List { words: &[COMPACT, DELETE], served: &[COMPACT, DELETE] },
        &["log.cleanup.policy"],
        "What becomes of old records: `delete` them by age and size, `compact` so that the newest \
         of each key stays, both, or nothing at all where the list is empty."),
    property(COMPRESSION_TYPE, ConfigRule::Word {
        words: &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
        served: &["producer"],
    }, &["compression.type"],
        "How records are compressed in the log: `producer`, as their producer sent them."),
    property(DELETE_RETENTION_MS, long(0), &["log.cleaner.delete.retention.ms"],
        "How long in milliseconds a tombstone stays in a compacted log, from the first compaction \
         that meets it on."),
    property(FILE_DELETE_DELAY_MS, long(0), &["log.segment.delete.delay.ms"],
        "How long in milliseconds the files of what was deleted stay."),
    property(INDEX_INTERVAL_BYTES, int(0), &["log.index.interval.bytes"],
        "Bytes of log between two entries of the offset index."),
    TopicConfigProperty { internal: true, ..property(INTERNAL_SEGMENT_BYTES, int(256), &[],
        "For tests: `segment.bytes` without its lower bound.") },
    property(MAX_COMPACTION_LAG_MS, long(1), &["log.cleaner.max.compaction.lag.ms"],
        "How long in milliseconds a record may stay without being compacted."),
    property(MAX_MESSAGE_BYTES, int(0), &["message.max.bytes"],
        "The largest record batch in bytes, after compression."),
    property(TIMESTAMP_AFTER_MAX_MS, long(0), &["log.message.timestamp.after.max.ms"],
        "How far in milliseconds a record's time may be ahead of the broker's."),
    property(TIMESTAMP_BEFORE_MAX_MS, long(0), &["log.message.timestamp.before.max.ms"],
        "How far in milliseconds a record's time may be behind the broker's."),
    property(TIMESTAMP_TYPE, ConfigRule::Word {
        words: &["CreateTime", "LogAppendTime"],
        served: &["CreateTime", "LogAppendTime"],
    }, &["log.message.timestamp.type"],
        "Whose time records have: `CreateTime` the producer's, `LogAppendTime` the broker's."),
    property(MIN_CLEANABLE_RATIO, ConfigRule::Double { min: 0, max: Some(1) },
        &["log.cleaner.min.cleanable.ratio"],
        "How much of a log, in bytes, has to be dirty before it is compacted."),
    property(MIN_COMPACTION_LAG_MS, long(0), &["log.cleaner.min.compaction.lag.ms"],
        "How long in milliseconds a record stays as it is before it is compacted."),
    // Of one replica, one is always in sync: Kafka asks for no more than there are, either.
    property(MIN_INSYNC_REPLICAS, int(1), &["min.insync.replicas"],
        "How many replicas must be in sync for an append with acks=all; no more than there are."),
    property(RETENTION_BYTES, long(i64::MIN), &["log.retention.bytes"],
        "The size in bytes that a partition is kept down to, -1 for any."),
    property(RETENTION_MS, long(-1),
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        "How long in milliseconds a record is kept, -1 for ever."),
    property(SEGMENT_BYTES, int(1 << 20), &["log.segment.bytes"],
        "The size in bytes at which a segment file is full."),
    property(SEGMENT_INDEX_BYTES, int(4), &["log.index.size.max.bytes"],
        "The size in bytes at which the index of a segment file is full, and so is the file."),
    property(SEGMENT_JITTER_MS, long(0), &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "How much earlier in milliseconds a segment file may be rolled, so that not all are \
         rolled at once."),
    property(SEGMENT_MS, long(1), &["log.roll.ms", "log.roll.hours"],
        "The time of records in milliseconds that a segment file may span."),
];

/// Every other property that Kafka 4.3 has for topics: known, refused, one step each away.
pub const UNSUPPORTED_TOPIC_CONFIGS: [&str; 14] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "unclean.leader.election.enable",
];

const fn property(
    name: &'static str,
    rule: ConfigRule,
    synonyms: &'static [&'static str],
    doc: &'static str,
) -> TopicConfigProperty {
    TopicConfigProperty { name, rule, synonyms, internal: false, doc }
}

const fn int(min: i32) -> ConfigRule {
    ConfigRule::Int { min, max: i32::MAX }
}

const fn long(min: i64) -> ConfigRule {
    ConfigRule::Long { min }
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
    /// A topic cannot have the value.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Records may not be compacted before they must be.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    Lags {
        /// The shortest time in milliseconds.
        min: u128,
        /// The longest.
        max: u128,
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
        properties.iter().try_for_each(|(name, value)| {
            find(name)?.check(value).map_err(TopicConfigError::from)
        })?;
        let config = Self::KAFKA.with(properties);
        let [min, max] =
            [config.min_compaction_lag, config.max_compaction_lag].map(|lag| lag.as_millis());
        if min > max { Err(TopicConfigError::Lags { min, max }) } else { Ok(()) }
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

    /// Whether a topic can have the value.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, value: &str) -> Result<(), InvalidValue> {
        let told = |why| InvalidValue { name: self.name, value: value.trim().to_owned(), why };
        self.rule.check(value).map_err(told)
    }
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
        check("cleanup.policy=compact", "");
        check("cleanup.policy=compact,delete", "");
        check("min.cleanable.dirty.ratio=0.01", "");
        check("min.cleanable.dirty.ratio=2", "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1");
        check("max.compaction.lag.ms=0", "Invalid value 0 for configuration max.compaction.lag.ms: Value must be at least 1");
        check("min.compaction.lag.ms=5 max.compaction.lag.ms=5", "");
        check("min.compaction.lag.ms=6 max.compaction.lag.ms=5", "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)");
        check("compression.type=producer", "");
        check("compression.type=zstd", "compression.type=zstd is not supported by this version of Ottla");
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
