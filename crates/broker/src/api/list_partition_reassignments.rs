//! ListPartitionReassignments: the partitions that are on their way to other brokers. Nothing here
//! moves one, but an Apache Kafka may have begun to.

use std::collections::BTreeSet;

use ottla_metadata::{MetadataImage, PartitionImage, TopicImage};
use ottla_types::{NodeId, PartitionId};
use ottla_wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = ListPartitionReassignmentsRequest::decode(&mut call.body, call.version)?;
    let image = call.broker.metadata.image();
    let topics: Vec<_> = match &request.topics {
        None => all(&image).collect(),
        Some(named) => named
            .iter()
            .filter_map(|asked| {
                let topic = image.topic(&asked.name)?;
                let wanted: BTreeSet<i32> = asked.partition_indexes.iter().collect();
                ongoing(topic, |partition| wanted.contains(&partition.get()))
            })
            .collect(),
    };
    let response = ListPartitionReassignmentsResponse {
        error_message: None,
        topics: topics.into(),
        ..Default::default()
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

fn all(image: &MetadataImage) -> impl Iterator<Item = OngoingTopicReassignment<'_>> {
    image.topics().filter_map(|topic| ongoing(topic, |_| true))
}

/// `None` where nothing of the topic moves.
fn ongoing(
    topic: &TopicImage,
    wanted: impl Fn(PartitionId) -> bool,
) -> Option<OngoingTopicReassignment<'_>> {
    let moving = topic.numbered().filter(|(partition, state)| {
        wanted(*partition) && !(state.adding.is_empty() && state.removing.is_empty())
    });
    let partitions: Vec<_> = moving.map(|(partition, state)| told(partition, state)).collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment {
        name: topic.name.as_str().into(),
        partitions: partitions.into(),
        ..Default::default()
    })
}

fn told(partition: PartitionId, state: &PartitionImage) -> OngoingPartitionReassignment<'static> {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.get()).collect::<Vec<_>>().into();
    OngoingPartitionReassignment {
        partition_index: partition.get(),
        replicas: ids(&state.replicas),
        adding_replicas: ids(&state.adding),
        removing_replicas: ids(&state.removing),
        ..Default::default()
    }
}
