//! ElectLeaders: to the controller, and back once those lead that were elected.

use std::sync::Arc;

use ottla_metadata::{ElectLeaderError, ElectLeaders, Elected, Election};
use ottla_wire::ErrorCode;
use ottla_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::errors::{Refusal, elect_leader_code};
use super::{Answer, Call, Refused, encode};
use crate::controller::Unavailable;

/// Topics and their partitions, as the client named them; `None` for all.
type Named = Option<Vec<(String, Vec<i32>)>>;

/// Partitions that one request may name: an answer has some 300 bytes for each, and an image as
/// many partitions is a large one.
const PARTITIONS_MAX: usize = 100_000;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = ElectLeadersRequest::decode(&mut call.body, version)?;
    let named: Named = request.topic_partitions.as_ref().map(|topics| {
        let named = topics.iter().map(|it| (it.topic.into_owned(), it.partitions.iter().collect()));
        named.collect()
    });
    if named.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Answer::Now(answer(Vec::new(), ErrorCode::None, version)?));
    }
    if request.timeout_ms <= 0 {
        let late = ErrorCode::RequestTimedOut.into();
        return Ok(Answer::Now(refuse_all(named.as_ref(), &late, version)?));
    }
    if named.iter().flatten().map(|(_, partitions)| partitions.len()).sum::<usize>()
        > PARTITIONS_MAX
    {
        let too_many = ErrorCode::PolicyViolation.into();
        return Ok(Answer::Now(refuse_all(named.as_ref(), &too_many, version)?));
    }
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        other => {
            let unknown = Refusal::unknown_election(other);
            return Ok(Answer::Now(refuse_all(named.as_ref(), &unknown, version)?));
        }
    };
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        let request = ElectLeaders { election, partitions: named.clone() };
        match broker.controller.elect_leaders(request).await {
            Ok(Ok(elected)) => {
                answer(elected.iter().map(result).collect(), ErrorCode::None, version)
            }
            Ok(Err(Unavailable::NoSpace)) => {
                refuse_all(named.as_ref(), &Refusal::directory_full(), version)
            }
            Ok(Err(Unavailable::Behind | Unavailable::Ended)) | Err(_) => {
                refuse_all(named.as_ref(), &ErrorCode::NotController.into(), version)
            }
        }
    })))
}

fn answer(
    results: Vec<ReplicaElectionResult<'_>>,
    error: ErrorCode,
    version: i16,
) -> Result<Vec<u8>, Refused> {
    let response = ElectLeadersResponse {
        // Version 0 has none: there each partition says it.
        error_code: if version == 0 { ErrorCode::None.code() } else { error.code() },
        replica_election_results: results.into(),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}

fn refuse_all(
    named: Option<&Vec<(String, Vec<i32>)>>,
    refusal: &Refusal,
    version: i16,
) -> Result<Vec<u8>, Refused> {
    let partition = |number: &i32| partition(*number, refusal.code, refusal.message.clone());
    let topic = |(topic, partitions): &(String, Vec<i32>)| ReplicaElectionResult {
        topic: topic.clone().into(),
        partition_result: partitions.iter().map(partition).collect(),
        ..Default::default()
    };
    answer(named.into_iter().flatten().map(topic).collect(), refusal.code, version)
}

fn partition(
    partition_id: i32,
    error: ErrorCode,
    message: Option<String>,
) -> PartitionResult<'static> {
    PartitionResult {
        partition_id,
        error_code: error.code(),
        error_message: message.map(Into::into),
        ..Default::default()
    }
}

fn result(topic: &Elected) -> ReplicaElectionResult<'_> {
    let told = |(number, outcome): &(i32, Result<(), ElectLeaderError>)| match outcome {
        Ok(()) => partition(*number, ErrorCode::None, None),
        Err(error) => partition(*number, elect_leader_code(error), Some(error.to_string())),
    };
    ReplicaElectionResult {
        topic: topic.topic.as_str().into(),
        partition_result: topic.partitions.iter().map(told).collect(),
        ..Default::default()
    }
}
