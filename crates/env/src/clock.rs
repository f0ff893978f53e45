//! Time: monotonic for deadlines, wall for records, never mixed by the type system.

use std::task::{Context, Poll};
use std::time::Duration;

use ottla_types::Timestamp;

/// A point of monotonic time, in nanoseconds since an origin of the world's choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(u64);

impl Mono {
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This point and `by` more; the end of time where that overflows.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The port to time.
pub trait Clock: Send + Sync {
    /// Monotonic time.
    fn mono(&self) -> Mono;

    /// Wall time; it may jump.
    fn wall(&self) -> Timestamp;

    /// A timer for the calling task's loop, not yet armed.
    fn timer(&self) -> Box<dyn Timer>;
}

/// One deadline of one task. Belongs to the loop that made it.
pub trait Timer {
    /// Arms the timer for `at`, or disarms it.
    fn set(&mut self, at: Option<Mono>);

    /// Ready once the deadline is reached, and ever after until set again; pending while disarmed.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl dyn Clock {
    /// Waits until `at`.
    pub async fn sleep_until(&self, at: Mono) {
        let mut timer = self.timer();
        timer.set(Some(at));
        std::future::poll_fn(|cx| timer.poll_expired(cx)).await;
    }

    /// Waits for `time`.
    pub async fn sleep(&self, time: Duration) {
        self.sleep_until(self.mono().after(time)).await;
    }
}
