//! All members of a group on connections of their own, driven by one thread.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::member::{Member, Next};
use crate::connection::Connection;

/// A group that does not rest for this long is broken.
const REST_SECONDS_MAX: u64 = 300;
/// The longest sleep: also how late a heartbeat may be.
const PAUSE_MAX: Duration = Duration::from_millis(10);

struct Seat {
    connection: Connection,
    member: Box<dyn Member>,
    /// What is sent when its time has come; `None` while an answer is awaited.
    next: Option<Next>,
}

/// A group's members.
pub(super) struct Crowd {
    seats: Vec<Seat>,
    partitions: usize,
}

impl Crowd {
    /// Connects all, without a word yet.
    pub(super) fn open(
        address: SocketAddr,
        members: Vec<Box<dyn Member>>,
        partitions: i32,
    ) -> Result<Self, String> {
        let seat = |member| {
            let connection = Connection::open(address).map_err(|error| error.to_string())?;
            connection.make_nonblocking().map_err(|error| error.to_string())?;
            Ok::<_, String>(Seat { connection, member, next: None })
        };
        let seats = members.into_iter().map(seat).collect::<Result<_, _>>()?;
        Ok(Self { seats, partitions: usize::try_from(partitions).map_err(|e| e.to_string())? })
    }

    /// Everybody enters at once.
    pub(super) fn enter(&mut self) -> Result<(), String> {
        let now = Instant::now();
        for seat in &mut self.seats {
            seat.next = Some((now, seat.member.enter()));
        }
        Ok(())
    }

    /// One says good-bye. What it awaited comes first, and is not looked at.
    pub(super) fn leave(&mut self, which: usize) -> Result<(), String> {
        let mut seat = self.seats.swap_remove(which);
        seat.connection.queue(seat.member.leave().into());
        while seat.connection.in_flight > 0 {
            seat.connection.flush().map_err(|error| error.to_string())?;
            seat.connection.receive(|_| Ok(()))?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// One is not heard of any more.
    #[expect(clippy::unnecessary_wraps, reason = "one signature for all changes")]
    pub(super) fn die(&mut self, which: usize) -> Result<(), String> {
        self.seats.swap_remove(which);
        Ok(())
    }

    /// Waits until all members stand in one generation, which they tell, and share all partitions
    /// evenly.
    pub(super) fn await_rest(&mut self) -> Result<i32, String> {
        let deadline = Instant::now() + Duration::from_secs(REST_SECONDS_MAX);
        loop {
            self.pass()?;
            if let Some(generation) = self.rest() {
                return Ok(generation);
            }
            if Instant::now() > deadline {
                return Err(format!("no rest after {REST_SECONDS_MAX} s"));
            }
        }
    }

    /// A group can stand still and not rest: one that has just been joined may still have all
    /// partitions in few hands.
    fn rest(&self) -> Option<i32> {
        let (generation, _) = self.seats.first()?.member.place()?;
        let (least, rest) =
            (self.partitions / self.seats.len(), self.partitions % self.seats.len());
        let mut owned = 0;
        for seat in &self.seats {
            let (its, count) = seat.member.place()?;
            if its != generation || count < least || count > least + rest.min(1) {
                return None;
            }
            owned += count;
        }
        (owned == self.partitions).then_some(generation)
    }

    /// Sends what is due, waits a moment, takes what has come.
    fn pass(&mut self) -> Result<(), String> {
        let now = Instant::now();
        for seat in &mut self.seats {
            if let Some((_, frame)) = seat.next.take_if(|(at, _)| *at <= now) {
                seat.connection.queue(frame.into());
            }
            seat.connection.flush().map_err(|error| error.to_string())?;
        }
        for at in self.readable()? {
            let Seat { connection, member, next } = &mut self.seats[at];
            connection.receive(|answer| {
                *next = Some(member.on_answer(answer)?);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn readable(&self) -> Result<Vec<usize>, String> {
        let interest = |seat: &Seat| match seat.connection.has_outbound() {
            true => PollFlags::IN | PollFlags::OUT,
            false => PollFlags::IN,
        };
        let mut polled: Vec<PollFd<'_>> = (self.seats.iter())
            .map(|seat| PollFd::from_borrowed_fd(seat.connection.fd(), interest(seat)))
            .collect();
        let pause =
            self.seats.iter().filter_map(|seat| seat.next.as_ref().map(|(at, _)| *at)).min();
        let pause = pause.map_or(PAUSE_MAX, |at| at.saturating_duration_since(Instant::now()));
        let pause = Timespec::try_from(pause.min(PAUSE_MAX)).map_err(|error| error.to_string())?;
        poll(&mut polled, Some(&pause)).map_err(|error| error.to_string())?;
        let readable = |each: &PollFd<'_>| !(each.revents() - PollFlags::OUT).is_empty();
        Ok((0..polled.len()).filter(|at| readable(&polled[*at])).collect())
    }
}
