//! Waiting for one of several things.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, Waker};

use ottla_env::{Clock, Mono};

/// The one of two that came first; the other is dropped.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two; the left one where both are there.
pub(crate) async fn first<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| match left.as_mut().poll(cx) {
        Poll::Ready(left) => Poll::Ready(First::Left(left)),
        Poll::Pending => right.as_mut().poll(cx).map(First::Right),
    })
    .await
}

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
