//! The words of the domain, without behaviour.
//!
//! A newtype for every id, epoch, offset and count that could be confused with another. Kafka's
//! sentinels (`-1`, `-2`) do not exist here: they are parsed away by `from_wire` and written back
//! by `to_wire`, at the edge only.

pub mod limits;
mod numbers;
pub mod planted;
mod time;
mod topic;
mod uuid;

pub use numbers::{
    BrokerEpoch, BrokerId, LeaderEpoch, NodeId, Offset, PartitionEpoch, PartitionId, ProducerEpoch,
    ProducerId, Sequence,
};
pub use time::{Timestamp, TimestampType};
pub use topic::{InvalidTopicName, TopicId, TopicName, TopicPartition};
pub use uuid::{ParseUuidError, Uuid};
