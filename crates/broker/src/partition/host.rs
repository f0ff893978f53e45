//! Opens and sets aside partitions as the metadata says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_env::{Answer, DiskExt, Env, Reply, reply};
use ottla_log::OpenLogError;
use ottla_metadata::{MetadataDelta, MetadataImage, TopicConfig, TopicImage};
use ottla_types::{BrokerId, PartitionId, TopicId, TopicName, TopicPartition};
use tokio::sync::Notify;

use super::checkpointing::{is_full, is_shortage};
use super::opening::say_offline;
use super::registry::{Found, Hosted, OpenedTopic, ToOpen, TopicEntry, set_stray_aside};
use super::spread::spread;
use super::{LogDirectory, Partitions};
use crate::config::LiveConfig;
use crate::controller::METADATA_DIRECTORY;
use crate::publisher::MetadataPublisher;

/// Partitions that are opened at the same time: enough to keep the disk's threads busy. Each may
/// hold a chunk of 1 MiB that is read again after a kill.
const OPENING_MAX: usize = 32;

/// Partitions whose folders are looked at in one go: to hand each to the disk's threads costs more
/// than to look.
const LOOKED_AT_TOGETHER_MAX: usize = 64;

/// How long after a partition found no space for its directory it is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The names of directories whose files are on their way out.
const DELETED_SUFFIX: &str = "-delete";

/// One step of the metadata, as far as it concerns this node's partitions.
#[derive(Debug)]
struct Change {
    removed: Vec<TopicId>,
    changed: Vec<Arc<TopicImage>>,
    /// The first of all: what it does not name is not there.
    is_first: bool,
    /// What the broker's properties say of topics from here on.
    defaults: TopicConfig,
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
    begun: bool,
    config: Arc<LiveConfig>,
    /// What the partitions were told last.
    defaults: TopicConfig,
}

impl MetadataPublisher for PartitionHost {
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()> {
        let (done, answer) = reply();
        let removed: Vec<TopicId> = delta.removed_topics().map(|topic| topic.id).collect();
        let defaults = self.config.load().logs.topics;
        // What the broker's properties say, they say of every topic.
        let changed: Vec<_> = if defaults == std::mem::replace(&mut self.defaults, defaults) {
            delta.topics().map(|topic| Arc::clone(topic.topic)).collect()
        } else {
            image.topics().map(Arc::clone).collect()
        };
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first {
            LiveConfig::on_first_image(image);
        }
        if removed.is_empty() && changed.is_empty() && !is_first {
            done.send(());
        } else {
            let change = Change { removed, changed, is_first, defaults, done };
            self.changes.waiting().push_back(change);
            self.changes.arrived.notify_one();
        }
        answer
    }
}

impl PartitionHost {
    /// Starts the task that opens and closes.
    pub(crate) fn start(env: &Env, config: Arc<LiveConfig>, partitions: Arc<Partitions>) -> Self {
        let changes = Arc::new(Changes::default());
        let started = config.load();
        let defaults = started.logs.topics;
        let opener = Opener {
            env: env.clone(),
            node: started.node_id,
            defaults,
            partitions,
            lacking: Vec::new(),
        };
        env.spawn.spawn("partitions", Box::pin(opener.run(Arc::clone(&changes))));
        Self { changes, begun: false, config, defaults }
    }
}

/// The task's side.
struct Opener {
    env: Env,
    node: BrokerId,
    defaults: TopicConfig,
    partitions: Arc<Partitions>,
    /// Topics with partitions for which there was no space, or no descriptor.
    lacking: Vec<Arc<TopicImage>>,
}

impl Opener {
    async fn run(mut self, changes: Arc<Changes>) {
        self.remove_leftovers().await;
        loop {
            let next = changes.waiting().pop_front();
            match next {
                Some(change) => self.apply(change).await,
                None if self.lacking.is_empty() => changes.arrived.notified().await,
                // A change that arrives meanwhile waits, too: it needs space as well.
                None => self.try_again().await,
            }
        }
    }

    async fn try_again(&mut self) {
        self.env.clock.sleep(TRY_AGAIN_AFTER).await;
        let mut lacking = std::mem::take(&mut self.lacking);
        lacking.retain(|topic| self.partitions.topic_by_id(topic.id).is_some());
        self.open(&lacking).await;
        self.settle_notes().await;
    }

    async fn apply(&mut self, change: Change) {
        if change.is_first
            && let Err(error) = self.directory().last_stop().on_begun(&self.env).await
        {
            self.fail(&format!("cannot begin to use the data folder: {error}")).await;
        }
        self.defaults = change.defaults;
        // Removals first: a topic may have been deleted and made again under its old name.
        let removed = self.partitions.remove_all(&change.removed);
        if !removed.is_empty() {
            self.set_aside(&removed).await;
        }
        self.lacking.retain(|topic| change.changed.iter().all(|changed| changed.id != topic.id));
        self.open(&change.changed).await;
        if change.is_first {
            self.on_recovered().await;
        }
        self.settle_notes().await;
        change.done.send(());
    }

    /// Opens the partitions of topics that are this node's, and tells those that are open already
    /// of their leader epoch and settings.
    async fn open(&mut self, topics: &[Arc<TopicImage>]) {
        let to_open: Vec<ToOpen> = topics.iter().flat_map(|topic| self.to_open(topic)).collect();
        let (env, partitions) = (self.env.clone(), Arc::clone(&self.partitions));
        let open = move |some: Vec<ToOpen>| {
            let (env, partitions) = (env.clone(), Arc::clone(&partitions));
            async move { partitions.open_some(&env, some).await }
        };
        let together = (to_open.len() / (2 * OPENING_MAX)).clamp(1, LOOKED_AT_TOGETHER_MAX);
        let to_open = to_open.chunks(together).map(<[ToOpen]>::to_vec).collect();
        let opened = spread(&self.env, OPENING_MAX, to_open, open).await;
        let mut hosted: BTreeMap<TopicId, Vec<(PartitionId, Hosted)>> = BTreeMap::new();
        let (mut lacking, mut closed_again) = (BTreeSet::new(), false);
        for (it, outcome) in opened.into_iter().flatten() {
            closed_again |= outcome.as_ref().is_ok_and(|found| found.closed_again);
            match self.hosted(&it, outcome).await {
                Some(there) => {
                    hosted.entry(it.topic_id).or_default().push((it.name.partition, there));
                }
                None => drop(lacking.insert(it.topic_id)),
            }
        }
        let lack = topics.iter().filter(|topic| lacking.contains(&topic.id));
        self.lacking.extend(lack.map(Arc::clone));
        self.partitions.set_lack_some(!self.lacking.is_empty());
        if closed_again {
            self.make_all_durable().await;
        }
        self.make_durable(hosted.values().flatten()).await;
        let entry = |topic: &Arc<TopicImage>| OpenedTopic {
            name: topic.name.clone(),
            id: topic.id,
            partitions: hosted.remove(&topic.id).unwrap_or_default(),
        };
        self.partitions.insert(topics.iter().map(entry).collect());
    }

    fn to_open(&self, topic: &TopicImage) -> Vec<ToOpen> {
        let known = self.partitions.topic_by_id(topic.id);
        let settings = self.defaults.with(&topic.configs);
        let mut to_open = Vec::new();
        for (index, partition) in topic.numbered() {
            match known.as_ref().and_then(|entry| entry.hosted(index)) {
                Some(Hosted::Online(open)) => {
                    open.lead(partition.leader_epoch);
                    open.configure(settings);
                }
                Some(Hosted::Offline(_)) => {}
                None if !partition.replicas.contains(&self.node) => {}
                None => to_open.push(ToOpen {
                    name: topic.name_of(index),
                    topic_id: topic.id,
                    epoch: partition.leader_epoch,
                    settings,
                }),
            }
        }
        to_open
    }

    /// `None`: there was no space for it, or no descriptor.
    async fn hosted(&self, it: &ToOpen, opened: Result<Found, OpenLogError>) -> Option<Hosted> {
        let path = self.directory().place().join(it.name.to_string());
        match opened {
            Ok(found) => return Some(Hosted::Online(found.partition)),
            // Others have taken the reserve, or all descriptors: it is tried again.
            Err(OpenLogError::Storage(error)) if is_shortage(&error) => {
                tracing::warn!(partition = %it.name, %error, "not opened for now");
                return None;
            }
            // The directory has failed, and it is the only one: to answer for ever that the
            // partition does not exist helps nobody, while a new start may find it well.
            Err(OpenLogError::Storage(error)) => {
                self.fail(&format!("cannot open {}: {error}", it.name)).await;
            }
            Err(error) => say_offline(&it.name.to_string(), &path, &error.to_string()),
        }
        Some(Hosted::Offline(path))
    }

    /// What a killed process left in the page cache is shown once a power cut cannot take it any
    /// more. Where the page cache is enough for that, appends wait for it all the same: what was
    /// cut off could otherwise come back behind them.
    async fn make_durable(&self, opened: impl Iterator<Item = &(PartitionId, Hosted)>) {
        let mut recovered = 0;
        for (_, hosted) in opened {
            if let Hosted::Online(partition) = hosted {
                recovered += usize::from(partition.sync_recovered());
            }
        }
        let waits = recovered > 0 || self.directory().last_stop().sync_has_failed();
        if waits && let Err(error) = self.directory().sync(&self.env).await {
            self.fail(&format!("could not make the log durable: {error}")).await;
        }
    }

    /// What a killed process left of logs that are closed again: a segment whose name is in the
    /// page cache alone, a length.
    async fn make_all_durable(&self) {
        if let Err(error) = self.env.disk.sync_file_system(self.directory().place()).await {
            self.fail(&format!("could not make the log durable: {error}")).await;
        }
    }

    /// Everything that the last process left is open and durable, and what nobody claims stands
    /// aside.
    async fn on_recovered(&self) {
        let place = self.directory().place();
        let entries = self.env.disk.list(place).await.unwrap_or_default();
        let named = entries.iter().filter(|entry| entry.is_dir && entry.name != METADATA_DIRECTORY);
        let strays: Vec<_> = named
            .filter_map(|entry| partition_named(&entry.name))
            .filter(|name| !self.partitions.hosts(name) && !self.lacks(name))
            .collect();
        // A topic of the name that is made from now on must not be taken for them.
        if !strays.is_empty()
            && let Err(error) = self.partitions.checkpoints().forget(&self.env, &strays).await
            && !is_full(&error)
        {
            self.fail(&format!("cannot write the checkpoints: {error}")).await;
        }
        for name in strays {
            let path = place.join(name.to_string());
            if let Err(error) = set_stray_aside(&self.env, &path, &name, None).await {
                tracing::warn!(path = %path.display(), %error, "stray partition not set aside");
            }
        }
        self.directory().last_stop().on_recovered();
    }

    /// What there was no space for was not written again yet.
    async fn settle_notes(&self) {
        if self.lacking.is_empty()
            && let Err(error) = self.directory().last_stop().on_all_durable(&self.env).await
        {
            self.fail(&format!("cannot use the data folder: {error}")).await;
        }
    }

    /// Whether it may be one that could not be opened so far.
    fn lacks(&self, name: &TopicPartition) -> bool {
        self.lacking.iter().any(|topic| topic.name == name.topic)
    }

    fn directory(&self) -> &Arc<LogDirectory> {
        self.partitions.directory()
    }

    async fn fail(&self, why: &str) {
        self.directory().fail(&self.env, why).await;
    }

    /// Moves the directories of deleted topics out of the way. Their checkpoints go first, so that
    /// a new topic of the same name is not taken for them.
    async fn set_aside(&self, removed: &[Arc<TopicEntry>]) {
        // A checkpoint that is under way writes into the directories.
        let _turn = self.directory().checkpoint_turn().await;
        let names: Vec<_> = removed.iter().flat_map(|entry| entry.places()).collect();
        let gone: Vec<_> = names.iter().map(|(name, _)| name.clone()).collect();
        match self.partitions.checkpoints().forget(&self.env, &gone).await {
            Ok(()) => {}
            // To delete is how space comes back; no namesake is made before the next checkpoint.
            Err(error) if is_full(&error) => {
                tracing::warn!(%error, "checkpoints not written, the disk is full");
            }
            Err(error) => self.fail(&format!("cannot write the checkpoints: {error}")).await,
        }
        for partition in removed.iter().flat_map(|entry| entry.partitions()) {
            partition.roll_ended().await;
            // Whoever deletes records renames files.
            partition.deletion_ended().await;
            partition.compaction_ended().await;
        }
        let mut aside = Vec::with_capacity(names.len());
        for (partition, path) in names {
            match Partitions::set_aside(&self.env, &partition, path).await {
                Ok(path) => aside.push(path),
                // Nobody has written to it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(%partition, %error, "deleted partition not set aside");
                }
            }
        }
        if let Err(error) = self.env.disk.sync_names(self.directory().place()).await {
            self.fail(&format!("cannot set deleted partitions aside: {error}")).await;
        }
        self.directory().let_go_of_deleted();
        // As in Kafka, the broker's, whatever the topics said of their segments.
        let (env, delay) = (self.env.clone(), self.defaults.file_delete_delay);
        let task = async move {
            env.clock.sleep(delay).await;
            for path in aside {
                remove(&env, &path).await;
            }
        };
        self.env.spawn.spawn("delete", Box::pin(task));
    }

    /// Removes what an earlier run had set aside and not removed yet.
    async fn remove_leftovers(&self) {
        let entries = self.env.disk.list(self.directory().place()).await.unwrap_or_default();
        let names: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let leftover = |name: &str| name.ends_with(DELETED_SUFFIX);
        // A deletion on a full disk could not write down what it forgot. Where a namesake was made
        // since, that was done before.
        let gone: Vec<_> = names
            .iter()
            .filter_map(|name| name.strip_suffix(DELETED_SUFFIX)?.rsplit_once('.'))
            .filter(|(name, _)| !names.contains(name))
            .filter_map(|(name, _)| partition_named(name))
            .collect();
        let forgotten = self.partitions.checkpoints().forget(&self.env, &gone).await;
        for entry in entries.iter().filter(|entry| entry.is_dir && leftover(&entry.name)) {
            remove(&self.env, &self.directory().place().join(&entry.name)).await;
        }
        // The disk may have been full until now.
        let forgotten = match forgotten {
            Ok(()) => Ok(()),
            Err(_) => self.partitions.checkpoints().forget(&self.env, &[]).await,
        };
        if let Err(error) = forgotten {
            tracing::warn!(%error, "checkpoints of deleted partitions not written");
        }
    }
}

/// The partition whose directory has that name.
fn partition_named(directory: &str) -> Option<TopicPartition> {
    let (topic, partition) = directory.rsplit_once('-')?;
    let partition = partition.parse().ok().and_then(PartitionId::from_wire)?;
    let name = TopicPartition { topic: TopicName::parse(topic).ok()?, partition };
    (name.to_string() == directory).then_some(name)
}

async fn remove(env: &Env, path: &std::path::Path) {
    if let Err(error) = env.disk.remove_tree(path).await {
        tracing::warn!(path = %path.display(), %error, "deleted partition not removed");
    }
}
