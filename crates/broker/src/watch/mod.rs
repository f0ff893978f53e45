//! What a node counts of itself, and what it tells whoever watches it.
//!
//! Counting is part of serving, and costs a few instructions: counters belong to one writer each (a
//! loop, a partition's lock), and nobody is waited for. Whoever watches pays for the rest: sums,
//! names, and a look at every partition. A watcher keeps nothing alive, and stops nothing.

mod counters;
mod groups;
mod histogram;
mod report;
mod traffic;

use std::fmt;
use std::sync::{Arc, Weak};

use ottla_env::DiskExt as _;
use ottla_metadata::{MetadataImage, PartitionImage, TopicImage};
use ottla_types::{BrokerId, Offset, PartitionId, Timestamp, TopicName};

pub(crate) use counters::{ApiAt, Counters, Refusal, Refuser};
pub(crate) use histogram::Histogram;
pub use histogram::{TIME_BUCKETS, Times};
pub use report::{
    BrokerReport, ConnectionReport, DirectorySpace, ErrorReport, GroupReport, GroupsReport,
    LogReport, NodeReport, PartitionReport, QuorumReport, ReadReport, Readiness, RequestReport,
    TopicReport,
};
pub(crate) use traffic::Traffic;
pub use traffic::TrafficReport;

use crate::api;
use crate::broker::Broker;
use crate::partition::{TopicEntry, partition_lock_waits_total};
use crate::stopping::Stopping;

/// Looks at a running node; after its end it tells nothing any more.
#[derive(Clone)]
pub struct Watch {
    broker: Weak<Broker>,
    stopping: Weak<Stopping>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    pub(crate) fn new(broker: &Arc<Broker>, stopping: &Arc<Stopping>) -> Self {
        Self { broker: Arc::downgrade(broker), stopping: Arc::downgrade(stopping) }
    }

    fn broker(&self) -> Option<Arc<Broker>> {
        self.broker.upgrade()
    }

    /// Whether the node serves.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let stops = self.stopping.upgrade().is_none_or(|stopping| stopping.has_begun());
        let Some(broker) = self.broker().filter(|_| !stops) else { return Readiness::Stopping };
        let image = broker.metadata.image();
        let own = image.broker(broker.config.node_id);
        match own.is_some_and(|own| own.is_active()) {
            true => Readiness::Ready,
            false => Readiness::Fenced,
        }
    }

    /// The node as a whole; `None` after its end.
    #[must_use]
    pub fn node(&self) -> Option<NodeReport> {
        let broker = self.broker()?;
        let (counters, image) = (&broker.counters, broker.metadata.image());
        let directory = broker.partitions.directory();
        Some(NodeReport {
            node: broker.config.node_id,
            started: counters.started,
            process: broker.env.process.usage(),
            requests: requests(counters),
            errors: errors(counters),
            connections: counters.connections().collect(),
            software: broker.clients.connected(),
            refused: counters.all_refused(),
            request_memory_bytes: broker.request_memory.held(),
            syncs: directory.sync_times().read(),
            unsynced_bytes: directory.unsynced_bytes(),
            lock_waits: partition_lock_waits_total(),
            has_room: broker.partitions.have_room(),
            fetch_sessions: broker.fetch_sessions.len() as u64,
            brokers: brokers(&broker, &image),
            quorum: QuorumReport {
                leader: image.controller(),
                epoch: image.epoch(),
                end: image.end(),
            },
            elections: broker.metadata.elections(),
            cluster: image.cluster_id().to_owned(),
        })
    }

    /// The room of the log directory; `None` after the node's end, or where nobody can tell.
    pub async fn space(&self) -> Option<DirectorySpace> {
        let broker = self.broker()?;
        broker.env.disk.space_of(&broker.config.log_dir).await.ok()
    }

    /// The names of all topics, sorted.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicName> {
        let Some(broker) = self.broker() else { return Vec::new() };
        let image = broker.metadata.image();
        let mut names: Vec<_> = image.topics().map(|topic| topic.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// A topic; `None` if there is none of that name any more.
    #[must_use]
    pub fn topic(&self, name: &TopicName) -> Option<TopicReport> {
        let broker = self.broker()?;
        let image = broker.metadata.image();
        let topic = image.topic(name.as_str())?;
        let hosted = broker.partitions.topic_by_id(topic.id);
        let mut traffic = TrafficReport::default();
        for partition in hosted.iter().flat_map(|hosted| hosted.partitions()) {
            traffic += partition.traffic().read();
        }
        Some(TopicReport {
            name: topic.name.clone(),
            partitions: partitions(broker.config.node_id, topic, hosted.as_deref()),
            traffic,
        })
    }

    /// What went through all partitions since the node's start, `all` through those that there are
    /// now. It never falls, whatever topics are deleted.
    #[must_use]
    pub fn total(&self, mut all: TrafficReport) -> TrafficReport {
        let Some(broker) = self.broker() else { return all };
        all += broker.partitions.gone_traffic().read();
        broker.counters.told.raise(all)
    }

    /// When the oldest record was written that lies at `offset` or behind it in a partition that
    /// this node serves, by the first timestamp of its batch. `None` if there is none, or it
    /// cannot be found out.
    pub async fn written_at(
        &self,
        topic: &TopicName,
        partition: PartitionId,
        offset: Offset,
    ) -> Option<Timestamp> {
        let broker = self.broker()?;
        let entry = broker.partitions.topic(topic.as_str())?;
        let found = entry.partition(partition.get()).ok()?;
        // In this order, as for every read.
        let bounds = found.bounds();
        let from = offset.max(bounds.log_start);
        let written = found.view().written_at(&broker.env.disk, from, bounds.high_watermark).await;
        written.unwrap_or_else(|error| {
            tracing::debug!(partition = %found.name(), %error, "the age of a record is unknown");
            None
        })
    }

    /// The groups that this node has, with at most `offsets_max` committed offsets.
    pub async fn groups(&self, offsets_max: usize) -> GroupsReport {
        match self.broker() {
            Some(broker) => groups::report(broker, offsets_max).await,
            None => GroupsReport::default(),
        }
    }
}

fn requests(counters: &Counters) -> Vec<RequestReport> {
    let of = |(at, api): (usize, &api::Api)| RequestReport {
        name: api.key.name(),
        times: counters.all_times(ApiAt(at)),
    };
    let all = api::TABLE.iter().enumerate().map(of);
    all.filter(|request| request.times.count() > 0).collect()
}

fn errors(counters: &Counters) -> Vec<ErrorReport> {
    let of = |refuser, request| {
        let told = counters.all_errors(refuser).into_iter();
        told.map(move |(code, count)| ErrorReport { request, error: api::error_name(code), count })
    };
    of(Refuser::Produce, "Produce").chain(of(Refuser::Fetch, "Fetch")).collect()
}

fn brokers(broker: &Broker, image: &MetadataImage) -> Vec<BrokerReport> {
    let listener = broker.config.broker_listeners.first().map(|listener| listener.name.as_str());
    let brokers = image.brokers().map(|registered| {
        let at = listener.and_then(|listener| registered.endpoint(listener));
        BrokerReport {
            id: registered.id,
            address: at.map(|at| format!("{}:{}", at.host, at.port)),
            fenced: registered.fenced,
        }
    });
    brokers.collect()
}

fn partitions(
    node: BrokerId,
    topic: &TopicImage,
    hosted: Option<&TopicEntry>,
) -> Vec<PartitionReport> {
    let report = |(index, state): (PartitionId, &Arc<PartitionImage>)| PartitionReport {
        index,
        leader: state.leader,
        preferred: state.replicas.first().copied(),
        replicas: state.replicas.len(),
        in_sync: state.isr.len(),
        is_here: state.replica_on(node).is_some(),
        log: hosted.and_then(|hosted| log(hosted, index, state)),
    };
    topic.numbered().map(report).collect()
}

fn log(hosted: &TopicEntry, index: PartitionId, state: &PartitionImage) -> Option<LogReport> {
    let partition = hosted.partition(index.get()).ok()?;
    // In this order: a roll shows the new segment first and bounds that lie in it afterwards.
    let bounds = partition.bounds();
    let view = partition.view();
    let wanted = usize::try_from(partition.settings().min_insync_replicas).unwrap_or(usize::MAX);
    Some(LogReport {
        start: bounds.log_start,
        high_watermark: bounds.high_watermark.offset,
        end: bounds.log_end.offset,
        bytes: view.bytes_below(bounds.log_end),
        segments: view.sealed_sizes().len() + 1,
        in_sync_min: wanted.min(state.replicas.len()),
    })
}
