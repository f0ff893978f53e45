//! AlterConfigs and IncrementalAlterConfigs.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{BrokerId, TopicName};

use crate::config_rule::{ConfigRule, ConfigType, InvalidValue};
use crate::group_config::{GroupConfig, GroupConfigError, GroupConfigProperty};
use crate::image::MetadataImage;
use crate::record::{ConfigResource, Record};
use crate::topic_config::{TopicConfig, TopicConfigError, TopicConfigProperty};

use super::bounds::{VALUE_BYTES_MAX, fit_together};
use super::{Controller, Outcome};

/// Resources that are no topics and may have properties: the image holds each, of groups that need
/// not exist. With the bound below, 300 MiB at the very most, and 20 MiB of what people write.
const CONFIGURED_MAX: usize = 100_000;

/// The longest name of a group with properties, and the longest value of one, in bytes.
const OF_GROUP_BYTES_MAX: usize = 1_024;

/// The property that eligible leader replicas depend on (KIP-966).
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// The feature of KIP-966.
const ELR_FEATURE: &str = "eligible.leader.replicas.version";

/// The request. Each resource stands or falls by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigs {
    /// What is to become of which resource; none twice.
    pub resources: Vec<(ConfigResource, Alteration)>,
    /// Answer as if, and change nothing.
    pub validate_only: bool,
}

/// What is to become of a resource's properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    /// It has these, and no others.
    Replace(BTreeMap<String, String>),
    /// These change, the others stay.
    Change(BTreeMap<String, ConfigChange>),
}

/// What is to become of one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// It has this value.
    Set(String),
    /// The resource has it no more.
    Delete,
    /// A list gets these items, parted by commas, as far as it lacks them.
    Append(String),
    /// A list loses these items.
    Subtract(String),
}

/// What became of each resource, in the order of the request.
pub type AlteredConfigs = Vec<AlterOutcome>;

/// What became of one resource.
pub type AlterOutcome = Result<(), AlterConfigError>;

/// What the controller must know of the properties of brokers, which are the brokers' own.
pub trait BrokerConfigs {
    /// What the property's values may be, and what it is where nobody set it; `None` if no broker
    /// has it.
    fn property(&self, name: &str) -> Option<(ConfigRule, Option<&'static str>)>;

    /// Checks what a broker, or with `None` all of them, would be told.
    ///
    /// # Errors
    /// The first property that is refused.
    fn check(
        &self,
        broker: Option<BrokerId>,
        changed: &BTreeMap<String, String>,
    ) -> Result<(), BrokerConfigError>;
}

/// Why a property of a broker is refused. The words are Kafka's, where Kafka refuses too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerConfigError {
    /// Only a start reads them.
    #[error("Cannot update these configs dynamically: [{}]", .names.join(", "))]
    ReadOnly {
        /// The names.
        names: Vec<String>,
    },
    /// The broker cannot have the value.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// Kafka has the property, Ottla does not yet.
    #[error("Broker config {name} is not supported by this version of Ottla")]
    Unsupported {
        /// The name.
        name: String,
    },
    /// Nobody has such a property. Kafka stores it for plugins, which Ottla does not have.
    #[error("Unknown broker config name: {name}")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// Why a resource's properties stay as they are. The words are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigError {
    /// There is no such topic.
    #[error("The topic '{0}' does not exist.")]
    UnknownTopic(TopicName),
    /// A property of a topic is refused.
    #[error(transparent)]
    Topic(#[from] TopicConfigError),
    /// A property of a group is refused.
    #[error(transparent)]
    Group(#[from] GroupConfigError),
    /// A property of a broker is refused.
    #[error(transparent)]
    Broker(#[from] BrokerConfigError),
    /// Items make no sense in what is no list.
    #[error("Can't {verb} to key {name} because its type is not LIST.")]
    NotAList {
        /// `APPEND` or `SUBTRACT`.
        verb: &'static str,
        /// The name.
        name: String,
    },
    /// As before, of a broker's property.
    #[error("Config value {} is not allowed for config key: {name}", .verb.to_lowercase())]
    NotABrokersList {
        /// `APPEND` or `SUBTRACT`.
        verb: &'static str,
        /// The name.
        name: String,
    },
    /// As before, of a property that no broker has.
    #[error("Unknown config name: {0}")]
    NoBrokersList(String),
    /// The value is too long.
    #[error(
        "The configuration value cannot be added because it exceeds the maximum value size of \
         {max} bytes."
    )]
    TooLong {
        /// The longest that is taken.
        max: usize,
    },
    /// The name of a group is too long for one with properties.
    #[error("a group with properties of its own has a name of {OF_GROUP_BYTES_MAX} bytes at most")]
    NameTooLong,
    /// Too many resources have properties.
    #[error("{CONFIGURED_MAX} groups and brokers have properties of their own, which is the most")]
    TooManyConfigured,
    /// The request as a whole would write too many records.
    #[error("Unable to perform excessively large batch operation.")]
    TooManyRecords,
    /// Eligible leader replicas count on every broker having the same.
    #[error("Broker-level min.insync.replicas cannot be altered while ELR is enabled.")]
    BrokersMinIsrWithElr,
    /// Eligible leader replicas count on it being there.
    #[error("Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")]
    NoMinIsrWithElr,
    /// Nothing of the kind does what its properties say.
    #[error("Resource type {0} is not supported by this version of Ottla")]
    Unserved(i8),
}

type Properties = BTreeMap<String, String>;

impl Controller {
    /// Alters properties; each resource stands or falls by itself.
    pub fn alter_configs(
        &self,
        image: &MetadataImage,
        request: &AlterConfigs,
        brokers: &dyn BrokerConfigs,
    ) -> Outcome<AlteredConfigs> {
        let mut records = Vec::new();
        let mut response = Vec::with_capacity(request.resources.len());
        let mut added = 0;
        for (resource, alteration) in &request.resources {
            let outcome = self.alter(image, resource, alteration, brokers, added);
            response.push(outcome.map(|(changed, is_new)| {
                added += usize::from(is_new);
                records.extend(changed);
            }));
        }
        records.extend(forgotten_elr(image, &records));
        if !fit_together(&records) {
            let refused = || Err(AlterConfigError::TooManyRecords);
            let response = request.resources.iter().map(|_| refused()).collect();
            return Outcome { records: Vec::new(), response };
        }
        if request.validate_only {
            records.clear();
        }
        Outcome { records, response }
    }

    /// The records that alter one resource, and whether it had no properties before.
    fn alter(
        &self,
        image: &MetadataImage,
        resource: &ConfigResource,
        alteration: &Alteration,
        brokers: &dyn BrokerConfigs,
        added: usize,
    ) -> Result<(Vec<Record>, bool), AlterConfigError> {
        let stored = stored(image, resource)?;
        let changes = changes(resource, stored, alteration, brokers)?;
        check_elr(image, resource, &changes)?;
        let set: Properties = changes
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            // What is stored already may be Apache Kafka's: nobody sets it now.
            .filter(|(name, value)| stored.get(name) != Some(value))
            .collect();
        check_lengths(resource, &set)?;
        match resource {
            ConfigResource::Topic(_) => TopicConfig::check(&set)?,
            ConfigResource::Group(_) => {
                GroupConfig::check(&set, &self.config.group_limits)?;
                GroupConfig::check_together(&after(stored, &changes), &self.config.group_limits)?;
            }
            ConfigResource::Broker(broker) => brokers.check(*broker, &set)?,
            // What Apache Kafka stored may go.
            ConfigResource::Other { .. } if set.is_empty() => {}
            ConfigResource::Other { kind, .. } => return Err(AlterConfigError::Unserved(*kind)),
        }
        let is_topic = matches!(resource, ConfigResource::Topic(_));
        let is_new = !is_topic && stored.is_empty() && !set.is_empty();
        if is_new && image.all_configs().len() + added >= CONFIGURED_MAX {
            return Err(AlterConfigError::TooManyConfigured);
        }
        // Kafka tells brokers even what does not change, so that they look again.
        let is_told = |name: &String, value: &Option<String>| {
            matches!(resource, ConfigResource::Broker(_)) || stored.get(name) != value.as_ref()
        };
        let told = changes.into_iter().filter(|(name, value)| is_told(name, value));
        let record = |(name, value)| Record::Config { resource: resource.clone(), name, value };
        Ok((told.map(record).collect(), is_new))
    }
}

fn check_lengths(resource: &ConfigResource, set: &Properties) -> Result<(), AlterConfigError> {
    let (name_max, value_max) = match resource {
        ConfigResource::Group(_) => (OF_GROUP_BYTES_MAX, OF_GROUP_BYTES_MAX),
        ConfigResource::Topic(_) | ConfigResource::Broker(_) | ConfigResource::Other { .. } => {
            (usize::MAX, VALUE_BYTES_MAX)
        }
    };
    if set.values().any(|value| value.len() > value_max) {
        return Err(AlterConfigError::TooLong { max: value_max });
    }
    match resource {
        ConfigResource::Group(name) if name.len() > name_max && !set.is_empty() => {
            Err(AlterConfigError::NameTooLong)
        }
        _ => Ok(()),
    }
}

/// What is stored of a resource so far.
fn stored<'a>(
    image: &'a MetadataImage,
    resource: &ConfigResource,
) -> Result<&'a Properties, AlterConfigError> {
    static NONE: Properties = Properties::new();
    match resource {
        ConfigResource::Topic(name) => {
            let topic = image.topic(name.as_str());
            let topic = topic.ok_or_else(|| AlterConfigError::UnknownTopic(name.clone()))?;
            Ok(&topic.configs)
        }
        ConfigResource::Broker(_) | ConfigResource::Group(_) | ConfigResource::Other { .. } => {
            Ok(image.configs(resource).unwrap_or(&NONE))
        }
    }
}

/// The values that properties are to have, `None` for those that are to go.
fn changes(
    resource: &ConfigResource,
    stored: &Properties,
    alteration: &Alteration,
    brokers: &dyn BrokerConfigs,
) -> Result<BTreeMap<String, Option<String>>, AlterConfigError> {
    match alteration {
        Alteration::Replace(properties) => {
            let gone = stored.keys().filter(|name| !properties.contains_key(*name));
            let gone = gone.map(|name| (name.clone(), None));
            let given = properties.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
            Ok(gone.chain(given).collect())
        }
        Alteration::Change(changes) => {
            let value = |(name, change): (&String, &ConfigChange)| {
                let value = match change {
                    ConfigChange::Set(value) => Some(value.clone()),
                    ConfigChange::Delete => None,
                    ConfigChange::Append(items) => {
                        let mut list = list(resource, stored, name, "APPEND", brokers)?;
                        for item in items.split(',').map(str::to_owned) {
                            if !list.contains(&item) {
                                list.push(item);
                            }
                        }
                        Some(list.join(","))
                    }
                    ConfigChange::Subtract(items) => {
                        let mut list = list(resource, stored, name, "SUBTRACT", brokers)?;
                        let gone: BTreeSet<&str> = items.split(',').collect();
                        list.retain(|item| !gone.contains(item.as_str()));
                        Some(list.join(","))
                    }
                };
                Ok((name.clone(), value))
            };
            changes.iter().map(value).collect()
        }
    }
}

/// The properties once they have changed.
fn after(stored: &Properties, changes: &BTreeMap<String, Option<String>>) -> Properties {
    let kept = stored.iter().filter(|(name, _)| !changes.contains_key(*name));
    let kept = kept.map(|(name, value)| (name.clone(), value.clone()));
    let set = changes.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    kept.chain(set).collect()
}

/// The items that a list has now.
fn list(
    resource: &ConfigResource,
    stored: &Properties,
    name: &str,
    verb: &'static str,
    brokers: &dyn BrokerConfigs,
) -> Result<Vec<String>, AlterConfigError> {
    let owned = || name.to_owned();
    let (rule, default) = match resource {
        ConfigResource::Topic(_) => (
            TopicConfigProperty::named(name).map(|property| property.rule),
            TopicConfig::KAFKA.value_named(name),
        ),
        ConfigResource::Group(_) | ConfigResource::Other { .. } => {
            (GroupConfigProperty::named(name).map(|property| property.rule), None)
        }
        ConfigResource::Broker(_) => {
            let known = brokers.property(name);
            let (rule, default) = known.ok_or_else(|| AlterConfigError::NoBrokersList(owned()))?;
            if rule.value_type() != ConfigType::List {
                return Err(AlterConfigError::NotABrokersList { verb, name: owned() });
            }
            (Some(rule), default.map(str::to_owned))
        }
    };
    if rule.is_none_or(|rule| rule.value_type() != ConfigType::List) {
        return Err(AlterConfigError::NotAList { verb, name: owned() });
    }
    let now = stored.get(name).cloned().or(default).unwrap_or_default();
    Ok(now.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn elr_is_finalized(image: &MetadataImage) -> bool {
    image.finalized_features().any(|(name, level)| name == ELR_FEATURE && level > 0)
}

fn check_elr(
    image: &MetadataImage,
    resource: &ConfigResource,
    changes: &BTreeMap<String, Option<String>>,
) -> Result<(), AlterConfigError> {
    let ConfigResource::Broker(broker) = resource else { return Ok(()) };
    let Some(value) = changes.get(MIN_INSYNC_REPLICAS).filter(|_| elr_is_finalized(image)) else {
        return Ok(());
    };
    match (broker, value) {
        (Some(_), _) => Err(AlterConfigError::BrokersMinIsrWithElr),
        (None, None) => Err(AlterConfigError::NoMinIsrWithElr),
        (None, Some(_)) => Ok(()),
    }
}

/// Which replicas may lead without loss depends on how many had to be in sync: where that changes,
/// it is found out anew.
fn forgotten_elr(image: &MetadataImage, records: &[Record]) -> Vec<Record> {
    if !elr_is_finalized(image) {
        return Vec::new();
    }
    let forgotten = records.iter().filter_map(|record| match record {
        Record::Config { resource, name, .. } if name == MIN_INSYNC_REPLICAS => match resource {
            ConfigResource::Topic(topic) => Some(Record::ClearElr { topic: Some(topic.clone()) }),
            ConfigResource::Broker(_) => Some(Record::ClearElr { topic: None }),
            ConfigResource::Group(_) | ConfigResource::Other { .. } => None,
        },
        _ => None,
    });
    forgotten.collect()
}
