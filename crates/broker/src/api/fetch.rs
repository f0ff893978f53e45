//! Fetch: batches out of partitions, as file ranges that nobody copies.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::Mono;
use ottla_wire::ErrorCode;
use ottla_wire::hot::FetchRequest;

use super::Refused;
use super::fetch_answer::{Head, write_answer, write_error};
use super::fetch_incremental::{self, Incremental};
use super::fetch_read::{FetchRoom, Found, PartitionRead, Pass, Wanted, Warmed};
use super::legacy_fetch::{self, MESSAGES_UNTIL};
use super::topic_cursor::TopicCursor;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled};
use crate::fetch_session::SessionId;
use crate::partition::{Cold, Isolation, Partition};

/// Kafka's `fetch.max.bytes`: the largest answer, whatever the client asks for.
const ANSWER_BYTES_MAX: u32 = 55 * 1024 * 1024;

/// Partitions that one request may name, counted as often as it names them. What is kept of each
/// while it is looked at and in a session is below 600 bytes: 120 MB for all, about what the frame
/// may have. Apache Kafka advises a fiftieth of it for a whole broker.
const PARTITIONS_MAX: usize = 200_000;

/// What a named partition has at least: its number, an offset, and how many bytes to read.
const PARTITION_BYTES_MIN: usize = 16;

/// The session epoch that closes a session, or does without one.
const SESSION_EPOCH_FINAL: i32 = -1;
/// The session epoch that asks for a new session.
const SESSION_EPOCH_INITIAL: i32 = 0;

/// A fetch that could not be answered at once.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// When it is answered whatever there is.
    pub(crate) deadline: Mono,
    kind: Kind,
    warmed: Option<Warmed>,
}

/// What a fetch has to do with sessions (KIP-227).
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It names its partitions, and does without one.
    Sessionless,
    /// It names its partitions, and opens one.
    Opening,
    /// It goes on with one, which knows its partitions.
    Incremental(Incremental),
}

/// A request and what was made of it, for as long as it is looked at.
pub(super) struct Fetch<'a> {
    pub(super) request: FetchRequest<'a>,
    pub(super) head: Head,
    pub(super) wanted: Wanted<'a>,
    pub(super) now: Mono,
    pub(super) deadline: Mono,
}

/// Handles a Fetch request; `waited` is set when it has waited before.
pub(super) fn handle(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    body: &[u8],
    waited: Option<Waiting>,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let request = FetchRequest::decode(body, version)?;
    refuse_too_many(&request, body.len())?;
    let isolation = Isolation::from_wire(request.isolation_level);
    let head = Head { header, version, isolation, session: None };
    let (kind, deadline, warmed) = match waited {
        Some(Waiting { deadline, kind, warmed }) => (kind, deadline, warmed),
        None => match kind_of(channel, &request, version, now) {
            Ok(kind) => {
                let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
                (kind, now.after(wait), None)
            }
            Err(error) => {
                write_error(channel, head, error)?;
                return Ok(Handled::Done);
            }
        },
    };
    let bytes = u32::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let wanted = Wanted { bytes, isolation, warmed: warmed.as_ref() };
    let fetch = Fetch { request, head, wanted, now, deadline };
    match kind {
        Kind::Incremental(incremental) => {
            fetch_incremental::handle(channel, &fetch, incremental, cx)
        }
        Kind::Sessionless | Kind::Opening => handle_full(channel, &fetch, kind, cx),
    }
}

/// A list that lies in its frame takes no memory; what is made of it does.
fn refuse_too_many(request: &FetchRequest<'_>, body_len: usize) -> Result<(), Refused> {
    // They are counted only where there is room for so many.
    let may_be = body_len / PARTITION_BYTES_MIN > PARTITIONS_MAX;
    if may_be && request.partitions.clone().nth(PARTITIONS_MAX).is_some() {
        return Err(Refused::TooManyPartitions { max: PARTITIONS_MAX });
    }
    Ok(())
}

/// Closes the session that a full request names, and finds the one that an incremental one does.
fn kind_of(
    channel: &mut Channel,
    request: &FetchRequest<'_>,
    version: i16,
    now: Mono,
) -> Result<Kind, ErrorCode> {
    let named = SessionId::from_wire(request.session_id);
    let kind = match request.session_epoch {
        SESSION_EPOCH_FINAL => Kind::Sessionless,
        SESSION_EPOCH_INITIAL => Kind::Opening,
        _ => return fetch_incremental::resume(channel, request, version, now),
    };
    named.into_iter().for_each(|named| channel.broker.fetch_sessions.close(named));
    Ok(kind)
}

/// A fetch that names all its partitions.
fn handle_full(
    channel: &mut Channel,
    fetch: &Fetch<'_>,
    kind: Kind,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let mut room = channel.lane.fetch_room();
    let handled = answer_full(channel, fetch, kind, &mut room, cx);
    channel.lane.keep_fetch_room(room);
    handled
}

fn answer_full(
    channel: &mut Channel,
    fetch: &Fetch<'_>,
    kind: Kind,
    room: &mut FetchRoom,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let pass = read_all(channel, fetch, room);
    let missing = fetch.missing(&pass);
    if missing <= 0 {
        channel.fetch_waiter.disarm();
        speculate(channel, &pass.cold);
        speculate(channel, &pass.next);
        let session = match kind {
            Kind::Opening => fetch_incremental::open(channel, fetch, &room.reads),
            Kind::Sessionless | Kind::Incremental(_) => None,
        };
        if fetch.head.version <= MESSAGES_UNTIL {
            legacy_fetch::convert(channel, fetch, room);
        }
        let topics = fetch.request.partitions.clone().map(|entry| entry.topic);
        write_answer(channel, Head { session, ..fetch.head }, topics, room)?;
        return Ok(Handled::Done);
    }
    if !pass.cold.is_empty() {
        return Ok(Handled::Kept(warm(channel, &pass, fetch.deadline, kind)));
    }
    channel.fetch_waiter.arm(missing, fetch.wanted.isolation, cx.waker());
    let waiter = &channel.fetch_waiter;
    let parks = |found: &Found| found.partition.park_fetch(&found.bounds, waiter);
    if !room.reads.iter().filter_map(|read| read.found.as_ref().ok()).all(parks) {
        cx.waker().wake_by_ref();
    }
    Ok(Handled::Kept(parked(fetch.deadline, kind)))
}

impl Fetch<'_> {
    /// Bytes that the answer must wait for; none if it has them, or waiting brings nothing.
    pub(super) fn missing(&self, pass: &Pass) -> i64 {
        // Nobody waits for more than the answer may hold.
        let least = i64::from(self.request.min_bytes).min(i64::from(self.wanted.bytes));
        // What is on the device is there: at the deadline too it is waited for, unless there is
        // something else to answer with.
        let comes = !pass.cold.is_empty() && pass.bytes == 0;
        let late = self.now >= self.deadline && !comes;
        let least = if comes { least.max(1) } else { least };
        match pass.urgent || late || pass.found == 0 {
            true => 0,
            false => least - i64::from(pass.bytes),
        }
    }
}

/// A fetch that waits for bytes to be written.
pub(super) fn parked(deadline: Mono, kind: Kind) -> Blocked {
    Blocked::Fetch(Waiting { deadline, kind, warmed: None })
}

/// A fetch that waits for bytes to be read: the first that are cold; others are read on the side.
pub(super) fn warm(channel: &Channel, pass: &Pass, deadline: Mono, kind: Kind) -> Blocked {
    let (first, others) = pass.cold.split_first().expect("something is cold");
    speculate(channel, others);
    let env = channel.broker.env.clone();
    let (directory, cold) = (Arc::clone(first.0.directory()), first.1.clone());
    Blocked::Warming(Box::pin(async move {
        let read = directory.read_ahead.warm(&env, &cold).await;
        if let Err(error) = &read {
            tracing::error!(?cold, %error, "the device cannot read a segment");
        }
        Waiting { deadline, kind, warmed: Some(Warmed { cold, readable: read.is_ok() }) }
    }))
}

/// Has bytes read that this fetch does without, for the next one.
pub(super) fn speculate(channel: &Channel, cold: &[(Arc<Partition>, Cold)]) {
    for (partition, cold) in cold {
        partition.directory().read_ahead.speculate(&channel.broker.env, cold.clone());
    }
}

fn read_all(channel: &Channel, fetch: &Fetch<'_>, room: &mut FetchRoom) -> Pass {
    let mut pass = Pass::default();
    let mut topics = TopicCursor::default();
    let partitions = &channel.broker.partitions;
    for entry in fetch.request.partitions.clone() {
        let asked = &entry.partition;
        let found = match topics.seek(partitions, entry.topic) {
            // Nobody follows a partition that has one replica.
            Ok(_) if fetch.request.replica_id >= 0 => {
                pass.urgent = true;
                Err(ErrorCode::NotLeaderOrFollower)
            }
            Ok(topic) => pass.read(topic, asked, fetch.wanted, &mut room.copied),
            Err(error) => Err(error),
        };
        room.reads.push(PartitionRead { index: asked.partition, found });
    }
    pass
}
