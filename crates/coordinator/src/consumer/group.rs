//! What a consumer group's records add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, Timestamp, TopicId};

use super::assignor::Assignor;
use super::member::Member;
use super::partitions::Partitions;
use super::reconcile::CurrentAssignment;
use super::topic_hash::hash_of_topics;
use crate::ids::{Epoch, GroupId, InstanceId, MemberId};
use crate::record::{ConsumerMemberValue, GroupRecord, RegexValue};

/// Kafka begins to count here.
const FIRST_EPOCH: Epoch = Epoch::new(1);

/// How far a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerGroupState {
    /// Nobody is in it.
    Empty,
    /// It needs a new target assignment.
    Assigning,
    /// Some member is not there yet.
    Reconciling,
    /// Everybody has what it is to have.
    Stable,
}

impl ConsumerGroupState {
    /// Kafka's word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// A group whose members say what they want, and are told what they have.
///
/// All but `looks_at_topics` and `unheard` is a replay of records. The maps hold one entry a
/// member, and what the members' own requests name, so they are bounded by
/// `group.consumer.max.size` and frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerGroup {
    group: GroupId,
    /// Grows with every change that asks for a new target assignment.
    epoch: Epoch,
    /// What the topics looked like then.
    metadata_hash: i64,
    /// Of which epoch the target assignment is; `None` once it is deleted.
    target_epoch: Option<Epoch>,
    /// When it was made; `None` in records before 4.3, and before there is one.
    target_made_at: Option<Timestamp>,
    members: BTreeMap<MemberId, Member>,
    statics: BTreeMap<InstanceId, MemberId>,
    targets: BTreeMap<MemberId, Partitions>,
    /// Who has a partition, or has yet to give it up.
    owners: BTreeMap<(TopicId, PartitionId), MemberId>,
    /// How many members name a topic.
    names: BTreeMap<Arc<str>, usize>,
    /// How many members subscribe with an expression.
    expressions: BTreeMap<Arc<str>, usize>,
    /// What expressions match, in order.
    resolved: BTreeMap<Arc<str>, RegexValue>,
    /// A record of Kafka before 4.1 is to be taken away.
    has_topics_record: bool,
    /// Topics may have changed: the next heartbeat compares their hash.
    looks_at_topics: bool,
    /// Members that may not have heard what they have, and what each said last that it has;
    /// `None` if it said something that it was not given.
    unheard: BTreeMap<MemberId, Option<Partitions>>,
}

impl ConsumerGroup {
    /// A group without members.
    pub(crate) const fn new(group: GroupId) -> Self {
        Self {
            group,
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            target_epoch: Some(FIRST_EPOCH),
            target_made_at: None,
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            targets: BTreeMap::new(),
            owners: BTreeMap::new(),
            names: BTreeMap::new(),
            expressions: BTreeMap::new(),
            resolved: BTreeMap::new(),
            has_topics_record: false,
            looks_at_topics: true,
            unheard: BTreeMap::new(),
        }
    }

    /// Takes a record of this group; whether it still exists then.
    pub(crate) fn replay(&mut self, record: &GroupRecord) -> bool {
        debug_assert_eq!(record.group(), &self.group);
        match record {
            GroupRecord::ConsumerEpoch { value: None, .. } => return false,
            GroupRecord::ConsumerEpoch { value: Some(value), .. } => {
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::ConsumerTopics { present, .. } => self.has_topics_record = *present,
            GroupRecord::ConsumerMember { member, value, .. } => {
                self.replay_member(member, value.as_ref());
            }
            GroupRecord::ConsumerTargetEpoch { value, .. } => {
                self.target_epoch = value.as_ref().map(|value| value.epoch);
                self.target_made_at = value.as_ref().and_then(|value| value.made_at);
            }
            GroupRecord::ConsumerTarget { member, value, .. } => match value {
                Some(topics) => {
                    self.targets.insert(member.clone(), Partitions::from_record(topics));
                }
                None => {
                    self.targets.remove(member);
                }
            },
            GroupRecord::ConsumerCurrent { member, value, .. } => {
                let current = value.as_ref().map(CurrentAssignment::from_record);
                self.replay_current(member, current);
            }
            GroupRecord::ConsumerRegex { regex, value: Some(value), .. } => {
                let mut value = value.clone();
                value.topics.sort_unstable();
                self.resolved.insert(Arc::clone(regex), value);
            }
            GroupRecord::ConsumerRegex { regex, value: None, .. } => {
                self.resolved.remove(regex);
            }
            GroupRecord::Offset { .. } | GroupRecord::Classic { .. } => {
                unreachable!("the shard gives a consumer group its own records only")
            }
        }
        true
    }

    fn replay_member(&mut self, id: &MemberId, value: Option<&ConsumerMemberValue>) {
        let before = self.members.get(id).map(|member| member.wants.clone());
        if let Some(before) = &before {
            self.uncount(id, before);
        }
        match value {
            Some(value) => {
                let wants = Member::normalised(value);
                self.count(id, &wants);
                self.members.entry(id.clone()).or_insert_with(Member::new).wants = wants;
            }
            None => {
                self.replay_current(id, None);
                self.members.remove(id);
                self.unheard.remove(id);
            }
        }
    }

    fn replay_current(&mut self, id: &MemberId, current: Option<CurrentAssignment>) {
        if let Some(before) = self.members.get(id) {
            for partition in before.has.held() {
                if self.owners.get(&partition) == Some(id) {
                    self.owners.remove(&partition);
                }
            }
        }
        let Some(current) = current else {
            if let Some(member) = self.members.get_mut(id) {
                member.has = CurrentAssignment::new();
            }
            return;
        };
        for partition in current.held() {
            self.owners.insert(partition, id.clone());
        }
        self.members.entry(id.clone()).or_insert_with(Member::new).has = current;
    }

    fn count(&mut self, id: &MemberId, wants: &ConsumerMemberValue) {
        for name in &wants.topics {
            *self.names.entry(Arc::clone(name)).or_default() += 1;
        }
        if let Some(regex) = &wants.regex {
            *self.expressions.entry(Arc::clone(regex)).or_default() += 1;
        }
        if let Some(instance) = &wants.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
    }

    fn uncount(&mut self, id: &MemberId, wants: &ConsumerMemberValue) {
        for name in &wants.topics {
            decrement(&mut self.names, name);
        }
        if let Some(regex) = &wants.regex {
            decrement(&mut self.expressions, regex);
        }
        if let Some(instance) = &wants.instance
            && self.statics.get(instance) == Some(id)
        {
            self.statics.remove(instance);
        }
    }

    /// Its name.
    pub(crate) const fn id(&self) -> &GroupId {
        &self.group
    }

    /// Its epoch.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The hash of its topics as of its epoch.
    pub(crate) const fn metadata_hash(&self) -> i64 {
        self.metadata_hash
    }

    /// The epoch of its target assignment; zero if that is deleted.
    pub(crate) fn target_epoch(&self) -> Epoch {
        self.target_epoch.unwrap_or(Epoch::ZERO)
    }

    /// When its target assignment was made.
    pub(crate) const fn target_made_at(&self) -> Option<Timestamp> {
        self.target_made_at
    }

    /// What a member is to have.
    pub(crate) fn target(&self, member: &MemberId) -> Option<&Partitions> {
        self.targets.get(member)
    }

    /// Its members, by name.
    pub(crate) const fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    /// One of them.
    pub(crate) fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// The member that has a static name.
    pub(crate) fn static_member(&self, instance: &InstanceId) -> Option<(&MemberId, &Member)> {
        self.members.get_key_value(self.statics.get(instance)?)
    }

    /// Who has a partition.
    pub(crate) fn owner(&self, topic: TopicId, partition: PartitionId) -> Option<&MemberId> {
        self.owners.get(&(topic, partition))
    }

    /// How many members subscribe with the expression.
    pub(crate) fn subscribers_of(&self, regex: &str) -> usize {
        self.expressions.get(regex).copied().unwrap_or(0)
    }

    /// What the expression matches, if that is known.
    pub(crate) fn resolved(&self, regex: &str) -> Option<&RegexValue> {
        self.resolved.get(regex)
    }

    /// Whether a record of Kafka before 4.1 is to be taken away.
    pub(crate) const fn has_topics_record(&self) -> bool {
        self.has_topics_record
    }

    /// Whether topics may have changed since the epoch.
    pub(crate) const fn looks_at_topics(&self) -> bool {
        self.looks_at_topics
    }

    /// Whether the next heartbeat has to compare the topics' hash.
    pub(crate) const fn look_at_topics(&mut self, look: bool) {
        self.looks_at_topics = look;
    }

    /// What a member said last, if it may not have heard what it has since.
    pub(super) fn said(&self, member: &MemberId) -> Option<&Option<Partitions>> {
        self.unheard.get(member)
    }

    /// The members that may not have heard what they have.
    pub(super) const fn unheard(&mut self) -> &mut BTreeMap<MemberId, Option<Partitions>> {
        &mut self.unheard
    }

    /// Every topic name that some member subscribes to, in order.
    fn subscribed(&self) -> BTreeSet<&str> {
        let matched = self.resolved.values().flat_map(|value| &value.topics);
        self.names.keys().chain(matched).map(AsRef::as_ref).collect()
    }

    /// Whether some member subscribes to the topic.
    pub(crate) fn subscribes_to(&self, topic: &str) -> bool {
        let matches = |value: &RegexValue| {
            value.topics.binary_search_by(|matched| matched.as_ref().cmp(topic)).is_ok()
        };
        self.names.contains_key(topic) || self.resolved.values().any(matches)
    }

    /// The hash of the subscribed topics now.
    pub(crate) fn hash_of_topics(&self, image: &MetadataImage) -> i64 {
        hash_of_topics(self.subscribed().into_iter(), image)
    }

    /// The existing topics that a member subscribes to.
    pub(crate) fn topics_of(
        &self,
        wants: &ConsumerMemberValue,
        image: &MetadataImage,
    ) -> BTreeSet<TopicId> {
        let matched = wants.regex.as_ref().and_then(|regex| self.resolved(regex));
        let matched = matched.into_iter().flat_map(|value| &value.topics);
        let names = wants.topics.iter().chain(matched);
        names.filter_map(|name| Some(image.topic(name)?.id)).collect()
    }

    /// Of these assignors the one that most members ask for. They may have asked for another
    /// before the choice was made smaller.
    pub(crate) fn preferred_assignor(&self, of: &[Assignor]) -> Option<Assignor> {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for member in self.members.values() {
            let named = member.wants.assignor.as_deref().and_then(Assignor::from_name);
            if let Some(assignor) = named.filter(|named| of.contains(named)) {
                *votes.entry(assignor).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(assignor, _)| assignor)
    }

    /// How far it has come.
    pub(crate) fn state(&self) -> ConsumerGroupState {
        let target = self.target_epoch();
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > target {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.has.is_reconciled_to(target)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// The records that delete the group and everything in it, in an order in which Kafka can
    /// replay them.
    pub(crate) fn tombstones(&self) -> Vec<GroupRecord> {
        let group = || self.group.clone();
        let ids = || self.members.keys().cloned();
        let targets: BTreeSet<MemberId> = ids().chain(self.targets.keys().cloned()).collect();
        let current = ids().map(|member| GroupRecord::ConsumerCurrent {
            group: group(),
            member,
            value: None,
        });
        let target = targets.into_iter().map(|member| GroupRecord::ConsumerTarget {
            group: group(),
            member,
            value: None,
        });
        let members =
            ids().map(|member| GroupRecord::ConsumerMember { group: group(), member, value: None });
        let regexes = self.resolved.keys().cloned();
        let regexes =
            regexes.map(|regex| GroupRecord::ConsumerRegex { group: group(), regex, value: None });
        let mut records: Vec<_> = current.chain(target).collect();
        records.push(GroupRecord::ConsumerTargetEpoch { group: group(), value: None });
        records.extend(members.chain(regexes));
        records.push(GroupRecord::ConsumerTopics { group: group(), present: false });
        records.push(GroupRecord::ConsumerEpoch { group: group(), value: None });
        records
    }
}

fn decrement(counts: &mut BTreeMap<Arc<str>, usize>, key: &Arc<str>) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
