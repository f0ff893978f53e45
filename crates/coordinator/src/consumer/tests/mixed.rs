//! Random histories of a group whose members speak both protocols, so that it becomes one of the
//! other kind again and again. Classic members are cooperative: they read on while they join.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_metadata::MetadataImage;
use ottla_types::PartitionId;

use super::random::{Consumer, Random, Set, Subscription};
use super::world::{GROUP, World, client, heartbeat};
use crate::answer::{GroupAnswer, HeartbeatError, JoinAnswer, JoinError, SyncError};
use crate::consumer::partitions::Partitions;
use crate::consumer::protocol;
use crate::group::Group;
use crate::ids::{Epoch, MemberId};
use crate::request::{
    GroupRequest, Heartbeat, JoinGroup, LeaveGroup, Leaver, MemberAssignment, Protocol, SyncGroup,
};
use crate::settings::GroupSettings;
use crate::shard::Ticket;

const TOPIC: &str = "a";

/// Where a classic client is.
#[derive(Debug)]
enum Phase {
    Out,
    Joining(Ticket),
    Syncing(Ticket, Epoch),
    In(Epoch),
}

struct Classic {
    member: Option<MemberId>,
    phase: Phase,
    reads: Set,
}

impl Classic {
    const fn new() -> Self {
        Self { member: None, phase: Phase::Out, reads: Set::new() }
    }

    /// The next thing that the client does.
    fn step(&mut self, world: &mut World) {
        match &self.phase {
            Phase::Out => self.join(world),
            Phase::Joining(ticket) => {
                if let Some(answer) = taken(world, *ticket) {
                    self.joined(world, answer);
                }
            }
            Phase::Syncing(ticket, generation) => {
                let generation = *generation;
                if let Some(answer) = taken(world, *ticket) {
                    self.synced(world, answer, generation);
                }
            }
            Phase::In(generation) => self.beat(world, *generation),
        }
    }

    fn join(&mut self, world: &mut World) {
        let drawn = world.draw();
        let request = JoinGroup {
            group: GROUP.into(),
            member: self.member.clone(),
            instance: None,
            client: client(),
            session_timeout: Duration::from_secs(30),
            rebalance_timeout: Duration::from_secs(40),
            protocol_type: "consumer".into(),
            protocols: vec![Protocol { name: "own".into(), metadata: self.subscription() }],
            reason: None,
            takes_member_id_first: true,
            knows_skip_assignment: true,
            drawn,
        };
        let answer = world.ask(GroupRequest::Join(request));
        self.phase = Phase::Joining(world.ticket());
        if let Some(answer) = answer {
            drop(taken(world, world.ticket()));
            self.joined(world, answer);
        }
    }

    fn subscription(&self) -> Bytes {
        let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];
        bytes.extend([0, 0, 0, 1, 0, 1, b'a']);
        bytes.extend(u32::try_from(self.reads.len()).unwrap().to_be_bytes());
        bytes.extend(self.reads.iter().flat_map(|(_, number)| number.get().to_be_bytes()));
        Bytes::from(bytes)
    }

    fn joined(&mut self, world: &mut World, answer: GroupAnswer) {
        let GroupAnswer::Join(answer) = answer else { panic!("{answer:?}") };
        match answer {
            Ok(joined) => {
                self.member = Some(joined.member.clone());
                self.sync(world, &joined);
            }
            Err(refused) => {
                self.phase = Phase::Out;
                match refused.why {
                    JoinError::MemberIdRequired => self.member = refused.member,
                    JoinError::RebalanceInProgress => {}
                    JoinError::UnknownMember => self.lose(),
                    other => panic!("{other}"),
                }
            }
        }
    }

    /// It is not what it was any more.
    fn lose(&mut self) {
        *self = Self::new();
    }

    fn sync(&mut self, world: &mut World, joined: &JoinAnswer) {
        let leads = joined.leader == self.member && !joined.skip_assignment;
        let request = SyncGroup {
            group: GROUP.into(),
            generation: Some(joined.generation),
            member: self.member.clone(),
            instance: None,
            protocol_type: None,
            protocol_name: None,
            assignments: if leads { assign(joined, world.image()) } else { Vec::new() },
        };
        let answer = world.ask(GroupRequest::Sync(request));
        self.phase = Phase::Syncing(world.ticket(), joined.generation);
        if let Some(answer) = answer {
            drop(taken(world, world.ticket()));
            self.synced(world, answer, joined.generation);
        }
    }

    fn synced(&mut self, world: &World, answer: GroupAnswer, generation: Epoch) {
        let GroupAnswer::Sync(answer) = answer else { panic!("{answer:?}") };
        self.phase = Phase::Out;
        match answer {
            Ok(synced) => {
                let given = protocol::assignment(&synced.assignment, world.image()).unwrap();
                let given: Set = given.iter().collect();
                // Whoever gives something up joins again, so that others can have it.
                if self.reads.is_subset(&given) {
                    self.phase = Phase::In(generation);
                }
                self.reads = given;
            }
            Err(SyncError::RebalanceInProgress) => {}
            Err(SyncError::IllegalGeneration) => self.reads.clear(),
            Err(SyncError::UnknownMember) => self.lose(),
            Err(other) => panic!("{other}"),
        }
    }

    fn beat(&mut self, world: &mut World, generation: Epoch) {
        let request = Heartbeat {
            group: GROUP.into(),
            generation: Some(generation),
            member: self.member.clone(),
            instance: None,
        };
        let Some(GroupAnswer::Heartbeat(answer)) = world.ask(GroupRequest::Heartbeat(request))
        else {
            panic!("answered")
        };
        match answer {
            Ok(()) => {}
            Err(HeartbeatError::RebalanceInProgress) => self.phase = Phase::Out,
            Err(HeartbeatError::IllegalGeneration) => {
                self.reads.clear();
                self.phase = Phase::Out;
            }
            Err(HeartbeatError::UnknownMember) => self.lose(),
            Err(other) => panic!("{other}"),
        }
    }

    fn leave(&mut self, world: &mut World) {
        let leaver = Leaver { member: self.member.clone(), instance: None, reason: None };
        world.ask(GroupRequest::Leave(LeaveGroup { group: GROUP.into(), members: vec![leaver] }));
        self.lose();
    }
}

fn taken(world: &mut World, ticket: Ticket) -> Option<GroupAnswer> {
    let at = world.late.iter().position(|(to, _)| *to == ticket)?;
    Some(world.late.remove(at).1)
}

/// A cooperative leader: what somebody still has, nobody else gets in this generation.
fn assign(joined: &JoinAnswer, image: &MetadataImage) -> Vec<MemberAssignment> {
    let topic = image.topic(TOPIC).unwrap();
    let mut owners = BTreeMap::new();
    for member in &joined.members {
        let owned = protocol::subscription(&member.metadata, image).unwrap().owned;
        owners.extend(owned.iter().map(|partition| (partition, &member.member)));
    }
    let mut given: BTreeMap<&MemberId, Partitions> =
        joined.members.iter().map(|member| (&member.member, Partitions::default())).collect();
    let members: Vec<&MemberId> = given.keys().copied().collect();
    for (at, (number, _)) in topic.numbered().enumerate() {
        let to = members[at % members.len()];
        if owners.get(&(topic.id, number)).is_none_or(|owner| *owner == to) {
            given.get_mut(to).unwrap().insert(topic.id, number);
        }
    }
    let bytes = |(member, given): (&MemberId, Partitions)| MemberAssignment {
        member: member.clone(),
        assignment: protocol::assignment_bytes(&given, 1, image),
    };
    given.into_iter().map(bytes).collect()
}

struct History {
    world: World,
    random: Random,
    consumers: Vec<Consumer>,
    classics: Vec<Classic>,
    /// How often the group has become one of the other kind.
    turns: usize,
    was_classic: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let settings = GroupSettings {
            initial_rebalance_delay: Duration::ZERO,
            consumer_assignment_interval: Duration::from_secs(random.below(2)),
            ..GroupSettings::default()
        };
        let mut world = World::new(settings);
        world.topic(TOPIC, 5);
        let consumer = |number| {
            let mut consumer = Consumer::new(number, &mut random);
            consumer.subscription = Subscription::Topics(vec![TOPIC]);
            consumer
        };
        let consumers = (0..2).map(consumer).collect();
        let classics = (0..3).map(|_| Classic::new()).collect();
        Self { world, random, consumers, classics, turns: 0, was_classic: true }
    }

    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn one_event(&mut self) {
        let (consumer, classic) = (self.pick(2), self.pick(3));
        match self.random.below(60) {
            0..14 => self.consumers[consumer].beat(&mut self.world, true),
            14..19 => self.consumers[consumer].obey(),
            19 | 20 => self.consumers_leave(consumer),
            21 => self.consumers[consumer].beat(&mut self.world, false),
            22..48 => self.classics[classic].step(&mut self.world),
            48 => self.classics[classic].leave(&mut self.world),
            49 if self.random.below(3) == 0 => self.classics[classic].lose(),
            50 if self.random.below(3) == 0 => self.consumers[consumer].stop(),
            52 if self.random.below(4) == 0 => self.restart(),
            51 if self.random.below(4) == 0 => self.world.pass(Duration::from_secs(35)),
            _ => {
                let millis = self.random.below(1_500);
                self.world.pass(Duration::from_millis(millis));
            }
        }
    }

    fn consumers_leave(&mut self, at: usize) {
        let request = heartbeat(&self.consumers[at].id(), -1);
        self.world.ask(GroupRequest::ConsumerHeartbeat(request));
        self.consumers[at].stop();
        self.consumers[at].incarnation += 1;
    }

    /// The node starts anew: nobody is told what it waited for, and asks again.
    fn restart(&mut self) {
        self.world.load();
        self.world.late.clear();
        for classic in &mut self.classics {
            match classic.phase {
                Phase::Joining(_) | Phase::Syncing(..) => classic.phase = Phase::Out,
                Phase::Out | Phase::In(_) => {}
            }
        }
    }

    fn is_member(&self, id: &MemberId) -> bool {
        match self.world.shard.groups.get(GROUP) {
            Some(Group::Classic(group)) => group.members().contains(id),
            Some(Group::Consumer(group)) => group.member(id).is_some(),
            None => false,
        }
    }

    fn check(&mut self) {
        self.world.check_owners();
        let is_classic = matches!(self.world.shard.groups.get(GROUP), Some(Group::Classic(_)));
        self.turns += usize::from(is_classic != self.was_classic);
        self.was_classic = is_classic;
        let mut readers: BTreeMap<_, String> = BTreeMap::new();
        let consumers = self.consumers.iter().map(|c| (MemberId::new(&c.id()), &c.reads));
        let classics = self.classics.iter().filter_map(|c| Some((c.member.clone()?, &c.reads)));
        for (id, reads) in consumers.chain(classics).filter(|(id, _)| self.is_member(id)) {
            for partition in reads {
                let other = readers.insert(*partition, id.to_string());
                assert_eq!(other, None, "{partition:?} is read by {id} too");
            }
        }
    }

    fn round(&mut self, consumers: usize) {
        for at in 0..consumers {
            self.consumers[at].beat(&mut self.world, true);
            self.consumers[at].obey();
            self.check();
        }
        for at in 0..self.classics.len() {
            self.classics[at].step(&mut self.world);
            self.check();
        }
        self.world.pass(Duration::from_secs(3));
    }

    /// Whoever is left, with so many consumer members, reads everything in the end.
    fn settle(&mut self, consumers: usize) {
        for at in consumers..self.consumers.len() {
            self.consumers_leave(at);
        }
        for _ in 0..60 {
            self.round(consumers);
        }
        let of_consumers = self.consumers[..consumers].iter().flat_map(|c| &c.reads);
        let all: BTreeSet<_> =
            of_consumers.chain(self.classics.iter().flat_map(|c| &c.reads)).collect();
        let numbers: Vec<PartitionId> = all.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers.len(), 5, "with {consumers} consumers: {numbers:?}");
        assert_eq!(self.was_classic, consumers == 0);
    }
}

#[test]
fn each_partition_has_one_reader_while_the_group_changes_its_protocol() {
    let mut turns = 0;
    for seed in 0..40 {
        let run = std::panic::catch_unwind(|| {
            let mut history = History::new(seed);
            for event in 0..300 {
                history.one_event();
                history.check();
                if event % 50 == 0 {
                    history.world.check_replay();
                }
            }
            history.settle(2);
            history.settle(0);
            history.settle(1);
            history.turns
        });
        turns += run.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(turns > 120, "{turns} turns");
}
