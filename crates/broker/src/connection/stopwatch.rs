//! How long requests take, without a clock of their own: a pass that answers is followed by another
//! one, which has to know the time anyway.

use ottla_env::{LoopId, Mono};

use crate::watch::{ApiAt, Counters};

/// Times the request at hand: no more than one of a connection is looked at.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// The connection's loop.
    on: LoopId,
    api: ApiAt,
    since: Mono,
    /// Its answer comes later, and whoever sends it counts it.
    put_off: bool,
}

/// Requests of one API that came in one pass, and are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    api: ApiAt,
    since: Mono,
    requests: u32,
}

impl Stopwatch {
    pub(super) const fn new(on: LoopId, now: Mono) -> Self {
        Self { on, api: ApiAt(0), since: now, put_off: false }
    }

    /// A request has come.
    pub(super) const fn start(&mut self, now: Mono) {
        self.since = now;
    }

    /// It is for this API.
    pub(crate) const fn is_for(&mut self, api: ApiAt) {
        self.api = api;
    }

    pub(super) const fn on(&self) -> LoopId {
        self.on
    }

    /// The request is answered; `None` if that was put off.
    pub(super) fn stop(&mut self) -> Option<Run> {
        let put_off = std::mem::replace(&mut self.put_off, false);
        (!put_off).then(|| self.run())
    }

    /// The request is answered later.
    pub(super) const fn put_off(&mut self) -> Run {
        self.put_off = true;
        self.run()
    }

    const fn run(&self) -> Run {
        Run { api: self.api, since: self.since, requests: 1 }
    }
}

impl Run {
    /// Takes another one in, if it came with this one and asks for the same.
    pub(super) fn takes(&mut self, other: Self) -> bool {
        let same = self.api == other.api && self.since == other.since;
        self.requests += if same { other.requests } else { 0 };
        same
    }

    /// Counts its requests, answered by now.
    pub(super) fn count(self, counters: &Counters, on: LoopId, now: Mono) {
        counters.times(on, self.api).record(now.since(self.since), u64::from(self.requests));
    }
}
