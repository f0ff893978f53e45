//! The writer's half of a log, opened when somebody asks for it: most partitions of most nodes are
//! idle, and readers do without.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use ottla_env::Env;
use ottla_log::{DormantLog, Log, LogConfig, LogPosition, LogView, OpenLogError};
use ottla_types::Offset;

use super::checkpointing::{is_full, is_out_of_descriptors};
use super::registry::write_identity;
use super::{Absent, Durability, Identity, Partition, Roll, State, log_config};

/// The writer's half of a partition's log.
#[derive(Debug)]
pub(super) enum Writer {
    /// Settled, and nobody has asked for it since the start.
    Dormant(DormantLog),
    /// On its way, or given up: the partition is offline then.
    Absent,
    Open(Box<Log>),
}

/// The partition cannot be served: its files are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the partition is offline")]
pub(crate) struct Offline;

impl Writer {
    /// Takes a log as it was surveyed: opened at once where its end is not known otherwise.
    pub(super) async fn take(env: &Env, log: DormantLog) -> Result<Self, OpenLogError> {
        if log.is_settled() {
            return Ok(Self::Dormant(log));
        }
        Ok(Self::Open(Box::new(log.open(&env.disk).await?)))
    }

    /// Where an open log ends of which everything was durable, and checkpointed, before it was
    /// opened.
    pub(super) fn idle_end(&self) -> Option<LogPosition> {
        let log = self.log()?;
        let end = log.end();
        // What was cut off may come back until the file's length is durable.
        let cut = log.recovery().torn_tail.is_some();
        let durable = !cut && log.synced_end() == end && log.recovery_point() == end.offset;
        durable.then_some(end)
    }

    pub(super) fn log(&self) -> Option<&Log> {
        match self {
            Self::Open(log) => Some(log),
            Self::Dormant(_) | Self::Absent => None,
        }
    }

    pub(super) fn log_mut(&mut self) -> Option<&mut Log> {
        match self {
            Self::Open(log) => Some(log),
            Self::Dormant(_) | Self::Absent => None,
        }
    }

    /// From here on the log has these settings; one that is on its way gets them when it arrives.
    pub(super) const fn configure(&mut self, config: LogConfig) {
        match self {
            Self::Open(log) => log.configure(config),
            Self::Dormant(log) => log.configure(config),
            Self::Absent => {}
        }
    }

    pub(super) fn view(&self) -> LogView {
        match self {
            Self::Open(log) => log.view(),
            Self::Dormant(log) => log.view(),
            Self::Absent => unreachable!("a partition begins with a log"),
        }
    }

    /// Where the log starts and ends, and what is committed of it.
    pub(super) fn bounds(&self, durability: Durability) -> (Offset, LogPosition, LogPosition) {
        match (self, durability) {
            (Self::Dormant(log), _) => (log.start_offset(), log.end(), log.end()),
            (Self::Open(log), Durability::PageCache) => (log.start_offset(), log.end(), log.end()),
            // What a kill left in the page cache was read back; a power cut would still take it.
            (Self::Open(log), Durability::Fsync) => {
                (log.start_offset(), log.synced_end(), log.end())
            }
            (Self::Absent, _) => unreachable!("a partition begins with a log"),
        }
    }
}

impl Partition {
    /// Whether the partition was found damaged: files untouched, nothing served.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// Whether the writer's half of the log is there; last stable offset and epochs are known then.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether there are records of which nobody knows yet which are stable.
    pub(crate) fn is_unsure_of_stable(&self) -> bool {
        // Looked at first: by the time a log is open its bounds say it.
        let open = self.is_open();
        let bounds = self.bounds();
        !open && bounds.log_start < bounds.log_end.offset
    }

    /// Waits until the writer's half of the log is there.
    ///
    /// # Errors
    /// When it cannot be opened, or not any more.
    pub(crate) async fn opened(self: &Arc<Self>, env: &Env) -> Result<(), Absent> {
        let mut begun = false;
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock();
            // Dormant again: there was no space to open it.
            let in_vain = begun && matches!(&state.writer, Writer::Dormant(_));
            if in_vain || self.is_offline() {
                return Poll::Ready(Err(Absent::Offline));
            }
            if self.is_gone() {
                return Poll::Ready(Err(Absent::Unknown));
            }
            if state.writer.log().is_some() {
                return Poll::Ready(Ok(()));
            }
            begun = true;
            self.open(env, &mut state);
            state.waiters.add_append(cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Begins to open the log, unless that is under way. Not of a partition that is gone: a
    /// namesake may have its directory.
    pub(super) fn open(self: &Arc<Self>, env: &Env, state: &mut State) {
        if self.is_gone() || !matches!(&state.writer, Writer::Dormant(_)) {
            return;
        }
        let Writer::Dormant(dormant) = std::mem::replace(&mut state.writer, Writer::Absent) else {
            unreachable!("looked at above")
        };
        let (partition, opening) = (Arc::clone(self), env.clone());
        // Free: nobody else makes files in the directory of a log that is not open.
        let rolling = Arc::clone(&self.rolling).try_lock_owned().ok();
        let task = async move {
            let _rolling = rolling;
            let mut opened = dormant.clone().open(&opening.disk).await;
            if opened.is_ok()
                && let Err(error) = partition.tell_identity(&opening).await
            {
                opened = Err(error.into());
            }
            partition.on_opened(&opening, dormant, opened).await;
        };
        env.spawn.spawn("open", Box::pin(task));
    }

    /// Says whose the directory is, now that there will be something in it.
    async fn tell_identity(&self, env: &Env) -> io::Result<()> {
        let untold = matches!(self.state.lock().identity, Identity::Untold);
        if untold {
            let file = write_identity(env, &self.path, self.topic_id).await?;
            self.state.lock().identity = Identity::Unsynced(file);
        }
        Ok(())
    }

    async fn on_opened(
        self: &Arc<Self>,
        env: &Env,
        dormant: DormantLog,
        opened: Result<Log, OpenLogError>,
    ) {
        match opened {
            Ok(log) if log.end() == self.bounds().log_end => self.on_open(log),
            Ok(log) => {
                let (found, shown) = (log.end().offset, self.bounds().log_end.offset);
                self.on_damaged(&format!("its log ends at {found}, and not at {shown}"));
            }
            Err(OpenLogError::Storage(error)) if is_full(&error) => self.on_no_room(dormant),
            Err(OpenLogError::Storage(error)) if is_out_of_descriptors(&error) => {
                self.on_no_descriptor(dormant, &error);
            }
            // The directory has failed, and it is the only one.
            Err(OpenLogError::Storage(error)) => {
                self.directory.fail(env, &format!("cannot open {}: {error}", self.name)).await;
            }
            Err(error) => self.on_damaged(&error.to_string()),
        }
    }

    /// There was no space to make a file: the log is dormant as before, and appends are refused
    /// until there is room.
    fn on_no_room(&self, dormant: DormantLog) {
        self.directory.space().on_none_found();
        let mut state = self.state.lock();
        state.writer = Writer::Dormant(dormant);
        state.waiters.on_room();
    }

    /// The same, but only of this log: others may have their files open.
    fn on_no_descriptor(&self, dormant: DormantLog, error: &io::Error) {
        tracing::error!(partition = %self.name, %error, "not opened for now");
        let mut state = self.state.lock();
        state.writer = Writer::Dormant(dormant);
        state.roll = Roll::Failed(error.kind());
        state.waiters.on_room();
    }

    fn on_open(self: &Arc<Self>, mut log: Log) {
        let mut state = self.state.lock();
        // They may have changed while it was opened.
        log.configure(log_config(&self.settings()));
        state.last_stable = log.last_stable_offset(state.high_watermark.offset);
        self.view.store(Arc::new(log.view()));
        state.writer = Writer::Open(Box::new(log));
        self.publish(&state);
        self.open.store(true, Ordering::Release);
        state.waiters.on_room();
    }

    /// Nothing of the partition is served any more.
    fn on_damaged(&self, why: &str) {
        say_offline(&self.name.to_string(), &self.path, why);
        let mut state = self.state.lock();
        self.offline.store(true, Ordering::Release);
        state.waiters.on_gone();
    }
}

/// A partition is offline: what a person has to know to bring it back.
pub(super) fn say_offline(partition: &str, path: &Path, why: &str) {
    tracing::error!(
        "partition {partition} is offline: {why}. Its files are untouched, and the other \
         partitions are served. `ottla log verify {path}` shows what is wrong, `ottla log recover` \
         keeps what can be kept, with the node stopped",
        path = path.display()
    );
}
