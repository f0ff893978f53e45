//! Answers: short ones at once, long ones in chunks.

use std::io;

use bytes::Bytes;
use ottla_env::Stream;

use crate::request::Request;

/// What HTTP says of an answer as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// The text format of Prometheus.
pub(crate) const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// For people, and for those who only look at the status.
const TEXT: &str = "text/plain; charset=utf-8";

/// Where the answer of one connection goes.
pub(crate) struct Answer<'a> {
    stream: &'a mut dyn Stream,
    head_only: bool,
    chunks: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(stream: &'a mut dyn Stream) -> Self {
        Self { stream, head_only: false, chunks: false }
    }

    /// As the request wants it.
    pub(crate) fn of(&mut self, request: &Request<'_>) {
        self.head_only = request.head_only;
        self.chunks = request.takes_chunks;
    }

    /// Answers with a short text.
    pub(crate) async fn text(&mut self, status: Status, body: &str) -> io::Result<()> {
        let length = format!("content-length: {}\r\n", body.len());
        let mut text = head(status, TEXT, &length);
        if !self.head_only {
            text.push_str(body);
        }
        self.write(text).await
    }

    /// Begins a long answer: [`Self::part`] goes on with it, and [`Self::end`] ends it.
    pub(crate) async fn begin(&mut self, content: &str) -> io::Result<()> {
        let coding = if self.chunks { "transfer-encoding: chunked\r\n" } else { "" };
        self.write(head(Status::Ok, content, coding)).await
    }

    /// A part of it, which is not empty.
    pub(crate) async fn part(&mut self, text: String) -> io::Result<()> {
        assert!(!text.is_empty(), "an empty chunk is the last one");
        match (self.head_only, self.chunks) {
            (true, _) => Ok(()),
            (false, true) => self.write(format!("{:x}\r\n{text}\r\n", text.len())).await,
            (false, false) => self.write(text).await,
        }
    }

    /// There is no more. Who does not know chunks is told by the end of the connection.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        match self.chunks && !self.head_only {
            true => self.write("0\r\n\r\n".to_owned()).await,
            false => Ok(()),
        }
    }

    async fn write(&mut self, text: String) -> io::Result<()> {
        self.stream.write_all(Bytes::from(text)).await
    }
}

fn head(status: Status, content: &str, more: &str) -> String {
    let line = status.line();
    format!(
        "HTTP/1.1 {line}\r\ncontent-type: {content}\r\n{more}cache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )
}
