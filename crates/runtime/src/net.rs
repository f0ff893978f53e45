//! Sockets, each registered with the poller of one loop.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll, ready};

use ottla_env::net::Connecting;
use ottla_env::{Listener, Net, Outbound, Part, Socket, Stream};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendFlags, SocketFlags, acceptfrom_with, getsockname, send, sendmsg,
};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::disk::RealFile;

/// Connections that may wait to be accepted: as many as the system allows by default.
const BACKLOG: i32 = 4_096;

/// Byte parts that one write gathers: 16 bytes each, so 1 KiB of stack.
const GATHERED_MAX: usize = 64;

/// What the kernel sends of one file at most in one call.
const SENDFILE_BYTES_MAX: u64 = 0x7fff_f000;

/// The congestion control of connections that never leave the machine: every Linux has it, and
/// anybody may ask for it. What a system prefers for real networks may pace what it sends, as BBR
/// does, which costs CPU and time where there is no network.
const LOOPBACK_CONGESTION: &str = "reno";

/// The machine's network.
#[derive(Debug)]
pub(crate) struct RealNet;

impl Net for RealNet {
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let socket = new_socket(address)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let fd = register(socket.into(), Interest::READABLE)?;
        let local_address = getsockname(&fd)?.try_into().map_err(io::Error::from)?;
        Ok(Box::new(RealListener { fd, local_address }))
    }

    fn connect(&self, address: SocketAddr) -> Connecting {
        Box::pin(async move {
            let socket = new_socket(address)?;
            match socket.connect(&address.into()) {
                Ok(()) => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
                Err(error) => return Err(error),
            }
            let fd = register(socket.into(), BOTH)?;
            // Writable means decided, one way or the other.
            drop(fd.writable().await?);
            rustix::net::sockopt::socket_error(&fd)??;
            Ok(Box::new(RealStream { fd, peer_address: address }) as Box<dyn Stream>)
        })
    }
}

/// A socket whose options a listener hands on to the connections it accepts, as Linux does:
/// answers leave at once (they are gathered by hand), and a peer that vanished is noticed.
fn new_socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    if address.ip().is_loopback() {
        // Where it is not to be had, what the system prefers is good enough.
        _ = rustix::net::sockopt::set_tcp_congestion(&socket, LOOPBACK_CONGESTION);
    }
    Ok(socket)
}

const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// Registers a socket with the poller of the calling task's loop.
fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, is the same descriptor for as long as it lives, and nobody can
    // take it out of the `AsyncFd` while that lives.
    #[expect(unsafe_code, reason = "the only way to register a descriptor of one's own")]
    unsafe {
        AsyncFd::register_with_interest(fd, interest).map_err(io::Error::from)
    }
}

struct RealListener {
    fd: AsyncFd<OwnedFd>,
    local_address: SocketAddr,
}

impl Listener for RealListener {
    fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Socket>>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(&self.fd, flags) {
                Ok((fd, Some(peer))) => {
                    let peer_address: SocketAddr = peer.try_into().map_err(io::Error::from)?;
                    // A listener on the loopback has handed it on.
                    let is_here = peer_address.ip().to_canonical().is_loopback();
                    if is_here && !self.local_address.ip().is_loopback() {
                        _ = rustix::net::sockopt::set_tcp_congestion(&fd, LOOPBACK_CONGESTION);
                    }
                    return Poll::Ready(Ok(Box::new(RealSocket { fd, peer_address })));
                }
                // Gone again before it was accepted, which is the peer's business.
                Ok((_, None)) | Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

/// Accepted, and not registered with any poller yet.
struct RealSocket {
    fd: OwnedFd,
    peer_address: SocketAddr,
}

impl Socket for RealSocket {
    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }

    fn into_stream(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let Self { fd, peer_address } = *self;
        Ok(Box::new(RealStream { fd: register(fd, BOTH)?, peer_address }))
    }
}

struct RealStream {
    fd: AsyncFd<OwnedFd>,
    peer_address: SocketAddr,
}

impl Stream for RealStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "a read of nothing looks like the end");
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(cx))?;
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(count) => {
                    // The poller is edge-triggered, and new bytes are a new edge: a short read has
                    // emptied the socket, so the next poll need not ask the kernel to learn that.
                    if 0 < count && count < buffer.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        outbound: &mut Outbound,
    ) -> Poll<io::Result<()>> {
        assert!(!outbound.is_empty(), "a write of nothing makes no progress");
        loop {
            let mut ready = ready!(self.fd.poll_write_ready(cx))?;
            match write_front(&self.fd, outbound) {
                Ok(Front { written, offered }) => {
                    if written < offered {
                        ready.clear_ready();
                    }
                    outbound.advance(written);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_write_bytes(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!bytes.is_empty(), "a write of nothing makes no progress");
        loop {
            let mut ready = ready!(self.fd.poll_write_ready(cx))?;
            match send(&self.fd, bytes, SendFlags::NOSIGNAL) {
                Ok(written) => {
                    if written < bytes.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(written));
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn into_socket(self: Box<Self>) -> io::Result<Box<dyn Socket>> {
        let Self { fd, peer_address } = *self;
        Ok(Box::new(RealSocket { fd: fd.into_inner(), peer_address }))
    }
}

/// What one system call took, of what it was given.
struct Front {
    written: u64,
    offered: u64,
}

/// One system call's worth: the byte parts at the front together, or the file range there.
fn write_front(to: &AsyncFd<OwnedFd>, outbound: &Outbound) -> Result<Front, Errno> {
    let mut gathered = [IoSlice::new(&[]); GATHERED_MAX];
    let (mut count, mut offered) = (0, 0);
    let mut flags = SendFlags::NOSIGNAL;
    for part in outbound.parts() {
        match part {
            Part::Bytes(bytes) if count < GATHERED_MAX => {
                gathered[count] = IoSlice::new(bytes);
                count += 1;
                offered += bytes.len() as u64;
            }
            Part::File { file, at, len } if count == 0 => {
                return send_file(to, RealFile::of(file), *at, *len);
            }
            // More follows at once: the kernel may wait with the last short segment.
            Part::Bytes(_) | Part::File { .. } => {
                flags |= SendFlags::MORE;
                break;
            }
        }
    }
    let mut no_control = SendAncillaryBuffer::default();
    let written = sendmsg(to, &gathered[..count], &mut no_control, flags)? as u64;
    Ok(Front { written, offered })
}

fn send_file(to: &AsyncFd<OwnedFd>, file: &RealFile, at: u64, len: u64) -> Result<Front, Errno> {
    let offered = len.min(SENDFILE_BYTES_MAX);
    let mut from = at;
    let count = usize::try_from(offered).expect("below 2 GiB");
    let written = sendfile(to.as_fd(), file.fd(), Some(&mut from), count)? as u64;
    // The range was cut off under us: the frame that promised it cannot be completed.
    if written == 0 { Err(Errno::IO) } else { Ok(Front { written, offered }) }
}
