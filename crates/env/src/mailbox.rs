//! A host's bounded queue of events.

use std::fmt;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

/// Where a host takes its events from.
pub struct Mailbox<T>(mpsc::Receiver<T>);

/// Where everybody else puts them.
pub struct Sender<T>(mpsc::Sender<T>);

/// The host is behind, or gone: the event comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum Full<T> {
    Behind(T),
    Gone(T),
}

/// A mailbox for `capacity` events.
#[must_use]
pub fn mailbox<T>(capacity: usize) -> (Sender<T>, Mailbox<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Sender(sender), Mailbox(receiver))
}

impl<T> Sender<T> {
    /// Puts an event into the mailbox, or gives it back.
    ///
    /// # Errors
    /// When the mailbox is full or its host has ended.
    pub fn try_send(&self, event: T) -> Result<(), Full<T>> {
        self.0.try_send(event).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(event) => Full::Behind(event),
            mpsc::error::TrySendError::Closed(event) => Full::Gone(event),
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Mailbox<T> {
    /// The next event; `None` once every sender is gone.
    pub async fn next(&mut self) -> Option<T> {
        self.0.recv().await
    }

    /// The next event, if one is there already.
    pub fn try_next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }

    /// As [`Mailbox::next`], for hosts that wait for several things at once.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailbox")
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
