//! One thing at a time.

use std::time::Duration;

use ottla_metadata::{ConfigResource, Record};
use ottla_types::{Offset, PartitionId, TopicId, TopicName, Uuid};

use super::world::{World, heartbeat, joining, of_static};
use crate::answer::{CommitError, FetchOffsetsError, GroupAnswer};
use crate::consumer::partitions::Partitions;
use crate::consumer::topic_hash::hash_of_topics;
use crate::consumer::{
    Assignor, ConsumerHeartbeat, ConsumerHeartbeatAnswer, ConsumerHeartbeatError, MemberEpoch,
};
use crate::ids::{Epoch, MemberId};
use crate::request::{CommitOffsets, CommitPartition, CommitTopic, FetchOffsets, GroupRequest};
use crate::settings::GroupSettings;
use crate::shard::TopicChanges;

const SECOND: Duration = Duration::from_secs(1);

impl World {
    fn beat(
        &mut self,
        request: ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatAnswer, ConsumerHeartbeatError> {
        match self.ask(GroupRequest::ConsumerHeartbeat(request)) {
            Some(GroupAnswer::ConsumerHeartbeat(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// `epoch: partitions`, the latter by letter of the topic's name, or the error.
    fn told(&mut self, request: ConsumerHeartbeat) -> String {
        match self.beat(request) {
            Ok(answer) => self.text(&answer),
            Err(error) => error.to_string(),
        }
    }

    fn text(&self, answer: &ConsumerHeartbeatAnswer) -> String {
        let name = |id: TopicId| {
            self.image().topic_by_id(id).map_or_else(|| "?".to_owned(), |t| t.name.to_string())
        };
        let assignment = answer.assignment.as_ref().map_or_else(
            || " same".to_owned(),
            |topics| {
                let one = |(id, all): &(TopicId, Vec<PartitionId>)| {
                    all.iter().map(|number| format!(" {}{number}", name(*id))).collect::<String>()
                };
                topics.iter().map(one).collect()
            },
        );
        format!("{}:{assignment}", answer.epoch.to_wire())
    }
}

fn owning(request: ConsumerHeartbeat, topic: TopicId, numbers: &[i32]) -> ConsumerHeartbeat {
    let owned = numbers.iter().map(|number| (topic, Some(PartitionId::new(*number)))).collect();
    ConsumerHeartbeat { owned: Some(owned), ..request }
}

fn world() -> (World, TopicId) {
    let settings =
        GroupSettings { consumer_assignment_interval: Duration::ZERO, ..GroupSettings::default() };
    let mut world = World::new(settings);
    let topic = world.topic("a", 4);
    (world, topic)
}

#[test]
fn a_second_member_gets_its_half_once_the_first_has_given_it_up() {
    let (mut world, a) = world();
    assert_eq!(world.told(joining("m1", &["a"])), "2: a0 a1 a2 a3");
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3])), "2: same");
    assert_eq!(world.told(joining("m2", &["a"])), "3:");
    assert_eq!(world.told(heartbeat("m1", 2)), "2: a0 a1");
    assert_eq!(world.told(heartbeat("m2", 3)), "3: same");
    // It has not yet, or has not heard of it: it is told until it has.
    assert_eq!(world.told(heartbeat("m1", 2)), "2: a0 a1");
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3])), "2: a0 a1");
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1])), "3: same");
    assert_eq!(world.told(heartbeat("m2", 3)), "3: a2 a3");
    assert_eq!(world.group().state().name(), "Stable");
    // One leaves, and what it had is free at once.
    assert_eq!(world.told(heartbeat("m2", -1)), "-1: same");
    assert_eq!(world.told(heartbeat("m1", 3)), "4: a0 a1 a2 a3");
    world.check_replay();
}

#[test]
fn requests_that_make_no_sense_are_refused_in_kafkas_words() {
    let (mut world, a) = world();
    let mut check = |request, words: &str| assert_eq!(world.told(request), words);
    check(joining(" ", &[]), "MemberId can't be empty.");
    let named = |request| ConsumerHeartbeat { names_itself: false, ..request };
    check(named(heartbeat("", 3)), "MemberId can't be empty.");
    check(ConsumerHeartbeat { group: "".into(), ..joining("m", &[]) }, "GroupId can't be empty.");
    check(of_static(" ", joining("m", &[])), "InstanceId can't be empty.");
    let rack = Some("".into());
    check(ConsumerHeartbeat { rack, ..joining("m", &[]) }, "RackId can't be empty.");
    let late = ConsumerHeartbeat { rebalance_timeout: None, ..joining("m", &[]) };
    check(late, "RebalanceTimeoutMs must be provided in first request.");
    let owns = "TopicPartitions must be empty when (re-)joining.";
    check(owning(joining("m", &[]), a, &[0]), owns);
    check(ConsumerHeartbeat { owned: None, ..joining("m", &[]) }, owns);
    check(ConsumerHeartbeat { owned: Some(vec![(a, None)]), ..joining("m", &[]) }, owns);
    let mute = ConsumerHeartbeat { topics: None, ..joining("m", &[]) };
    check(
        mute,
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
    );
    check(heartbeat("m", -2), "InstanceId can't be null.");
    check(heartbeat("m", -3), "MemberEpoch is invalid.");
    let odd = ConsumerHeartbeat { assignor: Some("odd".into()), ..joining("m", &[]) };
    check(odd, "ServerAssignor odd is not supported. Supported assignors: uniform, range.");
    let regex = ConsumerHeartbeat { regex: Some("(".into()), ..joining("m", &[]) };
    check(regex, "SubscribedTopicRegex `(` is not a valid regular expression: unclosed group.");
    let names = vec!["a".repeat(200).into(); 6_000];
    let long = ConsumerHeartbeat { topics: Some(names), ..joining("m", &[]) };
    check(long, "The member says more than 1048576 bytes.");
    check(heartbeat("m", 4), "Consumer group g not found.");
    check(heartbeat("m", -1), "Consumer group g not found.");
    assert!(world.log.is_empty(), "nothing was changed");
}

#[test]
fn members_with_another_epoch_are_fenced_unless_an_answer_was_lost() {
    let (mut world, a) = world();
    world.told(joining("m1", &["a"]));
    world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3]));
    assert_eq!(
        world.told(heartbeat("m1", 9)),
        "The consumer group member has a greater member epoch (9) than the one known by the group \
         coordinator (2). The member must abandon all its partitions and rejoin."
    );
    assert_eq!(world.told(heartbeat("m9", 2)), "Member m9 is not a member of group g.");
    world.told(joining("m2", &["a"]));
    world.told(heartbeat("m2", -1));
    // The answer with the new epoch is lost; the member still comes with the one before.
    assert_eq!(world.told(heartbeat("m1", 2)), "4: same");
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3])), "4: a0 a1 a2 a3");
    assert_eq!(
        world.told(heartbeat("m1", 2)),
        "The consumer group member has a smaller member epoch (2) than the one known by the group \
         coordinator (4). The member must abandon all its partitions and rejoin."
    );
    // It comes back with nothing, and is told everything.
    assert_eq!(world.told(joining("m1", &["a"])), "4: a0 a1 a2 a3");
}

#[test]
fn a_member_is_told_what_it_has_until_it_says_that_it_has_it() {
    let (mut world, a) = world();
    // Nothing is what it has: there is nothing to say.
    assert_eq!(world.told(joining("m1", &["b"])), "2:");
    assert_eq!(world.told(heartbeat("m1", 2)), "2: same");
    assert_eq!(world.told(joining("m2", &["a"])), "3: a0 a1 a2 a3");
    assert_eq!(world.told(heartbeat("m2", 3)), "3: a0 a1 a2 a3");
    assert_eq!(world.told(owning(heartbeat("m2", 3), a, &[0, 1])), "3: a0 a1 a2 a3");
    assert_eq!(world.told(owning(heartbeat("m2", 3), a, &[0, 1, 2, 3])), "3: same");
    assert_eq!(world.told(heartbeat("m2", 3)), "3: same");
    // What another gives up is given within the epoch, and told again as well.
    assert_eq!(world.told(joining("m3", &["a"])), "4:");
    assert_eq!(world.told(heartbeat("m2", 3)), "3: a0 a1");
    assert_eq!(world.told(owning(heartbeat("m2", 3), a, &[0, 1])), "4: same");
    assert_eq!(world.told(heartbeat("m3", 4)), "4: a2 a3");
    assert_eq!(world.told(heartbeat("m3", 4)), "4: a2 a3");
    assert_eq!(world.told(owning(heartbeat("m3", 4), a, &[2, 3])), "4: same");
    assert_eq!(world.told(heartbeat("m3", 4)), "4: same");
    // Whoever loads the group asks nobody who had all: a connection that ends is reason enough to
    // say everything.
    world.load();
    assert_eq!(world.told(heartbeat("m3", 4)), "4: same");
    world.check_replay();
}

#[test]
fn a_silent_member_is_out_after_its_session_and_a_slow_one_after_its_rebalance_timeout() {
    let (mut world, a) = world();
    world.told(joining("m1", &["a"]));
    world.pass(SECOND * 40);
    let quick = Some(SECOND * 20);
    assert_eq!(
        world.told(ConsumerHeartbeat { rebalance_timeout: quick, ..joining("m2", &["a"]) }),
        "3:"
    );
    // m1 was silent for 45 seconds.
    world.pass(SECOND * 5);
    assert_eq!(world.told(heartbeat("m2", 3)), "4: a0 a1 a2 a3");
    world.told(joining("m3", &["a"]));
    assert_eq!(world.told(heartbeat("m2", 4)), "4: a0 a1");
    world.pass(SECOND * 19);
    assert_eq!(world.told(owning(heartbeat("m2", 4), a, &[0, 1, 2, 3])), "4: a0 a1");
    world.told(heartbeat("m3", 5));
    world.pass(SECOND);
    // m2 is alive and keeps what it must not.
    assert_eq!(world.told(heartbeat("m2", 4)), "Member m2 is not a member of group g.");
    assert_eq!(world.told(heartbeat("m3", 5)), "6: a0 a1 a2 a3");
    world.check_replay();
}

#[test]
fn a_static_member_finds_its_partitions_again() {
    let (mut world, _) = world();
    world.told(of_static("s", joining("m1", &["a"])));
    world.told(joining("m2", &["a"]));
    let words = world.told(of_static("s", joining("m3", &["a"])));
    assert_eq!(
        words,
        "Static member m3 with instance id s cannot join the group because the instance id is \
         owned by m1 member."
    );
    assert_eq!(world.told(of_static("s", heartbeat("m1", -2))), "-2: same");
    let epoch = world.group().epoch();
    assert_eq!(world.told(of_static("s", joining("m3", &["a"]))), "3: a0 a1");
    assert_eq!(world.group().epoch(), epoch, "nobody has to rebalance");
    let words = world.told(of_static("s", heartbeat("m1", 2)));
    assert_eq!(words, "Static member m1 with instance id s was fenced by member m3.");
    let words = world.told(of_static("t", heartbeat("m1", 2)));
    assert_eq!(words, "Instance id t is unknown.");
    world.check_replay();
}

#[test]
fn targets_are_made_at_most_once_an_interval() {
    let mut world = World::new(GroupSettings::default());
    let a = world.topic("a", 4);
    assert_eq!(world.told(joining("m1", &["a"])), "2: a0 a1 a2 a3");
    assert_eq!(world.told(joining("m2", &["a"])), "2:");
    assert_eq!(world.group().state().name(), "Assigning");
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3])), "2: same");
    world.pass(SECOND);
    assert_eq!(world.told(heartbeat("m1", 2)), "2: a0 a1");
    assert_eq!(world.told(heartbeat("m2", 2)), "3: same");
}

#[test]
fn a_clock_that_goes_back_stops_no_group() {
    let mut world = World::new(GroupSettings::default());
    world.topic("a", 2);
    world.told(joining("m1", &["a"]));
    world.wall_goes_back(SECOND * 3_600);
    assert_eq!(world.told(joining("m2", &["a"])), "3:");
    assert_eq!(world.told(heartbeat("m1", 2)), "2: a0");
}

#[test]
fn expressions_follow_new_topics_after_ten_seconds() {
    let (mut world, a) = world();
    let regex =
        ConsumerHeartbeat { topics: None, regex: Some("[ab]".into()), ..joining("m1", &[]) };
    assert_eq!(world.told(regex), "2: a0 a1 a2 a3");
    world.topic("b", 1);
    world.topic("c", 1);
    assert_eq!(world.told(owning(heartbeat("m1", 2), a, &[0, 1, 2, 3])), "2: same");
    world.pass(SECOND * 11);
    assert_eq!(world.told(heartbeat("m1", 2)), "3: a0 a1 a2 a3 b0");
    world.delete_topic("a");
    assert_eq!(world.told(heartbeat("m1", 3)), "3: b0");
    // The last subscriber takes what was found with it.
    world.told(heartbeat("m1", -1));
    assert_eq!(world.group().resolved("[ab]"), None);
    world.check_replay();
}

#[test]
fn partitions_that_a_topic_grows_by_are_given_out() {
    let (mut world, _) = world();
    world.told(joining("m1", &["a"]));
    world.topic("a", 6);
    assert_eq!(world.told(heartbeat("m1", 2)), "3: a0 a1 a2 a3 a4 a5");
}

#[test]
fn a_full_group_takes_its_own_members_only() {
    let settings = GroupSettings {
        consumer_members_max: 1,
        consumer_assignment_interval: Duration::ZERO,
        ..GroupSettings::default()
    };
    let mut world = World::new(settings);
    world.topic("a", 1);
    world.told(of_static("s", joining("m1", &["a"])));
    let full = "The consumer group has reached its maximum capacity of 1 members.";
    assert_eq!(world.told(joining("m2", &["a"])), full);
    world.told(of_static("s", heartbeat("m1", -2)));
    assert_eq!(world.told(of_static("s", joining("m2", &["a"]))), "2: a0");
}

#[test]
fn a_group_may_have_times_of_its_own() {
    let (mut world, _) = world();
    let mut set = |name: &str, value: &str| {
        let resource = ConfigResource::Group("g".to_owned());
        let record =
            Record::Config { resource, name: name.to_owned(), value: Some(value.to_owned()) };
        world.change(&[record], &TopicChanges::default());
    };
    set("consumer.heartbeat.interval.ms", "7000");
    set("consumer.session.timeout.ms", "900000");
    let answer = world.beat(joining("m1", &["a"])).unwrap();
    assert_eq!(answer.heartbeat_interval, SECOND / 2, "the group moves");
    world.pass(SECOND * 57);
    let answer = world.beat(heartbeat("m1", 2)).unwrap();
    assert_eq!(answer.heartbeat_interval, SECOND * 7);
    // Within the node's bounds.
    world.pass(SECOND * 59);
    assert!(!world.group().members().is_empty());
    world.pass(SECOND);
    assert!(world.group().members().is_empty());
}

/// The first measured with Kafka's own arithmetic, the second read from its log.
#[test]
fn the_hash_of_topics_is_the_one_that_kafka_stores() {
    check_hash("AAAAAAAAAAEAAAAAAAAAAg", 3, -4_373_262_523_051_953_005);
    check_hash("1__3UjOYSDyR5UwbA1xEgA", 12, -1_859_716_126_578_994_974);
}

fn check_hash(id: &str, partitions: i32, hash: i64) {
    let mut world = World::new(GroupSettings::default());
    assert_eq!(hash_of_topics(["orders"].into_iter(), world.image()), 0);
    let id: Uuid = id.parse().unwrap();
    let name = TopicName::parse("orders").unwrap();
    world.change(&[Record::Topic { name, id }], &TopicChanges::default());
    world.topic("orders", partitions);
    assert_eq!(hash_of_topics(["orders"].into_iter(), world.image()), hash);
}

#[test]
fn offsets_are_for_members_that_have_or_had_the_partition() {
    let (mut world, a) = world();
    let commit = |member: Option<&str>, epoch: Option<i32>, partition: i32| CommitOffsets {
        group: "g".into(),
        epoch: epoch.map(Epoch::new),
        member: member.map(MemberId::new),
        instance: None,
        retention: None,
        topics: vec![CommitTopic {
            name: TopicName::parse("a").unwrap(),
            id: Some(a),
            partitions: vec![CommitPartition {
                partition: PartitionId::new(partition),
                offset: Some(Offset::ZERO),
                leader_epoch: None,
                metadata: "".into(),
            }],
        }],
    };
    world.told(joining("m1", &["a"]));
    world.told(joining("m2", &["a"]));
    world.told(heartbeat("m1", 2));
    world.told(owning(heartbeat("m1", 2), a, &[0, 1]));
    // m1 is in epoch 3 and has 0 and 1 since epoch 2; m2 has nothing yet.
    let check = |member, epoch, partition, expected| {
        let checked = world.group().check_commit(&commit(member, epoch, partition));
        assert_eq!(checked, expected, "{member:?} {epoch:?} {partition}");
    };
    let stale = Err(CommitError::StaleMemberEpoch);
    check(Some("m1"), Some(3), 0, Ok(()));
    check(Some("m1"), Some(2), 0, Ok(()));
    check(Some("m1"), Some(1), 0, stale);
    check(Some("m1"), Some(2), 3, stale);
    check(Some("m1"), Some(4), 0, stale);
    check(Some("m1"), None, 0, stale);
    check(Some("m9"), Some(3), 0, Err(CommitError::UnknownMember));
    check(None, None, 0, Err(CommitError::UnknownMember));
    let fetch = |member: Option<&str>, epoch: Option<i32>| {
        let (member, epoch) = (member.map(MemberId::new), epoch.map(Epoch::new));
        let group = "g".into();
        world.group().check_fetch(&FetchOffsets {
            group,
            member,
            epoch,
            topics: None,
            require_stable: false,
        })
    };
    assert_eq!(fetch(None, None), Ok(()));
    assert_eq!(fetch(Some("m1"), Some(3)), Ok(()));
    assert_eq!(fetch(Some("m1"), Some(2)), Err(FetchOffsetsError::StaleMemberEpoch));
    assert_eq!(fetch(Some("m9"), Some(2)), Err(FetchOffsetsError::UnknownMember));
}

#[test]
fn a_group_is_described_with_what_members_have_and_are_to_have() {
    let (mut world, _) = world();
    world.told(joining("m1", &["a"]));
    world.told(of_static("s", joining("m2", &["a"])));
    world.told(heartbeat("m1", 2));
    let asked = vec!["g".into(), "none".into()];
    let Some(GroupAnswer::ConsumerDescribe(described)) =
        world.ask(GroupRequest::ConsumerDescribe(asked))
    else {
        panic!("answered")
    };
    let group = described[0].1.as_ref().unwrap();
    assert_eq!((group.state, group.assignor), ("Reconciling", "uniform"));
    assert_eq!((group.epoch.get(), group.assignment_epoch.get()), (3, 3));
    let count = |partitions: &[crate::consumer::DescribedPartitions]| {
        partitions.iter().map(|topic| topic.partitions.len()).sum::<usize>()
    };
    let each = |at: usize| {
        let member = &group.members[at];
        (member.epoch, count(&member.assignment), count(&member.target))
    };
    assert_eq!(each(0), (MemberEpoch::In(Epoch::new(2)), 4, 2));
    assert_eq!(each(1), (MemberEpoch::In(Epoch::new(3)), 0, 2));
    let unknown = described[1].1.as_ref().unwrap_err();
    assert_eq!(unknown.to_string(), "Group none not found.");
}

#[test]
fn an_empty_group_is_deleted_without_a_trace() {
    let (mut world, _) = world();
    world.told(ConsumerHeartbeat { regex: Some("b.*".into()), ..joining("m1", &["a"]) });
    world.told(heartbeat("m1", -1));
    let deleted = world.ask(GroupRequest::Delete(vec!["g".into()]));
    assert_eq!(deleted, Some(GroupAnswer::Delete(vec![("g".into(), Ok(()))])));
    assert!(world.shard.groups.is_empty());
    assert!(world.replayed().groups.is_empty());
}

#[test]
fn partitions_of_records_without_epochs_are_read() {
    let topic = Uuid::from_u128(5);
    let partitions: Partitions = [(topic, PartitionId::new(1))].into_iter().collect();
    assert_eq!(Partitions::from_record(&partitions.to_record()), partitions);
}

#[test]
fn an_assignor_that_is_not_configured_any_more_has_no_votes() {
    let mut world = World::new(GroupSettings::default());
    world.topic("a", 2);
    let asking = |name: &str, member| ConsumerHeartbeat {
        assignor: Some(name.into()),
        ..joining(member, &["a"])
    };
    for member in ["m1", "m2"] {
        assert!(world.beat(asking("uniform", member)).is_ok());
    }
    assert!(world.beat(asking("range", "m3")).is_ok());
    let check = |world: &mut World, assignor: &str| {
        let asked = vec!["g".into()];
        let Some(GroupAnswer::ConsumerDescribe(described)) =
            world.ask(GroupRequest::ConsumerDescribe(asked))
        else {
            panic!("described")
        };
        assert_eq!(described[0].1.as_ref().unwrap().assignor, assignor);
    };
    check(&mut world, "uniform");
    let consumer_assignors = vec![Assignor::Range];
    world.load_with(GroupSettings { consumer_assignors, ..GroupSettings::default() });
    check(&mut world, "range");
}
