//! DescribeConfigs: the settings of topics, groups and of this broker, as far as they are enforced.

use std::collections::{BTreeMap, BTreeSet};

use ottla_metadata::{
    ConfigResource, ConfigSource, ConfigType, EffectiveTopicConfig, GROUP_CONFIGS,
    TopicConfigProperty,
};
use ottla_types::TopicName;
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::config_resource::{BROKER, CLIENT_METRICS, GROUP, TOPIC, kind_name};
use super::create_topics::source_to_wire;
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::config::{Described, NodeConfig, Origin, Update, find, origins};

/// One setting, wherever it belongs.
struct Setting {
    name: String,
    value: Option<String>,
    /// Where the value may come from, the first that counts.
    origins: Vec<Origin>,
    /// `None`: nobody here knows the property.
    kind: Option<ConfigType>,
    doc: Option<&'static str>,
    read_only: bool,
    /// Told to nobody.
    sensitive: bool,
}

/// Resources that one request may ask about. An answer has 2 KiB for one, and 20 KiB where all is
/// asked for, whatever little the question had: 200 MiB at the very most.
const RESOURCES_MAX: usize = 10_000;

/// What a request wants to hear about each setting.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
    /// Whether values are defaults: later versions tell where they come from.
    defaults: bool,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeConfigsRequest::decode(&mut call.body, call.version)?;
    let detail = Detail {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
        defaults: call.version == 0,
    };
    // Each once: what is told of a resource is much longer than its name, and clients read a map.
    let mut seen = BTreeSet::new();
    let is_first = |it: &DescribeConfigsResource<'_>| {
        seen.insert((it.resource_type, it.resource_name.clone().into_owned()))
    };
    let resources: Vec<_> = request.resources.iter().filter(is_first).collect();
    let found = resources.iter().enumerate().map(|(at, resource)| {
        let found = if at < RESOURCES_MAX {
            settings(call.broker, resource)
        } else {
            let words = format!("no more than {RESOURCES_MAX} resources are described at once");
            Err((ErrorCode::PolicyViolation, words))
        };
        (resource, found)
    });
    let response = DescribeConfigsResponse {
        results: found.map(|(resource, found)| result(resource, found, detail)).collect(),
        ..Default::default()
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

type Unavailable = (ErrorCode, String);

fn settings(
    broker: &Broker,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<Setting>, Unavailable> {
    let name = &*resource.resource_name;
    let mut settings = match resource.resource_type {
        TOPIC => of_topic(broker, name)?,
        BROKER if name.is_empty() => of_all_brokers(broker),
        BROKER => of_broker(broker, name)?,
        GROUP => of_group(broker, name)?,
        CLIENT_METRICS => of_client_metrics(broker, name)?,
        other => {
            let words = format!("Unsupported resource type: {}", kind_name(other));
            return Err((ErrorCode::InvalidRequest, words));
        }
    };
    // No keys at all, and an empty list of keys, both mean every setting.
    if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        settings.retain(|setting| keys.iter().any(|key| *key == setting.name));
    }
    Ok(settings)
}

fn of_topic(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    TopicName::parse(name).map_err(|e| (ErrorCode::InvalidTopicException, e.to_string()))?;
    let image = broker.metadata.image();
    let Some(topic) = image.topic(name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
    };
    let config = broker.live.load();
    let effective = config.logs.topics.effective(&topic.configs);
    Ok(effective.into_iter().map(|setting| topic_setting(&config, setting)).collect())
}

fn topic_setting(config: &NodeConfig, setting: EffectiveTopicConfig) -> Setting {
    let EffectiveTopicConfig { name, value, source } = setting;
    let property = TopicConfigProperty::named(name);
    let own = Origin { name, value: value.clone(), source: ConfigSource::Topic };
    let mut all = Vec::from_iter((source == ConfigSource::Topic).then_some(own));
    // Where several properties of the broker may say it, only the first of them is looked at.
    let inherited = property.and_then(|property| property.synonyms.first());
    all.extend(inherited.into_iter().flat_map(|name| origins(config, name)));
    Setting {
        name: name.to_owned(),
        value: Some(value),
        origins: all,
        kind: Some(property.map_or(ConfigType::String, |property| property.rule.value_type())),
        doc: property.map(|property| property.doc),
        read_only: false,
        sensitive: false,
    }
}

/// Of groups that do not exist, too: they may one day.
fn of_group(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    if name.is_empty() {
        return Err((ErrorCode::InvalidRequest, "Group name must not be empty".to_owned()));
    }
    let (image, config) = (broker.metadata.image(), broker.live.load());
    let none = BTreeMap::new();
    let own = image.configs(&ConfigResource::Group(name.to_owned())).unwrap_or(&none);
    let setting = |property: &'static ottla_metadata::GroupConfigProperty| {
        let own = own.get(property.name).map(|value| Origin {
            name: property.name,
            value: value.trim().to_owned(),
            source: ConfigSource::Group,
        });
        let mut all = Vec::from_iter(own);
        all.extend(origins(&config, property.broker));
        Setting {
            name: property.name.to_owned(),
            value: all.first().map(|origin| origin.value.clone()),
            origins: all,
            kind: Some(property.rule.value_type()),
            doc: Some(property.doc),
            read_only: false,
            sensitive: false,
        }
    };
    let known = |name: &&String| GROUP_CONFIGS.iter().any(|property| property.name == *name);
    let foreign = own.keys().filter(|name| !known(name)).map(|name| unknown(name));
    Ok(GROUP_CONFIGS.iter().map(setting).chain(foreign).collect())
}

/// What Apache Kafka stored of them; nobody here acts on it.
fn of_client_metrics(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    if name.is_empty() {
        let words = "Client metrics subscription name must not be empty".to_owned();
        return Err((ErrorCode::InvalidRequest, words));
    }
    let resource = ConfigResource::Other { kind: CLIENT_METRICS, name: name.to_owned() };
    let image = broker.metadata.image();
    let stored = image.configs(&resource).into_iter().flatten();
    Ok(stored.map(|(name, _)| unknown(name)).collect())
}

/// What was set for all brokers.
fn of_all_brokers(broker: &Broker) -> Vec<Setting> {
    let (image, config) = (broker.metadata.image(), broker.live.load());
    let stored = image.configs(&ConfigResource::Broker(None)).into_iter().flatten();
    let setting = |(name, _): (&String, &String)| {
        let Some(effective) = config.effective(name) else { return unknown(name) };
        let from_default = |origin: &Origin| origin.source == ConfigSource::DynamicDefault;
        let all = origins(&config, name).into_iter().filter(from_default).collect::<Vec<_>>();
        let value = all.first().map(|origin| origin.value.clone());
        broker_setting(effective.property, value, all)
    };
    stored.map(setting).collect()
}

fn of_broker(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    let own = broker.config.node_id;
    let Ok(asked) = name.parse::<i32>() else {
        let words = format!("Broker id must be an integer, but it is: {name}");
        return Err((ErrorCode::InvalidRequest, words));
    };
    if asked != own.get() {
        let words =
            format!("Unexpected broker id, expected {own} or empty string, but received {name}");
        return Err((ErrorCode::InvalidRequest, words));
    }
    let (image, config) = (broker.metadata.image(), broker.live.load());
    let listed = config.effective.iter().filter(|effective| !effective.property.is_internal());
    let settings = listed.map(|effective| {
        let all = origins(&config, effective.property.name());
        broker_setting(effective.property, effective.value.clone(), all)
    });
    let stored = image.configs(&ConfigResource::Broker(Some(own))).into_iter().flatten();
    let foreign = stored.filter(|(name, _)| find(name).is_none()).map(|(name, _)| unknown(name));
    Ok(settings.chain(foreign).collect())
}

fn broker_setting(
    property: &'static dyn Described,
    value: Option<String>,
    origins: Vec<Origin>,
) -> Setting {
    Setting {
        name: property.name().to_owned(),
        value,
        origins,
        kind: Some(property.rule().value_type()),
        doc: Some(property.doc()),
        read_only: property.update() == Update::ReadOnly,
        sensitive: property.is_sensitive(),
    }
}

/// A property that was stored and that nobody here knows. It may be a password: Kafka does not tell
/// the values of such, either.
fn unknown(name: &str) -> Setting {
    Setting {
        name: name.to_owned(),
        value: None,
        origins: Vec::new(),
        kind: None,
        doc: None,
        read_only: false,
        sensitive: true,
    }
}

fn result<'a>(
    resource: &'a DescribeConfigsResource<'_>,
    found: Result<Vec<Setting>, Unavailable>,
    detail: Detail,
) -> DescribeConfigsResult<'a> {
    let own = DescribeConfigsResult {
        // Empty rather than null, as in Kafka.
        error_message: Some("".into()),
        resource_type: resource.resource_type,
        resource_name: (&*resource.resource_name).into(),
        ..Default::default()
    };
    match found {
        Ok(settings) => DescribeConfigsResult {
            configs: settings.into_iter().map(|setting| describe(setting, detail)).collect(),
            ..own
        },
        Err((error, message)) => DescribeConfigsResult {
            error_code: error.code(),
            error_message: Some(message.into()),
            ..own
        },
    }
}

fn describe(setting: Setting, detail: Detail) -> DescribeConfigsResourceResult<'static> {
    let source = setting.origins.first().map_or(ConfigSource::Default, |origin| origin.source);
    let told = |value: String| Some(value.into()).filter(|_| !setting.sensitive);
    let origins = if detail.synonyms { setting.origins } else { Vec::new() };
    let synonyms = origins.into_iter().map(|origin| DescribeConfigsSynonym {
        name: origin.name.into(),
        value: told(origin.value),
        source: source_to_wire(origin.source),
        ..Default::default()
    });
    DescribeConfigsResourceResult {
        synonyms: synonyms.collect(),
        value: setting.value.and_then(told),
        name: setting.name.into(),
        read_only: setting.read_only,
        is_default: detail.defaults && source == ConfigSource::Default,
        config_source: source_to_wire(source),
        is_sensitive: setting.sensitive,
        config_type: type_to_wire(setting.kind),
        documentation: setting.doc.filter(|_| detail.documentation).map(Into::into),
        ..Default::default()
    }
}

/// Kafka's numbers of the types of values.
const fn type_to_wire(kind: Option<ConfigType>) -> i8 {
    match kind {
        None => 0,
        Some(ConfigType::Boolean) => 1,
        Some(ConfigType::String) => 2,
        Some(ConfigType::Int) => 3,
        Some(ConfigType::Short) => 4,
        Some(ConfigType::Long) => 5,
        Some(ConfigType::Double) => 6,
        Some(ConfigType::List) => 7,
        Some(ConfigType::Password) => 9,
    }
}
