//! Replaying records over an image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_types::{
    BrokerEpoch, BrokerId, LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId,
    TopicName, Uuid,
};

use crate::elections::Elections;
use crate::features::{METADATA_VERSION, MetadataVersion};
use crate::image::{BrokerImage, MetadataImage, PartitionImage, TopicImage};
use crate::record::{ConfigResource, NewPartition, PartitionChange, Record, RegistrationChange};

/// Kafka's id for "this replica's directory is not known yet": records from before directories were
/// assigned (KIP-858) carry none.
const DIRECTORY_UNKNOWN: Uuid = Uuid::ZERO;

/// What changed between two images, and the image under way.
#[derive(Clone, Debug)]
pub struct MetadataDelta {
    image: MetadataImage,
    touched: BTreeMap<TopicId, Touched>,
    removed: BTreeMap<TopicId, Arc<TopicImage>>,
    /// Whose properties changed; topics are touched instead.
    configured: BTreeSet<ConfigResource>,
    brokers_changed: bool,
    features_changed: bool,
    elections: Elections,
}

#[derive(Clone, Debug, Default)]
struct Touched {
    created: bool,
    configs: bool,
    partitions: BTreeSet<PartitionId>,
}

/// What changed in one topic.
#[derive(Clone, Copy, Debug)]
pub struct TopicDelta<'a> {
    /// The topic after the change.
    pub topic: &'a Arc<TopicImage>,
    /// It did not exist before.
    pub created: bool,
    /// Its properties changed.
    pub configs_changed: bool,
    /// The partitions that are new or changed.
    pub partitions: &'a BTreeSet<PartitionId>,
}

/// A record that cannot follow those before it: the log is not what this code takes it for, and
/// the node must not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A topic of that name or id exists already.
    #[error("topic {name} with id {id} exists already")]
    TopicExists {
        /// The name in the record.
        name: TopicName,
        /// The id in the record.
        id: TopicId,
    },
    /// There is no topic with that id.
    #[error("there is no topic with id {0}")]
    UnknownTopicId(TopicId),
    /// There is no topic of that name.
    #[error("there is no topic {0}")]
    UnknownTopic(TopicName),
    /// The topic has no partition of that number.
    #[error("topic {topic} has no partition {partition}")]
    UnknownPartition {
        /// The topic.
        topic: TopicName,
        /// The number in the record.
        partition: PartitionId,
    },
    /// Partitions are numbered without gaps.
    #[error("topic {topic} has {partitions} partitions, the next cannot be number {partition}")]
    PartitionOutOfOrder {
        /// The topic.
        topic: TopicName,
        /// How many it has.
        partitions: usize,
        /// The number in the record.
        partition: PartitionId,
    },
    /// The broker is not registered.
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    /// The broker has registered anew since.
    #[error("broker {broker} is registered with epoch {registered}, not {epoch}")]
    OtherBrokerEpoch {
        /// The broker.
        broker: BrokerId,
        /// The epoch of its registration.
        registered: BrokerEpoch,
        /// The epoch in the record.
        epoch: BrokerEpoch,
    },
    /// The cluster uses a version of its records that this build does not know.
    #[error("metadata.version {level} is not one of {min} to {max}",
        min = MetadataVersion::MIN.level(), max = MetadataVersion::LATEST.level())]
    UnknownMetadataVersion {
        /// The level in the record.
        level: i16,
    },
    /// A block of producer ids was given twice.
    #[error("the next producer id is {next}, it cannot become {proposed}")]
    ProducerIdsGoBack {
        /// The next id so far.
        next: ProducerId,
        /// The next id in the record.
        proposed: ProducerId,
    },
    /// Transactions do not nest.
    #[error("a metadata transaction is open already")]
    TransactionInTransaction,
    /// An end without a begin.
    #[error("no metadata transaction is open")]
    NoTransaction,
}

impl MetadataDelta {
    /// No change yet.
    #[must_use]
    pub fn new(base: &MetadataImage) -> Self {
        Self {
            image: base.clone(),
            touched: BTreeMap::new(),
            removed: BTreeMap::new(),
            configured: BTreeSet::new(),
            brokers_changed: false,
            features_changed: false,
            elections: Elections::default(),
        }
    }

    /// What leads from nothing to an image: every topic is new.
    #[must_use]
    pub fn from_nothing(image: &MetadataImage) -> Self {
        let all = |topic: &TopicImage| Touched {
            created: true,
            configs: !topic.configs.is_empty(),
            partitions: topic.numbered().map(|(partition, _)| partition).collect(),
        };
        Self {
            image: image.clone(),
            touched: image.topics().map(|topic| (topic.id, all(topic))).collect(),
            removed: BTreeMap::new(),
            configured: image.all_configs().map(|(resource, _)| resource.clone()).collect(),
            brokers_changed: true,
            features_changed: true,
            elections: Elections::default(),
        }
    }

    /// The topics that are new or changed, by id.
    pub fn topics(&self) -> impl Iterator<Item = TopicDelta<'_>> {
        self.touched.iter().map(|(id, touched)| TopicDelta {
            topic: self.image.topic_by_id(*id).expect("a touched topic is in the image"),
            created: touched.created,
            configs_changed: touched.configs,
            partitions: &touched.partitions,
        })
    }

    /// The topics that are gone, as they were.
    pub fn removed_topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.removed.values()
    }

    /// Whose properties changed: brokers, groups and whatever is no topic.
    pub fn configured(&self) -> impl Iterator<Item = &ConfigResource> {
        self.configured.iter()
    }

    /// Whether the properties of a broker, or of all, changed.
    #[must_use]
    pub fn broker_configs_changed(&self) -> bool {
        self.configured().any(|resource| matches!(resource, ConfigResource::Broker(_)))
    }

    /// Whether the registration of a broker changed.
    #[must_use]
    pub const fn brokers_changed(&self) -> bool {
        self.brokers_changed
    }

    /// Whether the finalized features changed.
    #[must_use]
    pub const fn features_changed(&self) -> bool {
        self.features_changed
    }

    /// The elections whose winners were not in sync.
    #[must_use]
    pub const fn elections(&self) -> Elections {
        self.elections
    }

    /// The image after the changes so far, as the state of the log below `end`, whose last record
    /// has `epoch`.
    ///
    /// # Panics
    /// If the log goes backwards.
    #[must_use]
    pub fn finish(&mut self, end: Offset, epoch: LeaderEpoch) -> Arc<MetadataImage> {
        assert!(end >= self.image.end, "from {} back to {end}", self.image.end);
        assert!(epoch >= self.image.epoch, "from {} back to {epoch}", self.image.epoch);
        self.image.end = end;
        self.image.epoch = epoch;
        Arc::new(self.image.clone())
    }

    /// An epoch began.
    pub const fn on_leader_change(&mut self, leader: NodeId) {
        self.image.controller = Some(leader);
    }

    /// The level of `kraft.version` changed.
    pub const fn on_kraft_version(&mut self, level: i16) {
        self.features_changed |= self.image.kraft_version != level;
        self.image.kraft_version = level;
    }

    /// Takes one record; those of transactions excepted, which are about other records.
    ///
    /// # Errors
    /// When the record cannot follow those before it.
    pub fn replay(&mut self, record: &Record) -> Result<(), ReplayError> {
        match record {
            Record::RegisterBroker(broker) => self.register_broker(broker),
            Record::UnregisterBroker { broker, epoch } => {
                self.unregister_broker(*broker, *epoch)?;
            }
            Record::BrokerRegistrationChange(change) => self.change_registration(change)?,
            Record::RegisterController(controller) => {
                let controllers = Arc::make_mut(&mut self.image.controllers);
                controllers.insert(controller.id, Arc::new(controller.clone()));
            }
            Record::Topic { name, id } => self.add_topic(name, *id)?,
            Record::RemoveTopic { id } => self.remove_topic(*id)?,
            Record::Partition(new) => self.add_partition(new)?,
            Record::PartitionChange(change) => self.change_partition(change)?,
            Record::Config { resource, name, value } => {
                self.configure(resource, name, value.as_ref())?;
            }
            Record::FeatureLevel { name, level } => self.finalize_feature(name, *level)?,
            Record::ProducerIds { next, .. } => self.take_producer_ids(*next)?,
            Record::ClearElr { topic } => self.clear_elr(topic.as_ref())?,
            Record::NoOp
            | Record::BeginTransaction { .. }
            | Record::EndTransaction
            | Record::AbortTransaction { .. } => {}
        }
        Ok(())
    }

    fn register_broker(&mut self, broker: &BrokerImage) {
        self.brokers_changed = true;
        Arc::make_mut(&mut self.image.brokers).insert(broker.id, Arc::new(broker.clone()));
    }

    /// The registration that a record speaks about.
    fn registration(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<&mut BrokerImage, ReplayError> {
        self.brokers_changed = true;
        let brokers = Arc::make_mut(&mut self.image.brokers);
        let image = brokers.get_mut(&broker).ok_or(ReplayError::UnknownBroker(broker))?;
        if image.epoch != epoch {
            let registered = image.epoch;
            return Err(ReplayError::OtherBrokerEpoch { broker, registered, epoch });
        }
        Ok(Arc::make_mut(image))
    }

    fn unregister_broker(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<(), ReplayError> {
        self.registration(broker, epoch)?;
        Arc::make_mut(&mut self.image.brokers).remove(&broker);
        Ok(())
    }

    fn change_registration(&mut self, change: &RegistrationChange) -> Result<(), ReplayError> {
        let image = self.registration(change.broker, change.epoch)?;
        image.fenced = change.fenced.unwrap_or(image.fenced);
        image.in_controlled_shutdown |= change.in_controlled_shutdown;
        if let Some(directories) = &change.directories {
            image.directories.clone_from(directories);
        }
        if change.cordoned.is_some() {
            image.cordoned.clone_from(&change.cordoned);
        }
        Ok(())
    }

    fn add_topic(&mut self, name: &TopicName, id: TopicId) -> Result<(), ReplayError> {
        let topics = Arc::make_mut(&mut self.image.topics);
        if topics.names.contains_key(&id) || topics.by_name.contains_key(name) {
            return Err(ReplayError::TopicExists { name: name.clone(), id });
        }
        let configs = BTreeMap::new();
        let topic = TopicImage { name: name.clone(), id, partitions: Vec::new(), configs };
        topics.names.insert(id, name.clone());
        topics.by_name.insert(name.clone(), Arc::new(topic));
        self.touched.insert(id, Touched { created: true, ..Touched::default() });
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topics = Arc::make_mut(&mut self.image.topics);
        let name = topics.names.remove(&id).ok_or(ReplayError::UnknownTopicId(id))?;
        let topic = topics.by_name.remove(&name).expect("both maps hold the same topics");
        let was_new = self.touched.remove(&id).is_some_and(|touched| touched.created);
        if !was_new {
            self.removed.insert(id, topic);
        }
        Ok(())
    }

    /// The topic that a record speaks about, and the note that it changed.
    fn topic(&mut self, id: TopicId) -> Result<(&mut TopicImage, &mut Touched), ReplayError> {
        let topics = Arc::make_mut(&mut self.image.topics);
        let name = topics.names.get(&id).ok_or(ReplayError::UnknownTopicId(id))?;
        let topic = topics.by_name.get_mut(name).expect("both maps hold the same topics");
        Ok((Arc::make_mut(topic), self.touched.entry(id).or_default()))
    }

    fn add_partition(&mut self, new: &NewPartition) -> Result<(), ReplayError> {
        let (topic, touched) = self.topic(new.topic)?;
        let (partition, partitions) = (new.partition, topic.partitions.len());
        if usize::try_from(partition.get()) != Ok(partitions) {
            let topic = topic.name.clone();
            return Err(ReplayError::PartitionOutOfOrder { topic, partitions, partition });
        }
        topic.partitions.push(Arc::new(with_directories(new.state.clone())));
        touched.partitions.insert(partition);
        Ok(())
    }

    fn change_partition(&mut self, change: &PartitionChange) -> Result<(), ReplayError> {
        let (topic, touched) = self.topic(change.topic)?;
        let at = usize::try_from(change.partition.get()).expect("never negative");
        let Some(state) = topic.partitions.get_mut(at) else {
            let (topic, partition) = (topic.name.clone(), change.partition);
            return Err(ReplayError::UnknownPartition { topic, partition });
        };
        let elections = Elections::of(state, change);
        *state = Arc::new(with_directories(change.applied_to(state)));
        touched.partitions.insert(change.partition);
        self.elections += elections;
        Ok(())
    }

    fn configure(
        &mut self,
        resource: &ConfigResource,
        name: &str,
        value: Option<&String>,
    ) -> Result<(), ReplayError> {
        match resource {
            ConfigResource::Topic(topic) => {
                let id = self.topic_id(topic)?;
                let (topic, touched) = self.topic(id)?;
                touched.configs = true;
                set(&mut topic.configs, name, value);
            }
            ConfigResource::Broker(_) | ConfigResource::Group(_) | ConfigResource::Other { .. } => {
                let configs = Arc::make_mut(&mut self.image.configs);
                let properties = configs.entry(resource.clone()).or_default();
                set(properties, name, value);
                // A resource exists as long as it has properties.
                if properties.is_empty() {
                    configs.remove(resource);
                }
                self.configured.insert(resource.clone());
            }
        }
        Ok(())
    }

    fn topic_id(&self, name: &TopicName) -> Result<TopicId, ReplayError> {
        let topic = self.image.topic(name.as_str());
        topic.map(|topic| topic.id).ok_or_else(|| ReplayError::UnknownTopic(name.clone()))
    }

    fn finalize_feature(&mut self, name: &str, level: i16) -> Result<(), ReplayError> {
        if name == METADATA_VERSION && MetadataVersion::from_level(level).is_none() {
            return Err(ReplayError::UnknownMetadataVersion { level });
        }
        let features = Arc::make_mut(&mut self.image.features);
        match level {
            0 => features.remove(name),
            _ => features.insert(name.to_owned(), level),
        };
        self.features_changed = true;
        Ok(())
    }

    fn take_producer_ids(&mut self, proposed: ProducerId) -> Result<(), ReplayError> {
        let next = self.image.next_producer_id;
        if proposed <= next {
            return Err(ReplayError::ProducerIdsGoBack { next, proposed });
        }
        self.image.next_producer_id = proposed;
        Ok(())
    }

    /// Kafka counts this as a change of every partition that had any.
    fn clear_elr(&mut self, topic: Option<&TopicName>) -> Result<(), ReplayError> {
        let ids = match topic {
            Some(name) => vec![self.topic_id(name)?],
            None => self.image.topics().map(|topic| topic.id).collect(),
        };
        for id in ids {
            let topic = self.image.topic_by_id(id).expect("listed above");
            let had_any: Vec<_> = topic
                .numbered()
                .filter(|(_, state)| !(state.elr.is_empty() && state.last_known_elr.is_empty()))
                .map(|(partition, _)| partition)
                .collect();
            for partition in had_any {
                let cleared = Some(Vec::new());
                let change = PartitionChange::of(id, partition);
                self.change_partition(&PartitionChange {
                    elr: cleared.clone(),
                    last_known_elr: cleared,
                    ..change
                })?;
            }
        }
        Ok(())
    }
}

fn set(properties: &mut BTreeMap<String, String>, name: &str, value: Option<&String>) {
    match value {
        Some(value) => properties.insert(name.to_owned(), value.clone()),
        None => properties.remove(name),
    };
}

/// A record may name replicas without directories: they are unknown then, as in Kafka.
fn with_directories(mut state: PartitionImage) -> PartitionImage {
    state.directories.resize(state.replicas.len(), DIRECTORY_UNKNOWN);
    state
}
