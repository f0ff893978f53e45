//! Requests that wait for a partition to move: told once, by whoever moved it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;

use ottla_types::Offset;

use super::Isolation;
use crate::fetch_session::{Signal, SlotId};

/// Bytes that have become visible to consumers of each isolation level; `u64::MAX` where the
/// number is not known, and not small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    /// Below the high watermark.
    pub(crate) committed: u64,
    /// Below the last stable offset.
    pub(crate) stable: u64,
}

impl Visible {
    /// Whoever waits is to look again.
    const EVERYTHING: Self = Self { committed: u64::MAX, stable: u64::MAX };

    /// For one isolation level.
    pub(crate) fn to(self, isolation: Isolation) -> i64 {
        let bytes = match isolation {
            Isolation::ReadUncommitted => self.committed,
            Isolation::ReadCommitted => self.stable,
        };
        i64::try_from(bytes).unwrap_or(i64::MAX)
    }
}

/// The parked fetch of one connection, shared by all partitions that it reads.
///
/// A connection has at most one parked fetch, so it owns one of these and arms it again and again;
/// a partition that still lists it from an earlier fetch can only wake the connection for nothing.
#[derive(Debug, Default)]
pub(crate) struct FetchWaiter {
    /// Bytes that must still become visible before the fetch has its `min.bytes`.
    missing: AtomicI64,
    /// Sees no further than the last stable offset.
    stable_only: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl FetchWaiter {
    /// Arms the waiter: wake after `missing` more bytes.
    pub(crate) fn arm(&self, missing: i64, isolation: Isolation, waker: &Waker) {
        self.stable_only.store(isolation == Isolation::ReadCommitted, Ordering::Relaxed);
        self.missing.store(missing, Ordering::Relaxed);
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// No fetch is parked any more.
    pub(crate) fn disarm(&self) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn isolation(&self) -> Isolation {
        match self.stable_only.load(Ordering::Relaxed) {
            true => Isolation::ReadCommitted,
            false => Isolation::ReadUncommitted,
        }
    }

    /// More became visible. True once the fetch has been woken, or waits no more.
    fn on_visible(&self, visible: Visible) -> bool {
        let bytes = visible.to(self.isolation());
        if self.missing.fetch_sub(bytes, Ordering::Relaxed) > bytes {
            return false;
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

/// Lists a waker unless it is: a connection that is woken for another reason tries its append again
/// and parks again.
pub(super) fn list_once(listed: &mut Vec<Waker>, waker: &Waker) {
    if !listed.iter().any(|listed| listed.will_wake(waker)) {
        listed.push(waker.clone());
    }
}

/// Who waits for one partition.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Weak: a connection that is gone must not be kept by partitions that nobody writes to.
    fetches: Vec<Weak<FetchWaiter>>,
    /// Produce requests with acks=all, each with the high watermark that it needs.
    produces: Vec<(Offset, Waker)>,
    /// Appends that found no room: the segment is being rolled.
    appends: Vec<Waker>,
    sessions: Watches,
}

/// The fetch sessions that have seen all that there is, each with the slot that the partition has
/// in it.
#[derive(Debug, Default)]
struct Watches {
    /// Weak, as [`Waiters::fetches`]. At most one entry for each session, and as many again of
    /// those that are gone: 16 bytes each.
    listed: Vec<(Weak<Signal>, SlotId)>,
    /// Entries at which those that are gone are looked for.
    clean_at: usize,
}

/// Below this many entries nobody looks for those that are gone.
const CLEAN_AT_LEAST: usize = 16;

impl Watches {
    fn add(&mut self, signal: &Arc<Signal>, slot: SlotId) {
        if self.listed.len() >= self.clean_at.max(CLEAN_AT_LEAST) {
            self.listed.retain(|(signal, _)| signal.strong_count() > 0);
            self.clean_at = 2 * self.listed.len();
        }
        self.listed.push((Arc::downgrade(signal), slot));
    }

    fn remove(&mut self, signal: &Arc<Signal>, slot: SlotId) {
        let is_it = |(listed, at): &(Weak<Signal>, SlotId)| {
            *at == slot && std::ptr::eq(listed.as_ptr(), Arc::as_ptr(signal))
        };
        if let Some(at) = self.listed.iter().position(is_it) {
            self.listed.swap_remove(at);
        }
    }

    fn on_moved(&mut self, visible: Visible) {
        self.listed.retain(|(signal, slot)| {
            signal.upgrade().is_some_and(|signal| !signal.on_moved(*slot, visible))
        });
    }
}

impl Waiters {
    /// Lists a fetch. At most one entry a connection: bounded by the connections' number.
    pub(crate) fn add_fetch(&mut self, waiter: &Arc<FetchWaiter>) {
        self.fetches.retain(|listed| listed.strong_count() > 0);
        if !self.fetches.iter().any(|listed| std::ptr::eq(listed.as_ptr(), &raw const **waiter)) {
            self.fetches.push(Arc::downgrade(waiter));
        }
    }

    /// Lists a produce request that waits until the high watermark has reached `needed`. At most
    /// `PARKED_PRODUCE_MAX` a connection.
    pub(crate) fn add_produce(&mut self, needed: Offset, waker: &Waker) {
        self.produces.push((needed, waker.clone()));
    }

    /// Lists an append that waits for a roll. At most one a connection, which reads no further.
    pub(crate) fn add_append(&mut self, waker: &Waker) {
        list_once(&mut self.appends, waker);
    }

    /// Lists a session until the partition moves.
    pub(crate) fn add_session(&mut self, signal: &Arc<Signal>, slot: SlotId) {
        self.sessions.add(signal, slot);
    }

    /// Lists it no more.
    pub(crate) fn remove_session(&mut self, signal: &Arc<Signal>, slot: SlotId) {
        self.sessions.remove(signal, slot);
    }

    /// Something else has changed that fetches depend on: where the log starts, or who leads.
    pub(crate) fn on_changed(&mut self) {
        self.sessions.on_moved(Visible::EVERYTHING);
    }

    /// The high watermark moved to `to`, which made so much visible.
    pub(crate) fn on_visible(&mut self, to: Offset, visible: Visible) {
        let waits = |fetch: &Weak<FetchWaiter>| {
            fetch.upgrade().is_some_and(|fetch| !fetch.on_visible(visible))
        };
        self.fetches.retain(waits);
        self.sessions.on_moved(visible);
        if self.produces.is_empty() {
            return;
        }
        let mut woken: Option<Waker> = None;
        self.produces.retain(|(needed, waker)| {
            if *needed > to {
                return true;
            }
            // A connection with several requests in flight is woken once for all of them.
            if woken.as_ref().is_none_or(|woken| !woken.will_wake(waker)) {
                waker.wake_by_ref();
                woken = Some(waker.clone());
            }
            false
        });
    }

    /// Appends may be tried again.
    pub(crate) fn on_room(&mut self) {
        self.appends.drain(..).for_each(Waker::wake);
    }

    /// The partition is gone: everybody finds out by asking again.
    pub(crate) fn on_gone(&mut self) {
        self.on_visible(Offset::new(i64::MAX), Visible::EVERYTHING);
        self.on_room();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_fetch_is_woken_when_its_bytes_are_there_and_once_only() {
        let count = Arc::new(Count::default());
        let (fetch, mut waiters) = (Arc::new(FetchWaiter::default()), Waiters::default());
        fetch.arm(100, Isolation::ReadUncommitted, &Arc::clone(&count).into());
        waiters.add_fetch(&fetch);
        waiters.add_fetch(&fetch);
        for (committed, woken) in [(60, 0), (39, 0), (1, 1), (500, 1)] {
            waiters.on_visible(Offset::ZERO, Visible { committed, stable: 0 });
            assert_eq!(count.0.load(Ordering::Relaxed), woken, "after {committed} more bytes");
        }
    }

    #[test]
    fn a_reader_of_committed_records_is_woken_by_what_is_stable() {
        let count = Arc::new(Count::default());
        let (fetch, mut waiters) = (Arc::new(FetchWaiter::default()), Waiters::default());
        fetch.arm(100, Isolation::ReadCommitted, &Arc::clone(&count).into());
        waiters.add_fetch(&fetch);
        for (committed, stable, woken) in [(500, 0, 0), (500, 99, 0), (1, 1, 1), (500, 500, 1)] {
            waiters.on_visible(Offset::ZERO, Visible { committed, stable });
            assert_eq!(count.0.load(Ordering::Relaxed), woken, "{stable} more stable bytes");
        }
    }

    #[test]
    fn a_produce_is_woken_when_the_high_watermark_reaches_it() {
        let count = Arc::new(Count::default());
        let mut waiters = Waiters::default();
        let waker: Waker = Arc::clone(&count).into();
        for needed in [5, 7, 9] {
            waiters.add_produce(Offset::new(needed), &waker);
        }
        for needed in [10, 11] {
            waiters.add_produce(Offset::new(needed), &waker);
        }
        for (to, woken) in [(4, 0), (5, 1), (8, 2), (8, 2), (9, 3), (11, 4)] {
            waiters.on_visible(Offset::new(to), Visible { committed: 1, stable: 1 });
            assert_eq!(count.0.load(Ordering::Relaxed), woken, "at {to}");
        }
    }

    #[test]
    fn an_append_that_is_tried_again_is_listed_once() {
        let mut waiters = Waiters::default();
        let waker: Waker = Arc::new(Count::default()).into();
        waiters.add_append(&waker);
        waiters.add_append(&waker);
        waiters.add_append(&Arc::new(Count::default()).into());
        assert_eq!(waiters.appends.len(), 2);
    }

    #[test]
    fn sessions_that_are_gone_are_forgotten() {
        let mut waiters = Waiters::default();
        let alive = Arc::new(Signal::default());
        for n in 0..10_000 {
            waiters.add_session(&Arc::default(), SlotId::FIRST);
            if n % 1_000 == 0 {
                waiters.add_session(&alive, SlotId::FIRST);
            }
            assert!(waiters.sessions.listed.len() <= 2 * CLEAN_AT_LEAST + 2, "after {n}");
        }
        waiters.remove_session(&alive, SlotId::FIRST);
        let visible = Visible { committed: 1, stable: 1 };
        waiters.on_visible(Offset::ZERO, visible);
        assert!(waiters.sessions.listed.is_empty());
        assert_eq!(alive.take_moved().len(), 1);
    }

    #[test]
    fn fetches_of_closed_connections_are_forgotten() {
        let mut waiters = Waiters::default();
        waiters.add_fetch(&Arc::new(FetchWaiter::default()));
        waiters.add_fetch(&Arc::new(FetchWaiter::default()));
        assert_eq!(waiters.fetches.len(), 1);
        // One that read two partitions must not be kept alive by either.
        let mut others = Waiters::default();
        let fetch = Arc::new(FetchWaiter::default());
        waiters.add_fetch(&fetch);
        others.add_fetch(&fetch);
        drop(fetch);
        waiters.add_fetch(&Arc::new(FetchWaiter::default()));
        assert_eq!(waiters.fetches.len(), 1);
    }
}
