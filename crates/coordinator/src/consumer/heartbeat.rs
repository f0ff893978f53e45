//! The one request of the protocol: a member enters, says what it wants and has, is told what it
//! may read, and leaves.

use std::sync::Arc;

use ottla_types::{PartitionId, TopicId};

use super::Moment;
use super::admit::{Admission, Comer};
use super::answer::{ConsumerHeartbeatAnswer, ConsumerHeartbeatError, NoConsumerGroup};
use super::assignor::Assignor;
use super::group::ConsumerGroup;
use super::member::Member;
use super::partitions::{OwnedPartitions, Partitions};
use super::reconcile::CurrentAssignment;
use super::regex::TopicRegex;
use super::request::{ConsumerHeartbeat, MemberEpoch};
use crate::group::Group;
use crate::ids::{Epoch, GroupId, MemberId};
use crate::record::{ConsumerMemberValue, GroupRecord};
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    /// Decides a heartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        at: Moment<'_>,
        request: &ConsumerHeartbeat,
        effects: &mut Effects,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        let epoch = request.check()?;
        self.check_assignor(request)?;
        match epoch {
            MemberEpoch::Joining => self.consumer_beat(at, request, None, effects),
            MemberEpoch::In(epoch) => self.consumer_beat(at, request, Some(epoch), effects),
            MemberEpoch::Leaving | MemberEpoch::LeavingForRestart => {
                self.consumer_leave(at, request, epoch, effects)
            }
        }
    }

    fn check_assignor(&self, request: &ConsumerHeartbeat) -> Result<(), ConsumerHeartbeatError> {
        let supported = &self.settings.consumer_assignors;
        let unsupported = match request.assignor() {
            Ok(Some(asked)) if !supported.contains(&asked) => asked.name(),
            Ok(_) => return Ok(()),
            Err(asked) => asked,
        };
        let names: Vec<_> = supported.iter().map(|assignor| assignor.name()).collect();
        Err(ConsumerHeartbeatError::UnsupportedAssignor {
            asked: unsupported.to_owned(),
            supported: names.join(", "),
        })
    }

    /// A member is there, or enters if it has no epoch.
    fn consumer_beat(
        &mut self,
        at: Moment<'_>,
        request: &ConsumerHeartbeat,
        epoch: Option<Epoch>,
        effects: &mut Effects,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        let group = &request.group;
        let named = !request.member.as_str().is_empty();
        let id = if named { request.member.clone() } else { new_member_id(request) };
        let owned = request.owned();
        let comer = Comer {
            member: &id,
            instance: request.instance.as_ref(),
            epoch,
            owned: owned.as_ref(),
        };
        // All that can be refused is refused before anything changes.
        let admission = match self.groups.get(group) {
            Some(Group::Consumer(group)) => {
                self.check_size(group.members().len(), || knows(group, &comer))?;
                let admission = comer.admit(group)?;
                let of = if let Admission::Replaces(old) = &admission { old } else { &id };
                let before = group.member(of).and_then(|member| member.wants.regex.as_deref());
                check_regex(request, before, group.subscribers_of(regex_of(request)))?;
                admission
            }
            _ => {
                check_regex(request, None, 0)?;
                self.make_consumer_group(at, request, &comer, effects)?
            }
        };
        if let Admission::Replaces(old) = &admission {
            self.replace_member(group, old, &id, effects);
        }
        let before = self.consumer_member(group, &id).cloned().unwrap_or_else(Member::new);
        if before.is_classic() {
            // It need not join or ask for its assignment any more.
            self.cancel_member_timers(group, &id);
        }
        let wants = Member::normalised(&updated(&before.wants, request));
        let change = Change { is_new: admission == Admission::New, before: &before, wants };
        let changed = self.update_member(at, group, &id, change, effects);
        self.update_target(at, group, effects);
        self.reconcile(at, group, &id, changed, owned.as_ref(), effects);
        self.arm_session(at, group, &id);
        let members = self.consumer_group_mut(group).expect("it has just been updated");
        let knows = members.hear(&id, owned.as_ref(), &before.has);
        Ok(self.heartbeat_answer(at, request, &id, &before.has, knows))
    }

    /// A group comes into being, or stops to be a classic one, with its first consumer member.
    fn make_consumer_group(
        &mut self,
        at: Moment<'_>,
        request: &ConsumerHeartbeat,
        comer: &Comer<'_>,
        effects: &mut Effects,
    ) -> Result<Admission, ConsumerHeartbeatError> {
        let group = &request.group;
        match self.groups.get(group) {
            None if comer.epoch.is_some() => Err(NoConsumerGroup::Unknown(group.clone()).into()),
            Some(_) if comer.epoch.is_some() => {
                Err(NoConsumerGroup::IsClassic(group.clone()).into())
            }
            None => {
                // Kafka does not read a log in which one kind of group follows another unasked.
                if self.is_foreign(group) {
                    self.delete_classic_group(at, group, effects);
                }
                Ok(Admission::New)
            }
            Some(Group::Consumer(_)) => unreachable!("only asked for other groups"),
            Some(Group::Classic(classic)) => {
                // In a rebalance all may have left, while others are still about to join.
                if classic.members().is_empty() {
                    self.delete_classic_group(at, group, effects);
                    return Ok(Admission::New);
                }
                let upgraded = self.upgraded(at, classic)?;
                // A static member comes in its own place.
                let known = |instance| classic.members().by_instance(instance).is_some();
                let knows = || {
                    classic.members().contains(comer.member) || comer.instance.is_some_and(known)
                };
                self.check_size(classic.members().len(), knows)?;
                self.upgrade(at, group, upgraded, effects);
                match self.groups.get(group) {
                    Some(Group::Consumer(group)) => comer.admit(group),
                    _ => Ok(Admission::New),
                }
            }
        }
    }

    /// Whether there is room for one more.
    pub(super) fn check_size(
        &self,
        members: usize,
        knows: impl FnOnce() -> bool,
    ) -> Result<(), ConsumerHeartbeatError> {
        let max = self.settings.consumer_members_max;
        if members >= max && !knows() {
            return Err(ConsumerHeartbeatError::GroupMaxSizeReached { max });
        }
        Ok(())
    }

    fn heartbeat_answer(
        &self,
        at: Moment<'_>,
        request: &ConsumerHeartbeat,
        id: &MemberId,
        before: &CurrentAssignment,
        knows: bool,
    ) -> ConsumerHeartbeatAnswer {
        let has = &self.consumer_member(&request.group, id).expect("it has just been updated").has;
        let joins = request.epoch == Some(MemberEpoch::Joining);
        let late =
            request.epoch.is_some_and(|came| Some(came) != before.epoch.map(MemberEpoch::In));
        let told = joins || request.is_full() || late || !has.revoking.is_empty() || !knows;
        ConsumerHeartbeatAnswer {
            member: id.clone(),
            epoch: has.epoch.map_or(MemberEpoch::LeavingForRestart, MemberEpoch::In),
            heartbeat_interval: self.heartbeat_interval(at, &request.group),
            assignment: told.then(|| listed(&has.assigned)),
        }
    }

    /// A member leaves; a static one perhaps to come back.
    fn consumer_leave(
        &mut self,
        at: Moment<'_>,
        request: &ConsumerHeartbeat,
        epoch: MemberEpoch,
        effects: &mut Effects,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        let (name, id) = (&request.group, &request.member);
        let group = match self.groups.get(name) {
            Some(Group::Consumer(group)) => group,
            Some(Group::Classic(_)) => return Err(NoConsumerGroup::IsClassic(name.clone()).into()),
            None => return Err(NoConsumerGroup::Unknown(name.clone()).into()),
        };
        if let Some(instance) = &request.instance {
            let (member, instance) = (id.clone(), instance.clone());
            match group.static_member(&instance) {
                None => return Err(ConsumerHeartbeatError::UnknownInstance(instance)),
                Some((by, _)) if by != id => {
                    let by = by.clone();
                    return Err(ConsumerHeartbeatError::FencedInstance { member, instance, by });
                }
                Some(_) => {}
            }
        } else if group.member(id).is_none() {
            let (member, group) = (id.clone(), name.clone());
            return Err(ConsumerHeartbeatError::UnknownMember { member, group });
        }
        if epoch == MemberEpoch::LeavingForRestart {
            self.leave_for_restart(name, id, effects);
        } else {
            self.fence_members(at, name, &[id.clone()].into(), effects);
        }
        Ok(ConsumerHeartbeatAnswer {
            member: id.clone(),
            epoch,
            heartbeat_interval: std::time::Duration::ZERO,
            assignment: None,
        })
    }

    /// The member's partitions wait for it until its session ends.
    fn leave_for_restart(&mut self, group: &GroupId, id: &MemberId, effects: &mut Effects) {
        let member = self.consumer_member(group, id).expect("checked before");
        // Whatever comes back under the name may commit what it finds from the beginning.
        let assigned = OwnedPartitions::all_since(&member.has.assigned.partitions(), Epoch::ZERO);
        let revoking = OwnedPartitions::default();
        let has = CurrentAssignment { epoch: None, assigned, revoking, ..member.has.clone() };
        self.append_current(group, id, &has, effects);
        self.cancel_rebalance(group, id);
    }
}

/// A member's request against what was known of it.
pub(super) struct Change<'a> {
    pub(super) is_new: bool,
    pub(super) before: &'a Member,
    pub(super) wants: ConsumerMemberValue,
}

impl GroupShard {
    /// Takes in what a member wants; whether its subscription changed.
    pub(super) fn update_member(
        &mut self,
        at: Moment<'_>,
        group: &GroupId,
        id: &MemberId,
        change: Change<'_>,
        effects: &mut Effects,
    ) -> bool {
        let Change { is_new, before, wants } = change;
        let before = &before.wants;
        let changed = wants.topics != before.topics || wants.regex != before.regex;
        let regex = wants.regex.clone();
        if is_new || wants != *before {
            self.append_member(group, id, wants, effects);
        }
        if let Some(before) = &before.regex {
            self.forget_regex(group, before, effects);
        }
        let matched = regex.is_some_and(|regex| self.resolve_regex(at, group, &regex, effects));
        self.update_epoch(at, group, changed || matched, effects);
        changed
    }

    /// Begins a new epoch if something changed, topics included.
    pub(super) fn update_epoch(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        changed: bool,
        effects: &mut Effects,
    ) {
        let Some(group) = self.consumer_group_mut(name) else { return };
        if !changed && !group.looks_at_topics() {
            return;
        }
        group.look_at_topics(false);
        let hash = group.hash_of_topics(at.image);
        let bump = changed || hash != group.metadata_hash();
        let (next, leftover) = (group.epoch().next(), group.has_topics_record());
        if bump {
            self.append_epoch(name, next, hash, effects);
        }
        if leftover {
            let record = GroupRecord::ConsumerTopics { group: name.clone(), present: false };
            self.append(record, effects);
        }
    }
}

/// Whether the group has the member or its static name: then it takes no room.
fn knows(group: &ConsumerGroup, comer: &Comer<'_>) -> bool {
    group.member(comer.member).is_some()
        || comer.instance.is_some_and(|instance| group.static_member(instance).is_some())
}

fn new_member_id(request: &ConsumerHeartbeat) -> MemberId {
    MemberId::new(&request.drawn.to_string())
}

fn regex_of(request: &ConsumerHeartbeat) -> &str {
    request.regex.as_deref().unwrap_or_default()
}

/// An expression that nobody has given before has to be one.
fn check_regex(
    request: &ConsumerHeartbeat,
    before: Option<&str>,
    subscribers: usize,
) -> Result<(), ConsumerHeartbeatError> {
    let regex = regex_of(request);
    if !regex.is_empty() && before != Some(regex) && subscribers == 0 {
        TopicRegex::parse(regex)?;
    }
    Ok(())
}

/// What a member wants now: what it did not say has not changed.
fn updated(before: &ConsumerMemberValue, request: &ConsumerHeartbeat) -> ConsumerMemberValue {
    let assignor = request.assignor.as_ref().or(before.assignor.as_ref());
    ConsumerMemberValue {
        instance: request.instance.as_ref().or(before.instance.as_ref()).cloned(),
        rack: request.rack.as_ref().or(before.rack.as_ref()).cloned(),
        client: request.client.clone(),
        topics: request.topics.as_ref().unwrap_or(&before.topics).clone(),
        regex: request.regex.as_ref().or(before.regex.as_ref()).cloned(),
        rebalance_timeout: request.rebalance_timeout.or(before.rebalance_timeout),
        assignor: assignor.map(Arc::clone),
        classic: None,
    }
}

/// Partitions by topic.
pub(super) fn listed(owned: &OwnedPartitions) -> Vec<(TopicId, Vec<PartitionId>)> {
    let partitions: Partitions = owned.partitions();
    partitions.topics().map(|(topic, all)| (topic, all.iter().copied().collect())).collect()
}

/// The assignor of a group: of those that are configured what most members ask for, else the first.
pub(super) fn assignor_of(group: &ConsumerGroup, configured: &[Assignor]) -> Assignor {
    let first = configured.first().copied().unwrap_or(Assignor::Uniform);
    group.preferred_assignor(configured).unwrap_or(first)
}
