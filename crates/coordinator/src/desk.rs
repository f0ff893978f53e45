//! What one event may touch besides its group.

use std::time::Duration;

use crate::answer::GroupAnswer;
use crate::clock::Now;
use crate::record::GroupRecord;
use crate::settings::GroupSettings;
use crate::shard::{Effects, Ticket};
use crate::timers::{Timer, Timers};

/// The clocks, the timers and the effects of one event.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) timers: &'a mut Timers,
    pub(crate) effects: &'a mut Effects,
}

impl Desk<'_> {
    /// Sets a deadline, counted from now.
    pub(crate) fn arm(&mut self, timer: Timer, after: Duration) {
        self.timers.arm(timer, self.now.mono.saturating_add(after));
    }

    /// Forgets a deadline.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        self.timers.cancel(timer);
    }

    /// Gives an answer.
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: GroupAnswer) {
        self.effects.answer(ticket, answer);
    }

    /// Gives a record of state that is here already.
    pub(crate) fn record(&mut self, record: GroupRecord) {
        self.effects.records.push(record);
    }
}
