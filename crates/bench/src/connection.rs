//! A connection that writes whole frames and hands out whole answers.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

/// Pieces of one writev: more than are ever in flight, less than the kernel's 1,024.
const SLICES_MAX: usize = 64;
/// Bytes asked of one read where much has come.
const READ_BYTES: usize = 256 << 10;
/// What a connection begins with: room for the answers to small requests. Thousands of
/// connections with room for more would not fit into any cache.
const SMALL_BYTES: usize = 4 << 10;
/// A broker that says nothing for this long is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection to the broker.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    outbound: VecDeque<Rc<[u8]>>,
    /// Bytes of the first outbound frame that are written.
    written: usize,
    inbound: Vec<u8>,
    /// Bytes of `inbound` that hold something.
    filled: usize,
    /// Frames sent or queued whose answers have not come.
    pub(crate) in_flight: usize,
}

impl Connection {
    /// Connects. The kernel's congestion control is set to cubic where that is allowed, for BBR
    /// paces even the loopback; this rules what we send, and what the broker sends follows the
    /// system's default.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if let Err(error) = rustix::net::sockopt::set_tcp_congestion(&stream, "cubic") {
            eprintln!("ottla-bench: the system's congestion control stays: {error}");
        }
        let inbound = vec![0; SMALL_BYTES];
        Ok(Self { stream, outbound: VecDeque::new(), written: 0, inbound, filled: 0, in_flight: 0 })
    }

    /// Sends one frame and waits for its answer.
    pub(crate) fn ask(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(frame)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// From here on the connection never waits.
    pub(crate) fn make_nonblocking(&self) -> io::Result<()> {
        self.stream.set_nonblocking(true)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(crate) fn has_outbound(&self) -> bool {
        !self.outbound.is_empty()
    }

    pub(crate) fn queue(&mut self, frame: Rc<[u8]>) {
        self.in_flight += 1;
        self.outbound.push_back(frame);
    }

    /// Writes what the kernel takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.has_outbound() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            for (slice, frame) in slices.iter_mut().zip(&self.outbound) {
                *slice = IoSlice::new(frame);
            }
            slices[0] = IoSlice::new(&self.outbound[0][self.written..]);
            let count = self.outbound.len().min(SLICES_MAX);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(count) => self.on_written(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn on_written(&mut self, count: usize) {
        self.written += count;
        while let Some(front) = self.outbound.front()
            && self.written >= front.len()
        {
            self.written -= front.len();
            self.outbound.pop_front();
        }
    }

    /// Reads what is there and gives every whole answer to `each`.
    ///
    /// # Errors
    /// What the connection or `each` says.
    pub(crate) fn receive(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.filled == self.inbound.len() {
            self.inbound.resize(self.filled + 2 * READ_BYTES, 0);
        }
        match self.stream.read(&mut self.inbound[self.filled..]) {
            Ok(0) => return Err("the broker closed the connection".to_owned()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        let mut at = 0;
        while let Some(answer) = first_frame(&self.inbound[at..self.filled]) {
            each(answer)?;
            at += 4 + answer.len();
            self.in_flight -= 1;
        }
        if at > 0 {
            self.inbound.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
        Ok(())
    }
}

fn first_frame(bytes: &[u8]) -> Option<&[u8]> {
    let size = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    bytes.get(4..4 + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_not_there() {
        assert_eq!(first_frame(&[0, 0, 0]), None);
        assert_eq!(first_frame(&[0, 0, 0, 2, 7]), None);
        assert_eq!(first_frame(&[0, 0, 0, 2, 7, 8, 9]), Some(&[7, 8][..]));
    }
}
