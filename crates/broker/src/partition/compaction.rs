//! Compaction: looks now and then for the log with the largest part that is dirty, and compacts it.
//! One at a time: what it costs is memory for keys, and the attention of the disk.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_env::{Env, Purpose};
use ottla_log::{
    CleanedSegment, Compaction, CompactionError, CompactionSettings, Dirt, DirtFacts, HashSeeds,
    KEY_BYTES, ReadError, Step,
};
use ottla_metadata::TopicConfig;
use ottla_types::{Offset, PartitionId, Timestamp, TopicId};

use super::checkpointing::is_shortage;
use super::{Partition, Partitions};
use crate::config::CleanerSettings;

/// The longest sleep between two looks at whether the node goes on.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// No more than so many parts in ten of the memory for keys are used: beyond, looking takes long.
const USED_TENTHS: u64 = 9;

/// Compacts the logs of a node.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    /// Partitions with records that cannot be read: nothing of them is touched until the next
    /// start.
    uncleanable: BTreeSet<(TopicId, PartitionId)>,
}

/// What a log is worth to be compacted.
struct Candidate {
    partition: Arc<Partition>,
    ratio: f64,
}

/// Why a log was not compacted, or not to its end.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// The node stops, the topic is gone or is not to be compacted any more, or somebody has
    /// deleted what was being compacted.
    #[error("it is not to be compacted any more")]
    NotWanted,
    #[error(transparent)]
    Compaction(#[from] CompactionError),
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The directory has failed.
    #[error("put a compacted segment into its place: {0}")]
    Directory(#[source] io::Error),
}

impl Cleaner {
    /// Compacts what is worth it, the dirtiest log first, as long as `goes_on`.
    pub(crate) async fn run_once(
        &mut self,
        env: &Env,
        partitions: &Partitions,
        settings: CleanerSettings,
        goes_on: &impl Fn() -> bool,
    ) {
        // What has failed is not tried again before the next look.
        let mut failed = BTreeSet::new();
        while goes_on() && partitions.have_room() {
            let all = partitions.all().into_iter().filter(|partition| {
                let key = key_of(partition);
                !self.uncleanable.contains(&key) && !failed.contains(&key)
            });
            let Some(partition) = dirtiest(env, all.collect()).await else { return };
            if let Err(stopped) = compact(env, &partition, settings, goes_on).await {
                failed.insert(key_of(&partition));
                self.on_stopped(env, &partition, stopped).await;
            }
        }
    }

    async fn on_stopped(&mut self, env: &Env, partition: &Partition, stopped: Stopped) {
        let name = partition.name();
        match stopped {
            Stopped::NotWanted => {}
            Stopped::Compaction(CompactionError::Storage(error)) if is_shortage(&error) => {
                tracing::warn!(partition = %name, %error, "not compacted for now");
            }
            Stopped::Compaction(error @ CompactionError::Sync(_)) => {
                partition.directory().fail(env, &error.to_string()).await;
            }
            Stopped::Directory(error) => partition.directory().fail(env, &error.to_string()).await,
            Stopped::Compaction(error) => self.give_up(partition, &error.to_string()),
            Stopped::Read(error) => self.give_up(partition, &error.to_string()),
        }
    }

    /// The log is served as before, and grows.
    fn give_up(&mut self, partition: &Partition, why: &str) {
        let name = partition.name();
        tracing::error!(partition = %name, why, "not compacted any more until the next start");
        self.uncleanable.insert(key_of(partition));
    }
}

fn key_of(partition: &Partition) -> (TopicId, PartitionId) {
    (partition.topic_id(), partition.name().partition)
}

/// The partition with the largest dirty part of those that are dirty enough.
async fn dirtiest(env: &Env, partitions: Vec<Arc<Partition>>) -> Option<Arc<Partition>> {
    let mut best: Option<Candidate> = None;
    for partition in partitions {
        let settings = partition.settings();
        if !settings.cleanup.compacts() || partition.is_offline() || partition.is_gone() {
            continue;
        }
        match worth(env, &partition, &settings).await {
            Ok(Some(ratio)) if best.as_ref().is_none_or(|best| best.ratio < ratio) => {
                best = Some(Candidate { partition, ratio });
            }
            Ok(_) => {}
            Err(error) => {
                let partition = partition.name();
                tracing::warn!(%partition, %error, "cannot tell what there is to compact");
            }
        }
    }
    best.map(|best| best.partition)
}

/// How much of the log is dirty, if it is enough.
async fn worth(
    env: &Env,
    partition: &Arc<Partition>,
    settings: &TopicConfig,
) -> Result<Option<f64>, Stopped> {
    let dirt = dirt_of(env, partition, settings).await?;
    if dirt.dirty_bytes == 0 {
        return Ok(None);
    }
    if dirt.ratio() > settings.min_cleanable_ratio.get() {
        return Ok(Some(dirt.ratio()));
    }
    let waits_until = earlier(env.clock.wall(), settings.max_compaction_lag);
    let Some(waits_until) = waits_until else { return Ok(None) };
    let oldest = partition.view().oldest_first(&env.disk, dirt.from).await?;
    let due = oldest.is_some_and(|oldest| oldest < waits_until);
    Ok(due.then(|| dirt.ratio()))
}

/// The time that lies so much before `now`; `None` if that is before all time.
fn earlier(now: Timestamp, by: Duration) -> Option<Timestamp> {
    let millis = i64::try_from(by.as_millis()).ok()?;
    now.millis().checked_sub(millis).filter(|millis| *millis > 0).map(Timestamp::from_millis)
}

async fn dirt_of(
    env: &Env,
    partition: &Arc<Partition>,
    settings: &TopicConfig,
) -> Result<Dirt, Stopped> {
    let name = partition.name();
    let checkpoints = partition.directory().checkpoints();
    let (bounds, view) = (partition.bounds(), partition.view());
    let (sealed, hw) = (view.sealed_sizes(), bounds.high_watermark);
    // Of a log that is not open everything is durable; what is stable is asked for when it is.
    let checkpointed = partition.recovery_point().unwrap_or(hw.offset);
    // Nothing is written anew in which a bound lies that readers have.
    let bound = [bounds.last_stable, hw.segment_base, checkpointed].into_iter().min();
    let mut facts = DirtFacts {
        sealed: &sealed,
        active: view.active_base(),
        start: bounds.log_start,
        end: bounds.log_end.offset,
        compacted: checkpoints.compacted(name),
        bound: bound.expect("there are three"),
        young: None,
    };
    if !settings.min_compaction_lag.is_zero() && facts.dirt().dirty_bytes > 0 {
        let than = earlier(env.clock.wall(), settings.min_compaction_lag);
        let than = than.unwrap_or(Timestamp::from_millis(0));
        facts.young = view.first_younger(&env.disk, facts.first_dirty().0, than).await?;
    }
    let dirt = facts.dirt();
    if dirt.resets_checkpoint {
        // The log may grow beyond it, and what is dirty would be taken for clean.
        let written = checkpoints.set_compacted(env, partition, dirt.from).await;
        written.map_err(CompactionError::Storage)?;
    }
    Ok(dirt)
}

/// Compacts a log once: as far as there is memory for keys.
async fn compact(
    env: &Env,
    partition: &Arc<Partition>,
    cleaner: CleanerSettings,
    goes_on: &impl Fn() -> bool,
) -> Result<(), Stopped> {
    partition.opened(env).await.map_err(|_| Stopped::NotWanted)?;
    // Whoever gives the directory away waits for it.
    let _turn = partition.compacting.lock().await;
    let topic = partition.settings();
    let wanted = || goes_on() && !partition.is_gone() && partition.settings().cleanup.compacts();
    let dirt = dirt_of(env, partition, &topic).await?;
    if dirt.dirty_bytes == 0 || !wanted() {
        return Err(Stopped::NotWanted);
    }
    let start = {
        let state = partition.state.lock();
        let log = state.writer.log().ok_or(Stopped::NotWanted)?;
        log.compaction(dirt, settings_of(env, &topic, cleaner))
    };
    let mut compaction = start.begin(&env.disk).await?;
    let mut shrunk = Shrunk::default();
    let outcome = walk(env, partition, &mut compaction, &mut shrunk, cleaner, &wanted).await;
    let upto = match outcome {
        Ok(upto) => upto,
        Err(stopped) => {
            compaction.discard(&env.disk).await;
            return Err(stopped);
        }
    };
    let checkpoints = partition.directory().checkpoints();
    let written = checkpoints.set_compacted(env, partition, upto).await;
    written.map_err(CompactionError::Storage)?;
    let Shrunk { before, after } = shrunk;
    tracing::info!(partition = %partition.name(), %upto, before, after, "compacted");
    Ok(())
}

/// Bytes of the segments that were replaced, and of those in their places.
#[derive(Clone, Copy, Debug, Default)]
struct Shrunk {
    before: u64,
    after: u64,
}

async fn walk(
    env: &Env,
    partition: &Arc<Partition>,
    compaction: &mut Compaction,
    shrunk: &mut Shrunk,
    cleaner: CleanerSettings,
    wanted: &impl Fn() -> bool,
) -> Result<Offset, Stopped> {
    let work = |job| env.spawn.work(job);
    loop {
        match compaction.step(&env.disk, &work).await? {
            Step::Went { bytes } => pause(env, bytes, cleaner, wanted).await,
            Step::Cleaned(cleaned) => {
                let (before, after) = cleaned.bytes();
                shrunk.before += before;
                shrunk.after += after;
                partition.put_in_place(env, cleaned).await?;
            }
            Step::Done { upto } => return Ok(upto),
        }
        if !wanted() {
            return Err(Stopped::NotWanted);
        }
    }
}

/// As long as these bytes take at `log.cleaner.io.max.bytes.per.second`.
async fn pause(env: &Env, bytes: u64, cleaner: CleanerSettings, wanted: &impl Fn() -> bool) {
    let Some(per_second) = cleaner.bytes_per_second else { return };
    let millis = u128::from(bytes) * 1_000 / u128::from(per_second.max(1));
    let mut left = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    while !left.is_zero() && wanted() {
        let some = left.min(PAUSE_MAX);
        env.clock.sleep(some).await;
        left -= some;
    }
}

fn settings_of(env: &Env, topic: &TopicConfig, cleaner: CleanerSettings) -> CompactionSettings {
    let keys = cleaner.dedupe_buffer_bytes / KEY_BYTES / 10 * USED_TENTHS;
    CompactionSettings {
        keys_max: usize::try_from(keys).unwrap_or(usize::MAX),
        seeds: HashSeeds(std::array::from_fn(|_| env.rng.next(Purpose::Hashing))),
        delete_retention: topic.delete_retention,
        now: env.clock.wall(),
    }
}

impl Partition {
    /// Puts a compacted segment into the place of those that it was made of.
    async fn put_in_place(
        self: &Arc<Self>,
        env: &Env,
        cleaned: CleanedSegment,
    ) -> Result<(), Stopped> {
        // Whoever deletes records renames the same files.
        let _turn = self.deleting.lock().await;
        let is_current = {
            let state = self.state.lock();
            let log = state.writer.log();
            !self.is_gone() && log.is_some_and(|log| cleaned.replaces_part_of(log))
        };
        if !is_current {
            cleaned.discard(&env.disk).await;
            return Err(Stopped::NotWanted);
        }
        cleaned.declare(&env.disk).await.map_err(Stopped::Directory)?;
        let swapping = {
            let mut state = self.state.lock();
            let swapping = state.log_mut().replace(cleaned);
            self.view.store(Arc::new(state.log().view()));
            swapping
        };
        let aside = swapping.finish(&env.disk).await.map_err(Stopped::Directory)?;
        self.remove_later(env, aside);
        Ok(())
    }

    /// Waits until no compaction writes into the directory. None begins once the partition is gone.
    pub(super) async fn compaction_ended(&self) {
        drop(self.compacting.lock().await);
    }
}
