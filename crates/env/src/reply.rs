//! A promise kept once: the answer to a submitted disk operation or a forwarded request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

/// The side that answers, from any thread.
pub struct Reply<T>(oneshot::Sender<T>);

/// The side that waits.
pub struct Answer<T>(oneshot::Receiver<T>);

/// The answering side was dropped without an answer: its host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host ended before it answered")]
pub struct Abandoned;

/// A reply and the answer that it completes.
#[must_use]
pub fn reply<T>() -> (Reply<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    (Reply(sender), Answer(receiver))
}

impl<T> Reply<T> {
    /// Answers. Nobody may be waiting any more, and that is no error.
    pub fn send(self, value: T) {
        drop(self.0.send(value));
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(|_| Abandoned)
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}
