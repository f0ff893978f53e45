//! Checkpoints: what bounds how much a start after a crash has to read. A task of each log
//! directory; no acknowledgement waits for it, beyond the sync that it shares.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::sync::Arc;

use ottla_env::Env;
use ottla_log::{CheckpointPlan, Log, Superseded, Unsynced, WrittenCheckpoint};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};

use super::directory::make_durable;
use super::spread::spread;
use super::{LogDirectory, Partition, Partitions};
use crate::config::CheckpointPace;

/// Partitions whose files are synced together. Each keeps up to five open until then.
const TOGETHER_MAX: usize = 256;

/// Partitions whose files are written at the same time. Each holds a producer snapshot at the most.
const WRITING_MAX: usize = 16;

/// Why a checkpoint did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// What is durable is unknown for ever.
    #[error("could not make the log durable: {0}")]
    Sync(#[source] io::Error),
    /// The directory has failed, or is gone.
    #[error("could not write a checkpoint: {0}")]
    Write(#[source] io::Error),
}

impl From<CheckpointError> for io::Error {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Sync(error) | CheckpointError::Write(error) => error,
        }
    }
}

/// Whether the next start finds everything as it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogsClosed {
    /// Every log ends at its recovery point, and the files say so.
    Whole,
    /// There was no space for some of it.
    InPart,
}

/// Whether the offsets are in their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remembered {
    Yes,
    /// There was no space.
    NotYet,
}

/// What a partition answers that is asked for a checkpoint.
enum Begun {
    Plan(Box<CheckpointPlan>),
    /// Not now: it rolls.
    Later,
    Nothing,
}

/// Runs as long as the node. An idle node has no timer: a partition that takes its first batch
/// after a checkpoint starts it.
pub(crate) async fn run_checkpoints(env: Env, directory: Arc<LogDirectory>, pace: CheckpointPace) {
    let mut all_at = env.clock.mono().after(pace.all_every);
    loop {
        directory.checkpoint_wanted().await;
        while !directory.checkpoints_due().is_empty() {
            env.clock.sleep(pace.every).await;
            let now = env.clock.mono();
            let leave = if now >= all_at {
                all_at = now.after(pace.all_every);
                0
            } else {
                pace.bytes_max
            };
            if let Err(error) = directory.checkpoint(&env, leave).await {
                directory.fail(&env, &error.to_string()).await;
                return;
            }
        }
    }
}

impl LogDirectory {
    /// Checkpoints those partitions that have the most to read again, until all the others together
    /// have no more than `leave` bytes.
    async fn checkpoint(&self, env: &Env, leave: u64) -> Result<(), CheckpointError> {
        let _turn = self.checkpoint_turn().await;
        let due = std::mem::take(&mut *self.checkpoints_due());
        let (chosen, left) = choose(due, leave);
        self.checkpoints_due().extend(left);
        self.checkpoint_these(env, chosen, Partition::begin_checkpoint).await
    }

    /// Checkpoints one partition now, together with all others that are wanted by then. Its
    /// recovery point stays where it is if there is no room, or if the log rolls.
    ///
    /// # Errors
    /// When what is durable is unknown, or the directory has failed.
    pub(super) async fn checkpoint_one(
        &self,
        env: &Env,
        partition: &Arc<Partition>,
    ) -> Result<(), CheckpointError> {
        self.checkpoints_wanted().push(Arc::clone(partition));
        let _turn = self.checkpoint_turn().await;
        // None: whoever had the turn before has taken this one along.
        let wanted = std::mem::take(&mut *self.checkpoints_wanted());
        self.checkpoint_these(env, wanted, Partition::begin_checkpoint).await
    }

    async fn checkpoint_these(
        &self,
        env: &Env,
        partitions: Vec<Arc<Partition>>,
        begin: impl Fn(&Partition) -> Begun,
    ) -> Result<(), CheckpointError> {
        if partitions.is_empty() {
            return Ok(());
        }
        if planted::is(Bug::CheckpointBeforeData) {
            let end = |each: &Arc<Partition>| (Arc::clone(each), each.bounds().log_end.offset);
            self.remember(env, &partitions.iter().map(end).collect::<Vec<_>>()).await?;
        }
        let (mut superseded, mut points) = (Vec::new(), Vec::new());
        for some in partitions.chunks(TOGETHER_MAX) {
            let begin = || begin_all(self, some, &begin);
            let plans = self.sync_for_checkpoints(env, begin).await;
            let plans = plans.map_err(CheckpointError::Sync)?;
            for (partition, written) in self.write_all(env, plans).await? {
                points.push((Arc::clone(&partition), written.recovery_point()));
                superseded.push(partition.on_checkpointed(written));
            }
        }
        if self.remember(env, &points).await? == Remembered::NotYet {
            // What the files say may still need what is superseded.
            return Ok(());
        }
        tracing::debug!(partitions = points.len(), "checkpoint written");
        for files in superseded {
            files.remove(&env.disk).await;
        }
        Ok(())
    }

    /// Writes the files of the plans, and makes them durable, names included.
    async fn write_all(
        &self,
        env: &Env,
        plans: Vec<(Arc<Partition>, CheckpointPlan)>,
    ) -> Result<Vec<(Arc<Partition>, WrittenCheckpoint)>, CheckpointError> {
        let disk = Arc::clone(&env.disk);
        let write = move |(partition, plan): (Arc<Partition>, CheckpointPlan)| {
            let disk = Arc::clone(&disk);
            async move { (partition, plan.write(&disk).await) }
        };
        let mut all = Vec::new();
        for (partition, outcome) in spread(env, WRITING_MAX, plans, write).await {
            match outcome {
                Ok(written) => all.push((partition, written)),
                Err(error) => {
                    partition.abandon_checkpoint();
                    tolerate(&partition, error)?;
                }
            }
        }
        let files = all.iter().flat_map(|(_, written)| written.files.clone()).collect();
        let synced = make_durable(env, self.place(), files, &BTreeSet::new()).await;
        synced.map_err(CheckpointError::Sync)?;
        let (disk, mut names) = (Arc::clone(&env.disk), BTreeSet::new());
        for (_, written) in &all {
            written.publish(&disk).await.map_err(CheckpointError::Write)?;
            names.insert(written.directory.clone());
        }
        let synced = make_durable(env, self.place(), Vec::new(), &names).await;
        synced.map_err(CheckpointError::Sync)?;
        Ok(all)
    }

    /// Writes down what the next start may trust.
    async fn remember(
        &self,
        env: &Env,
        points: &[(Arc<Partition>, Offset)],
    ) -> Result<Remembered, CheckpointError> {
        let own = |(partition, point): &(Arc<Partition>, Offset)| (Arc::clone(partition), *point);
        let points: Vec<_> = points.iter().map(own).collect();
        let committed = |partition: &Arc<Partition>| partition.bounds().high_watermark.offset;
        let marks = points.iter().map(|(partition, _)| (&**partition, committed(partition)));
        let written = self.checkpoints().set_high_watermarks(env, marks).await;
        let marks = points.iter().map(|(partition, point)| (&**partition, *point));
        let written = match written {
            Ok(()) => self.checkpoints().set_recovery_points(env, marks).await,
            refused => refused,
        };
        match written {
            Ok(()) => Ok(Remembered::Yes),
            // The files say what they said before, and the next checkpoint writes them again.
            Err(error) if is_shortage(&error) => Ok(Remembered::NotYet),
            Err(error) => Err(CheckpointError::Write(error)),
        }
    }

    /// The last checkpoint, of everything that is open: no appends may come any more.
    ///
    /// # Errors
    /// When something is not durable.
    pub(crate) async fn close(
        &self,
        env: &Env,
        all: &Partitions,
    ) -> Result<LogsClosed, CheckpointError> {
        let _turn = self.checkpoint_turn().await;
        self.checkpoints_due().clear();
        let (all, lack_some) = (all.all(), all.lack_some());
        // A roll that waits for the end of a sync begins with it.
        self.sync(env).await.map_err(CheckpointError::Sync)?;
        for partition in &all {
            partition.roll_ended().await;
            partition.deletion_ended().await;
        }
        self.sync(env).await.map_err(CheckpointError::Sync)?;
        self.checkpoint_these(env, all.clone(), Partition::begin_closing_checkpoint).await?;
        // Also of what had nothing to checkpoint: without an entry it would be read again.
        let points = all.iter().filter_map(|partition| {
            partition.recovery_point().map(|point| (Arc::clone(partition), point))
        });
        let remembered = self.remember(env, &points.collect::<Vec<_>>()).await?;
        // A directory that is taken for cleanly closed is believed without a look at its batches.
        let whole = remembered == Remembered::Yes
            && !lack_some
            && all.iter().all(|it| it.is_checkpointed());
        Ok(if whole { LogsClosed::Whole } else { LogsClosed::InPart })
    }
}

/// The partitions to checkpoint, and those whose bytes together are no more than `leave`.
fn choose(due: Vec<Arc<Partition>>, leave: u64) -> (Vec<Arc<Partition>>, Vec<Arc<Partition>>) {
    let mut sized: Vec<_> =
        due.into_iter().map(|partition| (partition.uncheckpointed_bytes(), partition)).collect();
    sized.sort_by_key(|(bytes, _)| *bytes);
    let mut sum = 0;
    let left = sized.iter().take_while(|(bytes, _)| {
        sum += bytes;
        leave > 0 && sum <= leave
    });
    let left = left.count();
    let mut all: Vec<_> = sized.into_iter().map(|(_, partition)| partition).collect();
    let chosen = all.split_off(left);
    (chosen, all)
}

type Taken = Vec<(Arc<Partition>, Unsynced)>;
type Plans = Vec<(Arc<Partition>, CheckpointPlan)>;

fn begin_all(
    directory: &LogDirectory,
    partitions: &[Arc<Partition>],
    begin: impl Fn(&Partition) -> Begun,
) -> (Taken, Plans) {
    let (mut taken, mut plans) = (Vec::new(), Vec::new());
    for partition in partitions {
        match begin(partition) {
            Begun::Plan(mut plan) => {
                let unsynced = plan.unsynced.take();
                taken.extend(unsynced.map(|unsynced| (Arc::clone(partition), unsynced)));
                plans.push((Arc::clone(partition), *plan));
            }
            Begun::Later => partition.relist(directory),
            Begun::Nothing => {}
        }
    }
    (taken, plans)
}

/// A shortage does not end a node: what was not written is written once there is room.
fn tolerate(partition: &Partition, error: io::Error) -> Result<(), CheckpointError> {
    if !is_shortage(&error) {
        return Err(CheckpointError::Write(error));
    }
    tracing::warn!(partition = %partition.name(), %error, "no checkpoint for now");
    Ok(())
}

/// Whether it goes by itself: the disk is well, and there is just no space, or no descriptor.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    is_full(error) || is_out_of_descriptors(error)
}

/// Whether the process, or the machine, has as many files open as it may. The error may be wrapped
/// in one that tells the path, and has no kind of its own.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    /// `EMFILE` and `ENFILE`, the same numbers wherever the node runs.
    const NONE_LEFT: [i32; 2] = [24, 23];
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        if number.is_some_and(|number| NONE_LEFT.contains(&number)) {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Partition {
    fn begin_checkpoint(&self) -> Begun {
        self.begin(false)
    }

    fn begin_closing_checkpoint(&self) -> Begun {
        self.begin(true)
    }

    fn begin(&self, closing: bool) -> Begun {
        let mut state = self.state.lock();
        state.checkpoint_due = false;
        if self.is_gone() || self.is_offline() {
            return Begun::Nothing;
        }
        let Some(log) = state.writer.log_mut() else { return Begun::Nothing };
        let plan = if closing { log.begin_closing_checkpoint() } else { log.begin_checkpoint() };
        let Some(mut plan) = plan else {
            let pending = log.uncheckpointed_bytes() > 0;
            return if pending { Begun::Later } else { Begun::Nothing };
        };
        if let Some(unsynced) = &mut plan.unsynced {
            unsynced.files.extend(state.identity.take_unsynced());
        }
        Begun::Plan(Box::new(plan))
    }

    fn on_checkpointed(&self, written: WrittenCheckpoint) -> Superseded {
        self.state.lock().log_mut().on_checkpointed(written)
    }

    fn abandon_checkpoint(self: &Arc<Self>) {
        self.state.lock().log_mut().abandon_checkpoint();
        self.relist(&self.directory);
    }

    fn relist(self: &Arc<Self>, directory: &LogDirectory) {
        if !std::mem::replace(&mut self.state.lock().checkpoint_due, true) {
            directory.on_checkpoint_due(self);
        }
    }

    fn uncheckpointed_bytes(&self) -> u64 {
        self.state.lock().writer.log().map_or(0, Log::uncheckpointed_bytes)
    }

    /// Whether a log that is open ends at its recovery point; any other has not moved.
    fn is_checkpointed(&self) -> bool {
        let state = self.state.lock();
        state.writer.log().is_none_or(|log| log.recovery_point() == log.end().offset)
    }

    /// Of a log that is open: that of another stands where it stood.
    pub(super) fn recovery_point(&self) -> Option<Offset> {
        self.state.lock().writer.log().map(Log::recovery_point)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct About(io::Error);

    impl fmt::Display for About {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "data/t-0: {}", self.0)
        }
    }

    impl Error for About {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_shortage_goes_by_itself_and_no_other_error_does() {
        // EMFILE, ENFILE, ENOSPC, EDQUOT; EIO, EROFS, EACCES.
        for (number, passes) in
            [(24, true), (23, true), (28, true), (122, true), (5, false), (30, false), (13, false)]
        {
            let bare = || io::Error::from_raw_os_error(number);
            let wrapped = io::Error::new(bare().kind(), About(bare()));
            assert_eq!(is_shortage(&bare()), passes, "{number}");
            assert_eq!(is_shortage(&wrapped), passes, "{number}, wrapped");
        }
    }
}
