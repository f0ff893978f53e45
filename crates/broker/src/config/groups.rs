//! The properties of groups and of the topic that they are kept in.

use std::time::Duration;

use ottla_coordinator::GroupSettings;
use ottla_metadata::{ConfigRule, GroupConfigLimits};

use super::property::{Described, Property, Reader, Update, int, long, whole};

/// What a node's properties say of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupsConfig {
    /// What holds for every group.
    pub settings: GroupSettings,
    /// `offsets.topic.num.partitions`, once: when the topic is made.
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`; `None`: nobody set it, and there are as many replicas as
    /// there are brokers for the default.
    pub topic_replication_factor: Option<i16>,
    /// `offsets.topic.segment.bytes`.
    pub topic_segment_bytes: u32,
}

/// `offsets.topic.replication.factor` where there are brokers for it.
pub(crate) const REPLICATION_FACTOR_DEFAULT: i16 = 3;

static MIN_SESSION_TIMEOUT: Property<Duration> = Property {
    name: "group.min.session.timeout.ms",
    synonym: None,
    default: Some("6000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "The shortest session timeout in milliseconds that a member of a classic group may have.",
    parse: |text| whole(text).map(millis),
};

static MAX_SESSION_TIMEOUT: Property<Duration> = Property {
    name: "group.max.session.timeout.ms",
    synonym: None,
    default: Some("1800000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "The longest session timeout in milliseconds that a member of a classic group may have.",
    parse: |text| whole(text).map(millis),
};

static INITIAL_REBALANCE_DELAY: Property<Duration> = Property {
    name: "group.initial.rebalance.delay.ms",
    synonym: None,
    default: Some("3000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "How long in milliseconds the first member of an empty classic group waits for others.",
    parse: |text| whole(text).map(millis),
};

static MAX_SIZE: Property<usize> = Property {
    name: "group.max.size",
    synonym: None,
    default: Some("2147483647"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "How many members a classic group may have.",
    parse: whole,
};

static CONSUMER_SESSION_TIMEOUT: Property<Duration> = positive(
    "group.consumer.session.timeout.ms",
    "45000",
    "How long in milliseconds a member of a \
        consumer group may be silent.",
);

static CONSUMER_MIN_SESSION_TIMEOUT: Property<Duration> = positive(
    "group.consumer.min.session.timeout.ms",
    "45000",
    "The shortest session timeout in \
        milliseconds that a consumer group may have.",
);

static CONSUMER_MAX_SESSION_TIMEOUT: Property<Duration> = positive(
    "group.consumer.max.session.timeout.ms",
    "60000",
    "The longest session timeout in \
        milliseconds that a consumer group may have.",
);

static CONSUMER_HEARTBEAT_INTERVAL: Property<Duration> = positive(
    "group.consumer.heartbeat.interval.ms",
    "5000",
    "How often in milliseconds members of a consumer group \
        that rests are told to send heartbeats; more often while it moves.",
);

static CONSUMER_MIN_HEARTBEAT_INTERVAL: Property<Duration> = positive(
    "group.consumer.min.heartbeat.interval.ms",
    "5000",
    "The shortest heartbeat interval \
        in milliseconds that a consumer group may have.",
);

static CONSUMER_MAX_HEARTBEAT_INTERVAL: Property<Duration> = positive(
    "group.consumer.max.heartbeat.interval.ms",
    "15000",
    "The longest heartbeat interval \
        in milliseconds that a consumer group may have.",
);

static CONSUMER_MAX_SIZE: Property<usize> = Property {
    name: "group.consumer.max.size",
    synonym: None,
    default: Some("2147483647"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "How many members a consumer group may have.",
    parse: whole,
};

static CONSUMER_REGEX_REFRESH: Property<Duration> = Property {
    name: "group.consumer.regex.refresh.interval.ms",
    synonym: None,
    default: Some("600000"),
    rule: int(10_000),
    update: Update::ReadOnly,
    doc: "How often in milliseconds the regular expressions of a consumer group are matched with \
          all topics again.",
    parse: |text| whole(text).map(millis),
};

static OFFSET_METADATA_MAX: Property<usize> = Property {
    name: "offset.metadata.max.bytes",
    synonym: None,
    default: Some("4096"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "How long the words may be that a client leaves with an offset.",
    parse: whole,
};

static OFFSETS_RETENTION: Property<Duration> = Property {
    name: "offsets.retention.minutes",
    synonym: None,
    default: Some("10080"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "How long in minutes the offsets of a group are kept that has no members any more.",
    parse: |text| whole(text).map(|minutes| millis(minutes) * 60_000),
};

static OFFSETS_RETENTION_CHECK: Property<Duration> = Property {
    name: "offsets.retention.check.interval.ms",
    synonym: None,
    default: Some("600000"),
    rule: long(1),
    update: Update::ReadOnly,
    doc: "How often in milliseconds offsets are looked for that need not be kept any longer.",
    parse: |text| whole(text).map(Duration::from_millis),
};

static TOPIC_PARTITIONS: Property<i32> = Property {
    name: "offsets.topic.num.partitions",
    synonym: None,
    default: Some("50"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "Partitions of the topic that groups are kept in, when it is made.",
    parse: whole,
};

static TOPIC_REPLICATION_FACTOR: Property<i16> = Property {
    name: "offsets.topic.replication.factor",
    synonym: None,
    default: Some("3"),
    rule: ConfigRule::Short { min: 1 },
    update: Update::ReadOnly,
    doc: "Replicas of the topic that groups are kept in, when it is made. Where nobody sets it, no \
          more than there are brokers.",
    parse: whole,
};

static TOPIC_SEGMENT_BYTES: Property<u32> = Property {
    name: "offsets.topic.segment.bytes",
    synonym: None,
    default: Some("104857600"),
    rule: int(1),
    update: Update::ReadOnly,
    doc: "The size in bytes at which a segment file is full of the topic that groups are kept in, \
          when it is made.",
    parse: whole,
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &MIN_SESSION_TIMEOUT,
    &MAX_SESSION_TIMEOUT,
    &INITIAL_REBALANCE_DELAY,
    &MAX_SIZE,
    &CONSUMER_SESSION_TIMEOUT,
    &CONSUMER_MIN_SESSION_TIMEOUT,
    &CONSUMER_MAX_SESSION_TIMEOUT,
    &CONSUMER_HEARTBEAT_INTERVAL,
    &CONSUMER_MIN_HEARTBEAT_INTERVAL,
    &CONSUMER_MAX_HEARTBEAT_INTERVAL,
    &CONSUMER_MAX_SIZE,
    &CONSUMER_REGEX_REFRESH,
    &OFFSET_METADATA_MAX,
    &OFFSETS_RETENTION,
    &OFFSETS_RETENTION_CHECK,
    &TOPIC_PARTITIONS,
    &TOPIC_REPLICATION_FACTOR,
    &TOPIC_SEGMENT_BYTES,
];

const fn positive(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Property<Duration> {
    Property {
        name,
        synonym: None,
        default: Some(default),
        rule: int(1),
        update: Update::ReadOnly,
        doc,
        parse: |text| whole(text).map(millis),
    }
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}

impl GroupsConfig {
    /// What groups may say themselves.
    pub(crate) fn limits(&self) -> GroupConfigLimits {
        // A property of 32 bits gave each of them.
        let millis = |span: Duration| i32::try_from(span.as_millis()).unwrap_or(i32::MAX);
        let it = &self.settings;
        GroupConfigLimits {
            session_timeout_default_ms: millis(it.consumer_session_timeout),
            heartbeat_interval_default_ms: millis(it.consumer_heartbeat_interval),
            session_timeout_ms: millis(it.consumer_session_timeout_min)
                ..=millis(it.consumer_session_timeout_max),
            heartbeat_interval_ms: millis(it.consumer_heartbeat_interval_min)
                ..=millis(it.consumer_heartbeat_interval_max),
            assignment_interval_ms: millis(it.consumer_assignment_interval_min)
                ..=millis(it.consumer_assignment_interval_max),
        }
    }

    /// `None` where a value is wrong, which the reader tells.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let settings = read_settings(reader);
        let topic_partitions = reader.read(&TOPIC_PARTITIONS);
        let replication_factor = reader.read(&TOPIC_REPLICATION_FACTOR);
        let topic_segment_bytes = reader.read(&TOPIC_SEGMENT_BYTES);
        Some(Self {
            settings: settings?,
            topic_partitions: topic_partitions?,
            topic_replication_factor: replication_factor
                .filter(|_| reader.is_given(TOPIC_REPLICATION_FACTOR.name)),
            topic_segment_bytes: topic_segment_bytes?,
        })
    }
}

fn read_settings(reader: &mut Reader<'_>) -> Option<GroupSettings> {
    let session_timeout_min = reader.read(&MIN_SESSION_TIMEOUT);
    let session_timeout_max = reader.read(&MAX_SESSION_TIMEOUT);
    let initial_rebalance_delay = reader.read(&INITIAL_REBALANCE_DELAY);
    let classic_members_max = reader.read(&MAX_SIZE);
    let offset_metadata_max = reader.read(&OFFSET_METADATA_MAX);
    let offsets_retention = reader.read(&OFFSETS_RETENTION);
    let offsets_retention_check_interval = reader.read(&OFFSETS_RETENTION_CHECK);
    let consumer_session_timeout = reader.read(&CONSUMER_SESSION_TIMEOUT);
    let consumer_session_timeout_min = reader.read(&CONSUMER_MIN_SESSION_TIMEOUT);
    let consumer_session_timeout_max = reader.read(&CONSUMER_MAX_SESSION_TIMEOUT);
    let consumer_heartbeat_interval = reader.read(&CONSUMER_HEARTBEAT_INTERVAL);
    let consumer_heartbeat_interval_min = reader.read(&CONSUMER_MIN_HEARTBEAT_INTERVAL);
    let consumer_heartbeat_interval_max = reader.read(&CONSUMER_MAX_HEARTBEAT_INTERVAL);
    let consumer_members_max = reader.read(&CONSUMER_MAX_SIZE);
    let consumer_regex_refresh_interval = reader.read(&CONSUMER_REGEX_REFRESH);
    let settings = GroupSettings {
        session_timeout_min: session_timeout_min?,
        session_timeout_max: session_timeout_max?,
        initial_rebalance_delay: initial_rebalance_delay?,
        classic_members_max: classic_members_max?,
        offset_metadata_max: offset_metadata_max?,
        offsets_retention: offsets_retention?,
        offsets_retention_check_interval: offsets_retention_check_interval?,
        consumer_session_timeout: consumer_session_timeout?,
        consumer_session_timeout_min: consumer_session_timeout_min?,
        consumer_session_timeout_max: consumer_session_timeout_max?,
        consumer_heartbeat_interval: consumer_heartbeat_interval?,
        consumer_heartbeat_interval_min: consumer_heartbeat_interval_min?,
        consumer_heartbeat_interval_max: consumer_heartbeat_interval_max?,
        consumer_members_max: consumer_members_max?,
        consumer_regex_refresh_interval: consumer_regex_refresh_interval?,
        ..GroupSettings::default()
    };
    check_bounds(reader, &settings);
    super::consumer_groups::read(reader, &settings)
}

/// As Kafka does at its start: bounds in order, and what holds by default between them.
fn check_bounds(reader: &mut Reader<'_>, it: &GroupSettings) {
    let session = (it.consumer_session_timeout_min, it.consumer_session_timeout_max);
    let heartbeat = (it.consumer_heartbeat_interval_min, it.consumer_heartbeat_interval_max);
    let bounds = [
        (&MIN_SESSION_TIMEOUT, it.session_timeout_min, (Duration::ZERO, it.session_timeout_max)),
        (&CONSUMER_MIN_SESSION_TIMEOUT, session.0, (Duration::ZERO, session.1)),
        (&CONSUMER_SESSION_TIMEOUT, it.consumer_session_timeout, session),
        (&CONSUMER_MIN_HEARTBEAT_INTERVAL, heartbeat.0, (Duration::ZERO, heartbeat.1)),
        (&CONSUMER_HEARTBEAT_INTERVAL, it.consumer_heartbeat_interval, heartbeat),
    ];
    for (property, value, (min, max)) in bounds {
        if value < min || value > max {
            let why = format!("from {} to {} is needed", min.as_millis(), max.as_millis());
            reader.refuse(property.name, &value.as_millis().to_string(), why);
        }
    }
    if it.consumer_heartbeat_interval >= it.consumer_session_timeout {
        let (name, value) = (CONSUMER_HEARTBEAT_INTERVAL.name, it.consumer_heartbeat_interval);
        let why = format!("less than {} is needed", CONSUMER_SESSION_TIMEOUT.name);
        reader.refuse(name, &value.as_millis().to_string(), why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn groups_have_kafkas_defaults() {
        let config = parse(&[]).unwrap().groups;
        assert_eq!(config.settings, GroupSettings::default());
        assert_eq!((config.topic_partitions, config.topic_segment_bytes), (50, 100 << 20));
    }

    #[test]
    fn a_replication_factor_counts_only_if_somebody_set_it() {
        check(&[], None);
        check(&[("offsets.topic.replication.factor", "3")], Some(3));
    }

    fn check(properties: &[(&str, &str)], factor: Option<i16>) {
        assert_eq!(parse(properties).unwrap().groups.topic_replication_factor, factor);
    }

    #[test]
    fn bounds_that_exclude_each_other_are_refused() {
        refused("group.min.session.timeout.ms", "1800001");
        refused("group.consumer.session.timeout.ms", "44999");
        refused("group.consumer.min.session.timeout.ms", "60001");
        refused("group.consumer.heartbeat.interval.ms", "15001");
        refused("group.consumer.assignment.interval.ms", "15001");
        refused("group.consumer.assignors", "uniform,mine");
        refused("group.consumer.assignors", "");
        refused("group.consumer.migration.policy", "sometimes");
    }

    fn refused(name: &str, value: &str) {
        let errors = parse(&[(name, value)]).unwrap_err();
        assert!(errors.mistakes.iter().any(|error| error.name == name), "{name}: {errors}");
    }
}
