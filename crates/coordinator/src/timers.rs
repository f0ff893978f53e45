//! What is due when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{GroupId, MemberId};

/// What a deadline is for; each has at most one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Old offsets and empty groups are looked for.
    Expiry,
    /// A classic group has waited long enough for its members to join.
    ClassicJoin(GroupId),
    /// A classic group has waited long enough for its members to ask for their assignments.
    ClassicSync(GroupId),
    /// A member of a classic group was silent for its session timeout.
    ClassicSession(GroupId, MemberId),
    /// A member of a consumer group was silent for its session timeout.
    ConsumerSession(GroupId, MemberId),
    /// A member of a consumer group has not given up its partitions in its rebalance timeout.
    ConsumerRebalance(GroupId, MemberId),
    /// A classic member of a consumer group has not joined again.
    ConsumerJoin(GroupId, MemberId),
    /// A classic member of a consumer group has not asked for its assignment.
    ConsumerSync(GroupId, MemberId),
}

impl Timer {
    /// Whether it says that members were silent.
    pub(crate) const fn waits_for_members(&self) -> bool {
        match self {
            Self::Expiry => false,
            Self::ClassicJoin(_)
            | Self::ClassicSync(_)
            | Self::ClassicSession(..)
            | Self::ConsumerSession(..)
            | Self::ConsumerRebalance(..)
            | Self::ConsumerJoin(..)
            | Self::ConsumerSync(..) => true,
        }
    }
}

/// Deadlines, of which the next is always known. One entry a member and a few a group: memory is
/// bounded by what the groups hold.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Duration, Timer)>,
    by_name: BTreeMap<Timer, Duration>,
    /// Those of them that were postponed, and not set anew since.
    postponed: BTreeSet<Timer>,
}

impl Timers {
    /// Sets the deadline, in place of the one it had.
    pub(crate) fn arm(&mut self, timer: Timer, at: Duration) {
        self.postponed.remove(&timer);
        if let Some(before) = self.by_name.insert(timer.clone(), at) {
            self.by_time.remove(&(before, timer.clone()));
        }
        self.by_time.insert((at, timer));
    }

    /// Sets the deadline anew because it was noticed too late.
    pub(crate) fn postpone(&mut self, timer: Timer, to: Duration) {
        self.arm(timer.clone(), to);
        self.postponed.insert(timer);
    }

    /// Whether the deadline is one that was postponed.
    pub(crate) fn is_postponed(&self, timer: &Timer) -> bool {
        self.postponed.contains(timer)
    }

    /// Forgets the deadline, if there is one.
    pub(crate) fn cancel(&mut self, timer: &Timer) {
        self.postponed.remove(timer);
        if let Some(at) = self.by_name.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    /// The deadline that was set.
    pub(crate) fn deadline(&self, timer: &Timer) -> Option<Duration> {
        self.by_name.get(timer).copied()
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The deadlines that have come, in order. Each is still to be taken.
    pub(crate) fn due(&self, now: Duration) -> Vec<(Duration, Timer)> {
        self.by_time.iter().take_while(|(at, _)| *at <= now).cloned().collect()
    }

    /// Takes a deadline that was due, unless it was set anew or cancelled in the meantime: what
    /// is due at the same time may be the reason why this is not any more.
    pub(crate) fn take(&mut self, (at, timer): &(Duration, Timer)) -> bool {
        let valid = self.by_name.get(timer) == Some(at);
        if valid {
            self.cancel(timer);
        }
        valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_is_due_once_and_in_order() {
        let session = |member| Timer::ClassicSession("g".into(), MemberId::new(member));
        let mut timers = Timers::default();
        timers.arm(session("a"), Duration::from_secs(3));
        timers.arm(session("b"), Duration::from_secs(1));
        timers.arm(session("b"), Duration::from_secs(2));
        timers.arm(session("c"), Duration::from_secs(1));
        timers.cancel(&session("c"));
        assert_eq!(timers.next(), Some(Duration::from_secs(2)));
        assert_eq!(timers.due(Duration::from_secs(1)), []);
        let due = timers.due(Duration::from_secs(9));
        let expected =
            [(Duration::from_secs(2), session("b")), (Duration::from_secs(3), session("a"))];
        assert_eq!(due, expected);
        assert!(timers.take(&due[0]) && !timers.take(&due[0]));
        timers.arm(session("a"), Duration::from_secs(4));
        assert!(!timers.take(&due[1]), "it was set anew");
        timers.cancel(&session("a"));
        assert_eq!(timers.next(), None);
    }
}
