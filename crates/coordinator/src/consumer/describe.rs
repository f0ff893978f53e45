//! A consumer group for operators, and what others may do with its offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, TopicId};

use super::Moment;
use super::answer::{DescribedConsumerGroup, DescribedConsumerMember, DescribedPartitions};
use super::group::{ConsumerGroup, ConsumerGroupState};
use super::heartbeat::assignor_of;
use super::member::Member;
use super::partitions::Partitions;
use super::request::MemberEpoch;
use crate::answer::{CommitError, FetchOffsetsError, GroupNotFound};
use crate::group::Group;
use crate::ids::{Epoch, GroupId, MemberId};
use crate::request::{CommitOffsets, FetchOffsets};
use crate::shard::GroupShard;

impl GroupShard {
    /// Describes a group.
    pub(crate) fn describe_consumer_group(
        &self,
        at: Moment<'_>,
        name: &GroupId,
    ) -> Result<DescribedConsumerGroup, GroupNotFound> {
        let group = match self.groups.get(name) {
            Some(Group::Consumer(group)) => group,
            Some(Group::Classic(_)) => return Err(GroupNotFound::NotConsumer(name.clone())),
            None => return Err(GroupNotFound::Unknown(name.clone())),
        };
        let member = |(id, member)| describe_member(group, id, member, at.image);
        Ok(DescribedConsumerGroup {
            state: group.state().name(),
            epoch: group.epoch(),
            assignment_epoch: group.target_epoch(),
            assignor: assignor_of(group, &self.settings.consumer_assignors).name(),
            members: group.members().iter().map(member).collect(),
        })
    }
}

fn describe_member(
    group: &ConsumerGroup,
    id: &MemberId,
    member: &Member,
    image: &MetadataImage,
) -> DescribedConsumerMember {
    let wants = &member.wants;
    let held: Partitions = member.has.held().collect();
    DescribedConsumerMember {
        member: id.clone(),
        instance: wants.instance.clone(),
        rack: wants.rack.clone(),
        epoch: match member.has.epoch {
            None => MemberEpoch::LeavingForRestart,
            Some(Epoch::ZERO) => MemberEpoch::Joining,
            Some(epoch) => MemberEpoch::In(epoch),
        },
        client_id: Arc::clone(&wants.client.id),
        client_host: Arc::clone(&wants.client.host),
        topics: wants.topics.clone(),
        regex: Some(wants.regex.clone().unwrap_or_default()),
        assignment: named(&held, image),
        target: group.target(id).map(|target| named(target, image)).unwrap_or_default(),
        is_classic: member.is_classic(),
    }
}

/// Topics that are gone have no name to tell.
fn named(partitions: &Partitions, image: &MetadataImage) -> Vec<DescribedPartitions> {
    let topic = |(id, all): (_, &BTreeSet<_>)| {
        let name = image.topic_by_id(id)?.name.clone();
        Some(DescribedPartitions { id, name, partitions: all.iter().copied().collect() })
    };
    partitions.topics().filter_map(topic).collect()
}

impl ConsumerGroup {
    /// Whether nobody is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.state() == ConsumerGroupState::Empty
    }

    /// Whether a commit is one of a member that has the partitions, or of nobody while there is
    /// no member.
    pub(crate) fn check_commit(&self, commit: &CommitOffsets) -> Result<(), CommitError> {
        if commit.epoch.is_none() && self.members().is_empty() {
            return Ok(());
        }
        let member = commit.member.as_ref().and_then(|id| self.member(id));
        let member = member.ok_or(CommitError::UnknownMember)?;
        let stale = if member.is_classic() {
            CommitError::IllegalGeneration
        } else {
            CommitError::StaleMemberEpoch
        };
        let received = commit.epoch.ok_or(stale)?;
        match member.has.epoch {
            Some(known) if received == known => return Ok(()),
            Some(known) if received < known => {}
            Some(_) | None => return Err(stale),
        }
        // The member has moved on, or was moved, since it read; its partitions may still be its.
        let may = commit.topics.iter().all(|topic| {
            let given = |partition| member.was_given(topic.id?, partition);
            let mut partitions = topic.partitions.iter();
            partitions.all(|each| given(each.partition).is_some_and(|since| received >= since))
        });
        if may { Ok(()) } else { Err(stale) }
    }

    /// Whether a member that asks how far the group has read is one, and knows where it stands.
    pub(crate) fn check_fetch(&self, fetch: &FetchOffsets) -> Result<(), FetchOffsetsError> {
        if fetch.member.is_none() && fetch.epoch.is_none() {
            return Ok(());
        }
        let member = fetch.member.as_ref().and_then(|id| self.member(id));
        let member = member.ok_or(FetchOffsetsError::UnknownMember)?;
        if fetch.epoch.is_some() && fetch.epoch == member.has.epoch {
            Ok(())
        } else if member.is_classic() {
            Err(FetchOffsetsError::IllegalGeneration)
        } else {
            Err(FetchOffsetsError::StaleMemberEpoch)
        }
    }
}

impl Member {
    /// The epoch in which it was given a partition that it still holds.
    fn was_given(&self, topic: TopicId, partition: PartitionId) -> Option<Epoch> {
        let given = self.has.assigned.since(topic, partition);
        given.or_else(|| self.has.revoking.since(topic, partition))
    }
}
