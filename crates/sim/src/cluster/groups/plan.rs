//! What a run of groups consists of: drawn from the seed before it begins, as lists.

use std::time::Duration;

use ottla_client::Assignor;

use super::super::plan::{Fault, Plan, PlannedFault};
use crate::draws::Draws;

/// A run.
#[derive(Clone, Debug)]
pub(super) struct GroupsPlan {
    /// The node, its faults, and how long there is trouble. Its topics and clients are not used.
    pub(super) base: Plan,
    /// More properties of the node.
    pub(super) properties: Vec<(&'static str, String)>,
    /// How many partitions each topic has.
    pub(super) topics: Vec<i32>,
    pub(super) writers: usize,
    pub(super) groups: Vec<GroupPlan>,
}

/// A group.
#[derive(Clone, Debug)]
pub(super) struct GroupPlan {
    pub(super) members: Vec<MemberPlan>,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) poll_interval_max: Duration,
    /// One poll in so many is not followed by a commit; 0: each is.
    pub(super) forgets_one_in: u64,
}

/// Which protocol a member speaks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Classic(&'static [Assignor]),
    Consumer,
}

/// A place in a group, which one life after the other takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberPlan {
    pub(super) speaks: Speaks,
    /// It has a name that outlives it.
    pub(super) is_static: bool,
    /// It subscribes to the first topic only.
    pub(super) modest: bool,
    /// It may take longer over its records than its group is patient.
    pub(super) slow: bool,
}

const CLASSIC: [&[Assignor]; 5] = [
    &[Assignor::Range],
    &[Assignor::RoundRobin],
    &[Assignor::Sticky],
    &[Assignor::CooperativeSticky],
    &[Assignor::Range, Assignor::CooperativeSticky],
];

impl GroupsPlan {
    /// The run of a seed.
    pub(super) fn draw(seed: u64) -> Self {
        let draws = Draws::new(seed, 0, "groups plan");
        let mut base = Plan::draw(seed);
        let trouble_ms = draws.within(10_000..60_000);
        base.trouble = Duration::from_millis(trouble_ms);
        let groups: Vec<GroupPlan> = (0..draws.within(1..4))
            .map(|nth| GroupPlan::draw(&Draws::new(seed, nth, "group")))
            .collect();
        let writers = usize::try_from(draws.within(1..3)).expect("a few");
        let clients = writers + groups.iter().map(|group| group.members.len()).sum::<usize>();
        let fault = |nth| PlannedFault::draw(&Draws::new(seed, nth, "fault"), trouble_ms, clients);
        base.faults = (0..draws.below(10)).map(fault).filter(is_borne).collect();
        let delay = draws.pick(&[0, 100, 3_000]).to_string();
        let partitions = draws.pick(&[1, 3, 50]).to_string();
        Self {
            base,
            properties: vec![
                ("group.initial.rebalance.delay.ms", delay),
                ("offsets.topic.num.partitions", partitions),
                ("group.min.session.timeout.ms", "1000".to_owned()),
                ("group.consumer.min.session.timeout.ms", "5000".to_owned()),
                ("group.consumer.session.timeout.ms", "8000".to_owned()),
                ("group.consumer.min.heartbeat.interval.ms", "500".to_owned()),
                ("group.consumer.heartbeat.interval.ms", "1000".to_owned()),
                ("group.consumer.assignment.interval.ms", draws.pick(&[0, 1_000]).to_string()),
            ],
            topics: (0..draws.within(1..4))
                .map(|_| i32::try_from(draws.within(1..7)).expect("a few"))
                .collect(),
            writers,
            groups,
        }
    }
}

/// Faults that harm no file and leave room to write: a group must outlive them as if nothing had
/// happened.
fn is_borne(planned: &PlannedFault) -> bool {
    match planned.fault {
        Fault::Death { .. }
        | Fault::Deaths { .. }
        | Fault::Stop { .. }
        | Fault::Cut { .. }
        | Fault::Reset { .. }
        | Fault::Delay { .. }
        | Fault::SyncFails { .. }
        | Fault::Slow { .. }
        | Fault::SlowTimes { .. }
        | Fault::Stall { .. }
        | Fault::WallJump { .. } => true,
        Fault::Vandalism { .. }
        | Fault::Full { .. }
        | Fault::Unreadable { .. }
        | Fault::ReadOnly { .. }
        | Fault::Lie { .. }
        | Fault::Rot { .. } => false,
    }
}

impl GroupPlan {
    /// Whether its members speak both protocols, or different assignors.
    pub(super) fn is_mixed(&self) -> bool {
        let first = self.members.first().map(|member| member.speaks);
        self.members.iter().any(|member| Some(member.speaks) != first)
    }

    fn draw(draws: &Draws) -> Self {
        let classic = Speaks::Classic(draws.pick::<&'static [Assignor]>(&CLASSIC));
        let (consumer, both) = (draws.one_in(3), draws.one_in(4));
        let members = draws.within(1..6);
        let member = |nth: u64| MemberPlan {
            speaks: match (consumer, both) {
                // Members of both protocols have range in common, which all of them may speak.
                (_, true) if draws.one_in(2) => Speaks::Consumer,
                (_, true) => Speaks::Classic(&[Assignor::Range]),
                (true, false) => Speaks::Consumer,
                (false, false) => classic,
            },
            is_static: draws.one_in(4),
            // Somebody reads everything.
            modest: nth > 0 && draws.one_in(4),
            slow: nth > 0 && draws.one_in(6),
        };
        Self {
            members: (0..members).map(member).collect(),
            session_timeout: Duration::from_millis(draws.within(6_000..12_000)),
            heartbeat_interval: Duration::from_millis(draws.within(500..3_000)),
            poll_interval_max: Duration::from_millis(draws.within(10_000..30_000)),
            forgets_one_in: *draws.pick(&[0, 0, 3]),
        }
    }
}
