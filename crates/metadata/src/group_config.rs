//! The properties of groups (KIP-848): which there are, and what they may be.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config_rule::{ConfigRule, InvalidValue, Mismatch};

/// A property that a group may have of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupConfigProperty {
    /// Kafka's name.
    pub name: &'static str,
    /// What its value may be, whatever the broker's bounds.
    pub rule: ConfigRule,
    /// The broker property that says it for groups that do not.
    pub broker: &'static str,
    /// What it does, in a sentence, with its unit.
    pub doc: &'static str,
}

const SESSION_TIMEOUT_MS: &str = "consumer.session.timeout.ms";
const HEARTBEAT_INTERVAL_MS: &str = "consumer.heartbeat.interval.ms";
const ASSIGNMENT_INTERVAL_MS: &str = "consumer.assignment.interval.ms";

/// Every property that a group may set, by name.
pub const GROUP_CONFIGS: [GroupConfigProperty; 3] = [
    GroupConfigProperty {
        name: ASSIGNMENT_INTERVAL_MS,
        rule: ConfigRule::Int { min: 0, max: i32::MAX },
        broker: "group.consumer.assignment.interval.ms",
        doc: "How long in milliseconds must lie between two assignments of a group.",
    },
    GroupConfigProperty {
        name: HEARTBEAT_INTERVAL_MS,
        rule: ConfigRule::Int { min: 1, max: i32::MAX },
        broker: "group.consumer.heartbeat.interval.ms",
        doc: "How often in milliseconds members of a group that rests send a heartbeat.",
    },
    GroupConfigProperty {
        name: SESSION_TIMEOUT_MS,
        rule: ConfigRule::Int { min: 1, max: i32::MAX },
        broker: "group.consumer.session.timeout.ms",
        doc: "How long in milliseconds a member may be silent before it is put out of its group.",
    },
];

/// Every other property that Kafka 4.3 has for groups: known and refused.
pub const UNSUPPORTED_GROUP_CONFIGS: [&str; 14] = [
    "share.assignment.interval.ms",
    "share.auto.offset.reset",
    "share.delivery.count.limit",
    "share.heartbeat.interval.ms",
    "share.isolation.level",
    "share.partition.max.record.locks",
    "share.record.lock.duration.ms",
    "share.renew.acknowledge.enable",
    "share.session.timeout.ms",
    "streams.assignment.interval.ms",
    "streams.heartbeat.interval.ms",
    "streams.initial.rebalance.delay.ms",
    "streams.num.standby.replicas",
    "streams.session.timeout.ms",
];

/// What a group says itself; `None` where the broker's settings hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupConfig {
    /// `consumer.session.timeout.ms`.
    pub session_timeout: Option<Duration>,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Option<Duration>,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval: Option<Duration>,
}

/// What the broker's properties allow groups to say, and what holds for those that say nothing, in
/// milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfigLimits {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_default_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_default_ms: i32,
    /// `group.consumer.min.session.timeout.ms` to `group.consumer.max.session.timeout.ms`.
    pub session_timeout_ms: RangeInclusive<i32>,
    /// `group.consumer.min.heartbeat.interval.ms` to `group.consumer.max.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: RangeInclusive<i32>,
    /// `group.consumer.min.assignment.interval.ms` to `group.consumer.max.assignment.interval.ms`.
    pub assignment_interval_ms: RangeInclusive<i32>,
}

impl GroupConfigLimits {
    /// Kafka's defaults.
    pub const KAFKA: Self = Self {
        session_timeout_default_ms: 45_000,
        heartbeat_interval_default_ms: 5_000,
        session_timeout_ms: 45_000..=60_000,
        heartbeat_interval_ms: 5_000..=15_000,
        assignment_interval_ms: 0..=15_000,
    };

    fn of(&self, name: &str) -> &RangeInclusive<i32> {
        match name {
            SESSION_TIMEOUT_MS => &self.session_timeout_ms,
            HEARTBEAT_INTERVAL_MS => &self.heartbeat_interval_ms,
            ASSIGNMENT_INTERVAL_MS => &self.assignment_interval_ms,
            other => unreachable!("{other} is not in the table"),
        }
    }
}

/// Why a property of a group is refused. The words are Kafka's, where Kafka refuses too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupConfigError {
    /// Kafka has no such property.
    #[error("Unknown group config name: {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Kafka has the property, Ottla does not yet.
    #[error("Group config {name} is not supported by this version of Ottla")]
    Unsupported {
        /// The name.
        name: String,
    },
    /// No group can have the value.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Members would be put out before their next heartbeat is due.
    #[error("{SESSION_TIMEOUT_MS} must be greater than {HEARTBEAT_INTERVAL_MS}")]
    SessionWithinHeartbeat,
    /// The broker's properties do not allow so little.
    #[error("{name} must be greater than or equal to {broker}")]
    BelowBroker {
        /// The name.
        name: &'static str,
        /// The broker's property.
        broker: String,
    },
    /// The broker's properties do not allow so much.
    #[error("{name} must be less than or equal to {broker}")]
    AboveBroker {
        /// The name.
        name: &'static str,
        /// The broker's property.
        broker: String,
    },
}

impl GroupConfigProperty {
    /// The property of that name, if it is served.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        GROUP_CONFIGS.iter().find(|property| property.name == name)
    }

    fn check(&self, value: &str, limits: &GroupConfigLimits) -> Result<(), GroupConfigError> {
        let invalid = |why| InvalidValue { name: self.name, value: value.trim().to_owned(), why };
        self.rule.check(value).map_err(invalid)?;
        let number = value.trim().parse::<i32>();
        let number = number.map_err(|_| invalid(Mismatch::NotANumber(self.rule.value_type())))?;
        let (name, limits) = (self.name, limits.of(self.name));
        // group.consumer.min.session.timeout.ms bounds consumer.session.timeout.ms.
        let bound = |which| name.replacen("consumer.", &format!("group.consumer.{which}."), 1);
        if number < *limits.start() {
            return Err(GroupConfigError::BelowBroker { name, broker: bound("min") });
        }
        if number > *limits.end() {
            return Err(GroupConfigError::AboveBroker { name, broker: bound("max") });
        }
        Ok(())
    }
}

impl GroupConfig {
    /// What stored properties say. What no group can have, or what the broker's properties do not
    /// allow any more, is brought to the nearest that they do.
    #[must_use]
    pub fn of(properties: &BTreeMap<String, String>, limits: &GroupConfigLimits) -> Self {
        let millis = |name: &'static str| {
            let number: i32 = properties.get(name)?.trim().parse().ok()?;
            let limits = limits.of(name);
            let number = number.max(*limits.start()).min(*limits.end());
            u64::try_from(number).ok().map(Duration::from_millis)
        };
        Self {
            session_timeout: millis(SESSION_TIMEOUT_MS),
            heartbeat_interval: millis(HEARTBEAT_INTERVAL_MS),
            assignment_interval: millis(ASSIGNMENT_INTERVAL_MS),
        }
    }

    /// Checks all properties that a group would have, once those that change were checked one by
    /// one: its timeouts as they would hold, whoever says them.
    ///
    /// # Errors
    /// When they do not go together.
    pub fn check_together(
        properties: &BTreeMap<String, String>,
        limits: &GroupConfigLimits,
    ) -> Result<(), GroupConfigError> {
        let own = Self::of(properties, limits);
        if own.session_timeout.or(own.heartbeat_interval).is_none() {
            // The broker's own, which its start has judged.
            return Ok(());
        }
        let default = |ms: i32| Duration::from_millis(u64::from(ms.unsigned_abs()));
        let session =
            own.session_timeout.unwrap_or_else(|| default(limits.session_timeout_default_ms));
        let heartbeat =
            own.heartbeat_interval.unwrap_or_else(|| default(limits.heartbeat_interval_default_ms));
        if session > heartbeat { Ok(()) } else { Err(GroupConfigError::SessionWithinHeartbeat) }
    }

    /// Checks properties that somebody wants to set: names before values.
    ///
    /// # Errors
    /// The first property that is refused.
    pub fn check(
        properties: &BTreeMap<String, String>,
        limits: &GroupConfigLimits,
    ) -> Result<(), GroupConfigError> {
        let refused = |name: &&String| GroupConfigProperty::named(name).is_none();
        if let Some(name) = properties.keys().find(refused) {
            let name = name.clone();
            return Err(if UNSUPPORTED_GROUP_CONFIGS.contains(&name.as_str()) {
                GroupConfigError::Unsupported { name }
            } else {
                GroupConfigError::Unknown { name }
            });
        }
        let named = |name: &str| GroupConfigProperty::named(name).expect("looked for above");
        properties.iter().try_for_each(|(name, value)| named(name).check(value, limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    /// Where Kafka refuses, these are the words of a broker of 4.3.1.
    #[test]
    #[rustfmt::skip]
    fn group_properties_are_refused_in_kafkas_words() {
        let session = "consumer.session.timeout.ms";
        check(session, "50000", None);
        check(session, "5", Some("consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"));
        check(session, "500000", Some("consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"));
        check(session, "x", Some("Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT"));
        check("consumer.heartbeat.interval.ms", "0", Some("Invalid value 0 for configuration consumer.heartbeat.interval.ms: Value must be at least 1"));
        check("consumer.assignment.interval.ms", "20000", Some("consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"));
        check("no.such", "1", Some("Unknown group config name: no.such"));
        check("share.isolation.level", "1", Some("Group config share.isolation.level is not supported by this version of Ottla"));
    }

    fn check(name: &str, value: &str, refusal: Option<&str>) {
        let outcome = GroupConfig::check(&properties(name, value), &GroupConfigLimits::KAFKA);
        assert_eq!(outcome.err().map(|e| e.to_string()).as_deref(), refusal);
    }

    #[test]
    fn a_session_outlasts_a_heartbeat() {
        let limits =
            GroupConfigLimits { session_timeout_ms: 6_000..=60_000, ..GroupConfigLimits::KAFKA };
        let together = |session: Option<&str>, heartbeat: Option<&str>| {
            let said = [(SESSION_TIMEOUT_MS, session), (HEARTBEAT_INTERVAL_MS, heartbeat)];
            let own = said.into_iter().filter_map(|(n, v)| Some((n.to_owned(), v?.to_owned())));
            GroupConfig::check_together(&own.collect(), &limits).map_err(|e| e.to_string())
        };
        let refused = "consumer.session.timeout.ms must be greater than \
                       consumer.heartbeat.interval.ms";
        assert_eq!(together(Some("6000"), Some("10000")), Err(refused.to_owned()));
        assert_eq!(together(Some("10000"), Some("10000")), Err(refused.to_owned()));
        for (session, heartbeat) in [
            (Some("6000"), Some("5000")),
            (Some("6000"), None),
            (None, Some("15000")),
            (None, None),
        ] {
            assert_eq!(together(session, heartbeat), Ok(()), "{session:?} {heartbeat:?}");
        }
    }

    #[test]
    fn what_the_broker_does_not_allow_any_more_is_brought_to_what_it_does() {
        let limits = GroupConfigLimits::KAFKA;
        let session = |value: &str| {
            let stored = properties("consumer.session.timeout.ms", value);
            GroupConfig::of(&stored, &limits).session_timeout.map(|timeout| timeout.as_secs())
        };
        assert_eq!(
            [session("50000"), session("1"), session("99000")],
            [Some(50), Some(45), Some(60)]
        );
        assert_eq!(session("nonsense"), None);
    }

    #[test]
    fn the_tables_are_sorted_and_apart() {
        assert!(GROUP_CONFIGS.is_sorted_by_key(|property| property.name));
        assert!(UNSUPPORTED_GROUP_CONFIGS.is_sorted());
        assert!(UNSUPPORTED_GROUP_CONFIGS.iter().all(|n| GroupConfigProperty::named(n).is_none()));
    }
}
