//! Topics and the state of their partitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_types::{
    BrokerId, LeaderEpoch, PartitionEpoch, PartitionId, TopicId, TopicName, TopicPartition, Uuid,
};

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: TopicName,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions, by number.
    pub partitions: Vec<Arc<PartitionImage>>,
    /// The properties that were set for it.
    pub configs: BTreeMap<String, String>,
}

/// Whether a partition's leader was elected uncleanly and still recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderRecovery {
    /// The usual state.
    Recovered,
    /// Records may be missing, and the leader finds out what that means for transactions.
    Recovering,
}

/// The state of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// The brokers that keep it, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// Where each of them keeps it, in the order of `replicas`.
    pub directories: Vec<Uuid>,
    /// The in-sync replicas.
    pub isr: Vec<BrokerId>,
    /// The replicas that a reassignment removes.
    pub removing: Vec<BrokerId>,
    /// The replicas that a reassignment adds.
    pub adding: Vec<BrokerId>,
    /// The eligible leader replicas (KIP-966): out of sync, but complete up to the high watermark.
    pub elr: Vec<BrokerId>,
    /// The last eligible leader replicas that were known, for an unclean election.
    pub last_known_elr: Vec<BrokerId>,
    /// The leader; `None` while nobody may lead.
    pub leader: Option<BrokerId>,
    /// Whether the leader recovers from an unclean election.
    pub recovery: LeaderRecovery,
    /// Counts the leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts the changes.
    pub partition_epoch: PartitionEpoch,
}

/// A replica and the directory that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaAssignment {
    /// The broker.
    pub broker: BrokerId,
    /// Its directory.
    pub directory: Uuid,
}

impl TopicImage {
    /// The state of a partition; `None` if the topic has none of that number.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<PartitionImage>> {
        self.partitions.get(usize::try_from(id.get()).ok()?)
    }

    /// Every partition with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (PartitionId, &Arc<PartitionImage>)> {
        (0..).map(PartitionId::new).zip(&self.partitions)
    }

    /// The name of one of its partitions.
    #[must_use]
    pub fn name_of(&self, partition: PartitionId) -> TopicPartition {
        TopicPartition { topic: self.name.clone(), partition }
    }
}

impl PartitionImage {
    /// The replica on a broker, if it keeps one.
    #[must_use]
    pub fn replica_on(&self, broker: BrokerId) -> Option<ReplicaAssignment> {
        let at = self.replicas.iter().position(|replica| *replica == broker)?;
        Some(ReplicaAssignment { broker, directory: self.directories[at] })
    }
}
