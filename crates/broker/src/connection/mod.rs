//! One client connection: frames in, answers out, in order.
//!
//! A connection is one task on one loop. A pass reads what has arrived, handles every whole frame
//! in it and writes the answers together. Kafka handles one request of a connection at a time;
//! here, only Produce may start while earlier Produce of the same connection wait for their high
//! watermark. Every other request that has to wait stops the connection until it is answered.

mod gathering;
mod inbound;
mod lane;
mod memory;
mod outbox;
mod parked;
mod patience;
mod stopwatch;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ottla_env::{Mono, Part, Socket, Stream, Timer};
use ottla_types::limits::PARKED_PRODUCE_MAX;

use crate::api::gathered::{GatheredProduce, Settled};
use crate::api::{self, Refused};
use crate::broker::{Broker, Listening};
use crate::clients::Known;
use crate::fetch_session::FetchSession;
use crate::partition::{Cold, ColdRecords, FetchWaiter};
use inbound::{FrameLength, Front, Inbound, frame_end};
use memory::{FREE_BYTES, Holding};
use patience::{LOOK_EVERY, Late, Patience, State};

pub(crate) use gathering::{GATHERED_BATCH_BYTES_MAX, Ticket};
pub(crate) use lane::Lane;
pub(crate) use memory::RequestMemory;
pub(crate) use outbox::{AnswerHeader, Outbox};
pub(crate) use parked::{ParkedProduce, Parking, Wait, WaitCodes};
use stopwatch::{Run, Stopwatch};

/// Answers that may wait for a slow peer before its next request is looked at.
const OUTBOX_BYTES_PAUSE: u64 = 256 * 1024;

/// How long a connection that was refused something may take to receive its last answers.
const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(30);

/// How long file ranges that wait for the peer are believed to be in the page cache, where they
/// were when they were put there. A peer that takes its answers is never asked twice.
const CACHED_TIME: Duration = Duration::from_millis(100);

/// Passes before the loop's other connections get their turn.
const PASSES_MAX: usize = 8;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error("the peer closed it")]
    ByPeer,
    #[error(transparent)]
    Broken(#[from] io::Error),
    #[error(transparent)]
    FrameLength(#[from] FrameLength),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Late(#[from] Late),
}

/// What a connection takes along when it goes to another loop.
#[derive(Debug)]
pub(crate) struct Luggage {
    inbound: Inbound,
    fetch_session: Option<Arc<FetchSession>>,
    software: Option<Known>,
    holding: Holding,
    patience: Patience,
    requests: u64,
    moved_at: Mono,
    wrote_at: Mono,
}

/// How a connection's time on a loop ends.
pub(crate) enum Ended {
    Closed(Closed),
    /// Between two requests, with nothing to answer.
    Leaves(Box<dyn Socket>, Box<Luggage>),
}

/// An answer that is not there yet, while nothing else may start.
pub(crate) enum Blocked {
    /// A fetch that waits for bytes; its frame is kept and looked at again.
    Fetch(api::fetch::Waiting),
    /// A fetch whose file pages are being read; looked at again afterwards.
    Warming(Pin<Box<dyn Future<Output = api::fetch::Waiting>>>),
    /// An append that waits for room; its frame is kept, with what was done so far.
    Produce(api::produce::Progress),
    /// A request that is answered elsewhere.
    Elsewhere { header: AnswerHeader, answer: api::Later },
}

/// What a frame came to.
pub(crate) enum Handled {
    /// Answered, or its answer is on its way: the next frame may be looked at.
    Done,
    /// Its frame is kept and handled again once the connection is woken.
    Kept(Blocked),
    /// The frame is done with, but nothing else may start before the answer.
    Blocked(Blocked),
}

/// Answers in the order of their requests.
enum Slot {
    Ready(Outbox),
    /// Its batch is appended at the end of the loop's pass.
    Gathered(GatheredProduce, Run),
    Waiting(ParkedProduce, Run),
}

/// The state that handlers of the hot path work on.
pub(crate) struct Channel {
    pub(crate) broker: Arc<Broker>,
    pub(crate) listening: Arc<Listening>,
    /// Where the client connects from.
    pub(crate) peer: IpAddr,
    pub(crate) fetch_waiter: Arc<FetchWaiter>,
    /// The fetch session that was used last.
    pub(crate) fetch_session: Option<Arc<FetchSession>>,
    pub(crate) outbox: Outbox,
    /// What the client says that it is.
    pub(crate) software: Option<Known>,
    pub(crate) lane: Rc<Lane>,
    pub(crate) stopwatch: Stopwatch,
    slots: VecDeque<Slot>,
    /// Of the slots, those whose batches were gathered.
    gathered: usize,
    /// One was in this turn: the loop's other connections come first now.
    gathers: bool,
}

impl Channel {
    /// Whether answers go out at once: none that is older waits.
    pub(crate) fn is_in_order(&self) -> bool {
        self.slots.is_empty()
    }

    /// Sends an answer behind those that wait.
    pub(crate) fn answer<E>(
        &mut self,
        write: impl FnOnce(&mut Outbox) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.slots.is_empty() {
            return write(&mut self.outbox);
        }
        let mut later = Outbox::default();
        write(&mut later)?;
        self.slots.push_back(Slot::Ready(later));
        Ok(())
    }

    /// Sends an answer that has its body already.
    pub(crate) fn answer_body(&mut self, header: AnswerHeader, body: &[u8]) {
        let written: Result<(), Infallible> = self.answer(|outbox| {
            outbox.answer(header, |buffer| {
                buffer.extend_from_slice(body);
                Ok(())
            })
        });
        written.unwrap_or_else(|never| match never {});
    }

    /// Sends an answer once its appends are committed.
    pub(crate) fn park(&mut self, parked: ParkedProduce) {
        assert!(self.slots.len() < PARKED_PRODUCE_MAX, "more parked than may be");
        self.slots.push_back(Slot::Waiting(parked, self.stopwatch.put_off()));
    }

    /// Sends an answer once its batch has been appended with others'.
    pub(crate) fn gather(&mut self, gathered: GatheredProduce) {
        assert!(self.slots.len() < PARKED_PRODUCE_MAX, "more parked than may be");
        self.slots.push_back(Slot::Gathered(gathered, self.stopwatch.put_off()));
        self.gathered += 1;
        self.gathers = true;
    }

    /// Has appended what was gathered of this connection, if there is something, and with it what
    /// was of others.
    pub(crate) fn append_gathered(&mut self) {
        if self.gathered > 0 {
            self.lane.gathering().append(&self.broker.env);
        }
    }

    /// Has appended what was gathered of this connection; false if there was no room for it, and
    /// what comes behind it has to wait.
    pub(crate) fn has_caught_up(&mut self) -> bool {
        self.append_gathered();
        !self.is_held()
    }

    /// Whether there was no room for a batch that was gathered: nothing may pass it.
    pub(crate) fn is_held(&self) -> bool {
        let held = |slot: &Slot| matches!(slot, Slot::Gathered(it, _) if it.is_parked());
        self.gathered > 0 && self.slots.iter().any(held)
    }

    /// The request at hand has its answer, or is done with without one.
    fn on_done(&mut self) {
        if let Some(run) = self.stopwatch.stop() {
            self.lane.keep_time(run);
        }
    }

    /// Counts the requests that were answered since the last look at the clock.
    fn count_times(&self, now: Mono) {
        let (counters, on) = (&self.broker.counters, self.stopwatch.on());
        self.lane.take_times(|run| run.count(counters, on, now));
    }

    /// Moves answers that are ready to the outbox.
    fn settle(&mut self, now: Mono) -> bool {
        let before = self.slots.len();
        while let Some(slot) = self.slots.pop_front() {
            match slot {
                Slot::Ready(answer) => self.outbox.append(answer),
                Slot::Gathered(gathered, run) => match gathered.settle(self) {
                    Settled::Answered(parking) => {
                        self.gathered -= 1;
                        self.outbox.copy(&parking.answer);
                        self.lane.keep_parking(parking);
                        self.lane.keep_time(run);
                    }
                    Settled::Waits(parked) => {
                        self.gathered -= 1;
                        self.slots.push_front(Slot::Waiting(parked, run));
                    }
                    Settled::NotYet(gathered) => {
                        self.slots.push_front(Slot::Gathered(gathered, run));
                        break;
                    }
                },
                Slot::Waiting(parked, run) => match parked.settle(now) {
                    Ok(parking) => {
                        self.outbox.copy(&parking.answer);
                        self.lane.keep_parking(parking);
                        self.lane.keep_time(run);
                    }
                    Err(parked) => {
                        self.slots.push_front(Slot::Waiting(parked, run));
                        break;
                    }
                },
            }
        }
        before != self.slots.len()
    }

    /// When the oldest waiting answer is due, committed or not.
    fn deadline(&self) -> Option<Mono> {
        self.slots.iter().find_map(|slot| match slot {
            Slot::Waiting(parked, _) => Some(parked.deadline()),
            Slot::Ready(_) | Slot::Gathered(..) => None,
        })
    }
}

/// One client connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    timer: Box<dyn Timer>,
    inbound: Inbound,
    blocked: Option<Blocked>,
    ending: Option<Ending>,
    /// It should go to another loop, and takes no more requests here.
    leaving: bool,
    /// When all file ranges that wait to be sent were in the page cache.
    cached_at: Mono,
    /// The one that was looked at since.
    looked: Option<Looked>,
    /// They are not any more, and are read from the device again.
    rereading: Option<Pin<Box<dyn Future<Output = ()>>>>,
    /// What it holds of the memory that all connections share.
    holding: Holding,
    patience: Patience,
    look_timer: Box<dyn Timer>,
    /// Passes that have handled a request.
    requests: u64,
    /// When the last bytes came or went, and when they went.
    moved_at: Mono,
    wrote_at: Mono,
    channel: Channel,
}

/// A look at the file range that is sent next, which ends there.
#[derive(Clone, Copy, Debug)]
struct Looked {
    end: u64,
    at: Mono,
}

/// A connection that takes no more requests, but still owes answers to those before.
struct Ending {
    why: Closed,
    /// When it ends whether or not the peer has taken its answers.
    deadline: Mono,
}

impl Connection {
    pub(crate) fn new(
        broker: Arc<Broker>,
        listening: Arc<Listening>,
        peer: IpAddr,
        lane: Rc<Lane>,
        stream: Box<dyn Stream>,
    ) -> Self {
        let timer = broker.env.clock.timer();
        let look_timer = broker.env.clock.timer();
        let now = broker.env.clock.mono();
        let holding = Holding::new(&broker.request_memory);
        let limits = &broker.config.connections;
        let inbound = Inbound::new(limits.request_bytes_max);
        let patience = Patience::new(now, limits.idle_max);
        let on = broker.env.spawn.current();
        let channel = Channel {
            broker,
            listening,
            peer,
            fetch_waiter: Arc::default(),
            fetch_session: None,
            outbox: Outbox::default(),
            software: None,
            lane,
            stopwatch: Stopwatch::new(on, now),
            slots: VecDeque::new(),
            gathered: 0,
            gathers: false,
        };
        Self {
            stream,
            timer,
            inbound,
            blocked: None,
            ending: None,
            leaving: false,
            cached_at: now,
            looked: None,
            rereading: None,
            holding,
            patience,
            look_timer,
            requests: 0,
            moved_at: now,
            wrote_at: now,
            channel,
        }
    }

    /// Goes on with what the connection was about on another loop.
    pub(crate) fn with(mut self, luggage: Box<Luggage>) -> Self {
        let Luggage { inbound, fetch_session, software, .. } = *luggage;
        let Luggage { holding, patience, requests, moved_at, wrote_at, .. } = *luggage;
        // It is looked at anew at once: its timer is another loop's.
        let look_at = self.patience.at;
        (self.inbound, self.holding, self.patience) = (inbound, holding, patience);
        self.patience.at = look_at;
        (self.requests, self.moved_at, self.wrote_at) = (requests, moved_at, wrote_at);
        (self.channel.fetch_session, self.channel.software) = (fetch_session, software);
        self
    }

    /// Serves the connection until it ends, or until `leaves` has said that it should go to another
    /// loop and what it has begun is answered.
    pub(crate) async fn run(mut self, mut leaves: impl FnMut(Mono) -> bool) -> Ended {
        let closed = std::future::poll_fn(|cx| match self.advance(cx) {
            Ok(now) => {
                let may_leave = self.blocked.is_none() && self.ending.is_none();
                self.leaving = self.leaving || (may_leave && leaves(now));
                if self.leaving && self.rests() { Poll::Ready(None) } else { Poll::Pending }
            }
            Err(closed) => Poll::Ready(Some(closed)),
        });
        if let Some(closed) = closed.await {
            self.channel.append_gathered();
            // Others may count on it to be told of room.
            self.channel.lane.gathering().wake_all();
            return Ended::Closed(closed);
        }
        let Self { stream, channel, inbound, holding, patience, .. } = self;
        let Self { requests, moved_at, wrote_at, .. } = self;
        let Channel { fetch_session, software, .. } = channel;
        match stream.into_socket() {
            Ok(socket) => {
                let luggage = Luggage {
                    inbound,
                    fetch_session,
                    software,
                    holding,
                    patience,
                    requests,
                    moved_at,
                    wrote_at,
                };
                Ended::Leaves(socket, Box::new(luggage))
            }
            Err(error) => Ended::Closed(error.into()),
        }
    }

    /// Whether nothing is under way: all that there is of the connection is in its socket, and the
    /// beginning of a frame.
    fn rests(&self) -> bool {
        let answered = self.channel.slots.is_empty() && self.channel.outbox.len() == 0;
        let goes_on = self.blocked.is_some() || self.ending.is_some() || self.rereading.is_some();
        answered && !goes_on && !self.holding.waits()
    }

    /// As far as it goes; when that was.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<Mono, Closed> {
        self.channel.outbox.borrow_buffer(&self.channel.lane);
        let advanced = self.advance_with_buffer(cx);
        let unwritten = self.channel.outbox.return_buffer(&self.channel.lane);
        self.holding.keep_answers(unwritten);
        if self.channel.lane.has_times() {
            self.channel.count_times(self.channel.broker.env.clock.mono());
        }
        advanced
    }

    fn advance_with_buffer(&mut self, cx: &mut Context<'_>) -> Result<Mono, Closed> {
        let mut now = self.channel.broker.env.clock.mono();
        self.channel.append_gathered();
        for pass in 0..PASSES_MAX {
            if pass > 0 {
                now = self.channel.broker.env.clock.mono();
            }
            if now >= self.patience.at {
                self.look(now, cx)?;
            }
            let mut moved = self.channel.settle(now);
            // What the pass before has answered was read when that began.
            self.channel.count_times(now);
            if self.ending.is_none() {
                let resumed = self.resume(now, cx);
                moved |= self.unless_refused(resumed, now)?;
            }
            if self.write(now, cx)? {
                (self.wrote_at, self.moved_at) = (now, now);
                moved = true;
            }
            if self.ending.is_none() && !self.leaving {
                let read = self.read(cx);
                if self.unless_refused(read, now)? {
                    self.moved_at = now;
                    moved = true;
                }
            }
            self.end_if_due(now)?;
            if std::mem::take(&mut self.channel.gathers) {
                break;
            }
            if !moved && !self.timer_expired(cx) {
                self.look_soon(now, cx);
                return Ok(now);
            }
        }
        cx.waker().wake_by_ref();
        Ok(now)
    }

    /// Judges whether the peer keeps the connection for nothing.
    #[cold]
    fn look(&mut self, now: Mono, cx: &mut Context<'_>) -> Result<(), Closed> {
        if self.ending.is_none() {
            let state = self.state();
            self.patience.look(now, &state)?;
        } else {
            self.patience.at = now.after(LOOK_EVERY);
        }
        self.look_timer.set(Some(self.patience.at));
        self.poll_look(cx);
        Ok(())
    }

    /// Once something is under way, the next look is not as far off as that at a quiet connection.
    #[inline]
    fn look_soon(&mut self, now: Mono, cx: &mut Context<'_>) {
        if self.inbound.is_empty() && self.channel.outbox.len() == 0 {
            return;
        }
        if self.patience.at > now.after(LOOK_EVERY) {
            self.patience.at = now.after(LOOK_EVERY);
            self.look_timer.set(Some(self.patience.at));
        }
        // Again each time: a loop that has turned to others need not have listed the timer.
        self.poll_look(cx);
    }

    fn poll_look(&mut self, cx: &mut Context<'_>) {
        if self.look_timer.poll_expired(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn state(&self) -> State {
        let held_back = self.blocked.is_some() || self.must_write_first() || self.holding.waits();
        let whole = self.inbound.holds_frame().unwrap_or(true);
        let begun = !self.inbound.is_empty() && !whole;
        let owed = matches!(self.blocked, Some(Blocked::Produce(_)));
        let others = matches!(self.blocked, Some(Blocked::Fetch(_) | Blocked::Elsewhere { .. }));
        State {
            requests: self.requests,
            done_its_part: whole || held_back,
            moved_at: self.moved_at,
            wrote_at: self.wrote_at,
            arriving: (begun && !held_back).then_some(self.inbound.len()),
            untaken: self.channel.outbox.len() > 0 && self.rereading.is_none(),
            hoards: others && self.holding.has_requests(),
            owed: owed || !self.channel.slots.is_empty(),
            short: self.holding.memory().is_short(),
        }
    }

    /// A refused request ends the connection, but not before those in front of it are answered:
    /// a producer must not lose the acknowledgement of what is written.
    fn unless_refused(&mut self, result: Result<bool, Closed>, now: Mono) -> Result<bool, Closed> {
        match result {
            Err(why @ (Closed::Refused(_) | Closed::FrameLength(_))) => {
                self.ending = Some(Ending { why, deadline: now.after(LAST_ANSWERS_TIME_MAX) });
                Ok(true)
            }
            result => result,
        }
    }

    fn end_if_due(&mut self, now: Mono) -> Result<(), Closed> {
        let answered = self.channel.slots.is_empty() && self.channel.outbox.len() == 0;
        match self.ending.take() {
            Some(ending) if answered || now >= ending.deadline => Err(ending.why),
            ending => {
                self.ending = ending;
                Ok(())
            }
        }
    }

    fn timer_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let blocked = match &self.blocked {
            Some(Blocked::Fetch(waiting)) => Some(waiting.deadline),
            Some(Blocked::Warming(_) | Blocked::Produce(_) | Blocked::Elsewhere { .. }) | None => {
                None
            }
        };
        let ending = self.ending.as_ref().map(|ending| ending.deadline);
        let deadline = [blocked, ending, self.channel.deadline()].into_iter().flatten().min();
        self.timer.set(deadline);
        deadline.is_some() && self.timer.poll_expired(cx).is_ready()
    }

    /// Goes on with what blocked the connection, and then with the frames behind it.
    fn resume(&mut self, now: Mono, cx: &mut Context<'_>) -> Result<bool, Closed> {
        match self.blocked.take() {
            None => {}
            Some(Blocked::Elsewhere { header, mut answer }) => match answer.as_mut().poll(cx) {
                Poll::Ready(body) => {
                    self.channel.answer_body(header, &body?);
                    self.channel.on_done();
                }
                Poll::Pending => {
                    self.blocked = Some(Blocked::Elsewhere { header, answer });
                    return Ok(false);
                }
            },
            Some(Blocked::Warming(mut reading)) => match reading.as_mut().poll(cx) {
                Poll::Ready(waiting) => self.blocked = Some(Blocked::Fetch(waiting)),
                Poll::Pending => {
                    self.blocked = Some(Blocked::Warming(reading));
                    return Ok(false);
                }
            },
            Some(blocked @ (Blocked::Fetch(_) | Blocked::Produce(_))) => {
                self.blocked = Some(blocked);
            }
        }
        if self.must_write_first() || !self.inbound.holds_frame()? {
            return Ok(false);
        }
        let held = self.inbound.take();
        let used = self.handle_frames(&held, now, cx);
        self.inbound.put_back(held, *used.as_ref().unwrap_or(&0));
        if *used.as_ref().unwrap_or(&0) > 0 {
            self.holding.keep_requests(self.inbound.len());
        }
        // A reading that nobody has polled yet wakes nobody: it needs another pass.
        let warming = matches!(self.blocked, Some(Blocked::Warming(_)));
        Ok(used? > 0 || warming)
    }

    fn write(&mut self, now: Mono, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let mut wrote = false;
        while self.channel.outbox.len() > 0 {
            if !self.front_is_cached(now, cx) {
                break;
            }
            match self.channel.outbox.poll_write(&mut *self.stream, cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
            wrote = true;
        }
        if self.channel.outbox.len() == 0 {
            self.cached_at = now;
        }
        Ok(wrote)
    }

    /// Whether what is to be sent next can be, without waiting for the device. While a peer was
    /// slow to take what was sent before, the cache may have dropped it.
    fn front_is_cached(&mut self, now: Mono, cx: &mut Context<'_>) -> bool {
        if self.rereading.is_none() && now.since(self.cached_at) > CACHED_TIME {
            self.look_at_front(now);
        }
        let reading = self.rereading.as_mut();
        let pending = reading.is_some_and(|reading| reading.as_mut().poll(cx).is_pending());
        if !pending && self.rereading.take().is_some() {
            // Not doubted again at once, lest a cache that is too small keeps it waiting for ever.
            let at = self.channel.broker.env.clock.mono();
            self.looked = self.looked.map(|looked| Looked { at, ..looked });
        }
        !pending
    }

    /// Looks whether a file range that waited is still in the page cache, now and then while it is
    /// being sent, and has it read if it is not.
    fn look_at_front(&mut self, now: Mono) {
        let Some(Part::File { at, len, .. }) = self.channel.outbox.outbound().parts().next() else {
            return;
        };
        let looked = Looked { end: at + len, at: now };
        let same = self.looked.filter(|looked| looked.end == at + len);
        if same.is_none_or(|looked| now.since(looked.at) > CACHED_TIME) {
            self.looked = Some(looked);
            let front = self.channel.outbox.outbound().parts().next();
            let cold = front.and_then(ColdRecords::of_unsent);
            self.rereading = cold.map(|cold| self.reread(Cold::Records(cold)));
        }
    }

    fn reread(&self, cold: Cold) -> Pin<Box<dyn Future<Output = ()>>> {
        let broker = Arc::clone(&self.channel.broker);
        Box::pin(async move {
            let read_ahead = &broker.partitions.directory().read_ahead;
            if let Err(error) = read_ahead.warm(&broker.env, &cold).await {
                // The send will meet the same error, and end the connection.
                tracing::error!(?cold, %error, "the device cannot read a segment");
            }
        })
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        if self.must_write_first() {
            return Ok(false);
        }
        if matches!(self.blocked, Some(Blocked::Produce(_))) || self.channel.is_held() {
            // It waits for our disk, not for the peer, and is appended even if that leaves: half of
            // it may be in the log already, and acks=0 has nothing to stay for.
            return Ok(false);
        }
        if self.blocked.is_some() || self.inbound.holds_frame()? {
            return self.read_ahead(cx);
        }
        if self.inbound.is_empty() { self.read_fresh(cx) } else { self.read_rest(cx) }
    }

    /// Reads a little while nothing may start: the peer may have gone, and a parked fetch of a
    /// dead one must not hold the connection for as long as it asked to wait.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let Some(mut room) = self.inbound.room_ahead() else { return Ok(false) };
        match self.stream.poll_read(cx, room.space()) {
            Poll::Ready(Ok(0)) => Err(Closed::ByPeer),
            Poll::Ready(count) => {
                room.fill(count?);
                // Nothing to do with it yet, but the end may be right behind.
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }

    /// Reads into the loop's buffer; only what cannot be handled yet is kept.
    fn read_fresh(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let lane = Rc::clone(&self.channel.lane);
        let mut buffer = lane.buffer();
        // What cannot be handled has to be kept, room or not.
        let room = if self.holding.memory().is_exhausted() { FREE_BYTES } else { buffer.len() };
        let count = match self.stream.poll_read(cx, &mut buffer[..room]) {
            Poll::Ready(count) => count?,
            Poll::Pending => return Ok(false),
        };
        if count == 0 {
            return Err(Closed::ByPeer);
        }
        let now = self.channel.broker.env.clock.mono();
        let used = self.handle_frames(&buffer[..count], now, cx)?;
        self.inbound.keep(&buffer[used..count]);
        self.holding.keep_requests(count - used);
        Ok(true)
    }

    /// Reads more of an incomplete frame, once there is room for it.
    fn read_rest(&mut self, cx: &mut Context<'_>) -> Result<bool, Closed> {
        let whole = self.inbound.len_when_whole()?;
        if self.holding.poll_request(self.inbound.len(), whole, cx).is_pending() {
            return Ok(false);
        }
        let mut room = self.inbound.room()?;
        let count = match self.stream.poll_read(cx, room.space()) {
            Poll::Ready(count) => count?,
            Poll::Pending => return Ok(false),
        };
        room.fill(count);
        if count == 0 {
            return Err(Closed::ByPeer);
        }
        Ok(true)
    }

    /// Handles whole frames at the front of `bytes` as far as their order allows, and returns how
    /// many bytes are done with.
    fn handle_frames(
        &mut self,
        bytes: &[u8],
        now: Mono,
        cx: &mut Context<'_>,
    ) -> Result<usize, Closed> {
        let mut used = 0;
        while let Front::Frame(frame) = self.inbound.front(&bytes[used..])? {
            if !self.may_start(frame) || self.holding.is_held_off(cx) {
                break;
            }
            let blocked = self.blocked.take();
            if blocked.is_none() {
                self.channel.stopwatch.start(now);
            }
            match api::handle(&mut self.channel, frame, blocked, now, cx)? {
                Handled::Done => {
                    self.channel.on_done();
                    used += frame_end(frame.len());
                }
                Handled::Kept(blocked) => {
                    self.blocked = Some(blocked);
                    // The first one has come, whatever it waits for.
                    self.requests = self.requests.max(1);
                    break;
                }
                Handled::Blocked(blocked) => {
                    used += frame_end(frame.len());
                    self.blocked = Some(blocked);
                    // Polled at once, so that its waker is known before anybody answers.
                    cx.waker().wake_by_ref();
                    break;
                }
            }
        }
        self.requests += u64::from(used > 0);
        Ok(used)
    }

    /// A peer that asks and does not read must not fill our memory: thousands of requests fit into
    /// one read, and each may be answered with a list of all topics.
    fn must_write_first(&self) -> bool {
        let waiting = self.channel.outbox.len();
        waiting > OUTBOX_BYTES_PAUSE || waiting > 0 && self.holding.memory().is_exhausted()
    }

    fn may_start(&self, frame: &[u8]) -> bool {
        if self.must_write_first() {
            return false;
        }
        let waits = self.channel.slots.len();
        let behind = waits < PARKED_PRODUCE_MAX && api::is_produce(frame);
        waits == 0 || (behind && !self.channel.is_held())
    }
}
