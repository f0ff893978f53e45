//! The lane of each loop of each node.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use ottla_env::LoopId;

use crate::broker::Broker;
use crate::connection::Lane;

/// What the connections of one loop of one node share.
struct Held {
    of: Weak<Broker>,
    on: LoopId,
    lane: Rc<Lane>,
}

thread_local! {
    /// Of the loops that this thread runs: one, where nothing is simulated.
    static LANES: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// The lane of the calling task's loop.
pub(crate) fn lane_of(broker: &Arc<Broker>) -> Rc<Lane> {
    let on = broker.env.spawn.current();
    LANES.with_borrow_mut(|lanes| {
        let is_it =
            |held: &&Held| held.on == on && std::ptr::eq(held.of.as_ptr(), Arc::as_ptr(broker));
        if let Some(held) = lanes.iter().find(is_it) {
            return Rc::clone(&held.lane);
        }
        // Nodes that are gone take what they had gathered with them.
        lanes.retain(|held| held.of.strong_count() > 0);
        let lane = Lane::new();
        lanes.push(Held { of: Arc::downgrade(broker), on, lane: Rc::clone(&lane) });
        lane
    })
}
