//! Small batches that came in one pass of a loop, from whichever of its connections, to be appended
//! together.
//!
//! A connection that has read a small Produce request puts its batch here and lets the loop turn to
//! the others that have something to read. When its turn comes again it has all of them appended,
//! unless another one has done so. So a partition is locked, written to and published once for all
//! that arrived for it together, and nobody waits for what has not arrived yet.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use ottla_env::Env;
use ottla_records::{CheckedBatch, KeptBatches};

use crate::partition::{Admission, AppendError, Partition, RunBatch, RunRooms};

/// A batch of more is not copied: to write it costs more than to ask for it.
pub(crate) const GATHERED_BATCH_BYTES_MAX: usize = 2 * 1024;

/// Batches that wait at most: 512 KiB with the largest.
const BATCHES_MAX: usize = 256;

/// Partitions that they are for. Where they are for many, there is little to share.
const PARTITIONS_MAX: usize = 32;

/// Tickets that are kept for the next requests, 100 bytes each.
const TICKETS_KEPT: usize = BATCHES_MAX;

/// What becomes of a batch that was gathered.
#[derive(Debug)]
pub(crate) struct Ticket(RefCell<Stage>);

#[derive(Debug)]
enum Stage {
    Gathered,
    /// There was no room for it; whoever has that to tell wakes its connection, or another.
    Parked,
    Judged(Result<Admission, AppendError>),
}

impl Ticket {
    /// Whether there was no room for the batch so far.
    pub(crate) fn is_parked(&self) -> bool {
        matches!(*self.0.borrow(), Stage::Parked)
    }

    /// What became of the batch, once that is known.
    pub(crate) fn take(&self) -> Option<Result<Admission, AppendError>> {
        match self.0.replace(Stage::Gathered) {
            Stage::Judged(outcome) => Some(outcome),
            stage @ (Stage::Gathered | Stage::Parked) => {
                self.0.replace(stage);
                None
            }
        }
    }
}

/// The batches that wait for the end of a loop's pass.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    batches: KeptBatches,
    gathered: Vec<Gathered>,
    runs: Vec<Run>,
    /// Of the connections that they came from.
    wakers: Vec<Waker>,
    rooms: RunRooms,
    tickets: Vec<Rc<Ticket>>,
}

#[derive(Debug)]
struct Gathered {
    ticket: Rc<Ticket>,
    /// Where in the wakers that of its connection is.
    waker: usize,
    wants_commit: bool,
    /// The next batch for the same partition.
    next: Option<usize>,
}

/// The batches for one partition.
#[derive(Debug)]
struct Run {
    partition: Arc<Partition>,
    first: usize,
    last: usize,
}

impl Gathering {
    /// Whether one more batch for this partition may wait.
    pub(crate) fn has_room(&self, partition: &Arc<Partition>) -> bool {
        self.gathered.len() < BATCHES_MAX
            && (self.runs.len() < PARTITIONS_MAX || self.run_of(partition).is_some())
    }

    fn run_of(&self, partition: &Arc<Partition>) -> Option<usize> {
        self.runs.iter().position(|run| Arc::ptr_eq(&run.partition, partition))
    }

    /// Adds a batch. With `wants_commit`, the waker is called when it is committed, if it is not at
    /// once when it is appended.
    ///
    /// # Panics
    /// If there is no room for it.
    pub(crate) fn add(
        &mut self,
        partition: &Arc<Partition>,
        batch: &CheckedBatch<'_>,
        waker: &Waker,
        wants_commit: bool,
    ) -> Rc<Ticket> {
        assert!(self.has_room(partition), "more batches than may wait");
        let ticket = self.tickets.pop().unwrap_or_else(|| Rc::new(Ticket(Stage::Gathered.into())));
        self.push(partition, batch, waker, wants_commit, Rc::clone(&ticket));
        ticket
    }

    fn push(
        &mut self,
        partition: &Arc<Partition>,
        batch: &CheckedBatch<'_>,
        waker: &Waker,
        wants_commit: bool,
        ticket: Rc<Ticket>,
    ) {
        let at = self.gathered.len();
        self.batches.keep(batch);
        if !self.wakers.last().is_some_and(|last| last.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
        let waker = self.wakers.len() - 1;
        self.gathered.push(Gathered { ticket, waker, wants_commit, next: None });
        if let Some(run) = self.run_of(partition) {
            let last = std::mem::replace(&mut self.runs[run].last, at);
            self.gathered[last].next = Some(at);
        } else {
            self.runs.push(Run { partition: Arc::clone(partition), first: at, last: at });
        }
    }

    /// Has all of them appended. Those for which there is no room stay.
    pub(crate) fn append(&mut self, env: &Env) {
        let Self { batches, gathered, runs, wakers, rooms, .. } = self;
        let mut left = 0;
        for run in &*runs {
            let in_order = || std::iter::successors(Some(run.first), |at| gathered[*at].next);
            let batch = |at: usize| RunBatch {
                at,
                waker: &wakers[gathered[at].waker],
                wants_commit: gathered[at].wants_commit,
            };
            run.partition.append_run(env, batches, in_order().map(batch), rooms);
            let mut told = rooms.told.drain(..);
            for at in in_order() {
                let stage = match told.next() {
                    None | Some(Ok(Admission::Parked)) => Stage::Parked,
                    Some(judged) => Stage::Judged(judged),
                };
                let parked = matches!(stage, Stage::Parked);
                left += usize::from(parked);
                let before = gathered[at].ticket.0.replace(stage);
                if !parked && matches!(before, Stage::Parked) {
                    // Not all of them are listed where the room was missing.
                    wakers[gathered[at].waker].wake_by_ref();
                }
            }
        }
        if left == 0 { self.clear() } else { self.keep_parked() }
    }

    fn clear(&mut self) {
        self.batches.clear();
        self.gathered.clear();
        self.runs.clear();
        self.wakers.clear();
    }

    /// Forgets those that were judged.
    #[cold]
    fn keep_parked(&mut self) {
        let Self { batches, gathered, runs, wakers, .. } = std::mem::take(self);
        let partition_of = |at: usize| {
            let has = |run: &&Run| {
                std::iter::successors(Some(run.first), |at| gathered[*at].next).any(|it| it == at)
            };
            &runs.iter().find(has).expect("each is in a run").partition
        };
        for (at, each) in gathered.iter().enumerate().filter(|(_, each)| !is_judged(each)) {
            let (waker, ticket) = (&wakers[each.waker], Rc::clone(&each.ticket));
            self.push(partition_of(at), &batches.get(at), waker, each.wants_commit, ticket);
        }
    }

    /// Somebody goes who may have been the only one that would have been told of room.
    pub(crate) fn wake_all(&self) {
        self.wakers.iter().for_each(Waker::wake_by_ref);
    }

    /// Takes a ticket back that was looked at.
    pub(crate) fn keep(&mut self, ticket: Rc<Ticket>) {
        // One that a batch has still would be told of that.
        if Rc::strong_count(&ticket) == 1 && self.tickets.len() < TICKETS_KEPT {
            ticket.0.replace(Stage::Gathered);
            self.tickets.push(ticket);
        }
    }
}

fn is_judged(gathered: &Gathered) -> bool {
    matches!(*gathered.ticket.0.borrow(), Stage::Judged(_))
}
