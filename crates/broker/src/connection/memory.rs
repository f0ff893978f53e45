//! The memory that all connections of a node hold together, and its bound.
//!
//! What counts: requests that have not arrived as a whole or must wait for others, and answers that
//! their peers have not taken. What a pass handles where it lies costs nothing here, and the first
//! bytes of each connection are free: their bound is the number of connections.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes of a request, and of answers, that are not counted: 80 MiB for 20,000 connections.
pub(super) const FREE_BYTES: usize = 4 * 1024;

/// What a request is given at first, if it is larger: as much as a topic takes of a batch. After
/// that, as much again as has come of it: whoever announces and does not send gets no more.
const STEP_BYTES: usize = 1024 * 1024;

/// What connections hold: `queued.max.request.bytes`, one request more where no other could be let
/// in, and what the pass of each loop adds during which that is reached.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    bytes_max: u64,
    /// Beyond this, nothing starts at all.
    start_bytes_max: u64,
    held: AtomicU64,
    /// Requests that have all their room and are arriving, or wait for nothing but us.
    let_in: AtomicUsize,
    /// How many wait in `turns`: whoever gives back looks at the lock only then.
    waiting: AtomicUsize,
    turns: Mutex<Turns>,
    names: AtomicU64,
}

/// Who waits; at most one entry of each kind for a connection.
#[derive(Debug, Default)]
struct Turns {
    /// Requests that arrive and are too large for what is left, the oldest first: a small one must
    /// not pass a large one for ever.
    large: VecDeque<Waiting>,
    /// Connections that start nothing before less is held.
    held_off: BTreeMap<u64, Waker>,
}

#[derive(Debug)]
struct Waiting {
    name: u64,
    waker: Waker,
}

impl RequestMemory {
    /// For requests of `request_bytes_max` at the most; without `bytes_max`, any number of them.
    pub(crate) fn new(bytes_max: Option<u64>, request_bytes_max: usize) -> Arc<Self> {
        let bytes_max = bytes_max.unwrap_or(u64::MAX);
        Arc::new(Self {
            bytes_max,
            start_bytes_max: bytes_max.saturating_add(request_bytes_max as u64),
            held: AtomicU64::new(0),
            let_in: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            turns: Mutex::default(),
            names: AtomicU64::new(0),
        })
    }

    /// Bytes that are held now.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// More is held than may be: nothing is read that would have to be kept.
    pub(super) fn is_exhausted(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.bytes_max
    }

    fn is_overdrawn(&self) -> bool {
        self.held.load(Ordering::SeqCst) > self.start_bytes_max
    }

    /// Somebody waits for memory: whoever keeps some without need is to give it back.
    pub(super) fn is_short(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || self.is_exhausted()
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `more` where there is room for it.
    fn try_take(&self, more: u64) -> bool {
        let taken = |held: u64| held.checked_add(more).filter(|taken| *taken <= self.bytes_max);
        self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, taken).is_ok()
    }

    /// Where all is held by requests that lack some of their bytes, one of them gets all its room
    /// all the same: else none would ever be whole.
    fn is_stuck(&self) -> bool {
        self.let_in.load(Ordering::SeqCst) == 0
    }

    fn take(&self, more: u64) {
        self.held.fetch_add(more, Ordering::SeqCst);
    }

    fn give_back(&self, bytes: u64) {
        let before = self.held.fetch_sub(bytes, Ordering::SeqCst);
        assert!(before >= bytes, "more given back than was held");
        // Whoever begins to wait counts itself first and looks at what is held then.
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let turns = self.lock();
            self.wake_next(turns);
        }
    }

    /// Wakes those whose turn it may be, outside of the lock.
    fn wake_next(&self, mut turns: MutexGuard<'_, Turns>) {
        let next = turns.large.front().map(|waiting| waiting.waker.clone());
        let freed = match self.is_overdrawn() {
            true => BTreeMap::new(),
            false => std::mem::take(&mut turns.held_off),
        };
        self.count(&turns);
        drop(turns);
        next.into_iter().chain(freed.into_values()).for_each(Waker::wake);
    }

    fn count(&self, turns: &Turns) {
        let waiting = turns.large.len() + turns.held_off.len();
        self.waiting.store(waiting, Ordering::SeqCst);
    }
}

/// What one connection holds of it; given back when it ends.
#[derive(Debug)]
pub(super) struct Holding {
    memory: Arc<RequestMemory>,
    /// Tells the connection from others.
    name: u64,
    /// Of requests.
    arriving: u64,
    /// Of answers.
    leaving: u64,
    let_in: bool,
    waits: bool,
    held_off: bool,
}

impl Holding {
    pub(super) fn new(memory: &Arc<RequestMemory>) -> Self {
        let name = memory.names.fetch_add(1, Ordering::Relaxed);
        let memory = Arc::clone(memory);
        Self { memory, name, arriving: 0, leaving: 0, let_in: false, waits: false, held_off: false }
    }

    pub(super) fn memory(&self) -> &RequestMemory {
        &self.memory
    }

    /// Whether it holds requests.
    pub(super) fn has_requests(&self) -> bool {
        self.arriving > 0
    }

    /// Whether a request waits for its turn.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// So many bytes of requests are here, room or not; what was in front of them is done with.
    #[inline]
    pub(super) fn keep_requests(&mut self, bytes: usize) {
        if bytes > FREE_BYTES || self.arriving > 0 {
            let bytes = if bytes > FREE_BYTES { bytes as u64 } else { 0 };
            let was_let_in = self.end_let_in();
            let gives_back = bytes < self.arriving;
            adjust(&self.memory, &mut self.arriving, bytes);
            if was_let_in && !gives_back {
                // Whoever is stuck has a chance now, though there are no more bytes.
                self.memory.give_back(0);
            }
        }
    }

    fn end_let_in(&mut self) -> bool {
        let was_let_in = std::mem::take(&mut self.let_in);
        if was_let_in {
            self.memory.let_in.fetch_sub(1, Ordering::SeqCst);
        }
        was_let_in
    }

    /// So many bytes of answers wait for the peer.
    #[inline]
    pub(super) fn keep_answers(&mut self, bytes: u64) {
        if bytes > FREE_BYTES as u64 || self.leaving > 0 {
            let bytes = if bytes > FREE_BYTES as u64 { bytes } else { 0 };
            adjust(&self.memory, &mut self.leaving, bytes);
        }
    }

    /// Ready once more may be read of a request that has `whole` bytes, of which so many have come.
    pub(super) fn poll_request(
        &mut self,
        come: usize,
        whole: usize,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let step = whole.min(come.saturating_mul(2).max(STEP_BYTES)) as u64;
        if step <= self.arriving.max(FREE_BYTES as u64) {
            return Poll::Ready(());
        }
        let whole = whole as u64;
        let Some(given) = self.take_turn(step, whole, cx) else { return Poll::Pending };
        self.arriving = given;
        if given == whole && !std::mem::replace(&mut self.let_in, true) {
            self.memory.let_in.fetch_add(1, Ordering::SeqCst);
        }
        Poll::Ready(())
    }

    /// What the request may hold from now on, if it is its turn.
    fn take_turn(&mut self, step: u64, whole: u64, cx: &mut Context<'_>) -> Option<u64> {
        let (memory, more) = (&self.memory, step - self.arriving);
        // Nobody waits, as nearly always.
        if memory.waiting.load(Ordering::SeqCst) == 0 && memory.try_take(more) {
            return Some(step);
        }
        let mut turns = memory.lock();
        let waker = cx.waker().clone();
        match turns.large.iter_mut().find(|waiting| waiting.name == self.name) {
            Some(waiting) => waiting.waker = waker,
            None => turns.large.push_back(Waiting { name: self.name, waker }),
        }
        memory.count(&turns);
        self.waits = true;
        let first = turns.large.front().is_some_and(|waiting| waiting.name == self.name);
        let given = match first {
            true if memory.try_take(more) => step,
            true if memory.is_stuck() => {
                memory.take(whole - self.arriving);
                whole
            }
            true | false => return None,
        };
        turns.large.pop_front();
        self.waits = false;
        memory.wake_next(turns);
        Some(given)
    }

    /// Whether nothing may start, since too much is held; the connection is woken when that ends.
    /// Whoever holds requests goes on: to handle them is how their memory is given back.
    #[inline]
    pub(super) fn is_held_off(&mut self, cx: &mut Context<'_>) -> bool {
        self.memory.is_overdrawn() && self.arriving == 0 && self.hold_off(cx)
    }

    #[cold]
    fn hold_off(&mut self, cx: &mut Context<'_>) -> bool {
        let mut turns = self.memory.lock();
        turns.held_off.insert(self.name, cx.waker().clone());
        self.memory.count(&turns);
        // It may have been given back before anybody could know of us.
        self.held_off = self.memory.is_overdrawn();
        if !self.held_off {
            turns.held_off.remove(&self.name);
            self.memory.count(&turns);
        }
        self.held_off
    }
}

fn adjust(memory: &RequestMemory, held: &mut u64, bytes: u64) {
    match bytes.cmp(held) {
        std::cmp::Ordering::Less => memory.give_back(*held - bytes),
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => memory.take(bytes - *held),
    }
    *held = bytes;
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _gives_back_below = self.end_let_in();
        if self.waits || self.held_off {
            let mut turns = self.memory.lock();
            turns.large.retain(|waiting| waiting.name != self.name);
            turns.held_off.remove(&self.name);
            self.memory.wake_next(turns);
        }
        let held = self.arriving + self.leaving;
        if held > 0 {
            self.memory.give_back(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection, and how often it was woken.
    struct Peer {
        holding: Holding,
        woken: Arc<Woken>,
    }

    impl Peer {
        fn new(memory: &Arc<RequestMemory>) -> Self {
            Self { holding: Holding::new(memory), woken: Arc::default() }
        }

        fn gets(&mut self, bytes: usize) -> bool {
            let waker = Waker::from(Arc::clone(&self.woken));
            self.holding.poll_request(0, bytes, &mut Context::from_waker(&waker)).is_ready()
        }

        fn is_held_off(&mut self) -> bool {
            let waker = Waker::from(Arc::clone(&self.woken));
            self.holding.is_held_off(&mut Context::from_waker(&waker))
        }

        fn woken(&self) -> usize {
            self.woken.0.swap(0, Ordering::Relaxed)
        }
    }

    const KIB: usize = 1024;

    #[test]
    fn requests_get_room_in_the_order_in_which_they_came() {
        let memory = RequestMemory::new(Some(100 * KIB as u64), 60 * KIB);
        let [mut a, mut b, mut c] = [(); 3].map(|()| Peer::new(&memory));
        assert!(a.gets(60 * KIB));
        assert!(!b.gets(60 * KIB) && !c.gets(10 * KIB), "c would fit, and b was first");
        assert!(memory.is_short() && !memory.is_exhausted());
        assert_eq!((b.woken(), c.woken()), (0, 0));
        a.holding.keep_requests(0);
        assert_eq!((b.woken(), c.woken()), (1, 0));
        assert!(!c.gets(10 * KIB), "it is not its turn yet");
        assert!(b.gets(60 * KIB));
        assert_eq!(c.woken(), 1);
        assert!(c.gets(10 * KIB) && !memory.is_short());
        assert_eq!(memory.held(), 70 * KIB as u64);
        drop((b, c));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn whoever_leaves_lets_the_next_one_in() {
        let memory = RequestMemory::new(Some(100 * KIB as u64), 60 * KIB);
        let [mut a, mut b, mut c] = [(); 3].map(|()| Peer::new(&memory));
        assert!(a.gets(90 * KIB) && !b.gets(50 * KIB) && !c.gets(8 * KIB));
        drop(b);
        assert_eq!(c.woken(), 1);
        assert!(c.gets(8 * KIB) && !memory.is_short());
    }

    #[test]
    fn what_is_small_is_free_and_one_request_at_least_is_let_in() {
        let memory = RequestMemory::new(Some(10 * KIB as u64), 5 * KIB);
        let [mut a, mut b] = [(); 2].map(|()| Peer::new(&memory));
        assert!(a.gets(4 * KIB) && memory.held() == 0);
        a.holding.keep_requests(6 * KIB);
        b.holding.keep_requests(6 * KIB);
        assert!(memory.is_exhausted());
        assert!(a.gets(50 * KIB), "nobody else is let in");
        assert!(!b.gets(8 * KIB) && b.gets(3 * KIB));
        a.holding.keep_requests(6 * KIB);
        assert_eq!(b.woken(), 1);
        assert!(b.gets(8 * KIB));
        let unbounded = RequestMemory::new(None, KIB);
        let mut c = Peer::new(&unbounded);
        assert!(c.gets(usize::MAX / 2) && !unbounded.is_short());
    }

    #[test]
    fn whoever_announces_much_is_given_as_much_again_as_has_come() {
        let memory = RequestMemory::new(Some(10 << 20), 8 << 20);
        let mut peers = [(); 4].map(|()| Peer::new(&memory));
        let [a, b, c, d] = &mut peers;
        assert!([a, b, c].into_iter().all(|peer| peer.gets(8 << 20)));
        assert_eq!(memory.held(), 3 << 20);
        assert!(d.gets(900 * KIB), "nobody waits for those who only announce");
        let [a, ..] = &mut peers;
        for (come, held) in [(1 << 19, 1 << 20), (1 << 20, 2 << 20), (3 << 20, 6 << 20)] {
            let waker = Waker::from(Arc::clone(&a.woken));
            let mut cx = Context::from_waker(&waker);
            assert!(a.holding.poll_request(come, 8 << 20, &mut cx).is_ready());
            assert_eq!(a.holding.arriving, held);
        }
    }

    #[test]
    fn nothing_starts_while_a_request_more_is_held_than_may_be() {
        let memory = RequestMemory::new(Some(10 * KIB as u64), 5 * KIB);
        let [mut a, mut b] = [(); 2].map(|()| Peer::new(&memory));
        a.holding.keep_answers(15 * KIB as u64);
        assert!(!b.is_held_off() && memory.is_exhausted() && memory.is_short());
        a.holding.keep_answers(20 * KIB as u64);
        assert!(b.is_held_off());
        a.holding.keep_answers(16 * KIB as u64);
        assert_eq!(b.woken(), 0);
        a.holding.keep_answers(15 * KIB as u64);
        assert_eq!(b.woken(), 1);
        assert!(!b.is_held_off());
        a.holding.keep_answers(0);
        assert!(!memory.is_short());
    }

    /// Whoever looks in the very moment of being woken must find the room.
    #[test]
    fn no_wake_is_lost_between_threads() {
        let memory = RequestMemory::new(Some(100 * KIB as u64), 60 * KIB);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let thread = Waker::from(Arc::new(Unpark(std::thread::current())));
                        let mut holding = Holding::new(&memory);
                        let mut cx = Context::from_waker(&thread);
                        while holding.poll_request(0, 60 * KIB, &mut cx).is_pending() {
                            std::thread::park();
                        }
                    }
                });
            }
        });
        assert_eq!((memory.held(), memory.is_short()), (0, false));
    }

    struct Unpark(std::thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
}
