//! The properties of topics: which there are, which of them are served, what they may be.

mod property;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ottla_types::{Timestamp, TimestampType};

pub use property::{
    TOPIC_CONFIGS, TopicConfigError, TopicConfigProperty, UNSUPPORTED_TOPIC_CONFIGS,
};

use crate::config_rule::Mismatch;

use property::{
    CLEANUP_POLICY, COMPACT, COMPRESSION_TYPE, DELETE, DELETE_RETENTION_MS, FILE_DELETE_DELAY_MS,
    INDEX_INTERVAL_BYTES, INTERNAL_SEGMENT_BYTES, MAX_COMPACTION_LAG_MS, MAX_MESSAGE_BYTES,
    MIN_CLEANABLE_RATIO, MIN_COMPACTION_LAG_MS, MIN_INSYNC_REPLICAS, RETENTION_BYTES, RETENTION_MS,
    SEGMENT_BYTES, SEGMENT_INDEX_BYTES, SEGMENT_JITTER_MS, SEGMENT_MS, TIMESTAMP_AFTER_MAX_MS,
    TIMESTAMP_BEFORE_MAX_MS, TIMESTAMP_TYPE,
};

/// The settings of a topic. Holding one means they are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `cleanup.policy`: what becomes of old records.
    pub cleanup: CleanupPolicy,
    /// `delete.retention.ms`: how long a tombstone stays once a compaction has met it.
    pub delete_retention: Duration,
    /// `file.delete.delay.ms`: how long the files of what was deleted stay.
    pub file_delete_delay: Duration,
    /// `index.interval.bytes`: bytes of log between two entries of its index.
    pub index_interval_bytes: u32,
    /// `max.compaction.lag.ms`: how long a record may wait to be compacted.
    pub max_compaction_lag: Duration,
    /// `max.message.bytes`: the largest batch that is taken.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`: how far ahead of the leader's clock a record may be.
    pub timestamp_after_max: Duration,
    /// `message.timestamp.before.max.ms`: how far behind it.
    pub timestamp_before_max: Duration,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`: how much of a log has to be dirty before it is compacted.
    pub min_cleanable_ratio: CleanableRatio,
    /// `min.compaction.lag.ms`: how long a record stays as it is.
    pub min_compaction_lag: Duration,
    /// `min.insync.replicas`: how many replicas must be in sync for an append with acks=all; no
    /// more than there are.
    pub min_insync_replicas: u32,
    /// `retention.bytes`: what a partition's size is kept down to; `None`: it may grow for ever.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`: how long a record is kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// `segment.bytes`: when a log segment is full.
    pub segment_bytes: u32,
    /// `segment.index.bytes`: when its index is.
    pub segment_index_bytes: u32,
    /// `segment.jitter.ms`: what segments are rolled early by, at the most, so that not all are
    /// rolled at once.
    pub segment_jitter: Duration,
    /// `segment.ms`: the time of records that a segment may span.
    pub segment_age: Duration,
}

/// A part of a log, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanableRatio(u64);

impl CleanableRatio {
    /// The part as a number.
    #[must_use]
    pub const fn new(ratio: f64) -> Self {
        Self(ratio.to_bits())
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl fmt::Display for CleanableRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}

/// What becomes of old records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// They stay until somebody deletes them.
    Keep,
    /// They go when they are too old, or too many.
    Delete,
    /// They go when a newer one has their key.
    Compact,
    /// Both.
    CompactAndDelete,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigSource {
    /// The topic's own properties.
    Topic,
    /// The group's own properties.
    Group,
    /// What was set for the broker while it ran.
    DynamicBroker,
    /// What was set for all brokers while they ran.
    DynamicDefault,
    /// The properties that the broker was started with.
    Broker,
    /// Nobody set it.
    Default,
}

impl CleanupPolicy {
    /// Reads a list of policies; of words that are none, nothing is taken.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        let has = |word| list.split(',').any(|item| item.trim() == word);
        match (has(COMPACT), has(DELETE)) {
            (false, false) => Self::Keep,
            (false, true) => Self::Delete,
            (true, false) => Self::Compact,
            (true, true) => Self::CompactAndDelete,
        }
    }

    /// Whether records go because of newer ones with their keys.
    #[must_use]
    pub const fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactAndDelete)
    }

    /// Whether records go because of their age, or of their number.
    #[must_use]
    pub const fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactAndDelete)
    }
}

impl fmt::Display for CleanupPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "",
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::CompactAndDelete => "compact,delete",
        })
    }
}

/// The longest time that a property can tell.
const MILLIS_MAX: Duration = Duration::from_millis(i64::MAX.cast_unsigned());

impl TopicConfig {
    /// Kafka's defaults.
    pub const KAFKA: Self = Self {
        cleanup: CleanupPolicy::Delete,
        delete_retention: Duration::from_hours(24),
        file_delete_delay: Duration::from_mins(1),
        index_interval_bytes: 4 << 10,
        max_compaction_lag: MILLIS_MAX,
        max_message_bytes: (1 << 20) + 12,
        timestamp_after_max: Duration::from_hours(1),
        timestamp_before_max: MILLIS_MAX,
        timestamp_type: TimestampType::CreateTime,
        min_cleanable_ratio: CleanableRatio::new(0.5),
        min_compaction_lag: Duration::ZERO,
        min_insync_replicas: 1,
        retention_bytes: None,
        retention: Some(Duration::from_hours(168)),
        segment_bytes: 1 << 30,
        segment_index_bytes: 10 << 20,
        segment_jitter: Duration::ZERO,
        segment_age: Duration::from_hours(168),
    };

    /// These defaults, with a topic's own properties over them. Properties that are not served, and
    /// values that no topic can have, have no effect: Apache Kafka may have stored them.
    #[must_use]
    pub fn with(self, properties: &BTreeMap<String, String>) -> Self {
        let own = Own(properties);
        let segment_bytes = own.count(SEGMENT_BYTES, self.segment_bytes);
        Self {
            cleanup: own.text(CLEANUP_POLICY).map_or(self.cleanup, CleanupPolicy::parse),
            delete_retention: own.millis(DELETE_RETENTION_MS, self.delete_retention),
            file_delete_delay: own.millis(FILE_DELETE_DELAY_MS, self.file_delete_delay),
            index_interval_bytes: own.count(INDEX_INTERVAL_BYTES, self.index_interval_bytes),
            max_compaction_lag: own.millis(MAX_COMPACTION_LAG_MS, self.max_compaction_lag),
            max_message_bytes: own.count(MAX_MESSAGE_BYTES, self.max_message_bytes),
            timestamp_after_max: own.millis(TIMESTAMP_AFTER_MAX_MS, self.timestamp_after_max),
            timestamp_before_max: own.millis(TIMESTAMP_BEFORE_MAX_MS, self.timestamp_before_max),
            timestamp_type: match own.text(TIMESTAMP_TYPE) {
                Some("LogAppendTime") => TimestampType::LogAppendTime,
                Some("CreateTime") => TimestampType::CreateTime,
                Some(_) | None => self.timestamp_type,
            },
            min_cleanable_ratio: match own.text(MIN_CLEANABLE_RATIO).map(str::parse) {
                Some(Ok(ratio)) => CleanableRatio::new(ratio),
                Some(Err(_)) | None => self.min_cleanable_ratio,
            },
            min_compaction_lag: own.millis(MIN_COMPACTION_LAG_MS, self.min_compaction_lag),
            min_insync_replicas: own.count(MIN_INSYNC_REPLICAS, self.min_insync_replicas),
            retention_bytes: match own.number(RETENTION_BYTES) {
                None => self.retention_bytes,
                Some(bytes) => u64::try_from(bytes).ok(),
            },
            retention: match own.number(RETENTION_MS) {
                None => self.retention,
                Some(millis) => u64::try_from(millis).ok().map(Duration::from_millis),
            },
            segment_bytes: own.count(INTERNAL_SEGMENT_BYTES, segment_bytes),
            segment_index_bytes: own.count(SEGMENT_INDEX_BYTES, self.segment_index_bytes),
            segment_jitter: own.millis(SEGMENT_JITTER_MS, self.segment_jitter),
            segment_age: own.millis(SEGMENT_MS, self.segment_age),
        }
    }

    /// The range of legal producers' timestamps at a moment, both ends included. The first may lie
    /// before 1970: then records may be of any age.
    #[must_use]
    pub fn legal_timestamps(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let earliest = now.millis().saturating_sub(millis(self.timestamp_before_max));
        let latest = now.millis().saturating_add(millis(self.timestamp_after_max));
        (Timestamp::from_millis(earliest), Timestamp::from_millis(latest))
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
                // Kafka tells a value without the spaces around it.
                all.insert(name, (value.trim().to_owned(), ConfigSource::Topic));
            }
        }
        let told = |(name, (value, source))| EffectiveTopicConfig { name, value, source };
        all.into_iter().map(told).collect()
    }

    /// What a topic has where it says nothing itself; `None` if no topic has the property.
    #[must_use]
    pub fn value_named(&self, name: &str) -> Option<String> {
        TopicConfigProperty::named(name).map(|property| self.value_of(property))
    }

    fn default_of(&self, property: &TopicConfigProperty) -> (String, ConfigSource) {
        let value = self.value_of(property);
        let is_kafkas = value == Self::KAFKA.value_of(property);
        (value, if is_kafkas { ConfigSource::Default } else { ConfigSource::Broker })
    }

    fn value_of(&self, property: &TopicConfigProperty) -> String {
        let or_unlimited =
            |count: Option<u128>| count.map_or_else(|| "-1".to_owned(), |n| n.to_string());
        match property.name {
            CLEANUP_POLICY => self.cleanup.to_string(),
            COMPRESSION_TYPE => "producer".to_owned(),
            DELETE_RETENTION_MS => self.delete_retention.as_millis().to_string(),
            MAX_COMPACTION_LAG_MS => self.max_compaction_lag.as_millis().to_string(),
            MIN_CLEANABLE_RATIO => self.min_cleanable_ratio.to_string(),
            MIN_COMPACTION_LAG_MS => self.min_compaction_lag.as_millis().to_string(),
            FILE_DELETE_DELAY_MS => self.file_delete_delay.as_millis().to_string(),
            INDEX_INTERVAL_BYTES => self.index_interval_bytes.to_string(),
            MAX_MESSAGE_BYTES => self.max_message_bytes.to_string(),
            TIMESTAMP_AFTER_MAX_MS => self.timestamp_after_max.as_millis().to_string(),
            TIMESTAMP_BEFORE_MAX_MS => self.timestamp_before_max.as_millis().to_string(),
            TIMESTAMP_TYPE => match self.timestamp_type {
                TimestampType::CreateTime => "CreateTime".to_owned(),
                TimestampType::LogAppendTime => "LogAppendTime".to_owned(),
            },
            MIN_INSYNC_REPLICAS => self.min_insync_replicas.to_string(),
            RETENTION_BYTES => or_unlimited(self.retention_bytes.map(u128::from)),
            RETENTION_MS => or_unlimited(self.retention.map(|retention| retention.as_millis())),
            SEGMENT_BYTES | INTERNAL_SEGMENT_BYTES => self.segment_bytes.to_string(),
            SEGMENT_INDEX_BYTES => self.segment_index_bytes.to_string(),
            SEGMENT_JITTER_MS => self.segment_jitter.as_millis().to_string(),
            SEGMENT_MS => self.segment_age.as_millis().to_string(),
            other => unreachable!("{other} is not in the table"),
        }
    }
}

/// A topic's own properties, as far as a topic can have them.
struct Own<'a>(&'a BTreeMap<String, String>);

impl<'a> Own<'a> {
    /// `None` too for what cannot be.
    fn text(&self, name: &str) -> Option<&'a str> {
        let property = TopicConfigProperty::named(name).expect("only served properties are read");
        let value = self.0.get(name)?.trim();
        match property.rule.check(value) {
            // What is not done yet is no mistake.
            Ok(()) | Err(Mismatch::Unserved) => Some(value),
            Err(_) => None,
        }
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    fn count(&self, name: &str, default: u32) -> u32 {
        self.number(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
    }

    fn millis(&self, name: &str, default: Duration) -> Duration {
        let millis = self.number(name).and_then(|number| u64::try_from(number).ok());
        millis.map_or(default, Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(properties: &str) -> BTreeMap<String, String> {
        let one = |text: &str| text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        if properties.ends_with(' ') {
            return one(properties).into_iter().collect();
        }
        properties.split(' ').filter_map(one).collect()
    }

    #[test]
    fn stored_properties_go_over_the_defaults() {
        let text = "segment.bytes=2000000 message.timestamp.type=LogAppendTime preallocate=true";
        let config = TopicConfig::KAFKA.with(&parse(text));
        assert_eq!(config.segment_bytes, 2_000_000);
        assert_eq!(config.max_message_bytes, 1_048_588);
        assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
        let text = "segment.bytes=2000000 internal.segment.bytes=4096";
        assert_eq!(TopicConfig::KAFKA.with(&parse(text)).segment_bytes, 4096);
    }

    #[test]
    #[rustfmt::skip]
    fn a_stored_policy_says_what_may_be_deleted() {
        let (week, ever) = (Some(604_800_000), None);
        check("",                                      CleanupPolicy::Delete,           week,       None);
        check("retention.ms=5000",                     CleanupPolicy::Delete,           Some(5000), None);
        check("retention.ms=-1 retention.bytes=100",   CleanupPolicy::Delete,           ever,       Some(100));
        check("retention.ms=0 retention.bytes=-7",     CleanupPolicy::Delete,           Some(0),    None);
        check("cleanup.policy=",                       CleanupPolicy::Keep,             week,       None);
        check("cleanup.policy=compact retention.ms=1", CleanupPolicy::Compact,          Some(1),    None);
        check("cleanup.policy=delete,compact",         CleanupPolicy::CompactAndDelete, week,       None);
        // No broker stores these; if one did, records would not go because of them.
        check("cleanup.policy=nonsense",               CleanupPolicy::Delete,           week,       None);
        check("retention.ms=-2 retention.bytes=x",     CleanupPolicy::Delete,           week,       None);
    }

    fn check(text: &str, policy: CleanupPolicy, millis: Option<u64>, bytes: Option<u64>) {
        let config = TopicConfig::KAFKA.with(&parse(text));
        assert_eq!(config.cleanup, policy, "{text}");
        assert_eq!(config.retention, millis.map(Duration::from_millis), "{text}");
        assert_eq!(config.retention_bytes, bytes, "{text}");
    }

    #[test]
    fn what_apache_stored_is_told_as_it_is() {
        let own = parse("cleanup.policy=compact preallocate=true segment.bytes=2000000");
        let told = TopicConfig { max_message_bytes: 7, ..TopicConfig::KAFKA }.effective(&own);
        let told: Vec<_> =
            told.iter().map(|c| format!("{}={} {:?}", c.name, c.value, c.source)).collect();
        assert_eq!(
            told,
            [
                "cleanup.policy=compact Topic",
                "compression.type=producer Default",
                "delete.retention.ms=86400000 Default",
                "file.delete.delay.ms=60000 Default",
                "index.interval.bytes=4096 Default",
                "max.compaction.lag.ms=9223372036854775807 Default",
                "max.message.bytes=7 Broker",
                "message.timestamp.after.max.ms=3600000 Default",
                "message.timestamp.before.max.ms=9223372036854775807 Default",
                "message.timestamp.type=CreateTime Default",
                "min.cleanable.dirty.ratio=0.5 Default",
                "min.compaction.lag.ms=0 Default",
                "min.insync.replicas=1 Default",
                "preallocate=true Topic",
                "retention.bytes=-1 Default",
                "retention.ms=604800000 Default",
                "segment.bytes=2000000 Topic",
                "segment.index.bytes=10485760 Default",
                "segment.jitter.ms=0 Default",
                "segment.ms=604800000 Default",
            ]
        );
    }

    #[test]
    fn every_default_is_a_value_that_a_topic_may_set_and_reads_back_as_itself() {
        let all = TOPIC_CONFIGS.iter();
        let own: BTreeMap<String, String> = all
            .map(|property| (property.name.to_owned(), TopicConfig::KAFKA.value_of(property)))
            .collect();
        assert_eq!(TopicConfig::check(&own), Ok(()));
        assert_eq!(TopicConfig::KAFKA.with(&own), TopicConfig::KAFKA);
    }
}
