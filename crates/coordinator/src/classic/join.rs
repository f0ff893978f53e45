//! JoinGroup.

use std::fmt::Write;

use ottla_types::Uuid;

use super::members::{MEMBER_FRAME_BYTES, bytes_of};
use super::{ClassicGroup, Member, PENDING_MEMBERS_MAX, Preparation, State};
use crate::answer::{GroupAnswer, JoinAnswer, JoinError, JoinRefused};
use crate::desk::Desk;
use crate::ids::MemberId;
use crate::request::JoinGroup;
use crate::settings::GroupSettings;
use crate::shard::Ticket;

/// How much of a client's name is part of its members' ids: longer ones would not fit into a string
/// of the protocol any more, and 10,000 of them not into memory.
const MEMBER_PREFIX_BYTES_MAX: usize = 1_024;

/// What can be said of a join without its group.
pub(crate) fn check(settings: &GroupSettings, join: &JoinGroup) -> Result<(), JoinError> {
    if join.group.as_str().is_empty() {
        return Err(JoinError::InvalidGroupId);
    }
    let allowed = settings.session_timeout_min..=settings.session_timeout_max;
    if !allowed.contains(&join.session_timeout) {
        return Err(JoinError::InvalidSessionTimeout);
    }
    Ok(())
}

/// The id of a newcomer: its static name or its client's, and something random.
pub(crate) fn member_id(join: &JoinGroup) -> MemberId {
    let prefix = match &join.instance {
        Some(instance) => instance.as_str(),
        None => &join.client.id,
    };
    let prefix = &prefix[..prefix.floor_char_boundary(MEMBER_PREFIX_BYTES_MAX)];
    MemberId::new(&format!("{prefix}-{}", random_uuid(join.drawn)))
}

/// RFC 9562's spelling of a random uuid, as Java's: `xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx`.
fn random_uuid(drawn: Uuid) -> String {
    let mut bytes = *drawn.as_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(text, "{dash}{byte:02x}").expect("a string takes all");
    }
    text
}

/// Refuses a join.
pub(crate) fn refuse(
    desk: &mut Desk<'_>,
    ticket: Ticket,
    member: Option<MemberId>,
    why: JoinError,
) {
    desk.answer(ticket, GroupAnswer::Join(Err(JoinRefused { member, why })));
}

impl ClassicGroup {
    /// A member enters, or says so again.
    pub(crate) fn join(&mut self, desk: &mut Desk<'_>, ticket: Ticket, join: JoinGroup) {
        let room = self.has_room_for(desk.settings, join.member.as_ref());
        if !room || !self.can_hold(desk.settings, &join) {
            if let Some(member) = &join.member {
                self.dismiss(desk, member);
            }
            return refuse(desk, ticket, None, JoinError::GroupMaxSizeReached);
        }
        if !self.supports(&join.protocol_type, &join.protocols) {
            return refuse(desk, ticket, join.member, JoinError::InconsistentGroupProtocol);
        }
        match join.member.clone() {
            None => self.join_as_newcomer(desk, ticket, join),
            Some(member) => self.join_again(desk, ticket, join, member),
        }
    }

    /// Members that wait count, not all: if the bound has been lowered, the last ones to join a
    /// rebalance are those that go.
    fn has_room_for(&self, settings: &GroupSettings, member: Option<&MemberId>) -> bool {
        let present = member.and_then(|id| self.members.get(id));
        let max = settings.classic_members_max;
        match self.state {
            State::Empty => true,
            State::Preparing(_) => {
                present.is_some_and(Member::is_joining) || self.members.joining() < max
            }
            State::Completing | State::Stable => present.is_some() || self.members.len() < max,
        }
    }

    /// Whether the group's record stays one that can be written.
    fn can_hold(&self, settings: &GroupSettings, join: &JoinGroup) -> bool {
        let client = join.client.id.len() + join.client.host.len();
        let names = client + MEMBER_PREFIX_BYTES_MAX + MEMBER_FRAME_BYTES;
        let others = self.members.bytes_without(join.member.as_ref());
        others + names + bytes_of(&join.protocols) <= settings.classic_bytes_max
    }

    fn join_as_newcomer(&mut self, desk: &mut Desk<'_>, ticket: Ticket, join: JoinGroup) {
        let id = member_id(&join);
        if let Some(instance) = &join.instance {
            return match self.members.by_instance(instance).cloned() {
                Some(predecessor) => self.replace(desk, ticket, join, &predecessor, id),
                None => self.enter_member(desk, ticket, join, &id),
            };
        }
        if !join.takes_member_id_first {
            return self.enter_member(desk, ticket, join, &id);
        }
        if self.pending_joins.len() >= PENDING_MEMBERS_MAX {
            return refuse(desk, ticket, None, JoinError::GroupMaxSizeReached);
        }
        self.pending_joins.insert(id.clone());
        desk.arm(self.session_timer(&id), join.session_timeout);
        refuse(desk, ticket, Some(id), JoinError::MemberIdRequired);
    }

    fn join_again(&mut self, desk: &mut Desk<'_>, ticket: Ticket, join: JoinGroup, id: MemberId) {
        // Nobody with a static name is ever made to wait with an id.
        if self.pending_joins.contains(&id) && join.instance.is_none() {
            return self.enter_member(desk, ticket, join, &id);
        }
        if let Err(why) = self.check_member(Some(&id), join.instance.as_ref()) {
            return refuse(desk, ticket, Some(id), why.into());
        }
        let same = self.members.get(&id).is_some_and(|member| member.matches(&join.protocols));
        match self.state {
            State::Empty => refuse(desk, ticket, Some(id), JoinError::UnknownMember),
            // It has not received the answer to its first attempt.
            State::Completing if same => self.answer_join(desk, ticket, id, false),
            // Nothing changed, and a follower can ask for its assignment. A leader that joins
            // again wants a rebalance: only it sees that topics have changed.
            State::Stable if same && !self.is_leader(&id) => {
                self.answer_join(desk, ticket, id, false);
            }
            State::Preparing(_) | State::Completing | State::Stable => {
                self.renew(desk, ticket, join, &id);
                self.rebalance_or_go_on(desk);
            }
        }
    }

    /// Takes over what a member says now, and makes it wait.
    fn renew(&mut self, desk: &mut Desk<'_>, ticket: Ticket, join: JoinGroup, id: &MemberId) {
        self.members.set_protocols(id, join.protocols);
        let member = self.members.get_mut(id).expect("the caller found it");
        member.rebalance_timeout = join.rebalance_timeout;
        member.session_timeout = join.session_timeout;
        if let Some(abandoned) = self.members.park_join(id, ticket) {
            // Its client asked again, so nobody waits for this one.
            refuse(desk, abandoned, Some(id.clone()), JoinError::RebalanceInProgress);
        }
    }

    fn enter_member(
        &mut self,
        desk: &mut Desk<'_>,
        ticket: Ticket,
        join: JoinGroup,
        id: &MemberId,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        let mut member = Member::new(id.clone(), join.instance, join.client, join.protocols);
        member.rebalance_timeout = join.rebalance_timeout;
        member.session_timeout = join.session_timeout;
        member.is_new = true;
        if let State::Preparing(Preparation::Initial { newcomers, .. }) = &mut self.state {
            *newcomers = true;
        }
        self.members.add(member);
        self.members.park_join(id, ticket);
        self.pending_joins.remove(id);
        self.leader.get_or_insert_with(|| id.clone());
        // It cannot send heartbeats before it knows its generation, and a parked join is the only
        // sign of life. If its client gave up and came back as somebody else, this is how it goes.
        desk.arm(self.session_timer(id), super::rebalance::NEW_MEMBER_TIMEOUT);
        self.rebalance_or_go_on(desk);
    }

    /// A static member comes back under a new id: the old one is fenced, the rest stays.
    fn replace(
        &mut self,
        desk: &mut Desk<'_>,
        ticket: Ticket,
        join: JoinGroup,
        predecessor: &MemberId,
        id: MemberId,
    ) {
        let leader_before = self.leader.clone();
        self.fence(desk, predecessor);
        let old = self.members.remove(predecessor).expect("it has the static name");
        self.members.add(old.renamed(id.clone()));
        if self.is_leader(predecessor) {
            self.leader = Some(id.clone());
        }
        if self.pending_syncs.remove(predecessor) {
            self.pending_syncs.insert(id.clone());
        }
        desk.cancel(&self.session_timer(predecessor));
        desk.arm(self.session_timer(&id), join.session_timeout);
        let knows_skip_assignment = join.knows_skip_assignment;
        self.renew(desk, ticket, join, &id);
        match self.state {
            State::Stable if self.members.elect_protocol() == self.protocol_name => {
                self.members.take_join(&id);
                desk.record(self.record());
                self.answer_replaced(desk, ticket, id, leader_before, knows_skip_assignment);
            }
            State::Stable | State::Completing => self.prepare_rebalance(desk),
            State::Preparing(_) => self.rebalance_or_go_on(desk),
            State::Empty => unreachable!("an empty group has no static member"),
        }
    }

    /// Ends the wait of whoever uses the old id of a static member.
    fn fence(&mut self, desk: &mut Desk<'_>, id: &MemberId) {
        if let Some(join) = self.members.take_join(id) {
            refuse(desk, join, Some(id.clone()), JoinError::FencedInstance);
        }
        if let Some(sync) = self.members.get_mut(id).and_then(Member::take_sync) {
            desk.answer(sync, GroupAnswer::Sync(Err(crate::SyncError::FencedInstance)));
        }
    }

    /// The group goes on without a rebalance. A leader that does not know that it may have to
    /// leave the assignment alone is told the old leader's id, so that it takes itself for a
    /// follower.
    fn answer_replaced(
        &self,
        desk: &mut Desk<'_>,
        ticket: Ticket,
        id: MemberId,
        leader_before: Option<MemberId>,
        knows_skip_assignment: bool,
    ) {
        if knows_skip_assignment {
            let is_leader = self.is_leader(&id);
            return self.answer_join(desk, ticket, id, is_leader);
        }
        let answer = JoinAnswer { leader: leader_before, ..self.joined(id, false) };
        let answer = JoinAnswer { members: Vec::new(), ..answer };
        desk.answer(ticket, GroupAnswer::Join(Ok(answer)));
    }

    /// Tells a member the present generation.
    pub(super) fn answer_join(
        &self,
        desk: &mut Desk<'_>,
        ticket: Ticket,
        id: MemberId,
        skip_assignment: bool,
    ) {
        desk.answer(ticket, GroupAnswer::Join(Ok(self.joined(id, skip_assignment))));
    }

    /// The present generation, as a member is told it; with the flag its leader leaves the
    /// assignment as it is.
    pub(crate) fn joined(&self, id: MemberId, skip_assignment: bool) -> JoinAnswer {
        JoinAnswer {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            skip_assignment,
            members: if self.is_leader(&id) { self.joined_members() } else { Vec::new() },
            member: id,
        }
    }
}
