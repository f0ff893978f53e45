//! Virtual time.

use std::sync::Arc;
use std::task::{Context, Poll};

use ottla_env::{Clock, Mono, Timer};
use ottla_types::Timestamp;

use crate::host::Machine;
use crate::kernel::{Event, EventKey, Kernel};

/// 2026-05-28, when virtual time began.
const WALL_ORIGIN_MS: i64 = 1_780_000_000_000;

/// The clocks of one machine. Monotonic time is the same everywhere; wall time may be off.
pub(crate) struct SimClock {
    pub(crate) kernel: Arc<Kernel>,
    pub(crate) machine: Arc<Machine>,
}

impl Clock for SimClock {
    fn mono(&self) -> Mono {
        self.kernel.now()
    }

    fn wall(&self) -> Timestamp {
        let passed = i64::try_from(self.kernel.now().nanos() / 1_000_000).expect("some centuries");
        Timestamp::from_millis(WALL_ORIGIN_MS + passed + self.machine.wall_skew_ms())
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(SimTimer { kernel: Arc::clone(&self.kernel), at: None, waiting: None })
    }
}

struct SimTimer {
    kernel: Arc<Kernel>,
    at: Option<Mono>,
    waiting: Option<EventKey>,
}

impl SimTimer {
    fn forget(&mut self) {
        if let Some(key) = self.waiting.take() {
            self.kernel.cancel(key);
        }
    }
}

impl Timer for SimTimer {
    fn set(&mut self, at: Option<Mono>) {
        self.forget();
        // The end of time never comes.
        self.at = at.filter(|at| at.nanos() < u64::MAX);
    }

    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.forget();
        match self.at {
            Some(at) if at <= self.kernel.now() => Poll::Ready(()),
            Some(at) => {
                self.waiting = Some(self.kernel.at(at, Event::Wake(cx.waker().clone())));
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.forget();
    }
}
