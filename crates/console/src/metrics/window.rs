//! What was counted lately: quantiles since the start of a node would hardly move any more.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_broker::{NodeReport, Times};
use ottla_env::Mono;

/// How old the younger of two looks is before another one takes its place: what is told goes back
/// to the older one, so for one to two minutes, or to the look before.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Times of a moment.
#[derive(Clone, Debug, Default)]
struct Look {
    at: Option<Mono>,
    requests: BTreeMap<&'static str, Times>,
    syncs: Times,
}

/// Two looks, and what was counted after the older one.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    older: Look,
    younger: Look,
}

impl Window {
    /// Looks at a node; what was counted lately is what it tells now, less the older look.
    pub(super) fn look(&mut self, node: &NodeReport, now: Mono) -> Self {
        if self.younger.at.is_none_or(|at| now.since(at) >= LOOK_EVERY) {
            let requests = node.requests.iter();
            let requests = requests.map(|it| (it.name, it.times.clone())).collect();
            let fresh = Look { at: Some(now), requests, syncs: node.syncs.clone() };
            self.older = std::mem::replace(&mut self.younger, fresh);
        }
        self.clone()
    }

    /// An API's requests of late, given all of them.
    pub(super) fn requests(&self, name: &str, all: &Times) -> Times {
        self.older.requests.get(name).map_or_else(|| all.clone(), |before| all.since(before))
    }

    /// The syncs of late, given all of them.
    pub(super) fn syncs(&self, all: &Times) -> Times {
        all.since(&self.older.syncs)
    }
}
