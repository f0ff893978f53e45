//! What the node's owner decides about groups.

use std::time::Duration;

use crate::consumer::{Assignor, MigrationPolicy};

/// The settings of all groups. Holding one means they are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`: how long the first member of an empty classic group
    /// waits for others.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members of a classic group.
    pub classic_members_max: usize,
    /// What the members of a classic group may tell of themselves, and once more what they may be
    /// assigned, in bytes: both are in the group's record, which has to fit a batch. 7 MiB are
    /// 50,000 members with 140 bytes each. Kafka has no such setting: there, a record ends at the
    /// topic's `max.message.bytes`, 1 MiB.
    pub classic_bytes_max: usize,
    /// `offset.metadata.max.bytes`, counted as Kafka counts it: in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout: Duration,
    /// `group.consumer.min.session.timeout.ms`.
    pub consumer_session_timeout_min: Duration,
    /// `group.consumer.max.session.timeout.ms`.
    pub consumer_session_timeout_max: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval: Duration,
    /// `group.consumer.min.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_min: Duration,
    /// `group.consumer.max.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_max: Duration,
    /// `group.consumer.max.size`: members of a consumer group.
    pub consumer_members_max: usize,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub consumer_regex_refresh_interval: Duration,
    /// `group.consumer.assignment.interval.ms`: a target assignment is made at most that often.
    pub consumer_assignment_interval: Duration,
    /// `group.consumer.min.assignment.interval.ms`.
    pub consumer_assignment_interval_min: Duration,
    /// `group.consumer.max.assignment.interval.ms`.
    pub consumer_assignment_interval_max: Duration,
    /// `group.consumer.assignors`: the first is taken where no member asks for one.
    pub consumer_assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub consumer_migration: MigrationPolicy,
}

impl Default for GroupSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(1_800),
            initial_rebalance_delay: Duration::from_secs(3),
            classic_members_max: 2_147_483_647,
            classic_bytes_max: 7 << 20,
            offset_metadata_max: 4_096,
            offsets_retention: Duration::from_secs(7 * 24 * 3_600),
            offsets_retention_check_interval: Duration::from_secs(600),
            consumer_session_timeout: Duration::from_secs(45),
            consumer_session_timeout_min: Duration::from_secs(45),
            consumer_session_timeout_max: Duration::from_secs(60),
            consumer_heartbeat_interval: Duration::from_secs(5),
            consumer_heartbeat_interval_min: Duration::from_secs(5),
            consumer_heartbeat_interval_max: Duration::from_secs(15),
            consumer_members_max: 2_147_483_647,
            consumer_regex_refresh_interval: Duration::from_secs(600),
            consumer_assignment_interval: Duration::from_secs(1),
            consumer_assignment_interval_min: Duration::ZERO,
            consumer_assignment_interval_max: Duration::from_secs(15),
            consumer_assignors: Assignor::ALL.to_vec(),
            consumer_migration: MigrationPolicy::Bidirectional,
        }
    }
}
