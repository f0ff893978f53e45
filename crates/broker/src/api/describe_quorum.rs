//! DescribeQuorum: who leads the metadata quorum, and how far each voter is.

use ottla_metadata::{ControllerImage, MetadataImage};
use ottla_types::{NodeId, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use ottla_wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use super::{Answer, Call, Refused, encode};

/// The one topic that has a quorum.
const CLUSTER_METADATA: &str = "__cluster_metadata";

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeQuorumRequest::decode(&mut call.body, call.version)?;
    let image = call.broker.metadata.image();
    let now = call.broker.env.clock.wall().millis();
    let names: Vec<_> = request.topics.iter().map(|topic| topic.topic_name).collect();
    let topics = request.topics.iter().zip(&names).map(|(topic, name)| TopicData {
        topic_name: (&**name).into(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| match (&**name, partition.partition_index) {
                (CLUSTER_METADATA, 0) => quorum(&image, now, call.version),
                (_, partition_index) => PartitionData {
                    partition_index,
                    error_code: ErrorCode::UnknownTopicOrPartition.code(),
                    error_message: None,
                    ..Default::default()
                },
            })
            .collect(),
        ..Default::default()
    });
    let response = DescribeQuorumResponse {
        error_message: None,
        topics: topics.collect(),
        nodes: match call.version {
            2.. => image.controllers().map(|controller| node(controller)).collect(),
            _ => Vec::new().into(),
        },
        ..Default::default()
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

/// A quorum of one: the leader is its only voter, and as far as it is itself.
fn quorum(image: &MetadataImage, now: i64, version: i16) -> PartitionData<'static> {
    let leader = image.controller();
    let voter = leader.map(|leader| ReplicaState {
        replica_id: leader.get(),
        replica_directory_id: directory(image, leader)
            .filter(|_| version >= 2)
            .unwrap_or(Uuid::ZERO),
        log_end_offset: image.end().get(),
        last_fetch_timestamp: if version >= 1 { now } else { -1 },
        last_caught_up_timestamp: if version >= 1 { now } else { -1 },
        ..Default::default()
    });
    PartitionData {
        error_message: None,
        leader_id: NodeId::to_wire(leader),
        leader_epoch: image.epoch().get(),
        high_watermark: image.end().get(),
        current_voters: voter.into_iter().collect(),
        ..Default::default()
    }
}

/// Broker and controller share a node, and so its directory.
fn directory(image: &MetadataImage, node: NodeId) -> Option<Uuid> {
    image.broker(node)?.directories.first().copied()
}

fn node(controller: &ControllerImage) -> Node<'_> {
    let listeners = controller.endpoints.iter().map(|endpoint| Listener {
        name: endpoint.listener.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        ..Default::default()
    });
    Node { node_id: controller.id.get(), listeners: listeners.collect(), ..Default::default() }
}
