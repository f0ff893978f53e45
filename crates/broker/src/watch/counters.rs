//! What a node counts while it serves: no lock, no allocation, and no clock asked for it.

use std::sync::atomic::{AtomicU64, Ordering};

use ottla_env::LoopId;
use ottla_types::Timestamp;

use super::histogram::{Histogram, Times, add_alone};
use super::report::ConnectionReport;
use super::traffic::Traffic;

/// Kafka's error codes begin at -1, and there are fewer than this.
const ERROR_CODES: usize = 160;

/// A place in the table of APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiAt(pub(crate) usize);

/// Whose partitions refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuser {
    Produce,
    Fetch,
}

/// Why a node closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No frame is so short, or may be so long.
    FrameLength,
    /// A request that cannot be read, or that is not served.
    Request,
    /// It took too long over a request, or an answer.
    Late,
    /// Its address has as many as it may have.
    Limit,
}

/// The counters of a node.
#[derive(Debug)]
pub(crate) struct Counters {
    /// When the node was started.
    pub(super) started: Timestamp,
    loops: Vec<LoopCounters>,
    listeners: Vec<(String, Vec<Connections>)>,
    produce_errors: Errors,
    fetch_errors: Errors,
    /// In the order of [`Refusal::ALL`].
    refused: [AtomicU64; Refusal::ALL.len()],
    /// What was told of all partitions last.
    pub(super) told: Traffic,
}

/// What one loop counts; nobody else adds to it.
#[derive(Debug)]
struct LoopCounters {
    /// In the order of the table of APIs.
    apis: Vec<Histogram>,
}

/// The connections of one listener on one loop.
#[derive(Debug, Default)]
struct Connections {
    /// Opened here, and closed here.
    opened: AtomicU64,
    closed: AtomicU64,
    /// Come from other loops, and gone to others.
    came: AtomicU64,
    went: AtomicU64,
}

impl Connections {
    fn report(&self, listener: &str, on_loop: usize) -> ConnectionReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        // In this order: none ends before it has begun.
        let (closed, went) = (read(&self.closed), read(&self.went));
        let (opened, came) = (read(&self.opened), read(&self.came));
        let open = (opened + came).saturating_sub(closed + went);
        ConnectionReport { listener: listener.to_owned(), on_loop, open, opened, closed }
    }
}

#[derive(Debug)]
struct Errors([AtomicU64; ERROR_CODES]);

/// One connection, counted as open on its loop until it is dropped.
pub(crate) struct Open<'a> {
    of: Option<&'a Connections>,
    leaves: bool,
}

impl Open<'_> {
    /// It goes on, on another loop.
    pub(crate) const fn leaves(&mut self) {
        self.leaves = true;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(of) = self.of {
            add_alone(if self.leaves { &of.went } else { &of.closed }, 1);
        }
    }
}

impl Counters {
    /// Of a node that is started now.
    pub(crate) fn new(
        started: Timestamp,
        loops: usize,
        apis: usize,
        listeners: Vec<String>,
    ) -> Self {
        let of_loop = |_| LoopCounters { apis: (0..apis).map(|_| Histogram::default()).collect() };
        let of_listener = |name| (name, (0..loops).map(|_| Connections::default()).collect());
        Self {
            started,
            loops: (0..loops).map(of_loop).collect(),
            listeners: listeners.into_iter().map(of_listener).collect(),
            produce_errors: Errors::new(),
            fetch_errors: Errors::new(),
            refused: Default::default(),
            told: Traffic::default(),
        }
    }

    /// The times of an API's requests on one loop, which alone may add to them.
    pub(crate) fn times(&self, on: LoopId, api: ApiAt) -> &Histogram {
        &self.loops[on.0].apis[api.0]
    }

    /// Counts a connection in, on its loop; one that is not new was on another one before.
    pub(crate) fn connected(&self, listener: &str, on: LoopId, is_new: bool) -> Open<'_> {
        let found = self.listeners.iter().find(|(name, _)| name == listener);
        let of = found.map(|(_, loops)| &loops[on.0]);
        if let Some(of) = of {
            add_alone(if is_new { &of.opened } else { &of.came }, 1);
        }
        Open { of, leaves: false }
    }

    /// A connection was closed for what its client sent.
    pub(crate) fn on_refused(&self, why: Refusal) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A partition refused a part of a request, with the code of an error.
    pub(crate) fn on_error(&self, of: Refuser, code: i16) {
        let errors = self.errors(of);
        let at = usize::try_from(i32::from(code) + 1).unwrap_or(0);
        if let Some(count) = errors.0.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn errors(&self, of: Refuser) -> &Errors {
        match of {
            Refuser::Produce => &self.produce_errors,
            Refuser::Fetch => &self.fetch_errors,
        }
    }

    /// The times of an API's requests on all loops.
    pub(super) fn all_times(&self, api: ApiAt) -> Times {
        let mut all = Times::default();
        self.loops.iter().for_each(|of| all.add(&of.apis[api.0].read()));
        all
    }

    /// Each code that was told, and how often.
    pub(super) fn all_errors(&self, of: Refuser) -> Vec<(i16, u64)> {
        let told = (-1..).zip(&self.errors(of).0);
        let counted = told.map(|(code, count)| (code, count.load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The connections of each listener on each loop.
    pub(super) fn connections(&self) -> impl Iterator<Item = ConnectionReport> {
        self.listeners.iter().flat_map(|(name, loops)| {
            loops.iter().enumerate().map(|(on_loop, of)| of.report(name, on_loop))
        })
    }

    /// How often each reason was one to refuse a connection.
    pub(super) fn all_refused(&self) -> Vec<(&'static str, u64)> {
        let of = |why: Refusal| self.refused[why as usize].load(Ordering::Relaxed);
        Refusal::ALL.map(|why| (why.name(), of(why))).to_vec()
    }
}

impl Refusal {
    const ALL: [Self; 4] = [Self::FrameLength, Self::Request, Self::Late, Self::Limit];

    const fn name(self) -> &'static str {
        match self {
            Self::FrameLength => "frame length",
            Self::Request => "request",
            Self::Late => "late",
            Self::Limit => "limit",
        }
    }
}

impl Errors {
    fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ERROR_CODES])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1);

    #[test]
    fn connections_are_counted_where_they_are() {
        let counters = Counters::new(NOW, 2, 1, vec!["A".to_owned(), "B".to_owned()]);
        let seen = || -> Vec<(usize, u64, u64, u64)> {
            let of_b = counters.connections().filter(|it| it.listener == "B");
            of_b.map(|it| (it.on_loop, it.open, it.opened, it.closed)).collect()
        };
        let mut open = counters.connected("B", LoopId(0), true);
        drop(counters.connected("B", LoopId(1), true));
        drop(counters.connected("unheard of", LoopId(0), true));
        assert_eq!(seen(), [(0, 1, 1, 0), (1, 0, 1, 1)]);
        // To another loop: it was opened once, and is closed there.
        open.leaves();
        drop(open);
        let open = counters.connected("B", LoopId(1), false);
        assert_eq!(seen(), [(0, 0, 1, 0), (1, 1, 1, 1)]);
        drop(open);
        assert_eq!(seen(), [(0, 0, 1, 0), (1, 0, 1, 2)]);
        assert!(counters.connections().all(|it| it.listener == "B" || it.opened == 0));
    }

    #[test]
    fn every_reason_to_refuse_has_its_count() {
        let counters = Counters::new(NOW, 1, 1, Vec::new());
        for (times, why) in (1..).zip(Refusal::ALL) {
            (0..times).for_each(|_| counters.on_refused(why));
        }
        let expected = [("frame length", 1), ("request", 2), ("late", 3), ("limit", 4)];
        assert_eq!(counters.all_refused(), expected);
    }

    #[test]
    fn errors_are_counted_by_their_codes() {
        let counters = Counters::new(NOW, 1, 1, Vec::new());
        for code in [-1, 3, 3, 132, i16::MAX, i16::MIN] {
            counters.on_error(Refuser::Fetch, code);
        }
        // What no code is, counts as the error without a code of its own.
        assert_eq!(counters.all_errors(Refuser::Fetch), [(-1, 2), (3, 2), (132, 1)]);
        assert_eq!(counters.all_errors(Refuser::Produce), []);
    }
}
