//! Which partitions of a session have moved since it looked at them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use ottla_types::planted::{self, Bug};

use super::SlotId;
use crate::partition::{Isolation, Visible};

/// The part of a session that partitions know. They hold it weakly, and list it for as long as
/// the session has seen all that they have.
#[derive(Debug, Default)]
pub(crate) struct Signal(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The partitions that moved; true: they still list us. At most one entry a partition of the
    /// session.
    moved: BTreeMap<SlotId, bool>,
    parked: Option<Parked>,
}

/// The session's fetch that waits.
#[derive(Debug)]
struct Parked {
    /// Bytes that must still become visible before the fetch has its `min.bytes`.
    missing: i64,
    isolation: Isolation,
    waker: Waker,
}

impl Signal {
    /// A fetch waits for `missing` more bytes. False, if something has moved already: it is to
    /// look again.
    pub(crate) fn park(&self, missing: i64, isolation: Isolation, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.parked = Some(Parked { missing, isolation, waker: waker.clone() });
        state.moved.is_empty()
    }

    /// No fetch waits any more.
    pub(crate) fn unpark(&self) {
        self.lock().parked = None;
    }

    /// What has moved since it was taken last.
    pub(crate) fn take_moved(&self) -> BTreeMap<SlotId, bool> {
        std::mem::take(&mut self.lock().moved)
    }

    /// A partition has moved; called under its lock. True once it need not tell of more: the
    /// session looks at it when it comes to fetch. While a fetch waits for more than there is, the
    /// partition goes on to count for it.
    pub(crate) fn on_moved(&self, slot: SlotId, visible: Visible) -> bool {
        let mut state = self.lock();
        if planted::is(Bug::SessionMissesAppends) && state.parked.is_none() {
            return true;
        }
        let waits = state.parked.as_mut().is_some_and(|parked| {
            parked.missing = parked.missing.saturating_sub(visible.to(parked.isolation));
            parked.missing > 0
        });
        state.moved.insert(slot, waits);
        if !waits && let Some(parked) = state.parked.take() {
            parked.waker.wake();
        }
        !waits
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const ONE: SlotId = SlotId::FIRST;

    fn bytes(committed: u64) -> Visible {
        Visible { committed, stable: 0 }
    }

    #[test]
    fn a_fetch_that_waits_is_woken_once_when_its_bytes_are_there() {
        let (signal, count) = (Signal::default(), Arc::new(Count::default()));
        assert!(signal.park(100, Isolation::ReadUncommitted, &Arc::clone(&count).into()));
        for (more, done, woken) in [(60, false, 0), (39, false, 0), (1, true, 1), (500, true, 1)] {
            assert_eq!(signal.on_moved(ONE, bytes(more)), done, "{more} more bytes");
            assert_eq!(count.0.load(Ordering::Relaxed), woken, "{more} more bytes");
            assert_eq!(signal.take_moved().into_values().collect::<Vec<_>>(), [!done]);
        }
    }

    #[test]
    fn what_moved_before_a_fetch_parks_is_looked_at() {
        let signal = Signal::default();
        assert!(signal.on_moved(ONE, bytes(1)), "nobody waits");
        assert!(!signal.park(1, Isolation::ReadUncommitted, Waker::noop()));
        signal.take_moved();
        assert!(signal.park(1, Isolation::ReadUncommitted, Waker::noop()));
        signal.unpark();
        assert!(signal.on_moved(ONE, bytes(0)), "nobody waits any more");
    }

    #[test]
    fn a_reader_of_committed_records_waits_for_what_is_stable() {
        let (signal, count) = (Signal::default(), Arc::new(Count::default()));
        signal.park(1, Isolation::ReadCommitted, &Arc::clone(&count).into());
        assert!(!signal.on_moved(ONE, bytes(1_000)));
        assert!(signal.on_moved(ONE, Visible { committed: 0, stable: u64::MAX }));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
