//! Waiting, but not for ever.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use ottla_env::{Clock, Mono};

/// What `waited_for` comes to, unless that takes until `deadline`.
pub(crate) async fn within<T>(
    clock: &dyn Clock,
    deadline: Mono,
    waited_for: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let mut timer = clock.timer();
    timer.set(Some(deadline));
    let mut waited_for = pin!(waited_for);
    poll_fn(|cx| match waited_for.as_mut().poll(cx) {
        Poll::Ready(came) => Poll::Ready(came),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
    })
    .await
}

/// Lets the loop's other tasks have their turn.
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
