//! Frames out of a stream of bytes.

/// Bytes before each frame: its length.
const LENGTH_BYTES: usize = 4;

/// The first reservation for a frame whose length is known. Past it the buffer grows only as bytes
/// arrive, so that a peer cannot make us allocate by announcing.
const RESERVE_BYTES_FIRST: usize = 64 * 1024;

/// A buffer that is kept between frames; a larger one goes back to the allocator.
const KEEP_BYTES_MAX: usize = 4 * 1024;

/// What the front of a stream holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Front<'a> {
    /// A whole frame, without its length.
    Frame(&'a [u8]),
    /// Less than that; the frame ends `missing` bytes further on, if its length is known.
    Partial { missing: Option<usize> },
}

/// The peer announced a frame that we do not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {announced} bytes was announced, and at most {max} are taken")]
pub(crate) struct FrameLength {
    announced: i32,
    max: usize,
}

/// The frame at the front of `bytes`, of `max` bytes at the most.
pub(crate) fn front(bytes: &[u8], max: usize) -> Result<Front<'_>, FrameLength> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(Front::Partial { missing: None });
    };
    let announced = i32::from_be_bytes(*length);
    let length = usize::try_from(announced).ok().filter(|length| *length <= max);
    let length = length.ok_or(FrameLength { announced, max })?;
    Ok(match rest.get(..length) {
        Some(frame) => Front::Frame(frame),
        None => Front::Partial { missing: Some(length - rest.len()) },
    })
}

/// How far a frame of `length` reaches in its stream.
pub(crate) const fn frame_end(length: usize) -> usize {
    LENGTH_BYTES + length
}

/// The bytes that one connection has to keep: an incomplete frame, or frames that must wait.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// `socket.request.max.bytes`.
    frame_bytes_max: usize,
    /// Behind the bytes that are held lies room that was made for a read and not filled. It is
    /// kept: a large frame arrives in many reads, and to zero its room for each of them costs more
    /// than its bytes.
    held: Vec<u8>,
    filled: usize,
}

impl Inbound {
    pub(crate) fn new(frame_bytes_max: usize) -> Self {
        Self { frame_bytes_max, held: Vec::new(), filled: 0 }
    }

    /// The frame at the front of `bytes`, which this connection may send.
    pub(crate) fn front<'a>(&self, bytes: &'a [u8]) -> Result<Front<'a>, FrameLength> {
        front(bytes, self.frame_bytes_max)
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    /// Bytes that are held once the incomplete frame is whole.
    pub(crate) fn len_when_whole(&self) -> Result<usize, FrameLength> {
        Ok(match self.front(self.bytes())? {
            Front::Frame(_) | Front::Partial { missing: None } => self.filled,
            Front::Partial { missing: Some(missing) } => self.filled + missing,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether a whole frame is held.
    pub(crate) fn holds_frame(&self) -> Result<bool, FrameLength> {
        Ok(matches!(self.front(self.bytes())?, Front::Frame(_)))
    }

    fn bytes(&self) -> &[u8] {
        &self.held[..self.filled]
    }

    /// Takes the held bytes, to look for frames in them; [`Inbound::put_back`] must follow.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let mut held = std::mem::take(&mut self.held);
        held.truncate(std::mem::take(&mut self.filled));
        held
    }

    /// Gives back what was taken, less the first `used` bytes.
    pub(crate) fn put_back(&mut self, mut held: Vec<u8>, used: usize) {
        assert!(self.is_empty(), "bytes arrived out of order");
        held.drain(..used);
        if held.is_empty() && held.capacity() > KEEP_BYTES_MAX {
            held = Vec::new();
        }
        self.filled = held.len();
        self.held = held;
    }

    /// Keeps bytes that another buffer held.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        assert!(self.is_empty(), "bytes arrived out of order");
        self.held.clear();
        self.held.extend_from_slice(bytes);
        self.filled = bytes.len();
    }

    /// Room to read ahead while nothing may start; `None` once enough is held.
    pub(crate) fn room_ahead(&mut self) -> Option<Room<'_>> {
        (self.filled < AHEAD_BYTES_MAX).then(|| self.room_to(AHEAD_BYTES_MAX))
    }

    /// Room to read into behind the held bytes: at most to the end of the incomplete frame, so
    /// that the next frame is read into the loop's buffer again.
    pub(crate) fn room(&mut self) -> Result<Room<'_>, FrameLength> {
        let missing = match self.front(self.bytes())? {
            Front::Frame(_) => RESERVE_BYTES_FIRST,
            Front::Partial { missing } => missing.unwrap_or(LENGTH_BYTES),
        };
        let grow = missing.min(RESERVE_BYTES_FIRST.max(self.filled));
        Ok(self.room_to(self.filled + grow))
    }

    fn room_to(&mut self, end: usize) -> Room<'_> {
        if self.held.len() < end {
            // Exact: a frame of which little is missing would be given twice its room.
            self.held.reserve_exact(end - self.held.len());
            self.held.resize(end, 0);
        }
        Room { inbound: self, end }
    }
}

/// Bytes that are read ahead while nothing may start: enough to notice that the peer has gone. Each
/// parked fetch makes room for them, so they are few.
const AHEAD_BYTES_MAX: usize = 256;

/// Space behind the held bytes.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    inbound: &'a mut Inbound,
    end: usize,
}

impl Room<'_> {
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.inbound.held[self.inbound.filled..self.end]
    }

    pub(crate) fn fill(&mut self, count: usize) {
        self.inbound.filled += count;
        assert!(self.inbound.filled <= self.end, "more read than there was room for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100 * 1024 * 1024;

    #[test]
    fn frames_are_found_at_the_front() {
        check(b"", Ok(Front::Partial { missing: None }));
        check(b"\0\0\0", Ok(Front::Partial { missing: None }));
        check(b"\0\0\0\x02", Ok(Front::Partial { missing: Some(2) }));
        check(b"\0\0\0\x02a", Ok(Front::Partial { missing: Some(1) }));
        check(b"\0\0\0\x02abc", Ok(Front::Frame(b"ab")));
        check(b"\0\0\0\0", Ok(Front::Frame(b"")));
        check(b"\xff\xff\xff\xff", Err(FrameLength { announced: -1, max: MAX }));
        let announced = 0x0640_0001;
        check(b"\x06\x40\0\x01", Err(FrameLength { announced, max: MAX }));
    }

    #[expect(clippy::needless_pass_by_value, reason = "rows read better without borrows")]
    fn check(bytes: &[u8], found: Result<Front<'_>, FrameLength>) {
        assert_eq!(front(bytes, MAX), found, "{bytes:?}");
    }

    #[test]
    fn an_announced_frame_costs_nothing_before_it_arrives() {
        let mut inbound = Inbound::new(MAX);
        inbound.keep(&(100 * 1024 * 1024_i32).to_be_bytes());
        assert_eq!(inbound.room().unwrap().space().len(), RESERVE_BYTES_FIRST);
        assert!(inbound.held.capacity() < 2 * RESERVE_BYTES_FIRST);
        let mut arrived = 0;
        while arrived < 1_000_000 {
            let mut room = inbound.room().unwrap();
            let count = room.space().len();
            room.fill(count);
            arrived += count;
        }
        assert!(inbound.held.capacity() <= 4 * arrived, "at most doubled, twice");
    }

    #[test]
    fn reading_stops_at_the_frame_s_end() {
        let mut inbound = Inbound::new(MAX);
        inbound.keep(b"\0\0\0\x05ab");
        let mut room = inbound.room().unwrap();
        assert_eq!(room.space().len(), 3);
        room.space().copy_from_slice(b"cde");
        room.fill(3);
        let held = inbound.take();
        assert_eq!(front(&held, MAX), Ok(Front::Frame(b"abcde")));
        inbound.put_back(held, 9);
        assert!(inbound.is_empty());
    }

    #[test]
    fn room_that_a_read_did_not_fill_is_not_made_again() {
        let mut inbound = Inbound::new(MAX);
        inbound.keep(&(10 * 1024 * 1024_i32).to_be_bytes());
        let mut made = 0;
        for _ in 0..1_000 {
            inbound.room().unwrap().fill(1_000);
            assert!(inbound.held.len() >= made, "room was given up");
            made = inbound.held.len();
        }
        assert!(made < 2 * 1_000_004 + RESERVE_BYTES_FIRST);
    }
}
