//! Members that are silent because they wait: their answers are decided, and the log is slow.
//!
//! A decision counts at once, and its answer waits until the records before it are committed. A
//! session that was begun with the decision may be over before its member has heard of anything.

use std::time::Duration;

use crate::answer::GroupAnswer;
use crate::clock::Now;
use crate::ids::{GroupId, MemberId};
use crate::request::GroupRequest;
use crate::shard::{GRACE_MAX, GroupShard, LATE_MAX};
use crate::timers::Timer;

/// A member that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Its group.
    pub group: GroupId,
    /// The member; `None` while it has no name yet.
    pub member: Option<MemberId>,
}

impl GroupRequest {
    /// Whose silence the answer explains; `None` for what members do not ask as members.
    #[must_use]
    pub fn asker(&self) -> Option<Asker> {
        let asker = |group: &GroupId, member: &Option<MemberId>| {
            Some(Asker { group: group.clone(), member: member.clone() })
        };
        match self {
            Self::Join(join) => asker(&join.group, &join.member),
            Self::Sync(sync) => asker(&sync.group, &sync.member),
            Self::Heartbeat(beat) => asker(&beat.group, &beat.member),
            Self::CommitOffsets(commit) => asker(&commit.group, &commit.member),
            Self::FetchOffsets(fetch) => asker(&fetch.group, &fetch.member),
            Self::ConsumerHeartbeat(beat) => asker(&beat.group, &Some(beat.member.clone())),
            Self::Leave(_)
            | Self::DeleteOffsets(_)
            | Self::Describe(_)
            | Self::List(_)
            | Self::Survey { .. }
            | Self::ConsumerDescribe(_)
            | Self::Delete(_) => None,
        }
    }
}

impl Asker {
    /// A newcomer is named by its answer.
    #[must_use]
    pub fn named_by(self, answer: &GroupAnswer) -> Self {
        let GroupAnswer::Join(joined) = answer else { return self };
        let name = match joined {
            Ok(joined) => Some(joined.member.clone()),
            Err(refused) => refused.member.clone(),
        };
        Self { member: name.or(self.member), ..self }
    }
}

impl GroupShard {
    /// A member's answer was `waited` for, or still is, because the log is slow: the member has
    /// that long to be heard again, 9 seconds at most. Nothing if the wait was short.
    ///
    /// The sessions of those who wait go on as long as they wait. A deadline of a rebalance is set
    /// anew once: on a node that is always slow, somebody else may wait for its end.
    pub fn on_late_answer(&mut self, now: Now, asker: &Asker, waited: Duration) {
        let Some(member) = asker.member.as_ref().filter(|_| waited > LATE_MAX) else { return };
        let until = now.mono.saturating_add(waited.min(GRACE_MAX));
        let (group, member) = (|| asker.group.clone(), || member.clone());
        for session in
            [Timer::ClassicSession(group(), member()), Timer::ConsumerSession(group(), member())]
        {
            if self.timers.deadline(&session).is_some_and(|at| at < until) {
                self.timers.arm(session, until);
            }
        }
        for step in [
            Timer::ClassicJoin(group()),
            Timer::ClassicSync(group()),
            Timer::ConsumerRebalance(group(), member()),
            Timer::ConsumerJoin(group(), member()),
            Timer::ConsumerSync(group(), member()),
        ] {
            let is_sooner = self.timers.deadline(&step).is_some_and(|at| at < until);
            if is_sooner && !self.timers.is_postponed(&step) {
                self.timers.postpone(step, until);
            }
        }
    }
}
