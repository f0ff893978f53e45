//! Offsets: of logs, and of groups.

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicName, TopicPartition};
use ottla_wire::ErrorCode;
use ottla_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse, OffsetDeleteRequest};

use super::{Admin, AdminError, Repeat, missing};
use crate::cluster::Lane;
use crate::consumer::Isolation;
use crate::error::BrokerError;
use crate::offsets::{self, Commit, Committer};

/// Which offset of a log is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first one that can be read.
    Earliest,
    /// The one behind the last record.
    Latest,
    /// The record with the newest timestamp.
    MaxTimestamp,
    /// The first record of that time or later.
    AtOrAfter(Timestamp),
    /// The first one that is kept by the brokers themselves, with tiered storage.
    EarliestLocal,
    /// The last one that was moved elsewhere, with tiered storage.
    LatestTiered,
    /// The first one that is still to be moved elsewhere, with tiered storage.
    EarliestPendingUpload,
}

impl OffsetSpec {
    pub(crate) const fn to_wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::AtOrAfter(time) => time.millis(),
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
        }
    }
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset.
    pub offset: Offset,
    /// The record's timestamp, where one was looked for.
    pub timestamp: Option<Timestamp>,
    /// The epoch of the leader that wrote it, if known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// How far a group has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to be read.
    pub offset: Offset,
    /// The epoch of the leader that wrote the last one that was read, if known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Whatever the application has added.
    pub metadata: String,
}

impl From<Offset> for CommittedOffset {
    fn from(offset: Offset) -> Self {
        Self { offset, leader_epoch: None, metadata: String::new() }
    }
}

impl Admin {
    /// Looks for an offset of a partition; `None` where no record fits.
    ///
    /// # Errors
    /// When there is no such partition, or nobody answers in time.
    pub async fn list_offset(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<Option<ListedOffset>, AdminError> {
        self.list_offset_of(partition, spec, Isolation::ReadUncommitted).await
    }

    pub(crate) async fn list_offset_of(
        &self,
        partition: &TopicPartition,
        spec: OffsetSpec,
        isolation: Isolation,
    ) -> Result<Option<ListedOffset>, AdminError> {
        let request = list_request(&[partition], spec, isolation);
        let what = format_args!("look for an offset of {partition}");
        self.ask_leader(what, (Repeat::Always, partition), &request, |answer| {
            let topic = answer.get().topics.first().ok_or_else(missing)?;
            let listed = topic.partitions.first().ok_or_else(missing)?;
            BrokerError::check(listed.error_code)?;
            Ok(Offset::from_wire(listed.offset).map(|offset| ListedOffset {
                offset,
                timestamp: Timestamp::from_wire(listed.timestamp),
                leader_epoch: LeaderEpoch::from_wire(listed.leader_epoch),
            }))
        })
        .await
    }

    /// Looks for the same kind of offset in many partitions, with one request to each leader.
    /// Partitions that are not there, or where no record fits, are left off.
    ///
    /// # Errors
    /// When a leader refuses otherwise, or nobody answers in time.
    pub async fn list_offsets(
        &self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, ListedOffset>, AdminError> {
        let names: BTreeSet<TopicName> = partitions.iter().map(|each| each.topic.clone()).collect();
        let names: Vec<TopicName> = names.into_iter().collect();
        self.persist("look for offsets", Repeat::Always, async || {
            self.cluster.look_up(Some(&names), false).await?;
            let mut of_leader: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
            for each in partitions {
                let Some(topic) = self.cluster.known_topic(&each.topic) else { continue };
                let Some(partition) = topic.partition(each.partition) else { continue };
                let nobody = || BrokerError::of(ErrorCode::LeaderNotAvailable);
                of_leader.entry(partition.leader.ok_or_else(nobody)?).or_default().push(each);
            }
            let mut found = BTreeMap::new();
            for (leader, partitions) in of_leader {
                let request = list_request(&partitions, spec, Isolation::ReadUncommitted);
                let answer = self.cluster.call(leader, Lane::COMMON, &request).await?;
                absorb_listed(&answer.get(), &mut found)?;
            }
            Ok(found)
        })
        .await
    }

    /// All that a group has committed.
    ///
    /// # Errors
    /// When nobody answers in time.
    pub async fn group_offsets(
        &self,
        group: &str,
    ) -> Result<BTreeMap<TopicPartition, CommittedOffset>, AdminError> {
        let request = offsets::fetch_request(group, None, None);
        let what = format_args!("look up the offsets of group {group}");
        self.ask_coordinator(what, (Repeat::Always, group), &request, |answer| {
            offsets::fetched(&answer.get())
        })
        .await
    }

    /// Sets offsets of a group that has no members; others are refused.
    ///
    /// # Errors
    /// When the group has members, or nobody answers in time.
    pub async fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, CommittedOffset>,
    ) -> Result<(), AdminError> {
        let what = format_args!("set offsets of group {group}");
        let commit = Commit { group, by: &Committer::Nobody, offsets };
        self.persist(what, Repeat::Always, async || {
            let node = self.cluster.find_coordinator(group).await?;
            let answer = self.cluster.call(node, Lane::COMMON, &commit.request()).await?;
            Ok(offsets::committed(&answer.get())?)
        })
        .await
    }

    /// Makes a group forget its offsets of partitions that nobody in it reads.
    ///
    /// # Errors
    /// When somebody reads them, the group does not exist, or nobody answers in time.
    pub async fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<(), AdminError> {
        let deleted = self.delete_each_group_offset(group, partitions).await?;
        let refused = deleted.into_values().find_map(Result::err);
        let what = format!("delete offsets of group {group}");
        refused.map_or(Ok(()), |refused| Err(AdminError { what, source: refused.into() }))
    }

    /// As [`Self::delete_group_offsets`], and what became of each partition.
    ///
    /// # Errors
    /// When the group does not exist, has members of a kind that commits, or nobody answers.
    pub async fn delete_each_group_offset(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Result<(), BrokerError>>, AdminError> {
        let partition = |(partition_index, ())| OffsetDeleteRequestPartition { partition_index };
        let topic = |(name, partitions): (&TopicName, Vec<(i32, ())>)| OffsetDeleteRequestTopic {
            name: name.to_string().into(),
            partitions: partitions.into_iter().map(partition).collect(),
        };
        let topics = offsets::by_topic(partitions.iter().map(|each| (each, ())));
        let request = OffsetDeleteRequest {
            group_id: group.into(),
            topics: topics.into_iter().map(topic).collect(),
        };
        let what = format_args!("delete offsets of group {group}");
        self.ask_coordinator(what, (Repeat::Always, group), &request, |answer| {
            let answer = answer.get();
            BrokerError::check(answer.error_code)?;
            let mut deleted = BTreeMap::new();
            for topic in &answer.topics {
                let Ok(name) = TopicName::parse(&topic.name) else { continue };
                for each in &topic.partitions {
                    let Some(partition) = PartitionId::from_wire(each.partition_index) else {
                        continue;
                    };
                    let of = TopicPartition { topic: name.clone(), partition };
                    deleted.insert(of, BrokerError::check(each.error_code));
                }
            }
            Ok(deleted)
        })
        .await
    }
}

fn list_request<'a>(
    partitions: &[&'a TopicPartition],
    spec: OffsetSpec,
    isolation: Isolation,
) -> ListOffsetsRequest<'a> {
    let partition = |(partition_index, ())| ListOffsetsPartition {
        partition_index,
        timestamp: spec.to_wire(),
        ..ListOffsetsPartition::default()
    };
    let topic = |(name, partitions): (&'a TopicName, Vec<(i32, ())>)| ListOffsetsTopic {
        name: name.as_str().into(),
        partitions: partitions.into_iter().map(partition).collect(),
        ..ListOffsetsTopic::default()
    };
    let topics = offsets::by_topic(partitions.iter().map(|each| (*each, ())));
    ListOffsetsRequest {
        replica_id: -1,
        isolation_level: isolation.to_wire(),
        topics: topics.into_iter().map(topic).collect(),
        ..ListOffsetsRequest::default()
    }
}

fn absorb_listed(
    answer: &ListOffsetsResponse<'_>,
    found: &mut BTreeMap<TopicPartition, ListedOffset>,
) -> Result<(), BrokerError> {
    for topic in &answer.topics {
        let Ok(name) = TopicName::parse(&topic.name) else { continue };
        for each in &topic.partitions {
            BrokerError::check(each.error_code)?;
            let partition = PartitionId::from_wire(each.partition_index);
            if let (Some(partition), Some(offset)) = (partition, Offset::from_wire(each.offset)) {
                let listed = ListedOffset {
                    offset,
                    timestamp: Timestamp::from_wire(each.timestamp),
                    leader_epoch: LeaderEpoch::from_wire(each.leader_epoch),
                };
                found.insert(TopicPartition { topic: name.clone(), partition }, listed);
            }
        }
    }
    Ok(())
}
