//! CreateTopics: to the controller, and back once the topics can be used.

use std::borrow::Cow;
use std::sync::Arc;

use ottla_metadata::{
    Assignment, ConfigSource, CreateTopics, CreatedTopic, EffectiveTopicConfig, NewTopic,
    TopicConfigProperty, TopicOutcome,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::errors::{Refusal, create_topic_code, shortened};
use super::{Answer, Call, Refused, encode};
use crate::config::NodeConfig;
use crate::controller::Unavailable;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = CreateTopicsRequest::decode(&mut call.body, version)?;
    let timeout_ms = request.timeout_ms;
    let request = CreateTopics {
        topics: request.topics.iter().map(|topic| new_topic(&topic)).collect(),
        validate_only: request.validate_only,
    };
    // Kafka looks at the time first: no time left, nothing is made.
    if timeout_ms <= 0 {
        let late =
            request.topics.iter().map(|t| refusal(&t.name, ErrorCode::RequestTimedOut, None));
        return Ok(Answer::Now(answer(late.collect(), version)?));
    }
    if !request.validate_only && !call.broker.partitions.have_room() {
        // Kafka has no such answer. This one tells a person why, and a client to try again.
        let Refusal { code, message, .. } = Refusal::directory_full();
        let full = request.topics.iter().map(|t| refusal(&t.name, code, message.clone()));
        return Ok(Answer::Now(answer(full.collect(), version)?));
    }
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        let names: Vec<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
        match broker.controller.create_topics(request).await {
            Ok(Ok(outcomes)) => {
                let config = broker.live.load();
                let told = outcomes.iter().map(|outcome| result(outcome, &config));
                answer(told.collect(), version)
            }
            Ok(Err(Unavailable::NoSpace)) => {
                let full = Refusal::directory_full();
                let refused = names.iter().map(|n| refusal(n, full.code, full.message.clone()));
                answer(refused.collect(), version)
            }
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                let refused = names.iter().map(|n| refusal(n, ErrorCode::NotController, None));
                answer(refused.collect(), version)
            }
        }
    })))
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    NewTopic {
        name: topic.name.clone().into_owned(),
        // -1: the default; anything else is the controller's to judge.
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| Assignment {
                partition: assignment.partition_index,
                brokers: assignment.broker_ids.iter().collect(),
            })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.into_owned(), config.value.map(Cow::into_owned)))
            .collect(),
    }
}

fn answer(topics: Vec<CreatableTopicResult<'_>>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = CreateTopicsResponse { topics: topics.into(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn refusal(name: &str, error: ErrorCode, message: Option<String>) -> CreatableTopicResult<'_> {
    CreatableTopicResult {
        name: name.into(),
        error_code: error.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

fn result<'a>(outcome: &'a TopicOutcome, config: &NodeConfig) -> CreatableTopicResult<'a> {
    match &outcome.outcome {
        Ok(created) => success(&outcome.name, created, config),
        Err(error) => {
            let words = shortened(error.to_string());
            refusal(&outcome.name, create_topic_code(error), Some(words))
        }
    }
}

fn success<'a>(
    name: &'a str,
    created: &'a CreatedTopic,
    node: &NodeConfig,
) -> CreatableTopicResult<'a> {
    CreatableTopicResult {
        name: name.into(),
        topic_id: created.id,
        error_message: None,
        num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(created.replication_factor).unwrap_or(i16::MAX),
        configs: Some(created.configs.iter().map(|it| config(it, node)).collect()),
        ..Default::default()
    }
}

fn config<'a>(config: &'a EffectiveTopicConfig, node: &NodeConfig) -> CreatableTopicConfigs<'a> {
    CreatableTopicConfigs {
        name: config.name.into(),
        value: Some(config.value.as_str().into()),
        config_source: source_to_wire(source(config, node)),
        ..Default::default()
    }
}

/// What a topic inherits comes from the first of the broker's properties that anybody set.
fn source(config: &EffectiveTopicConfig, node: &NodeConfig) -> ConfigSource {
    if config.source == ConfigSource::Topic {
        return ConfigSource::Topic;
    }
    let synonyms = TopicConfigProperty::named(config.name).map_or(&[][..], |it| it.synonyms);
    let sources = synonyms.iter().filter_map(|name| node.effective(name)).map(|it| it.source);
    sources.min().unwrap_or(ConfigSource::Default)
}

/// Kafka's numbers of the places that a value can come from.
pub(super) fn source_to_wire(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::DynamicBroker => 2,
        ConfigSource::DynamicDefault => 3,
        ConfigSource::Broker => 4,
        ConfigSource::Default => 5,
        ConfigSource::Group => 8,
    }
}
