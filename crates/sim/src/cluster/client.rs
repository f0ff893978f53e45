//! What every client has: its machine's world, the history, and a connection that it keeps alive.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ottla_env::{Env, Mono};
use ottla_wire::{DecodeError, ErrorCode};

use super::calls::{self, Refused};
use super::connection::{Answered, Connection};
use super::history::{History, Partition, Topic};
use super::sometimes::{self, Event};
use crate::draws::Draws;

/// How long a client waits for an answer before it takes the connection for broken.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after everything was healed an old connection may still be waited for in vain.
pub(super) const CONVALESCENCE: Duration = Duration::from_secs(10);

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// New work, and faults.
    Trouble,
    /// The last fault is over: new work must succeed.
    Healed,
    /// No new work; what was begun must come to its end.
    Draining,
}

/// What the clients of a run share.
pub(super) struct Shared {
    pub(super) node: SocketAddr,
    pub(super) history: RefCell<History>,
    pub(super) phase: Cell<Phase>,
    /// From here on every request must be answered.
    pub(super) sound_from: Cell<Option<Mono>>,
}

/// One client.
pub(super) struct Client {
    pub(super) shared: Rc<Shared>,
    pub(super) env: Env,
    pub(super) draws: Draws,
}

impl Client {
    pub(super) fn phase(&self) -> Phase {
        self.shared.phase.get()
    }

    pub(super) fn violate(&self, what: String) {
        self.shared.history.borrow_mut().violate(what);
    }

    /// As [`Self::violate`], unless the disk has broken its word about the partition.
    pub(super) fn violate_of(&self, partition: Partition, what: String) {
        self.shared.history.borrow_mut().violate_of(partition, what);
    }

    /// An answer shows where a log starts, see [`History::on_start`].
    pub(super) fn on_start(&self, partition: Partition, starts: (i64, i64)) {
        let now = self.env.clock.wall();
        self.shared.history.borrow_mut().on_start(partition, starts, now);
    }

    pub(super) fn topic(&self, partition: Partition) -> Topic {
        self.shared.history.borrow().topics()[partition.topic].clone()
    }

    pub(super) fn is_written_off(&self, partition: Partition) -> bool {
        self.shared.history.borrow().is_written_off(partition)
    }

    /// Any partition of any topic that can be written to; `None` before the first topic was made.
    pub(super) fn any_sound_partition(&self) -> Option<Partition> {
        let partitions = self.shared.history.borrow().sound_partitions();
        (!partitions.is_empty()).then(|| *self.draws.pick(&partitions))
    }

    /// Any partition of any topic; `None` before the first topic was made.
    pub(super) fn any_partition(&self) -> Option<Partition> {
        let partitions = self.shared.history.borrow().partitions();
        (!partitions.is_empty()).then(|| *self.draws.pick(&partitions))
    }

    pub(super) async fn pause_ms(&self, low: u64, high: u64) {
        let pause = Duration::from_millis(self.draws.within(low..high));
        self.env.clock.sleep(pause).await;
    }

    /// A connection, however long it takes to get one.
    pub(super) async fn connect(&self) -> Connection {
        loop {
            let opened = Connection::open(&self.env, self.shared.node).await;
            match opened {
                Ok(mut connection) => match self.greet(&mut connection).await {
                    Ok(()) => return connection,
                    Err(error) => self.on_broken(&error),
                },
                Err(error) => self.on_broken(&error),
            }
            self.pause_ms(20, 200).await;
        }
    }

    /// Some clients ask for the versions first, as all of Kafka's do.
    async fn greet(&self, connection: &mut Connection) -> io::Result<()> {
        if self.draws.one_in(2) {
            return Ok(());
        }
        calls::api_versions(connection, *self.draws.pick(&[0, 1, 2, 3, 4]));
        let answer = self.answer(connection).await?;
        match decoded(calls::served(&answer))? {
            Ok(apis) if apis > 0 => {}
            Ok(_) => self.violate("a node that serves nothing".to_owned()),
            Err(refused) => self.violate(format!("versions refused: {refused}")),
        }
        Ok(())
    }

    /// The next answer, in time.
    pub(super) async fn answer(&self, connection: &mut Connection) -> io::Result<Answered> {
        let asked = self.env.clock.mono();
        let answer = connection.answer_by(&self.env, asked.after(REQUEST_TIMEOUT)).await;
        let timed_out = answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if timed_out {
            self.on_timeout(asked);
        }
        answer
    }

    /// A request got no answer.
    pub(super) fn on_timeout(&self, asked: Mono) {
        if self.shared.sound_from.get().is_some_and(|sound| asked >= sound) {
            self.violate(format!("a request of {} ms was not answered", asked.nanos() / 1_000_000));
        }
    }

    /// A connection broke, which may happen; that an answer cannot be read may not.
    pub(super) fn on_broken(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            self.violate(format!("the node answers nonsense: {error}"));
        }
    }

    /// As [`Self::expect_retriable`], about a partition whose files may be beyond repair.
    pub(super) fn expect_retriable_of(&self, partition: Partition, what: &str, refused: Refused) {
        if refused.is(ErrorCode::KafkaStorageError) {
            sometimes::happens(Event::StorageError);
        }
        if !self.is_written_off(partition) {
            self.expect_retriable(what, refused);
        }
    }

    /// An error that a client must be ready for; others are the node's mistake.
    pub(super) fn expect_retriable(&self, what: &str, refused: Refused) {
        if !refused.is_retriable() {
            self.violate(format!("{what} refused: {refused}"));
        }
    }
}

/// What cannot be decoded breaks the connection.
pub(super) fn decoded<T>(decoded: Result<T, DecodeError>) -> io::Result<T> {
    decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
