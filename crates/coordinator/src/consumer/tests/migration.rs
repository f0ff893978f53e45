//! From one protocol to the other and back, with members in the group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_metadata::MetadataImage;
use ottla_types::{PartitionId, TopicId, Uuid};

use super::world::{GROUP, World, client, heartbeat, joining, of_static};
use crate::answer::{
    GroupAnswer, HeartbeatError, JoinAnswer, JoinError, JoinRefused, SyncAnswer, SyncError,
};
use crate::consumer::partitions::Partitions;
use crate::consumer::protocol;
use crate::consumer::{ConsumerHeartbeat, ConsumerHeartbeatAnswer, MigrationPolicy};
use crate::group::Group;
use crate::ids::{Epoch, InstanceId, MemberId};
use crate::record::{ClassicGroupValue, GroupRecord, RecordBytes};
use crate::request::{
    GroupRequest, Heartbeat, JoinGroup, LeaveGroup, Leaver, MemberAssignment, Protocol, SyncGroup,
};
use crate::settings::GroupSettings;
use crate::shard::Ticket;

type Owned = BTreeSet<(TopicId, PartitionId)>;

/// The subscription of a classic consumer, version 1: it owns these partitions of topic `a`.
fn subscription(owned: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b'a', 0xff, 0xff, 0xff, 0xff];
    bytes.extend([0, 0, 0, 1, 0, 1, b'a']);
    bytes.extend(u32::try_from(owned.len()).unwrap().to_be_bytes());
    bytes.extend(owned.iter().flat_map(|number| number.to_be_bytes()));
    Bytes::from(bytes)
}

fn join(member: Option<&str>, instance: Option<&str>, owned: &[i32]) -> JoinGroup {
    JoinGroup {
        group: GROUP.into(),
        member: member.map(MemberId::new),
        instance: instance.map(InstanceId::new),
        client: client(),
        session_timeout: Duration::from_secs(30),
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: subscription(owned) }],
        reason: None,
        takes_member_id_first: false,
        knows_skip_assignment: false,
        drawn: Uuid::from_u128(5 << 64),
    }
}

fn numbers(owned: &Owned) -> Vec<i32> {
    owned.iter().map(|(_, partition)| partition.get()).collect()
}

/// Settings without delays.
fn settings() -> GroupSettings {
    GroupSettings {
        initial_rebalance_delay: Duration::ZERO,
        consumer_assignment_interval: Duration::ZERO,
        ..GroupSettings::default()
    }
}

/// A classic group of these members, stable, of topic `a` with four partitions; `given` is what
/// its leader gave to each.
fn classic_group(settings: GroupSettings, members: &[(Option<&str>, &[i32])]) -> Classic {
    let mut world = World::new(settings);
    let topic = world.topic("a", 4);
    let mut joins = Vec::new();
    for (at, (instance, _)) in members.iter().enumerate() {
        let mut request = join(None, *instance, &[]);
        request.drawn = Uuid::from_u128((100 + at as u128) << 64);
        assert_eq!(world.ask(GroupRequest::Join(request)), None, "it waits for the others");
        joins.push(world.ticket());
    }
    world.pass(Duration::from_millis(1));
    let mut classic = Classic { world, topic, members: BTreeMap::new() };
    let late = std::mem::take(&mut classic.world.late);
    let answers: BTreeMap<Ticket, GroupAnswer> = late.into_iter().collect();
    let joined: Vec<JoinAnswer> = joins
        .iter()
        .map(|ticket| match &answers[ticket] {
            GroupAnswer::Join(Ok(answer)) => answer.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    classic.sync_all(&joined, members);
    classic
}

struct Classic {
    world: World,
    topic: TopicId,
    /// The generation of each classic member, and what it reads.
    members: BTreeMap<String, (Epoch, Owned)>,
}

impl Classic {
    fn sync_all(&mut self, joined: &[JoinAnswer], given: &[(Option<&str>, &[i32])]) {
        let each = |(answer, (_, numbers)): (&JoinAnswer, &(Option<&str>, &[i32]))| {
            let owned = numbers.iter().map(|number| (self.topic, PartitionId::new(*number)));
            let owned: Partitions = owned.collect();
            let assignment = protocol::assignment_bytes(&owned, 1, self.world.image());
            MemberAssignment { member: answer.member.clone(), assignment }
        };
        let assignments: Vec<MemberAssignment> = joined.iter().zip(given).map(each).collect();
        for (answer, (instance, numbers)) in joined.iter().zip(given) {
            let leads = answer.leader.as_ref() == Some(&answer.member);
            let request = SyncGroup {
                group: GROUP.into(),
                generation: Some(answer.generation),
                member: Some(answer.member.clone()),
                instance: instance.map(InstanceId::new),
                protocol_type: None,
                protocol_name: None,
                assignments: if leads { assignments.clone() } else { Vec::new() },
            };
            self.world.ask(GroupRequest::Sync(request));
            let owned = numbers.iter().map(|number| (self.topic, PartitionId::new(*number)));
            let state = (answer.generation, owned.collect());
            self.members.insert(answer.member.to_string(), state);
        }
    }

    fn beat(&mut self, request: ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer, String> {
        match self.world.ask(GroupRequest::ConsumerHeartbeat(request)) {
            Some(GroupAnswer::ConsumerHeartbeat(answer)) => answer.map_err(|e| e.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn classic_beat(&mut self, member: &str) -> Result<(), HeartbeatError> {
        let request = Heartbeat {
            group: GROUP.into(),
            generation: Some(self.members[member].0),
            member: Some(member.into()),
            instance: None,
        };
        match self.world.ask(GroupRequest::Heartbeat(request)) {
            Some(GroupAnswer::Heartbeat(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn rejoin(&mut self, member: &str) -> Result<JoinAnswer, JoinRefused> {
        let owned = numbers(&self.members[member].1);
        match self.world.ask(GroupRequest::Join(join(Some(member), None, &owned))) {
            Some(GroupAnswer::Join(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member: &str, generation: Epoch) -> Result<Owned, SyncError> {
        let request = SyncGroup {
            group: GROUP.into(),
            generation: Some(generation),
            member: Some(member.into()),
            instance: None,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: Vec::new(),
        };
        match self.world.ask(GroupRequest::Sync(request)) {
            Some(GroupAnswer::Sync(answer)) => {
                answer.map(|answer| read(&answer, self.world.image()))
            }
            other => panic!("{other:?}"),
        }
    }

    /// What a classic client does until its heartbeat says nothing new.
    fn follow(&mut self, member: &str) {
        for _ in 0..10 {
            match self.classic_beat(member) {
                Ok(()) => return,
                Err(HeartbeatError::RebalanceInProgress) => {}
                Err(error) => panic!("{error}"),
            }
            let generation = self.rejoin(member).unwrap().generation;
            let owned = self.sync(member, generation).unwrap();
            self.members.insert(member.to_owned(), (generation, owned));
            self.world.check_owners();
        }
        panic!("{member} never comes to rest");
    }

    fn ids(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    fn is_classic(&self) -> bool {
        matches!(self.world.shard.groups[GROUP], Group::Classic(_))
    }
}

fn read(answer: &SyncAnswer, image: &MetadataImage) -> Owned {
    protocol::assignment(&answer.assignment, image).unwrap().iter().collect()
}

#[test]
fn a_classic_group_follows_its_first_consumer_member_and_goes_back_when_it_leaves() {
    let mut classic = classic_group(settings(), &[(None, &[0, 1]), (None, &[2, 3])]);
    let generation = classic.members.values().next().unwrap().0;
    let answer = classic.beat(joining("m1", &["a"])).unwrap();
    assert!(!classic.is_classic());
    assert_eq!(answer.assignment, Some(vec![]), "the others have everything");
    assert!(classic.world.group().epoch() > generation);
    classic.world.check_replay();
    for _ in 0..3 {
        for member in classic.ids() {
            classic.follow(&member);
        }
    }
    let told = classic.beat(heartbeat("m1", answer.epoch.to_wire())).unwrap();
    let given: usize = told.assignment.unwrap().iter().map(|(_, all)| all.len()).sum();
    let kept: usize = classic.members.values().map(|(_, owned)| owned.len()).sum();
    assert_eq!((given + kept, kept >= 2), (4, true));
    assert_eq!(classic.world.group().state().name(), "Stable");
    classic.world.check_replay();
    // The last consumer member goes: a classic group, which rebalances.
    classic.beat(heartbeat("m1", -1)).unwrap();
    assert!(classic.is_classic());
    for member in classic.ids() {
        assert_eq!(classic.classic_beat(&member), Err(HeartbeatError::RebalanceInProgress));
    }
    assert!(matches!(classic.world.replayed().groups[GROUP], Group::Classic(_)));
}

#[test]
fn members_that_wait_in_a_classic_group_are_told_to_join_again() {
    let mut classic = classic_group(settings(), &[(None, &[0, 1]), (None, &[2, 3])]);
    let first = classic.ids()[0].clone();
    let rejoining = join(Some(&first), None, &[]);
    let changed = JoinGroup {
        protocols: vec![Protocol { name: "range".into(), metadata: subscription(&[0]) }],
        ..rejoining
    };
    assert_eq!(classic.world.ask(GroupRequest::Join(changed)), None, "it waits for the other");
    let ticket = classic.world.ticket();
    classic.beat(joining("m1", &["a"])).unwrap();
    let late = classic.world.late.iter().find(|(to, _)| *to == ticket).unwrap();
    let why = JoinError::RebalanceInProgress;
    let member = Some(MemberId::new(&first));
    assert_eq!(late.1, GroupAnswer::Join(Err(JoinRefused { member, why })));
}

#[test]
fn classic_groups_that_cannot_follow_stay_what_they_are() {
    let check = |settings: GroupSettings, words: &str| {
        let mut classic = classic_group(settings, &[(None, &[0, 1])]);
        let before = classic.world.log.len();
        assert_eq!(classic.beat(joining("m1", &["a"])).unwrap_err(), words);
        assert!(classic.is_classic());
        assert_eq!(classic.world.log.len(), before, "nothing was changed");
    };
    let policy = |consumer_migration| GroupSettings { consumer_migration, ..settings() };
    let disabled =
        "Cannot upgrade classic group g to consumer group because online upgrade is disabled.";
    check(policy(MigrationPolicy::Disabled), disabled);
    check(policy(MigrationPolicy::Downgrade), disabled);
    check(
        GroupSettings { consumer_members_max: 0, ..settings() },
        "Cannot upgrade classic group g to consumer group because the group size exceeds the \
         consumer group maximum size.",
    );
    check(
        GroupSettings { consumer_members_max: 1, ..settings() },
        "The consumer group has reached its maximum capacity of 1 members.",
    );
    let mut classic = classic_group(settings(), &[(None, &[0, 1])]);
    let late = "Group g is not a consumer group.";
    assert_eq!(classic.beat(heartbeat("m1", 3)).unwrap_err(), late);
    assert_eq!(classic.beat(heartbeat("m1", -1)).unwrap_err(), late);
}

#[test]
fn an_empty_classic_group_becomes_a_consumer_group_whatever_the_policy() {
    let disabled = GroupSettings { consumer_migration: MigrationPolicy::Disabled, ..settings() };
    let mut classic = classic_group(disabled, &[(None, &[0, 1])]);
    let member = Some(MemberId::new(&classic.ids()[0]));
    let leaver = Leaver { member, instance: None, reason: None };
    classic
        .world
        .ask(GroupRequest::Leave(LeaveGroup { group: GROUP.into(), members: vec![leaver] }));
    let answer = classic.beat(joining("m1", &["a"])).unwrap();
    assert_eq!(answer.assignment.unwrap()[0].1.len(), 4);
    classic.world.check_replay();
    // And back: an empty consumer group is nobody's.
    classic.beat(heartbeat("m1", -1)).unwrap();
    classic.world.ask(GroupRequest::Join(join(None, None, &[])));
    assert!(classic.is_classic());
    assert!(matches!(classic.world.replayed().groups[GROUP], Group::Classic(_)));
}

/// A classic member and a static consumer member at rest, and then a classic process takes the
/// place of the latter, so that the group is a classic one without a rebalance.
struct Replaced {
    classic: Classic,
    /// The other member.
    first: String,
    /// What the consumer member was to have.
    target: Owned,
    epoch: Epoch,
    joined: JoinAnswer,
}

fn replaced_by_a_classic_process(knows_skip_assignment: bool) -> Replaced {
    let mut classic = classic_group(settings(), &[(None, &[0, 1, 2, 3])]);
    let answer = classic.beat(of_static("s", joining("m1", &["a"]))).unwrap();
    let first = classic.ids()[0].clone();
    for _ in 0..3 {
        classic.follow(&first);
    }
    classic.beat(of_static("s", heartbeat("m1", answer.epoch.to_wire()))).unwrap();
    assert_eq!(classic.world.group().state().name(), "Stable");
    let epoch = classic.world.group().epoch();
    let target: Owned = classic.world.group().target(&"m1".into()).unwrap().iter().collect();
    let request = JoinGroup { knows_skip_assignment, ..join(None, Some("s"), &[]) };
    let Some(GroupAnswer::Join(Ok(joined))) = classic.world.ask(GroupRequest::Join(request)) else {
        panic!("answered")
    };
    assert!(classic.is_classic());
    Replaced { classic, first, target, epoch, joined }
}

#[test]
fn a_classic_member_that_takes_the_place_of_the_last_consumer_member_brings_the_group_back() {
    for knows_skip_assignment in [false, true] {
        let Replaced { mut classic, first, target, epoch, joined } =
            replaced_by_a_classic_process(knows_skip_assignment);
        assert_eq!(joined.generation, epoch);
        // Nobody has to rebalance: it gets what its former self had.
        let request = SyncGroup {
            group: GROUP.into(),
            generation: Some(joined.generation),
            member: Some(joined.member),
            instance: Some("s".into()),
            protocol_type: None,
            protocol_name: None,
            assignments: Vec::new(),
        };
        let Some(GroupAnswer::Sync(Ok(synced))) = classic.world.ask(GroupRequest::Sync(request))
        else {
            panic!("answered")
        };
        assert_eq!(read(&synced, classic.world.image()), target);
        assert_eq!(classic.classic_beat(&first), Ok(()));
    }
}

#[test]
fn a_group_that_comes_back_without_a_rebalance_has_a_leader_that_knows() {
    let Replaced { mut classic, first, joined, .. } = replaced_by_a_classic_process(true);
    // Only a leader sees that topics have changed; this one leaves the assignment as it is.
    assert_eq!(joined.leader.as_ref(), Some(&joined.member));
    assert!(joined.skip_assignment);
    assert_eq!(joined.members.len(), 2);
    assert_eq!(stored_group(&classic.world).leader.as_ref(), Some(&joined.member));
    // What it asks for once topics have changed.
    let again = join(Some(joined.member.as_str()), Some("s"), &[]);
    assert_eq!(classic.world.ask(GroupRequest::Join(again)), None, "it waits for the other");
    assert_eq!(classic.classic_beat(&first), Err(HeartbeatError::RebalanceInProgress));
    // Whoever does not know that it may skip an assignment takes itself for a follower.
    let Replaced { classic, joined, .. } = replaced_by_a_classic_process(false);
    assert_eq!((joined.leader, joined.members), (None, Vec::new()));
    assert_eq!(stored_group(&classic.world).leader, Some(joined.member));
}

#[test]
fn a_stored_group_whose_leader_is_not_named_is_led_by_its_first_member() {
    let Replaced { mut classic, joined, .. } = replaced_by_a_classic_process(true);
    let value = ClassicGroupValue { leader: None, ..stored_group(&classic.world) };
    let leader = value.members[0].member.clone();
    let record = GroupRecord::Classic { group: GROUP.into(), value: Some(value) };
    classic.world.log.push(record.encode());
    classic.world.load();
    let instance = (leader == joined.member).then_some("s");
    let again = join(Some(leader.as_str()), instance, &[]);
    assert_eq!(classic.world.ask(GroupRequest::Join(again)), None, "it begins a rebalance");
}

/// What the log says of the classic group.
fn stored_group(world: &World) -> ClassicGroupValue {
    let decoded =
        |stored: &RecordBytes| match GroupRecord::decode(&stored.key, stored.value.as_deref())
            .unwrap()?
        {
            GroupRecord::Classic { value, .. } => value,
            _ => None,
        };
    world.log.iter().rev().find_map(decoded).expect("it is written down")
}

#[test]
fn static_members_of_a_full_classic_group_change_their_protocol() {
    let full = GroupSettings { consumer_members_max: 2, ..settings() };
    let members: [(Option<&str>, &[i32]); 2] = [(Some("r"), &[0, 1]), (Some("s"), &[2, 3])];
    let mut classic = classic_group(full, &members);
    let refused = classic.beat(of_static("t", joining("m1", &["a"]))).unwrap_err();
    assert_eq!(refused, "The consumer group has reached its maximum capacity of 2 members.");
    // It comes in its own place.
    classic.beat(of_static("s", joining("m1", &["a"]))).unwrap();
    assert_eq!(classic.world.group().members().len(), 2);
    classic.world.check_replay();
}

#[test]
fn classic_members_of_a_consumer_group_are_fenced_like_others() {
    let mut classic = classic_group(settings(), &[(None, &[0, 1]), (None, &[2, 3])]);
    let mut epoch = classic.beat(joining("m1", &["a"])).unwrap().epoch.to_wire();
    let first = classic.ids()[0].clone();
    let old = classic.members[&first].0;
    assert_eq!(classic.sync(&first, old), Err(SyncError::RebalanceInProgress));
    assert_eq!(classic.sync(&first, old.next().next()), Err(SyncError::IllegalGeneration));
    assert_eq!(classic.sync("m1", old), Err(SyncError::UnknownMember));
    assert_eq!(classic.sync("nobody", old), Err(SyncError::UnknownMember));
    let mut refused = |request: JoinGroup, why: JoinError| {
        let named = request.member.clone();
        let Some(GroupAnswer::Join(Err(refused))) = classic.world.ask(GroupRequest::Join(request))
        else {
            panic!("refused")
        };
        // Only who is to come again under a new name is given one.
        assert!(why == JoinError::MemberIdRequired || refused.member == named, "{why:?}");
        assert_eq!(refused.why, why);
    };
    let alien = JoinGroup { protocol_type: "connect".into(), ..join(None, None, &[]) };
    refused(alien, JoinError::InconsistentGroupProtocol);
    let other = vec![Protocol { name: "other".into(), metadata: subscription(&[]) }];
    refused(
        JoinGroup { protocols: other, ..join(None, None, &[]) },
        JoinError::InconsistentGroupProtocol,
    );
    let odd = vec![Protocol { name: "range".into(), metadata: Bytes::from_static(b"?") }];
    refused(
        JoinGroup { protocols: odd, ..join(None, None, &[]) },
        JoinError::InconsistentGroupProtocol,
    );
    let first_time = JoinGroup { takes_member_id_first: true, ..join(None, None, &[]) };
    refused(first_time, JoinError::MemberIdRequired);
    refused(join(Some("x"), Some("nobody"), &[]), JoinError::UnknownMember);
    // It was told to join again and does not: it is out, though its heartbeats come.
    for _ in 0..5 {
        classic.world.pass(Duration::from_secs(11));
        epoch = classic.beat(heartbeat("m1", epoch)).unwrap().epoch.to_wire();
        assert_eq!(classic.classic_beat(&first), Err(HeartbeatError::RebalanceInProgress));
    }
    classic.world.pass(Duration::from_secs(11));
    assert_eq!(classic.classic_beat(&first), Err(HeartbeatError::UnknownMember));
}

#[test]
fn a_consumer_group_does_not_follow_one_of_another_kind_unasked() {
    let mut world = World::new(settings());
    // Record type 17, a streams group's epoch, which Apache wrote.
    let key = [&[0, 17, 0, 1], GROUP.as_bytes()].concat();
    world.log.push(RecordBytes { key, value: Some(vec![0, 0]) });
    world.load();
    let mut classic = Classic { topic: world.topic("a", 4), world, members: BTreeMap::new() };
    classic.beat(joining("m1", &["a"])).unwrap();
    let first = &classic.world.log[1];
    let first = GroupRecord::decode(&first.key, first.value.as_deref()).unwrap();
    assert_eq!(first, Some(GroupRecord::Classic { group: GROUP.into(), value: None }));
    classic.world.check_replay();
}

#[test]
fn a_classic_process_takes_the_place_of_a_static_member_in_a_state_that_we_do_not_know() {
    let mut classic = classic_group(settings(), &[(None, &[0, 1, 2, 3])]);
    let epoch = classic.beat(of_static("s", joining("m1", &["a"]))).unwrap().epoch.to_wire();
    let mut value = classic.world.group().member(&"m1".into()).unwrap().has.to_record();
    value.state = 9;
    let (group, member) = (GROUP.into(), "m1".into());
    let record = GroupRecord::ConsumerCurrent { group, member, value: Some(value) };
    classic.world.log.push(record.encode());
    classic.world.load();
    let words = classic.beat(of_static("s", heartbeat("m1", epoch))).unwrap_err();
    assert!(words.starts_with("The consumer group member is in a unknown state."), "{words}");
    let answer = classic.world.ask(GroupRequest::Join(join(None, Some("s"), &[0])));
    assert!(matches!(answer, Some(GroupAnswer::Join(Ok(_)))), "{answer:?}");
}
