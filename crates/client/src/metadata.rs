//! What a client knows of its cluster: brokers, topics, leaders. All of it may be out of date.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ottla_types::{LeaderEpoch, PartitionId, TopicId, TopicName};
use ottla_wire::messages::MetadataResponse;
use ottla_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use crate::error::{BrokerError, CallError};

/// A topic and who leads its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Tells it from an older or younger topic of the same name.
    pub id: TopicId,
    /// Whether the cluster keeps it for itself.
    pub is_internal: bool,
    /// By number, without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number.
    pub id: PartitionId,
    /// The node that leads it; `None` while nobody does.
    pub leader: Option<i32>,
    /// Counts its leaders; `None` where the broker does not say.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The nodes that keep it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that have all of it.
    pub isr: Vec<i32>,
}

/// A broker, as it wants to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its node id.
    pub id: i32,
    /// The host that it advertises: a name, or an IP address.
    pub host: String,
    /// The port that it advertises.
    pub port: u16,
    /// The rack or zone that it stands in, if it says so.
    pub rack: Option<String>,
    /// Where that is; `None` where nobody knows the name of the host.
    pub address: Option<SocketAddr>,
}

/// Brokers and topics, as some broker described them last.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) brokers: BTreeMap<i32, Node>,
    /// Who said so.
    pub(crate) told_by: Option<SocketAddr>,
    pub(crate) topics: BTreeMap<TopicName, TopicMetadata>,
}

/// What an answer says about each of its topics.
pub(crate) type Told = Vec<(TopicName, Result<TopicMetadata, BrokerError>)>;

impl Metadata {
    /// Takes over what an answer says; topics that it does not mention stay as they were.
    pub(crate) fn absorb(
        &mut self,
        answer: &MetadataResponse<'_>,
        told_by: SocketAddr,
        resolve: &dyn Fn(&str, u16) -> Result<SocketAddr, CallError>,
    ) -> Told {
        let node = |broker: MetadataResponseBroker<'_>| {
            let port = u16::try_from(broker.port).unwrap_or(0);
            // One name that nobody knows must not hide the brokers that can be reached.
            let address = resolve(&broker.host, port).ok();
            let rack = broker.rack.map(std::borrow::Cow::into_owned);
            Node { id: broker.node_id, host: broker.host.into_owned(), port, rack, address }
        };
        self.brokers = answer.brokers.iter().map(|broker| (broker.node_id, node(broker))).collect();
        self.told_by = Some(told_by);
        let told: Told = answer.topics.iter().filter_map(|topic| topic_of(&topic)).collect();
        for (name, result) in &told {
            match result {
                Ok(topic) => drop(self.topics.insert(name.clone(), topic.clone())),
                Err(_) => drop(self.topics.remove(name)),
            }
        }
        told
    }
}

/// `None` for what no topic can be called, which no honest broker sends.
fn topic_of(
    topic: &MetadataResponseTopic<'_>,
) -> Option<(TopicName, Result<TopicMetadata, BrokerError>)> {
    let name = TopicName::parse(topic.name.as_deref()?).ok()?;
    if let Err(error) = BrokerError::check(topic.error_code) {
        return Some((name, Err(error)));
    }
    let mut partitions: Vec<_> =
        topic.partitions.iter().filter_map(|each| partition_of(&each)).collect();
    partitions.sort_unstable_by_key(|partition| partition.id);
    partitions.dedup_by_key(|partition| partition.id);
    let has_gap = (0..).zip(&partitions).any(|(number, each)| each.id.get() != number);
    if has_gap {
        return None;
    }
    let topic = TopicMetadata { id: topic.topic_id, is_internal: topic.is_internal, partitions };
    Some((name, Ok(topic)))
}

fn partition_of(partition: &MetadataResponsePartition<'_>) -> Option<PartitionMetadata> {
    Some(PartitionMetadata {
        id: PartitionId::from_wire(partition.partition_index)?,
        leader: (partition.leader_id >= 0).then_some(partition.leader_id),
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
        replicas: partition.replica_nodes.iter().collect(),
        isr: partition.isr_nodes.iter().collect(),
    })
}

impl TopicMetadata {
    /// A partition by its number.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&PartitionMetadata> {
        self.partitions.get(usize::try_from(id.get()).ok()?)
    }
}
