//! Waiting for one of several things.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use ottla_env::{Clock, Mono};
pub(crate) use ottla_env::{First, first};

/// Waits for something, but not beyond `deadline`.
pub(crate) async fn until<T>(
    clock: &(dyn Clock + 'static),
    deadline: Mono,
    what: impl Future<Output = T>,
) -> Option<T> {
    match first(what, clock.sleep_until(deadline)).await {
        First::Left(done) => Some(done),
        First::Right(()) => None,
    }
}

/// Lets the other tasks of the loop run once.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A bell for tasks of one loop: whoever waits is woken by every ring since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Bell(RefCell<Ringing>);

#[derive(Debug, Default)]
struct Ringing {
    rings: u64,
    waiting: Vec<Waker>,
}

impl Bell {
    /// Wakes everybody who waits.
    pub(crate) fn ring(&self) {
        let mut ringing = self.0.borrow_mut();
        ringing.rings += 1;
        let waiting = std::mem::take(&mut ringing.waiting);
        drop(ringing);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How often it rang so far: look at this before looking at what it rings for.
    pub(crate) fn rings(&self) -> u64 {
        self.0.borrow().rings
    }

    /// Waits until it has rung more often than `seen`.
    pub(crate) async fn rung_since(&self, seen: u64) {
        poll_fn(|cx| {
            let mut ringing = self.0.borrow_mut();
            if ringing.rings != seen {
                return Poll::Ready(());
            }
            // A task that is polled for other reasons leaves one waker, not many.
            ringing.waiting.retain(|waker| !waker.will_wake(cx.waker()));
            ringing.waiting.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
