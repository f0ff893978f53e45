//! DescribeTopicPartitions: topics in pages (KIP-966).

use ottla_metadata::{MetadataImage, TopicImage};
use ottla_types::NodeId;
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_topic_partitions_request::TopicRequest;
use ottla_wire::messages::describe_topic_partitions_response::{
    Cursor as NextCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ottla_wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::metadata::TOPIC_OPERATIONS;
use super::offline::Offline;
use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;

/// Kafka's `max.request.partition.size.limit`: partitions in one answer.
const PARTITIONS_MAX: usize = 2_000;

/// Where a page begins: a topic's name, and a partition of that very topic.
struct Cursor {
    topic: String,
    partition: usize,
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeTopicPartitionsRequest::decode(&mut call.body, call.version)?;
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0);
    let limit = limit.clamp(1, PARTITIONS_MAX);
    let cursor = request.cursor.as_ref().map(|cursor| Cursor {
        topic: cursor.topic_name.clone().into_owned(),
        partition: usize::try_from(cursor.partition_index).unwrap_or(0),
    });
    let mut names: Vec<String> = request.topics.iter().map(|t| t.name.into_owned()).collect();
    let image = call.broker.metadata.image();
    if names.is_empty() {
        names = image.topics().map(|topic| topic.name.to_string()).collect();
    }
    let named = !request.topics.is_empty();
    names.sort_unstable();
    names.dedup();
    let begins = |cursor: &Cursor| !named || names.contains(&cursor.topic);
    let misplaced = cursor.as_ref().is_some_and(|cursor| !begins(cursor));
    let negative = request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0);
    if misplaced || negative {
        let response = DescribeTopicPartitionsResponse {
            topics: request.topics.iter().map(|topic| refused(&topic)).collect(),
            ..Default::default()
        };
        return Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?));
    }
    names.retain(|name| cursor.as_ref().is_none_or(|cursor| *name >= cursor.topic));
    let response = page(call.broker, &image, &names, cursor.as_ref(), limit);
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

fn page<'a>(
    broker: &Broker,
    image: &'a MetadataImage,
    names: &'a [String],
    cursor: Option<&Cursor>,
    limit: usize,
) -> DescribeTopicPartitionsResponse<'a> {
    let mut topics = Vec::new();
    let mut next = None;
    let mut left = limit;
    for name in names {
        let Some(topic) = image.topic(name) else {
            topics.push(unknown(name));
            continue;
        };
        if left == 0 {
            next = Some((name, 0));
            break;
        }
        let first = cursor.filter(|cursor| cursor.topic == *name).map_or(0, |c| c.partition);
        let count = topic.partitions.len().saturating_sub(first).min(left);
        topics.push(found(broker, topic, first, count));
        left -= count;
        if first + count < topic.partitions.len() {
            next = Some((name, first + count));
            break;
        }
    }
    DescribeTopicPartitionsResponse {
        topics: topics.into(),
        next_cursor: next.map(|(name, partition)| NextCursor {
            topic_name: name.as_str().into(),
            partition_index: index(partition),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn index(partition: usize) -> i32 {
    i32::try_from(partition).expect("a topic's partitions are numbered in 31 bits")
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic<'_> {
    let error = match ottla_types::TopicName::parse(name) {
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name.into()),
        // What it may do with a topic that is not there yet: as Kafka.
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

/// The cursor is no page's beginning: Kafka says so of every topic that was named.
fn refused(topic: &TopicRequest<'_>) -> DescribeTopicPartitionsResponseTopic<'static> {
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::InvalidRequest.code(),
        name: Some(topic.name.clone().into_owned().into()),
        ..Default::default()
    }
}

fn found<'a>(
    broker: &Broker,
    topic: &'a TopicImage,
    first: usize,
    count: usize,
) -> DescribeTopicPartitionsResponseTopic<'a> {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.get()).collect::<Vec<_>>().into();
    let offline = Offline::of(broker, topic.id);
    let partitions = topic.partitions.iter().enumerate().skip(first).take(count);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.as_str().into()),
        topic_id: topic.id,
        is_internal: Broker::is_internal(&topic.name),
        partitions: partitions
            .map(|(at, partition)| DescribeTopicPartitionsResponsePartition {
                error_code: match offline.leader_of(index(at), partition) {
                    Some(_) => ErrorCode::None.code(),
                    None => ErrorCode::LeaderNotAvailable.code(),
                },
                partition_index: index(at),
                leader_id: NodeId::to_wire(offline.leader_of(index(at), partition)),
                offline_replicas: offline.replicas(index(at)).into(),
                leader_epoch: partition.leader_epoch.get(),
                replica_nodes: ids(&partition.replicas),
                isr_nodes: ids(&partition.isr),
                eligible_leader_replicas: Some(ids(&partition.elr)),
                last_known_elr: Some(ids(&partition.last_known_elr)),
                ..Default::default()
            })
            .collect(),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}
