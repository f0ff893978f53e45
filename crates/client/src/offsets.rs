//! A group's offsets, as they are committed and fetched.

use std::collections::BTreeMap;

use ottla_types::{LeaderEpoch, Offset, PartitionId, TopicName, TopicPartition};
use ottla_wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

use crate::admin::CommittedOffset;
use crate::error::BrokerError;

/// Who commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Committer {
    /// Somebody outside of the group.
    Nobody,
    /// A member, in its generation or epoch.
    Member { id: String, instance: Option<String>, epoch: i32 },
}

/// Offsets to be committed.
pub(crate) struct Commit<'a> {
    pub(crate) group: &'a str,
    pub(crate) by: &'a Committer,
    pub(crate) offsets: &'a BTreeMap<TopicPartition, CommittedOffset>,
}

/// Things of partitions, topic by topic.
pub(crate) fn by_topic<'a, T>(
    partitions: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> BTreeMap<&'a TopicName, Vec<(i32, T)>> {
    let mut topics: BTreeMap<&TopicName, Vec<(i32, T)>> = BTreeMap::new();
    for (partition, what) in partitions {
        topics.entry(&partition.topic).or_default().push((partition.partition.get(), what));
    }
    topics
}

impl<'a> Commit<'a> {
    pub(crate) fn request(&self) -> OffsetCommitRequest<'a> {
        let partition =
            |(index, committed): (i32, &'a CommittedOffset)| OffsetCommitRequestPartition {
                partition_index: index,
                committed_offset: committed.offset.get(),
                committed_leader_epoch: LeaderEpoch::to_wire(committed.leader_epoch),
                committed_metadata: Some(committed.metadata.as_str().into()),
                ..OffsetCommitRequestPartition::default()
            };
        let topic = |(name, partitions): (&'a TopicName, Vec<(i32, &'a CommittedOffset)>)| {
            OffsetCommitRequestTopic {
                name: name.as_str().into(),
                partitions: partitions.into_iter().map(partition).collect(),
                ..OffsetCommitRequestTopic::default()
            }
        };
        let request = OffsetCommitRequest {
            group_id: self.group.into(),
            topics: by_topic(self.offsets).into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        match self.by {
            Committer::Nobody => request,
            Committer::Member { id, instance, epoch } => OffsetCommitRequest {
                generation_id_or_member_epoch: *epoch,
                member_id: id.as_str().into(),
                group_instance_id: instance.as_deref().map(Into::into),
                ..request
            },
        }
    }
}

/// The first refusal of any partition.
pub(crate) fn committed(answer: &OffsetCommitResponse<'_>) -> Result<(), BrokerError> {
    for topic in &answer.topics {
        for partition in &topic.partitions {
            BrokerError::check(partition.error_code)?;
        }
    }
    Ok(())
}

/// Asks for a group's offsets of some partitions, or of all; a member says who it is.
pub(crate) fn fetch_request<'a>(
    group: &'a str,
    member: Option<(&'a str, i32)>,
    partitions: Option<&'a [TopicPartition]>,
) -> OffsetFetchRequest<'a> {
    let topic = |(name, partitions): (&'a TopicName, Vec<(i32, ())>)| OffsetFetchRequestTopics {
        name: name.as_str().into(),
        partition_indexes: partitions.into_iter().map(|(index, ())| index).collect(),
        ..OffsetFetchRequestTopics::default()
    };
    let topics = partitions.map(|partitions| by_topic(partitions.iter().map(|each| (each, ()))));
    let group = OffsetFetchRequestGroup {
        group_id: group.into(),
        member_id: member.map(|(id, _)| id.into()),
        member_epoch: member.map_or(-1, |(_, epoch)| epoch),
        topics: topics.map(|topics| topics.into_iter().map(topic).collect()),
        ..OffsetFetchRequestGroup::default()
    };
    OffsetFetchRequest {
        groups: vec![group].into(),
        // Offsets of an open transaction may still be taken back.
        require_stable: true,
        ..OffsetFetchRequest::default()
    }
}

/// The offsets of the one group that was asked for; partitions without one are left off.
pub(crate) fn fetched(
    answer: &OffsetFetchResponse<'_>,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>, BrokerError> {
    let mut offsets = BTreeMap::new();
    let Some(group) = answer.groups.first() else { return Ok(offsets) };
    BrokerError::check(group.error_code)?;
    for topic in &group.topics {
        let Ok(name) = TopicName::parse(&topic.name) else { continue };
        for each in &topic.partitions {
            BrokerError::check(each.error_code)?;
            let partition = PartitionId::from_wire(each.partition_index);
            if let (Some(partition), Some(offset)) =
                (partition, Offset::from_wire(each.committed_offset))
            {
                let committed = CommittedOffset {
                    offset,
                    leader_epoch: LeaderEpoch::from_wire(each.committed_leader_epoch),
                    metadata: each.metadata.unwrap_or_default().into_owned(),
                };
                offsets.insert(TopicPartition { topic: name.clone(), partition }, committed);
            }
        }
    }
    Ok(offsets)
}
