//! Which partitions of a topic this node cannot serve, as clients are told: like those of a failed
//! log directory in Kafka they have no leader, and the replica here is offline.

use ottla_metadata::PartitionImage;
use ottla_types::{NodeId, PartitionId, TopicId};

use crate::broker::Broker;

/// The offline partitions of one topic. The metadata log does not know of them: the next start may
/// find them well.
pub(super) struct Offline {
    node: NodeId,
    /// Almost always empty.
    partitions: Vec<PartitionId>,
}

impl Offline {
    pub(super) fn of(broker: &Broker, topic: TopicId) -> Self {
        let entry = broker.partitions.topic_by_id(topic);
        let partitions = entry.map_or_else(Vec::new, |entry| entry.offline().collect());
        Self { node: broker.config.node_id, partitions }
    }

    fn is_offline(&self, index: i32) -> bool {
        self.partitions.iter().any(|partition| partition.get() == index)
    }

    /// Who leads the partition.
    pub(super) fn leader_of(&self, index: i32, partition: &PartitionImage) -> Option<NodeId> {
        partition.leader.filter(|leader| *leader != self.node || !self.is_offline(index))
    }

    /// The replicas that are offline.
    pub(super) fn replicas(&self, index: i32) -> Vec<i32> {
        if self.is_offline(index) { vec![self.node.get()] } else { Vec::new() }
    }
}
