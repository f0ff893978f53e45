//! A record as a consumer gets it.

use std::fmt;

use bytes::Bytes;
use ottla_types::{LeaderEpoch, Offset, Timestamp, TopicPartition};

/// A record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// Where it was read.
    pub partition: TopicPartition,
    /// Its place there.
    pub offset: Offset,
    /// Its time; `None` where it has none.
    pub timestamp: Option<Timestamp>,
    /// What it is about.
    pub key: Option<Bytes>,
    /// What it says; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Whatever else it says. Names are meant to be UTF-8; nobody checks.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// The epoch of the leader that wrote it, where its batch says so.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl fmt::Display for ConsumerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.partition, self.offset)?;
        match &self.value {
            Some(value) => write!(f, ": {}", String::from_utf8_lossy(value)),
            None => f.write_str(": deleted"),
        }
    }
}
