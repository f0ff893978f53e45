//! Letting go of a partition's oldest records: because they need not be kept any longer, or because
//! somebody asked for it.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use ottla_env::{Env, reply};
use ottla_log::{Doomed, LogView, ReadError, SegmentFacts, SetAside};
use ottla_types::planted::{self, Bug};
use ottla_types::{Offset, Timestamp};

use super::{Absent, Bounds, Offline, Partition, Roll};

/// How often a sync is waited for before records that are not durable are deleted: one may find the
/// log rolling.
const SYNC_TRIES: usize = 3;

/// How often a checkpoint is made before records are deleted that it has to cover: one may find the
/// log rolling, or no room.
const CHECKPOINT_TRIES: usize = 3;

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteRecordsError {
    #[error("this node does not lead the partition")]
    NotLeader,
    #[error(transparent)]
    Offline(#[from] Offline),
    #[error("{to} is behind the high watermark, {high_watermark}")]
    BeyondHighWatermark { to: Offset, high_watermark: Offset },
    #[error("the new start of the log cannot be written down: {0}")]
    Storage(#[from] io::Error),
}

/// What decides about a partition's segments, as of one moment.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) bounds: Bounds,
    pub(super) view: LogView,
    pub(super) active: SegmentFacts,
}

impl Partition {
    /// Deletes the records below `to`, durably: no restart brings them back. Whole segments go, and
    /// their files some time later. Says where the log starts now.
    ///
    /// Once begun, it ends, whether or not somebody waits for it.
    pub(crate) async fn delete_below(
        self: &Arc<Self>,
        env: &Env,
        to: Offset,
    ) -> Result<Offset, DeleteRecordsError> {
        let (done, answer) = reply();
        let (partition, task_env) = (Arc::clone(self), env.clone());
        let task = async move { done.send(partition.delete_now(&task_env, to).await) };
        env.spawn.spawn("delete records", Box::pin(task));
        answer.await.unwrap_or(Err(DeleteRecordsError::NotLeader))
    }

    async fn delete_now(
        self: &Arc<Self>,
        env: &Env,
        to: Offset,
    ) -> Result<Offset, DeleteRecordsError> {
        self.opened(env).await.map_err(|absent| match absent {
            Absent::Unknown => DeleteRecordsError::NotLeader,
            Absent::Offline => Offline.into(),
        })?;
        self.committed_below(to).await;
        for _ in 0..CHECKPOINT_TRIES {
            // Before the turn: who has the checkpoints' waits for that of a deletion.
            self.cover(env, to).await?;
            // One at a time: the start that is written down must not go back. Whoever gives the
            // directory away waits for it, too.
            let turn = self.deleting.lock().await;
            if self.is_covered(to) {
                return self.delete_in_turn(env, to).await;
            }
            drop(turn);
        }
        // There is no room for a checkpoint, and to delete is how it comes back. A power cut may
        // cost what is known of producers.
        let _turn = self.deleting.lock().await;
        self.delete_in_turn(env, to).await
    }

    /// Waits for what was appended below `to` and acknowledged, but is not durable yet: a producer
    /// that does not ask for that finds its records as deletable as with Apache Kafka. Nobody waits
    /// for what was never appended.
    async fn committed_below(&self, to: Offset) {
        poll_fn(|cx| {
            let Bounds { high_watermark, log_end, .. } = self.bounds();
            let comes = high_watermark.offset < to && to <= log_end.offset;
            if !comes || self.is_gone() || self.is_offline() {
                return Poll::Ready(());
            }
            self.park_produce(to, cx.waker());
            Poll::Pending
        })
        .await;
    }

    async fn delete_in_turn(
        self: &Arc<Self>,
        env: &Env,
        to: Offset,
    ) -> Result<Offset, DeleteRecordsError> {
        if self.is_gone() {
            return Err(DeleteRecordsError::NotLeader);
        }
        let Bounds { log_start, high_watermark, .. } = self.bounds();
        if to > high_watermark.offset {
            let high_watermark = high_watermark.offset;
            return Err(DeleteRecordsError::BeyondHighWatermark { to, high_watermark });
        }
        if to > log_start && !planted::is(Bug::DeletedRecordsComeBack) {
            self.make_durable_below(env, to).await?;
            self.directory.checkpoints().set_log_start(env, self, to).await?;
        }
        let doomed = self.on_start_written(to);
        let start = self.bounds().log_start;
        if !doomed.is_empty() {
            let aside = doomed.set_aside(&env.disk).await?;
            self.remove_later(env, aside);
        }
        Ok(start)
    }

    /// A log must not start behind its recovery point: a checkpoint moves that, if need be.
    async fn cover(self: &Arc<Self>, env: &Env, to: Offset) -> io::Result<()> {
        if self.is_covered(to) {
            return Ok(());
        }
        self.roll_ended().await;
        if let Err(error) = self.directory.checkpoint_one(env, self).await {
            self.directory.fail(env, &error.to_string()).await;
            return Err(error.into());
        }
        Ok(())
    }

    /// Whether no segment would go that the recovery point lies in front of. What lies behind the
    /// high watermark is refused anyway.
    fn is_covered(&self, to: Offset) -> bool {
        let state = self.state.lock();
        to > state.high_watermark.offset || state.log().may_start_at(to)
    }

    /// A log must not start behind what a power cut leaves of it. With `fsync` the high watermark
    /// sees to that.
    async fn make_durable_below(self: &Arc<Self>, env: &Env, to: Offset) -> io::Result<()> {
        for _ in 0..SYNC_TRIES {
            if self.synced_end() >= to {
                return Ok(());
            }
            self.roll_ended().await;
            if let Err(error) = self.directory.sync(env).await {
                self.directory.fail(env, &format!("could not make the log durable: {error}")).await;
                return Err(error);
            }
        }
        let behind = self.synced_end() < to;
        if behind { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    fn synced_end(&self) -> Offset {
        self.state.lock().log().synced_end().offset
    }

    /// The new start is durable: it is shown, and whole segments below it are not any more.
    fn on_start_written(&self, to: Offset) -> Doomed {
        let mut state = self.state.lock();
        let doomed = state.log_mut().advance_start(to);
        self.view.store(Arc::new(state.log().view()));
        self.publish(&state);
        state.waiters.on_changed();
        doomed
    }

    /// Readers may still be at it: `file.delete.delay.ms`.
    pub(super) fn remove_later(&self, env: &Env, aside: SetAside) {
        let (task_env, delay) = (env.clone(), self.settings().file_delete_delay);
        let task = async move {
            task_env.clock.sleep(delay).await;
            aside.remove(&task_env.disk).await;
        };
        env.spawn.spawn("delete", Box::pin(task));
    }

    /// What retention looks at, of a log that is open.
    pub(super) fn survey(&self) -> Surveyed {
        let state = self.state.lock();
        let (view, active) = (state.log().view(), state.log().active_facts());
        Surveyed { bounds: self.bounds(), view, active }
    }

    /// The same of a log that is not open, and is left so.
    pub(super) async fn survey_asleep(
        &self,
        env: &Env,
        older_than: Option<Timestamp>,
    ) -> Result<Surveyed, ReadError> {
        let (bounds, view) = (self.bounds(), LogView::clone(&self.view()));
        let position = bounds.log_end.position;
        let active = view.dormant_facts(&env.disk, position, older_than).await?;
        Ok(Surveyed { bounds, view, active })
    }

    /// Has a successor made of the segment that is appended to, unless one is being made or it is
    /// empty.
    pub(super) fn roll_now(self: &Arc<Self>, env: &Env) {
        let mut state = self.state.lock();
        if state.roll == Roll::Idle && !self.is_gone() && state.log_mut().begin_roll() {
            self.roll(env, &mut state);
        }
    }

    /// Waits until nothing of the directory is being renamed. Nothing is any more once the
    /// partition is gone.
    pub(super) async fn deletion_ended(&self) {
        drop(self.deleting.lock().await);
    }
}
