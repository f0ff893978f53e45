//! What is sent next, and the loop that sends it.

use std::rc::Rc;

use ottla_types::Offset;
use rustix::event::{PollFd, PollFlags, poll};

use crate::connection::Connection;
use crate::frames;
use crate::options::Options;

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
    for connection in connections.iter() {
        connection.make_nonblocking().map_err(|error| error.to_string())?;
    }
    loop {
        for (at, connection) in connections.iter_mut().enumerate() {
            while connection.in_flight < in_flight
                && let Some(frame) = load.next(at)
            {
                connection.queue(frame);
            }
            connection.flush().map_err(|error| error.to_string())?;
        }
        if connections.iter().all(|connection| connection.in_flight == 0) {
            return Ok(());
        }
        for at in wait(connections)? {
            connections[at].receive(|answer| load.on_answer(at, answer))?;
        }
    }
}

/// The connections that have something to read, once any connection can go on.
fn wait(connections: &[Connection]) -> Result<Vec<usize>, String> {
    let interest = |connection: &Connection| match connection.has_outbound() {
        true => PollFlags::IN | PollFlags::OUT,
        false => PollFlags::IN,
    };
    let mut polled: Vec<PollFd<'_>> = (connections.iter())
        .map(|connection| PollFd::from_borrowed_fd(connection.fd(), interest(connection)))
        .collect();
    poll(&mut polled, None).map_err(|error| error.to_string())?;
    let readable = |each: &PollFd<'_>| !(each.revents() - PollFlags::OUT).is_empty();
    Ok((0..polled.len()).filter(|at| readable(&polled[*at])).collect())
}

/// The same batch again and again, the partitions in turn.
#[derive(Debug)]
pub(crate) struct ProduceLoad {
    /// One a partition.
    frames: Vec<Rc<[u8]>>,
    batch_bytes: u64,
    left: u64,
}

impl ProduceLoad {
    pub(crate) fn new(options: &Options, topic: &str) -> Self {
        let batch = frames::batch(options.records, options.record_bytes);
        let frame = |partition| frames::produce(topic, partition, &batch, options.acks).into();
        Self {
            frames: (0..options.partitions).map(frame).collect(),
            batch_bytes: batch.len() as u64,
            left: options.requests,
        }
    }

    /// One request to each partition.
    pub(crate) fn frames(&self) -> &[Rc<[u8]>] {
        &self.frames
    }

    /// Record bytes of a request.
    pub(crate) fn batch_bytes(&self) -> u64 {
        self.batch_bytes
    }

    /// Record bytes that are still to be sent.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.left * self.batch_bytes
    }
}

impl Load for ProduceLoad {
    fn next(&mut self, _connection: usize) -> Option<Rc<[u8]>> {
        self.left = self.left.checked_sub(1)?;
        let turn = usize::try_from(self.left).expect("64 bits") % self.frames.len();
        Some(Rc::clone(&self.frames[turn]))
    }

    fn on_answer(&mut self, _connection: usize, answer: &[u8]) -> Result<(), String> {
        frames::produced(answer)
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
        let reading = vec![None; options.connections];
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
