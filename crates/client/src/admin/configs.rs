//! Properties of topics, brokers and groups.

use std::fmt;

use ottla_types::TopicName;
use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::describe_configs_response::DescribeConfigsSynonym;
use ottla_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_wire::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};

use super::{Admin, AdminError, Repeat, missing};
use crate::error::BrokerError;

/// What has properties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker, by its node id.
    Broker(i32),
    /// The default of all brokers.
    AllBrokers,
    /// A group.
    Group(String),
}

impl ConfigResource {
    fn to_wire(&self) -> (i8, String) {
        match self {
            Self::Topic(name) => (2, name.to_string()),
            Self::Broker(id) => (4, id.to_string()),
            Self::AllBrokers => (4, String::new()),
            Self::Group(id) => (32, id.clone()),
        }
    }
}

impl ConfigResource {
    /// `None` for kinds that this client has no name for.
    fn from_wire(kind: i8, name: &str) -> Option<Self> {
        match (kind, name) {
            (2, name) => TopicName::parse(name).ok().map(Self::Topic),
            (4, "") => Some(Self::AllBrokers),
            (4, id) => id.parse().ok().map(Self::Broker),
            (32, id) => Some(Self::Group(id.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
            Self::AllBrokers => f.write_str("all brokers"),
            Self::Group(id) => write!(f, "group {id}"),
        }
    }
}

/// A property as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// Its value; `None` for none, and for secrets.
    pub value: Option<String>,
    /// Whether it is set for this very resource, and not inherited.
    pub is_own: bool,
    /// Whether nobody has set it: the value is the default.
    pub is_default: bool,
    /// Whether it can be changed only by a restart.
    pub is_read_only: bool,
    /// Whether its value is never shown.
    pub is_sensitive: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Where it may come from, what counts most first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A place that a property's value may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// What the property is called there.
    pub name: String,
    /// Its value there; `None` for none, and for secrets.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// It was set for the topic.
    Topic,
    /// It was set for the broker while it ran.
    Broker,
    /// It was set for all brokers.
    AllBrokers,
    /// The broker was started with it.
    Static,
    /// Nobody has set it.
    Default,
    /// It is the level of a logger.
    BrokerLogger,
    /// It was set for a subscription to metrics of clients.
    ClientMetrics,
    /// It was set for the group.
    Group,
    /// A place that this client does not know.
    Unknown,
}

impl ConfigSource {
    const fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::Static,
            5 => Self::Default,
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            _ => Self::Unknown,
        }
    }
}

/// A change of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Lets it be inherited again.
    Delete(String),
    /// Adds to a list.
    Append(String, String),
    /// Takes from a list.
    Subtract(String, String),
}

impl ConfigChange {
    fn to_wire(&self) -> AlterableConfig<'_> {
        let (name, config_operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value)),
            Self::Delete(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value)),
            Self::Subtract(name, value) => (name, 3, Some(value)),
        };
        let value = value.map(|value| value.as_str().into());
        AlterableConfig {
            name: name.as_str().into(),
            config_operation,
            value,
            ..AlterableConfig::default()
        }
    }
}

/// Kafka's numbers for values that are set for the very resource: of a topic, of a broker at run
/// time, of a group.
const OWN_SOURCES: [i8; 3] = [1, 2, 8];

/// Kafka's number for the default of all brokers.
const ALL_BROKERS_SOURCE: i8 = 3;

/// Kafka's number for values that nobody has set.
const DEFAULT_SOURCE: i8 = 5;

impl Admin {
    /// The topics, brokers and groups that have properties of their own, or could have.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn list_config_resources(&self) -> Result<Vec<ConfigResource>, AdminError> {
        let request = ListConfigResourcesRequest {
            resource_types: [2, 4, 32].into_iter().collect(),
            ..ListConfigResourcesRequest::default()
        };
        self.ask("list what has properties", Repeat::Always, &request, |answer| {
            let answer = answer.get();
            BrokerError::check(answer.error_code)?;
            let resources = answer.config_resources.iter();
            let known = resources.filter_map(|each| {
                ConfigResource::from_wire(each.resource_type, &each.resource_name)
            });
            Ok(known.collect())
        })
        .await
    }

    /// All properties of a resource.
    ///
    /// # Errors
    /// When there is no such resource, or nobody answers in time.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, AdminError> {
        let (resource_type, resource_name) = resource.to_wire();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type,
                resource_name: resource_name.into(),
                configuration_keys: None,
                ..DescribeConfigsResource::default()
            }]
            .into(),
            include_synonyms: true,
            ..DescribeConfigsRequest::default()
        };
        let of_all = *resource == ConfigResource::AllBrokers;
        let own =
            |source: i8| OWN_SOURCES.contains(&source) || (of_all && source == ALL_BROKERS_SOURCE);
        let synonym = |synonym: DescribeConfigsSynonym<'_>| ConfigSynonym {
            name: synonym.name.into_owned(),
            value: synonym.value.map(std::borrow::Cow::into_owned),
            source: ConfigSource::from_wire(synonym.source),
        };
        let what = format_args!("describe the properties of {resource}");
        self.ask(what, Repeat::Always, &request, |answer| {
            let result = answer.get().results.first().ok_or_else(missing)?;
            BrokerError::check_with(result.error_code, result.error_message.as_deref())?;
            let entries = result.configs.iter().map(|config| ConfigEntry {
                name: config.name.into_owned(),
                value: config.value.map(std::borrow::Cow::into_owned),
                is_own: own(config.config_source),
                is_default: config.config_source == DEFAULT_SOURCE,
                is_read_only: config.read_only,
                is_sensitive: config.is_sensitive,
                source: ConfigSource::from_wire(config.config_source),
                synonyms: config.synonyms.iter().map(synonym).collect(),
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Changes properties of a resource; what is not named stays.
    ///
    /// # Errors
    /// When the cluster refuses, or does not answer in time.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<(), AdminError> {
        self.alter(resource, changes, false).await
    }

    /// Asks whether properties of a resource could be changed, and changes nothing.
    ///
    /// # Errors
    /// When the cluster would refuse, or does not answer in time.
    pub async fn validate_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
    ) -> Result<(), AdminError> {
        self.alter(resource, changes, true).await
    }

    async fn alter(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), AdminError> {
        let (resource_type, resource_name) = resource.to_wire();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type,
                resource_name: resource_name.into(),
                configs: changes.iter().map(ConfigChange::to_wire).collect(),
                ..AlterConfigsResource::default()
            }]
            .into(),
            validate_only,
            ..IncrementalAlterConfigsRequest::default()
        };
        let what = format_args!("change the properties of {resource}");
        self.ask(what, Repeat::UnlessServed, &request, |answer| {
            let result = answer.get().responses.first().ok_or_else(missing)?;
            BrokerError::check_with(result.error_code, result.error_message.as_deref())
        })
        .await
    }
}
