//! A shard, its log and the words of the scripts.
//!
//! A newcomer's id ends in a random uuid; scripts write `a#1` for the first that was drawn by
//! client `a`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_coordinator::{
    Asker, Client, CommitOffsets, CommitPartition, CommitTopic, DeleteOffsets, Effects, Epoch,
    FetchOffsets, GroupId, GroupRequest, GroupSettings, GroupShard, Heartbeat, InstanceId,
    JoinGroup, LeaveGroup, Leaver, ListGroups, MemberAssignment, MemberId, NamedPartitions, Now,
    Protocol, RecordBytes, SyncGroup, Ticket, TopicChanges,
};
use ottla_metadata::{MetadataDelta, MetadataImage, Record};
use ottla_testkit::trace::argument;
use ottla_types::{LeaderEpoch, Offset, PartitionId, ProducerId, Timestamp, TopicName, Uuid};

use crate::text;

pub(crate) struct World {
    settings: GroupSettings,
    shard: GroupShard,
    image: MetadataImage,
    log: Vec<(Option<ProducerId>, RecordBytes)>,
    mono: Duration,
    tickets: u64,
    drawn: u128,
}

/// A cluster with these topics; their ids count from 1.
fn topics(names: &[&str]) -> MetadataImage {
    let mut delta = MetadataDelta::new(&MetadataImage::empty("cluster"));
    for (id, name) in (1..).zip(names) {
        let name = TopicName::parse(name).unwrap();
        delta.replay(&Record::Topic { name, id: Uuid::from_u128(id) }).unwrap();
    }
    MetadataImage::clone(&delta.finish(Offset::new(1), LeaderEpoch::ZERO))
}

impl World {
    pub(crate) fn new() -> Self {
        let settings = GroupSettings::default();
        Self {
            shard: GroupShard::new(PartitionId::ZERO, Arc::new(settings.clone())),
            settings,
            image: topics(&["orders", "a", "old", "once", "other", "read", "x"]),
            log: Vec::new(),
            mono: Duration::ZERO,
            tickets: 0,
            drawn: 0,
        }
    }

    pub(crate) fn run(&mut self, command: &str) -> String {
        let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "set" => self.set(rest),
            "wait" => self.wait(rest),
            "stall" => self.stall(rest),
            "late" => self.late(rest),
            "load" => self.load(),
            "pending" => self.pending(rest),
            "marker" => self.marker(rest),
            "topic-deleted" => self.topic_deleted(rest),
            _ => self.request(verb, rest),
        }
    }

    fn now(&self) -> Now {
        let wall = i64::try_from(self.mono.as_millis()).unwrap();
        Now { mono: self.mono, wall: Timestamp::from_millis(wall) }
    }

    /// A shard with other settings finds the same log.
    fn set(&mut self, rest: &str) -> String {
        let number = |key| argument(rest, key).map(|value| value.parse::<u64>().unwrap());
        if let Some(delay) = number("delay") {
            self.settings.initial_rebalance_delay = Duration::from_secs(delay);
        }
        if let Some(max) = number("members") {
            self.settings.classic_members_max = usize::try_from(max).unwrap();
        }
        if let Some(retention) = number("retention") {
            self.settings.offsets_retention = Duration::from_secs(retention);
        }
        if let Some(max) = number("metadata") {
            self.settings.offset_metadata_max = usize::try_from(max).unwrap();
        }
        self.load()
    }

    /// Lets time pass, a deadline after the other.
    fn wait(&mut self, seconds: &str) -> String {
        let end = self.mono + Duration::from_secs_f64(seconds.parse().unwrap());
        let mut said = String::new();
        while let Some(next) = self.shard.next_deadline().filter(|next| *next <= end) {
            self.mono = self.mono.max(next);
            let mut effects = Effects::default();
            self.shard.on_time(self.now(), &self.image, &mut effects);
            let happened = self.settle(&effects);
            if !happened.is_empty() {
                write!(said, "at {}:\n{happened}", self.mono.as_secs_f64()).unwrap();
            }
        }
        self.mono = end;
        said
    }

    /// Time passes, and nobody looks at the deadlines before it is over.
    fn stall(&mut self, seconds: &str) -> String {
        self.mono += Duration::from_secs_f64(seconds.parse().unwrap());
        let mut effects = Effects::default();
        self.shard.on_time(self.now(), &self.image, &mut effects);
        self.settle(&effects)
    }

    /// A member's answer was on its way for so many seconds.
    fn late(&mut self, rest: &str) -> String {
        let group = GroupId::new(rest.split(' ').next().unwrap());
        let member = argument(rest, "member").map(|id| MemberId::new(&text::long_id(id)));
        let waited = argument(rest, "waited").unwrap().parse().unwrap();
        let asker = Asker { group, member };
        self.shard.on_late_answer(self.now(), &asker, Duration::from_secs_f64(waited));
        String::new()
    }

    fn load(&mut self) -> String {
        self.shard = GroupShard::new(PartitionId::ZERO, Arc::new(self.settings.clone()));
        for (producer, record) in &self.log {
            self.shard.replay(*producer, &record.key, record.value.as_deref()).unwrap();
        }
        let mut effects = Effects::default();
        self.shard.on_loaded(self.now(), &self.image, &mut effects);
        self.settle(&effects)
    }

    /// A commit that a transaction of Apache Kafka left in the log.
    fn pending(&mut self, rest: &str) -> String {
        let producer = ProducerId::from_wire(argument(rest, "producer").unwrap().parse().unwrap());
        let mut scratch = Self::new();
        scratch.run(&format!("commit {rest}"));
        for (_, record) in scratch.log {
            self.shard.replay(producer, &record.key, record.value.as_deref()).unwrap();
            self.log.push((producer, record));
        }
        String::new()
    }

    fn marker(&mut self, rest: &str) -> String {
        let producer = ProducerId::new(argument(rest, "producer").unwrap().parse().unwrap());
        self.shard.replay_marker(producer, rest.contains("commit"));
        String::new()
    }

    fn topic_deleted(&mut self, rest: &str) -> String {
        let id = argument(rest, "id").map_or(0, |id| id.parse().unwrap());
        let topic = TopicName::parse(rest.split(' ').next().unwrap()).unwrap();
        let deleted = vec![(topic, Uuid::from_u128(id))];
        let changes = TopicChanges { deleted, changed: Vec::new() };
        let mut effects = Effects::default();
        self.shard.on_metadata(self.now(), &self.image, &changes, &mut effects);
        self.settle(&effects)
    }

    fn request(&mut self, verb: &str, rest: &str) -> String {
        self.tickets += 1;
        let request = self.parse(verb, rest);
        let mut effects = Effects::default();
        let ticket = Ticket(self.tickets);
        self.shard.step(self.now(), &self.image, ticket, request, &mut effects);
        let parked = !effects.answers.iter().any(|(answered, _)| *answered == ticket);
        let mut said = self.settle(&effects);
        if parked {
            writeln!(said, "{} waits", ticket.0).unwrap();
        }
        said
    }

    /// What a host does: append, commit, answer.
    fn settle(&mut self, effects: &Effects) -> String {
        let mut said = String::new();
        for record in &effects.records {
            self.log.push((None, record.encode()));
            writeln!(said, "+ {}", text::of_record(record)).unwrap();
        }
        for (ticket, answer) in &effects.answers {
            writeln!(said, "{} {}", ticket.0, text::of_answer(answer)).unwrap();
        }
        text::short_ids(&said)
    }

    fn parse(&mut self, verb: &str, rest: &str) -> GroupRequest {
        let group = GroupId::new(rest.split(' ').next().unwrap().trim_matches('"'));
        let member = argument(rest, "member").and_then(|both| both.split('/').next());
        let member = member.map(|id| MemberId::new(&text::long_id(id)));
        let instance = argument(rest, "instance").map(InstanceId::new);
        let epoch = argument(rest, "gen").map(|raw| Epoch::new(raw.parse().unwrap()));
        match verb {
            "join" => GroupRequest::Join(self.parse_join(rest, group, member, instance)),
            "sync" => GroupRequest::Sync(SyncGroup {
                group,
                generation: epoch,
                member,
                instance,
                protocol_type: argument(rest, "type").map(Into::into),
                protocol_name: argument(rest, "protocol").map(Into::into),
                assignments: assignments(rest),
            }),
            "heartbeat" => {
                GroupRequest::Heartbeat(Heartbeat { group, generation: epoch, member, instance })
            }
            "leave" => GroupRequest::Leave(LeaveGroup { group, members: leavers(rest) }),
            "commit" => GroupRequest::CommitOffsets(CommitOffsets {
                group,
                epoch,
                member,
                instance,
                retention: argument(rest, "retention")
                    .map(|seconds| Duration::from_secs(seconds.parse().unwrap())),
                topics: committed(rest),
            }),
            "fetch" => GroupRequest::FetchOffsets(FetchOffsets {
                group,
                member,
                epoch,
                topics: argument(rest, "of").map(named),
                require_stable: rest.contains(" stable"),
            }),
            "delete-offsets" => GroupRequest::DeleteOffsets(DeleteOffsets {
                group,
                topics: named(argument(rest, "of").unwrap()),
            }),
            "describe" => GroupRequest::Describe(vec![group]),
            "delete" => GroupRequest::Delete(vec![group]),
            "list" => GroupRequest::List(Arc::new(ListGroups {
                states: words(rest, "states"),
                kinds: words(rest, "types"),
            })),
            other => panic!("no command `{other}`"),
        }
    }

    fn parse_join(
        &mut self,
        rest: &str,
        group: GroupId,
        member: Option<MemberId>,
        instance: Option<InstanceId>,
    ) -> JoinGroup {
        let seconds =
            |key, default| argument(rest, key).map_or(default, |value| value.parse().unwrap());
        let version: u32 = argument(rest, "v").map_or(9, |version| version.parse().unwrap());
        self.drawn += u128::from(member.is_none());
        JoinGroup {
            group,
            client: Client {
                id: argument(rest, "client").unwrap_or("a").into(),
                host: "/127.0.0.1".into(),
            },
            session_timeout: Duration::from_secs(seconds("session", 10)),
            rebalance_timeout: Duration::from_secs(seconds("rebalance", 60)),
            protocol_type: argument(rest, "type").unwrap_or("consumer").into(),
            protocols: protocols(argument(rest, "protocols").unwrap_or("range")),
            reason: None,
            takes_member_id_first: version >= 4 && instance.is_none(),
            knows_skip_assignment: version >= 9,
            drawn: Uuid::from_u128(self.drawn),
            member,
            instance,
        }
    }
}

/// `range:a+b,sticky:c`: each protocol with the topics of its subscription.
pub(crate) fn protocols(text: &str) -> Vec<Protocol> {
    let protocol = |each: &str| {
        let (name, topics) = each.split_once(':').unwrap_or((each, ""));
        let metadata = match topics {
            "?" => Bytes::from_static(b"?"),
            topics => subscription(topics),
        };
        Protocol { name: name.into(), metadata }
    };
    text.split(',').filter(|each| !each.is_empty()).map(protocol).collect()
}

/// Kafka's bytes of a subscription in version 0.
fn subscription(topics: &str) -> Bytes {
    let topics: Vec<_> = topics.split('+').filter(|topic| !topic.is_empty()).collect();
    let mut bytes = vec![0, 0];
    bytes.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.into()
}

/// `assign=a#1:x,b#2:y`.
fn assignments(rest: &str) -> Vec<MemberAssignment> {
    let assignment = |each: &str| {
        let (member, assignment) = each.split_once(':').unwrap();
        let member = MemberId::new(&text::long_id(member));
        MemberAssignment { member, assignment: assignment.to_owned().into() }
    };
    argument(rest, "assign").map(|all| all.split(',').map(assignment).collect()).unwrap_or_default()
}

/// `member=a#1/instance member=b#2 instance=c`.
fn leavers(rest: &str) -> Vec<Leaver> {
    let leaver = |word: &str| {
        let (member, instance) = match word.split_once('=')? {
            ("member", both) => match both.split_once('/') {
                Some((member, instance)) => (Some(member), Some(instance)),
                None => (Some(both), None),
            },
            ("instance", instance) => (None, Some(instance)),
            _ => return None,
        };
        let member = member.map(|id| MemberId::new(&text::long_id(id)));
        Some(Leaver { member, instance: instance.map(InstanceId::new), reason: None })
    };
    rest.split(' ').filter_map(leaver).collect()
}

/// `orders-0=5 orders-1=6@metadata orders-2=7#9`, the last with the id of its topic.
fn committed(rest: &str) -> Vec<CommitTopic> {
    let topic = |word: &str| {
        let (partition, what) = word.split_once('=')?;
        let (topic, partition) = partition.rsplit_once('-')?;
        let (what, id) = what.split_once('#').unwrap_or((what, "0"));
        let (offset, metadata) = what.split_once('@').unwrap_or((what, ""));
        let id: u128 = id.parse().unwrap();
        let partition = CommitPartition {
            partition: PartitionId::new(partition.parse().unwrap()),
            offset: Offset::from_wire(offset.parse().unwrap()),
            leader_epoch: None,
            metadata: metadata.into(),
        };
        Some(CommitTopic {
            name: TopicName::parse(topic).unwrap(),
            id: (id > 0).then(|| Uuid::from_u128(id)),
            partitions: vec![partition],
        })
    };
    rest.split(' ').skip(1).filter_map(topic).collect()
}

/// `of=orders-0,orders-1`.
fn named(text: &str) -> Vec<NamedPartitions> {
    let partition = |each: &str| {
        let (topic, partition) = each.rsplit_once('-').unwrap();
        NamedPartitions { name: topic.into(), partitions: vec![partition.parse().unwrap()] }
    };
    text.split(',').map(partition).collect()
}

fn words(rest: &str, key: &str) -> Vec<String> {
    argument(rest, key).map(|all| all.split(',').map(str::to_owned).collect()).unwrap_or_default()
}
