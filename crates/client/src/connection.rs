//! One connection: requests out, answers in the order of their requests.
//!
//! A task owns the stream. Whoever calls puts a frame into its queue and waits for the answer; if
//! the caller goes away, the answer is read and dropped. The first thing that goes wrong ends the
//! connection for all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_env::{Env, Mono, Outbound, Part, Reply, Stream, Timer, reply};
use ottla_types::limits;
use ottla_wire::messages::ApiVersionsRequest;
use ottla_wire::{ApiKey, OpenFrame, Reader, RequestHeader, ResponseHeader, Writer};
use tokio::sync::Semaphore;

use crate::error::CallError;
use crate::request::Request;
use crate::versions::Versions;
use crate::wait;

/// Requests of one connection that wait for their answers: a waiting one holds its frame only
/// until it is written, so this bounds the answers that a broker may be made to prepare.
const IN_FLIGHT_MAX: usize = 64;

/// What one read takes from a stream at most.
const READ_BYTES: usize = 64 * 1024;

/// Room in a frame for what is not bulk: header, names, a few partitions.
const SMALL_FIELDS: usize = 512;

/// What is made room for at once, of an answer that is announced: 16 MiB. A longer one, or one that
/// never comes, takes what has arrived and as much again.
const ROOM_BYTES_MAX: usize = 16 << 20;

/// A connection to a broker whose versions are known.
pub(crate) struct Connection {
    line: Rc<Line>,
    versions: Versions,
}

/// What callers and the task of a connection share.
struct Line {
    address: SocketAddr,
    client_id: Rc<str>,
    clock: std::sync::Arc<dyn ottla_env::Clock>,
    room: Semaphore,
    correlation: Cell<i32>,
    state: RefCell<LineState>,
}

#[derive(Default)]
struct LineState {
    queue: VecDeque<Call>,
    task: Option<Waker>,
    /// Nobody will call any more.
    hung_up: bool,
    /// Why the task has ended.
    ended: Option<String>,
}

/// A request on its way.
struct Call {
    frame: Bytes,
    expected: Expected,
    answered: bool,
}

/// A request that was written, or will be, and waits.
struct Expected {
    correlation: i32,
    key: ApiKey,
    version: i16,
    timeout: Duration,
    deadline: Mono,
    reply: Reply<Result<Bytes, CallError>>,
}

/// An answer in its bytes, known to be decodable.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    body: Bytes,
    version: i16,
    of: std::marker::PhantomData<fn() -> R>,
}

impl<R: Request> Answer<R> {
    /// The answer, borrowed from its bytes.
    pub(crate) fn get(&self) -> R::Response<'_> {
        R::decode(&self.body, self.version).expect("it was decoded when it arrived")
    }
}

impl Connection {
    /// Connects, and asks for the versions that the broker serves.
    pub(crate) async fn open(
        env: &Env,
        address: SocketAddr,
        client_id: &Rc<str>,
        timeout: Duration,
    ) -> Result<Self, CallError> {
        let refused = |why: String| CallError::Connect { address, why };
        let deadline = env.clock.mono().after(timeout);
        let stream = wait::until(&*env.clock, deadline, env.net.connect(address)).await;
        let stream = stream
            .ok_or_else(|| refused(format!("nothing within {timeout:?}")))?
            .map_err(|error| refused(error.to_string()))?;
        let line = Rc::new(Line {
            address,
            client_id: Rc::clone(client_id),
            clock: std::sync::Arc::clone(&env.clock),
            room: Semaphore::new(IN_FLIGHT_MAX),
            correlation: Cell::new(0),
            state: RefCell::default(),
        });
        let task = Driver::new(stream, Rc::clone(&line));
        env.spawn.spawn("client connection", Box::pin(task.run()));
        let mut connection = Self { line, versions: Versions::unknown() };
        connection.versions = connection.ask_versions(timeout).await?;
        Ok(connection)
    }

    /// Whether calls still have a chance.
    pub(crate) fn is_alive(&self) -> bool {
        self.line.state.borrow().ended.is_none()
    }

    /// What the broker serves.
    pub(crate) const fn versions(&self) -> &Versions {
        &self.versions
    }

    async fn ask_versions(&self, timeout: Duration) -> Result<Versions, CallError> {
        let request = ApiVersionsRequest {
            client_software_name: "ottla".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        let newest = ApiVersionsRequest::version_max();
        let body = self.call_with(&request, newest, timeout).await?;
        // A broker that does not know the version answers in the oldest one, and says so (KIP-511).
        match Versions::of_answer(&body, newest) {
            Ok(versions) => Ok(versions),
            Err(_) => {
                let body = self.call_with(&request, 0, timeout).await?;
                Versions::of_answer(&body, 0).map_err(|why| CallError::Garbage {
                    address: self.line.address,
                    api: ApiKey::ApiVersions,
                    why,
                })
            }
        }
    }

    /// Sends a request in the newest version that both sides speak, and waits for its answer.
    pub(crate) async fn call<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<Answer<R>, CallError> {
        let version = self.version_of::<R>()?;
        let body = self.call_with(request, version, timeout).await?;
        self.answer(body, version)
    }

    /// The newest version of an API that both sides speak.
    fn version_of<R: Request>(&self) -> Result<i16, CallError> {
        let ours = R::version_min()..=R::version_max();
        self.versions
            .common(R::KEY, ours)
            .ok_or(CallError::Unsupported { address: self.line.address, api: R::KEY })
    }

    /// Sends a request that the protocol leaves without an answer; returns once it is written.
    pub(crate) async fn tell<R: Request>(
        &self,
        request: &R,
        timeout: Duration,
    ) -> Result<(), CallError> {
        let version = self.version_of::<R>()?;
        self.exchange(request, version, timeout, false).await.map(drop)
    }

    async fn call_with<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        self.exchange(request, version, timeout, true).await
    }

    fn answer<R: Request>(&self, body: Bytes, version: i16) -> Result<Answer<R>, CallError> {
        match R::decode(&body, version) {
            Ok(_) => {}
            Err(why) => {
                let address = self.line.address;
                return Err(CallError::Garbage { address, api: R::KEY, why });
            }
        }
        Ok(Answer { body, version, of: std::marker::PhantomData })
    }

    async fn exchange<R: Request>(
        &self,
        request: &R,
        version: i16,
        timeout: Duration,
        answered: bool,
    ) -> Result<Bytes, CallError> {
        let line = &self.line;
        let _room = line.room.acquire().await.expect("nobody closes it");
        let (reply, answer) = reply();
        let correlation = line.correlation.get().wrapping_add(1) & i32::MAX;
        line.correlation.set(correlation);
        let frame = line.frame(request, version, correlation)?;
        let deadline = line.clock.mono().after(timeout);
        let expected = Expected { correlation, key: R::KEY, version, timeout, deadline, reply };
        line.queue(Call { frame, expected, answered });
        answer.await.unwrap_or_else(|_| Err(line.lost(R::KEY, "the client ended")))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.line.state.borrow_mut();
        state.hung_up = true;
        let task = state.task.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }
}

impl Line {
    fn frame<R: Request>(
        &self,
        request: &R,
        version: i16,
        correlation: i32,
    ) -> Result<Bytes, CallError> {
        let header = RequestHeader {
            request_api_key: R::KEY.to_wire(),
            request_api_version: version,
            correlation_id: correlation,
            client_id: Some((*self.client_id).into()),
            ..RequestHeader::default()
        };
        let mut out = Vec::with_capacity(request.bulk() + SMALL_FIELDS);
        let frame = OpenFrame::open(&mut out);
        let mut writer = Writer::new(&mut out);
        header
            .encode(&mut writer, R::KEY.header_versions(version).request)
            .and_then(|()| request.encode(&mut writer, version))
            .and_then(|()| frame.close(&mut out, 0))
            .map_err(|why| CallError::Unsayable { address: self.address, api: R::KEY, why })?;
        Ok(Bytes::from(out))
    }

    fn queue(&self, call: Call) {
        let mut state = self.state.borrow_mut();
        if let Some(why) = &state.ended {
            call.expected.reply.send(Err(self.lost(call.expected.key, why)));
            return;
        }
        state.queue.push_back(call);
        let task = state.task.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }

    fn lost(&self, api: ApiKey, why: &str) -> CallError {
        CallError::Lost { address: self.address, api, why: why.to_owned() }
    }
}

/// What somebody speaks who is no broker, or not here. Read as lengths, these beginnings are longer
/// than any answer may be.
const fn language(beginning: [u8; 4]) -> Option<&'static str> {
    match beginning {
        [b'H', b'T', b'T', b'P'] => Some("HTTP"),
        // An alert, or a handshake.
        [0x15 | 0x16, 3, 0..=4, _] => Some("TLS"),
        [b'S', b'S', b'H', b'-'] => Some("SSH"),
        _ => None,
    }
}

/// The task of a connection.
struct Driver {
    line: Rc<Line>,
    stream: Box<dyn Stream>,
    timer: Box<dyn Timer>,
    outbound: Outbound,
    incoming: BytesMut,
    expected: VecDeque<Expected>,
    /// To be told when all is written.
    unanswered: Vec<Expected>,
    buffer: Vec<u8>,
}

/// How a connection ends.
enum End {
    HungUp,
    TimedOut,
    Broken(io::Error),
}

impl Driver {
    fn new(stream: Box<dyn Stream>, line: Rc<Line>) -> Self {
        Self {
            timer: line.clock.timer(),
            line,
            stream,
            outbound: Outbound::default(),
            incoming: BytesMut::new(),
            expected: VecDeque::new(),
            unanswered: Vec::new(),
            buffer: vec![0; READ_BYTES],
        }
    }

    async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let why = match &end {
            End::HungUp => "the client closed it".to_owned(),
            End::TimedOut => "an answer was overdue".to_owned(),
            End::Broken(error) => error.to_string(),
        };
        let mut state = self.line.state.borrow_mut();
        state.ended = Some(why.clone());
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        let now = self.line.clock.mono();
        let waiting = self.expected.drain(..).chain(self.unanswered.drain(..));
        for each in waiting.chain(queue.into_iter().map(|call| call.expected)) {
            let error = if each.deadline <= now {
                let (address, api, after) = (self.line.address, each.key, each.timeout);
                CallError::TimedOut { address, api, after }
            } else if let End::Broken(error) = &end
                && error.kind() == ErrorKind::Unsupported
            {
                CallError::Stranger { address: self.line.address, speaks: why.clone() }
            } else {
                self.line.lost(each.key, &why)
            };
            each.reply.send(Err(error));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            self.take_calls(cx);
            if let Err(error) = self.write(cx) {
                return Poll::Ready(End::Broken(error));
            }
            // Whoever waits for an answer holds the connection.
            if self.line.state.borrow().hung_up {
                return Poll::Ready(End::HungUp);
            }
            match self.stream.poll_read(cx, &mut self.buffer) {
                Poll::Ready(Ok(0)) => {
                    let closed = io::Error::new(ErrorKind::UnexpectedEof, "the broker closed it");
                    return Poll::Ready(End::Broken(closed));
                }
                Poll::Ready(Ok(count)) => {
                    let read = self.buffer.get(..count).unwrap_or_default();
                    self.incoming.extend_from_slice(read);
                    if let Err(error) = self.answer_all() {
                        return Poll::Ready(End::Broken(error));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                Poll::Pending => return self.poll_deadline(cx),
            }
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let waiting = self.expected.iter().chain(&self.unanswered);
        self.timer.set(waiting.map(|each| each.deadline).min());
        self.timer.poll_expired(cx).map(|()| End::TimedOut)
    }

    fn take_calls(&mut self, cx: &Context<'_>) {
        let mut state = self.line.state.borrow_mut();
        for call in state.queue.drain(..) {
            self.outbound.push(Part::Bytes(call.frame));
            if call.answered {
                self.expected.push_back(call.expected);
            } else {
                self.unanswered.push(call.expected);
            }
        }
        state.task = Some(cx.waker().clone());
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.outbound.is_empty() {
            match self.stream.poll_write(cx, &mut self.outbound) {
                Poll::Ready(written) => written?,
                Poll::Pending => return Ok(()),
            }
        }
        for each in self.unanswered.drain(..) {
            each.reply.send(Ok(Bytes::new()));
        }
        Ok(())
    }

    /// Hands every whole frame to whoever waits for it.
    fn answer_all(&mut self) -> io::Result<()> {
        let invalid = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
        while let Some(len) = self.incoming.first_chunk::<4>() {
            if let Some(speaks) = language(*len) {
                return Err(io::Error::new(ErrorKind::Unsupported, speaks));
            }
            let len = usize::try_from(i32::from_be_bytes(*len))
                .map_err(|_| invalid("an answer of negative length"))?;
            if len > limits::REQUEST_BYTES_MAX {
                return Err(invalid("an answer longer than any may be"));
            }
            if self.incoming.len() < 4 + len {
                let missing = 4 + len - self.incoming.len();
                self.incoming.reserve(missing.min(ROOM_BYTES_MAX));
                return Ok(());
            }
            let mut frame = self.incoming.split_to(4 + len).freeze();
            let expected = self.expected.pop_front();
            let expected = expected.ok_or_else(|| invalid("an answer that nobody asked for"))?;
            let body = frame.split_off(4);
            let version = expected.key.header_versions(expected.version).response;
            let mut reader = Reader::new(&body);
            let header = ResponseHeader::decode(&mut reader, version);
            let fits = header.is_ok_and(|header| header.correlation_id == expected.correlation);
            let at = body.len() - reader.remaining().len();
            if !fits {
                self.expected.push_front(expected);
                return Err(invalid("an answer to another question"));
            }
            expected.reply.send(Ok(body.slice(at..)));
        }
        Ok(())
    }
}
