//! DescribeProducers: whom partitions remember (KIP-664).

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_log::ActiveProducer;
use ottla_types::{Offset, Sequence, Timestamp, TopicName};
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_wire::messages::{DescribeProducersRequest, DescribeProducersResponse};

use super::errors::{Refusal, shortened};
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;

/// Partitions that one request may name, each of which has words of its own in the answer.
const PARTITIONS_MAX: usize = 100_000;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DescribeProducersRequest::decode(&mut call.body, version)?;
    let asked: Vec<(String, Vec<i32>)> = request
        .topics
        .iter()
        .map(|topic| (topic.name.into_owned(), topic.partition_indexes.iter().collect()))
        .collect();
    let too_many = asked.iter().map(|(_, indexes)| indexes.len()).sum::<usize>() > PARTITIONS_MAX;
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        let mut topics = Vec::with_capacity(asked.len());
        for (name, indexes) in once(&asked) {
            let refusal = match too_many {
                true => Some(ErrorCode::PolicyViolation.into()),
                false => refusal(&broker, name),
            };
            topics.push(topic(&broker, name, indexes, refusal.as_ref()).await);
        }
        let response = DescribeProducersResponse { topics: topics.into(), ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

/// What is asked for, each partition once, where it came first: what a partition says is much
/// longer than its number.
fn once(asked: &[(String, Vec<i32>)]) -> Vec<(&str, Vec<i32>)> {
    let mut seen = BTreeSet::new();
    let mut first = Vec::with_capacity(asked.len());
    for (name, indexes) in asked {
        let mut indexes = indexes.clone();
        indexes.retain(|index| seen.insert((name.as_str(), *index)));
        first.push((name.as_str(), indexes));
    }
    first
}

async fn topic<'a>(
    broker: &Broker,
    name: &'a str,
    indexes: Vec<i32>,
    refusal: Option<&Refusal>,
) -> TopicResponse<'a> {
    let mut partitions = Vec::with_capacity(indexes.len());
    for index in indexes {
        partitions.push(match refusal {
            Some(refusal) => refused(index, refusal.clone()),
            None => match producers(broker, name, index).await {
                Ok(producers) => found(index, &producers),
                Err(code) => refused(index, code.into()),
            },
        });
    }
    TopicResponse { name: name.into(), partitions: partitions.into(), ..Default::default() }
}

/// What is wrong with all of a topic's partitions.
fn refusal(broker: &Broker, name: &str) -> Option<Refusal> {
    match TopicName::parse(name) {
        Err(invalid) => {
            let refusal = Refusal::from(invalid);
            Some(Refusal { message: refusal.message.map(shortened), ..refusal })
        }
        Ok(_) if broker.partitions.topic(name).is_none() => Some(Refusal::unknown_topic()),
        Ok(_) => None,
    }
}

async fn producers(
    broker: &Broker,
    topic: &str,
    index: i32,
) -> Result<Vec<ActiveProducer>, ErrorCode> {
    let entry = broker.partitions.topic(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let partition = entry.partition(index)?;
    Ok(partition.active_producers(&broker.env).await?)
}

fn refused(partition_index: i32, refusal: Refusal) -> PartitionResponse<'static> {
    PartitionResponse {
        partition_index,
        error_code: refusal.code.code(),
        error_message: refusal.message.map(Into::into),
        ..Default::default()
    }
}

fn found(partition_index: i32, producers: &[ActiveProducer]) -> PartitionResponse<'static> {
    PartitionResponse {
        partition_index,
        active_producers: producers.iter().map(state).collect(),
        ..Default::default()
    }
}

fn state(producer: &ActiveProducer) -> ProducerState<'static> {
    ProducerState {
        producer_id: producer.id.get(),
        producer_epoch: i32::from(producer.epoch.get()),
        last_sequence: producer.last_sequence.map_or(-1, Sequence::get),
        last_timestamp: Timestamp::to_wire(producer.last_timestamp),
        coordinator_epoch: producer.coordinator_epoch.unwrap_or(-1),
        current_txn_start_offset: Offset::to_wire(producer.transaction_start),
        ..Default::default()
    }
}
