//! A partition of this node: its log, its high watermark, and those who wait for either.

mod append_run;
mod checkpointing;
mod checkpoints;
mod compaction;
mod deletion;
mod described;
mod directory;
mod host;
mod in_sync;
mod last_stop;
mod lock;
mod opening;
mod published;
mod read_ahead;
mod refused;
mod registry;
mod retention;
mod space;
mod spread;
mod waiters;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::task::Waker;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_env::{Env, File};
use ottla_log::{
    AppendError as LogAppendError, Appended, EpochEnd, FreshSegment, Log, LogConfig, LogPosition,
    LogView, RollError, Unsynced,
};
use ottla_metadata::TopicConfig;
use ottla_records::CheckedBatch;
use ottla_types::{LeaderEpoch, Offset, Timestamp, TopicId, TopicPartition};
use tokio::sync::Mutex;

use crate::fetch_session::{Signal, SlotId};
use crate::watch::Traffic;

pub(crate) use append_run::{RunBatch, RunRooms};
pub(crate) use checkpointing::{LogsClosed, run_checkpoints};
pub(crate) use checkpoints::Checkpoints;
pub(crate) use compaction::Cleaner;
pub(crate) use deletion::DeleteRecordsError;
pub use directory::Durability;
pub(crate) use directory::{LogDirectory, run_syncer};
pub(crate) use host::PartitionHost;
pub(crate) use last_stop::{VANISHED, fail};
pub use lock::partition_lock_waits_total;
use opening::Offline;
pub(crate) use published::{Bounds, Isolation};
pub(crate) use read_ahead::{Cold, ColdRecords};
pub(crate) use registry::{Absent, Partitions, TopicEntry};
pub(crate) use retention::enforce_retention;
pub(crate) use space::{SpaceWatch, run_space_watch};
pub(crate) use waiters::{FetchWaiter, Visible};

use lock::CountedLock;
use opening::Writer;
use published::Published;
use refused::RefusedBatches;
use waiters::Waiters;

/// A partition that this node leads. `state` is a leaf lock around a core (see `lock`); readers
/// take `published` and `view` and never the lock.
#[derive(Debug)]
pub(crate) struct Partition {
    name: TopicPartition,
    topic_id: TopicId,
    path: PathBuf,
    directory: Arc<LogDirectory>,
    /// The epoch in which this node leads. Set under the lock, read without.
    epoch: AtomicI32,
    /// The topic's, over the broker's. Stored before `state` hears of them.
    settings: ArcSwap<TopicConfig>,
    published: Published,
    view: ArcSwap<LogView>,
    /// The topic was deleted. Set under the lock, read without.
    gone: AtomicBool,
    /// The writer's half of the log is there. Set under the lock, read without.
    open: AtomicBool,
    /// The files are damaged. Set under the lock, read without.
    offline: AtomicBool,
    /// Held while a roll or an opening makes files in the directory, which must not be given to a
    /// namesake then.
    rolling: Arc<Mutex<()>>,
    /// Held by whoever deletes records, and renames files in the directory.
    deleting: Mutex<()>,
    /// Held by whoever compacts the log, and makes files in the directory.
    compacting: Mutex<()>,
    traffic: Traffic,
    state: CountedLock<State>,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    high_watermark: LogPosition,
    /// As in [`Bounds`].
    newest: LogPosition,
    last_stable: Offset,
    waiters: Waiters,
    roll: Roll,
    /// Listed in the directory's set of dirty partitions.
    dirty: bool,
    refused: RefusedBatches,
    /// Listed among those whose next checkpoint is due.
    checkpoint_due: bool,
    identity: Identity,
}

/// Whether the directory says which topic it belongs to.
#[derive(Debug)]
enum Identity {
    /// Not before there is something in it.
    Untold,
    /// In this file, which is not durable. Its name is, once the log's is.
    Unsynced(Arc<dyn File>),
    /// So that no crash takes it away.
    Told,
}

/// A partition's place on the disk, as it was found or made.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    writer: Writer,
    identity: Identity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roll {
    Idle,
    /// A sync is under way: if it fails, there must be no segment behind the missing bytes.
    AfterSync,
    Running,
    /// The last try failed, or that to open the log; the next append is told, and the one after it
    /// tries again.
    Failed(io::ErrorKind),
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Written, or recognised as written before: the first offset, the high watermark that says
    /// that it is committed, and whether it was that high already; where the log starts.
    Accepted {
        base_offset: Offset,
        committed_at: Offset,
        committed: bool,
        log_start: Offset,
        before: Option<Before>,
    },
    /// No room just now; the waker is called when it is worth trying again.
    Parked,
}

/// A batch was written when its producer sent it for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Before {
    /// Its largest timestamp: where the broker stamps batches, when that was.
    pub(crate) timestamp: Option<Timestamp>,
}

/// Why an append was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("this node does not lead the partition")]
    NotLeader,
    #[error(transparent)]
    Log(#[from] LogAppendError),
    #[error("a new segment could not be made: {0}")]
    Roll(io::ErrorKind),
    #[error(transparent)]
    Offline(#[from] Offline),
    #[error("the log directory is full")]
    DirectoryFull,
}

impl AppendError {
    /// Whether there was no room, which may be there the next time.
    fn is_no_room(&self) -> bool {
        match self {
            Self::DirectoryFull | Self::Roll(_) => true,
            Self::Log(error) => matches!(error, LogAppendError::Full(_) | LogAppendError::NeedsCut),
            Self::NotLeader | Self::Offline(_) => false,
        }
    }
}

/// What a log itself needs of its topic's settings.
fn log_config(settings: &TopicConfig) -> LogConfig {
    // What is appended to is not compacted.
    let segment_age = match settings.cleanup.compacts() {
        true => settings.segment_age.min(settings.max_compaction_lag),
        false => settings.segment_age,
    };
    LogConfig {
        segment_bytes: settings.segment_bytes,
        segment_age,
        segment_jitter: settings.segment_jitter,
        index_interval_bytes: settings.index_interval_bytes,
        segment_index_bytes: settings.segment_index_bytes,
    }
}

impl Partition {
    fn new(
        name: TopicPartition,
        topic_id: TopicId,
        directory: Arc<LogDirectory>,
        place: Place,
        epoch: LeaderEpoch,
        settings: TopicConfig,
    ) -> Self {
        let Place { path, mut writer, identity } = place;
        let (log_start, high_watermark, log_end) = writer.bounds(directory.durability());
        // Of a log that is not open it is not known: committed readers have it opened.
        let last_stable = match writer.log_mut() {
            Some(log) => log.last_stable_offset(high_watermark.offset),
            None => high_watermark.offset,
        };
        // A transaction may be open whose first records have been deleted.
        let last_stable = last_stable.max(log_start).min(high_watermark.offset);
        let newest = high_watermark;
        let bounds = Bounds { log_start, high_watermark, log_end, newest, last_stable };
        let view = ArcSwap::from_pointee(writer.view());
        let open = AtomicBool::new(writer.log().is_some());
        let state = State {
            writer,
            high_watermark,
            newest,
            last_stable,
            waiters: Waiters::default(),
            roll: Roll::Idle,
            dirty: false,
            refused: RefusedBatches::default(),
            checkpoint_due: false,
            identity,
        };
        Self {
            name,
            topic_id,
            path,
            directory,
            epoch: AtomicI32::new(epoch.get()),
            settings: ArcSwap::from_pointee(settings),
            published: Published::new(bounds),
            view,
            gone: AtomicBool::new(false),
            open,
            offline: AtomicBool::new(false),
            rolling: Arc::default(),
            deleting: Mutex::default(),
            compacting: Mutex::default(),
            traffic: Traffic::default(),
            state: CountedLock::new(state),
        }
    }

    pub(crate) fn name(&self) -> &TopicPartition {
        &self.name
    }

    pub(crate) fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The log directory that it lies in.
    pub(crate) fn directory(&self) -> &Arc<LogDirectory> {
        &self.directory
    }

    /// The bounds of this moment.
    pub(crate) fn bounds(&self) -> Bounds {
        self.published.load()
    }

    /// The segments, for reading between `bounds` loaded *before*: a roll shows the new segment
    /// first and the bounds that lie in it afterwards.
    pub(crate) fn view(&self) -> Arc<LogView> {
        self.view.load_full()
    }

    /// The epoch in which this node leads; `None` once the partition is gone.
    pub(crate) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        (!self.is_gone()).then(|| LeaderEpoch::new(self.epoch.load(Ordering::Acquire)))
    }

    /// The leader epoch that an offset was written in, or will be; `None` where nothing was. Of a
    /// log that is open ([`Self::opened`]).
    pub(crate) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let state = self.state.lock();
        let end = self.bounds().log_end.offset;
        let current = if offset == end { self.leader_epoch() } else { None };
        let Some(log) = state.writer.log() else { return current };
        log.leader_epochs().epoch_of(offset, end).or(current)
    }

    /// Where an epoch ends, as [`LeaderEpochCache::end_of`] says, once `own`, the epoch in which
    /// this node leads, has been entered: by then it begins at the log's end, batch or none. Of a
    /// log that is open ([`Self::opened`]).
    pub(crate) fn end_of_epoch(&self, epoch: LeaderEpoch, own: LeaderEpoch) -> Option<EpochEnd> {
        let state = self.state.lock();
        let log = state.writer.log()?;
        let (mut epochs, end) = (log.leader_epochs().clone(), log.end().offset);
        drop(state);
        if epochs.latest().is_none_or(|latest| latest < own) {
            epochs.truncate_from_end(end);
            epochs.assign(own, end).ok()?;
        }
        epochs.end_of(epoch, end)
    }

    /// The topic's settings of this moment.
    pub(crate) fn settings(&self) -> TopicConfig {
        **self.settings.load()
    }

    /// The topic, or the broker, says something else from here on.
    pub(crate) fn configure(&self, settings: TopicConfig) {
        if self.settings() == settings {
            return;
        }
        self.settings.store(Arc::new(settings));
        self.state.lock().writer.configure(log_config(&settings));
    }

    /// Appends a checked batch to the page cache. In `fsync` mode the high watermark follows when
    /// the directory's syncer has made it durable, otherwise at once.
    pub(crate) fn append(
        self: &Arc<Self>,
        env: &Env,
        batch: &CheckedBatch<'_>,
        waker: &Waker,
    ) -> Result<Admission, AppendError> {
        let outcome = self.try_append(env, batch, waker);
        if outcome.as_ref().is_err_and(AppendError::is_no_room) {
            let stamp = batch.header().producer;
            self.state.lock().refused.note(stamp, env.clock.mono());
        }
        outcome
    }

    fn try_append(
        self: &Arc<Self>,
        env: &Env,
        batch: &CheckedBatch<'_>,
        waker: &Waker,
    ) -> Result<Admission, AppendError> {
        if !self.directory.space().admits() {
            return Err(AppendError::DirectoryFull);
        }
        if self.directory.park_if_over_budget(waker) {
            return Ok(Admission::Parked);
        }
        let mut state = self.state.lock();
        if self.is_offline() {
            return Err(AppendError::Offline(Offline));
        }
        let epoch = self.leader_epoch().ok_or(AppendError::NotLeader)?;
        match state.roll {
            Roll::Idle => {}
            Roll::AfterSync | Roll::Running => return Ok(state.park(waker)),
            Roll::Failed(kind) => {
                state.roll = Roll::Idle;
                return Err(AppendError::Roll(kind));
            }
        }
        if !state.refused.is_empty()
            && state.refused.are_in_front_of(batch.header().producer, env.clock.mono())
        {
            return Err(AppendError::DirectoryFull);
        }
        let Some(log) = state.writer.log_mut() else {
            self.open(env, &mut state);
            return Ok(state.park(waker));
        };
        // To ask the clock takes as long as the rest of a small append, and most need no answer.
        let now = batch.header().max_timestamp.unwrap_or_else(|| env.clock.wall());
        let outcome = log.append(batch, epoch, now);
        if let Ok(Appended::New { base_offset, last_offset }) = outcome {
            let records = last_offset.next().get().abs_diff(base_offset.get());
            self.traffic.on_appended(1, records, u64::from(batch.size()));
            self.on_appended(&mut state, u64::from(batch.size()));
        }
        self.on_outcome(env, &mut state, outcome, waker)
    }

    fn on_appended(self: &Arc<Self>, state: &mut State, bytes: u64) {
        if self.directory.durability() == Durability::PageCache || ack_before_sync() {
            self.advance_high_watermark(state, state.log().end());
        } else {
            self.publish(state);
        }
        if !std::mem::replace(&mut state.checkpoint_due, true) {
            self.directory.on_checkpoint_due(self);
        }
        let newly_dirty = !std::mem::replace(&mut state.dirty, true);
        self.directory.on_appended(self, bytes, newly_dirty);
    }

    fn publish(&self, state: &State) {
        let log = state.log();
        let log_start = log.start_offset();
        self.published.store(Bounds {
            log_start,
            high_watermark: state.high_watermark,
            log_end: log.end(),
            newest: state.newest,
            // A transaction may be open whose first records have been deleted.
            last_stable: state.last_stable.max(log_start).min(state.high_watermark.offset),
        });
    }

    /// Tells the syncer about bytes that were there before this node started, and says whether
    /// there are any.
    pub(crate) fn sync_recovered(self: &Arc<Self>) -> bool {
        let mut state = self.state.lock();
        let Some(log) = state.writer.log() else { return false };
        // Also where no batch was found behind what is durable: something may have been cut off.
        let recovered = log.is_recovered_unsynced();
        if recovered && !state.dirty {
            state.dirty = true;
            self.directory.on_appended(self, 0, true);
        }
        if !std::mem::replace(&mut state.checkpoint_due, true) {
            self.directory.on_checkpoint_due(self);
        }
        recovered
    }

    /// What the syncer has to make durable, and up to where that reaches.
    fn take_unsynced(&self) -> Option<Unsynced> {
        let mut state = self.state.lock();
        state.dirty = false;
        let mut unsynced = state.writer.log_mut()?.take_unsynced()?;
        unsynced.files.extend(state.identity.take_unsynced());
        Some(unsynced)
    }

    /// Everything below `upto` is durable now.
    fn on_synced(self: &Arc<Self>, env: &Env, upto: LogPosition) {
        let mut state = self.state.lock();
        state.log_mut().on_synced(upto);
        if state.high_watermark.offset < upto.offset {
            self.advance_high_watermark(&mut state, upto);
        }
        if state.roll == Roll::AfterSync {
            match self.is_gone() {
                false => self.roll(env, &mut state),
                true => self.give_up_roll(&mut state),
            }
        }
    }

    /// The topic was deleted before its roll began: the log gives its bytes to the syncer again.
    fn give_up_roll(self: &Arc<Self>, state: &mut State) {
        state.log_mut().abandon_roll();
        state.roll = Roll::Idle;
        self.list_dirty_again(state);
    }

    /// The syncer got nothing from a log that rolled, and may have been asked in vain.
    fn list_dirty_again(self: &Arc<Self>, state: &mut State) {
        if state.log().dirty_bytes() > 0 && !std::mem::replace(&mut state.dirty, true) {
            self.directory.on_dirty_again(self);
        }
    }

    /// Moves the high watermark, shows it, and only then wakes: whoever is woken on another loop
    /// looks at once, takes no lock, and must not find the old one.
    fn advance_high_watermark(&self, state: &mut State, to: LogPosition) {
        let from = state.high_watermark;
        assert!(from.offset <= to.offset, "the high watermark went backwards");
        assert!(to.offset <= state.log().end().offset, "the high watermark passed the log's end");
        (state.high_watermark, state.newest) = (to, from);
        // Nothing else moves it: what is stable is committed first.
        let stable = state.log_mut().last_stable_offset(to.offset);
        let stable_before = std::mem::replace(&mut state.last_stable, stable);
        self.publish(state);
        // Across segments the difference is not known cheaply; whoever waits looks again.
        let same_segment = from.segment_base == to.segment_base;
        let committed = if same_segment { to.position - from.position } else { u64::MAX };
        let stable = match (stable_before, stable) {
            (before, after) if before == after => 0,
            (before, after) if before == from.offset && after == to.offset => committed,
            // Where a transaction begins is not known as a position.
            _ => u64::MAX,
        };
        state.waiters.on_visible(to.offset, Visible { committed, stable });
    }

    fn roll(self: &Arc<Self>, env: &Env, state: &mut State) {
        if state.log().is_syncing() {
            state.roll = Roll::AfterSync;
            return;
        }
        state.roll = Roll::Running;
        let (plan, partition) = (state.log_mut().roll_plan(), Arc::clone(self));
        let env_of_roll = env.clone();
        // Free: one roll at a time, and nobody waits for its end before appends have ended.
        let rolling = Arc::clone(&self.rolling).try_lock_owned().ok();
        env.spawn.spawn(
            "roll",
            Box::pin(async move {
                let _rolling = rolling;
                match plan.prepare(&env_of_roll.disk).await {
                    Ok(fresh) => partition.on_rolled(Ok(fresh)),
                    Err(RollError::Create(error)) => partition.on_rolled(Err(error)),
                    Err(RollError::Sync(error)) => {
                        let why = format!("could not make a segment durable: {error}");
                        partition.directory.fail(&env_of_roll, &why).await;
                    }
                }
            }),
        );
    }

    fn on_rolled(self: &Arc<Self>, fresh: io::Result<FreshSegment>) {
        let mut state = self.state.lock();
        match fresh {
            Ok(fresh) => {
                state.log_mut().roll(fresh);
                state.roll = Roll::Idle;
                self.view.store(Arc::new(state.log().view()));
                self.publish(&state);
            }
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "roll failed");
                state.log_mut().abandon_roll();
                let told = self.directory.space().refuses_after(error.kind());
                state.roll = if told { Roll::Idle } else { Roll::Failed(error.kind()) };
            }
        }
        self.list_dirty_again(&mut state);
        state.waiters.on_room();
    }

    /// Whether the topic was deleted.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Lists a produce request to be woken when the high watermark reaches `needed`; at once if it
    /// has, or if the partition is gone.
    pub(crate) fn park_produce(&self, needed: Offset, waker: &Waker) {
        let mut state = self.state.lock();
        if state.high_watermark.offset < needed && !self.is_gone() && !self.is_offline() {
            state.waiters.add_produce(needed, waker);
        } else {
            waker.wake_by_ref();
        }
    }

    /// Lists a fetch to be woken when more than `seen` becomes visible; false if it has already.
    pub(crate) fn park_fetch(&self, seen: &Bounds, waiter: &Arc<FetchWaiter>) -> bool {
        let mut state = self.state.lock();
        // The last stable offset does not move while the high watermark stands still.
        let parks = state.high_watermark.offset == seen.high_watermark.offset
            && !self.is_gone()
            && !self.is_offline();
        if parks {
            state.waiters.add_fetch(waiter);
        }
        parks
    }

    /// Lists a fetch session for as long as the bounds are those that it has `seen`; false if they
    /// are not any more.
    pub(crate) fn watch(&self, seen: &Bounds, signal: &Arc<Signal>, slot: SlotId) -> bool {
        let mut state = self.state.lock();
        let same = state.high_watermark.offset == seen.high_watermark.offset
            && self.bounds().log_start == seen.log_start;
        let watches = same && !self.is_gone() && !self.is_offline();
        if watches {
            state.waiters.add_session(signal, slot);
        }
        watches
    }

    /// The session has forgotten the partition.
    pub(crate) fn unwatch(&self, signal: &Arc<Signal>, slot: SlotId) {
        self.state.lock().waiters.remove_session(signal, slot);
    }

    /// The metadata says that this node leads from now on in `epoch`.
    pub(crate) fn lead(&self, epoch: LeaderEpoch) {
        let mut state = self.state.lock();
        let before = self.epoch.swap(epoch.get(), Ordering::AcqRel);
        assert!(before <= epoch.get(), "leader epochs only rise");
        if before != epoch.get() {
            state.waiters.on_changed();
        }
    }

    /// Forgets producers that wrote nothing for `idle`.
    pub(crate) fn expire_producers(&self, now: Timestamp, idle: Duration) {
        if let Some(log) = self.state.lock().writer.log_mut() {
            log.expire_producers(now, idle);
        }
    }

    /// Waits until neither a roll nor an opening makes files in the directory. None begins once the
    /// partition is gone, or once appends and syncs have ended.
    pub(crate) async fn roll_ended(&self) {
        drop(self.rolling.lock().await);
    }

    /// The topic was deleted: no append is taken from now on.
    pub(crate) fn retire(&self) {
        let mut state = self.state.lock();
        self.gone.store(true, Ordering::Release);
        state.waiters.on_gone();
    }
}

impl Identity {
    /// The file, for whoever syncs it.
    fn take_unsynced(&mut self) -> Option<Arc<dyn File>> {
        let Self::Unsynced(file) = self else { return None };
        let file = Arc::clone(file);
        *self = Self::Told;
        Some(file)
    }
}

impl State {
    /// Of a partition whose log has been opened, as whoever appends or syncs has seen to.
    fn log(&self) -> &Log {
        self.writer.log().expect("the log was opened before")
    }

    /// As [`Self::log`], to change it.
    fn log_mut(&mut self) -> &mut Log {
        self.writer.log_mut().expect("the log was opened before")
    }

    fn accepted(
        &self,
        base_offset: Offset,
        last_offset: Offset,
        before: Option<Before>,
    ) -> Admission {
        let committed_at = last_offset.next();
        let committed = self.high_watermark.offset >= committed_at;
        let log_start = self.log().start_offset();
        Admission::Accepted { base_offset, committed_at, committed, log_start, before }
    }

    fn park(&mut self, waker: &Waker) -> Admission {
        self.waiters.add_append(waker);
        Admission::Parked
    }
}

/// A planted bug: acknowledged and shown before it is durable.
fn ack_before_sync() -> bool {
    ottla_types::planted::is(ottla_types::planted::Bug::AckBeforeSync)
}
