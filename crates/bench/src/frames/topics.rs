//! Many topics made and deleted at once.

use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::delete_topics_request::DeleteTopicState;
use ottla_wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ottla_wire::{ApiKey, List};

use super::{CREATE_TOPICS_VERSION, body, frame, succeeded};

const DELETE_TOPICS_VERSION: i16 = 6;
/// A request of ten thousand topics takes a JVM a while.
const TIMEOUT_MS: i32 = 120_000;

/// Makes topics of one replica.
pub(crate) fn create(names: &[String], partitions: i32) -> Vec<u8> {
    let topic = |name: &String| CreatableTopic {
        name: name.clone().into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let topics: List<'_, _> = names.iter().map(topic).collect::<Vec<_>>().into();
    let request = CreateTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
    frame(ApiKey::CreateTopics, CREATE_TOPICS_VERSION, |writer| {
        request.encode(writer, CREATE_TOPICS_VERSION).expect("this version has every field");
    })
}

/// # Errors
/// When a topic was refused.
pub(crate) fn created(frame: &[u8]) -> Result<(), String> {
    let mut reader = body(frame, ApiKey::CreateTopics, CREATE_TOPICS_VERSION)?;
    let answer = CreateTopicsResponse::decode(&mut reader, CREATE_TOPICS_VERSION)
        .map_err(|error| format!("CreateTopics: {error}"))?;
    answer.topics.iter().try_for_each(|topic| succeeded("CreateTopics", topic.error_code))
}

/// Deletes topics by name.
pub(crate) fn delete(names: &[String]) -> Vec<u8> {
    let topic = |name: &String| DeleteTopicState {
        name: Some(name.clone().into()),
        ..DeleteTopicState::default()
    };
    let topics: List<'_, _> = names.iter().map(topic).collect::<Vec<_>>().into();
    let request = DeleteTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
    frame(ApiKey::DeleteTopics, DELETE_TOPICS_VERSION, |writer| {
        request.encode(writer, DELETE_TOPICS_VERSION).expect("this version has every field");
    })
}

/// # Errors
/// When a topic was not deleted.
pub(crate) fn deleted(frame: &[u8]) -> Result<(), String> {
    let mut reader = body(frame, ApiKey::DeleteTopics, DELETE_TOPICS_VERSION)?;
    let answer = DeleteTopicsResponse::decode(&mut reader, DELETE_TOPICS_VERSION)
        .map_err(|error| format!("DeleteTopics: {error}"))?;
    answer.responses.iter().try_for_each(|topic| succeeded("DeleteTopics", topic.error_code))
}
