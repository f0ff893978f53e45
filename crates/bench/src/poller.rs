//! Which of thousands of connections can go on.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};

use crate::connection::Connection;

/// Events of one call: enough that two thousand connections cost a few calls a round.
const EVENTS_MAX: usize = 1024;

/// The connections of one thread, known by their place among them.
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// By connection: whether its becoming writable is asked for.
    asks_to_write: Vec<bool>,
    events: Vec<Event>,
}

impl Poller {
    /// Asks of every connection when it has something to read.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new(connections: &[Connection]) -> Result<Self, String> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| e.to_string())?;
        for (at, connection) in connections.iter().enumerate() {
            epoll::add(&epoll, connection.fd(), EventData::new_u64(at as u64), EventFlags::IN)
                .map_err(|error| error.to_string())?;
        }
        let asks_to_write = vec![false; connections.len()];
        Ok(Self { epoll, asks_to_write, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Asks for writability where something is left to write, and only there.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn adjust(&mut self, at: usize, connection: &Connection) -> Result<(), String> {
        let wanted = connection.has_outbound();
        if self.asks_to_write[at] == wanted {
            return Ok(());
        }
        self.asks_to_write[at] = wanted;
        let interest = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(&self.epoll, connection.fd(), EventData::new_u64(at as u64), interest)
            .map_err(|error| error.to_string())
    }

    /// Waits for one of them; fills `ready` with their places and whether they can be read.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn wait(&mut self, ready: &mut Vec<(usize, bool)>) -> Result<(), String> {
        self.events.clear();
        ready.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), None)
            .map_err(|error| error.to_string())?;
        ready.extend(self.events.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            let at = usize::try_from(data.u64()).expect("a place in a list");
            (at, flags != EventFlags::OUT)
        }));
        Ok(())
    }
}
