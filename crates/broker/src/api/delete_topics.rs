//! DeleteTopics: to the controller, and back once the topics are gone.

use std::sync::Arc;

use ottla_metadata::{DeleteTopics, DeletedTopic, TopicSelector};
use ottla_types::Uuid;
use ottla_wire::ErrorCode;
use ottla_wire::messages::delete_topics_response::DeletableTopicResult;
use ottla_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::errors::delete_topic_code;
use super::{Answer, Call, Refused, encode};
use crate::controller::Unavailable;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DeleteTopicsRequest::decode(&mut call.body, version)?;
    let timeout_ms = request.timeout_ms;
    let topics = selectors(&request);
    if timeout_ms <= 0 {
        let late = topics.iter().map(|topic| refusal(topic, ErrorCode::RequestTimedOut));
        return Ok(Answer::Now(answer(late.collect(), version)?));
    }
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        match broker.controller.delete_topics(DeleteTopics { topics: topics.clone() }).await {
            Ok(Ok(deleted)) => answer(deleted.iter().map(result).collect(), version),
            Ok(Err(Unavailable::NoSpace)) => {
                let code = ErrorCode::KafkaStorageError;
                let refused = topics.iter().map(|topic| refusal(topic, code));
                answer(refused.collect(), version)
            }
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                let refused = topics.iter().map(|topic| refusal(topic, ErrorCode::NotController));
                answer(refused.collect(), version)
            }
        }
    })))
}

fn selectors(request: &DeleteTopicsRequest<'_>) -> Vec<TopicSelector> {
    let by_name = request.topic_names.iter().map(|name| TopicSelector::Name(name.into_owned()));
    let by_either = request.topics.iter().map(|topic| match (topic.name, topic.topic_id) {
        (None, Uuid::ZERO) => TopicSelector::Neither,
        (None, id) => TopicSelector::Id(id),
        (Some(name), Uuid::ZERO) => TopicSelector::Name(name.into_owned()),
        (Some(name), id) => TopicSelector::Both(name.into_owned(), id),
    });
    by_name.chain(by_either).collect()
}

fn answer(responses: Vec<DeletableTopicResult<'_>>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = DeleteTopicsResponse { responses: responses.into(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn refusal(topic: &TopicSelector, error: ErrorCode) -> DeletableTopicResult<'_> {
    let (name, topic_id) = match topic {
        TopicSelector::Name(name) => (Some(name), Uuid::ZERO),
        TopicSelector::Id(id) => (None, *id),
        TopicSelector::Both(name, id) => (Some(name), *id),
        TopicSelector::Neither => (None, Uuid::ZERO),
    };
    DeletableTopicResult {
        name: name.map(|name| name.as_str().into()),
        topic_id,
        error_code: error.code(),
        ..Default::default()
    }
}

fn result(deleted: &DeletedTopic) -> DeletableTopicResult<'_> {
    let error = deleted.outcome.as_ref().err();
    DeletableTopicResult {
        name: deleted.name.as_deref().map(Into::into),
        topic_id: deleted.id.unwrap_or(Uuid::ZERO),
        error_code: error.map_or(ErrorCode::None, delete_topic_code).code(),
        error_message: error.map(|error| error.to_string().into()),
        ..Default::default()
    }
}
