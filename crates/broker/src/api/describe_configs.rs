//! DescribeConfigs: the settings of topics and of this broker, as far as they are enforced.

use ottla_metadata::{ConfigSource, ConfigType, EffectiveTopicConfig, TopicConfigProperty};
use ottla_types::TopicName;
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::create_topics::source_to_wire;
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::config::{Kind, NodeConfig, alternatives};

/// Kafka's numbers of the kinds of resources.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;

/// One setting, wherever it belongs.
struct Setting {
    name: &'static str,
    value: Option<String>,
    /// Where the value may come from, the first that counts.
    origins: Vec<Origin>,
    kind: Kind,
    doc: Option<&'static str>,
    read_only: bool,
}

/// A property that says what a setting is, or would say it if those before it were not there.
#[derive(Clone)]
struct Origin {
    name: &'static str,
    value: String,
    source: ConfigSource,
}

/// What a request wants to hear about each setting.
#[derive(Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeConfigsRequest::decode(&mut call.body, call.version)?;
    let detail =
        Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let resources: Vec<_> = request.resources.iter().collect();
    let found = resources.iter().map(|resource| (resource, settings(call.broker, resource)));
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
        RESOURCE_TOPIC => of_topic(broker, name)?,
        RESOURCE_BROKER => of_broker(broker, name)?,
        other => {
            return Err((ErrorCode::InvalidRequest, format!("Unsupported resource type: {other}")));
        }
    };
    // No keys at all, and an empty list of keys, both mean every setting.
    if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        settings.retain(|setting| keys.iter().any(|key| key == setting.name));
    }
    Ok(settings)
}

fn of_topic(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    TopicName::parse(name).map_err(|e| (ErrorCode::InvalidTopicException, e.to_string()))?;
    let image = broker.metadata.image();
    let Some(topic) = image.topic(name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
    };
    let effective = broker.config.logs.topics.effective(&topic.configs);
    Ok(effective.into_iter().map(|config| topic_setting(&broker.config, config)).collect())
}

fn topic_setting(config: &NodeConfig, setting: EffectiveTopicConfig) -> Setting {
    let EffectiveTopicConfig { name, value, source } = setting;
    let property = TopicConfigProperty::named(name);
    let own = Origin { name, value: value.clone(), source: ConfigSource::Topic };
    let mut origins = Vec::from_iter((source == ConfigSource::Topic).then_some(own));
    // Where several properties of the broker may say it, only the first of them is looked at.
    let inherited = property.and_then(|property| property.synonyms.first());
    origins.extend(inherited.into_iter().flat_map(|name| origins_of(config, name)));
    let kind = match property.map(|property| property.rule.value_type()) {
        Some(ConfigType::Int) => Kind::Int,
        Some(ConfigType::Long) => Kind::Long,
        Some(ConfigType::List) => Kind::List,
        _ => Kind::String,
    };
    Setting { name, value: Some(value), origins, kind, doc: None, read_only: false }
}

/// The broker's properties that may say what `name` says, as Kafka lists them: those that were
/// given, then the defaults; nothing that counts more than `name` itself.
fn origins_of(config: &NodeConfig, name: &'static str) -> Vec<Origin> {
    let effective = |name: &&'static str| config.effective.iter().find(|e| e.name == *name);
    let names = alternatives(name);
    let found = || names.iter().filter_map(effective);
    let given = found().filter(|e| e.given).filter_map(|e| {
        let value = e.value.clone()?;
        Some(Origin { name: e.name, value, source: ConfigSource::Broker })
    });
    let defaults = found().filter_map(|e| {
        let value = e.default?.to_owned();
        Some(Origin { name: e.name, value, source: ConfigSource::Default })
    });
    given.chain(defaults).skip_while(|origin| origin.name != name).collect()
}

fn of_broker(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    let own = broker.config.node_id;
    // An empty name means the cluster's dynamic defaults, of which there are none.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(asked) = name.parse::<i32>() else {
        let words = format!("Broker id must be an integer, but it is: {name}");
        return Err((ErrorCode::InvalidRequest, words));
    };
    if asked != own.get() {
        let words =
            format!("Unexpected broker id, expected {own} or empty string, but received {name}");
        return Err((ErrorCode::InvalidRequest, words));
    }
    let settings = broker.config.effective.iter().map(|effective| Setting {
        name: effective.name,
        value: effective.value.clone(),
        origins: origins_of(&broker.config, effective.name),
        kind: effective.kind,
        doc: Some(effective.doc),
        read_only: true,
    });
    Ok(settings.collect())
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
    let origins = if detail.synonyms { setting.origins } else { Vec::new() };
    let synonyms = origins.into_iter().map(|origin| DescribeConfigsSynonym {
        name: origin.name.into(),
        value: Some(origin.value.into()),
        source: source_to_wire(origin.source),
        ..Default::default()
    });
    DescribeConfigsResourceResult {
        name: setting.name.into(),
        value: setting.value.map(Into::into),
        read_only: setting.read_only,
        config_source: source_to_wire(source),
        synonyms: synonyms.collect(),
        config_type: kind_to_wire(setting.kind),
        documentation: setting.doc.filter(|_| detail.documentation).map(Into::into),
        ..Default::default()
    }
}

/// Kafka's numbers of the types of values.
fn kind_to_wire(kind: Kind) -> i8 {
    match kind {
        Kind::Boolean => 1,
        Kind::String => 2,
        Kind::Int => 3,
        Kind::Long => 5,
        Kind::List => 7,
    }
}
