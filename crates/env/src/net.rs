//! Sockets.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::disk::File;

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>>>>;

/// The port to the network.
pub trait Net: Send + Sync {
    /// Listens on `address`; port 0 chooses one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Connects to `address`, on the calling task's loop.
    fn connect(&self, address: SocketAddr) -> Connecting;
}

/// A listening socket. Belongs to the loop that made it.
pub trait Listener {
    /// Where it listens.
    fn local_address(&self) -> SocketAddr;

    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>>;
}

/// An accepted connection that no loop owns yet.
pub trait Socket: Send {
    /// The other side.
    fn peer_address(&self) -> SocketAddr;

    /// Gives the connection to the calling task's loop.
    ///
    /// # Errors
    /// When the loop cannot take it.
    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>>;
}

/// A connection, owned by one loop. Dropping it closes it.
pub trait Stream {
    /// Reads some bytes; 0 says that the peer has closed its side.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes from the front of `outbound` and takes off what was written. Ready after any
    /// progress; pending when the peer does not read. `outbound` is not empty.
    fn poll_write(&mut self, cx: &mut Context<'_>, outbound: &mut Outbound)
    -> Poll<io::Result<()>>;

    /// As [`Stream::poll_write`], of bytes that nobody keeps for it, of which there are some: how
    /// many were written.
    fn poll_write_bytes(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut outbound = Outbound::default();
        outbound.push(Part::Bytes(Bytes::copy_from_slice(bytes)));
        ready!(self.poll_write(cx, &mut outbound))?;
        let left = usize::try_from(outbound.len()).expect("no more than there were");
        Poll::Ready(Ok(bytes.len() - left))
    }

    /// Takes the connection from its loop, so that another one can have it. What has arrived and
    /// was not read is read there.
    ///
    /// # Errors
    /// When the connection is broken.
    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>>;
}

/// Bytes, or a range of a file that nobody copies before the last moment.
#[derive(Clone)]
pub enum Part {
    Bytes(Bytes),
    File { file: Arc<dyn File>, at: u64, len: u64 },
}

impl Part {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn skip(&mut self, count: u64) {
        match self {
            Self::Bytes(bytes) => bytes.advance(usize::try_from(count).expect("within the bytes")),
            Self::File { at, len, .. } => {
                *at += count;
                *len -= count;
            }
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File { file, at, len } => write!(f, "{len} bytes at {at} of {file:?}"),
        }
    }
}

/// What waits to be written to one connection, in order.
#[derive(Debug, Default)]
pub struct Outbound {
    parts: VecDeque<Part>,
    len: u64,
}

impl Outbound {
    /// Adds a part; an empty one vanishes.
    pub fn push(&mut self, part: Part) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    /// Adds all that another one held, behind.
    pub fn append(&mut self, mut other: Self) {
        self.len += other.len;
        self.parts.append(&mut other.parts);
    }

    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts, front first.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter()
    }

    /// Takes `count` written bytes off the front.
    ///
    /// # Panics
    /// If fewer bytes wait.
    pub fn advance(&mut self, mut count: u64) {
        assert!(count <= self.len, "more written than waited");
        self.len -= count;
        while let Some(front) = self.parts.front_mut() {
            if front.len() > count {
                front.skip(count);
                return;
            }
            count -= front.len();
            self.parts.pop_front();
        }
    }
}

impl dyn Stream + '_ {
    /// Reads some bytes; 0 says that the peer has closed its side.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn write_all(&mut self, bytes: Bytes) -> io::Result<()> {
        let mut outbound = Outbound::default();
        outbound.push(Part::Bytes(bytes));
        while !outbound.is_empty() {
            std::future::poll_fn(|cx| self.poll_write(cx, &mut outbound)).await?;
        }
        Ok(())
    }
}

impl dyn Listener + '_ {
    /// The next connection.
    ///
    /// # Errors
    /// When the world has no more descriptors, for example; the listener stays usable.
    pub async fn accept(&mut self) -> io::Result<Box<dyn Socket>> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_leave_the_front() {
        let mut outbound = Outbound::default();
        outbound.push(Part::Bytes(Bytes::from_static(b"abc")));
        outbound.push(Part::Bytes(Bytes::new()));
        outbound.push(Part::Bytes(Bytes::from_static(b"defg")));
        assert_eq!((outbound.len(), outbound.parts().count()), (7, 2));
        outbound.advance(4);
        assert_eq!((outbound.len(), outbound.parts().count()), (3, 1));
        outbound.advance(3);
        assert!(outbound.is_empty());
    }
}
