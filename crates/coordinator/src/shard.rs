//! What one partition of `__consumer_offsets` knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_metadata::MetadataImage;
use ottla_types::{Offset, PartitionId, ProducerId, TopicId, TopicName};

use crate::answer::GroupAnswer;
use crate::classic::ClassicGroup;
use crate::clock::Now;
use crate::consumer::{ConsumerGroup, Moment};
use crate::desk::Desk;
use crate::foreign::ForeignGroups;
use crate::group::Group;
use crate::ids::GroupId;
use crate::offsets::Offsets;
use crate::record::{GroupRecord, ReplayError};
use crate::settings::GroupSettings;
use crate::timers::{Timer, Timers};

/// A deadline that is noticed later than this says that the coordinator has stalled, for a slow
/// disk or a busy processor, and not that a member was silent.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(1);

/// What a stalled coordinator grants its members at most, to be heard: three heartbeats of Kafka's
/// consumers.
pub(crate) const GRACE_MAX: Duration = Duration::from_secs(9);

/// Names a request whose answer is given later; the host draws it and keeps what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What one event leads to.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Effects {
    /// To append, in this order, as one batch.
    pub records: Vec<GroupRecord>,
    /// To send once `records`, and all that the shard gave before them, are committed: an answer
    /// without records of its own may speak of state that others are still writing.
    pub answers: Vec<(Ticket, GroupAnswer)>,
}

impl Effects {
    /// Gives an answer.
    pub(crate) fn answer(&mut self, ticket: Ticket, answer: GroupAnswer) {
        self.answers.push((ticket, answer));
    }
}

/// What changed in the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicChanges {
    /// Topics that are gone.
    pub deleted: Vec<(TopicName, TopicId)>,
    /// Topics that came, or whose partitions or racks changed.
    pub changed: Vec<TopicName>,
}

/// The groups and offsets of one partition.
///
/// Its durable state is a replay of its records. A decision replays its own records at once, so
/// that the next one builds on it; if they cannot be appended, the host throws the shard away and
/// loads it anew. What members do between two rebalances (timers, pending joins) is soft: a
/// restart forgets it, and the members say it again.
#[derive(Debug)]
pub struct GroupShard {
    pub(crate) partition: PartitionId,
    pub(crate) settings: Arc<GroupSettings>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    pub(crate) offsets: Offsets,
    /// Groups of kinds that are not served here.
    pub(crate) foreign: ForeignGroups,
    pub(crate) timers: Timers,
    /// The metadata's end when topics came last; `None` before the log is loaded.
    pub(crate) topics_grew_at: Option<Offset>,
}

impl GroupShard {
    /// A shard before the first record of its log.
    #[must_use]
    pub fn new(partition: PartitionId, settings: Arc<GroupSettings>) -> Self {
        Self {
            partition,
            settings,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            foreign: ForeignGroups::default(),
            timers: Timers::default(),
            topics_grew_at: None,
        }
    }

    /// What the node's owner decides holds from here on; deadlines that run stay as they are.
    pub fn configure(&mut self, settings: Arc<GroupSettings>) {
        self.settings = settings;
    }

    /// The partition of `__consumer_offsets`.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Takes a stored record while the log is loaded; `producer` is that of a transactional
    /// batch. Types that are not known here are skipped.
    ///
    /// # Errors
    /// If the record cannot be read: the shard cannot serve then.
    pub fn replay(
        &mut self,
        producer: Option<ProducerId>,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), ReplayError> {
        match GroupRecord::decode(key, value)? {
            Some(record) => self.apply(producer, record),
            None => self.foreign.replay(key, value.is_some()),
        }
        Ok(())
    }

    /// Takes a transaction's marker while the log is loaded.
    pub fn replay_marker(&mut self, producer: ProducerId, committed: bool) {
        self.offsets.end_transaction(producer, committed);
    }

    /// The log is loaded: timers begin to run.
    pub fn on_loaded(&mut self, now: Now, image: &MetadataImage, effects: &mut Effects) {
        self.arm_expiry(now);
        let Self { groups, settings, timers, .. } = self;
        let mut desk = Desk { now, settings, timers, effects };
        for group in groups.values_mut() {
            match group {
                Group::Classic(group) => group.on_loaded(&mut desk),
                Group::Consumer(_) => {}
            }
        }
        self.on_consumers_loaded(Moment { now, image });
        self.forget_unknown_topics(image, effects);
    }

    /// The earliest time at which [`GroupShard::on_time`] has something to do, on the monotonic
    /// clock.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, image: &MetadataImage, effects: &mut Effects) {
        // A timer that arms itself for the same instant waits for the next call.
        for due in self.timers.due(now.mono) {
            // Once: a node that is always late would never put out anybody.
            let may_wait = due.1.waits_for_members() && !self.timers.is_postponed(&due.1);
            if !self.timers.take(&due) {
                continue;
            }
            let (at, timer) = due;
            let late = now.mono.saturating_sub(at);
            if late > LATE_MAX && may_wait {
                // What they sent may be waiting behind this very call.
                self.timers.postpone(timer, now.mono + late.min(GRACE_MAX));
            } else {
                self.on_timer(Moment { now, image }, &timer, effects);
            }
        }
    }

    fn on_timer(&mut self, at: Moment<'_>, timer: &Timer, effects: &mut Effects) {
        let now = at.now;
        match timer {
            Timer::Expiry => {
                self.expire(now, effects);
                self.arm_expiry(now);
            }
            Timer::ClassicJoin(id) => {
                self.with_classic(now, id, effects, ClassicGroup::on_join_timeout);
            }
            Timer::ClassicSync(id) => {
                self.with_classic(now, id, effects, ClassicGroup::on_sync_timeout);
            }
            Timer::ClassicSession(id, member) => {
                self.with_classic(now, id, effects, |group, desk| {
                    group.on_session_timeout(desk, member);
                });
            }
            Timer::ConsumerSession(id, member)
            | Timer::ConsumerRebalance(id, member)
            | Timer::ConsumerJoin(id, member)
            | Timer::ConsumerSync(id, member) => self.on_consumer_timer(at, id, member, effects),
        }
    }

    /// The metadata changed: offsets of deleted topics go, and consumer groups look at their
    /// topics.
    pub fn on_metadata(
        &mut self,
        now: Now,
        image: &MetadataImage,
        changes: &TopicChanges,
        effects: &mut Effects,
    ) {
        self.forget_topics(&changes.deleted, effects);
        self.on_consumer_topics(Moment { now, image }, changes);
    }

    fn arm_expiry(&mut self, now: Now) {
        self.timers.arm(Timer::Expiry, now.mono + self.settings.offsets_retention_check_interval);
    }

    /// Lets a classic group act, if it is one.
    pub(crate) fn with_classic<T>(
        &mut self,
        now: Now,
        id: &GroupId,
        effects: &mut Effects,
        act: impl FnOnce(&mut ClassicGroup, &mut Desk<'_>) -> T,
    ) -> Option<T> {
        let Self { groups, settings, timers, .. } = self;
        match groups.get_mut(id)? {
            Group::Classic(group) => Some(act(group, &mut Desk { now, settings, timers, effects })),
            Group::Consumer(_) => None,
        }
    }

    /// Gives a record to append, which counts here from now on.
    pub(crate) fn append(&mut self, record: GroupRecord, effects: &mut Effects) {
        self.apply(None, record.clone());
        effects.records.push(record);
    }

    /// Whether the group belongs to members that are not served here, and nobody else has come.
    pub(crate) fn is_foreign(&self, id: &GroupId) -> bool {
        let simple = |group: &Group| match group {
            Group::Classic(group) => group.protocol_type().is_none() && group.is_deserted(),
            Group::Consumer(_) => false,
        };
        self.foreign.contains(id) && self.groups.get(id).is_none_or(simple)
    }

    /// Takes a group away, with its deadlines. Its offsets stay.
    pub(crate) fn remove_group(&mut self, now: Now, id: &GroupId, effects: &mut Effects) {
        let Some(group) = self.groups.get(id) else { return };
        let tombstones = group.tombstones(id);
        self.with_classic(now, id, effects, |group, desk| group.cancel_timers(desk));
        for record in tombstones {
            self.append(record, effects);
        }
    }

    /// Replays one record.
    fn apply(&mut self, producer: Option<ProducerId>, record: GroupRecord) {
        match record {
            GroupRecord::Offset { group, topic, partition, value } => {
                // Consumers without a group commit too; all their group has is offsets.
                if value.is_some() && !self.groups.contains_key(&group) {
                    let simple = Group::Classic(ClassicGroup::new(group.clone()));
                    self.groups.insert(group.clone(), simple);
                }
                self.offsets.replay((group, topic, partition), producer, value);
            }
            GroupRecord::Classic { group, value: None } => {
                self.foreign.remove(&group);
                self.groups.remove(&group);
            }
            GroupRecord::Classic { group, value: Some(value) } => {
                self.foreign.remove(&group);
                let loaded = ClassicGroup::loaded(group.clone(), value);
                self.groups.insert(group, Group::Classic(loaded));
            }
            consumer => self.apply_consumer(&consumer),
        }
    }

    fn apply_consumer(&mut self, record: &GroupRecord) {
        let id = record.group();
        match self.groups.get_mut(id) {
            Some(Group::Consumer(group)) => {
                if !group.replay(record) {
                    self.groups.remove(id);
                }
            }
            // What is not there cannot be taken away.
            Some(Group::Classic(_)) | None if record.is_tombstone() => {}
            // A group that only ever committed has no record that a consumer group could end.
            Some(Group::Classic(_)) | None => {
                let mut group = ConsumerGroup::new(id.clone());
                group.replay(record);
                self.groups.insert(id.clone(), Group::Consumer(group));
            }
        }
    }
}
