//! Assignments by hand, and the promises of both assignors under random groups.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ottla_types::{PartitionId, TopicId, Uuid};

use super::{Assignor, GroupSpec, MemberSpec, Partitions};
use crate::ids::{InstanceId, MemberId};

/// Topics are letters, `a3` is partition 3 of topic `a`.
fn topic(letter: char) -> TopicId {
    Uuid::from_u128(u128::from(u32::from(letter)))
}

fn letter(topic: TopicId) -> char {
    char::from(topic.as_bytes()[15])
}

fn partitions(text: &str) -> Partitions {
    let one = |word: &str| {
        let (name, number) = word.split_at(1);
        (topic(name.chars().next().unwrap()), PartitionId::new(number.parse().unwrap()))
    };
    text.split_whitespace().map(one).collect()
}

fn text(partitions: &Partitions) -> String {
    let words: Vec<String> =
        partitions.iter().map(|(topic, number)| format!("{}{number}", letter(topic))).collect();
    words.join(" ")
}

/// `counts`: "a6 b3"; members: name, topics as letters, what it had. A name after `@` is static.
fn check(assignor: Assignor, counts: &str, members: &[(&str, &str, &str)], expected: &[&str]) {
    let members: Vec<(MemberId, Option<InstanceId>, &str, Partitions)> = members
        .iter()
        .map(|(name, topics, had)| {
            let (id, instance) = name
                .split_once('@')
                .map_or((*name, None), |(id, instance)| (id, Some(InstanceId::new(instance))));
            (MemberId::new(id), instance, *topics, partitions(had))
        })
        .collect();
    let mut group = GroupSpec::default();
    for (topic, count) in partitions(counts).iter() {
        group.partitions.insert(topic, usize::try_from(count.get()).unwrap());
    }
    for (id, instance, topics, target) in &members {
        let topics = Rc::new(topics.chars().map(topic).collect());
        group.members.insert(id, MemberSpec { instance: instance.as_ref(), topics, target });
    }
    let assigned = assignor.assign(&group);
    let got: Vec<String> = members.iter().map(|(id, ..)| text(&assigned[id])).collect();
    assert_eq!(got, expected, "{assignor:?} of {counts}");
}

#[test]
#[rustfmt::skip]
fn uniform_gives_even_shares_and_leaves_what_may_stay() {
    let uniform = Assignor::Uniform;
    check(uniform, "a3", &[("m1", "a", "")],                          &["a0 a1 a2"]);
    // The extra partitions go to the last ones, as in Kafka.
    check(uniform, "a3", &[("m1", "a", ""), ("m2", "a", "")],         &["a0", "a1 a2"]);
    // A newcomer gets what is too much elsewhere, and nothing else moves.
    check(uniform, "a6", &[("m1", "a", "a0 a1 a2"), ("m2", "a", "a3 a4 a5"), ("m3", "a", "")],
          &["a0 a1", "a3 a4", "a2 a5"]);
    // Whoever has the extra partition keeps it, wherever it stands.
    check(uniform, "a5", &[("m1", "a", "a0 a1"), ("m2", "a", "a2 a3 a4")], &["a0 a1", "a2 a3 a4"]);
    // A member left: its partitions go round.
    check(uniform, "a6", &[("m1", "a", "a0 a1"), ("m2", "a", "a2 a3")], &["a0 a1 a4", "a2 a3 a5"]);
    // More members than partitions.
    check(uniform, "a1", &[("m1", "a", ""), ("m2", "a", "a0")],        &["", "a0"]);
    // A topic that nobody wants any more, and partitions that are gone.
    check(uniform, "a2", &[("m1", "a", "a0 b0"), ("m2", "a", "a1 a7")], &["a0", "a1"]);
    // Nothing is wanted.
    check(uniform, "",   &[("m1", "", "b0")],                         &[""]);
    // Two topics share one quota.
    check(uniform, "a2 b2", &[("m1", "ab", "a0 a1 b0"), ("m2", "ab", "b1")], &["a0 a1", "b0 b1"]);
}

#[test]
#[rustfmt::skip]
fn uniform_balances_members_with_different_subscriptions() {
    let uniform = Assignor::Uniform;
    check(uniform, "a3 b3", &[("m1", "a", ""), ("m2", "ab", "")],     &["a0 a1 a2", "b0 b1 b2"]);
    check(uniform, "a3 b1", &[("m1", "a", ""), ("m2", "ab", "")],     &["a0 a2", "a1 b0"]);
    check(uniform, "a2 b2", &[("m1", "ab", "a0 a1 b0 b1"), ("m2", "b", "")], &["a0 a1", "b0 b1"]);
    // Only what is uneven by more than one moves.
    check(uniform, "a3 b3", &[("m1", "ab", "a0 a1 b0"), ("m2", "a", "a2"), ("m3", "b", "b1 b2")],
          &["a0 b0", "a1 a2", "b1 b2"]);
}

#[test]
#[rustfmt::skip]
fn range_cuts_each_topic_alike_and_static_members_come_first() {
    let range = Assignor::Range;
    check(range, "a3 b3", &[("m1", "ab", ""), ("m2", "ab", "")],      &["a0 a1 b0 b1", "a2 b2"]);
    check(range, "a7", &[("m1", "a", ""), ("m2", "a", ""), ("m3", "a", "")], &["a0 a1 a2", "a3 a4", "a5 a6"]);
    check(range, "a1", &[("m1", "a", ""), ("m2", "a", "")],           &["a0", ""]);
    // Members are ordered by static name, then those without one by their ids.
    check(range, "a3", &[("m1", "a", ""), ("m3@a", "a", ""), ("m2@b", "a", "")], &["a2", "a0", "a1"]);
    check(range, "a2 b3", &[("m1", "a", ""), ("m2", "ab", ""), ("m3", "b", "")], &["a0", "a1 b0 b1", "b2"]);
    check(range, "", &[("m1", "", "a0")],                             &[""]);
}

/// A small generator, so that a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn every_partition_has_one_subscriber_whatever_the_group() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let topics: Vec<TopicId> = ('a'..='f').take(1 + draw(&mut random, 6)).map(topic).collect();
        let ids: Vec<MemberId> =
            (0..=draw(&mut random, 9)).map(|n| MemberId::new(&format!("m{n}"))).collect();
        let mut had: BTreeMap<MemberId, Partitions> =
            ids.iter().map(|id| (id.clone(), Partitions::default())).collect();
        let alike = random.below(2) == 0;
        let assignor = Assignor::ALL[draw(&mut random, 2)];
        for _ in 0..4 {
            had = one_round(&mut random, seed, assignor, &topics, &had, alike);
        }
    }
}

fn draw(random: &mut Random, bound: u64) -> usize {
    usize::try_from(random.below(bound)).unwrap()
}

fn one_round(
    random: &mut Random,
    seed: u64,
    assignor: Assignor,
    topics: &[TopicId],
    had: &BTreeMap<MemberId, Partitions>,
    alike: bool,
) -> BTreeMap<MemberId, Partitions> {
    let mut group = GroupSpec::default();
    for topic in topics {
        group.partitions.insert(*topic, 1 + draw(random, 12));
    }
    let all = Rc::new(topics.iter().copied().collect::<BTreeSet<_>>());
    // Some members are missing: their partitions are nobody's.
    for (id, target) in had {
        let mut some =
            || Rc::new(topics.iter().copied().filter(|_| random.below(2) == 0).collect());
        let topics = if alike { Rc::clone(&all) } else { some() };
        if random.below(4) > 0 {
            group.members.insert(id, MemberSpec { instance: None, topics, target });
        }
    }
    let assigned = assignor.assign(&group);
    check_promises(seed, assignor, &group, &assigned);
    let again = stable_again(&group, &assigned, assignor);
    if assignor == Assignor::Uniform && alike {
        assert_eq!(again, assigned, "seed {seed}: an even assignment stays");
    }
    had.keys().map(|id| (id.clone(), assigned.get(id).cloned().unwrap_or_default())).collect()
}

fn stable_again(
    group: &GroupSpec,
    assigned: &BTreeMap<MemberId, Partitions>,
    assignor: Assignor,
) -> BTreeMap<MemberId, Partitions> {
    let mut again = GroupSpec { partitions: group.partitions.clone(), ..GroupSpec::default() };
    for (id, member) in &group.members {
        let member = MemberSpec { target: &assigned[*id], ..member.clone() };
        again.members.insert(id, member);
    }
    assignor.assign(&again)
}

fn check_promises(
    seed: u64,
    assignor: Assignor,
    group: &GroupSpec,
    assigned: &BTreeMap<MemberId, Partitions>,
) {
    let mut owners = BTreeMap::new();
    for (id, partitions) in assigned {
        for partition in partitions.iter() {
            assert!(group.members[id].topics.contains(&partition.0), "seed {seed}: unwanted");
            assert!(owners.insert(partition, id).is_none(), "seed {seed}: two owners");
        }
    }
    let wanted: BTreeSet<_> =
        group.members.values().flat_map(|member| member.topics.iter().copied()).collect();
    let all: usize = wanted.iter().map(|topic| group.partitions[topic]).sum();
    assert_eq!(owners.len(), all, "seed {seed}: every partition is somebody's");
    if assignor == Assignor::Uniform && group.subscribes_alike() {
        let sizes = assigned.values().map(|partitions| partitions.iter().count());
        let (least, most) = (sizes.clone().min().unwrap_or(0), sizes.max().unwrap_or(0));
        assert!(most - least <= 1, "seed {seed}: {least} to {most}");
    }
}
