//! The state that the metadata log adds up to.

mod cluster;
mod topic;

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_types::{BrokerId, LeaderEpoch, NodeId, Offset, ProducerId, TopicId, TopicName};

pub use cluster::{BrokerImage, ControllerImage, Endpoint};
pub use topic::{LeaderRecovery, PartitionImage, ReplicaAssignment, TopicImage};

use crate::features::{KRAFT_VERSION, METADATA_VERSION, MetadataVersion};
use crate::group_config::{GroupConfig, GroupConfigLimits};
use crate::record::ConfigResource;
use crate::shared_map::SharedMap;

/// The cluster at one offset of the metadata log. Immutable; a clone shares everything.
///
/// A change copies the map that it changes, which is small; that of topics shares what stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataImage {
    pub(crate) cluster_id: Arc<str>,
    pub(crate) end: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) controller: Option<NodeId>,
    pub(crate) kraft_version: i16,
    pub(crate) features: Arc<BTreeMap<String, i16>>,
    pub(crate) brokers: Arc<BTreeMap<BrokerId, Arc<BrokerImage>>>,
    pub(crate) controllers: Arc<BTreeMap<NodeId, Arc<ControllerImage>>>,
    pub(crate) topics: Arc<TopicsImage>,
    pub(crate) configs: Arc<BTreeMap<ConfigResource, BTreeMap<String, String>>>,
    pub(crate) next_producer_id: ProducerId,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopicsImage {
    pub(crate) by_name: SharedMap<TopicName, Arc<TopicImage>>,
    pub(crate) names: SharedMap<TopicId, TopicName>,
}

impl MetadataImage {
    /// The cluster before the first record.
    #[must_use]
    pub fn empty(cluster_id: &str) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            end: Offset::ZERO,
            epoch: LeaderEpoch::ZERO,
            controller: None,
            kraft_version: 0,
            features: Arc::default(),
            brokers: Arc::default(),
            controllers: Arc::default(),
            topics: Arc::default(),
            configs: Arc::default(),
            next_producer_id: ProducerId::ZERO,
        }
    }

    /// `cluster.id`.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The first offset of the metadata log that is not part of this image. Kafka's epoch of the
    /// finalized features is the offset before it.
    #[must_use]
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The leader epoch of the last record that is part of this image.
    #[must_use]
    pub const fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The active controller: the leader of the metadata quorum.
    #[must_use]
    pub const fn controller(&self) -> Option<NodeId> {
        self.controller
    }

    /// The finalized level of `metadata.version`; `None` before the bootstrap records.
    #[must_use]
    pub fn metadata_version(&self) -> Option<MetadataVersion> {
        self.features.get(METADATA_VERSION).and_then(|level| MetadataVersion::from_level(*level))
    }

    /// Every finalized feature above level 0, by name, `kraft.version` included.
    pub fn finalized_features(&self) -> impl Iterator<Item = (&str, i16)> {
        let kraft = (self.kraft_version > 0).then_some((KRAFT_VERSION, self.kraft_version));
        let mut all: Vec<_> =
            self.features.iter().map(|(name, level)| (name.as_str(), *level)).collect();
        all.extend(kraft);
        all.sort_unstable();
        all.into_iter()
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.by_name.get(name)
    }

    /// The topic with that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.by_name.get(self.topics.names.get(&id)?)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topics.by_name.values()
    }

    /// The broker's registration.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&id)
    }

    /// Every registered broker, by id, fenced ones included.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// Every registered controller, by id.
    pub fn controllers(&self) -> impl ExactSizeIterator<Item = &Arc<ControllerImage>> {
        self.controllers.values()
    }

    /// The properties of a broker, of all brokers, of a group, or of another resource; a topic's
    /// are in its own image.
    #[must_use]
    pub fn configs(&self, of: &ConfigResource) -> Option<&BTreeMap<String, String>> {
        self.configs.get(of)
    }

    /// Every resource that has properties, in a fixed order; topics have theirs in their own
    /// images.
    pub fn all_configs(
        &self,
    ) -> impl ExactSizeIterator<Item = (&ConfigResource, &BTreeMap<String, String>)> {
        self.configs.iter()
    }

    /// What a group says itself, within what the broker allows.
    #[must_use]
    pub fn group_config(&self, group: &str, limits: &GroupConfigLimits) -> GroupConfig {
        let own = self.configs(&ConfigResource::Group(group.to_owned()));
        own.map_or_else(GroupConfig::default, |own| GroupConfig::of(own, limits))
    }

    /// The first producer id that nobody was given yet.
    #[must_use]
    pub const fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
}
