//! Classic members of a consumer group: for them the coordinator plays the leader. A rebalance is
//! one step of their reconciliation, and the generation is their member epoch.

use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::admit::Admission;
use super::group::{ConsumerGroup, ConsumerGroupState};
use super::heartbeat::Change;
use super::member::Member;
use super::partitions::Partitions;
use super::protocol::{self, Subscription};
use super::reconcile::MemberState;
use super::request::MEMBER_BYTES_MAX;
use crate::answer::{
    HeartbeatError, JoinAnswer, JoinError, JoinRefused, LeaveError, LeftMember, SyncAnswer,
    SyncError,
};
use crate::classic::subscription::CONSUMER;
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::record::{ClassicMemberFacet, ConsumerMemberValue};
use crate::request::{Heartbeat, JoinGroup, LeaveGroup, Leaver, SyncGroup};
use crate::shard::{Effects, GroupShard};
use crate::timers::Timer;

/// Who asks is not who it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotMember {
    Unknown,
    Fenced,
}

macro_rules! not_member {
    ($($error:ident),+) => {$(
        impl From<NotMember> for $error {
            fn from(error: NotMember) -> Self {
                match error {
                    NotMember::Unknown => Self::UnknownMember,
                    NotMember::Fenced => Self::FencedInstance,
                }
            }
        }
    )+};
}

not_member!(JoinError, SyncError, HeartbeatError, LeaveError);

impl GroupShard {
    /// JoinGroup to a consumer group that has members. Answered at once: nobody waits for others.
    pub(crate) fn join_consumer_group(
        &mut self,
        at: Moment<'_>,
        request: &JoinGroup,
        effects: &mut Effects,
    ) -> Result<JoinAnswer, JoinRefused> {
        let drawn = || MemberId::new(&request.drawn.to_string());
        let id = request.member.clone().unwrap_or_else(drawn);
        let refused = |why| {
            let is_told = why == JoinError::MemberIdRequired;
            let member = if is_told { Some(id.clone()) } else { request.member.clone() };
            JoinRefused { member, why }
        };
        let (admission, subscription) = self.admit_classic(at, request, &id).map_err(refused)?;
        let name = &request.group;
        let downgrades = matches!(&admission, Admission::Replaces(old)
            if self.consumer_member(name, old).is_some_and(|old| !old.is_classic())
                && self.may_downgrade_without(name, &[old.clone()].into(), 1));
        if let Admission::Replaces(old) = &admission {
            self.replace_member(name, old, &id, effects);
        }
        let before = self.consumer_member(name, &id).cloned().unwrap_or_else(Member::new);
        if !before.is_classic() {
            self.cancel_rebalance(name, &id);
        }
        let wants = Member::normalised(&updated(&before.wants, request, &subscription));
        let change = Change { is_new: admission == Admission::New, before: &before, wants };
        let changed = self.update_member(at, name, &id, change, effects);
        let group = self.consumer_group(name).expect("the member has joined it");
        // A target that is not up to date is not worth following: the classic group rebalances.
        let is_behind = group.target_epoch() < group.epoch();
        if !downgrades {
            self.update_target(at, name, effects);
        }
        if !downgrades || !is_behind {
            self.reconcile(at, name, &id, changed, Some(&subscription.owned), effects);
        }
        let mut answer = self.join_answer(name, &id);
        self.timers.cancel(&Timer::ConsumerJoin(name.clone(), id.clone()));
        if downgrades {
            // Members that are on their way would stay where they are without a rebalance.
            let group = self.consumer_group(name).expect("the member has joined it");
            let leader = (group.state() == ConsumerGroupState::Stable).then_some(&id);
            self.downgrade(at, name, &[].into(), leader, effects);
            // A leader that does not know that it may leave the assignment alone is not told.
            if leader.is_some() && request.knows_skip_assignment {
                let classic = self
                    .with_classic(at.now, name, effects, |group, _| group.joined(id.clone(), true));
                answer = classic.expect("it has just become one");
            }
        } else {
            self.arm_session(at, name, &id);
            let timer = Timer::ConsumerSync(name.clone(), id.clone());
            self.arm(at, timer, request.rebalance_timeout);
        }
        Ok(answer)
    }

    fn join_answer(&self, name: &GroupId, id: &MemberId) -> JoinAnswer {
        let member = self.consumer_member(name, id).expect("it has joined");
        JoinAnswer {
            member: id.clone(),
            generation: member.has.epoch.unwrap_or(Epoch::ZERO),
            protocol_type: Some(CONSUMER.into()),
            protocol_name: first_protocol(member),
            leader: None,
            skip_assignment: false,
            members: Vec::new(),
        }
    }

    /// Whether the member may join; decided before anything changes.
    fn admit_classic(
        &self,
        at: Moment<'_>,
        request: &JoinGroup,
        id: &MemberId,
    ) -> Result<(Admission, Subscription), JoinError> {
        let group = self.consumer_group(&request.group).expect("asked of consumer groups only");
        if self.settings.consumer_migration == super::MigrationPolicy::Disabled {
            return Err(JoinError::InconsistentGroupProtocol);
        }
        let instance = request.instance.as_ref();
        let by_name = instance.and_then(|instance| group.static_member(instance));
        let knows = || by_name.is_some() || group.member(id).is_some();
        self.check_size(group.members().len(), knows)
            .map_err(|_| JoinError::GroupMaxSizeReached)?;
        if !group.supports(request) {
            return Err(JoinError::InconsistentGroupProtocol);
        }
        if request.member.is_none() && instance.is_none() && request.takes_member_id_first {
            return Err(JoinError::MemberIdRequired);
        }
        let admission = match (by_name, instance) {
            (Some((by, _)), _) if request.member.is_none() => Admission::Replaces(by.clone()),
            (Some((by, _)), _) if by != id => return Err(JoinError::FencedInstance),
            (None, Some(_)) if request.member.is_some() => return Err(JoinError::UnknownMember),
            _ if group.member(id).is_some() => Admission::Known,
            _ => Admission::New,
        };
        let says = request.protocols.iter().map(|each| each.name.len() + each.metadata.len());
        if says.sum::<usize>() > MEMBER_BYTES_MAX {
            return Err(JoinError::GroupMaxSizeReached);
        }
        let first = request.protocols.first().ok_or(JoinError::InconsistentGroupProtocol)?;
        let subscription = protocol::subscription(&first.metadata, at.image)
            .ok_or(JoinError::InconsistentGroupProtocol)?;
        let state = group.member(id).map(|member| member.has.state);
        if let Some(MemberState::Unknown(_)) = state
            && !subscription.owned.is_empty()
        {
            return Err(JoinError::UnknownMember);
        }
        Ok((admission, subscription))
    }

    /// SyncGroup to a consumer group.
    pub(crate) fn sync_consumer_group(
        &mut self,
        at: Moment<'_>,
        request: &SyncGroup,
    ) -> Result<SyncAnswer, SyncError> {
        let name = &request.group;
        let group = self.consumer_group(name).expect("asked of consumer groups only");
        let (id, member) =
            group.classic_member(request.member.as_ref(), request.instance.as_ref())?;
        if request.generation != member.has.epoch {
            return Err(SyncError::IllegalGeneration);
        }
        let protocol = first_protocol(member);
        let other = |asked: &Option<Arc<str>>, is: Option<&str>| {
            asked.as_deref().is_some_and(|asked| Some(asked) != is)
        };
        if other(&request.protocol_type, Some(CONSUMER))
            || other(&request.protocol_name, protocol.as_deref())
        {
            return Err(SyncError::InconsistentGroupProtocol);
        }
        let revokes = member.has.state == MemberState::UnrevokedPartitions;
        if member.has.epoch < Some(group.target_epoch()) && !revokes {
            let (id, timeout) = (id.clone(), member.wants.rebalance_timeout);
            self.await_join(at, name, &id, timeout);
            return Err(SyncError::RebalanceInProgress);
        }
        let assignment = member.assignment_bytes(&member.has.assigned.partitions(), at.image);
        let id = id.clone();
        self.timers.cancel(&Timer::ConsumerSync(name.clone(), id.clone()));
        self.arm_session(at, name, &id);
        Ok(SyncAnswer {
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
        })
    }

    /// Heartbeat of a classic member of a consumer group.
    pub(crate) fn heartbeat_in_consumer_group(
        &mut self,
        at: Moment<'_>,
        request: &Heartbeat,
    ) -> Result<(), HeartbeatError> {
        let name = &request.group;
        let group = self.consumer_group(name).expect("asked of consumer groups only");
        let (id, member) =
            group.classic_member(request.member.as_ref(), request.instance.as_ref())?;
        if request.generation != member.has.epoch {
            return Err(HeartbeatError::IllegalGeneration);
        }
        let has_to_join = member.has.epoch < Some(group.target_epoch())
            || match member.has.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !group.waits_for_others(id, member),
                MemberState::Stable | MemberState::Unknown(_) => false,
            };
        let (id, timeout) = (id.clone(), member.wants.rebalance_timeout);
        self.arm_session(at, name, &id);
        if has_to_join {
            self.await_join(at, name, &id, timeout);
            return Err(HeartbeatError::RebalanceInProgress);
        }
        Ok(())
    }

    /// The member was told to join again, and has so long for it; the first time counts.
    fn await_join(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        id: &MemberId,
        timeout: Option<Duration>,
    ) {
        let timer = Timer::ConsumerJoin(name.clone(), id.clone());
        if self.timers.deadline(&timer).is_none() {
            let timeout = timeout.unwrap_or_else(|| self.session_timeout(at, name));
            self.arm(at, timer, timeout);
        }
    }

    /// LeaveGroup from a consumer group: of classic members, or by an operator of any.
    pub(crate) fn leave_consumer_group(
        &mut self,
        at: Moment<'_>,
        request: &LeaveGroup,
        effects: &mut Effects,
    ) -> Vec<LeftMember> {
        let group = self.consumer_group(&request.group).expect("asked of consumer groups only");
        let found: Vec<_> = request.members.iter().map(|leaver| group.leaver(leaver)).collect();
        let left = request.members.iter().zip(&found).map(|(leaver, found)| LeftMember {
            member: leaver.member.clone(),
            instance: leaver.instance.clone(),
            result: found.as_ref().map(|_| ()).map_err(|error| *error),
        });
        let left = left.collect();
        let members = found.into_iter().flatten().collect();
        self.fence_members(at, &request.group, &members, effects);
        left
    }
}

impl ConsumerGroup {
    /// Whether a newcomer with these protocols finds one that all classic members support.
    fn supports(&self, request: &JoinGroup) -> bool {
        let classic = || self.members().values().filter_map(|member| member.wants.classic.as_ref());
        let all_support = |name: &Arc<str>| {
            classic().all(|member| member.protocols.iter().any(|each| each.name == *name))
        };
        request.protocol_type.as_ref() == CONSUMER
            && request.protocols.iter().any(|protocol| all_support(&protocol.name))
    }

    fn classic_member(
        &self,
        id: Option<&MemberId>,
        instance: Option<&InstanceId>,
    ) -> Result<(&MemberId, &Member), NotMember> {
        let found = match instance {
            Some(instance) => self.static_member(instance).ok_or(NotMember::Unknown)?,
            None => id.and_then(|id| self.members().get_key_value(id)).ok_or(NotMember::Unknown)?,
        };
        if Some(found.0) != id {
            return Err(NotMember::Fenced);
        }
        if found.1.is_classic() { Ok(found) } else { Err(NotMember::Unknown) }
    }

    fn leaver(&self, leaver: &Leaver) -> Result<MemberId, LeaveError> {
        let Some(instance) = &leaver.instance else {
            let known = leaver.member.clone().filter(|id| self.member(id).is_some());
            return known.ok_or(LeaveError::UnknownMember);
        };
        let (by, _) = self.static_member(instance).ok_or(LeaveError::UnknownMember)?;
        // An operator names the static member only.
        match &leaver.member {
            Some(member) if member != by => Err(LeaveError::FencedInstance),
            Some(_) | None => Ok(by.clone()),
        }
    }

    /// Whether a partition that the member is to have is still with somebody else.
    fn waits_for_others(&self, id: &MemberId, member: &Member) -> bool {
        let none = Partitions::default();
        let target = self.target(id).unwrap_or(&none);
        target.iter().any(|(topic, partition)| {
            !member.has.assigned.contains(topic, partition)
                && self.owner(topic, partition).is_some_and(|owner| owner != id)
        })
    }
}

impl Member {
    /// An assignment as the member's own protocol writes it.
    pub(super) fn assignment_bytes(
        &self,
        partitions: &Partitions,
        image: &ottla_metadata::MetadataImage,
    ) -> bytes::Bytes {
        let facet = self.wants.classic.as_ref();
        let first = facet.and_then(|facet| facet.protocols.first());
        let version = first.and_then(|first| protocol::version(&first.metadata)).unwrap_or(0);
        protocol::assignment_bytes(partitions, version, image)
    }
}

fn first_protocol(member: &Member) -> Option<Arc<str>> {
    let facet = member.wants.classic.as_ref()?;
    facet.protocols.first().map(|protocol| Arc::clone(&protocol.name))
}

fn updated(
    before: &ConsumerMemberValue,
    request: &JoinGroup,
    subscription: &Subscription,
) -> ConsumerMemberValue {
    let facet = ClassicMemberFacet {
        session_timeout: request.session_timeout,
        protocols: request.protocols.clone(),
    };
    ConsumerMemberValue {
        instance: request.instance.as_ref().or(before.instance.as_ref()).cloned(),
        rack: subscription.rack.as_ref().or(before.rack.as_ref()).cloned(),
        client: request.client.clone(),
        topics: subscription.topics.clone(),
        // Classic members find the topics of an expression themselves.
        regex: None,
        rebalance_timeout: Some(request.rebalance_timeout),
        assignor: before.assignor.clone(),
        classic: Some(facet),
    }
}
