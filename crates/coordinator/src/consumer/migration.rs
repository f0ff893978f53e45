//! From one protocol to the other while members are there. The first member of the new protocol
//! takes a classic group with it; when the last one goes, those that are left are a classic group
//! again. Nobody loses a partition by the change itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Moment;
use super::answer::NoConsumerGroup;
use super::group::ConsumerGroup;
use super::member::Member;
use super::partitions::{OwnedPartitions, Partitions};
use super::protocol::{self, ForeignAssignment, Subscription};
use super::reconcile::{CurrentAssignment, MemberState};
use crate::classic::subscription::CONSUMER;
use crate::classic::{ClassicGroup, Member as ClassicMember};
use crate::group::Group;
use crate::ids::{Epoch, GroupId, MemberId};
use crate::record::{
    ClassicGroupValue, ClassicMemberFacet, ClassicMemberValue, ConsumerMemberValue,
    ConsumerTargetEpochValue, GroupRecord,
};
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    /// Takes away a classic group without members, in favour of a consumer group.
    pub(super) fn delete_classic_group(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        effects: &mut Effects,
    ) {
        self.retire_classic_group(at, name, effects);
        self.append(GroupRecord::Classic { group: name.clone(), value: None }, effects);
    }

    /// Whoever waits in a classic group is told that it goes on differently.
    fn retire_classic_group(&mut self, at: Moment<'_>, name: &GroupId, effects: &mut Effects) {
        if let Some(Group::Classic(group)) = self.groups.get_mut(name) {
            let mut desk = crate::desk::Desk {
                now: at.now,
                settings: &self.settings,
                timers: &mut self.timers,
                effects,
            };
            group.retire(&mut desk);
        }
    }

    /// What a classic group with members would be as a consumer group, if it may become one.
    pub(super) fn upgraded(
        &self,
        at: Moment<'_>,
        classic: &ClassicGroup,
    ) -> Result<Upgraded, NoConsumerGroup> {
        let name = || classic.id().clone();
        if !self.settings.consumer_migration.upgrades() {
            return Err(NoConsumerGroup::UpgradeDisabled(name()));
        }
        if !classic.is_of_consumers() {
            return Err(NoConsumerGroup::NoConsumerProtocol(name()));
        }
        if classic.members().len() > self.settings.consumer_members_max {
            return Err(NoConsumerGroup::TooLarge(name()));
        }
        let members = upgraded_members(classic, at).map_err(|why| match why {
            ForeignAssignment::Malformed => NoConsumerGroup::Malformed(name()),
            ForeignAssignment::UserData => NoConsumerGroup::CustomAssignor(name()),
        })?;
        Ok(Upgraded { epoch: classic.generation(), members })
    }

    /// Makes a consumer group of a classic one.
    pub(super) fn upgrade(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        upgraded: Upgraded,
        effects: &mut Effects,
    ) {
        let Upgraded { epoch, members } = upgraded;
        self.delete_classic_group(at, name, effects);
        let group = || name.clone();
        for (id, member) in &members {
            self.append_member(name, id, member.wants.clone(), effects);
        }
        let made = self.consumer_group(name).expect("it has members");
        let hash = made.hash_of_topics(at.image);
        self.append_epoch(name, epoch, hash, effects);
        for (id, member) in &members {
            let value = Some(member.has.assigned.partitions().to_record());
            let record = GroupRecord::ConsumerTarget { group: group(), member: id.clone(), value };
            self.append(record, effects);
        }
        // Nobody knows when the leader made it, so the next one need not wait.
        let value = Some(ConsumerTargetEpochValue { epoch, made_at: None });
        self.append(GroupRecord::ConsumerTargetEpoch { group: group(), value }, effects);
        for (id, member) in &members {
            self.append_current(name, id, &member.has, effects);
            self.arm_session(at, name, id);
        }
    }

    /// Whether all but these members are classic ones that may go on as a classic group; `coming`
    /// classic members take their place.
    pub(super) fn may_downgrade_without(
        &self,
        name: &GroupId,
        leaving: &BTreeSet<MemberId>,
        coming: usize,
    ) -> bool {
        let group = self.consumer_group(name).expect("its members were found in it");
        let staying = || group.members().iter().filter(|(id, _)| !leaving.contains(*id));
        let left = staying().count() + coming;
        left > 0
            && staying().all(|(_, member)| member.is_classic())
            && self.settings.consumer_migration.downgrades()
            && left <= self.settings.classic_members_max
            && staying().map(|(_, member)| classic_bytes(member)).sum::<usize>()
                <= self.settings.classic_bytes_max
    }

    /// Makes a classic group of those who stay, if that can be; whether it did.
    pub(super) fn downgrade_without(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        leaving: &BTreeSet<MemberId>,
        effects: &mut Effects,
    ) -> bool {
        let may = self.may_downgrade_without(name, leaving, 0);
        if may {
            self.downgrade(at, name, leaving, None, effects);
        }
        may
    }

    /// Makes a classic group of all members but these, which goes on under a leader, or rebalances
    /// if there is none.
    pub(super) fn downgrade(
        &mut self,
        at: Moment<'_>,
        name: &GroupId,
        leaving: &BTreeSet<MemberId>,
        leader: Option<&MemberId>,
        effects: &mut Effects,
    ) {
        let group = self.consumer_group(name).expect("its members were found in it");
        let mut value = downgraded(group, at, leaving);
        if let Some(leader) = leader {
            value.leader = Some(leader.clone());
        }
        let value = Some(value);
        self.delete_consumer_group(name, effects);
        self.append(GroupRecord::Classic { group: name.clone(), value }, effects);
        let Some(Group::Classic(group)) = self.groups.get_mut(name) else {
            unreachable!("the record has just made it");
        };
        let mut desk = crate::desk::Desk {
            now: at.now,
            settings: &self.settings,
            timers: &mut self.timers,
            effects,
        };
        group.on_loaded(&mut desk);
        if leader.is_none() {
            group.rebalance_or_go_on(&mut desk);
        }
    }
}

/// A classic group as a consumer group.
#[derive(Debug)]
pub(super) struct Upgraded {
    epoch: Epoch,
    members: Vec<(MemberId, Member)>,
}

/// The members of a classic group as those of a consumer group. They have what their leader gave
/// them, and are asked to join again if that is not all they are to have. What a member said it
/// had when it joined last, and was not given again, it may still be reading: it has to give that
/// up before anybody else gets it.
fn upgraded_members(
    classic: &ClassicGroup,
    at: Moment<'_>,
) -> Result<Vec<(MemberId, Member)>, ForeignAssignment> {
    let chosen = classic.protocol_name().map(AsRef::as_ref);
    let mut read = Vec::new();
    for each in classic.members().iter() {
        let chosen = chosen.or_else(|| Some(each.protocols.first()?.name.as_ref()));
        let subscription = protocol::subscription(&each.metadata(chosen), at.image)
            .ok_or(ForeignAssignment::Malformed)?;
        // A rebalance that was given up has taken the assignment away.
        let given = match each.assignment.is_empty() {
            true => subscription.owned.clone(),
            false => protocol::assignment(&each.assignment, at.image)?,
        };
        read.push((each, subscription, given));
    }
    // What a leader gave to two members stays with the first.
    let mut taken = Partitions::default();
    let mut rest = |all: &Partitions| -> Partitions {
        all.iter().filter(|(topic, number)| taken.insert(*topic, *number)).collect()
    };
    let given: Vec<Partitions> = read.iter().map(|(_, _, given)| rest(given)).collect();
    let members = read.into_iter().zip(given).map(|((each, subscription, _), given)| {
        let revoking = rest(&subscription.owned);
        let has = taken_over(classic.generation(), &given, &revoking);
        let wants = Member::normalised(&wanted(each, subscription));
        (each.id.clone(), Member { wants, has })
    });
    Ok(members.collect())
}

fn taken_over(epoch: Epoch, given: &Partitions, revoking: &Partitions) -> CurrentAssignment {
    let state = match revoking.is_empty() {
        true => MemberState::Stable,
        false => MemberState::UnrevokedPartitions,
    };
    CurrentAssignment {
        epoch: Some(epoch),
        previous_epoch: Some(epoch),
        state,
        assigned: OwnedPartitions::all_since(given, epoch),
        revoking: OwnedPartitions::all_since(revoking, epoch),
    }
}

fn wanted(member: &ClassicMember, subscription: Subscription) -> ConsumerMemberValue {
    ConsumerMemberValue {
        instance: member.instance.clone(),
        rack: subscription.rack,
        client: member.client.clone(),
        topics: subscription.topics,
        regex: None,
        rebalance_timeout: Some(member.rebalance_timeout),
        assignor: None,
        classic: Some(ClassicMemberFacet {
            session_timeout: member.session_timeout,
            protocols: member.protocols.clone(),
        }),
    }
}

/// The classic group that those who stay make. Each has what it reads now: what it was to have it
/// may not have yet, and if the group changes again before the member has joined, nobody else
/// must get what it reads.
fn downgraded(
    group: &ConsumerGroup,
    at: Moment<'_>,
    leaving: &BTreeSet<MemberId>,
) -> ClassicGroupValue {
    let staying: Vec<_> = group
        .members()
        .iter()
        .filter(|(id, _)| !leaving.contains(*id))
        .filter_map(|(id, member)| Some((id, member, member.wants.classic.as_ref()?)))
        .collect();
    let protocol = elected(&staying.iter().map(|(_, _, facet)| *facet));
    let member = |(id, member, facet): &(&MemberId, &Member, &ClassicMemberFacet)| {
        let chosen = facet.protocols.iter().find(|each| Some(&each.name) == protocol.as_ref());
        let held: Partitions = member.has.held().collect();
        ClassicMemberValue {
            member: (*id).clone(),
            instance: member.wants.instance.clone(),
            client: member.wants.client.clone(),
            rebalance_timeout: member.wants.rebalance_timeout.unwrap_or(facet.session_timeout),
            session_timeout: facet.session_timeout,
            subscription: chosen.map_or_else(Bytes::new, |each| each.metadata.clone()),
            assignment: member.assignment_bytes(&held, at.image),
        }
    };
    let members: Vec<ClassicMemberValue> = staying.iter().map(member).collect();
    ClassicGroupValue {
        protocol_type: CONSUMER.into(),
        generation: group.epoch(),
        protocol,
        leader: members.first().map(|first| first.member.clone()),
        state_since: Some(at.now.wall),
        members,
    }
}

/// What the record of a classic group holds of one member at most, its names apart.
fn classic_bytes(member: &Member) -> usize {
    let facet = member.wants.classic.as_ref();
    let says = facet.and_then(|facet| {
        facet.protocols.iter().map(|each| each.name.len() + each.metadata.len()).max()
    });
    // A name of at most 249 letters for each topic, and four bytes for each partition.
    let has = member.has.held().count() * 4 + member.topics_held() * 256;
    says.unwrap_or(0) + has
}

/// The protocol with the most votes among those that all support; of equals the first by name.
fn elected<'a>(
    members: &(impl Iterator<Item = &'a ClassicMemberFacet> + Clone),
) -> Option<Arc<str>> {
    let all_support = |name: &Arc<str>| {
        members.clone().all(|facet| facet.protocols.iter().any(|each| each.name == *name))
    };
    let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for facet in members.clone() {
        let names = || facet.protocols.iter().map(|each| &each.name);
        if let Some(name) = names().find(|name| all_support(name)) {
            *votes.entry(name).or_default() += 1;
        }
    }
    let most = votes.values().copied().max()?;
    votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
}
