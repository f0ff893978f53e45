//! The changes that a decision is made of; each is a record or a few.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Moment;
use super::group::ConsumerGroup;
use super::member::Member;
use super::reconcile::{CurrentAssignment, MemberState};
use crate::group::Group;
use crate::ids::{Epoch, GroupId, MemberId};
use crate::record::{ConsumerEpochValue, ConsumerMemberValue, GroupRecord};
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    /// A consumer group.
    pub(crate) fn consumer_group(&self, group: &GroupId) -> Option<&ConsumerGroup> {
        match self.groups.get(group)? {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    pub(super) fn consumer_group_mut(&mut self, group: &GroupId) -> Option<&mut ConsumerGroup> {
        match self.groups.get_mut(group)? {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    pub(super) fn consumer_member(&self, group: &GroupId, id: &MemberId) -> Option<&Member> {
        self.consumer_group(group)?.member(id)
    }

    pub(super) fn append_epoch(
        &mut self,
        group: &GroupId,
        epoch: Epoch,
        metadata_hash: i64,
        effects: &mut Effects,
    ) {
        let value = Some(ConsumerEpochValue { epoch, metadata_hash });
        self.append(GroupRecord::ConsumerEpoch { group: group.clone(), value }, effects);
    }

    pub(super) fn append_member(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        mut wants: ConsumerMemberValue,
        effects: &mut Effects,
    ) {
        // Kafka stores an empty expression for none.
        wants.regex.get_or_insert_default();
        let (group, member, value) = (group.clone(), member.clone(), Some(wants));
        self.append(GroupRecord::ConsumerMember { group, member, value }, effects);
    }

    pub(super) fn append_current(
        &mut self,
        group: &GroupId,
        member: &MemberId,
        has: &CurrentAssignment,
        effects: &mut Effects,
    ) {
        let (group, member, value) = (group.clone(), member.clone(), Some(has.to_record()));
        self.append(GroupRecord::ConsumerCurrent { group, member, value }, effects);
    }

    /// A static member has come back with a new id: all that the old one had is its own.
    pub(super) fn replace_member(
        &mut self,
        name: &GroupId,
        old: &MemberId,
        new: &MemberId,
        effects: &mut Effects,
    ) {
        let group = self.consumer_group(name).expect("the member was found in it");
        let Member { wants, has } = group.member(old).expect("admitted as its successor").clone();
        let target = group.target(old).cloned().unwrap_or_default().to_record();
        // A state that we do not know is not worth taking over: the new process begins anew.
        let state = match has.state {
            MemberState::Unknown(_) => MemberState::Stable,
            known => known,
        };
        let has = CurrentAssignment {
            epoch: Some(Epoch::ZERO),
            previous_epoch: Some(Epoch::ZERO),
            state,
            ..has
        };
        self.remove_member(name, old, effects);
        self.cancel_member_timers(name, old);
        self.append_member(name, new, wants, effects);
        let (group, member) = (name.clone(), new.clone());
        self.append(GroupRecord::ConsumerTarget { group, member, value: Some(target) }, effects);
        self.append_current(name, new, &has, effects);
    }

    fn remove_member(&mut self, name: &GroupId, id: &MemberId, effects: &mut Effects) {
        let (group, member) = (|| name.clone(), || id.clone());
        let current =
            GroupRecord::ConsumerCurrent { group: group(), member: member(), value: None };
        let target = GroupRecord::ConsumerTarget { group: group(), member: member(), value: None };
        let wants = GroupRecord::ConsumerMember { group: group(), member: member(), value: None };
        for record in [current, target, wants] {
            self.append(record, effects);
        }
    }

    /// Members are out: they left, were silent, or kept what they had to give up.
    pub(super) fn fence_members(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        members: &BTreeSet<MemberId>,
        effects: &mut Effects,
    ) {
        if members.is_empty() || self.downgrade_without(at, name, members, effects) {
            return;
        }
        let group = self.consumer_group(name).expect("its members were found in it");
        let regex = |id| group.member(id).and_then(|member| member.wants.regex.clone());
        let regexes: BTreeSet<Arc<str>> = members.iter().filter_map(regex).collect();
        for id in members {
            self.remove_member(name, id, effects);
            self.cancel_member_timers(name, id);
        }
        for regex in regexes {
            self.forget_regex(name, &regex, effects);
        }
        let group = self.consumer_group(name).expect("it is there, perhaps without members");
        let (next, hash) = (group.epoch().next(), group.hash_of_topics(at.image));
        self.append_epoch(name, next, hash, effects);
    }

    /// Takes away what an expression matched, if nobody subscribes with it any more.
    pub(super) fn forget_regex(&mut self, name: &GroupId, regex: &Arc<str>, effects: &mut Effects) {
        let Some(group) = self.consumer_group(name) else { return };
        if group.subscribers_of(regex) == 0 && group.resolved(regex).is_some() {
            let (group, regex) = (name.clone(), Arc::clone(regex));
            self.append(GroupRecord::ConsumerRegex { group, regex, value: None }, effects);
        }
    }

    /// Deletes a group with everything in it.
    pub(crate) fn delete_consumer_group(&mut self, name: &GroupId, effects: &mut Effects) {
        let Some(group) = self.consumer_group(name) else { return };
        let members: Vec<MemberId> = group.members().keys().cloned().collect();
        for record in group.tombstones() {
            self.append(record, effects);
        }
        for id in members {
            self.cancel_member_timers(name, &id);
        }
        assert!(self.consumer_group(name).is_none(), "the last tombstone takes the group away");
    }
}
