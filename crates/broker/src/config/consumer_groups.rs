//! The properties of consumer groups that say how they assign, and when they change their
//! protocol.

use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_coordinator::{Assignor, GroupSettings, MigrationPolicy};
use ottla_metadata::{ConfigRule, ConfigType, InvalidValue, Mismatch};

use super::property::{Described, Property, Reader, Update, int, whole};

static ASSIGNORS: Property<Vec<Assignor>> = Property {
    name: "group.consumer.assignors",
    synonym: None,
    default: Some("uniform,range"),
    rule: ConfigRule::List { words: &["uniform", "range"], served: &["uniform", "range"] },
    update: Update::ReadOnly,
    doc: "The assignors that members of consumer groups may ask for; the first is taken where none \
          does.",
    parse: parse_assignors,
};

static MIGRATION_POLICY: Property<MigrationPolicy> = Property {
    name: "group.consumer.migration.policy",
    synonym: None,
    default: Some("bidirectional"),
    rule: ConfigRule::Text(ConfigType::String),
    update: Update::ReadOnly,
    doc: "Whether a group with members changes its protocol when the first consumer member comes \
          (`upgrade`), or when the last one goes (`downgrade`): `bidirectional`, `upgrade`, \
          `downgrade` or `disabled`.",
    parse: |text| {
        let needed = "bidirectional, upgrade, downgrade or disabled is needed";
        MigrationPolicy::from_name(text).ok_or_else(|| needed.to_owned())
    },
};

static ASSIGNMENT_INTERVAL: Property<Duration> = Property {
    name: "group.consumer.assignment.interval.ms",
    synonym: None,
    default: Some("1000"),
    rule: int(0),
    update: Update::ClusterWide,
    doc: "How long in milliseconds at the least from one assignment of a consumer group to the \
          next.",
    parse: millis,
};

static MIN_ASSIGNMENT_INTERVAL: Property<Duration> = Property {
    name: "group.consumer.min.assignment.interval.ms",
    synonym: None,
    default: Some("0"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "The shortest time in milliseconds between two assignments that a group may have.",
    parse: millis,
};

static MAX_ASSIGNMENT_INTERVAL: Property<Duration> = Property {
    name: "group.consumer.max.assignment.interval.ms",
    synonym: None,
    default: Some("15000"),
    rule: int(0),
    update: Update::ReadOnly,
    doc: "The longest time in milliseconds between two assignments that a group may have.",
    parse: millis,
};

/// What this file has of the registry.
pub(super) static PROPERTIES: &[&dyn Described] = &[
    &ASSIGNORS,
    &MIGRATION_POLICY,
    &ASSIGNMENT_INTERVAL,
    &MIN_ASSIGNMENT_INTERVAL,
    &MAX_ASSIGNMENT_INTERVAL,
];

/// Checks what is to hold from now on, next to what the node was started with.
pub(super) fn check(name: &str, value: &str, it: &GroupSettings) -> Result<(), InvalidValue> {
    if name != ASSIGNMENT_INTERVAL.name {
        return Ok(());
    }
    let within = it.consumer_assignment_interval_min..=it.consumer_assignment_interval_max;
    let invalid =
        |why| InvalidValue { name: ASSIGNMENT_INTERVAL.name, value: value.trim().to_owned(), why };
    check_within(ASSIGNMENT_INTERVAL.read(value)?, &within).map_err(invalid)
}

fn check_within(value: Duration, within: &RangeInclusive<Duration>) -> Result<(), Mismatch> {
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let number = millis(value);
    if value < *within.start() {
        return Err(Mismatch::TooSmall { number, min: millis(*within.start()) });
    }
    if value > *within.end() {
        return Err(Mismatch::TooLarge { number, max: millis(*within.end()) });
    }
    Ok(())
}

fn millis(text: &str) -> Result<Duration, String> {
    whole(text).map(Duration::from_millis)
}

fn parse_assignors(text: &str) -> Result<Vec<Assignor>, String> {
    let named = text.split(',').map(|word| {
        let word = word.trim();
        Assignor::from_name(word).ok_or_else(|| format!("{word} is no assignor"))
    });
    named.collect()
}

/// Adds to the settings what this file's properties say. `None` where a value is wrong, which the
/// reader tells.
pub(super) fn read(reader: &mut Reader<'_>, settings: &GroupSettings) -> Option<GroupSettings> {
    let assignors = reader.read(&ASSIGNORS);
    let migration = reader.read(&MIGRATION_POLICY);
    let least = reader.read(&MIN_ASSIGNMENT_INTERVAL);
    let most = reader.read(&MAX_ASSIGNMENT_INTERVAL);
    let within = least.zip(most).map(|(least, most)| least..=most);
    let interval = reader.read_if(&ASSIGNMENT_INTERVAL, |interval| {
        within.as_ref().map_or(Ok(()), |within| check_within(*interval, within))
    });
    let settings = GroupSettings {
        consumer_assignment_interval: interval?,
        consumer_assignors: assignors?,
        consumer_migration: migration?,
        consumer_assignment_interval_min: least?,
        consumer_assignment_interval_max: most?,
        ..settings.clone()
    };
    check_bounds(reader, &settings);
    Some(settings)
}

/// As Kafka does at its start: bounds in order, and what holds by default between them.
fn check_bounds(reader: &mut Reader<'_>, it: &GroupSettings) {
    let (least, most) = (it.consumer_assignment_interval_min, it.consumer_assignment_interval_max);
    let interval = it.consumer_assignment_interval;
    let mut refuse = |name, value: Duration, why| {
        reader.refuse(name, &value.as_millis().to_string(), why);
    };
    if least > most {
        let why = format!("at most {} is needed", most.as_millis());
        refuse(MIN_ASSIGNMENT_INTERVAL.name, least, why);
    } else if interval < least || interval > most {
        let why = format!("from {} to {} is needed", least.as_millis(), most.as_millis());
        refuse(ASSIGNMENT_INTERVAL.name, interval, why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn the_properties_of_assignments_are_read() {
        let settings = |name: &str, value: &str| parse(&[(name, value)]).unwrap().groups.settings;
        let assignors = settings("group.consumer.assignors", "range").consumer_assignors;
        assert_eq!(assignors, [Assignor::Range]);
        let policy = settings("group.consumer.migration.policy", "Upgrade").consumer_migration;
        assert_eq!(policy, MigrationPolicy::Upgrade);
        refused("group.consumer.assignors", "sticky");
        refused("group.consumer.migration.policy", "sideways");
        refused("group.consumer.assignment.interval.ms", "15001");
        refused("group.consumer.min.assignment.interval.ms", "15001");
    }

    /// What an Ottla with other bounds, or Apache Kafka, may have stored.
    #[test]
    fn an_interval_that_was_set_out_of_bounds_stops_no_node() {
        let name = || ASSIGNMENT_INTERVAL.name.to_owned();
        let config = parse(&[(ASSIGNMENT_INTERVAL.name, "3000")]).unwrap();
        for (own, of_all, millis, passed_over) in [
            (None, None, 3_000, 0),
            (None, Some("5000"), 5_000, 0),
            (Some("0"), Some("5000"), 0, 0),
            (Some("15001"), Some("5000"), 5_000, 1),
            (Some("15001"), Some("x"), 3_000, 2),
        ] {
            let set = |value: Option<&str>| {
                value.map(|value| (name(), value.to_owned())).into_iter().collect()
            };
            let (config, told) = config.with_set(&set(own), &set(of_all));
            let interval = config.groups.settings.consumer_assignment_interval;
            assert_eq!((interval.as_millis(), told.len()), (millis, passed_over), "{own:?}");
        }
    }

    fn refused(name: &str, value: &str) {
        let errors = parse(&[(name, value)]).unwrap_err();
        assert!(errors.mistakes.iter().any(|error| error.name == name), "{name}: {errors}");
    }
}
