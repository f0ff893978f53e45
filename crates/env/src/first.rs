//! Waiting for one of two things.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The one of two that came first; the other is dropped.
#[derive(Debug)]
pub enum First<A, B> {
    /// The one that was named first, also where both were there.
    Left(A),
    /// The other one.
    Right(B),
}

/// Waits for the first of two; the left one where both are there. The other is dropped.
pub async fn first<A, B>(
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
