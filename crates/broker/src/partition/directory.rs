//! A log directory: how much of it is not durable yet, and the syncer that makes it so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use ottla_env::{DiskExt, Env, File};
use ottla_types::planted::{self, Bug};
use tokio::sync::Notify;

use super::Partition;
use super::checkpoints::Checkpoints;
use super::read_ahead::ReadAhead;
use super::space::SpaceWatch;
use super::waiters::list_once;

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

/// One of `log.dirs`.
#[derive(Debug)]
pub(crate) struct LogDirectory {
    durability: Durability,
    /// For fetches of what is not in the page cache.
    pub(crate) read_ahead: ReadAhead,
    checkpoints: Checkpoints,
    space: SpaceWatch,
    dirty_bytes: AtomicU64,
    /// Partitions with unsynced bytes: each is listed once, by its own `dirty` mark.
    dirty: Mutex<Vec<Arc<Partition>>>,
    /// Appends that wait for a sync to end. At most one a connection.
    parked: Mutex<Vec<Waker>>,
    work: Notify,
    /// Held by whoever syncs: a partition gives out one sync at a time, and whoever is told that a
    /// sync has ended must have waited for the one before it too.
    turn: tokio::sync::Mutex<()>,
}

impl LogDirectory {
    pub(crate) fn new(durability: Durability, checkpoints: Checkpoints, space: SpaceWatch) -> Self {
        Self {
            durability,
            read_ahead: ReadAhead::new(),
            checkpoints,
            space,
            dirty_bytes: AtomicU64::new(0),
            dirty: Mutex::new(Vec::new()),
            parked: Mutex::new(Vec::new()),
            work: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn durability(&self) -> Durability {
        self.durability
    }

    /// What the directory remembers of its partitions' offsets.
    pub(crate) const fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    pub(crate) const fn space(&self) -> &SpaceWatch {
        &self.space
    }

    /// A partition has grown by `bytes`; called under its lock.
    pub(super) fn on_appended(&self, partition: &Arc<Partition>, bytes: u64, newly_dirty: bool) {
        self.space.on_appended(bytes);
        let dirty = self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if newly_dirty {
            self.dirty_set().push(Arc::clone(partition));
        }
        let wanted = match self.durability {
            Durability::Fsync => newly_dirty,
            Durability::PageCache => false,
        };
        let crossed = dirty >= DIRTY_BYTES_SYNC && dirty - bytes < DIRTY_BYTES_SYNC;
        if wanted || crossed {
            self.work.notify_one();
        }
    }

    /// Lists the append for a later try if too much is unsynced.
    pub(super) fn park_if_over_budget(&self, waker: &Waker) -> bool {
        if self.dirty_bytes.load(Ordering::Relaxed) < DIRTY_BYTES_MAX {
            return false;
        }
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at again under the lock: the sync that would wake us may just have ended.
        let over = self.dirty_bytes.load(Ordering::Relaxed) >= DIRTY_BYTES_MAX;
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
    pub(crate) async fn sync(&self, env: &Env) -> std::io::Result<()> {
        let _turn = self.turn.lock().await;
        let batch = std::mem::take(&mut *self.dirty_set());
        let (mut files, mut names) = (Vec::new(), BTreeSet::new());
        let (mut synced, mut total) = (Vec::new(), 0);
        for partition in batch {
            if let Some(unsynced) = partition.take_unsynced() {
                files.extend(unsynced.files);
                names.extend(unsynced.directories);
                total += unsynced.bytes;
                synced.push((partition, unsynced.upto));
            }
        }
        if !files.is_empty() {
            make_durable(env, files).await?;
        }
        for directory in names {
            env.disk.sync_names(&directory).await?;
        }
        for (partition, upto) in synced {
            partition.on_synced(env, upto);
        }
        let before = self.dirty_bytes.fetch_sub(total, Ordering::Relaxed);
        assert!(before >= total, "more synced than was dirty");
        if before - total >= DIRTY_BYTES_SYNC {
            // So much was appended meanwhile that no further append will cross the mark.
            self.work.notify_one();
        }
        let parked =
            std::mem::take(&mut *self.parked.lock().unwrap_or_else(PoisonError::into_inner));
        parked.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn dirty_set(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Partition>>> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make_durable(env: &Env, files: Vec<Arc<dyn File>>) -> std::io::Result<()> {
    if planted::is(Bug::FailedSyncRetried) {
        let first = env.disk.sync_files(files.clone()).await;
        return if first.is_ok() { first } else { env.disk.sync_files(files).await };
    }
    env.disk.sync_files(files).await
}

/// The directory's syncer: runs as long as the node.
pub(crate) async fn run_syncer(env: Env, directory: Arc<LogDirectory>) {
    loop {
        directory.work.notified().await;
        if let Err(error) = directory.sync(&env).await {
            // After a failed sync the kernel may have dropped the bytes and will report success
            // the next time: only a restart, which reads back what is there, tells the truth.
            env.process.halt(&format!("could not make the log durable: {error}"));
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::task::Poll;

    use ottla_sim::Sim;

    use super::*;

    #[test]
    fn what_came_during_a_sync_is_not_forgotten() {
        check(Durability::PageCache, DIRTY_BYTES_SYNC - 1, false);
        // No append will cross the mark any more: without another sync, appends park for ever.
        check(Durability::PageCache, DIRTY_BYTES_SYNC, true);
    }

    /// `left` bytes are unsynced when a sync ends: whether the next one is asked for.
    fn check(durability: Durability, left: u64, asked: bool) {
        let mut sim = Sim::new(1);
        let host = sim.host();
        let found = sim.run(&host, |env| async move {
            let place = Path::new("data");
            let (checkpoints, space) = (Checkpoints::none(place), SpaceWatch::new(place, None));
            let directory = LogDirectory::new(durability, checkpoints, space);
            directory.dirty_bytes.store(left, Ordering::Relaxed);
            directory.sync(&env).await.unwrap();
            let mut work = std::pin::pin!(directory.work.notified());
            std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await
        });
        assert_eq!(found, asked, "{left} bytes left");
    }
}
