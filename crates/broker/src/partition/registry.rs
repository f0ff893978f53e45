//! The partitions of this node, by topic name and by topic id.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_env::{DiskExt, Env, File, Glance, GlanceAt, Open};
use ottla_log::{Checkpointed, DormantLog, OpenLogError, PARTITION_METADATA, PartitionMetadata};
use ottla_metadata::{SharedMap, TopicConfig};
use ottla_types::{LeaderEpoch, PartitionId, Timestamp, TopicId, TopicName, TopicPartition};

use super::opening::Writer;
use super::{Checkpoints, Identity, LogDirectory, Partition, Place, log_config};
use crate::watch::Traffic;

/// The local partitions of one topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicEntry {
    pub(crate) name: TopicName,
    pub(crate) id: TopicId,
    /// By partition number.
    partitions: BTreeMap<PartitionId, Hosted>,
}

/// What became of a local partition.
#[derive(Clone, Debug)]
pub(super) enum Hosted {
    Online(Arc<Partition>),
    /// Its files in this directory are not what they should be.
    Offline(PathBuf),
}

/// Why a partition is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Nobody has put it here.
    Unknown,
    /// Its files are damaged.
    Offline,
}

impl TopicEntry {
    /// A partition by the number that a request names; negative numbers name none.
    ///
    /// # Errors
    /// When there is none, or none that can be served.
    pub(crate) fn partition(&self, index: i32) -> Result<&Arc<Partition>, Absent> {
        let index = PartitionId::from_wire(index).ok_or(Absent::Unknown)?;
        match self.partitions.get(&index) {
            None => Err(Absent::Unknown),
            Some(Hosted::Offline(_)) => Err(Absent::Offline),
            Some(Hosted::Online(partition)) if partition.is_offline() => Err(Absent::Offline),
            Some(Hosted::Online(partition)) => Ok(partition),
        }
    }

    /// Those that are not known to be offline since the start.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Arc<Partition>> {
        self.partitions.values().filter_map(|hosted| match hosted {
            Hosted::Online(partition) => Some(partition),
            Hosted::Offline(_) => None,
        })
    }

    /// The partitions that cannot be served.
    pub(crate) fn offline(&self) -> impl Iterator<Item = PartitionId> {
        self.partitions.iter().filter_map(|(index, hosted)| match hosted {
            Hosted::Online(partition) if !partition.is_offline() => None,
            Hosted::Online(_) | Hosted::Offline(_) => Some(*index),
        })
    }

    /// What is known of a partition.
    pub(super) fn hosted(&self, index: PartitionId) -> Option<&Hosted> {
        self.partitions.get(&index)
    }

    /// Every partition's directory.
    pub(super) fn places(&self) -> impl Iterator<Item = (TopicPartition, &Path)> {
        self.partitions.iter().map(|(index, hosted)| {
            let name = TopicPartition { topic: self.name.clone(), partition: *index };
            match hosted {
                Hosted::Online(partition) => (name, partition.path()),
                Hosted::Offline(path) => (name, path.as_path()),
            }
        })
    }
}

/// Partitions of a topic that were opened.
#[derive(Debug)]
pub(super) struct OpenedTopic {
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) partitions: Vec<(PartitionId, Hosted)>,
}

/// A partition that is to be opened.
#[derive(Clone, Debug)]
pub(super) struct ToOpen {
    pub(super) name: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) epoch: LeaderEpoch,
    pub(super) settings: TopicConfig,
}

#[derive(Clone, Debug, Default)]
struct Topics {
    by_name: SharedMap<TopicName, Arc<TopicEntry>>,
    by_id: SharedMap<TopicId, Arc<TopicEntry>>,
}

/// A partition as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) partition: Arc<Partition>,
    /// Its log was opened and closed again: whether its names, and where it ends, are durable
    /// nobody knows, and whoever opens it next does not ask.
    pub(super) closed_again: bool,
}

impl Topics {
    fn remove(&mut self, id: TopicId) -> Option<Arc<TopicEntry>> {
        let entry = self.by_id.remove(&id)?;
        // A new topic of the same name may stand there already.
        if self.by_name.get(&entry.name).is_some_and(|named| named.id == id) {
            self.by_name.remove(&entry.name);
        }
        Some(entry)
    }
}

/// All local partitions. Requests read a snapshot; one task, the publisher's, changes it.
#[derive(Debug)]
pub(crate) struct Partitions {
    topics: ArcSwap<Topics>,
    directory: Arc<LogDirectory>,
    /// What went through those that were deleted.
    gone: Traffic,
    /// Some are not open for want of space or descriptors.
    lacks: AtomicBool,
}

impl Partitions {
    pub(crate) fn new(directory: Arc<LogDirectory>) -> Self {
        let (gone, lacks) = (Traffic::default(), AtomicBool::new(false));
        Self { topics: ArcSwap::default(), directory, gone, lacks }
    }

    /// Whether there are partitions that were not opened for want of space or descriptors: nobody
    /// has looked at what the last process left of them.
    pub(super) fn lack_some(&self) -> bool {
        self.lacks.load(Ordering::Acquire)
    }

    pub(super) fn set_lack_some(&self, lacks: bool) {
        self.lacks.store(lacks, Ordering::Release);
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

    fn place_of(&self, name: &TopicPartition) -> PathBuf {
        self.directory.place().join(name.to_string())
    }

    /// Finds the logs of partitions, or makes them, one after the other.
    pub(super) async fn open_some(
        &self,
        env: &Env,
        some: Vec<ToOpen>,
    ) -> Vec<(ToOpen, Result<Found, OpenLogError>)> {
        let folders = some.iter().map(|it| self.place_of(&it.name)).collect();
        let measured = self.directory.anew().measured();
        let at = GlanceAt { note: PARTITION_METADATA, measured };
        let seen = match env.disk.look_at(folders, at).await {
            Ok(seen) => seen,
            // The disk's host has ended, and the node with it.
            Err(_) => std::future::pending().await,
        };
        let mut opened = Vec::with_capacity(some.len());
        for (it, seen) in some.into_iter().zip(seen) {
            let outcome = self.open(env, it.clone(), seen).await;
            opened.push((it, outcome));
        }
        opened
    }

    /// Finds a partition's log, or makes it. Nothing is synced: neither what a killed process has
    /// left, nor the names of what is new.
    async fn open(&self, env: &Env, it: ToOpen, seen: Glance) -> Result<Found, OpenLogError> {
        let path = self.place_of(&it.name);
        let mut checkpointed = self.directory.checkpointed(&it.name);
        let config = log_config(&it.settings);
        let mut log = match DormantLog::of(seen.entries, &path, config, checkpointed) {
            // A survey completes it.
            Err(OpenLogError::InterruptedCompaction { .. }) => {
                DormantLog::survey(&env.disk, &path, config, checkpointed).await?
            }
            found => found?,
        };
        let known = identity_of(seen.note)?;
        if let Some(other) = known.filter(|known| *known != it.topic_id) {
            // What the checkpoints say is of the other one.
            let forgotten = self.checkpoints().forget(env, std::slice::from_ref(&it.name));
            forgotten.await?;
            set_stray_aside(env, &path, &it.name, Some(other)).await?;
            checkpointed = self.directory.checkpointed(&it.name);
            log = DormantLog::survey(&env.disk, &path, log_config(&it.settings), checkpointed)
                .await?;
        }
        if known.is_none() {
            // A deletion may have found no space to write down that it has forgotten a namesake.
            self.checkpoints().forget(env, &[]).await?;
        }
        log.take_leftovers().remove(&env.disk).await;
        let empty = log.is_settled() && log.start_offset() == log.end().offset;
        let mut writer = Writer::take(env, log).await?;
        let mut closed_again = false;
        if let Some(end) = writer.idle_end() {
            // A kill has not met it: it may as well be closed again, and there are many such.
            let clean = Checkpointed { clean: true, ..checkpointed };
            let again =
                DormantLog::survey(&env.disk, &path, log_config(&it.settings), clean).await?;
            if again.is_settled() && again.end() == end {
                writer = Writer::Dormant(again);
                closed_again = true;
            }
        }
        let identity = match known {
            Some(id) if id == it.topic_id => Identity::Told,
            _ if empty => Identity::Untold,
            _ => Identity::Unsynced(write_identity(env, &path, it.topic_id).await?),
        };
        let directory = Arc::clone(&self.directory);
        let place = Place { path, writer, identity };
        let partition =
            Partition::new(it.name, it.topic_id, directory, place, it.epoch, it.settings);
        Ok(Found { partition: Arc::new(partition), closed_again })
    }

    /// Shows topics to requests; partitions that a topic had already stay.
    pub(super) fn insert(&self, opened: Vec<OpenedTopic>) {
        let mut topics = Topics::clone(&self.topics.load());
        for OpenedTopic { name, id, partitions: opened } in opened {
            let mut entry = topics.by_id.get(&id).map_or_else(
                || TopicEntry { name: name.clone(), id, partitions: BTreeMap::new() },
                |entry| TopicEntry::clone(entry),
            );
            for (_, hosted) in &opened {
                if let Hosted::Online(partition) = hosted {
                    assert_eq!(partition.topic_id(), id, "a partition of another topic");
                }
            }
            entry.partitions.extend(opened);
            let entry = Arc::new(entry);
            topics.by_name.insert(name, Arc::clone(&entry));
            topics.by_id.insert(id, entry);
        }
        self.topics.store(Arc::new(topics));
    }

    /// Takes topics away from requests, with one copy of the list of all; their partitions refuse
    /// appends from now on.
    pub(crate) fn remove_all(&self, ids: &[TopicId]) -> Vec<Arc<TopicEntry>> {
        if ids.is_empty() {
            return Vec::new();
        }
        let mut topics = Topics::clone(&self.topics.load());
        let removed: Vec<_> = ids.iter().filter_map(|id| topics.remove(*id)).collect();
        self.topics.store(Arc::new(topics));
        let partitions = removed.iter().flat_map(|entry| entry.partitions());
        partitions.for_each(|partition| {
            partition.retire();
            self.gone.inherit(partition.traffic().read());
        });
        removed
    }

    /// What went through partitions that were deleted, until then.
    pub(crate) const fn gone_traffic(&self) -> &Traffic {
        &self.gone
    }

    /// Every partition of this moment.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        let topics = self.topics.load_full();
        topics.by_id.values().flat_map(|entry| entry.partitions()).cloned().collect()
    }

    /// Forgets the producers that wrote nothing for `idle`, in every partition.
    pub(crate) fn expire_producers(&self, now: Timestamp, idle: Duration) {
        for partition in self.all() {
            partition.expire_producers(now, idle);
        }
    }

    /// Whether the directory of that name is a partition's of this node.
    pub(super) fn hosts(&self, name: &TopicPartition) -> bool {
        self.topic(name.topic.as_str()).is_some_and(|topic| topic.hosted(name.partition).is_some())
    }

    /// Moves a removed partition's directory out of the way of a namesake. Not durably: the caller
    /// syncs the names.
    pub(super) async fn set_aside(
        env: &Env,
        name: &TopicPartition,
        path: &Path,
    ) -> io::Result<PathBuf> {
        let high = env.rng.next(ottla_env::Purpose::Uuid);
        let low = env.rng.next(ottla_env::Purpose::Uuid);
        // As Kafka spells it.
        let suffix = format!(".{high:016x}{low:016x}-delete");
        let aside = path.with_file_name(name_aside(name, &suffix));
        env.disk.move_to(path, &aside).await?;
        Ok(aside)
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

/// Whose directory this is; `None` if it is not there, or nobody's yet. A file that does not parse
/// does not exist: it is not synced before something in its directory is.
fn identity_of(read: io::Result<Vec<u8>>) -> io::Result<Option<TopicId>> {
    let text = match read {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let parsed = PartitionMetadata::parse(&String::from_utf8_lossy(&text));
    Ok(parsed.ok().map(|metadata| metadata.topic_id))
}

/// Says in the page cache whose directory it is. Nothing in it is acknowledged before the file and
/// its name are durable.
pub(super) async fn write_identity(
    env: &Env,
    path: &Path,
    topic_id: TopicId,
) -> io::Result<Arc<dyn File>> {
    let file = env.disk.open_file(&path.join(PARTITION_METADATA), Open::Ensure).await?;
    let text = PartitionMetadata { topic_id }.encode();
    env.disk.truncate_to(&file, 0).await?;
    file.write_at(0, &[IoSlice::new(text.as_bytes())])?;
    Ok(file)
}

/// A directory that no topic claims is kept, under Kafka's name for such, for a person to decide.
pub(super) async fn set_stray_aside(
    env: &Env,
    path: &Path,
    name: &TopicPartition,
    id: Option<TopicId>,
) -> io::Result<()> {
    let id = id.unwrap_or_else(|| env.rng.uuid());
    let suffix = format!(".{:032x}-stray", u128::from_be_bytes(*id.as_bytes()));
    let aside = path.with_file_name(name_aside(name, &suffix));
    tracing::warn!(from = %path.display(), to = %aside.display(), "stray partition set aside");
    env.disk.move_to(path, &aside).await
}

#[cfg(test)]
mod tests {
    use super::super::Durability;
    use super::*;

    #[test]
    fn topics_go_together_and_leave_their_namesakes() {
        let directory = LogDirectory::new(Path::new("data"), Durability::Fsync);
        let partitions = Partitions::new(Arc::new(directory));
        let id = |n: u128| TopicId::from_bytes(n.to_be_bytes());
        for (n, name) in [(1, "a"), (2, "b"), (3, "c"), (4, "b")] {
            let name = TopicName::parse(name).unwrap();
            partitions.insert(vec![OpenedTopic { name, id: id(n), partitions: Vec::new() }]);
        }
        let removed = partitions.remove_all(&[id(1), id(2), id(9)]);
        assert_eq!(removed.iter().map(|it| it.id).collect::<Vec<_>>(), [id(1), id(2)]);
        let left = ["a", "b", "c"].map(|name| partitions.topic(name).map(|entry| entry.id));
        assert_eq!(left, [None, Some(id(4)), Some(id(3))]);
        assert!(
            (1..=4).map(|n| partitions.topic_by_id(id(n)).is_some()).eq([false, false, true, true])
        );
    }

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
