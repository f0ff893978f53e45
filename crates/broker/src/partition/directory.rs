//! A log directory: how much of it is not durable yet, and the syncer that makes it so.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use ottla_env::{DiskExt, Env, File, reply};
use ottla_log::{Checkpointed, Unsynced};
use ottla_types::TopicPartition;
use ottla_types::planted::{self, Bug};
use tokio::sync::Notify;

use super::Partition;
use super::checkpoints::{Checkpoints, Remembered};
use super::last_stop::{LastStop, fail};
use super::read_ahead::ReadAhead;
use super::space::SpaceWatch;
use super::waiters::list_once;
use crate::watch::Histogram;

/// `ottla.durability`: when an append counts as committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on stable storage.
    Fsync,
    /// Once it is in the page cache, as in Kafka.
    PageCache,
}

/// Unsynced bytes at which a sync starts, whatever the durability: it bounds what a crash can
/// take, and what the kernel writes back at once.
const DIRTY_BYTES_SYNC: u64 = 64 * 1024 * 1024;

/// Unsynced bytes at which appends park: a quarter GiB is a second of a slow disk, and keeps the
/// kernel from throttling a loop inside a write.
const DIRTY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Passes of the loop for which a sync waits for more to join it, while each brings some: the
/// answers that the sync before it has let go bring the next requests within a pass or two. Beyond
/// that the device would be kept waiting.
const GATHER_PASSES_MAX: usize = 4;

/// One of `log.dirs`.
#[derive(Debug)]
pub(crate) struct LogDirectory {
    place: PathBuf,
    durability: Durability,
    /// For fetches of what is not in the page cache.
    pub(crate) read_ahead: ReadAhead,
    checkpoints: Checkpoints,
    last_stop: LastStop,
    /// Partitions that have something to checkpoint: each is listed once, by its own mark.
    checkpoints_due: Mutex<Vec<Arc<Partition>>>,
    /// Partitions that somebody waits for a checkpoint of; at most one for each that loses records.
    checkpoints_wanted: Mutex<Vec<Arc<Partition>>>,
    checkpoint_work: Notify,
    /// Held by whoever writes checkpoints, or moves directories that checkpoints are written into.
    checkpointing: tokio::sync::Mutex<()>,
    space: SpaceWatch,
    dirty_bytes: AtomicU64,
    /// Partitions with unsynced bytes: each is listed once, by its own `dirty` mark.
    dirty: Mutex<Vec<Arc<Partition>>>,
    /// Appends that wait for a sync to end. At most one a connection.
    parked: Mutex<Vec<Waker>>,
    work: Notify,
    /// How long syncs took. Counted by whoever has the turn.
    sync_times: Histogram,
    /// Held by whoever syncs: a partition gives out one sync at a time, and whoever is told that a
    /// sync has ended must have waited for the one before it too.
    turn: tokio::sync::Mutex<()>,
}

impl LogDirectory {
    /// A directory that nobody used before.
    #[cfg(test)]
    pub(super) fn new(place: &Path, durability: Durability) -> Self {
        let space = SpaceWatch::new(place, None);
        Self::with(place, durability, space, (Checkpoints::none(place), LastStop::none(place)))
    }

    /// Reads what the last process left of itself. Nothing is written yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn open(
        env: &Env,
        place: &Path,
        durability: Durability,
        space: SpaceWatch,
    ) -> io::Result<Self> {
        let checkpoints = Checkpoints::read(env, place).await?;
        let last_stop = LastStop::read(env, place).await?;
        Ok(Self::with(place, durability, space, (checkpoints, last_stop)))
    }

    fn with(
        place: &Path,
        durability: Durability,
        space: SpaceWatch,
        (checkpoints, last_stop): (Checkpoints, LastStop),
    ) -> Self {
        Self {
            place: place.to_owned(),
            durability,
            read_ahead: ReadAhead::new(),
            checkpoints,
            last_stop,
            checkpoints_due: Mutex::new(Vec::new()),
            checkpoints_wanted: Mutex::new(Vec::new()),
            checkpoint_work: Notify::new(),
            checkpointing: tokio::sync::Mutex::new(()),
            space,
            dirty_bytes: AtomicU64::new(0),
            dirty: Mutex::new(Vec::new()),
            parked: Mutex::new(Vec::new()),
            work: Notify::new(),
            sync_times: Histogram::default(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    pub(crate) const fn last_stop(&self) -> &LastStop {
        &self.last_stop
    }

    /// Ends the node because the directory has failed, and leaves a note for the next start.
    pub(crate) async fn fail(&self, env: &Env, why: &str) {
        fail(env, &self.place, why).await;
    }

    /// What is known of a partition's log before it is looked at.
    pub(super) fn checkpointed(&self, partition: &TopicPartition) -> Checkpointed {
        let Remembered { recovery_point, log_start } = self.checkpoints.of(partition);
        Checkpointed { recovery_point, log_start, ..self.anew() }
    }

    /// What is known of a log that no checkpoint tells of.
    pub(super) fn anew(&self) -> Checkpointed {
        Checkpointed {
            clean: self.last_stop.was_clean(),
            sync_failed: self.last_stop.sync_has_failed(),
            ..Checkpointed::default()
        }
    }

    /// What the directory remembers of its partitions' offsets.
    pub(crate) const fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// How long it took to make bytes durable.
    pub(crate) const fn sync_times(&self) -> &Histogram {
        &self.sync_times
    }

    pub(crate) const fn space(&self) -> &SpaceWatch {
        &self.space
    }

    /// A partition has grown by `bytes`; called under its lock.
    pub(super) fn on_appended(&self, partition: &Arc<Partition>, bytes: u64, newly_dirty: bool) {
        self.space.on_appended(bytes);
        if newly_dirty {
            // Listed before it is counted: a sync that ends with too many bytes left looks here.
            self.dirty_set().push(Arc::clone(partition));
        }
        let dirty = self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let wanted = match self.durability {
            Durability::Fsync => newly_dirty,
            Durability::PageCache => false,
        };
        let crossed = dirty >= DIRTY_BYTES_SYNC && dirty - bytes < DIRTY_BYTES_SYNC;
        if wanted || crossed {
            self.work.notify_one();
        }
    }

    /// Bytes that were appended and are not durable.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.dirty_bytes.load(Ordering::Relaxed)
    }

    /// What was dirty, and could not be synced, can be now; called under the partition's lock.
    pub(super) fn on_dirty_again(&self, partition: &Arc<Partition>) {
        self.dirty_set().push(Arc::clone(partition));
        let wanted = match self.durability {
            Durability::Fsync => true,
            Durability::PageCache => self.dirty_bytes.load(Ordering::Relaxed) >= DIRTY_BYTES_SYNC,
        };
        if wanted {
            self.work.notify_one();
        }
    }

    /// Has the syncer take what is dirty: what belongs to deleted topics keeps their files open,
    /// and the disk their blocks, until then.
    pub(super) fn let_go_of_deleted(&self) {
        self.work.notify_one();
    }

    /// Whether too much is unsynced for any append.
    pub(super) fn is_over_budget(&self) -> bool {
        self.dirty_bytes.load(Ordering::Relaxed) >= DIRTY_BYTES_MAX
    }

    /// Lists the append for a later try if too much is unsynced.
    pub(super) fn park_if_over_budget(&self, waker: &Waker) -> bool {
        if !self.is_over_budget() {
            return false;
        }
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at again under the lock: the sync that would wake us may just have ended.
        let over = self.is_over_budget();
        if over {
            list_once(&mut parked, waker);
        }
        over
    }

    /// Syncs everything that is dirty now. Group commit: whatever is appended while a sync runs
    /// shares the next one.
    ///
    /// # Errors
    /// When the disk could not make it durable; nothing may be promised about the directory then.
    pub(crate) async fn sync(&self, env: &Env) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let batch = std::mem::take(&mut *self.dirty_set());
        let take = |partition: Arc<Partition>| {
            let unsynced = partition.take_unsynced()?;
            Some((partition, unsynced))
        };
        self.sync_taken(env, batch.into_iter().filter_map(take).collect()).await
    }

    /// Lets those join the next sync whose requests have arrived already: in `fsync` mode clients
    /// wait for it, and it costs the same for one as for all of them.
    async fn gather(&self, env: &Env) {
        for _ in 0..GATHER_PASSES_MAX {
            let before = self.space.appended();
            let mut waited = false;
            poll_fn(|cx| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                env.spawn.wake_after_pass(cx.waker());
                Poll::Pending
            })
            .await;
            if self.space.appended() == before {
                return;
            }
        }
    }

    /// As [`Self::sync`], of what these partitions have given out for their checkpoints.
    pub(super) async fn sync_for_checkpoints<T>(
        &self,
        env: &Env,
        begin: impl FnOnce() -> (Vec<(Arc<Partition>, Unsynced)>, T),
    ) -> io::Result<T> {
        let _turn = self.turn.lock().await;
        let (taken, begun) = begin();
        self.sync_taken(env, taken).await?;
        Ok(begun)
    }

    async fn sync_taken(
        &self,
        env: &Env,
        taken: Vec<(Arc<Partition>, Unsynced)>,
    ) -> io::Result<()> {
        let (mut files, mut names) = (Vec::new(), BTreeSet::new());
        let (mut synced, mut total) = (Vec::with_capacity(taken.len()), 0);
        for (partition, unsynced) in taken {
            files.extend(unsynced.files);
            names.extend(unsynced.directories);
            total += unsynced.bytes;
            synced.push((partition, unsynced.upto));
        }
        let began = (!files.is_empty()).then(|| env.clock.mono());
        if planted::is(Bug::FailedSyncRetried) {
            let first = make_durable(env, &self.place, files.clone(), &names).await;
            if first.is_err() {
                make_durable(env, &self.place, files, &names).await?;
            }
        } else {
            make_durable(env, &self.place, files, &names).await?;
        }
        if let Some(began) = began {
            self.sync_times.record(env.clock.mono().since(began), 1);
        }
        for (partition, upto) in synced {
            partition.on_synced(env, upto);
        }
        let before = self.dirty_bytes.fetch_sub(total, Ordering::Relaxed);
        assert!(before >= total, "more synced than was dirty");
        if before - total >= DIRTY_BYTES_SYNC && !self.dirty_set().is_empty() {
            // So much was appended meanwhile that no further append will cross the mark. What is
            // not listed belongs to a log that rolls, and is listed again at the end of that.
            self.work.notify_one();
        }
        let parked =
            std::mem::take(&mut *self.parked.lock().unwrap_or_else(PoisonError::into_inner));
        parked.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// A partition has something that a start after a crash would have to read again; called under
    /// its lock.
    pub(super) fn on_checkpoint_due(&self, partition: &Arc<Partition>) {
        self.checkpoints_due().push(Arc::clone(partition));
        self.checkpoint_work.notify_one();
    }

    pub(super) fn checkpoints_wanted(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        self.checkpoints_wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn checkpoints_due(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        self.checkpoints_due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a checkpoint may be due.
    pub(super) async fn checkpoint_wanted(&self) {
        self.checkpoint_work.notified().await;
    }

    /// Keeps everybody else from writing checkpoints.
    pub(super) async fn checkpoint_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.checkpointing.lock().await
    }

    fn dirty_set(&self) -> MutexGuard<'_, Vec<Arc<Partition>>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files and directories from which on one sync of the whole file system is cheaper than one of
/// each, even if others write to it, too: measured in `docs/adr/0013`.
const SYNC_ALL_FROM: usize = 64;

/// Makes files and names durable, whichever way is the cheapest.
pub(super) async fn make_durable(
    env: &Env,
    place: &Path,
    files: Vec<Arc<dyn File>>,
    names: &BTreeSet<PathBuf>,
) -> io::Result<()> {
    if files.len() + names.len() >= SYNC_ALL_FROM {
        return env.disk.sync_file_system(place).await;
    }
    // All at once: their commits of the journal are one, or a few.
    let names: Vec<_> = names
        .iter()
        .map(|directory| {
            let (to, synced) = reply();
            env.disk.sync_dir(directory, to);
            synced
        })
        .collect();
    if !files.is_empty() {
        env.disk.sync_files(files).await?;
    }
    for synced in names {
        match synced.await.unwrap_or_else(|_| Err(io::Error::other("the disk's host ended"))) {
            // Its topic was deleted meanwhile, and it stands aside under another name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// The directory's syncer: runs as long as the node.
pub(crate) async fn run_syncer(env: Env, directory: Arc<LogDirectory>) {
    loop {
        directory.work.notified().await;
        let waited_for = directory.durability == Durability::Fsync;
        if waited_for && !directory.dirty_set().is_empty() {
            directory.gather(&env).await;
        }
        if let Err(error) = directory.sync(&env).await {
            // After a failed sync the kernel may have dropped the bytes and will report success
            // the next time: only a restart, which reads back what is there, tells the truth.
            directory.fail(&env, &format!("could not make the log durable: {error}")).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_metadata::TopicConfig;
    use ottla_sim::Sim;
    use ottla_types::{LeaderEpoch, PartitionId, TopicName};

    use super::super::Partitions;
    use super::super::registry::ToOpen;
    use super::*;

    #[test]
    fn what_came_during_a_sync_is_not_forgotten() {
        check(Durability::PageCache, DIRTY_BYTES_SYNC - 1, Listed::Yes, false);
        // No append will cross the mark any more: without another sync, appends park for ever.
        check(Durability::PageCache, DIRTY_BYTES_SYNC, Listed::Yes, true);
    }

    #[test]
    fn what_a_roll_keeps_from_the_syncer_is_not_asked_for_before_its_end() {
        for durability in [Durability::PageCache, Durability::Fsync] {
            check(durability, DIRTY_BYTES_SYNC, Listed::No, false);
            check(durability, DIRTY_BYTES_SYNC, Listed::AfterRoll, true);
        }
        check(Durability::PageCache, DIRTY_BYTES_SYNC - 1, Listed::AfterRoll, false);
        check(Durability::Fsync, 1, Listed::AfterRoll, true);
    }

    /// Whether the partition that the bytes are of is in the dirty set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Listed {
        Yes,
        No,
        AfterRoll,
    }

    /// `left` bytes are unsynced when a sync ends: whether the next one is asked for.
    fn check(durability: Durability, left: u64, listed: Listed, asked: bool) {
        let mut sim = Sim::new(1);
        let host = sim.host();
        let found = sim.run(&host, move |env| async move {
            let directory = Arc::new(LogDirectory::new(Path::new("data"), durability));
            env.disk.make_dir(Path::new("data")).await.unwrap();
            let partition = open(&env, &directory).await;
            directory.dirty_bytes.store(left, Ordering::Relaxed);
            if listed == Listed::Yes {
                directory.dirty_set().push(Arc::clone(&partition));
            }
            directory.sync_taken(&env, Vec::new()).await.unwrap();
            if listed == Listed::AfterRoll {
                directory.on_dirty_again(&partition);
            }
            let mut work = std::pin::pin!(directory.work.notified());
            poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await
        });
        assert_eq!(found, asked, "{left} bytes left, listed: {listed:?}");
    }

    async fn open(env: &Env, directory: &Arc<LogDirectory>) -> Arc<Partition> {
        let topic = TopicName::parse("t").unwrap();
        let name = TopicPartition { topic, partition: PartitionId::from_wire(0).unwrap() };
        let it = ToOpen {
            name,
            topic_id: env.rng.uuid(),
            epoch: LeaderEpoch::new(0),
            settings: TopicConfig::KAFKA,
        };
        let opened = Partitions::new(Arc::clone(directory)).open_some(env, vec![it]).await;
        opened.into_iter().next().unwrap().1.unwrap().partition
    }
}
