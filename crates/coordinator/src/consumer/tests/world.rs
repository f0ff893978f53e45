//! A shard, its log, and a cluster that it looks at.

use std::sync::Arc;
use std::time::Duration;

use ottla_metadata::{MetadataImage, MetadataReplay, NewPartition, PartitionImage, Record};
use ottla_types::{LeaderEpoch, NodeId, PartitionId, Timestamp, TopicId, TopicName, Uuid};

use crate::answer::GroupAnswer;
use crate::clock::Now;
use crate::consumer::{ConsumerGroup, ConsumerHeartbeat, MemberEpoch};
use crate::group::Group;
use crate::ids::{GroupId, InstanceId, MemberId};
use crate::record::RecordBytes;
use crate::request::{Client, GroupRequest};
use crate::settings::GroupSettings;
use crate::shard::{Effects, GroupShard, Ticket, TopicChanges};

pub(super) const GROUP: &str = "g";

pub(super) struct World {
    pub(super) shard: GroupShard,
    pub(super) log: Vec<RecordBytes>,
    settings: Arc<GroupSettings>,
    metadata: MetadataReplay,
    clock: Duration,
    /// The wall clock at the start.
    wall: i64,
    drawn: u128,
    tickets: u64,
    /// What was answered to requests that waited.
    pub(super) late: Vec<(Ticket, GroupAnswer)>,
}

impl World {
    pub(super) fn new(settings: GroupSettings) -> Self {
        let settings = Arc::new(settings);
        let mut world = Self {
            shard: GroupShard::new(PartitionId::ZERO, Arc::clone(&settings)),
            log: Vec::new(),
            settings,
            metadata: MetadataReplay::new("cluster"),
            clock: Duration::ZERO,
            wall: 1_700_000_000_000,
            drawn: 1_000,
            tickets: 0,
            late: Vec::new(),
        };
        world.load();
        world
    }

    /// The one group of most tests.
    pub(super) fn group(&self) -> &ConsumerGroup {
        match self.shard.groups.get(GROUP) {
            Some(Group::Consumer(group)) => group,
            other => panic!("no consumer group: {other:?}"),
        }
    }

    pub(super) fn image(&self) -> &MetadataImage {
        self.metadata.image()
    }

    pub(super) fn now(&self) -> Now {
        let millis = i64::try_from(self.clock.as_millis()).unwrap();
        Now { mono: self.clock, wall: Timestamp::from_millis(self.wall + millis) }
    }

    pub(super) fn wall_goes_back(&mut self, by: Duration) {
        self.wall -= i64::try_from(by.as_millis()).unwrap();
    }

    pub(super) fn draw(&mut self) -> Uuid {
        self.drawn += 1;
        Uuid::from_u128(self.drawn << 64)
    }

    /// Time passes, and what is due happens.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.clock + time;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.clock = due.max(self.clock);
            self.with_shard(GroupShard::on_time);
        }
        self.clock = end;
    }

    fn with_shard(
        &mut self,
        act: impl FnOnce(&mut GroupShard, Now, &MetadataImage, &mut Effects),
    ) -> Vec<(Ticket, GroupAnswer)> {
        let (now, mut effects) = (self.now(), Effects::default());
        act(&mut self.shard, now, self.metadata.image(), &mut effects);
        self.log.extend(effects.records.iter().map(crate::record::GroupRecord::encode));
        self.late.extend(effects.answers.iter().cloned());
        effects.answers
    }

    /// A request, and the answer if it comes at once.
    pub(super) fn ask(&mut self, request: GroupRequest) -> Option<GroupAnswer> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let answers = self.with_shard(|shard, now, image, effects| {
            shard.step(now, image, ticket, request, effects);
        });
        answers.into_iter().find(|(to, _)| *to == ticket).map(|(_, answer)| answer)
    }

    /// The ticket of the last request.
    pub(super) const fn ticket(&self) -> Ticket {
        Ticket(self.tickets)
    }

    /// Creates a topic, or lets it grow to so many partitions.
    pub(super) fn topic(&mut self, name: &str, partitions: i32) -> TopicId {
        let known = self.image().topic(name).map(|topic| (topic.id, topic.partitions.len()));
        let (id, count) = known.unwrap_or_else(|| (self.draw(), 0));
        let name = TopicName::parse(name).unwrap();
        let mut records = Vec::new();
        if known.is_none() {
            records.push(Record::Topic { name: name.clone(), id });
        }
        for number in i32::try_from(count).unwrap()..partitions {
            let node = NodeId::new(1);
            let state = PartitionImage::new(vec![node], vec![Uuid::from_u128(200)], vec![node]);
            let partition = PartitionId::new(number);
            records.push(Record::Partition(NewPartition { topic: id, partition, state }));
        }
        self.change(&records, &TopicChanges { changed: vec![name], deleted: Vec::new() });
        id
    }

    pub(super) fn delete_topic(&mut self, name: &str) {
        let Some(topic) = self.image().topic(name).cloned() else { return };
        let deleted = vec![(topic.name.clone(), topic.id)];
        self.change(
            &[Record::RemoveTopic { id: topic.id }],
            &TopicChanges { deleted, changed: Vec::new() },
        );
    }

    pub(super) fn change(&mut self, records: &[Record], changes: &TopicChanges) {
        let mut offset = self.image().end();
        for record in records {
            self.metadata.record(offset, record).unwrap();
            offset = offset.next();
        }
        drop(self.metadata.take(offset, LeaderEpoch::new(1)));
        self.with_shard(|shard, now, image, effects| {
            shard.on_metadata(now, image, changes, effects);
        });
    }

    /// A shard as the log makes it.
    pub(super) fn replayed(&self) -> GroupShard {
        let mut shard = GroupShard::new(PartitionId::ZERO, Arc::clone(&self.settings));
        for record in &self.log {
            shard.replay(None, &record.key, record.value.as_deref()).unwrap();
        }
        shard
    }

    /// The node starts anew.
    pub(super) fn load(&mut self) {
        self.shard = self.replayed();
        self.with_shard(GroupShard::on_loaded);
    }

    /// What is decided is what a replay finds.
    pub(super) fn check_replay(&self) {
        let replayed = self.replayed();
        let consumers = |shard: &GroupShard| {
            let groups = shard.groups.iter().filter_map(|(name, group)| match group {
                Group::Consumer(group) => {
                    // Soft: a restart looks at the topics anyway, and has clients say everything.
                    let mut group = group.clone();
                    group.look_at_topics(false);
                    group.unheard().clear();
                    Some((name.clone(), group))
                }
                Group::Classic(_) => None,
            });
            groups.collect::<Vec<_>>()
        };
        assert_eq!(consumers(&replayed), consumers(&self.shard));
    }

    /// The node starts anew with other settings.
    pub(super) fn load_with(&mut self, settings: GroupSettings) {
        self.settings = Arc::new(settings);
        self.load();
    }

    /// No partition is with two members.
    pub(super) fn check_owners(&self) {
        for group in self.shard.groups.values() {
            let Group::Consumer(group) = group else { continue };
            let mut owners = std::collections::BTreeMap::new();
            for (id, member) in group.members() {
                for partition in member.has.held() {
                    let other = owners.insert(partition, id);
                    assert_eq!(other, None, "{partition:?} is with {id} too");
                    assert_eq!(group.owner(partition.0, partition.1), Some(id));
                }
            }
        }
    }
}

pub(super) fn client() -> Client {
    Client { id: "client".into(), host: "/127.0.0.1".into() }
}

/// A heartbeat that says nothing but that the member is there.
pub(super) fn heartbeat(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: GroupId::new(GROUP),
        member: MemberId::new(member),
        names_itself: true,
        epoch: MemberEpoch::from_wire(epoch),
        instance: None,
        rack: None,
        rebalance_timeout: None,
        topics: None,
        regex: None,
        assignor: None,
        owned: None,
        client: client(),
        drawn: Uuid::from_u128(77 << 64),
    }
}

/// The first heartbeat of a member.
pub(super) fn joining(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout: Some(Duration::from_secs(60)),
        topics: Some(topics.iter().map(|name| Arc::from(*name)).collect()),
        owned: Some(Vec::new()),
        ..heartbeat(member, 0)
    }
}

pub(super) fn of_static(instance: &str, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat { instance: Some(InstanceId::new(instance)), ..request }
}
