//! From one generation to the next.

use std::time::Duration;

use super::{ClassicGroup, Member, Preparation, State};
use crate::answer::{GroupAnswer, JoinError, SyncError};
use crate::desk::Desk;
use crate::ids::MemberId;
use crate::timers::Timer;

/// How long a newcomer may wait for its first generation.
pub(super) const NEW_MEMBER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

impl ClassicGroup {
    /// The log is loaded: members that never come back are to be noticed.
    pub(crate) fn on_loaded(&mut self, desk: &mut Desk<'_>) {
        for member in self.members.iter() {
            self.arm_session(desk, member);
        }
        // The bound was lowered: whoever joins last is not let in again.
        if self.members.len() > desk.settings.classic_members_max {
            self.prepare_rebalance(desk);
        }
    }

    /// Whether everybody who is to join has joined.
    fn all_joined(&self) -> bool {
        self.members.joining() == self.members.len() && self.pending_joins.is_empty()
    }

    /// Something changed: a rebalance begins, or the one that runs may be over.
    pub(crate) fn rebalance_or_go_on(&mut self, desk: &mut Desk<'_>) {
        match self.state {
            State::Empty | State::Completing | State::Stable => self.prepare_rebalance(desk),
            State::Preparing(Preparation::Rejoin) => self.complete_join_if_all_joined(desk),
            // Others may come until the delay is over.
            State::Preparing(Preparation::Initial { .. }) => {}
        }
    }

    /// Somebody who was waited for is gone.
    pub(super) fn complete_join_if_all_joined(&mut self, desk: &mut Desk<'_>) {
        if matches!(self.state, State::Preparing(_)) && self.all_joined() {
            self.complete_join(desk);
        }
    }

    /// Everybody has to join again.
    pub(super) fn prepare_rebalance(&mut self, desk: &mut Desk<'_>) {
        if self.state == State::Completing {
            self.refuse_syncs(desk, SyncError::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        desk.cancel(&Timer::ClassicSync(self.group.clone()));
        if self.state == State::Empty {
            let delay = desk.settings.initial_rebalance_delay;
            let remaining = self.members.rebalance_timeout().saturating_sub(delay);
            self.arm_join(desk, delay);
            let initial = Preparation::Initial { newcomers: false, delay, remaining };
            return self.enter(State::Preparing(initial), desk);
        }
        self.enter(State::Preparing(Preparation::Rejoin), desk);
        if self.all_joined() {
            self.complete_join(desk);
        } else {
            self.arm_join(desk, self.members.rebalance_timeout());
        }
    }

    /// The time to join is over.
    pub(crate) fn on_join_timeout(&mut self, desk: &mut Desk<'_>) {
        match self.state {
            State::Preparing(Preparation::Initial { newcomers: true, delay, remaining })
                if !remaining.is_zero() =>
            {
                let next = desk.settings.initial_rebalance_delay.min(remaining);
                self.arm_join(desk, next);
                self.state = State::Preparing(Preparation::Initial {
                    newcomers: false,
                    delay: next,
                    remaining: remaining.saturating_sub(delay),
                });
            }
            State::Preparing(_) => self.complete_join(desk),
            State::Empty | State::Completing | State::Stable => {}
        }
    }

    fn arm_join(&self, desk: &mut Desk<'_>, after: Duration) {
        desk.arm(Timer::ClassicJoin(self.group.clone()), after);
    }

    /// The generation begins with those who have joined, and with static members, who may be
    /// silent until their session is over.
    fn complete_join(&mut self, desk: &mut Desk<'_>) {
        desk.cancel(&Timer::ClassicJoin(self.group.clone()));
        self.remove_absent(desk);
        if !self.members.is_empty() && !self.has_or_gets_leader() {
            // Only silent static members are left. They may still come, or their sessions end.
            return self.arm_join(desk, self.members.rebalance_timeout());
        }
        self.generation = self.generation.next();
        self.protocol_name = self.members.elect_protocol();
        self.subscribed = self.subscriptions();
        self.pending_syncs.clear();
        if self.members.is_empty() {
            self.leader = None;
            self.enter(State::Empty, desk);
            return desk.record(self.record());
        }
        self.enter(State::Completing, desk);
        self.tell_generation(desk);
    }

    fn remove_absent(&mut self, desk: &mut Desk<'_>) {
        let absent = |member: &&Member| !member.is_joining() && member.instance.is_none();
        let gone: Vec<_> =
            self.members.iter().filter(absent).map(|member| member.id.clone()).collect();
        for member in gone {
            self.remove(desk, &member);
        }
    }

    /// A leader that did not join makes room for one that did.
    fn has_or_gets_leader(&mut self) -> bool {
        let joined = |id: &MemberId| self.members.get(id).is_some_and(Member::is_joining);
        if !self.leader.as_ref().is_some_and(joined) {
            let Some(first) = self.members.iter().find(|member| member.is_joining()) else {
                return false;
            };
            self.leader = Some(first.id.clone());
        }
        true
    }

    fn tell_generation(&mut self, desk: &mut Desk<'_>) {
        let all: Vec<_> = self.members.iter().map(|member| member.id.clone()).collect();
        for id in all {
            if let Some(join) = self.members.take_join(&id) {
                self.answer_join(desk, join, id.clone(), false);
            }
            let member = self.members.get_mut(&id).expect("just listed");
            member.is_new = false;
            let session_timeout = member.session_timeout;
            desk.arm(self.session_timer(&id), session_timeout);
            self.pending_syncs.insert(id);
        }
        let timeout = self.members.rebalance_timeout();
        desk.arm(Timer::ClassicSync(self.group.clone()), timeout);
    }

    /// The group goes on under the other protocol: whoever waits is to join that.
    pub(crate) fn retire(&mut self, desk: &mut Desk<'_>) {
        let all: Vec<_> = self.members.iter().map(|member| member.id.clone()).collect();
        for id in all {
            if let Some(join) = self.members.take_join(&id) {
                super::join::refuse(desk, join, Some(id), JoinError::RebalanceInProgress);
            }
        }
        self.refuse_syncs(desk, SyncError::RebalanceInProgress);
        self.cancel_timers(desk);
    }

    /// Members that joined and never asked for their assignment have died in between.
    pub(crate) fn on_sync_timeout(&mut self, desk: &mut Desk<'_>) {
        match self.state {
            State::Completing | State::Stable if !self.pending_syncs.is_empty() => {
                for member in std::mem::take(&mut self.pending_syncs) {
                    self.remove(desk, &member);
                }
                self.prepare_rebalance(desk);
            }
            State::Empty | State::Preparing(_) | State::Completing | State::Stable => {}
        }
    }

    /// A member was silent for too long.
    pub(crate) fn on_session_timeout(&mut self, desk: &mut Desk<'_>, id: &MemberId) {
        if self.pending_joins.remove(id) {
            return self.complete_join_if_all_joined(desk);
        }
        let Some(member) = self.members.get(id) else { return };
        if member.is_waiting() && !member.is_new {
            return;
        }
        self.dismiss(desk, id);
    }

    /// Takes a member out, and lets the others know. Whoever was given an id and has not joined
    /// with it is missed by nobody, unless a rebalance waits for it.
    pub(super) fn dismiss(&mut self, desk: &mut Desk<'_>, id: &MemberId) {
        let was_member = self.members.contains(id);
        if !was_member && !self.pending_joins.contains(id) {
            return;
        }
        self.remove(desk, id);
        match self.state {
            State::Stable | State::Completing if was_member => self.prepare_rebalance(desk),
            State::Stable | State::Completing => {}
            State::Empty | State::Preparing(_) => self.complete_join_if_all_joined(desk),
        }
    }

    /// Takes a member out. If it is alive, it learns so from whatever it waits for.
    pub(super) fn remove(&mut self, desk: &mut Desk<'_>, id: &MemberId) {
        desk.cancel(&self.session_timer(id));
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        if let Some(join) = self.members.take_join(id) {
            super::join::refuse(desk, join, None, JoinError::UnknownMember);
        }
        let Some(mut member) = self.members.remove(id) else { return };
        if let Some(sync) = member.take_sync() {
            desk.answer(sync, GroupAnswer::Sync(Err(SyncError::UnknownMember)));
        }
        if self.is_leader(id) {
            self.leader = self.members.iter().next().map(|member| member.id.clone());
        }
    }
}
