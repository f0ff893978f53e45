//! The records of the metadata log, with every number parsed.

use ottla_types::{
    BrokerEpoch, BrokerId, LeaderEpoch, NodeId, PartitionEpoch, PartitionId, ProducerId, TopicId,
    TopicName, Uuid,
};

use crate::image::{BrokerImage, ControllerImage, LeaderRecovery, PartitionImage};

/// One record. Each means what Kafka's record of the same name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A broker registers, or a new incarnation of it supersedes the old.
    RegisterBroker(BrokerImage),
    /// A broker's registration is withdrawn.
    UnregisterBroker {
        /// The broker.
        broker: BrokerId,
        /// The registration that is withdrawn.
        epoch: BrokerEpoch,
    },
    /// A part of a broker's registration changes.
    BrokerRegistrationChange(RegistrationChange),
    /// A controller registers.
    RegisterController(ControllerImage),
    /// A topic comes into being, without partitions yet.
    Topic {
        /// Its name.
        name: TopicName,
        /// Its identity.
        id: TopicId,
    },
    /// A topic and its partitions go.
    RemoveTopic {
        /// The topic.
        id: TopicId,
    },
    /// A partition comes into being.
    Partition(NewPartition),
    /// A partition's state changes.
    PartitionChange(PartitionChange),
    /// A property of a resource is set.
    Config {
        /// Whose property.
        resource: ConfigResource,
        /// Its name.
        name: String,
        /// Its value; `None` takes the property away.
        value: Option<String>,
    },
    /// A feature is finalized at a level; 0 takes it away.
    FeatureLevel {
        /// The feature's name.
        name: String,
        /// The level.
        level: i16,
    },
    /// A broker was given a block of producer ids.
    ProducerIds {
        /// The broker, and its registration at that time; a snapshot does not name it.
        by: Option<(BrokerId, BrokerEpoch)>,
        /// The first id that nobody was given yet.
        next: ProducerId,
    },
    /// The eligible leader replicas of a topic's partitions are forgotten; of all topics' if
    /// `None`.
    ClearElr {
        /// The topic.
        topic: Option<TopicName>,
    },
    /// What follows takes effect together, or not at all (KIP-868).
    BeginTransaction {
        /// What the transaction is for.
        name: String,
    },
    /// What came since the begin takes effect.
    EndTransaction,
    /// What came since the begin does not take effect.
    AbortTransaction {
        /// Why.
        reason: String,
    },
    /// Nothing changes: it only moves the high watermark, or speaks of the past before KRaft.
    NoOp,
}

/// What a configuration record speaks about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker, or with `None` the default of all.
    Broker(Option<BrokerId>),
    /// A group, which need not exist.
    Group(String),
    /// Another kind of resource, which nothing here acts on yet: kept as it came.
    Other {
        /// Kafka's number of the kind: 16 client metrics.
        kind: i8,
        /// Its name.
        name: String,
    },
}

/// A partition and its first state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartition {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number.
    pub partition: PartitionId,
    /// Its state.
    pub state: PartitionImage,
}

/// What changes in a partition's state; every change makes its partition epoch one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChange {
    /// The topic.
    pub topic: TopicId,
    /// The partition's number.
    pub partition: PartitionId,
    /// A new leader, or with `Some(None)` none; it makes the leader epoch one more, even if it is
    /// the same leader again.
    pub leader: Option<Option<BrokerId>>,
    /// The new in-sync replicas.
    pub isr: Option<Vec<BrokerId>>,
    /// The new replicas, the preferred leader first.
    pub replicas: Option<Vec<BrokerId>>,
    /// The new directories, in the order of the replicas.
    pub directories: Option<Vec<Uuid>>,
    /// The replicas that a reassignment removes.
    pub removing: Option<Vec<BrokerId>>,
    /// The replicas that a reassignment adds.
    pub adding: Option<Vec<BrokerId>>,
    /// Whether the leader recovers from an unclean election.
    pub recovery: Option<LeaderRecovery>,
    /// The new eligible leader replicas.
    pub elr: Option<Vec<BrokerId>>,
    /// The new last known eligible leader replicas.
    pub last_known_elr: Option<Vec<BrokerId>>,
}

impl PartitionChange {
    /// A change that changes nothing yet: for struct update syntax.
    #[must_use]
    pub const fn of(topic: TopicId, partition: PartitionId) -> Self {
        Self {
            topic,
            partition,
            leader: None,
            isr: None,
            replicas: None,
            directories: None,
            removing: None,
            adding: None,
            recovery: None,
            elr: None,
            last_known_elr: None,
        }
    }

    /// The state after the change.
    #[must_use]
    pub fn applied_to(&self, old: &PartitionImage) -> PartitionImage {
        let leader_epoch = match self.leader {
            Some(_) => old.leader_epoch.next(),
            None => old.leader_epoch,
        };
        let newer =
            |new: &Option<Vec<BrokerId>>, old: &Vec<BrokerId>| new.as_ref().unwrap_or(old).clone();
        PartitionImage {
            replicas: newer(&self.replicas, &old.replicas),
            directories: self.directories.as_ref().unwrap_or(&old.directories).clone(),
            isr: newer(&self.isr, &old.isr),
            removing: newer(&self.removing, &old.removing),
            adding: newer(&self.adding, &old.adding),
            elr: newer(&self.elr, &old.elr),
            last_known_elr: newer(&self.last_known_elr, &old.last_known_elr),
            leader: self.leader.unwrap_or(old.leader),
            recovery: self.recovery.unwrap_or(old.recovery),
            leader_epoch,
            partition_epoch: old.partition_epoch.next(),
        }
    }
}

/// What changes in a broker's registration; `None` leaves a part as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationChange {
    /// The broker.
    pub broker: BrokerId,
    /// The registration that changes.
    pub epoch: BrokerEpoch,
    /// Whether the broker is fenced from here on: it leads nothing, and clients do not see it.
    pub fenced: Option<bool>,
    /// The broker leaves in good order.
    pub in_controlled_shutdown: bool,
    /// The directories that work.
    pub directories: Option<Vec<Uuid>>,
    /// The directories that get no new replicas.
    pub cordoned: Option<Vec<Uuid>>,
}

impl RegistrationChange {
    /// A change of the fence alone.
    #[must_use]
    pub const fn fence(broker: NodeId, epoch: BrokerEpoch, fenced: bool) -> Self {
        Self {
            broker,
            epoch,
            fenced: Some(fenced),
            in_controlled_shutdown: false,
            directories: None,
            cordoned: None,
        }
    }
}

/// The first state of a partition whose replicas are all in sync and whose first replica leads.
impl PartitionImage {
    /// A new partition of a new topic.
    ///
    /// # Panics
    /// If `isr` is empty: a partition begins with a leader.
    #[must_use]
    pub fn new(replicas: Vec<BrokerId>, directories: Vec<Uuid>, isr: Vec<BrokerId>) -> Self {
        assert!(!isr.is_empty(), "a new partition has a leader");
        assert_eq!(replicas.len(), directories.len(), "a directory for each replica");
        Self {
            leader: isr.first().copied(),
            replicas,
            directories,
            isr,
            removing: Vec::new(),
            adding: Vec::new(),
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            recovery: LeaderRecovery::Recovered,
            leader_epoch: LeaderEpoch::ZERO,
            partition_epoch: PartitionEpoch::ZERO,
        }
    }
}
