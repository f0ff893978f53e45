//! What whoever watches a node is told, in plain values.

use ottla_env::{Space, Usage};
use ottla_metadata::Elections;
use ottla_types::{BrokerId, LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicName};

use super::histogram::Times;
use super::traffic::TrafficReport;
use crate::clients::ClientSoftware;

/// A node as a whole.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// Its number.
    pub node: BrokerId,
    /// When it was started.
    pub started: Timestamp,
    /// What its process takes; `None` in a world without such.
    pub process: Option<Usage>,
    /// What was asked of it; only what was asked at least once.
    pub requests: Vec<RequestReport>,
    /// What its partitions refused.
    pub errors: Vec<ErrorReport>,
    /// Its connections, by listener and loop.
    pub connections: Vec<ConnectionReport>,
    /// What its clients say that they are, and how many connections of each there are.
    pub software: Vec<(ClientSoftware, usize)>,
    /// Connections that were refused or closed, by the reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Bytes that connections hold of requests and answers.
    pub request_memory_bytes: u64,
    /// How long it took to make what was appended durable.
    pub syncs: Times,
    /// Bytes that were appended and are not durable yet.
    pub unsynced_bytes: u64,
    /// How often a loop waited for the lock of a partition that another one had.
    pub lock_waits: u64,
    /// Whether records are taken: there is more room than the reserve.
    pub has_room: bool,
    /// Open fetch sessions.
    pub fetch_sessions: u64,
    /// The brokers of the cluster.
    pub brokers: Vec<BrokerReport>,
    /// The metadata quorum.
    pub quorum: QuorumReport,
    /// Elections since the node's start whose winners were not in sync.
    pub elections: Elections,
    /// The cluster that it belongs to.
    pub cluster: String,
}

/// The requests of one API.
#[derive(Clone, Debug)]
pub struct RequestReport {
    /// Kafka's name of the API.
    pub name: &'static str,
    /// From the read of a request to its answer.
    pub times: Times,
}

/// How often partitions answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Kafka's name of the API.
    pub request: &'static str,
    /// Kafka's name of the error.
    pub error: &'static str,
    /// How often.
    pub count: u64,
}

/// The connections of one listener on one loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionReport {
    /// The listener's name.
    pub listener: String,
    /// The loop's number.
    pub on_loop: usize,
    /// How many there are. A connection may go from one loop to another.
    pub open: u64,
    /// How many began there.
    pub opened: u64,
    /// How many ended there.
    pub closed: u64,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerReport {
    /// Its number.
    pub id: BrokerId,
    /// Where clients are told to find it; `None` if it has no listener.
    pub address: Option<String>,
    /// It leads nothing, and clients do not see it.
    pub fenced: bool,
}

/// The metadata quorum as this node sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumReport {
    /// Who leads it.
    pub leader: Option<NodeId>,
    /// Its epoch.
    pub epoch: LeaderEpoch,
    /// Behind the last record that is committed.
    pub end: Offset,
}

/// A topic, and its partitions as far as the metadata has them.
#[derive(Clone, Debug)]
pub struct TopicReport {
    /// Its name.
    pub name: TopicName,
    /// By number.
    pub partitions: Vec<PartitionReport>,
    /// What went through its partitions here.
    pub traffic: TrafficReport,
}

/// A partition.
#[derive(Clone, Debug)]
pub struct PartitionReport {
    /// Its number.
    pub index: PartitionId,
    /// Who leads it; `None` while nobody may.
    pub leader: Option<BrokerId>,
    /// Who should.
    pub preferred: Option<BrokerId>,
    /// How many replicas it has.
    pub replicas: usize,
    /// How many of them are in sync.
    pub in_sync: usize,
    /// This node has a replica.
    pub is_here: bool,
    /// Its log, where this node serves it.
    pub log: Option<LogReport>,
}

/// The log of a partition that this node serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogReport {
    /// The first offset that may be read.
    pub start: Offset,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// The next offset to be written.
    pub end: Offset,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// How many replicas must be in sync for acks=all: what the topic asks for, or all there are.
    pub in_sync_min: usize,
}

impl PartitionReport {
    /// Fewer replicas are in sync than there are.
    #[must_use]
    pub const fn is_under_replicated(&self) -> bool {
        self.in_sync < self.replicas
    }

    /// Fewer replicas are in sync than acks=all needs; where another node leads, that one knows.
    #[must_use]
    pub fn is_under_min_isr(&self) -> bool {
        self.log.is_some_and(|log| self.in_sync < log.in_sync_min)
    }

    /// No more replicas are in sync than acks=all needs.
    #[must_use]
    pub fn is_at_min_isr(&self) -> bool {
        self.log.is_some_and(|log| self.in_sync == log.in_sync_min)
    }
}

/// The groups of a node.
#[derive(Clone, Debug, Default)]
pub struct GroupsReport {
    /// By name.
    pub groups: Vec<GroupReport>,
    /// Committed offsets that there was no room for.
    pub offsets_left_out: u64,
    /// Shards that could not be asked: they are being loaded, or have too much to do.
    pub shards_left_out: u64,
}

/// A group.
#[derive(Clone, Debug)]
pub struct GroupReport {
    /// Its name.
    pub name: String,
    /// Kafka's word for its state.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub protocol: &'static str,
    /// How many members it has.
    pub members: usize,
    /// How far it has read, by topic and partition.
    pub offsets: Vec<ReadReport>,
}

/// How far a group has read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadReport {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// The next offset that it reads.
    pub offset: Offset,
    /// Committed records that it has not read; `None` where this node does not serve the partition.
    pub lag: Option<u64>,
}

/// Whether a node serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Registered, unfenced, all of its logs looked at.
    Ready,
    /// The cluster does not let it lead.
    Fenced,
    /// It stops, or has stopped.
    Stopping,
}

/// The room of the log directory.
pub type DirectorySpace = Space;
