//! Members of groups that ask anything, in any order, at any time; and a log that tells the same.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::{
    Client, CommitOffsets, CommitPartition, CommitTopic, ConsumerHeartbeat, DeleteOffsets, Effects,
    Epoch, FetchOffsets, GroupAnswer, GroupId, GroupRecord, GroupRequest, GroupSettings,
    GroupShard, Heartbeat, InstanceId, JoinGroup, LeaveGroup, Leaver, ListGroups, MemberAssignment,
    MemberEpoch, MemberId, NamedPartitions, Now, Protocol, SyncGroup, Ticket,
};
use ottla_metadata::{MetadataImage, MetadataReplay, NewPartition, PartitionImage, Record};
use ottla_testkit::vectors_of;
use ottla_types::{LeaderEpoch, NodeId, Offset, PartitionId, Timestamp, TopicId, TopicName, Uuid};

pub(super) fn ticket(number: u64) -> Ticket {
    Ticket(number)
}

/// Some sequences: joins, commits and heartbeats of both protocols.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = vec![
        // A member that joins, again with its id, syncs, commits, leaves.
        vec![0, 0, 0, 0, 9, 40, 0, 1, 0, 1, 0, 0, 3, 0, 1, 0, 4, 0, 1, 0, 2, 0, 1, 0],
        vec![5, 0, 0, 0, 5, 1, 0, 1, 9, 60, 5, 0, 0, 2, 5, 1, 0, 2, 6, 0, 0, 0],
    ];
    for kind in 0..16_u8 {
        all.push((0..12).flat_map(|at| [kind, at % 3, at, kind]).collect());
    }
    // What real consumers say of themselves.
    for blob in vectors_of("ConsumerProtocolSubscription") {
        let framed = [&blob.version.to_be_bytes()[..], &blob.bytes].concat();
        all.push([vec![14, 0, 0, framed.len().min(255) as u8], framed, vec![0; 12]].concat());
    }
    all
}

/// The input, number by number; zeros behind its end.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    fn bytes(&mut self) -> Bytes {
        let count = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        Bytes::copy_from_slice(bytes)
    }

    fn group(&mut self) -> GroupId {
        ["g", "h", ""][usize::from(self.below(3))].into()
    }

    fn instance(&mut self) -> Option<InstanceId> {
        [None, Some("i"), Some("j")][usize::from(self.below(3))].map(InstanceId::new)
    }

    fn epoch(&mut self) -> Option<Epoch> {
        Epoch::from_wire(i32::from(self.byte() as i8))
    }
}

/// A shard, its log, and who was let in.
struct World {
    shard: GroupShard,
    settings: Arc<GroupSettings>,
    image: Arc<MetadataImage>,
    now: Now,
    log: Vec<GroupRecord>,
    members: Vec<MemberId>,
    tickets: u64,
}

impl World {
    fn new() -> Self {
        let settings = Arc::new(GroupSettings {
            classic_members_max: 6,
            consumer_members_max: 6,
            ..GroupSettings::default()
        });
        let shard = GroupShard::new(PartitionId::ZERO, Arc::clone(&settings));
        let now = Now { mono: Duration::from_secs(5), wall: Timestamp::from_millis(5_000_000) };
        let members = vec!["m".into(), "n".into()];
        let (log, tickets) = (Vec::new(), 0);
        let mut world = Self { shard, settings, image: image(), now, log, members, tickets };
        world.does(|shard, now, image, effects| shard.on_loaded(now, image, effects));
        world
    }

    fn does(&mut self, act: impl FnOnce(&mut GroupShard, Now, &MetadataImage, &mut Effects)) {
        let mut effects = Effects::default();
        act(&mut self.shard, self.now, &self.image, &mut effects);
        self.log.append(&mut effects.records);
        for (_, answer) in effects.answers {
            match answer {
                GroupAnswer::Join(Ok(joined)) => self.remember(joined.member),
                GroupAnswer::Join(Err(refused)) => {
                    refused.member.into_iter().for_each(|m| self.remember(m))
                }
                GroupAnswer::ConsumerHeartbeat(Ok(told)) => self.remember(told.member),
                _ => {}
            }
        }
    }

    fn remember(&mut self, member: MemberId) {
        if !self.members.contains(&member) && self.members.len() < 40 {
            self.members.push(member);
        }
    }

    fn member(&self, script: &mut Script<'_>) -> MemberId {
        self.members[usize::from(script.byte()) % self.members.len()].clone()
    }

    fn ask(&mut self, request: GroupRequest) {
        self.tickets += 1;
        let ticket = ticket(self.tickets);
        self.does(|shard, now, image, effects| shard.step(now, image, ticket, request, effects));
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        let wall = self.now.wall.millis() + time.as_millis() as i64;
        self.now.wall = Timestamp::from_millis(wall);
        self.does(|shard, now, image, effects| shard.on_time(now, image, effects));
    }

    /// Loads the log into another shard, which is to take every record.
    fn replayed(&self) -> GroupShard {
        let mut other = GroupShard::new(PartitionId::ZERO, Arc::clone(&self.settings));
        for record in &self.log {
            let bytes = record.encode();
            other.replay(None, &bytes.key, bytes.value.as_deref()).expect("it was written here");
        }
        other
    }
}

const TOPIC_ID: TopicId = Uuid::from_u128(77);

fn topic() -> TopicName {
    TopicName::parse("t").expect("a legal name")
}

fn image() -> Arc<MetadataImage> {
    let mut replay = MetadataReplay::new("cluster");
    let id: TopicId = TOPIC_ID;
    let mut records = vec![Record::Topic { name: topic(), id }];
    for partition in (0..4).map(PartitionId::new) {
        let one = vec![NodeId::new(1)];
        let state = PartitionImage::new(one.clone(), vec![Uuid::from_u128(1)], one);
        records.push(Record::Partition(NewPartition { topic: id, partition, state }));
    }
    let mut at = Offset::ZERO;
    for record in &records {
        replay.record(at, record).expect("a small cluster");
        at = at.next();
    }
    replay.take(at, LeaderEpoch::ZERO).1
}

pub(super) fn sequence(input: &[u8]) {
    let (mut world, mut script) = (World::new(), Script(input));
    for _ in 0..200 {
        if script.0.is_empty() {
            break;
        }
        let kind = script.below(16);
        match request(kind, &world, &mut script) {
            Some(request) => world.ask(request),
            None if kind == 15 => {
                // The node ends, and another life begins.
                world.shard = world.replayed();
                world.does(|shard, now, image, effects| shard.on_loaded(now, image, effects));
            }
            None => world.pass(Duration::from_millis(250 * u64::from(script.byte()))),
        }
    }
    let list = || GroupRequest::List(Arc::new(ListGroups::default()));
    let names = |shard: &mut GroupShard, world: &World| {
        let mut effects = Effects::default();
        shard.step(world.now, &world.image, ticket(0), list(), &mut effects);
        let mut names = Vec::new();
        for (_, answer) in effects.answers {
            if let GroupAnswer::List(groups) = answer {
                names.extend(groups.into_iter().map(|group| group.group));
            }
        }
        names
    };
    // A group of members that never came so far that anything was written is not in the log.
    let mut stored = world.replayed();
    let after = names(&mut stored, &world);
    let mut shard = std::mem::replace(&mut world.shard, stored);
    let before = names(&mut shard, &world);
    assert!(after.iter().all(|group| before.contains(group)), "{after:?} of {before:?}");
}

fn request(kind: u8, world: &World, script: &mut Script<'_>) -> Option<GroupRequest> {
    let group = script.group();
    let client = Client { id: "c".into(), host: "/127.0.0.1".into() };
    let drawn = Uuid::from_u128(u128::from(world.tickets) + 1);
    Some(match kind {
        0 | 1 | 14 => GroupRequest::Join(JoinGroup {
            group,
            member: (kind == 1).then(|| world.member(script)),
            instance: script.instance(),
            client,
            session_timeout: Duration::from_secs(6 + u64::from(script.below(5))),
            rebalance_timeout: Duration::from_secs(u64::from(script.byte())),
            protocol_type: ["consumer", "connect", ""][usize::from(script.below(8) / 3)].into(),
            protocols: protocols(kind, script),
            reason: None,
            takes_member_id_first: script.below(2) == 0,
            knows_skip_assignment: script.below(2) == 0,
            drawn,
        }),
        2 => GroupRequest::Sync(SyncGroup {
            group,
            generation: script.epoch(),
            member: Some(world.member(script)),
            instance: script.instance(),
            protocol_type: None,
            protocol_name: None,
            assignments: vec![MemberAssignment {
                member: world.member(script),
                assignment: script.bytes(),
            }],
        }),
        3 => GroupRequest::Heartbeat(Heartbeat {
            group,
            generation: script.epoch(),
            member: Some(world.member(script)),
            instance: script.instance(),
        }),
        4 => GroupRequest::Leave(LeaveGroup {
            group,
            members: vec![Leaver {
                member: Some(world.member(script)),
                instance: script.instance(),
                reason: None,
            }],
        }),
        5..=8 => GroupRequest::ConsumerHeartbeat(beat(kind, group, world, script, client, drawn)),
        9 => return None,
        10 => GroupRequest::CommitOffsets(CommitOffsets {
            group,
            epoch: script.epoch(),
            member: (script.below(2) == 0).then(|| world.member(script)),
            instance: script.instance(),
            retention: None,
            topics: vec![CommitTopic {
                name: topic(),
                id: None,
                partitions: vec![CommitPartition {
                    partition: PartitionId::new(i32::from(script.below(6))),
                    offset: Offset::from_wire(i64::from(script.byte()) - 1),
                    leader_epoch: None,
                    metadata: String::from_utf8_lossy(&script.bytes()).into(),
                }],
            }],
        }),
        11 => GroupRequest::FetchOffsets(FetchOffsets {
            group,
            member: None,
            epoch: None,
            topics: None,
            require_stable: script.below(2) == 0,
        }),
        12 => GroupRequest::DeleteOffsets(DeleteOffsets {
            group,
            topics: vec![NamedPartitions { name: "t".into(), partitions: vec![0, 1, -1] }],
        }),
        13 => match script.below(3) {
            0 => GroupRequest::Delete(vec![group]),
            1 => GroupRequest::Describe(vec![group]),
            _ => GroupRequest::ConsumerDescribe(vec![group]),
        },
        _ => return None,
    })
}

fn protocols(kind: u8, script: &mut Script<'_>) -> Vec<Protocol> {
    let one = |name: &str, metadata| Protocol { name: name.into(), metadata };
    if kind == 14 {
        return vec![one("range", script.bytes())];
    }
    let mut all =
        vec![one("range", Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0"))];
    if script.below(2) == 0 {
        all.push(one("cooperative-sticky", script.bytes()));
    }
    all
}

fn beat(
    kind: u8,
    group: GroupId,
    world: &World,
    script: &mut Script<'_>,
    client: Client,
    drawn: Uuid,
) -> ConsumerHeartbeat {
    let joins = kind <= 6;
    let owned =
        (0..i32::from(script.below(5))).map(|at| (TOPIC_ID, Some(PartitionId::new(at)))).collect();
    ConsumerHeartbeat {
        group,
        member: world.member(script),
        names_itself: true,
        epoch: match joins {
            true => Some(MemberEpoch::Joining),
            false => MemberEpoch::from_wire(i32::from(script.byte() as i8)),
        },
        instance: script.instance(),
        rack: None,
        rebalance_timeout: Some(Duration::from_secs(1 + u64::from(script.byte()))),
        topics: (script.below(3) > 0).then(|| vec!["t".into()]),
        regex: match script.below(5) {
            0 => Some("t.*".into()),
            1 => Some(String::from_utf8_lossy(&script.bytes()).into()),
            _ => None,
        },
        assignor: (script.below(6) == 0).then(|| "range".into()),
        owned: Some(if joins { Vec::new() } else { owned }),
        client,
        drawn,
    }
}
