//! Who may change the cluster: a request becomes records and a response.

mod activation;
mod alter_configs;
mod assignment;
mod bounds;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod elect_leaders;
mod election;
mod placement;
mod producer_ids;
mod registration;
mod update_features;

use crate::group_config::GroupConfigLimits;
use crate::record::Record;
use crate::topic_config::TopicConfig;

pub use alter_configs::{
    AlterConfigError, AlterConfigs, AlterOutcome, Alteration, AlteredConfigs, BrokerConfigError,
    BrokerConfigs, ConfigChange,
};
pub use assignment::AssignmentError;
pub use create_partitions::{
    CreatePartitions, CreatePartitionsError, MorePartitions, MorePartitionsOutcome,
};
pub use create_topics::{
    Assignment, CreateTopicError, CreateTopics, CreatedTopic, NewTopic, TopicOutcome,
};
pub use delete_topics::{DeleteTopicError, DeleteTopics, DeletedTopic, TopicSelector};
pub use elect_leaders::{ElectLeaderError, ElectLeaders, Elected, Election};
pub use placement::PlacementError;
pub use producer_ids::{AllocateProducerIdsError, ProducerIdBlock};
pub use registration::{
    BrokerRegistrationRequest, ControllerRegistrationRequest, RegisterBrokerError,
    UnsupportedFeature,
};
pub use update_features::{
    FeatureUpdate, InvalidUpdate, Member, RefusedDowngrade, UpdateFeatures, UpdateFeaturesError,
    UpgradeType,
};

/// What a new topic gets if its creator does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// `num.partitions`, at least 1.
    pub partitions: i32,
    /// `default.replication.factor`, at least 1.
    pub replication_factor: i16,
    /// The settings that the broker's properties give.
    pub topic_defaults: TopicConfig,
    /// What they allow groups to say themselves.
    pub group_limits: GroupConfigLimits,
}

/// What a request leads to. Nothing has changed yet: the host appends the records, which must stay
/// together, and gives the response once they are committed.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<R> {
    /// The records.
    pub records: Vec<Record>,
    /// The response.
    pub response: R,
}

/// The rules by which the cluster changes. It keeps no state: every decision is made over the image
/// at the end of the log, committed or not.
#[derive(Clone, Debug)]
pub struct Controller {
    config: ControllerConfig,
}

impl Controller {
    /// A controller with these defaults.
    ///
    /// # Panics
    /// If a default number is not positive.
    #[must_use]
    pub fn new(config: ControllerConfig) -> Self {
        assert!(config.partitions > 0, "num.partitions is positive");
        assert!(config.replication_factor > 0, "default.replication.factor is positive");
        Self { config }
    }

    /// From here on the broker's properties say something else: a change of them was appended.
    pub const fn on_topic_defaults(&mut self, topic_defaults: TopicConfig) {
        self.config.topic_defaults = topic_defaults;
    }
}
