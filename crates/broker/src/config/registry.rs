//! All properties in one list: what reads, describes, alters and documents them goes by it.

use std::collections::BTreeMap;

use ottla_coordinator::GroupSettings;
use ottla_metadata::{BrokerConfigError, BrokerConfigs, ConfigRule};
use ottla_types::BrokerId;

use super::kafkas::KAFKAS;
use super::property::{Described, Ignored, Properties, Update};

/// The lists of the files.
static FILES: &[&[&dyn Described]] = &[
    super::PROPERTIES,
    super::log::PROPERTIES,
    super::cleaner::PROPERTIES,
    super::connections::PROPERTIES,
    super::groups::PROPERTIES,
    super::consumer_groups::PROPERTIES,
    super::watching::PROPERTIES,
    super::legacy::PROPERTIES,
];

/// Every property that a node reads, in no order.
pub fn registry() -> impl Iterator<Item = &'static dyn Described> {
    FILES.iter().flat_map(|file| file.iter().copied())
}

/// The property that has the name, or has it as a synonym.
pub(crate) fn find(name: &str) -> Option<&'static dyn Described> {
    registry().find(|property| property.name() == name || property.synonym() == Some(name))
}

/// The properties of brokers, as the controller wants to know them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registry<'a> {
    /// What the node was started with.
    pub(crate) groups: &'a GroupSettings,
}

impl BrokerConfigs for Registry<'_> {
    fn property(&self, name: &str) -> Option<(ConfigRule, Option<&'static str>)> {
        find(name).map(|property| (property.rule(), property.default()))
    }

    /// As in Kafka, what cannot change is looked for first. No property is for one broker alone.
    fn check(
        &self,
        _: Option<BrokerId>,
        changed: &BTreeMap<String, String>,
    ) -> Result<(), BrokerConfigError> {
        let fixed = |name: &&String| {
            find(name).is_some_and(|property| property.update() == Update::ReadOnly)
        };
        let names: Vec<String> = changed.keys().filter(fixed).cloned().collect();
        if !names.is_empty() {
            return Err(BrokerConfigError::ReadOnly { names });
        }
        changed.iter().try_for_each(|(name, value)| {
            let Some(property) = find(name) else {
                let name = name.clone();
                return Err(match is_kafkas(&name) {
                    true => BrokerConfigError::Unsupported { name },
                    false => BrokerConfigError::Unknown { name },
                });
            };
            property.check(value)?;
            Ok(super::consumer_groups::check(property.name(), value, self.groups)?)
        })
    }
}

/// Kafka has a property of the name; perhaps for one listener.
fn is_kafkas(name: &str) -> bool {
    let of_listener = name.strip_prefix("listener.name.");
    let name = of_listener.and_then(|rest| rest.split_once('.')).map_or(name, |(_, base)| base);
    KAFKAS.binary_search(&name).is_ok()
}

/// Whether Ottla or Kafka has a property of that name.
pub(super) fn is_known(name: &str) -> bool {
    find(name).is_some() || is_kafkas(name)
}

/// The given properties that nothing reads.
pub(super) fn ignored(given: &Properties) -> Ignored {
    let mut ignored = Ignored::default();
    for name in given.keys().filter(|name| find(name).is_none()) {
        if is_kafkas(name) {
            ignored.unsupported.push(name.clone());
        } else {
            ignored.unknown.push((name.clone(), meant_by(name)));
        }
    }
    ignored
}

/// Typing errors that are taken for one.
const TYPOS_MAX: usize = 2;

/// The property whose name is like this one.
pub(super) fn meant_by(name: &str) -> Option<&'static str> {
    let names = registry().filter(|property| !property.is_internal()).map(Described::name);
    let near = names.map(|other| (distance(name, other), other));
    near.filter(|(typos, _)| *typos <= TYPOS_MAX).min().map(|(_, name)| name)
}

/// How many letters must change, go or come to make one word the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // Names from a file may be of any length; such a long one is like none of ours.
    if a.len().abs_diff(b.len()) > TYPOS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn what_is_listed_is_read_and_what_is_read_is_listed() {
        let mut listed: Vec<_> = registry().map(Described::name).collect();
        listed.sort_unstable();
        assert!(listed.windows(2).all(|pair| pair[0] != pair[1]), "a property is listed twice");
        let config = parse(&[]).unwrap();
        let read: Vec<_> = config.effective.iter().map(|each| each.property.name()).collect();
        assert_eq!(listed, read);
    }

    #[test]
    fn every_property_has_kafkas_name_or_our_prefix_and_a_default_that_may_be() {
        assert!(KAFKAS.is_sorted());
        for property in registry() {
            let name = property.name();
            let ours = name.starts_with("ottla.") || property.is_internal();
            assert!(ours != is_kafkas(name) || name.starts_with("internal.metadata"), "{name}");
            assert!(property.doc().ends_with('.'), "{name}");
            if let Some(default) = property.default() {
                assert_eq!(property.check(default), Ok(()), "{name}");
            }
        }
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_set_while_a_node_runs_is_refused_in_kafkas_words() {
        check("log.segment.bytes", "2000000", None);
        check("log.segment.bytes", "abc", Some("Invalid value abc for configuration log.segment.bytes: Not a number of type INT"));
        check("log.segment.bytes", "5", Some("Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576"));
        check("log.retention.ms", "0", Some("Invalid value 0 for configuration log.retention.ms: -1, for ever, or at least 1 is needed"));
        check("num.partitions", "3", Some("Cannot update these configs dynamically: [num.partitions]"));
        check("log.dir", "x", Some("Cannot update these configs dynamically: [log.dir]"));
        check("log.cleanup.policy", "foo", Some("Invalid value foo for configuration log.cleanup.policy: String must be one of: compact, delete"));
        check("log.cleaner.threads", "2", Some("Broker config log.cleaner.threads is not supported by this version of Ottla"));
        check("listener.name.x.ssl.keystore.type", "2", Some("Broker config listener.name.x.ssl.keystore.type is not supported by this version of Ottla"));
        check("group.consumer.assignment.interval.ms", "15000", None);
        check("group.consumer.assignment.interval.ms", "15001", Some("Invalid value 15001 for configuration group.consumer.assignment.interval.ms: Value must be no more than 15000"));
        check("no.such", "2", Some("Unknown broker config name: no.such"));
    }

    fn check(name: &str, value: &str, refusal: Option<&str>) {
        let changed = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let groups = &GroupSettings::default();
        let told = Registry { groups }.check(None, &changed).err().map(|error| error.to_string());
        assert_eq!(told.as_deref(), refusal);
    }

    #[test]
    fn a_name_is_like_another_up_to_two_typing_errors() {
        for (a, b, typos) in [
            ("log.dirs", "log.dirs", 0),
            ("log.dirz", "log.dirs", 1),
            ("logdir", "log.dirs", 2),
            ("abc", "xyz", 3),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(a, b), typos, "{a} {b}");
        }
    }
}
