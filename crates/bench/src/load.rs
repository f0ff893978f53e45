//! What is sent next, and the loop that sends it.

use std::rc::Rc;

use ottla_types::Offset;

use crate::batches;
use crate::connection::Connection;
use crate::frames;
use crate::options::Options;
use crate::poller::Poller;

/// A stream of requests for each connection.
pub(crate) trait Load {
    /// The next request of a connection; `None` when it has sent all of its own.
    fn next(&mut self, connection: usize) -> Option<Rc<[u8]>>;

    /// # Errors
    /// When the answer says that the request failed.
    fn on_answer(&mut self, connection: usize, answer: &[u8]) -> Result<(), String>;
}

/// Keeps `in_flight` requests unanswered on every connection until the load ends.
///
/// # Errors
/// What connections and load say.
pub(crate) fn drive(
    connections: &mut [Connection],
    in_flight: usize,
    load: &mut dyn Load,
) -> Result<(), String> {
    let mut poller = Poller::new(connections)?;
    let mut busy = 0;
    for (at, connection) in connections.iter_mut().enumerate() {
        connection.make_nonblocking().map_err(|error| error.to_string())?;
        refill(at, connection, in_flight, load)?;
        poller.adjust(at, connection)?;
        busy += usize::from(connection.in_flight > 0);
    }
    let mut ready = Vec::new();
    while busy > 0 {
        poller.wait(&mut ready)?;
        for (at, readable) in &ready {
            let connection = &mut connections[*at];
            if *readable {
                connection.receive(|answer| load.on_answer(*at, answer))?;
            }
            refill(*at, connection, in_flight, load)?;
            poller.adjust(*at, connection)?;
            // Whoever has nothing in flight now will have nothing more to send.
            busy -= usize::from(connection.in_flight == 0);
        }
    }
    Ok(())
}

fn refill(
    at: usize,
    connection: &mut Connection,
    in_flight: usize,
    load: &mut dyn Load,
) -> Result<(), String> {
    while connection.in_flight < in_flight
        && let Some(frame) = load.next(at)
    {
        connection.queue(frame);
    }
    connection.flush().map_err(|error| error.to_string())
}

/// The same batches again and again, the partitions in turn.
#[derive(Debug)]
pub(crate) struct ProduceLoad {
    frames: Vec<Rc<[u8]>>,
    /// Of each frame: record bytes as they are sent, and before compression.
    sizes: Vec<(u64, u64)>,
    /// Bytes of the topic's name, by which an answer's error code is found.
    name_len: usize,
    left: u64,
    sent: (u64, u64),
}

/// Batches that differ; more would say nothing new.
const VARIANTS: u64 = 16;

impl ProduceLoad {
    pub(crate) fn new(options: &Options, topic: &str) -> Self {
        let variant = |variant| batches::make(options.shape(), variant);
        let batches: Vec<batches::Made> = (0..VARIANTS).map(variant).collect();
        let all: Vec<i32> = (0..options.partitions).collect();
        let mut turn = batches.iter().cycle();
        let mut frame = |partitions: &[i32]| {
            let parts: Vec<_> = partitions.iter().copied().zip(turn.by_ref()).collect();
            let bytes = parts.iter().map(|(_, batch)| batch.bytes.len() as u64).sum::<u64>();
            let plain = parts.iter().map(|(_, batch)| batch.plain_bytes).sum::<u64>();
            let parts = parts.iter().map(|(at, batch)| (*at, batch.bytes.as_slice()));
            (Rc::from(frames::produce(topic, parts, options.acks)), (bytes, plain))
        };
        let (frames, sizes) = all.chunks(options.per_request).map(&mut frame).unzip();
        let name_len = topic.len();
        Self { frames, sizes, name_len, left: options.requests, sent: (0, 0) }
    }

    /// One request to each partition, or to each handful of them.
    pub(crate) fn frames(&self) -> &[Rc<[u8]>] {
        &self.frames
    }

    /// Record bytes of a request, or of the first where they differ.
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.sizes[0].0
    }

    /// Record bytes that are still to be sent, about.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.left * self.batch_bytes()
    }

    /// Record bytes that were sent, and what they were before compression.
    pub(crate) const fn sent(&self) -> (u64, u64) {
        self.sent
    }
}

impl Load for ProduceLoad {
    fn next(&mut self, _connection: usize) -> Option<Rc<[u8]>> {
        self.left = self.left.checked_sub(1)?;
        let turn = usize::try_from(self.left).expect("64 bits") % self.frames.len();
        let (bytes, plain) = self.sizes[turn];
        self.sent = (self.sent.0 + bytes, self.sent.1 + plain);
        Some(Rc::clone(&self.frames[turn]))
    }

    fn on_answer(&mut self, _connection: usize, answer: &[u8]) -> Result<(), String> {
        frames::produced_to(self.name_len, answer)
    }
}

/// Reads every partition from its beginning to its high watermark, each by one connection.
#[derive(Debug)]
pub(crate) struct FetchLoad {
    topic: String,
    /// By connection: the partitions it still has to read, the last one first.
    waiting: Vec<Vec<i32>>,
    /// By connection: the partition it reads, and how far it is.
    reading: Vec<Option<(i32, Offset)>>,
    bytes: u64,
    requests: u64,
}

impl FetchLoad {
    pub(crate) fn new(options: &Options, topic: &str) -> Self {
        let mut waiting = vec![Vec::new(); options.connections];
        for (partition, turn) in (0..options.partitions).zip((0..options.connections).cycle()) {
            waiting[turn].push(partition);
        }
        Self::of(topic, waiting)
    }

    /// So many consumers on a connection each, every one of which reads everything.
    pub(crate) fn by_all(options: &Options, topic: &str, consumers: usize) -> Self {
        let everything: Vec<i32> = (0..options.partitions).rev().collect();
        Self::of(topic, vec![everything; consumers])
    }

    fn of(topic: &str, waiting: Vec<Vec<i32>>) -> Self {
        let reading = vec![None; waiting.len()];
        Self { topic: topic.to_owned(), waiting, reading, bytes: 0, requests: 0 }
    }

    /// Record bytes that were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }
}

impl Load for FetchLoad {
    fn next(&mut self, connection: usize) -> Option<Rc<[u8]>> {
        let (partition, from) = match self.reading[connection] {
            Some(place) => place,
            None => (self.waiting[connection].pop()?, Offset::ZERO),
        };
        self.reading[connection] = Some((partition, from));
        self.requests += 1;
        Some(frames::fetch(&self.topic, partition, from).into())
    }

    fn on_answer(&mut self, connection: usize, answer: &[u8]) -> Result<(), String> {
        let (partition, from) = self.reading[connection].expect("only readers are answered");
        let fetched = frames::fetched(answer, from)?;
        self.bytes += fetched.bytes;
        let at_end = fetched.next.get() >= fetched.high_watermark;
        self.reading[connection] = (!at_end).then_some((partition, fetched.next));
        Ok(())
    }
}
