//! When offsets go without being asked for.

use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, TopicId, TopicName};

use super::CommittedOffset;
use crate::clock::Now;
use crate::group::Group;
use crate::ids::GroupId;
use crate::record::GroupRecord;
use crate::shard::{Effects, GroupShard};

impl GroupShard {
    /// Takes old offsets away, and groups that have neither members nor offsets.
    pub(crate) fn expire(&mut self, now: Now, effects: &mut Effects) {
        // Of others nobody here knows whether they are in use.
        let own = |id: &&GroupId| !self.is_foreign(id);
        let groups: Vec<_> = self.groups.keys().filter(own).cloned().collect();
        for id in groups {
            for (topic, partition) in self.expired_offsets(now, &id) {
                self.forget_offset(&id, &topic, partition, effects);
            }
            let bare = self.offsets.of_group(&id).next().is_none()
                && self.offsets.open_of_group(&id).is_empty();
            if bare && self.groups.get(&id).is_some_and(Group::is_deserted) {
                self.remove_group(now, &id, effects);
            }
        }
    }

    fn expired_offsets(&self, now: Now, id: &GroupId) -> Vec<(TopicName, PartitionId)> {
        let Some(group) = self.groups.get(id) else { return Vec::new() };
        let expired = |(topic, partition, offset): &(&TopicName, PartitionId, &_)| {
            // What an open transaction may still replace stays until it has ended.
            !group.is_subscribed_to(topic.as_str())
                && self.is_expired(now, group, offset)
                && !self.offsets.is_open(id, topic, *partition)
        };
        let all = self.offsets.of_group(id).filter(expired);
        all.map(|(topic, partition, _)| (topic.clone(), partition)).collect()
    }

    fn is_expired(&self, now: Now, group: &Group, offset: &CommittedOffset) -> bool {
        let Some(since) = group.offsets_idle_since(offset.committed_at) else { return false };
        let retention =
            i64::try_from(self.settings.offsets_retention.as_millis()).unwrap_or(i64::MAX);
        let end = match offset.expires_at {
            Some(at) => at.millis(),
            None => since.millis().saturating_add(retention),
        };
        now.wall.millis() >= end
    }

    /// Offsets of topics that are gone would be taken for those of a later namesake.
    pub(crate) fn forget_topics(
        &mut self,
        deleted: &[(TopicName, TopicId)],
        effects: &mut Effects,
    ) {
        if deleted.is_empty() {
            return;
        }
        for group in self.offsets.groups() {
            for (topic, id) in deleted {
                for partition in self.offsets.of_topic(&group, topic, *id) {
                    self.forget_offset(&group, topic, partition, effects);
                }
            }
        }
    }

    /// The log is loaded: topics may have been deleted while nobody could write down that their
    /// offsets are gone. Nobody commits offsets of a topic that does not exist.
    pub(crate) fn forget_unknown_topics(&mut self, image: &MetadataImage, effects: &mut Effects) {
        for group in self.offsets.groups() {
            let committed = self.offsets.of_group(&group);
            let unknown: Vec<_> = committed
                .filter(|(topic, ..)| image.topic(topic.as_str()).is_none())
                .map(|(topic, partition, _)| (topic.clone(), partition))
                .collect();
            for (topic, partition) in unknown {
                self.forget_offset(&group, &topic, partition, effects);
            }
        }
    }

    /// Takes all offsets of a group away.
    pub(crate) fn forget_group(&mut self, group: &GroupId, effects: &mut Effects) {
        let committed = self.offsets.of_group(group);
        let committed = committed.map(|(topic, partition, _)| (topic.clone(), partition));
        let mut all: Vec<_> = committed.collect();
        all.extend(self.offsets.open_of_group(group));
        all.sort_unstable();
        all.dedup();
        for (topic, partition) in all {
            self.forget_offset(group, &topic, partition, effects);
        }
    }

    pub(super) fn forget_offset(
        &mut self,
        group: &GroupId,
        topic: &TopicName,
        partition: PartitionId,
        effects: &mut Effects,
    ) {
        let (group, topic) = (group.clone(), topic.clone());
        self.append(GroupRecord::Offset { group, topic, partition, value: None }, effects);
    }
}
