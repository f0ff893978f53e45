//! What the cluster is, and who may change it.
//!
//! The metadata log is a list of [`Record`]s. A [`MetadataDelta`] replays some of them over a
//! [`MetadataImage`] and yields the next image; images are immutable and cheap to clone. The
//! [`Controller`] turns a request into records and a response, and changes nothing by itself: its
//! host appends the records, and they take effect when they are replayed.

mod codec;
mod config_rule;
mod controller;
mod delta;
mod elections;
mod features;
mod group_config;
mod image;
mod record;
mod replay;
mod shared_map;
mod topic_config;

pub use codec::RecordError;
pub use config_rule::{ConfigRule, ConfigType, InvalidValue, Mismatch};
pub use controller::{
    AllocateProducerIdsError, AlterConfigError, AlterConfigs, AlterOutcome, Alteration,
    AlteredConfigs, Assignment, AssignmentError, BrokerConfigError, BrokerConfigs,
    BrokerRegistrationRequest, ConfigChange, Controller, ControllerConfig,
    ControllerRegistrationRequest, CreatePartitions, CreatePartitionsError, CreateTopicError,
    CreateTopics, CreatedTopic, DeleteTopicError, DeleteTopics, DeletedTopic, ElectLeaderError,
    ElectLeaders, Elected, Election, FeatureUpdate, InvalidUpdate, Member, MorePartitions,
    MorePartitionsOutcome, NewTopic, Outcome, PlacementError, ProducerIdBlock, RefusedDowngrade,
    RegisterBrokerError, TopicOutcome, TopicSelector, UnsupportedFeature, UpdateFeatures,
    UpdateFeaturesError, UpgradeType,
};
pub use delta::{MetadataDelta, ReplayError, TopicDelta};
pub use elections::Elections;
pub use features::{
    FeatureRange, GROUP_VERSION, KRAFT_VERSION, METADATA_VERSION, MetadataVersion,
    SUPPORTED_FEATURES,
};
pub use group_config::{
    GROUP_CONFIGS, GroupConfig, GroupConfigError, GroupConfigLimits, GroupConfigProperty,
    UNSUPPORTED_GROUP_CONFIGS,
};
pub use image::{
    BrokerImage, ControllerImage, Endpoint, LeaderRecovery, MetadataImage, PartitionImage,
    ReplicaAssignment, TopicImage,
};
pub use record::{ConfigResource, NewPartition, PartitionChange, Record, RegistrationChange};
pub use replay::MetadataReplay;
pub use shared_map::SharedMap;
pub use topic_config::{
    CleanableRatio, CleanupPolicy, ConfigSource, EffectiveTopicConfig, TOPIC_CONFIGS, TopicConfig,
    TopicConfigError, TopicConfigProperty, UNSUPPORTED_TOPIC_CONFIGS,
};
