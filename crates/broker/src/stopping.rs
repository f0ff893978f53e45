//! How a node's tasks learn that it stops, and how it learns that they have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::Notify;

/// Tells every task that serves clients to end, and waits until they have.
#[derive(Debug, Default)]
pub(crate) struct Stopping {
    begun: AtomicBool,
    told: Notify,
    /// Tasks that have not ended.
    running: AtomicUsize,
    ended: Notify,
}

/// One task that serves clients, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Stopping>);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

impl Running {
    /// Counts another task in.
    pub(crate) fn again(&self) -> Self {
        self.0.enter()
    }

    /// Whether the node stops.
    pub(crate) fn is_over(&self) -> bool {
        self.0.has_begun()
    }

    /// Runs `task` until it ends or the node stops; `None` then.
    pub(crate) async fn or<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        self.0.or(task).await
    }
}

impl Stopping {
    /// No task that waits by [`Running::or`] goes on.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether no task goes on.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Counts a task in.
    pub(crate) fn enter(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Waits until no task is left.
    pub(crate) async fn all_ended(&self) {
        loop {
            // Made before the look: it hears of whoever ends after that.
            let ended = self.ended.notified();
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Runs `task` until it ends or the node stops.
    async fn or<T>(&self, task: impl Future<Output = T>) -> Option<T> {
        let (mut told, mut task) = (Box::pin(self.told.notified()), Box::pin(task));
        std::future::poll_fn(|cx| {
            if told.as_mut().poll(cx).is_ready() || self.begun.load(Ordering::Acquire) {
                return Poll::Ready(None);
            }
            task.as_mut().poll(cx).map(Some)
        })
        .await
    }
}
