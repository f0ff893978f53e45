//! A topic that is filled as any other and then told to compact itself.

use std::borrow::Cow;

use ottla_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_wire::messages::{
    CreateTopicsRequest, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use ottla_wire::{ApiKey, List};

use super::{CREATE_TOPICS_VERSION, body, frame, succeeded};

const ALTER_VERSION: i16 = 1;
/// The kind of resource that a topic is, and the operation that sets a value.
const TOPIC: i8 = 2;
const SET: i8 = 0;

/// A topic of one partition whose segments have so many bytes.
pub(crate) fn create(name: &str, segment_bytes: u64) -> Vec<u8> {
    let config = CreatableTopicConfig {
        name: "segment.bytes".into(),
        value: Some(Cow::Owned(segment_bytes.to_string())),
        ..CreatableTopicConfig::default()
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![config].into(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic].into(), ..Default::default() };
    frame(ApiKey::CreateTopics, CREATE_TOPICS_VERSION, |writer| {
        request.encode(writer, CREATE_TOPICS_VERSION).expect("this version has every field");
    })
}

/// From here on the topic is compacted.
pub(crate) fn begin(name: &str) -> Vec<u8> {
    let config = AlterableConfig {
        name: "cleanup.policy".into(),
        config_operation: SET,
        value: Some("compact".into()),
        ..AlterableConfig::default()
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: name.into(),
        configs: vec![config].into(),
        ..AlterConfigsResource::default()
    };
    let resources: List<'_, _> = vec![resource].into();
    let request = IncrementalAlterConfigsRequest { resources, ..Default::default() };
    frame(ApiKey::IncrementalAlterConfigs, ALTER_VERSION, |writer| {
        request.encode(writer, ALTER_VERSION).expect("this version has every field");
    })
}

/// # Errors
/// When the topic may not be compacted.
pub(crate) fn begun(frame: &[u8]) -> Result<(), String> {
    let mut reader = body(frame, ApiKey::IncrementalAlterConfigs, ALTER_VERSION)?;
    let answer = IncrementalAlterConfigsResponse::decode(&mut reader, ALTER_VERSION)
        .map_err(|error| format!("IncrementalAlterConfigs: {error}"))?;
    let mut topics = answer.responses.iter();
    topics.try_for_each(|topic| succeeded("IncrementalAlterConfigs", topic.error_code))
}
