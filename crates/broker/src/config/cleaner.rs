//! The properties of compaction.

use std::time::Duration;

use ottla_metadata::{CleanableRatio, ConfigRule};

use super::property::{Described, Property, Reader, Update, boolean, long, whole};

/// How logs are compacted, whatever their topics say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`: whether at all.
    pub enabled: bool,
    /// `log.cleaner.backoff.ms`: how often it is looked for something to do.
    pub backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`: memory for the keys of one log, in bytes.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.max.bytes.per.second`: what is read at the most; `None`: whatever the disk
    /// gives.
    pub bytes_per_second: Option<u64>,
}

/// What topics have that say nothing themselves.
pub(super) struct TopicCompaction {
    pub(super) delete_retention: Duration,
    pub(super) min_lag: Duration,
    pub(super) max_lag: Duration,
    pub(super) min_ratio: CleanableRatio,
}

static ENABLE: Property<bool> = Property {
    name: "log.cleaner.enable",
    synonym: None,
    default: Some("true"),
    rule: ConfigRule::Boolean,
    update: Update::ReadOnly,
    doc: "Whether logs are compacted at all; if not, those of `compact` topics only grow.",
    parse: boolean,
};

static BACKOFF: Property<Duration> = Property {
    name: "log.cleaner.backoff.ms",
    synonym: None,
    default: Some("15000"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How often in milliseconds logs are looked for that are to be compacted.",
    parse: |text| whole(text).map(millis),
};

static DEDUPE_BUFFER: Property<u64> = Property {
    name: "log.cleaner.dedupe.buffer.size",
    synonym: None,
    default: Some("134217728"),
    rule: long(1 << 20),
    update: Update::ClusterWide,
    doc: "Memory in bytes for the keys of the log that is compacted: 24 bytes each. A log with \
          more of them is compacted in several passes.",
    parse: whole,
};

static BYTES_PER_SECOND: Property<Option<u64>> = Property {
    name: "log.cleaner.io.max.bytes.per.second",
    synonym: None,
    default: Some("1.7976931348623157E308"),
    rule: ConfigRule::Double { min: 1, max: None },
    update: Update::ClusterWide,
    doc: "How many bytes a second compaction reads at the most.",
    parse: |text| text.parse().map(pace).map_err(|_| "a number is needed".to_owned()),
};

static DELETE_RETENTION: Property<Duration> = Property {
    name: "log.cleaner.delete.retention.ms",
    synonym: None,
    default: Some("86400000"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How long in milliseconds a tombstone stays in a compacted log, from the first compaction \
          that meets it on.",
    parse: |text| whole(text).map(millis),
};

static MIN_LAG: Property<Duration> = Property {
    name: "log.cleaner.min.compaction.lag.ms",
    synonym: None,
    default: Some("0"),
    rule: long(0),
    update: Update::ClusterWide,
    doc: "How long in milliseconds a record stays as it is before it is compacted.",
    parse: |text| whole(text).map(millis),
};

static MAX_LAG: Property<Duration> = Property {
    name: "log.cleaner.max.compaction.lag.ms",
    synonym: None,
    default: Some("9223372036854775807"),
    rule: long(1),
    update: Update::ClusterWide,
    doc: "How long in milliseconds a record may stay without being compacted.",
    parse: |text| whole(text).map(millis),
};

static MIN_RATIO: Property<CleanableRatio> = Property {
    name: "log.cleaner.min.cleanable.ratio",
    synonym: None,
    default: Some("0.5"),
    rule: ConfigRule::Double { min: 0, max: Some(1) },
    update: Update::ClusterWide,
    doc: "How much of a log, in bytes, has to be dirty before it is compacted.",
    parse: |text| {
        text.parse().map(CleanableRatio::new).map_err(|_| "a number is needed".to_owned())
    },
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &ENABLE,
    &BACKOFF,
    &DEDUPE_BUFFER,
    &BYTES_PER_SECOND,
    &DELETE_RETENTION,
    &MIN_LAG,
    &MAX_LAG,
    &MIN_RATIO,
];

fn millis(count: i64) -> Duration {
    Duration::from_millis(count.cast_unsigned())
}

/// More than the fastest of disks is no limit.
fn pace(per_second: f64) -> Option<u64> {
    const FASTEST: f64 = 1e15;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e15")]
    (per_second < FASTEST).then_some(per_second as u64)
}

/// `None` where something is wrong, which the reader remembers.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<(TopicCompaction, CleanerSettings)> {
    let enabled = reader.read(&ENABLE);
    let backoff = reader.read(&BACKOFF);
    let dedupe_buffer_bytes = reader.read(&DEDUPE_BUFFER);
    let bytes_per_second = reader.read(&BYTES_PER_SECOND);
    let delete_retention = reader.read(&DELETE_RETENTION);
    let min_lag = reader.read(&MIN_LAG);
    let max_lag = reader.read(&MAX_LAG);
    let min_ratio = reader.read(&MIN_RATIO);
    let topics = TopicCompaction {
        delete_retention: delete_retention?,
        min_lag: min_lag?,
        max_lag: max_lag?,
        min_ratio: min_ratio?,
    };
    let cleaner = CleanerSettings {
        enabled: enabled?,
        backoff: backoff?,
        dedupe_buffer_bytes: dedupe_buffer_bytes?,
        bytes_per_second: bytes_per_second?,
    };
    Some((topics, cleaner))
}
