//! Opens and sets aside partitions as the metadata says.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_env::{Answer, DiskExt, Env, Reply, reply};
use ottla_log::{LogConfig, OpenLogError};
use ottla_metadata::{MetadataDelta, MetadataImage, TopicConfig, TopicImage};
use ottla_types::{BrokerId, TopicId};
use tokio::sync::Notify;

use super::Partitions;
use super::registry::TopicEntry;
use crate::config::NodeConfig;
use crate::publisher::MetadataPublisher;

/// The names of directories whose files are on their way out.
const DELETED_SUFFIX: &str = "-delete";

/// One step of the metadata, as far as it concerns this node's partitions.
#[derive(Debug)]
struct Change {
    removed: Vec<TopicId>,
    changed: Vec<Arc<TopicImage>>,
    done: Reply<()>,
}

/// Changes that wait their turn. No more than there are parked requests to the controller: each
/// waits for its own.
#[derive(Debug, Default)]
struct Changes {
    waiting: Mutex<VecDeque<Change>>,
    arrived: Notify,
}

impl Changes {
    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The publisher's side: takes changes and returns at once.
#[derive(Debug)]
pub(crate) struct PartitionHost {
    changes: Arc<Changes>,
}

impl MetadataPublisher for PartitionHost {
    fn publish(&mut self, delta: &MetadataDelta, _: &Arc<MetadataImage>) -> Answer<()> {
        let (done, answer) = reply();
        let removed: Vec<TopicId> = delta.removed_topics().map(|topic| topic.id).collect();
        let changed: Vec<_> = delta.topics().map(|topic| Arc::clone(topic.topic)).collect();
        if removed.is_empty() && changed.is_empty() {
            done.send(());
        } else {
            self.changes.waiting().push_back(Change { removed, changed, done });
            self.changes.arrived.notify_one();
        }
        answer
    }
}

impl PartitionHost {
    /// Starts the task that opens and closes.
    pub(crate) fn start(env: &Env, config: &NodeConfig, partitions: Arc<Partitions>) -> Self {
        let changes = Arc::new(Changes::default());
        let opener = Opener {
            env: env.clone(),
            place: config.log_dir.clone(),
            node: config.node_id,
            defaults: config.logs.topics,
            partitions,
        };
        env.spawn.spawn("partitions", Box::pin(opener.run(Arc::clone(&changes))));
        Self { changes }
    }
}

/// The task's side.
struct Opener {
    env: Env,
    place: PathBuf,
    node: BrokerId,
    defaults: TopicConfig,
    partitions: Arc<Partitions>,
}

impl Opener {
    async fn run(self, changes: Arc<Changes>) {
        self.remove_leftovers().await;
        loop {
            let next = changes.waiting().pop_front();
            match next {
                Some(change) => self.apply(change).await,
                None => changes.arrived.notified().await,
            }
        }
    }

    async fn apply(&self, change: Change) {
        // Removals first: a topic may have been deleted and made again under its old name.
        let removed = change.removed.into_iter().filter_map(|id| self.partitions.remove(id));
        let removed: Vec<_> = removed.collect();
        self.forget(&removed).await;
        for entry in &removed {
            self.set_aside(entry).await;
        }
        let mut opened = Vec::with_capacity(change.changed.len());
        for topic in &change.changed {
            opened.push((topic.name.clone(), topic.id, self.open(topic).await));
        }
        self.partitions.insert(opened);
        change.done.send(());
    }

    /// Opens the partitions of a topic that are this node's, and tells those that are open already
    /// of their leader epoch.
    async fn open(&self, topic: &TopicImage) -> Vec<Arc<super::Partition>> {
        let known = self.partitions.topic_by_id(topic.id);
        let mut opened = Vec::new();
        for (index, partition) in topic.numbered() {
            if let Some(open) = known.as_ref().and_then(|entry| entry.partition(index.get())) {
                open.lead(partition.leader_epoch);
                continue;
            }
            if !partition.replicas.contains(&self.node) {
                continue;
            }
            let name = topic.name_of(index);
            let (log, settings) = self.settings(topic);
            let open = self.partitions.open(
                &self.env,
                &self.place,
                name.clone(),
                topic.id,
                partition.leader_epoch,
                (log, settings),
            );
            match open.await {
                Ok(partition) => opened.push(partition),
                // The directory has failed, and it is the only one: to answer for ever that the
                // partition does not exist helps nobody, while a new start may find it well.
                Err(OpenLogError::Storage(error)) => {
                    self.env.process.halt(&format!("cannot open {name}: {error}"));
                }
                // The others are served; this one answers as one that does not exist here.
                Err(error) => tracing::error!(partition = %name, %error, "partition not opened"),
            }
        }
        opened
    }

    fn settings(&self, topic: &TopicImage) -> (LogConfig, TopicConfig) {
        let config = self.defaults.with(&topic.configs);
        let log = LogConfig {
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            segment_jitter: config.segment_jitter,
            index_interval_bytes: config.index_interval_bytes,
            segment_index_bytes: config.segment_index_bytes,
        };
        (log, config)
    }

    /// Forgets what the directory's checkpoints say of topics that go, before a new topic of the
    /// same name can be taken for them.
    async fn forget(&self, removed: &[Arc<TopicEntry>]) {
        let mut names = Vec::new();
        for partition in removed.iter().flat_map(|entry| entry.partitions()) {
            // Whoever deletes records would write the start of their log down again.
            partition.deletion_ended().await;
            names.push(partition.name().clone());
        }
        if let Err(error) = self.partitions.checkpoints().forget(&self.env, &names).await {
            self.env.process.halt(&format!("cannot write the checkpoints: {error}"));
        }
    }

    async fn set_aside(&self, entry: &TopicEntry) {
        for partition in entry.partitions() {
            match Partitions::set_aside(&self.env, partition).await {
                Ok(aside) => {
                    // As in Kafka, the broker's, whatever the topic said of its segments.
                    let (env, delay) = (self.env.clone(), self.defaults.file_delete_delay);
                    let task = async move {
                        env.clock.sleep(delay).await;
                        remove(&env, &aside).await;
                    };
                    self.env.spawn.spawn("delete", Box::pin(task));
                }
                Err(error) => {
                    let partition = partition.name();
                    tracing::error!(%partition, %error, "deleted partition not set aside");
                }
            }
        }
    }

    /// Removes what an earlier run had set aside and not removed yet.
    async fn remove_leftovers(&self) {
        let entries = self.env.disk.list(&self.place).await.unwrap_or_default();
        let leftover = |name: &str| name.ends_with(DELETED_SUFFIX);
        for entry in entries.iter().filter(|entry| entry.is_dir && leftover(&entry.name)) {
            remove(&self.env, &self.place.join(&entry.name)).await;
        }
    }
}

async fn remove(env: &Env, path: &std::path::Path) {
    if let Err(error) = env.disk.remove_tree(path).await {
        tracing::warn!(path = %path.display(), %error, "deleted partition not removed");
    }
}
