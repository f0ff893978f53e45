//! The partitions of this node, by topic name and by topic id.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_env::{DiskExt, Env};
use ottla_log::{
    Checkpointed, DormantLog, Log, LogConfig, OpenLogError, PARTITION_METADATA, PartitionMetadata,
};
use ottla_metadata::TopicConfig;
use ottla_types::{LeaderEpoch, PartitionId, Timestamp, TopicId, TopicName, TopicPartition};

use super::{Checkpoints, LogDirectory, Partition};

/// The local partitions of one topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicEntry {
    pub(crate) name: TopicName,
    pub(crate) id: TopicId,
    /// By partition number.
    partitions: BTreeMap<PartitionId, Arc<Partition>>,
}

impl TopicEntry {
    /// A partition by the number that a request names; negative numbers name none.
    pub(crate) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(&PartitionId::from_wire(index)?)
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.values()
    }
}

#[derive(Clone, Debug, Default)]
struct Topics {
    by_name: BTreeMap<TopicName, Arc<TopicEntry>>,
    by_id: BTreeMap<TopicId, Arc<TopicEntry>>,
}

/// All local partitions. Requests read a snapshot; one task, the publisher's, changes it.
#[derive(Debug)]
pub(crate) struct Partitions {
    topics: ArcSwap<Topics>,
    directory: Arc<LogDirectory>,
}

impl Partitions {
    pub(crate) fn new(directory: Arc<LogDirectory>) -> Self {
        Self { topics: ArcSwap::default(), directory }
    }

    /// The log directory that all of them lie in.
    pub(crate) fn directory(&self) -> &Arc<LogDirectory> {
        &self.directory
    }

    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        self.directory.checkpoints()
    }

    /// Whether there is room for appends, and so for more topics.
    pub(crate) fn have_room(&self) -> bool {
        self.directory.space().admits()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<TopicEntry>> {
        self.topics.load().by_name.get(name).cloned()
    }

    pub(crate) fn topic_by_id(&self, id: TopicId) -> Option<Arc<TopicEntry>> {
        self.topics.load().by_id.get(&id).cloned()
    }

    /// Opens, and makes where missing, one partition's log.
    pub(crate) async fn open(
        &self,
        env: &Env,
        place: &Path,
        name: TopicPartition,
        topic_id: TopicId,
        epoch: LeaderEpoch,
        (config, settings): (LogConfig, TopicConfig),
    ) -> Result<Arc<Partition>, OpenLogError> {
        let path = place.join(name.to_string());
        let known = identity_of(env, &path).await?;
        if let Some(other) = known.filter(|known| *known != topic_id) {
            set_stray_aside(env, &path, &name, other).await?;
        }
        let log = self.open_log(env, &name, &path, config).await?;
        if known != Some(topic_id) {
            PartitionMetadata { topic_id }.write(&env.disk, &path).await?;
        }
        let directory = Arc::clone(&self.directory);
        let partition = Partition::new(name, topic_id, path, directory, log, epoch, settings);
        let partition = Arc::new(partition);
        partition.sync_recovered();
        Ok(partition)
    }

    async fn open_log(
        &self,
        env: &Env,
        name: &TopicPartition,
        path: &Path,
        config: LogConfig,
    ) -> Result<Log, OpenLogError> {
        let log_start = self.checkpoints().of(name).log_start;
        let known = Checkpointed { log_start, ..Checkpointed::default() };
        let mut dormant = DormantLog::survey(&env.disk, path, config, known).await?;
        dormant.take_leftovers().remove(&env.disk).await;
        let mut log = dormant.open(&env.disk).await?;
        if let Some(unsynced) = log.take_unsynced() {
            unsynced.make_durable(&env.disk).await?;
            log.on_synced(unsynced.upto);
        }
        Ok(log)
    }

    /// Shows topics to requests; partitions that a topic had already stay.
    pub(crate) fn insert(&self, opened: Vec<(TopicName, TopicId, Vec<Arc<Partition>>)>) {
        let mut topics = Topics::clone(&self.topics.load());
        for (name, id, opened) in opened {
            let mut entry = topics.by_id.get(&id).map_or_else(
                || TopicEntry { name: name.clone(), id, partitions: BTreeMap::new() },
                |entry| TopicEntry::clone(entry),
            );
            for partition in opened {
                assert_eq!(partition.topic_id(), id, "a partition of another topic");
                entry.partitions.insert(partition.name().partition, partition);
            }
            let entry = Arc::new(entry);
            topics.by_name.insert(name, Arc::clone(&entry));
            topics.by_id.insert(id, entry);
        }
        self.topics.store(Arc::new(topics));
    }

    /// Takes a topic away from requests; its partitions refuse appends from now on.
    pub(crate) fn remove(&self, id: TopicId) -> Option<Arc<TopicEntry>> {
        let mut topics = Topics::clone(&self.topics.load());
        let entry = topics.by_id.remove(&id)?;
        // A new topic of the same name may stand there already.
        if topics.by_name.get(&entry.name).is_some_and(|named| named.id == id) {
            topics.by_name.remove(&entry.name);
        }
        self.topics.store(Arc::new(topics));
        entry.partitions().for_each(|partition| partition.retire());
        Some(entry)
    }

    /// Every partition of this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.load_full();
        topics.by_id.values().flat_map(|entry| entry.partitions()).cloned().collect()
    }

    /// Forgets the producers that wrote nothing for `idle`, in every partition.
    pub(crate) fn expire_producers(&self, now: Timestamp, idle: Duration) {
        for partition in self.topics.load_full().by_id.values().flat_map(|entry| entry.partitions())
        {
            partition.expire_producers(now, idle);
        }
    }

    /// Waits for the rolls of all partitions and leaves their epochs to whoever reads the folder
    /// next; no appends may come any more.
    pub(crate) async fn close(&self, env: &Env) {
        let topics = self.topics.load_full();
        for partition in topics.by_id.values().flat_map(|entry| entry.partitions()) {
            partition.roll_ended().await;
            if let Err(error) = partition.write_epochs(env).await {
                // Nothing of ours needs the file, and Kafka makes it again from the batches.
                tracing::warn!(partition = %partition.name(), %error, "epochs not written");
            }
        }
    }

    /// Moves a removed partition's directory out of the way of a namesake, durably.
    pub(crate) async fn set_aside(env: &Env, partition: &Partition) -> io::Result<PathBuf> {
        partition.roll_ended().await;
        partition.deletion_ended().await;
        let aside = Self::aside_path(env, partition);
        env.disk.move_to(partition.path(), &aside).await?;
        if let Some(directory) = aside.parent() {
            env.disk.sync_names(directory).await?;
        }
        Ok(aside)
    }

    /// `<topic>-<n>.<uuid>-delete`, as Kafka spells it.
    fn aside_path(env: &Env, partition: &Partition) -> PathBuf {
        let high = env.rng.next(ottla_env::Purpose::Uuid);
        let low = env.rng.next(ottla_env::Purpose::Uuid);
        let suffix = format!(".{high:016x}{low:016x}-delete");
        partition.path().with_file_name(name_aside(partition.name(), &suffix))
    }
}

/// The name of a directory that is out of the way. The topic gives way where the whole would pass
/// the 255 bytes of a file name: the partition's number must stay, or siblings would collide.
fn name_aside(name: &TopicPartition, suffix: &str) -> String {
    let rest = format!("-{}{suffix}", name.partition);
    let mut aside = name.topic.to_string();
    // Topic names are ASCII.
    aside.truncate(255 - rest.len());
    aside + &rest
}

/// Whose directory this is; `None` if it is not there, or nobody's yet.
async fn identity_of(env: &Env, path: &Path) -> io::Result<Option<TopicId>> {
    let text = match env.disk.read_whole(&path.join(PARTITION_METADATA)).await {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let parsed = PartitionMetadata::parse(&String::from_utf8_lossy(&text));
    parsed.map(|metadata| Some(metadata.topic_id)).map_err(io::Error::other)
}

/// Another topic of the same name left its directory here: kept, under Kafka's name for such, for
/// a person to decide.
async fn set_stray_aside(
    env: &Env,
    path: &Path,
    name: &TopicPartition,
    id: TopicId,
) -> io::Result<()> {
    let suffix = format!(".{:032x}-stray", u128::from_be_bytes(*id.as_bytes()));
    let aside = path.with_file_name(name_aside(name, &suffix));
    tracing::warn!(from = %path.display(), to = %aside.display(), "stray partition set aside");
    env.disk.move_to(path, &aside).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_set_aside_keeps_its_number() {
        check("t", 7, ".id-stray", "t-7.id-stray");
        let long = "x".repeat(249);
        check(&long, 12, ".id-stray", &format!("{}-12.id-stray", "x".repeat(243)));
    }

    fn check(topic: &str, partition: i32, suffix: &str, aside: &str) {
        let topic = TopicName::parse(topic).unwrap();
        let partition = PartitionId::from_wire(partition).unwrap();
        assert_eq!(name_aside(&TopicPartition { topic, partition }, suffix), aside);
    }
}
