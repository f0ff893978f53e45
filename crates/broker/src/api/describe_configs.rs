//! DescribeConfigs: the settings of topics and of this broker, as far as they are enforced.

use ottla_metadata::{ConfigSource, EffectiveTopicConfig};
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
use crate::config::Kind;

/// Kafka's numbers of the kinds of resources.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;

/// One setting, wherever it belongs.
struct Setting {
    name: &'static str,
    value: Option<String>,
    source: ConfigSource,
    kind: Kind,
    doc: Option<&'static str>,
    read_only: bool,
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
    let effective = broker.config.topic_defaults().effective(&topic.configs);
    Ok(effective.into_iter().map(topic_setting).collect())
}

fn topic_setting(config: EffectiveTopicConfig) -> Setting {
    let EffectiveTopicConfig { name, value, source } = config;
    let kind = match name {
        "cleanup.policy" => Kind::List,
        "max.message.bytes" | "segment.bytes" => Kind::Int,
        _ => Kind::String,
    };
    Setting { name, value: Some(value), source, kind, doc: None, read_only: false }
}

fn of_broker(broker: &Broker, name: &str) -> Result<Vec<Setting>, Unavailable> {
    let own = broker.config.node_id;
    // An empty name means the cluster's dynamic defaults, of which there are none.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    if name.parse() != Ok(own.get()) {
        let words =
            format!("Unexpected broker id, expected {own} or empty string, but received {name}");
        return Err((ErrorCode::InvalidRequest, words));
    }
    let settings = broker.config.effective.iter().map(|effective| Setting {
        name: effective.name,
        value: effective.value.clone(),
        source: if effective.given { ConfigSource::Broker } else { ConfigSource::Default },
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
        error_message: None,
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
            error_message: (!message.is_empty()).then(|| message.into()),
            ..own
        },
    }
}

fn describe(setting: Setting, detail: Detail) -> DescribeConfigsResourceResult<'static> {
    let source = source_to_wire(setting.source);
    let synonym = DescribeConfigsSynonym {
        name: setting.name.into(),
        value: setting.value.clone().map(Into::into),
        source,
        ..Default::default()
    };
    DescribeConfigsResourceResult {
        name: setting.name.into(),
        value: setting.value.map(Into::into),
        read_only: setting.read_only,
        config_source: source,
        synonyms: if detail.synonyms { vec![synonym].into() } else { Vec::new().into() },
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
        Kind::List => 7,
    }
}
