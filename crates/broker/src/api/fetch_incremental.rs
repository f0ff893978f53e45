//! Fetches that go on with a session: they look at what has moved, and tell what is news.

use std::sync::Arc;
use std::task::Context;

use ottla_env::Mono;
use ottla_wire::ErrorCode;
use ottla_wire::hot::FetchRequest;

use super::Refused;
use super::fetch::{Fetch, Kind, parked, speculate, warm};
use super::fetch_answer::{Head, write_answer, write_error};
use super::fetch_read::{FetchRoom, Found, PartitionRead, Pass, believed_epoch, check_epoch};
use super::topic_cursor::TopicCursor;
use crate::connection::{Channel, Handled};
use crate::fetch_session::{FetchSession, Looked, SessionId, SessionState, Slot, SlotId, TopicKey};
use crate::partition::{Bounds, Partition, Partitions};

/// The first version that names topics by id.
const TOPIC_ID_SINCE: i16 = 13;

/// A fetch of a session, in one epoch of it.
#[derive(Clone, Debug)]
pub(super) struct Incremental {
    session: Arc<FetchSession>,
    /// The epoch that the session has entered with this request: if it has gone on, the client has
    /// given the request up.
    epoch: i32,
}

/// A look at one partition of a session.
struct Look {
    slot: SlotId,
    topic: TopicKey,
    looked: Looked,
    read: PartitionRead,
}

/// Opens a session over what a full fetch is answered; `None` if there is no room.
pub(super) fn open(
    channel: &mut Channel,
    fetch: &Fetch<'_>,
    reads: &[PartitionRead],
) -> Option<SessionId> {
    let state = || {
        let mut state = match fetch.head.version >= TOPIC_ID_SINCE {
            true => SessionState::by_id(),
            false => SessionState::by_name(),
        };
        for (entry, read) in fetch.request.partitions.clone().zip(reads) {
            let slot = state.put(entry.topic, entry.partition);
            state.on_answered(slot, looked(&read.found));
        }
        state
    };
    let (sessions, rng) = (&channel.broker.fetch_sessions, &*channel.broker.env.rng);
    let session = sessions.open(rng, fetch.now, reads.len(), state)?;
    let id = session.id();
    tracing::debug!(?id, partitions = reads.len(), "fetch session opened");
    channel.fetch_session = Some(session);
    Some(id)
}

fn looked(found: &Result<Found, ErrorCode>) -> Looked {
    match found {
        Ok(Found { bounds, caught_up: true, .. }) => Looked::CaughtUp(*bounds),
        Ok(Found { bounds, records, .. }) => {
            Looked::Records { bounds: *bounds, answered: records.is_some() }
        }
        Err(_) => Looked::Failed,
    }
}

/// Goes on with the session that a request names: takes note of what it changes.
pub(super) fn resume(
    channel: &mut Channel,
    request: &FetchRequest<'_>,
    version: i16,
    now: Mono,
) -> Result<Kind, ErrorCode> {
    let unknown = ErrorCode::FetchSessionIdNotFound;
    let id = SessionId::from_wire(request.session_id).ok_or(unknown)?;
    let session = find(channel, id).ok_or(unknown)?;
    let entered = session.resize(|state| {
        if state.epoch() != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if state.uses_ids() != (version >= TOPIC_ID_SINCE) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        update(state, &session, request);
        Ok((state.len() > 0).then(|| state.enter_next_epoch()))
    });
    // It has outgrown what there is for sessions: the client tries again without.
    let Some(entered) = entered else {
        channel.broker.fetch_sessions.close(id);
        return Err(unknown);
    };
    let Some(epoch) = entered? else {
        channel.broker.fetch_sessions.close(id);
        return Ok(Kind::Sessionless);
    };
    session.touch(now);
    Ok(Kind::Incremental(Incremental { session, epoch }))
}

/// A connection remembers the session that it used last.
fn find(channel: &mut Channel, id: SessionId) -> Option<Arc<FetchSession>> {
    let known = channel.fetch_session.as_ref();
    if let Some(known) = known.filter(|known| known.id() == id && known.is_open()) {
        return Some(Arc::clone(known));
    }
    channel.fetch_session = channel.broker.fetch_sessions.get(id);
    channel.fetch_session.clone()
}

fn update(state: &mut SessionState, session: &FetchSession, request: &FetchRequest<'_>) {
    for entry in request.partitions.clone() {
        state.put(entry.topic, entry.partition);
    }
    for entry in request.forgotten.clone() {
        let Some((id, slot)) = state.forget(entry.topic, entry.partition) else { continue };
        if let Some(partition) = slot.found.upgrade().filter(|_| slot.is_watched()) {
            partition.unwatch(session.signal(), id);
        }
    }
}

/// Looks at the partitions of a session that may have news, and answers or waits.
pub(super) fn handle(
    channel: &mut Channel,
    fetch: &Fetch<'_>,
    incremental: Incremental,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let mut room = channel.lane.fetch_room();
    let handled = answer_news(channel, fetch, incremental, &mut room, cx);
    channel.lane.keep_fetch_room(room);
    handled
}

fn answer_news(
    channel: &mut Channel,
    fetch: &Fetch<'_>,
    incremental: Incremental,
    room: &mut FetchRoom,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let session = Arc::clone(&incremental.session);
    let head = Head { session: Some(session.id()), ..fetch.head };
    session.with(|state| {
        if state.epoch() != incremental.epoch {
            write_error(channel, head, ErrorCode::InvalidFetchSessionEpoch)?;
            return Ok(Handled::Done);
        }
        state.take_moved(session.signal());
        let turn = state.take_turn();
        let (pass, looks) = look(channel, fetch, state, &turn, &mut room.copied);
        let rest = &turn[looks.len()..];
        let missing = fetch.missing(&pass);
        if missing <= 0 {
            session.signal().unpark();
            speculate(channel, &pass.cold);
            speculate(channel, &pass.next);
            let news = tell(state, &looks);
            settle(state, &session, &looks, rest);
            answer(channel, head, looks, &news, room)?;
            return Ok(Handled::Done);
        }
        let (deadline, kind) = (fetch.deadline, Kind::Incremental(incremental));
        if !pass.cold.is_empty() {
            settle(state, &session, &looks, rest);
            return Ok(Handled::Kept(warm(channel, &pass, deadline, kind)));
        }
        // Parked first: whoever moves from now on wakes it.
        let parks = session.signal().park(missing, fetch.wanted.isolation, cx.waker());
        settle(state, &session, &looks, rest);
        if !(watch_found(state, &session, &looks) && parks) {
            cx.waker().wake_by_ref();
        }
        Ok(Handled::Kept(parked(deadline, kind)))
    })
}

/// Reads the partitions whose turn it is until the answer is full.
fn look(
    channel: &Channel,
    fetch: &Fetch<'_>,
    state: &mut SessionState,
    turn: &[SlotId],
    copied: &mut Vec<u8>,
) -> (Pass, Vec<Look>) {
    let mut pass = Pass { found: state.quiet(), ..Pass::default() };
    let mut looks = Vec::new();
    for id in turn {
        if pass.bytes > 0 && pass.bytes >= fetch.wanted.bytes {
            break;
        }
        let slot = state.slot_mut(*id);
        let found = match locate(&channel.broker.partitions, slot) {
            // Nobody follows a partition that has one replica.
            Ok(_) if fetch.request.replica_id >= 0 => {
                pass.urgent = true;
                Err(ErrorCode::NotLeaderOrFollower)
            }
            Ok(partition) => pass.read_partition(&partition, &slot.asked, fetch.wanted, copied),
            Err(error) => Err(error),
        };
        let (topic, looked) = (slot.topic.clone(), looked(&found));
        let read = PartitionRead { index: slot.asked.partition, found };
        looks.push(Look { slot: *id, topic, looked, read });
    }
    (pass, looks)
}

/// The partition of a slot, looked up by its name or id where it is not known or was deleted.
fn locate(partitions: &Partitions, slot: &mut Slot) -> Result<Arc<Partition>, ErrorCode> {
    if let Some(partition) = slot.found.upgrade().filter(|partition| !partition.is_gone()) {
        return Ok(partition);
    }
    let mut topics = TopicCursor::default();
    let topic = topics.seek(partitions, slot.topic.as_ref())?;
    let partition = Arc::clone(topic.partition(slot.asked.partition)?);
    slot.found = Arc::downgrade(&partition);
    slot.set_watched(false);
    Ok(partition)
}

/// Takes note of what the answer tells, and says which looks it consists of.
fn tell(state: &mut SessionState, looks: &[Look]) -> Vec<bool> {
    let tells = |look: &Look| {
        let news = match &look.looked {
            Looked::CaughtUp(bounds) | Looked::Records { bounds, answered: false } => {
                state.slot_mut(look.slot).has_news(bounds)
            }
            Looked::Records { answered: true, .. } | Looked::Failed => true,
        };
        if news {
            state.on_answered(look.slot, look.looked);
        }
        news
    };
    looks.iter().map(tells).collect()
}

/// Puts the queue in order again; the partitions of slots that leave it list the session.
fn settle(state: &mut SessionState, session: &FetchSession, looks: &[Look], rest: &[SlotId]) {
    let looked = looks.iter().map(|look| (look.slot, look.looked));
    state.settle(looked, rest, |id, slot, bounds| watch(session, id, slot, bounds));
}

/// Has the partitions list the session that could still give the fetch what it waits for; false
/// if one of them has moved already.
fn watch_found(state: &mut SessionState, session: &FetchSession, looks: &[Look]) -> bool {
    let mut all = true;
    for look in looks {
        let (Looked::CaughtUp(bounds) | Looked::Records { bounds, .. }) = look.looked else {
            continue;
        };
        let slot = state.slot_mut(look.slot);
        if !slot.is_watched() {
            let watched = watch(session, look.slot, slot, &bounds);
            slot.set_watched(watched);
            all &= watched;
        }
    }
    all
}

/// Has a partition list the session, if the client's idea of it is still right.
fn watch(session: &FetchSession, id: SlotId, slot: &Slot, seen: &Bounds) -> bool {
    let Some(partition) = slot.found.upgrade() else { return false };
    let watched = partition.watch(seen, session.signal(), id);
    watched && check_epoch(&partition, believed_epoch(&slot.asked)).is_ok()
}

/// Answers with the looks that are `news`.
fn answer(
    channel: &mut Channel,
    head: Head,
    looks: Vec<Look>,
    news: &[bool],
    room: &mut FetchRoom,
) -> Result<(), Refused> {
    let looked = looks.len();
    let mut topics = Vec::with_capacity(looked);
    for (look, _) in looks.into_iter().zip(news).filter(|(_, news)| **news) {
        topics.push(look.topic);
        room.reads.push(look.read);
    }
    tracing::trace!(session = ?head.session, looked, told = topics.len(), "incremental fetch");
    write_answer(channel, head, topics.iter().map(TopicKey::as_ref), room)
}
