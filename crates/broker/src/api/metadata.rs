//! Metadata: brokers, topics and partition leaders.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_metadata::{MetadataImage, TopicImage};
use ottla_types::{NodeId, TopicName, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_wire::messages::{MetadataRequest, MetadataResponse};

use super::offline::Offline;
use super::{Answer, Call, Refused, encode};
use crate::broker::{Broker, Listening};

/// What a client without an authorizer may do with a topic: a bit for each operation that topics
/// have (READ 3, WRITE 4, CREATE 5, DELETE 6, ALTER 7, DESCRIBE 8, DESCRIBE_CONFIGS 10,
/// ALTER_CONFIGS 11).
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;

/// As [`TOPIC_OPERATIONS`], for the cluster (CREATE, ALTER, DESCRIBE, CLUSTER_ACTION 9,
/// DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE 12).
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

/// What a request asks for, apart from the wire.
struct Asked {
    topics: Which,
    topic_operations: bool,
    cluster_operations: bool,
}

enum Which {
    All,
    These(Vec<Topic>),
}

enum Topic {
    Name(String),
    Id(Uuid),
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = MetadataRequest::decode(&mut call.body, version)?;
    let asked = Asked {
        topics: which(&request, version),
        topic_operations: request.include_topic_authorized_operations,
        cluster_operations: request.include_cluster_authorized_operations,
    };
    let image = call.broker.metadata.image();
    let may_create = request.allow_auto_topic_creation && call.broker.config.auto_create_topics;
    let missing = if may_create { missing(&image, &asked) } else { BTreeSet::new() };
    if missing.is_empty() {
        let listening = call.listening;
        return Ok(Answer::Now(answer(call.broker, &image, listening, &asked, version)?));
    }
    let (broker, listening) = (Arc::clone(call.broker), Arc::clone(call.listening));
    Ok(Answer::Later(Box::pin(async move {
        // Whatever becomes of it, the answer tells what is there then.
        broker.create_missing(missing).await;
        answer(&broker, &broker.metadata.image(), &listening, &asked, version)
    })))
}

fn which(request: &MetadataRequest<'_>, version: i16) -> Which {
    let Some(topics) = &request.topics else { return Which::All };
    // Version 0 had no null: an empty list meant every topic.
    if version == 0 && topics.is_empty() {
        return Which::All;
    }
    // An id counts before a name.
    let topic = topics.iter().map(|topic| match (topic.name, topic.topic_id) {
        (Some(name), Uuid::ZERO) => Topic::Name(name.into_owned()),
        (_, id) => Topic::Id(id),
    });
    Which::These(topic.collect())
}

/// Each once: what is asked for twice is made once.
fn missing(image: &MetadataImage, asked: &Asked) -> BTreeSet<TopicName> {
    let Which::These(topics) = &asked.topics else { return BTreeSet::new() };
    let names = topics.iter().filter_map(|topic| match topic {
        Topic::Name(name) => TopicName::parse(name).ok(),
        Topic::Id(_) => None,
    });
    names.filter(|name| image.topic(name.as_str()).is_none()).collect()
}

fn answer(
    broker: &Broker,
    image: &MetadataImage,
    listening: &Listening,
    asked: &Asked,
    version: i16,
) -> Result<Vec<u8>, Refused> {
    let operations = |wanted: bool, bits: i32| if wanted { bits } else { i32::MIN };
    let topic_operations = operations(asked.topic_operations, TOPIC_OPERATIONS);
    let topics = match &asked.topics {
        Which::All => image.topics().map(|topic| found(broker, topic, topic_operations)).collect(),
        Which::These(topics) => {
            topics.iter().map(|topic| look_up(broker, image, topic, topic_operations)).collect()
        }
    };
    let response = MetadataResponse {
        brokers: super::describe_cluster::brokers(image, listening)
            .map(|(node, endpoint)| MetadataResponseBroker {
                node_id: node.get(),
                host: endpoint.host.as_str().into(),
                port: i32::from(endpoint.port),
                ..Default::default()
            })
            .collect(),
        cluster_id: Some(image.cluster_id().into()),
        controller_id: super::describe_cluster::controller_for_clients(image),
        topics,
        cluster_authorized_operations: operations(asked.cluster_operations, CLUSTER_OPERATIONS),
        ..Default::default()
    };
    encode(|writer| response.encode(writer, version))
}

fn look_up<'a>(
    broker: &Broker,
    image: &'a MetadataImage,
    asked: &'a Topic,
    operations: i32,
) -> MetadataResponseTopic<'a> {
    let refused = |error: ErrorCode| MetadataResponseTopic {
        error_code: error.code(),
        name: match asked {
            Topic::Name(name) => Some(name.as_str().into()),
            Topic::Id(_) => None,
        },
        topic_id: match asked {
            Topic::Name(_) => Uuid::ZERO,
            Topic::Id(id) => *id,
        },
        // Of a name it is told what may be done with it, whether or not there is such a topic.
        topic_authorized_operations: match asked {
            Topic::Name(_) => operations,
            Topic::Id(_) => i32::MIN,
        },
        ..Default::default()
    };
    let known = match asked {
        Topic::Name(name) => image.topic(name).ok_or_else(|| match TopicName::parse(name) {
            Ok(_) => ErrorCode::UnknownTopicOrPartition,
            Err(_) => ErrorCode::InvalidTopicException,
        }),
        Topic::Id(id) => image.topic_by_id(*id).ok_or(ErrorCode::UnknownTopicId),
    };
    known.map_or_else(refused, |topic| found(broker, topic, operations))
}

fn found<'a>(broker: &Broker, topic: &'a TopicImage, operations: i32) -> MetadataResponseTopic<'a> {
    let offline = Offline::of(broker, topic.id);
    MetadataResponseTopic {
        name: Some(topic.name.as_str().into()),
        topic_id: topic.id,
        is_internal: Broker::is_internal(&topic.name),
        partitions: (0..)
            .zip(&topic.partitions)
            .map(|(index, partition)| (index, partition, offline.leader_of(index, partition)))
            .map(|(index, partition, leader)| MetadataResponsePartition {
                error_code: match leader {
                    Some(_) => ErrorCode::None.code(),
                    None => ErrorCode::LeaderNotAvailable.code(),
                },
                partition_index: index,
                leader_id: NodeId::to_wire(leader),
                offline_replicas: offline.replicas(index).into(),
                leader_epoch: partition.leader_epoch.get(),
                replica_nodes: partition.replicas.iter().map(|node| node.get()).collect(),
                isr_nodes: partition.isr.iter().map(|node| node.get()).collect(),
                ..Default::default()
            })
            .collect(),
        topic_authorized_operations: operations,
        ..Default::default()
    }
}
