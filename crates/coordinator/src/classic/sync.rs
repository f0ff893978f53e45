//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{ClassicGroup, Member, State};
use crate::answer::{GroupAnswer, HeartbeatError, SyncAnswer, SyncError};
use crate::desk::Desk;
use crate::ids::MemberId;
use crate::request::{Heartbeat, MemberAssignment, SyncGroup};
use crate::shard::Ticket;
use crate::timers::Timer;

impl ClassicGroup {
    /// The leader assigns, or a follower asks what it gets.
    pub(crate) fn sync(&mut self, desk: &mut Desk<'_>, ticket: Ticket, sync: SyncGroup) {
        let id = match self.check_sync(&sync) {
            Ok(id) => id,
            Err(error) => return desk.answer(ticket, GroupAnswer::Sync(Err(error))),
        };
        self.on_synced(desk, &id);
        if self.state == State::Stable {
            return self.answer_sync(desk, ticket, &id);
        }
        let member = self.members.get_mut(&id).expect("checked above");
        if let Some(abandoned) = member.park_sync(ticket) {
            // Its client asked again, so nobody waits for this one.
            let refused = GroupAnswer::Sync(Err(SyncError::RebalanceInProgress));
            desk.answer(abandoned, refused);
        }
        if !self.is_leader(&id) {
            return;
        }
        let bytes: usize = sync.assignments.iter().map(|each| each.assignment.len()).sum();
        if bytes > desk.settings.classic_bytes_max {
            self.refuse_syncs(desk, SyncError::AssignmentTooLarge);
            return self.prepare_rebalance(desk);
        }
        self.assign(desk, sync.assignments);
    }

    fn check_sync(&self, sync: &SyncGroup) -> Result<MemberId, SyncError> {
        if self.is_empty() {
            return Err(SyncError::UnknownMember);
        }
        let id = self.check_member(sync.member.as_ref(), sync.instance.as_ref())?;
        if sync.generation != Some(self.generation) {
            return Err(SyncError::IllegalGeneration);
        }
        let differs = |said: &Option<_>, known: &Option<_>| said.is_some() && said != known;
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol_name, &self.protocol_name)
        {
            return Err(SyncError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Preparing(_) => Err(SyncError::RebalanceInProgress),
            State::Empty | State::Completing | State::Stable => Ok(id),
        }
    }

    fn on_synced(&mut self, desk: &mut Desk<'_>, id: &MemberId) {
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            desk.cancel(&Timer::ClassicSync(self.group.clone()));
        }
    }

    /// The generation is complete: it is written down, and then everybody who waits is told.
    fn assign(&mut self, desk: &mut Desk<'_>, assignments: Vec<MemberAssignment>) {
        let mut by_member: BTreeMap<MemberId, Bytes> =
            assignments.into_iter().map(|each| (each.member, each.assignment)).collect();
        for member in self.members.iter_mut() {
            member.assignment = by_member.remove(&member.id).unwrap_or_default();
        }
        self.enter(State::Stable, desk);
        desk.record(self.record());
        for (id, ticket) in self.take_syncs() {
            self.answer_sync(desk, ticket, &id);
            self.alive(desk, &id);
        }
    }

    /// Whoever waits for an assignment has to join again.
    pub(super) fn refuse_syncs(&mut self, desk: &mut Desk<'_>, why: SyncError) {
        for member in self.members.iter_mut() {
            member.assignment = Bytes::new();
        }
        for (id, ticket) in self.take_syncs() {
            desk.answer(ticket, GroupAnswer::Sync(Err(why)));
            self.alive(desk, &id);
        }
    }

    fn take_syncs(&mut self) -> Vec<(MemberId, Ticket)> {
        let parked = |member: &mut Member| Some((member.id.clone(), member.take_sync()?));
        self.members.iter_mut().filter_map(parked).collect()
    }

    fn answer_sync(&self, desk: &mut Desk<'_>, ticket: Ticket, id: &MemberId) {
        let member = self.members.get(id).expect("only members are answered");
        let answer = SyncAnswer {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: member.assignment.clone(),
        };
        desk.answer(ticket, GroupAnswer::Sync(Ok(answer)));
    }

    /// Begins the member's session anew.
    fn alive(&self, desk: &mut Desk<'_>, id: &MemberId) {
        if let Some(member) = self.members.get(id) {
            self.arm_session(desk, member);
        }
    }

    /// A member is alive, and learns whether it has to join again. While the leader assigns, all
    /// is well: some clients begin to send heartbeats before they have their assignment.
    pub(crate) fn heartbeat(
        &self,
        desk: &mut Desk<'_>,
        heartbeat: &Heartbeat,
    ) -> Result<(), HeartbeatError> {
        let id = self.check_member(heartbeat.member.as_ref(), heartbeat.instance.as_ref())?;
        if heartbeat.generation != Some(self.generation) {
            return Err(HeartbeatError::IllegalGeneration);
        }
        match self.state {
            State::Empty => Err(HeartbeatError::UnknownMember),
            State::Preparing(_) => {
                self.alive(desk, &id);
                Err(HeartbeatError::RebalanceInProgress)
            }
            State::Completing | State::Stable => {
                self.alive(desk, &id);
                Ok(())
            }
        }
    }
}
