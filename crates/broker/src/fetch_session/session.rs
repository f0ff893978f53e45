//! One session: which partitions it has, what its client was told of them, and which are to be
//! looked at.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ottla_env::Mono;
use ottla_types::{Offset, Uuid};
use ottla_wire::hot::{FetchPartition, TopicRef};

use super::{SessionId, Share, Signal};
use crate::partition::{Bounds, Partition};

/// What a partition of a session takes: its slot, its places in the two maps and in the queue, and
/// the entry in the partition's list. Measured once and rounded up.
pub(super) const SLOT_BYTES: usize = 320;

/// What a topic takes besides its name.
const TOPIC_BYTES: usize = 160;

/// The epoch of a session's second fetch: the first one has opened it.
const FIRST_EPOCH: i32 = 1;

/// A session of one client.
#[derive(Debug)]
pub(crate) struct FetchSession {
    id: SessionId,
    opened: Mono,
    /// In nanoseconds, as [`Mono`].
    used: AtomicU64,
    /// Partitions, as of its last fetch.
    len: AtomicUsize,
    open: AtomicBool,
    signal: Arc<Signal>,
    /// Taken by the request that uses the session, and so by one at a time, unless the client has
    /// given an earlier one up.
    state: Mutex<(SessionState, Share)>,
}

/// A partition's place in a session. It is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SlotId(u64);

impl SlotId {
    /// The first place of each session.
    pub(crate) const FIRST: Self = Self(0);
}

/// A topic as the session's client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
}

impl TopicKey {
    pub(crate) fn as_ref(&self) -> TopicRef<'_> {
        match self {
            Self::Name(name) => TopicRef::Name(name),
            Self::Id(id) => TopicRef::Id(*id),
        }
    }
}

/// What the client of a session was told of a partition last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// `None`: nothing, or an error; when that has gone, the partition is told of anew.
    high_watermark: Option<Offset>,
    log_start: Option<Offset>,
}

impl Told {
    fn of(bounds: &Bounds) -> Self {
        let high_watermark = Some(bounds.high_watermark.offset);
        Self { high_watermark, log_start: Some(bounds.log_start) }
    }
}

/// One partition of a session.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) topic: TopicKey,
    /// What the client wants of it.
    pub(crate) asked: FetchPartition,
    /// Where it was found last. Weak: a deleted partition's files must not stay open for it.
    pub(crate) found: Weak<Partition>,
    told: Told,
    /// It stands in the queue.
    queued: bool,
    /// The partition lists the session.
    watched: bool,
}

/// How a look at a partition has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// There is nothing to read.
    CaughtUp(Bounds),
    /// There are records: in the answer, or for want of room or of bytes in the page cache not yet.
    Records { bounds: Bounds, answered: bool },
    /// An error.
    Failed,
}

/// Topic by topic, the slots of partitions by their number.
type Places<T> = BTreeMap<T, BTreeMap<i32, SlotId>>;

/// Topics by what the request's version knows; a session keeps to one of them.
#[derive(Debug)]
enum Index {
    Names(Places<Arc<str>>),
    Ids(Places<Uuid>),
}

/// The session as its requests see it.
#[derive(Debug)]
pub(crate) struct SessionState {
    epoch: i32,
    slots: BTreeMap<SlotId, Slot>,
    index: Index,
    next_slot: SlotId,
    /// Slots that are to be looked at, in turn: those that moved or never were looked at, whose
    /// client has not been told the news, or that have more to read. All others are listed by
    /// their partitions, and come back when these move.
    queue: VecDeque<SlotId>,
    /// Partitions in the queue; what was forgotten stands there until its turn comes.
    queued: usize,
    /// Bytes of the topics' names.
    name_bytes: usize,
}

impl FetchSession {
    pub(super) fn new(id: SessionId, now: Mono, state: SessionState, share: Share) -> Self {
        Self {
            id,
            opened: now,
            used: AtomicU64::new(now.nanos()),
            len: AtomicUsize::new(state.len()),
            open: AtomicBool::new(true),
            signal: Arc::default(),
            state: Mutex::new((state, share)),
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn opened(&self) -> Mono {
        self.opened
    }

    pub(super) fn used(&self) -> Mono {
        Mono::from_nanos(self.used.load(Ordering::Relaxed))
    }

    pub(crate) fn touch(&self, now: Mono) {
        self.used.store(now.nanos(), Ordering::Relaxed);
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it was neither closed nor has given way.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    pub(crate) fn signal(&self) -> &Arc<Signal> {
        &self.signal
    }

    /// Works on the session.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut SessionState) -> T) -> T {
        work(&mut self.lock().0)
    }

    /// Works on the session in a way that may change its size; `None` if it has outgrown what there
    /// is for sessions, and has to be closed.
    pub(crate) fn resize<T>(&self, work: impl FnOnce(&mut SessionState) -> T) -> Option<T> {
        let mut locked = self.lock();
        let (state, share) = &mut *locked;
        let result = work(state);
        self.len.store(state.len(), Ordering::Relaxed);
        share.resize(state.bytes()).then_some(result)
    }

    fn lock(&self) -> MutexGuard<'_, (SessionState, Share)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionState {
    /// For a client that names topics by name.
    pub(crate) fn by_name() -> Self {
        Self::new(Index::Names(BTreeMap::new()))
    }

    /// For a client that names topics by id.
    pub(crate) fn by_id() -> Self {
        Self::new(Index::Ids(BTreeMap::new()))
    }

    fn new(index: Index) -> Self {
        Self {
            epoch: 0,
            slots: BTreeMap::new(),
            index,
            next_slot: SlotId::FIRST,
            queue: VecDeque::new(),
            queued: 0,
            name_bytes: 0,
        }
    }

    pub(super) fn enter_first_epoch(&mut self) {
        self.epoch = FIRST_EPOCH;
    }

    /// The epoch that the next request must have.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Goes on to the next epoch, and returns it.
    pub(crate) fn enter_next_epoch(&mut self) -> i32 {
        // 0 opens sessions and -1 ends them, so they go on at 1.
        self.epoch = self.epoch.checked_add(1).unwrap_or(FIRST_EPOCH);
        self.epoch
    }

    pub(crate) fn uses_ids(&self) -> bool {
        matches!(self.index, Index::Ids(_))
    }

    /// How many partitions it has.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Partitions with nothing to read and nothing to tell.
    pub(crate) fn quiet(&self) -> usize {
        self.slots.len() - self.queued
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES + self.index.topics() * TOPIC_BYTES + self.name_bytes
    }

    /// Adds a partition, or takes note of what the client wants of it now.
    pub(crate) fn put(&mut self, topic: TopicRef<'_>, asked: FetchPartition) -> SlotId {
        let fresh = self.next_slot;
        let (places, key) = self.index.enter(topic, &mut self.name_bytes);
        let id = *places.entry(asked.partition).or_insert(fresh);
        if id == fresh {
            self.next_slot = SlotId(fresh.0 + 1);
            let (found, told) = (Weak::new(), Told::default());
            let slot = Slot { topic: key, asked, found, told, queued: false, watched: false };
            self.slots.insert(id, slot);
        }
        let slot = self.slots.get_mut(&id).expect("an indexed slot exists");
        slot.asked = asked;
        if !std::mem::replace(&mut slot.queued, true) {
            self.queue.push_back(id);
            self.queued += 1;
        }
        id
    }

    /// Takes a partition away; the slot, if there was one.
    pub(crate) fn forget(&mut self, topic: TopicRef<'_>, partition: i32) -> Option<(SlotId, Slot)> {
        let id = self.index.remove(topic, partition, &mut self.name_bytes)?;
        let slot = self.slots.remove(&id).expect("an indexed slot exists");
        self.queued -= usize::from(slot.queued);
        Some((id, slot))
    }

    /// Puts those that have moved behind the others in the queue.
    pub(crate) fn take_moved(&mut self, signal: &Signal) {
        for (id, still_watched) in signal.take_moved() {
            // It may have been forgotten meanwhile.
            let Some(slot) = self.slots.get_mut(&id) else { continue };
            slot.watched = still_watched;
            if !std::mem::replace(&mut slot.queued, true) {
                self.queue.push_back(id);
                self.queued += 1;
            }
        }
    }

    /// The slots that are to be looked at, in turn; [`Self::settle`] must follow.
    pub(crate) fn take_turn(&mut self) -> Vec<SlotId> {
        let queue = std::mem::take(&mut self.queue);
        queue.into_iter().filter(|id| self.slots.contains_key(id)).collect()
    }

    /// # Panics
    /// If the slot was forgotten.
    pub(crate) fn slot_mut(&mut self, id: SlotId) -> &mut Slot {
        self.slots.get_mut(&id).expect("a slot of the turn is not forgotten in it")
    }

    /// Takes note of what an answer tells of a partition.
    pub(crate) fn on_answered(&mut self, id: SlotId, looked: Looked) {
        self.slot_mut(id).told = match looked {
            Looked::CaughtUp(bounds) | Looked::Records { bounds, .. } => Told::of(&bounds),
            Looked::Failed => Told::default(),
        };
    }

    /// Ends a turn, with what each look has come to, and the slots that were not looked at. Those
    /// without news leave the queue once their partitions list the session; those with records in
    /// an answer go to its end: they have had their turn. `watch` has a partition list the session,
    /// unless it has moved since it was looked at.
    pub(crate) fn settle(
        &mut self,
        looks: impl Iterator<Item = (SlotId, Looked)>,
        rest: &[SlotId],
        mut watch: impl FnMut(SlotId, &Slot, &Bounds) -> bool,
    ) {
        assert!(self.queue.is_empty(), "a turn was taken");
        let mut served = Vec::new();
        for (id, looked) in looks {
            let slot = self.slots.get_mut(&id).expect("nothing is forgotten in a turn");
            match looked {
                Looked::CaughtUp(bounds) if !slot.has_news(&bounds) => {
                    slot.watched = slot.watched || watch(id, slot, &bounds);
                    slot.queued = !slot.watched;
                }
                Looked::Records { answered: true, .. } => served.push(id),
                Looked::CaughtUp(_) | Looked::Records { .. } | Looked::Failed => {}
            }
            if !slot.queued {
                self.queued -= 1;
            } else if served.last() != Some(&id) {
                self.queue.push_back(id);
            }
        }
        self.queue.extend(rest);
        self.queue.extend(served);
    }
}

impl Slot {
    /// Whether the client has been told something else.
    pub(crate) fn has_news(&self, bounds: &Bounds) -> bool {
        self.told != Told::of(bounds)
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched
    }

    pub(crate) fn set_watched(&mut self, watched: bool) {
        self.watched = watched;
    }
}

impl Index {
    fn topics(&self) -> usize {
        match self {
            Self::Names(places) => places.len(),
            Self::Ids(places) => places.len(),
        }
    }

    /// The places of a topic, made where there are none; requests whose version does not fit the
    /// session have been refused.
    fn enter(
        &mut self,
        topic: TopicRef<'_>,
        name_bytes: &mut usize,
    ) -> (&mut BTreeMap<i32, SlotId>, TopicKey) {
        match (self, topic) {
            (Self::Names(places), TopicRef::Name(name)) => {
                let known = places.get_key_value(name).map(|(key, _)| Arc::clone(key));
                let key = known.unwrap_or_else(|| {
                    *name_bytes += name.len();
                    name.into()
                });
                (places.entry(Arc::clone(&key)).or_default(), TopicKey::Name(key))
            }
            (Self::Ids(places), TopicRef::Id(id)) => {
                (places.entry(id).or_default(), TopicKey::Id(id))
            }
            (Self::Names(_), TopicRef::Id(_)) | (Self::Ids(_), TopicRef::Name(_)) => {
                unreachable!("the version of a request decides how it names topics")
            }
        }
    }

    fn remove(
        &mut self,
        topic: TopicRef<'_>,
        partition: i32,
        name_bytes: &mut usize,
    ) -> Option<SlotId> {
        match (self, topic) {
            (Self::Names(places), TopicRef::Name(name)) => {
                let of_topic = places.get_mut(name)?;
                let id = of_topic.remove(&partition)?;
                if of_topic.is_empty() {
                    places.remove(name);
                    *name_bytes -= name.len();
                }
                Some(id)
            }
            (Self::Ids(places), TopicRef::Id(topic)) => {
                let of_topic = places.get_mut(&topic)?;
                let id = of_topic.remove(&partition)?;
                if of_topic.is_empty() {
                    places.remove(&topic);
                }
                Some(id)
            }
            (Self::Names(_), TopicRef::Id(_)) | (Self::Ids(_), TopicRef::Name(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_log::LogPosition;

    use super::*;

    const PARTITIONS: i32 = 5_000;

    fn asked(partition: i32) -> FetchPartition {
        FetchPartition {
            partition,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 1,
            replica_directory_id: Uuid::ZERO,
            high_watermark: -1,
        }
    }

    fn bounds(end: i64) -> Bounds {
        let end = LogPosition { offset: Offset::new(end), segment_base: Offset::ZERO, position: 0 };
        let log_start = Offset::ZERO;
        Bounds {
            log_start,
            high_watermark: end,
            log_end: end,
            newest: end,
            last_stable: end.offset,
        }
    }

    /// A session that has been told all there is of empty partitions.
    fn quiet() -> (SessionState, Vec<SlotId>) {
        let mut state = SessionState::by_name();
        let ids: Vec<_> =
            (0..PARTITIONS).map(|n| state.put(TopicRef::Name("topic"), asked(n))).collect();
        let looked = Looked::CaughtUp(bounds(0));
        ids.iter().for_each(|id| state.on_answered(*id, looked));
        let turn = state.take_turn();
        state.settle(turn.iter().map(|id| (*id, looked)), &[], |_, _, _| true);
        (state, ids)
    }

    #[test]
    fn only_what_has_moved_is_looked_at() {
        let (mut state, ids) = quiet();
        assert_eq!((state.take_turn().len(), state.quiet()), (0, ids.len()));
        let signal = Signal::default();
        for id in [ids[7], ids[4_000], ids[7]] {
            signal.on_moved(id, crate::partition::Visible { committed: 1, stable: 1 });
        }
        state.take_moved(&signal);
        assert_eq!(state.take_turn(), [ids[7], ids[4_000]]);
    }

    #[test]
    fn what_moved_while_it_was_looked_at_is_looked_at_again() {
        let (mut state, ids) = quiet();
        state.put(TopicRef::Name("topic"), asked(3));
        let turn = state.take_turn();
        assert_eq!(turn, [ids[3]]);
        // Listed already: the partition is not asked again.
        let looked = |id| std::iter::once((id, Looked::CaughtUp(bounds(0))));
        state.settle(looked(ids[3]), &[], |_, _, _| unreachable!("it is watched"));
        let signal = Signal::default();
        signal.on_moved(ids[3], crate::partition::Visible { committed: 1, stable: 1 });
        state.take_moved(&signal);
        let turn = state.take_turn();
        state.settle(turn.iter().flat_map(|id| looked(*id)), &[], |_, _, _| false);
        assert_eq!(state.take_turn(), [ids[3]], "it had moved on");
    }

    #[test]
    #[rustfmt::skip]
    fn those_that_were_served_come_last() {
        let (bounds, again) = (bounds(9), false);
        let served = Looked::Records { bounds, answered: true };
        let full = Looked::Records { bounds, answered: again };
        check(&[],                               &[0, 1, 2, 3]);
        check(&[served],                         &[1, 2, 3, 0]);
        check(&[served, full],                   &[1, 2, 3, 0]);
        check(&[full, served, Looked::Failed],   &[0, 2, 3, 1]);
        check(&[served, served, served, served], &[0, 1, 2, 3]);
        // News that were not told keep it; without any it is listed by its partition.
        check(&[Looked::CaughtUp(bounds)],       &[0, 1, 2, 3]);
        check(&[Looked::CaughtUp(self::bounds(0))], &[1, 2, 3]);
    }

    /// Looks at the first of four partitions, whose clients know them to be empty.
    fn check(looks: &[Looked], next: &[u64]) {
        let mut state = SessionState::by_name();
        for n in 0..4 {
            let id = state.put(TopicRef::Name("topic"), asked(n));
            state.on_answered(id, Looked::CaughtUp(bounds(0)));
        }
        let turn = state.take_turn();
        let looked = turn.iter().copied().zip(looks.iter().copied());
        state.settle(looked, &turn[looks.len()..], |_, _, _| true);
        let next: Vec<_> = next.iter().map(|n| SlotId(*n)).collect();
        assert_eq!(state.take_turn(), next, "{looks:?}");
    }

    #[test]
    fn a_forgotten_partition_leaves_nothing_behind() {
        let (mut state, ids) = quiet();
        let full = state.bytes();
        for n in 0..PARTITIONS {
            let (id, slot) = state.forget(TopicRef::Name("topic"), n).unwrap();
            assert!(slot.is_watched() && ids.contains(&id));
        }
        assert!(state.forget(TopicRef::Name("topic"), 0).is_none());
        assert!(state.forget(TopicRef::Name("other"), 0).is_none());
        assert_eq!((state.len(), state.quiet(), state.bytes()), (0, 0, 0));
        assert!(full > ids.len() * SLOT_BYTES);
        // Added again, it is another slot: whoever listed the old one cannot mean it.
        let fresh = state.put(TopicRef::Name("topic"), asked(0));
        assert!(!ids.contains(&fresh));
    }

    #[test]
    fn a_session_s_epochs_go_round_without_those_that_mean_something() {
        let mut state = SessionState::by_name();
        state.enter_first_epoch();
        assert_eq!(state.epoch(), 1);
        assert_eq!(state.enter_next_epoch(), 2);
        state.epoch = i32::MAX;
        assert_eq!(state.enter_next_epoch(), 1);
    }
}
