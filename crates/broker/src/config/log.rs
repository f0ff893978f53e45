//! The properties of logs: what topics inherit, and when old records are looked for.

use std::time::Duration;

use ottla_metadata::{CleanupPolicy, ConfigRule, TopicConfig};
use ottla_types::TimestampType;

use super::cleaner::{self, CleanerSettings};
use super::property::{Described, Property, Reader, Update, int, long, whole};

/// What a node's properties say of all its logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// What a topic has that says nothing itself.
    pub topics: TopicConfig,
    /// `log.retention.check.interval.ms`: how often old records are looked for.
    pub retention_check_interval: Duration,
    /// `log.initial.task.delay.ms`: how long after the start for the first time.
    pub initial_task_delay: Duration,
    /// What bounds how much a start after a crash has to read.
    pub checkpoints: CheckpointPace,
    /// How logs are compacted.
    pub cleaner: CleanerSettings,
}

/// How often checkpoints are written, and how much may be without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPace {
    /// How often the partitions with the most to read again are looked at.
    pub every: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`: how often all partitions are, those with little
    /// included.
    pub all_every: Duration,
    /// What a start after a crash may have to read again of a whole directory, in bytes.
    pub bytes_max: u64,
}

static SEGMENT_BYTES: Property<u32> = Property {
    name: "log.segment.bytes",
    synonym: None,
    default: Some("1073741824"),
    rule: int(1 << 20),
    update: Update::ClusterWide,
    doc: "The size in bytes at which a segment file is full.",
    parse: whole,
};

static COMPRESSION_TYPE: Property<()> = Property {
    name: "compression.type",
    synonym: None,
    default: Some("producer"),
    rule: ConfigRule::Word {
        words: &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"],
        served: &["producer"],
    },
    update: Update::ClusterWide,
    doc: "How records are compressed in the log: `producer`, as their producer sent them.",
    parse: |_| Ok(()),
};

/// Kafka has the same back door, for tests; simulations use it.
static INTERNAL_SEGMENT_BYTES: Property<u32> = Property {
    name: "internal.segment.bytes",
    synonym: None,
    default: None,
    rule: int(256),
    update: Update::ReadOnly,
    doc: "For tests: `log.segment.bytes` without its lower bound.",
    parse: whole,
};

static ROLL_MS: Property<Duration> = Property {
    name: "log.roll.ms",
    synonym: None,
    default: None,
    rule: long(1),
    update: Update::ClusterWide,
    doc: "The time of records in milliseconds that a segment file may span; where absent, \
          `log.roll.hours` says it.",
    parse: |text| whole(text).map(millis),
};

static ROLL_HOURS: Property<Duration> = Property {
    name: "log.roll.hours",
    synonym: None,
    default: Some("168"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "The time of records in hours that a segment file may span.",
    parse: |text| whole(text).map(hours),
};

static ROLL_JITTER_MS: Property<Duration> = Property {
    name: "log.roll.jitter.ms",
    synonym: None,
    default: None,
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How much earlier in milliseconds a segment file may be rolled, so that not all are \
          rolled at once; where absent, `log.roll.jitter.hours` says it.",
    parse: |text| whole(text).map(millis),
};

static ROLL_JITTER_HOURS: Property<Duration> = Property {
    name: "log.roll.jitter.hours",
    synonym: None,
    default: Some("0"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "How much earlier in hours a segment file may be rolled.",
    parse: |text| whole(text).map(hours),
};

static RETENTION_MS: Property<Option<Duration>> = Property {
    name: "log.retention.ms",
    synonym: None,
    default: None,
    rule: long(i64::MIN),
    update: Update::ClusterWide,
    doc: "How long in milliseconds a record is kept, -1 for ever; where absent, \
          `log.retention.minutes` says it.",
    parse: |text| retention(text, 1),
};

static RETENTION_MINUTES: Property<Option<Duration>> = Property {
    name: "log.retention.minutes",
    synonym: None,
    default: None,
    rule: int(i32::MIN),
    update: Update::ReadOnly,
    doc: "How long in minutes a record is kept, -1 for ever; where absent, `log.retention.hours` \
          says it.",
    parse: |text| retention(text, 60_000),
};

static RETENTION_HOURS: Property<Option<Duration>> = Property {
    name: "log.retention.hours",
    synonym: None,
    default: Some("168"),
    rule: int(i32::MIN),
    update: Update::ReadOnly,
    doc: "How long in hours a record is kept, -1 for ever.",
    parse: |text| retention(text, 3_600_000),
};

static RETENTION_BYTES: Property<Option<u64>> = Property {
    name: "log.retention.bytes",
    synonym: None,
    default: Some("-1"),
    rule: long(i64::MIN),
    update: Update::ClusterWide,
    doc: "The size in bytes that a partition is kept down to, -1 for any.",
    parse: |text| whole(text).map(|bytes: i64| u64::try_from(bytes).ok()),
};

static RETENTION_CHECK_INTERVAL: Property<Duration> = Property {
    name: "log.retention.check.interval.ms",
    synonym: None,
    default: Some("300000"),
    rule: long(1),
    update: Update::ReadOnly,
    doc: "How often in milliseconds records are looked for that need not be kept any longer.",
    parse: |text| whole(text).map(millis),
};

static INITIAL_TASK_DELAY: Property<Duration> = Property {
    name: "log.initial.task.delay.ms",
    synonym: None,
    default: Some("30000"),
    rule: long(0),
    update: Update::ReadOnly,
    doc: "How long in milliseconds after the start they are looked for first.",
    parse: |text| whole(text).map(millis),
};

static CHECKPOINT_ALL_INTERVAL: Property<Duration> = Property {
    name: "log.flush.offset.checkpoint.interval.ms",
    synonym: None,
    default: Some("60000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "How often in milliseconds it is written down how much of each log is durable.",
    parse: |text| whole(text).map(millis),
};

/// For tests and simulations, as `internal.segment.bytes`: a machine is gone before so much time
/// has passed, or so much was written.
static CHECKPOINT_INTERVAL: Property<Duration> = Property {
    name: "internal.checkpoint.interval.ms",
    synonym: None,
    default: Some("5000"),
    rule: long(1),
    update: Update::ReadOnly,
    doc: "For tests: how often in milliseconds logs are looked at that have much to checkpoint.",
    parse: |text| whole(text).map(millis),
};

/// By default a tenth of a second with everything in the page cache.
static UNCHECKPOINTED_BYTES: Property<u64> = Property {
    name: "internal.uncheckpointed.bytes",
    synonym: None,
    default: Some("67108864"),
    rule: long(0),
    update: Update::ReadOnly,
    doc: "For tests: how many bytes of a log directory may be without a checkpoint.",
    parse: whole,
};

static CLEANUP_POLICY: Property<CleanupPolicy> = Property {
    name: "log.cleanup.policy",
    synonym: None,
    default: Some("delete"),
    rule: ConfigRule::List { words: &["compact", "delete"], served: &["compact", "delete"] },
    update: Update::ClusterWide,
    doc: "What becomes of old records: `delete` them by age and size, `compact` so that the newest \
          of each key stays, both, or nothing at all where the list is empty.",
    parse: |text| Ok(CleanupPolicy::parse(text)),
};

static DELETE_DELAY: Property<Duration> = Property {
    name: "log.segment.delete.delay.ms",
    synonym: None,
    default: Some("60000"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How long in milliseconds the files of what was deleted stay.",
    parse: |text| whole(text).map(millis),
};

static INDEX_INTERVAL_BYTES: Property<u32> = Property {
    name: "log.index.interval.bytes",
    synonym: None,
    default: Some("4096"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "Bytes of log between two entries of the offset index.",
    parse: whole,
};

static INDEX_SIZE_MAX_BYTES: Property<u32> = Property {
    name: "log.index.size.max.bytes",
    synonym: None,
    default: Some("10485760"),
    rule: int(4),
    update: Update::ClusterWide,
    doc: "The size in bytes at which the index of a segment file is full, and so is the file.",
    parse: whole,
};

static MESSAGE_MAX_BYTES: Property<u32> = Property {
    name: "message.max.bytes",
    synonym: None,
    default: Some("1048588"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "The largest record batch in bytes, after compression.",
    parse: whole,
};

static TIMESTAMP_TYPE: Property<TimestampType> = Property {
    name: "log.message.timestamp.type",
    synonym: None,
    default: Some("CreateTime"),
    rule: ConfigRule::Word {
        words: &["CreateTime", "LogAppendTime"],
        served: &["CreateTime", "LogAppendTime"],
    },
    update: Update::ClusterWide,
    doc: "Whose time records have: `CreateTime` the producer's, `LogAppendTime` the broker's.",
    parse: |text| match text {
        "CreateTime" => Ok(TimestampType::CreateTime),
        "LogAppendTime" => Ok(TimestampType::LogAppendTime),
        _ => Err("CreateTime or LogAppendTime is needed".to_owned()),
    },
};

static TIMESTAMP_BEFORE_MAX: Property<Duration> = Property {
    name: "log.message.timestamp.before.max.ms",
    synonym: None,
    default: Some("9223372036854775807"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How far in milliseconds a record's time may be behind the broker's.",
    parse: |text| whole(text).map(millis),
};

static TIMESTAMP_AFTER_MAX: Property<Duration> = Property {
    name: "log.message.timestamp.after.max.ms",
    synonym: None,
    default: Some("3600000"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How far in milliseconds a record's time may be ahead of the broker's.",
    parse: |text| whole(text).map(millis),
};

static MIN_INSYNC_REPLICAS: Property<u32> = Property {
    name: "min.insync.replicas",
    synonym: None,
    default: Some("1"),
    rule: int(1),
    update: Update::ClusterWide,
    doc: "How many replicas must be in sync for an append with acks=all; no more than there are.",
    parse: whole,
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &COMPRESSION_TYPE,
    &SEGMENT_BYTES,
    &INTERNAL_SEGMENT_BYTES,
    &ROLL_MS,
    &ROLL_HOURS,
    &ROLL_JITTER_MS,
    &ROLL_JITTER_HOURS,
    &RETENTION_MS,
    &RETENTION_MINUTES,
    &RETENTION_HOURS,
    &RETENTION_BYTES,
    &RETENTION_CHECK_INTERVAL,
    &INITIAL_TASK_DELAY,
    &CHECKPOINT_ALL_INTERVAL,
    &CHECKPOINT_INTERVAL,
    &UNCHECKPOINTED_BYTES,
    &CLEANUP_POLICY,
    &DELETE_DELAY,
    &INDEX_INTERVAL_BYTES,
    &INDEX_SIZE_MAX_BYTES,
    &MESSAGE_MAX_BYTES,
    &TIMESTAMP_TYPE,
    &TIMESTAMP_BEFORE_MAX,
    &TIMESTAMP_AFTER_MAX,
    &MIN_INSYNC_REPLICAS,
];

/// Properties of which the first that is given counts, as DescribeConfigs tells them.
const ALTERNATIVES: [&[&str]; 3] = [
    &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    &["log.roll.ms", "log.roll.hours"],
    &["log.roll.jitter.ms", "log.roll.jitter.hours"],
];

/// Everything that may say what the property says, the one that counts most first.
pub(super) fn alternatives(name: &str) -> Vec<&str> {
    let group = ALTERNATIVES.iter().find(|group| group.contains(&name));
    group.map_or_else(|| vec![name], |group| group.to_vec())
}

fn millis(count: i64) -> Duration {
    Duration::from_millis(count.cast_unsigned())
}

fn hours(count: i32) -> Duration {
    Duration::from_hours(u64::from(count.cast_unsigned()))
}

/// Any negative number means for ever, as in Kafka.
fn retention(text: &str, unit_ms: i64) -> Result<Option<Duration>, String> {
    match whole::<i64>(text)? {
        0 => Err("-1, for ever, or at least 1 is needed".to_owned()),
        negative if negative < 0 => Ok(None),
        // Hours of 32 bits are far from overflowing.
        count => Ok(Some(millis(count.saturating_mul(unit_ms)))),
    }
}

impl LogSettings {
    /// `None` where something is wrong, which the reader remembers.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let compression = reader.read(&COMPRESSION_TYPE);
        let segment_bytes = reader.read(&SEGMENT_BYTES);
        let segment_bytes = reader.read(&INTERNAL_SEGMENT_BYTES).or(segment_bytes);
        let segment_age = first(reader, &[&ROLL_MS, &ROLL_HOURS]);
        let segment_jitter = first(reader, &[&ROLL_JITTER_MS, &ROLL_JITTER_HOURS]);
        let retention = first(reader, &[&RETENTION_MS, &RETENTION_MINUTES, &RETENTION_HOURS]);
        let retention_bytes = reader.read(&RETENTION_BYTES);
        let cleanup = reader.read(&CLEANUP_POLICY);
        let file_delete_delay = reader.read(&DELETE_DELAY);
        let index_interval_bytes = reader.read(&INDEX_INTERVAL_BYTES);
        let segment_index_bytes = reader.read(&INDEX_SIZE_MAX_BYTES);
        let max_message_bytes = reader.read(&MESSAGE_MAX_BYTES);
        let timestamp_type = reader.read(&TIMESTAMP_TYPE);
        let timestamp_before_max = reader.read(&TIMESTAMP_BEFORE_MAX);
        let timestamp_after_max = reader.read(&TIMESTAMP_AFTER_MAX);
        let min_insync_replicas = reader.read(&MIN_INSYNC_REPLICAS);
        let compaction = cleaner::read(reader);
        let retention_check_interval = reader.read(&RETENTION_CHECK_INTERVAL);
        let initial_task_delay = reader.read(&INITIAL_TASK_DELAY);
        let every = reader.read(&CHECKPOINT_INTERVAL);
        let all_every = reader.read(&CHECKPOINT_ALL_INTERVAL);
        let bytes_max = reader.read(&UNCHECKPOINTED_BYTES);
        // It has one value yet, which is what is done.
        let () = compression?;
        let (compaction, cleaner) = compaction?;
        let topics = TopicConfig {
            cleanup: cleanup?,
            delete_retention: compaction.delete_retention,
            file_delete_delay: file_delete_delay?,
            index_interval_bytes: index_interval_bytes?,
            max_compaction_lag: compaction.max_lag,
            max_message_bytes: max_message_bytes?,
            timestamp_after_max: timestamp_after_max?,
            timestamp_before_max: timestamp_before_max?,
            timestamp_type: timestamp_type?,
            min_cleanable_ratio: compaction.min_ratio,
            min_compaction_lag: compaction.min_lag,
            min_insync_replicas: min_insync_replicas?,
            retention_bytes: retention_bytes?,
            retention: retention?,
            segment_bytes: segment_bytes?,
            segment_index_bytes: segment_index_bytes?,
            segment_jitter: segment_jitter?,
            segment_age: segment_age?,
        };
        Some(Self {
            topics,
            retention_check_interval: retention_check_interval?,
            initial_task_delay: initial_task_delay?,
            checkpoints: CheckpointPace {
                every: every?,
                all_every: all_every?,
                bytes_max: bytes_max?,
            },
            cleaner,
        })
    }
}

/// Reads all of them, and takes the first that there is.
fn first<T: std::fmt::Debug>(
    reader: &mut Reader<'_>,
    properties: &[&'static Property<T>],
) -> Option<T> {
    let read: Vec<Option<T>> = properties.iter().map(|property| reader.read(property)).collect();
    read.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn the_defaults_are_kafkas() {
        let logs = parse(&[]).unwrap().logs;
        assert_eq!(logs.topics, TopicConfig::KAFKA);
        assert_eq!(logs.retention_check_interval, Duration::from_mins(5));
        assert_eq!(logs.initial_task_delay, Duration::from_secs(30));
    }

    #[test]
    #[rustfmt::skip]
    fn milliseconds_go_over_minutes_and_minutes_over_hours() {
        check(&[("hours", "2")], Some(7_200_000));
        check(&[("hours", "2"), ("minutes", "3")], Some(180_000));
        check(&[("hours", "2"), ("minutes", "3"), ("ms", "4")], Some(4));
        check(&[("hours", "2"), ("minutes", "-1")], None);
        check(&[("hours", "-2")], None);
        check(&[("ms", "-1"), ("hours", "1")], None);
    }

    fn check(given: &[(&str, &str)], millis: Option<u64>) {
        let named: Vec<_> =
            given.iter().map(|(unit, value)| (format!("log.retention.{unit}"), *value)).collect();
        let named: Vec<_> = named.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let retention = parse(&named).unwrap().logs.topics.retention;
        assert_eq!(retention, millis.map(Duration::from_millis), "{given:?}");
    }

    #[test]
    #[rustfmt::skip]
    fn what_kafka_refuses_is_refused() {
        for (name, value) in [
            ("log.retention.ms", "0"), ("log.retention.hours", "0"), ("log.retention.minutes", "x"),
            ("log.roll.ms", "0"), ("log.roll.hours", "0"), ("log.roll.jitter.ms", "-1"),
            ("log.index.size.max.bytes", "3"), ("log.segment.delete.delay.ms", "-1"),
            ("log.message.timestamp.type", "Any"), ("log.message.timestamp.after.max.ms", "-1"),
            ("log.cleanup.policy", "Delete"), ("log.cleanup.policy", "compact,none"),
            ("min.insync.replicas", "0"), ("log.retention.check.interval.ms", "0"),
        ] {
            let errors = parse(&[(name, value)]).unwrap_err();
            assert_eq!(errors.mistakes.iter().map(|e| e.name).collect::<Vec<_>>(), [name], "{value}");
        }
    }

    #[test]
    fn topics_inherit_what_the_broker_says() {
        let topics = parse(&[
            ("log.cleanup.policy", ""),
            ("log.retention.bytes", "5000"),
            ("log.roll.jitter.hours", "1"),
            ("log.roll.ms", "9"),
            ("log.message.timestamp.type", "LogAppendTime"),
        ]);
        let topics = topics.unwrap().logs.topics;
        let expected = TopicConfig {
            cleanup: CleanupPolicy::Keep,
            retention_bytes: Some(5000),
            segment_jitter: Duration::from_hours(1),
            segment_age: Duration::from_millis(9),
            timestamp_type: TimestampType::LogAppendTime,
            ..TopicConfig::KAFKA
        };
        assert_eq!(topics, expected);
    }
}
