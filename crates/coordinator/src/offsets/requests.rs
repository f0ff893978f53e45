//! What clients ask of offsets.

use std::sync::Arc;

use ottla_metadata::{MetadataImage, TopicImage};
use ottla_types::{PartitionId, Timestamp, TopicId, TopicName};

use super::CommittedOffset;
use crate::answer::{
    CommitAnswer, CommitError, CommitPartitionError, CommittedTopic, DeleteOffsetsError,
    DeletePartitionError, DeletedOffsets, FetchOffsetsError, FetchedOffset, FetchedTopic,
};
use crate::clock::Now;
use crate::ids::GroupId;
use crate::record::GroupRecord;
use crate::request::{
    CommitOffsets, CommitPartition, CommitTopic, DeleteOffsets, FetchOffsets, NamedPartitions,
};
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    /// OffsetCommit.
    pub(crate) fn commit_offsets(
        &mut self,
        now: Now,
        commit: CommitOffsets,
        effects: &mut Effects,
    ) -> Result<CommitAnswer, CommitError> {
        match self.groups.get(&commit.group) {
            Some(group) => group.check_commit(&commit)?,
            // A consumer without a group, or an operator: the group begins with its offsets.
            None if commit.epoch.is_none() => {}
            None => return Err(CommitError::GroupNotFound),
        }
        self.with_classic(now, &commit.group, effects, |group, desk| {
            group.on_commit(desk, commit.member.as_ref());
        });
        let CommitOffsets { group, retention, topics, .. } = commit;
        let expires_at = retention.map(|retention| {
            let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(now.wall.millis().saturating_add(millis))
        });
        let mut answer = CommitAnswer { topics: Vec::with_capacity(topics.len()) };
        for topic in topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for each in &topic.partitions {
                let value = committed(now, &topic, each, expires_at);
                partitions.push((
                    each.partition,
                    self.commit_one(&group, &topic.name, each.partition, value, effects),
                ));
            }
            answer.topics.push(CommittedTopic { name: topic.name, id: topic.id, partitions });
        }
        Ok(answer)
    }

    fn commit_one(
        &mut self,
        group: &GroupId,
        topic: &TopicName,
        partition: PartitionId,
        value: CommittedOffset,
        effects: &mut Effects,
    ) -> Result<(), CommitPartitionError> {
        // Kafka counts the characters of Java, not bytes.
        if value.metadata.encode_utf16().count() > self.settings.offset_metadata_max {
            return Err(CommitPartitionError::MetadataTooLarge);
        }
        let (group, topic) = (group.clone(), topic.clone());
        self.append(GroupRecord::Offset { group, topic, partition, value: Some(value) }, effects);
        Ok(())
    }

    /// OffsetFetch. An unknown group has read nothing, which is no error.
    pub(crate) fn fetch_offsets(
        &self,
        image: &MetadataImage,
        fetch: &FetchOffsets,
    ) -> Result<Vec<FetchedTopic>, FetchOffsetsError> {
        if let Some(group) = self.groups.get(&fetch.group) {
            group.check_fetch(fetch)?;
        }
        let Some(topics) = &fetch.topics else { return Ok(self.fetch_all(image, fetch)) };
        let topic = |asked: &NamedPartitions| {
            let name = TopicName::parse(&asked.name).ok();
            let partition = |raw: &i32| {
                let known = name.as_ref().zip(PartitionId::from_wire(*raw));
                let told = known.map(|(name, at)| self.fetch_one(image, fetch, name, at));
                (*raw, told.unwrap_or(FetchedOffset::Unknown))
            };
            let partitions = asked.partitions.iter().map(partition).collect();
            FetchedTopic { name: Arc::clone(&asked.name), partitions }
        };
        Ok(topics.iter().map(topic).collect())
    }

    fn fetch_all(&self, image: &MetadataImage, fetch: &FetchOffsets) -> Vec<FetchedTopic> {
        let mut topics: Vec<FetchedTopic> = Vec::new();
        for (topic, partition, _) in self.offsets.of_group(&fetch.group) {
            if topics.last().is_none_or(|last| last.name.as_ref() != topic.as_str()) {
                topics.push(FetchedTopic { name: topic.as_str().into(), partitions: Vec::new() });
            }
            let told = self.fetch_one(image, fetch, topic, partition);
            let last = topics.last_mut().expect("just pushed");
            last.partitions.push((partition.get(), told));
        }
        topics
    }

    fn fetch_one(
        &self,
        image: &MetadataImage,
        fetch: &FetchOffsets,
        topic: &TopicName,
        partition: PartitionId,
    ) -> FetchedOffset {
        if fetch.require_stable && self.offsets.is_open(&fetch.group, topic, partition) {
            return FetchedOffset::Unstable;
        }
        match self.offsets.get(&fetch.group, topic.as_str(), partition) {
            // Of a topic that is gone, whose namesake begins at its own start.
            Some(committed) if is_of_another(committed.topic_id, image.topic(topic.as_str())) => {
                FetchedOffset::Unknown
            }
            None => FetchedOffset::Unknown,
            Some(committed) => FetchedOffset::Committed {
                offset: committed.offset,
                leader_epoch: committed.leader_epoch,
                metadata: Arc::clone(&committed.metadata),
            },
        }
    }

    /// OffsetDelete.
    pub(crate) fn delete_offsets(
        &mut self,
        delete: DeleteOffsets,
        effects: &mut Effects,
    ) -> Result<Vec<DeletedOffsets>, DeleteOffsetsError> {
        let DeleteOffsets { group: id, topics } = delete;
        if id.as_str().is_empty() {
            return Err(DeleteOffsetsError::InvalidGroupId);
        }
        let group = self.groups.get(&id).ok_or(DeleteOffsetsError::GroupNotFound)?;
        group.check_delete_offsets()?;
        let subscribed: Vec<_> =
            topics.iter().map(|topic| group.is_subscribed_to(&topic.name)).collect();
        let mut deleted = Vec::with_capacity(topics.len());
        for (topic, subscribed) in topics.into_iter().zip(subscribed) {
            let result = match subscribed {
                true => Err(DeletePartitionError::GroupSubscribedToTopic),
                false => Ok(()),
            };
            if result.is_ok() {
                self.delete_named(&id, &topic, effects);
            }
            let partitions = topic.partitions.into_iter().map(|raw| (raw, result)).collect();
            deleted.push(DeletedOffsets { name: topic.name, partitions });
        }
        Ok(deleted)
    }

    fn delete_named(&mut self, group: &GroupId, topic: &NamedPartitions, effects: &mut Effects) {
        let Ok(name) = TopicName::parse(&topic.name) else { return };
        for partition in topic.partitions.iter().copied().filter_map(PartitionId::from_wire) {
            let known = self.offsets.get(group, name.as_str(), partition).is_some();
            if known || self.offsets.is_open(group, &name, partition) {
                self.forget_offset(group, &name, partition, effects);
            }
        }
    }
}

/// Whether an offset was committed for another topic of the same name. Stored records do not say
/// for which, so after a start nobody knows.
fn is_of_another(committed: Option<TopicId>, now: Option<&Arc<TopicImage>>) -> bool {
    committed.zip(now).is_some_and(|(committed, now)| committed != now.id)
}

fn committed(
    now: Now,
    topic: &CommitTopic,
    each: &CommitPartition,
    expires_at: Option<Timestamp>,
) -> CommittedOffset {
    CommittedOffset {
        offset: each.offset,
        leader_epoch: each.leader_epoch,
        metadata: Arc::clone(&each.metadata),
        committed_at: now.wall,
        expires_at,
        topic_id: topic.id,
    }
}
