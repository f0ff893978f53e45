//! Records that were sent, and whose deliveries are told in the order of their sending.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use ottla_client::{Delivered, Delivery, ProduceError};

/// What is told of a record, and whether it was delivered.
pub(super) type Told<T> = (T, Result<Delivered, ProduceError>);

/// Deliveries under way; bounded by what the producer may hold, beyond which sending waits.
#[derive(Debug)]
pub(super) struct Deliveries<T>(VecDeque<(T, Delivery)>);

impl<T> Default for Deliveries<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Deliveries<T> {
    /// A record is under way.
    pub(super) fn push(&mut self, of: T, delivery: Delivery) {
        self.0.push_back((of, delivery));
    }

    /// The oldest one, if its end is known by now.
    pub(super) async fn ended(&mut self) -> Option<Told<T>> {
        let told = poll_fn(|cx| match self.0.front_mut() {
            None => Poll::Ready(None),
            Some((_, delivery)) => match Pin::new(delivery).poll(cx) {
                Poll::Ready(told) => Poll::Ready(Some(told)),
                Poll::Pending => Poll::Ready(None),
            },
        });
        let told = told.await?;
        let (of, _) = self.0.pop_front().expect("it was just looked at");
        Some((of, told))
    }

    /// The oldest one, once its end is known; `None` if there is none.
    pub(super) async fn next(&mut self) -> Option<Told<T>> {
        let (of, delivery) = self.0.pop_front()?;
        Some((of, delivery.await))
    }
}
