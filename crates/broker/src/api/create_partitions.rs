//! CreatePartitions: to the controller, and back once the new partitions can be used.

use std::sync::Arc;

use ottla_metadata::{
    CreatePartitions, CreatePartitionsError, MorePartitions, MorePartitionsOutcome,
};
use ottla_wire::ErrorCode;
use ottla_wire::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::errors::{Refusal, create_partitions_code};
use super::{Answer, Call, Refused, encode};
use crate::controller::Unavailable;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = CreatePartitionsRequest::decode(&mut call.body, version)?;
    let timeout_ms = request.timeout_ms;
    let request = CreatePartitions {
        topics: request.topics.iter().map(|topic| more_partitions(&topic)).collect(),
        validate_only: request.validate_only,
    };
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    if timeout_ms <= 0 {
        let late = ErrorCode::RequestTimedOut.into();
        return Ok(Answer::Now(refuse_all(&names, &late, version)?));
    }
    if !request.validate_only && !call.broker.partitions.have_room() {
        return Ok(Answer::Now(refuse_all(&names, &Refusal::directory_full(), version)?));
    }
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        match broker.controller.create_partitions(request).await {
            Ok(Ok(outcomes)) => answer(outcomes.iter().map(result).collect(), version),
            Ok(Err(Unavailable::NoSpace)) => {
                refuse_all(&names, &Refusal::directory_full(), version)
            }
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                refuse_all(&names, &ErrorCode::NotController.into(), version)
            }
        }
    })))
}

fn more_partitions(topic: &CreatePartitionsTopic<'_>) -> MorePartitions {
    MorePartitions {
        name: topic.name.clone().into_owned(),
        count: topic.count,
        assignments: topic.assignments.as_ref().map(|assignments| {
            assignments.iter().map(|assignment| assignment.broker_ids.iter().collect()).collect()
        }),
    }
}

fn answer(results: Vec<CreatePartitionsTopicResult<'_>>, version: i16) -> Result<Vec<u8>, Refused> {
    let response = CreatePartitionsResponse { results: results.into(), ..Default::default() };
    encode(|writer| response.encode(writer, version))
}

fn refuse_all(names: &[String], refusal: &Refusal, version: i16) -> Result<Vec<u8>, Refused> {
    let refused = |name: &String| refused(name, refusal.code, refusal.message.clone());
    answer(names.iter().map(refused).collect(), version)
}

fn refused(
    name: &str,
    error: ErrorCode,
    message: Option<String>,
) -> CreatePartitionsTopicResult<'static> {
    CreatePartitionsTopicResult {
        name: name.to_owned().into(),
        error_code: error.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

fn result(topic: &MorePartitionsOutcome) -> CreatePartitionsTopicResult<'static> {
    match &topic.outcome {
        Ok(()) => refused(&topic.name, ErrorCode::None, None),
        // Kafka sends no words with this one.
        Err(error @ CreatePartitionsError::UnknownTopic) => {
            refused(&topic.name, create_partitions_code(error), None)
        }
        Err(error) => refused(&topic.name, create_partitions_code(error), Some(error.to_string())),
    }
}
