//! Fetch sessions (KIP-227): a consumer names its partitions once, and is answered with those that
//! have something new.
//!
//! Sessions belong to the node, not to a connection or a loop: a consumer may go on over another
//! connection. Each lies behind a lock of its own, which only the request that uses it takes; the
//! lock around the list is taken when a session is opened, closed, or looked up by a connection
//! that has not used it before.

mod session;
mod signal;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_env::{Mono, Purpose, Rng};

pub(crate) use session::{FetchSession, Looked, SessionState, Slot, SlotId, TopicKey};
pub(crate) use signal::Signal;

use session::SLOT_BYTES;

/// What all sessions together may take: about 400,000 partitions. Whoever comes later fetches
/// without a session, as where the cache is full.
const SESSION_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A session that was not used for so long gives way to any other, and one that has existed for so
/// long to a larger one: Kafka's `min.incremental.fetch.session.eviction.ms`.
const EVICTION_TIME: Duration = Duration::from_mins(2);

/// How often a full cache is looked through for a session that may give way. Clients that got none
/// ask again with each fetch.
const EVICTION_SEARCH_EVERY: Duration = Duration::from_secs(1);

/// A session's number on the wire; 0 there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(i32);

impl SessionId {
    /// `None` for a number that no session has.
    pub(crate) fn from_wire(raw: i32) -> Option<Self> {
        (raw > 0).then_some(Self(raw))
    }

    /// As it stands in an answer.
    pub(crate) fn to_wire(id: Option<Self>) -> i32 {
        id.map_or(0, |id| id.0)
    }
}

/// The sessions of a node.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    /// `max.incremental.fetch.session.cache.slots`
    slots: usize,
    /// Bytes that all sessions take, those included that somebody still uses after they were
    /// closed.
    bytes: Arc<AtomicUsize>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    open: BTreeMap<SessionId, Arc<FetchSession>>,
    /// When none was found that may give way.
    searched: Option<Mono>,
}

/// A session's share of the memory of all; given back when it goes.
#[derive(Debug)]
pub(crate) struct Share {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    /// Takes the share of a session that has grown or shrunk to `bytes`; false, without an effect,
    /// if there is not so much.
    fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            let before = self.of.fetch_add(more, Ordering::Relaxed);
            if before + more > SESSION_BYTES_MAX {
                self.of.fetch_sub(more, Ordering::Relaxed);
                return false;
            }
        } else {
            self.of.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl FetchSessions {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, bytes: Arc::default(), cache: Mutex::default() }
    }

    /// Opens a session of at most `len` partitions, which `state` makes of a full fetch and its
    /// answer; `None` if there is no room for it.
    pub(crate) fn open(
        &self,
        rng: &dyn Rng,
        now: Mono,
        len: usize,
        state: impl FnOnce() -> SessionState,
    ) -> Option<Arc<FetchSession>> {
        let mut cache = self.cache();
        if cache.open.len() >= self.slots && !cache.evict(len, now) {
            return None;
        }
        let mut share = Share { of: Arc::clone(&self.bytes), bytes: 0 };
        // Nothing is built that there is no room for.
        if !share.resize(len * SLOT_BYTES) {
            return None;
        }
        let mut state = state();
        if !share.resize(state.bytes()) {
            return None;
        }
        let id = cache.unused_id(rng);
        state.enter_first_epoch();
        let session = Arc::new(FetchSession::new(id, now, state, share));
        cache.open.insert(id, Arc::clone(&session));
        Some(session)
    }

    /// The open session of this number.
    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<FetchSession>> {
        self.cache().open.get(&id).cloned()
    }

    /// Ends a session, if it is open.
    pub(crate) fn close(&self, id: SessionId) {
        if let Some(session) = self.cache().open.remove(&id) {
            session.close();
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.cache().open.len()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache {
    fn unused_id(&self, rng: &dyn Rng) -> SessionId {
        loop {
            let drawn = rng.next(Purpose::Session) & u64::from(i32::MAX.cast_unsigned());
            let raw = i32::try_from(drawn).expect("31 bits");
            if let Some(id) = SessionId::from_wire(raw).filter(|id| !self.open.contains_key(id)) {
                return id;
            }
        }
    }

    /// Makes room for a session of `len` partitions: the one that was not used for longest goes if
    /// that is long enough, or else the smallest of the old ones if it is smaller.
    fn evict(&mut self, len: usize, now: Mono) -> bool {
        if self.searched.is_some_and(|searched| now.since(searched) < EVICTION_SEARCH_EVERY) {
            return false;
        }
        let stale = self.open.values().min_by_key(|session| session.used());
        let stale = stale.filter(|session| now.since(session.used()) > EVICTION_TIME);
        let victim = stale.or_else(|| {
            let old = |session: &&Arc<_>| now.since(FetchSession::opened(session)) > EVICTION_TIME;
            let smallest = self.open.values().filter(old).min_by_key(|session| session.len());
            smallest.filter(|session| session.len() < len)
        });
        let Some(id) = victim.map(|session| session.id()) else {
            self.searched = Some(now);
            return false;
        };
        if let Some(session) = self.open.remove(&id) {
            session.close();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use ottla_wire::hot::{FetchPartition, TopicRef};

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicU64);

    impl Rng for Counting {
        fn next(&self, _: Purpose) -> u64 {
            // Every second number comes twice, and 0 is drawn first.
            self.0.fetch_add(1, Ordering::Relaxed) / 2
        }
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(0).after(Duration::from_secs(seconds))
    }

    fn of(partitions: i32) -> SessionState {
        let mut state = SessionState::by_name();
        for partition in 0..partitions {
            let asked = FetchPartition {
                partition,
                current_leader_epoch: -1,
                fetch_offset: 0,
                last_fetched_epoch: -1,
                log_start_offset: -1,
                partition_max_bytes: 1,
                replica_directory_id: ottla_types::Uuid::ZERO,
                high_watermark: -1,
            };
            state.put(TopicRef::Name("topic"), asked);
        }
        state
    }

    fn open(
        sessions: &FetchSessions,
        rng: &Counting,
        now: Mono,
        partitions: i32,
    ) -> Option<SessionId> {
        let len = usize::try_from(partitions).unwrap();
        sessions.open(rng, now, len, || of(partitions)).map(|session| session.id())
    }

    /// Opens sessions `(second, partitions)` in a cache of two.
    fn check(steps: &[(u64, i32, bool)], left: &[i32]) {
        let (sessions, rng) = (FetchSessions::new(2), Counting::default());
        for (second, partitions, opened) in steps {
            let id = open(&sessions, &rng, at(*second), *partitions);
            assert_eq!(id.is_some(), *opened, "{partitions} partitions after {second} s");
        }
        let cache = sessions.cache();
        let open: Vec<_> = cache.open.keys().map(|id| id.0).collect();
        assert_eq!(open, left, "{steps:?}");
    }

    #[test]
    #[rustfmt::skip]
    fn sessions_give_way_to_others_by_kafka_s_rules() {
        check(&[(0, 5, true), (0, 5, true)],                                   &[1, 2]);
        // None is old.
        check(&[(0, 5, true), (0, 5, true), (100, 9, false)],                  &[1, 2]);
        // The one that was not used for longest.
        check(&[(0, 9, true), (10, 5, true), (125, 1, true)],                  &[2, 3]);
        // A second look at once is not worth it; later it is.
        check(&[(0, 5, true), (0, 5, true), (120, 9, false), (120, 9, false)], &[1, 2]);
        check(&[(0, 5, true), (0, 5, true), (120, 9, false), (122, 9, true)],  &[2, 3]);
    }

    #[test]
    fn an_old_session_in_use_gives_way_to_a_larger_one_only() {
        for (partitions, opened) in [(5, false), (6, true)] {
            let (sessions, rng) = (FetchSessions::new(1), Counting::default());
            let id = open(&sessions, &rng, at(0), 5).unwrap();
            let session = sessions.get(id).unwrap();
            session.touch(at(150));
            let other = open(&sessions, &rng, at(160), partitions);
            assert_eq!(other.is_some(), opened, "{partitions} partitions");
            assert_eq!(session.is_open(), !opened);
        }
    }

    #[test]
    fn a_session_that_there_is_no_room_for_is_not_built() {
        let (sessions, rng) = (FetchSessions::new(1), Counting::default());
        let len = SESSION_BYTES_MAX / SLOT_BYTES + 1;
        assert!(sessions.open(&rng, at(0), len, || unreachable!("no room")).is_none());
        assert_eq!(sessions.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn sessions_share_a_bounded_memory() {
        let (sessions, rng) = (FetchSessions::new(1_000), Counting::default());
        let each = of(1_000).bytes();
        let mut opened = Vec::new();
        while let Some(id) = open(&sessions, &rng, at(0), 1_000) {
            opened.push(id);
        }
        assert_eq!(opened.len(), SESSION_BYTES_MAX / each);
        let held = sessions.get(opened[0]).unwrap();
        sessions.close(opened[0]);
        assert!(open(&sessions, &rng, at(0), 1_000).is_none(), "somebody uses it still");
        drop(held);
        assert!(open(&sessions, &rng, at(0), 1_000).is_some());
        drop(sessions.cache().open.split_off(&SessionId(0)));
        assert_eq!(sessions.bytes.load(Ordering::Relaxed), 0);
    }
}
