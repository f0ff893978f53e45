//! Time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use ottla_env::{Clock, Mono, Timer};
use ottla_types::Timestamp;
use tokio::time::Sleep;

/// The system's clocks; monotonic time counts from the start of the world.
#[derive(Debug)]
pub(crate) struct RealClock {
    origin: Instant,
}

impl RealClock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for RealClock {
    fn mono(&self) -> Mono {
        Mono::from_nanos(0).after(self.origin.elapsed())
    }

    fn wall(&self) -> Timestamp {
        // A clock before 1970 is a machine that does not know the time yet: 1970 is the best guess.
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(RealTimer { origin: self.origin, sleep: None, armed: false })
    }
}

struct RealTimer {
    origin: Instant,
    /// Made when first armed: most connections never wait for time.
    sleep: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl Timer for RealTimer {
    fn set(&mut self, at: Option<Mono>) {
        self.armed = at.is_some();
        let Some(at) = at else { return };
        let since_origin = at.since(Mono::from_nanos(0));
        // The end of time is more than an Instant holds.
        let Some(deadline) = self.origin.checked_add(since_origin) else {
            self.armed = false;
            return;
        };
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline.into()),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
        }
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            // A finished Sleep must not be polled into its past again: it answers Ready for ever.
            Some(sleep) if self.armed => sleep.as_mut().poll(cx),
            _ => Poll::Pending,
        }
    }
}
