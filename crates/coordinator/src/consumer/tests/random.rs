//! Random histories of a group: members come, go, die, lose answers, change their minds; topics
//! come, grow and go; the node restarts. At every event each partition has one owner, for the
//! coordinator and for the clients that it knows; and when all is quiet, everybody gets its share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_types::{PartitionId, TopicId};

use super::world::{World, heartbeat, joining, of_static};
use crate::answer::GroupAnswer;
use crate::consumer::group::ConsumerGroupState;
use crate::consumer::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, ConsumerHeartbeatError, MemberEpoch,
};
use crate::request::GroupRequest;
use crate::settings::GroupSettings;

pub(super) type Set = BTreeSet<(TopicId, PartitionId)>;

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }
}

/// A consumer as Kafka's is: it gives up first, and says what it has once it has done so.
pub(super) struct Consumer {
    pub(super) name: String,
    pub(super) incarnation: u32,
    instance: Option<String>,
    /// `None` while it is not running.
    pub(super) epoch: Option<i32>,
    pub(super) subscription: Subscription,
    /// What it reads.
    pub(super) reads: Set,
    /// What it was told.
    told: Set,
    /// It has done what it was told and has yet to say so.
    says: bool,
    /// It heard no answer, so it says everything again.
    repeats: bool,
    /// It does so only after its connection has ended, as librdkafka, and not after every answer
    /// that it has not heard, as Kafka's own client.
    goes_on: bool,
}

#[derive(Clone, PartialEq)]
pub(super) enum Subscription {
    Topics(Vec<&'static str>),
    Regex(&'static str),
}

impl Consumer {
    pub(super) fn new(number: usize, random: &mut Random) -> Self {
        Self {
            name: format!("m{number}"),
            incarnation: 0,
            instance: (random.below(3) == 0).then(|| format!("s{number}")),
            epoch: None,
            subscription: Subscription::draw(random),
            reads: Set::new(),
            told: Set::new(),
            says: false,
            repeats: false,
            goes_on: random.below(2) == 0,
        }
    }

    pub(super) fn id(&self) -> String {
        format!("{}-{}", self.name, self.incarnation)
    }

    pub(super) fn request(&self) -> ConsumerHeartbeat {
        let epoch = self.epoch.unwrap_or(0);
        let mut request = heartbeat(&self.id(), epoch);
        if epoch == 0 {
            request = self.subscription.put_into(joining(&self.id(), &[]));
        } else if self.repeats {
            request = self.subscription.put_into(request);
            request.rebalance_timeout = Some(Duration::from_secs(60));
            request.owned =
                Some(self.reads.iter().map(|(topic, of)| (*topic, Some(*of))).collect());
        } else if self.says {
            request.owned =
                Some(self.reads.iter().map(|(topic, of)| (*topic, Some(*of))).collect());
        }
        match &self.instance {
            Some(instance) => of_static(instance, request),
            None => request,
        }
    }

    pub(super) fn stop(&mut self) {
        self.epoch = None;
        self.reads.clear();
        self.told.clear();
        self.says = false;
        self.repeats = false;
    }

    fn hear(&mut self, answer: &ConsumerHeartbeatAnswer) {
        self.epoch = Some(answer.epoch.to_wire());
        self.says = false;
        self.repeats = false;
        if let Some(assignment) = &answer.assignment {
            let each = |(topic, all): &(TopicId, Vec<PartitionId>)| {
                let topic = *topic;
                all.iter().map(move |number| (topic, *number)).collect::<Vec<_>>()
            };
            self.told = assignment.iter().flat_map(each).collect();
        }
    }

    /// A heartbeat, whose answer it may not hear.
    pub(super) fn beat(&mut self, world: &mut World, hears: bool) {
        let answer = world.ask(GroupRequest::ConsumerHeartbeat(self.request()));
        let Some(GroupAnswer::ConsumerHeartbeat(answer)) = answer else { panic!("answered") };
        match answer {
            // It asks again as it was, and perhaps says all it has.
            Ok(_) if !hears => self.repeats = !self.goes_on,
            Ok(answer) => self.hear(&answer),
            Err(
                ConsumerHeartbeatError::EpochTooLarge { .. }
                | ConsumerHeartbeatError::EpochTooSmall { .. }
                | ConsumerHeartbeatError::UnknownMember { .. }
                | ConsumerHeartbeatError::UnknownInstance(_)
                | ConsumerHeartbeatError::GroupNotFound(_)
                | ConsumerHeartbeatError::FencedInstance { .. },
            ) => {
                self.stop();
                self.epoch = Some(0);
            }
            // Its former self has not left: it has to wait for the end of that session.
            Err(ConsumerHeartbeatError::UnreleasedInstance { .. }) => self.stop(),
            Err(error) => panic!("{error}"),
        }
    }

    /// Gives up what it has to and takes what it got.
    ///
    /// While it does not know what became of its last heartbeat it takes nothing: what it did not
    /// say it had, the coordinator may have given to somebody else, as the protocol has it.
    pub(super) fn obey(&mut self) {
        if self.reads != self.told && !self.repeats {
            self.reads = self.told.clone();
            self.says = true;
        }
    }
}

impl Subscription {
    fn draw(random: &mut Random) -> Self {
        match random.below(5) {
            0 => Self::Topics(vec!["a"]),
            1 => Self::Topics(vec!["a", "b"]),
            2 => Self::Regex("[ab]"),
            3 => Self::Regex(".*"),
            _ => Self::Topics(vec!["a", "b", "c"]),
        }
    }

    fn put_into(&self, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
        match self {
            Self::Topics(names) => ConsumerHeartbeat {
                topics: Some(names.iter().map(|name| Arc::from(*name)).collect()),
                regex: Some("".into()),
                ..request
            },
            Self::Regex(regex) => ConsumerHeartbeat {
                topics: Some(Vec::new()),
                regex: Some((*regex).into()),
                ..request
            },
        }
    }
}

struct History {
    world: World,
    random: Random,
    consumers: Vec<Consumer>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let settings = GroupSettings {
            consumer_assignment_interval: Duration::from_secs(random.below(3)),
            ..GroupSettings::default()
        };
        let mut world = World::new(settings);
        world.topic("a", 4);
        world.topic("b", 3);
        let count = 2 + usize::try_from(random.below(4)).unwrap();
        let consumers = (0..count).map(|number| Consumer::new(number, &mut random)).collect();
        Self { world, random, consumers }
    }

    fn beat(&mut self, at: usize, hears: bool) {
        self.consumers[at].beat(&mut self.world, hears);
    }

    fn leave(&mut self, at: usize, epoch: i32) {
        let request = heartbeat(&self.consumers[at].id(), epoch);
        let request = match &self.consumers[at].instance {
            Some(instance) => of_static(instance, request),
            None => request,
        };
        self.world.ask(GroupRequest::ConsumerHeartbeat(request));
        self.consumers[at].stop();
        self.consumers[at].incarnation += 1;
    }

    fn one_event(&mut self) {
        let at = usize::try_from(self.random.below(self.consumers.len() as u64)).unwrap();
        let runs = self.consumers[at].epoch.is_some_and(|epoch| epoch > 0);
        match self.random.below(40) {
            0..18 => self.beat(at, true),
            18..20 => self.beat(at, false),
            20..27 => self.consumers[at].obey(),
            27 if runs => self.leave(at, -1),
            28 if runs && self.consumers[at].instance.is_some() => self.leave(at, -2),
            29 if self.random.below(4) == 0 => {
                // It dies without a word.
                self.consumers[at].stop();
                self.consumers[at].incarnation += 1;
            }
            30 if runs => {
                let subscription = Subscription::draw(&mut self.random);
                let consumer = &mut self.consumers[at];
                consumer.subscription = subscription;
                let request = consumer.subscription.put_into(consumer.request());
                let answer = self.world.ask(GroupRequest::ConsumerHeartbeat(request));
                if let Some(GroupAnswer::ConsumerHeartbeat(Ok(answer))) = answer {
                    self.consumers[at].hear(&answer);
                }
            }
            31 => self.topics(),
            32 if self.random.below(3) == 0 => self.restart(),
            33 if self.random.below(8) == 0 => self.world.pass(Duration::from_secs(50)),
            _ => {
                let millis = self.random.below(3_000);
                self.world.pass(Duration::from_millis(millis));
            }
        }
    }

    fn restart(&mut self) {
        self.world.load();
        for consumer in &mut self.consumers {
            consumer.repeats |= consumer.goes_on;
        }
    }

    fn topics(&mut self) {
        let name = self.random.one_of(&["a", "b", "c", "d"]);
        let known = self.world.image().topic(name).map_or(0, |topic| topic.partitions.len());
        if known > 0 && self.random.below(3) == 0 {
            self.world.delete_topic(name);
        } else if known < 12 {
            self.world.topic(name, i32::try_from(known).unwrap() + 2);
        }
    }

    fn check(&self) {
        self.world.check_owners();
        // What clients believe that the coordinator would not refuse.
        let mut readers = BTreeMap::new();
        let Some(group) = self.world.shard.consumer_group(&"g".into()) else { return };
        for consumer in &self.consumers {
            if group.member(&consumer.id().as_str().into()).is_none() {
                continue;
            }
            for partition in &consumer.reads {
                let other = readers.insert(*partition, &consumer.name);
                assert_eq!(other, None, "{partition:?} is read by {} too", consumer.name);
            }
        }
    }

    /// Nothing changes any more, and everybody comes every five seconds. Answers are lost for a
    /// while.
    fn settle(&mut self) {
        for round in 0..40 {
            for at in 0..self.consumers.len() {
                let hears = round >= 25 || self.random.below(3) > 0;
                self.beat(at, hears);
                self.consumers[at].obey();
                self.check();
            }
            self.world.pass(Duration::from_secs(5));
        }
        let group = self.world.group();
        assert_eq!(group.state(), ConsumerGroupState::Stable);
        let mut all: BTreeMap<_, &str> = BTreeMap::new();
        for consumer in &self.consumers {
            let id = consumer.id().as_str().into();
            let target: Set = group.target(&id).unwrap().iter().collect();
            assert_eq!(consumer.reads, target, "{}", consumer.name);
            all.extend(target.into_iter().map(|partition| (partition, consumer.name.as_str())));
        }
        let subscribed = |name: &str| group.subscribes_to(name);
        let wanted = self.world.image().topics().filter(|topic| subscribed(topic.name.as_str()));
        let wanted: usize = wanted.map(|topic| topic.partitions.len()).sum();
        assert_eq!(all.len(), wanted, "every partition has a reader");
    }
}

#[test]
fn each_partition_has_one_owner_at_every_event_and_quiet_groups_settle() {
    for seed in 0..40 {
        let run = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for event in 0..300 {
                history.one_event();
                history.check();
                if event % 25 == 0 {
                    history.world.check_replay();
                }
            }
            history.settle();
            history.world.check_replay();
        });
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn epochs_are_told_as_kafka_numbers_them() {
    for (raw, epoch) in [
        (0, Some(MemberEpoch::Joining)),
        (-1, Some(MemberEpoch::Leaving)),
        (-2, Some(MemberEpoch::LeavingForRestart)),
        (-3, None),
        (i32::MIN, None),
    ] {
        assert_eq!(MemberEpoch::from_wire(raw), epoch);
        assert_eq!(epoch.map_or(raw, MemberEpoch::to_wire), raw);
    }
    assert_eq!(MemberEpoch::from_wire(7).unwrap().to_wire(), 7);
}
