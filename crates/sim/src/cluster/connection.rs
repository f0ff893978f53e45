//! A client's connection: frames out, frames in, answers in the order of their requests.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use ottla_env::{Env, Mono, Outbound, Part, Stream};
use ottla_wire::{ApiKey, EncodeError, Reader, RequestHeader, ResponseHeader, Writer};

/// Larger than any answer of a simulated node.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A connection to the node, with requests under way.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    incoming: Vec<u8>,
    outbound: Outbound,
    expected: VecDeque<Expected>,
    correlation: i32,
}

struct Expected {
    correlation: i32,
    key: ApiKey,
    version: i16,
}

/// An answer, not decoded yet.
pub(super) struct Answered {
    pub(super) correlation: i32,
    pub(super) version: i16,
    frame: Vec<u8>,
    body_at: usize,
}

impl Answered {
    pub(super) fn body(&self) -> Reader<'_> {
        Reader::new(&self.frame[self.body_at..])
    }
}

impl Connection {
    pub(super) async fn open(env: &Env, to: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: env.net.connect(to).await?,
            incoming: Vec::new(),
            outbound: Outbound::default(),
            expected: VecDeque::new(),
            correlation: 0,
        })
    }

    /// Queues a request; its correlation id. Nothing is written before somebody waits.
    pub(super) fn send(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> i32 {
        let correlation = self.send_unanswered(key, version, body);
        self.expected.push_back(Expected { correlation, key, version });
        correlation
    }

    /// Queues a request that the protocol leaves without an answer.
    pub(super) fn send_unanswered(
        &mut self,
        key: ApiKey,
        version: i16,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> i32 {
        self.correlation += 1;
        let header = RequestHeader {
            request_api_key: key.to_wire(),
            request_api_version: version,
            correlation_id: self.correlation,
            client_id: Some("sim".into()),
            ..RequestHeader::default()
        };
        let mut frame = vec![0; 4];
        let mut writer = Writer::new(&mut frame);
        header
            .encode(&mut writer, key.header_versions(version).request)
            .and_then(|()| body(&mut writer))
            .expect("the simulator says only what the version can say");
        let len = u32::try_from(frame.len() - 4).expect("requests are small");
        frame[..4].copy_from_slice(&len.to_be_bytes());
        self.outbound.push(Part::Bytes(Bytes::from(frame)));
        self.correlation
    }

    /// How many requests wait for an answer.
    pub(super) fn in_flight(&self) -> usize {
        self.expected.len()
    }

    /// The next answer; an error of kind `TimedOut` at `deadline`, which loses nothing.
    pub(super) async fn answer_by(&mut self, env: &Env, deadline: Mono) -> io::Result<Answered> {
        let mut timer = env.clock.timer();
        timer.set(Some(deadline));
        std::future::poll_fn(|cx| match self.poll_answer(cx) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => timer.poll_expired(cx).map(|()| Err(ErrorKind::TimedOut.into())),
        })
        .await
    }

    /// Writes all that is queued, and reads nothing.
    pub(super) async fn flush(&mut self, env: &Env, within: Duration) -> io::Result<()> {
        let mut timer = env.clock.timer();
        timer.set(Some(env.clock.mono().after(within)));
        std::future::poll_fn(|cx| {
            while !self.outbound.is_empty() {
                match self.stream.poll_write(cx, &mut self.outbound) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => {
                        let timed_out = || Err(ErrorKind::TimedOut.into());
                        return timer.poll_expired(cx).map(|()| timed_out());
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Answered>> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Poll::Ready(self.match_answer(frame));
            }
            while !self.outbound.is_empty() {
                match self.stream.poll_write(cx, &mut self.outbound) {
                    Poll::Ready(written) => written?,
                    Poll::Pending => break,
                }
            }
            let mut buffer = [0; 4096];
            let count = ready!(self.stream.poll_read(cx, &mut buffer))?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            self.incoming.extend_from_slice(&buffer[..count]);
        }
    }

    fn take_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((len, _)) = self.incoming.split_first_chunk::<4>() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(io::Error::other)?;
        if len > FRAME_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        if self.incoming.len() < 4 + len {
            return Ok(None);
        }
        let rest = self.incoming.split_off(4 + len);
        let mut frame = std::mem::replace(&mut self.incoming, rest);
        frame.drain(..4);
        Ok(Some(frame))
    }

    fn match_answer(&mut self, frame: Vec<u8>) -> io::Result<Answered> {
        let invalid = |what: String| io::Error::new(ErrorKind::InvalidData, what);
        let Some(expected) = self.expected.pop_front() else {
            return Err(invalid("an answer to nothing".to_owned()));
        };
        let mut reader = Reader::new(&frame);
        let header_version = expected.key.header_versions(expected.version).response;
        let header = ResponseHeader::decode(&mut reader, header_version)
            .map_err(|error| invalid(format!("no header: {error}")))?;
        if header.correlation_id != expected.correlation {
            let (got, wanted) = (header.correlation_id, expected.correlation);
            return Err(invalid(format!("answer {got} where {wanted} is due")));
        }
        let body_at = frame.len() - reader.remaining().len();
        let Expected { correlation, version, .. } = expected;
        Ok(Answered { correlation, version, frame, body_at })
    }
}
