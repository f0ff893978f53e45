//! Batches of several requests that were there at the same time: one lock and one write for all.

use std::sync::Arc;
use std::task::Waker;

use ottla_env::Env;
use ottla_log::{AppendError as LogAppendError, Appended, RunRoom};
use ottla_records::KeptBatches;

use super::{Admission, AppendError, Partition, Roll};

/// One batch of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunBatch<'a> {
    /// Which of the batches that were kept.
    pub(crate) at: usize,
    /// Of the connection that it came from.
    pub(crate) waker: &'a Waker,
    /// The waker is to be called when it is committed, if it is not at once.
    pub(crate) wants_commit: bool,
}

/// Room for a run, kept from one to the next.
#[derive(Debug, Default)]
pub(crate) struct RunRooms {
    log: RunRoom,
    /// What became of the batches of the last run, in their order.
    pub(crate) told: Vec<Result<Admission, AppendError>>,
}

impl Partition {
    /// Appends the batches of a run, each as [`Self::append`] would. The last one that is told of
    /// may be parked; nothing was done about those behind it then.
    pub(crate) fn append_run<'a>(
        self: &Arc<Self>,
        env: &Env,
        batches: &KeptBatches,
        run: impl Iterator<Item = RunBatch<'a>> + Clone,
        rooms: &mut RunRooms,
    ) {
        rooms.told.clear();
        if !self.append_at_once(env, batches, run.clone(), rooms) {
            self.append_each(env, batches, run, rooms);
        }
    }

    /// The ordinary case: there is room, the log is open, and nothing was refused lately. False,
    /// and nothing is done, in any other.
    fn append_at_once<'a>(
        self: &Arc<Self>,
        env: &Env,
        batches: &KeptBatches,
        run: impl Iterator<Item = RunBatch<'a>> + Clone,
        rooms: &mut RunRooms,
    ) -> bool {
        let RunRooms { log: room, told } = rooms;
        if !self.directory.space().admits() || self.directory.is_over_budget() {
            return false;
        }
        let mut state = self.state.lock();
        if self.is_offline() || state.roll != Roll::Idle || !state.refused.is_empty() {
            return false;
        }
        let (Some(epoch), Some(log)) = (self.leader_epoch(), state.writer.log_mut()) else {
            return false;
        };
        let wall = || env.clock.wall();
        log.append_run(run.clone().map(|each| batches.get(each.at)), epoch, wall, room);
        let (mut new, mut records, mut bytes) = (0, 0, 0);
        for (outcome, each) in room.outcomes().iter().zip(run.clone()) {
            if let Ok(Appended::New { base_offset, last_offset }) = outcome {
                new += 1;
                records += last_offset.next().get().abs_diff(base_offset.get());
                bytes += u64::from(batches.header(each.at).size);
            }
        }
        if new > 0 {
            self.traffic.on_appended(new, records, bytes);
            self.on_appended(&mut state, bytes);
        }
        for (outcome, each) in room.take_outcomes().zip(run) {
            let admission = self.on_outcome(env, &mut state, outcome, each.waker);
            match &admission {
                Ok(Admission::Accepted { committed_at, committed: false, .. })
                    if each.wants_commit =>
                {
                    state.waiters.add_produce(*committed_at, each.waker);
                }
                Err(error) if error.is_no_room() => {
                    state.refused.note(batches.header(each.at).producer, env.clock.mono());
                }
                Ok(_) | Err(_) => {}
            }
            told.push(admission);
        }
        true
    }

    fn append_each<'a>(
        self: &Arc<Self>,
        env: &Env,
        batches: &KeptBatches,
        run: impl Iterator<Item = RunBatch<'a>>,
        rooms: &mut RunRooms,
    ) {
        for RunBatch { at, waker, wants_commit } in run {
            let admission = self.append(env, &batches.get(at), waker);
            if let Ok(Admission::Accepted { committed_at, committed: false, .. }) = admission
                && wants_commit
            {
                self.park_produce(committed_at, waker);
            }
            let parked = matches!(admission, Ok(Admission::Parked));
            rooms.told.push(admission);
            if parked {
                return;
            }
        }
    }

    /// What the log's word means for whoever sent the batch. What is new is published before.
    pub(super) fn on_outcome(
        self: &Arc<Self>,
        env: &Env,
        state: &mut super::State,
        outcome: Result<Appended, LogAppendError>,
        waker: &Waker,
    ) -> Result<Admission, AppendError> {
        match outcome {
            Ok(Appended::New { base_offset, last_offset }) => {
                Ok(state.accepted(base_offset, last_offset, None))
            }
            Ok(Appended::Duplicate { base_offset, last_offset, timestamp }) => {
                let before = Some(super::Before { timestamp });
                Ok(state.accepted(base_offset, last_offset, before))
            }
            Err(LogAppendError::NeedsRoll) => {
                self.roll(env, state);
                Ok(state.park(waker))
            }
            Err(error @ LogAppendError::Full(_)) => {
                self.on_no_space(env, state);
                Err(error.into())
            }
            Err(error @ (LogAppendError::Storage(_) | LogAppendError::Dead)) => {
                // Kafka, too, ends a broker whose only log directory has failed: what the file
                // holds is known again only once it has been read from its start.
                env.process.halt(&format!("cannot append to {}: {error}", self.name));
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
