//! Tasks, each pinned to the loop that it was spawned on.

use std::future::Future;
use std::pin::Pin;
use std::task::Waker;
use std::time::Duration;

/// A task: driven by its loop until it ends, or until its node does.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One of the node's event loops, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoopId(pub usize);

/// The port to event loops.
pub trait Spawn: Send + Sync {
    /// How many loops the node has; at least one.
    fn loops(&self) -> usize;

    /// The loop of the calling task.
    fn current(&self) -> LoopId;

    /// How long a loop was not waiting for events so far, whether it computed, waited for its
    /// processor, or for a system call; none before its first task. It never goes back.
    fn busy(&self, on: LoopId) -> Duration;

    /// Makes a task on a loop and starts it there.
    fn spawn_on(&self, on: LoopId, name: &'static str, make: Box<dyn FnOnce() -> Task + Send>);

    /// Starts a task on the calling task's loop.
    fn spawn(&self, name: &'static str, task: Task);

    /// Has something done that takes time, waits for nobody, and is in no hurry: beside the loops,
    /// one after the other, when nobody else needs the processor.
    fn work(&self, job: Box<dyn FnOnce() + Send>);

    /// Wakes the calling task once its loop has looked for what has arrived, and has handled it:
    /// for work that is better done for many than for one.
    fn wake_after_pass(&self, waker: &Waker) {
        waker.wake_by_ref();
    }
}
