//! How the leader of a classic group shares out partitions: pure functions of what its members
//! said and of how many partitions there are.

mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};

use ottla_types::{PartitionId, TopicName, TopicPartition};

/// A way to share out partitions, by Kafka's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Each topic by itself, in runs of neighbouring partitions.
    Range,
    /// All partitions in turns.
    RoundRobin,
    /// Evenly, and as much as possible to whoever had it.
    Sticky,
    /// As [`Assignor::Sticky`]; nobody stops reading what stays, and what moves takes two rounds.
    CooperativeSticky,
}

impl Assignor {
    /// What the protocol calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// Whether members keep what stays theirs while a group rebalances.
    #[must_use]
    pub const fn is_cooperative(self) -> bool {
        matches!(self, Self::CooperativeSticky)
    }

    pub(crate) fn assign(self, group: &Members, counts: &PartitionCounts) -> Assignments {
        let mut assignments: Assignments =
            group.keys().map(|member| (member.clone(), BTreeSet::new())).collect();
        match self {
            Self::Range => range::assign(group, counts, &mut assignments),
            Self::RoundRobin => round_robin::assign(group, counts, &mut assignments),
            Self::Sticky => sticky::assign(group, counts, &mut assignments),
            Self::CooperativeSticky => {
                sticky::assign(group, counts, &mut assignments);
                sticky::withhold_what_moves(group, &mut assignments);
            }
        }
        assignments
    }
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) owned: BTreeSet<TopicPartition>,
    /// When it owned that.
    pub(crate) generation: Option<i32>,
    pub(crate) rack: Option<String>,
    pub(crate) instance: Option<String>,
}

/// The members of a group, by their ids.
pub(crate) type Members = BTreeMap<String, Subscription>;

/// How many partitions each topic has; topics that do not exist are left off.
pub(crate) type PartitionCounts = BTreeMap<TopicName, i32>;

/// What each member gets.
pub(crate) type Assignments = BTreeMap<String, BTreeSet<TopicPartition>>;

/// Members in the order in which they are served: static ones by their names first, so that their
/// places survive restarts.
fn in_order(group: &Members) -> Vec<(&String, &Subscription)> {
    let mut members: Vec<_> = group.iter().collect();
    members.sort_by(|(a_id, a), (b_id, b)| match (&a.instance, &b.instance) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a_id.cmp(b_id),
    });
    members
}

fn partitions(topic: &TopicName, count: i32) -> impl Iterator<Item = TopicPartition> + '_ {
    (0..count).map(|at| TopicPartition { topic: topic.clone(), partition: PartitionId::new(at) })
}

fn give(assignments: &mut Assignments, member: &str, partition: TopicPartition) {
    let given = assignments.get_mut(member).expect("every member has a place").insert(partition);
    assert!(given, "a partition is given once");
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn subscribed(topics: &str) -> Subscription {
        let topics =
            topics.split_terminator(' ').map(|name| TopicName::parse(name).expect("legal"));
        Subscription { topics: topics.collect(), ..Subscription::default() }
    }

    pub(super) fn owning(topics: &str, owned: &str, generation: i32) -> Subscription {
        Subscription { owned: set(owned), generation: Some(generation), ..subscribed(topics) }
    }

    pub(super) fn set(text: &str) -> BTreeSet<TopicPartition> {
        text.split_terminator(' ')
            .map(|each| each.rsplit_once('-').expect("topic-number"))
            .map(|(topic, at)| {
                crate::partition(topic, at.parse().expect("a number")).expect("legal")
            })
            .collect()
    }

    fn counts(text: &str) -> PartitionCounts {
        text.split_terminator(' ')
            .map(|each| each.rsplit_once('=').expect("topic=count"))
            .map(|(topic, count)| {
                (TopicName::parse(topic).expect("legal"), count.parse().expect("a number"))
            })
            .collect()
    }

    /// `expected` has a member's partitions a line.
    fn check(
        assignor: Assignor,
        topics: &str,
        members: &[(&str, Subscription)],
        expected: &[&str],
    ) {
        let group: Members =
            members.iter().map(|(id, told)| ((*id).to_owned(), told.clone())).collect();
        let assignments = assignor.assign(&group, &counts(topics));
        let expected: Assignments = members
            .iter()
            .zip(expected)
            .map(|((id, _), text)| ((*id).to_owned(), set(text)))
            .collect();
        assert_eq!(assignments, expected, "{assignor:?} of {topics}");
    }

    #[test]
    fn ranges_are_runs_of_each_topic_and_the_first_members_get_more() {
        let both = [("m1", subscribed("a b")), ("m2", subscribed("a b"))];
        check(Assignor::Range, "a=3 b=3", &both, &["a-0 a-1 b-0 b-1", "a-2 b-2"]);
        let differ = [("m1", subscribed("a")), ("m2", subscribed("a b"))];
        check(Assignor::Range, "a=3 b=2", &differ, &["a-0 a-1", "a-2 b-0 b-1"]);
        check(Assignor::Range, "b=1", &both, &["b-0", ""]);
        let named =
            |name: &str| Subscription { instance: Some(name.to_owned()), ..subscribed("a") };
        let members = [("m1", named("z")), ("m2", named("y")), ("m3", subscribed("a"))];
        check(Assignor::Range, "a=4", &members, &["a-2", "a-0 a-1", "a-3"]);
    }

    #[test]
    fn turns_go_over_all_topics() {
        let both = [("m1", subscribed("a b")), ("m2", subscribed("a b"))];
        check(Assignor::RoundRobin, "a=3 b=3", &both, &["a-0 a-2 b-1", "a-1 b-0 b-2"]);
        let differ = [("m1", subscribed("a")), ("m2", subscribed("a b")), ("m3", subscribed("c"))];
        check(Assignor::RoundRobin, "a=2 b=2 c=1", &differ, &["a-0", "a-1 b-0 b-1", "c-0"]);
        check(Assignor::RoundRobin, "a=1", &[("m1", subscribed("b"))], &[""]);
    }

    #[test]
    fn what_can_stay_stays() {
        let members = [("m1", owning("a", "a-0 a-1 a-2 a-3", 4)), ("m2", owning("a", "", 4))];
        check(Assignor::Sticky, "a=4", &members, &["a-0 a-1", "a-2 a-3"]);
        let left = [("m2", owning("a", "a-1 a-3", 4)), ("m3", owning("a", "a-5", 4))];
        check(Assignor::Sticky, "a=6", &left, &["a-1 a-2 a-3", "a-0 a-4 a-5"]);
    }

    #[test]
    fn of_two_claims_the_younger_counts_and_of_equal_ones_none() {
        let members = [("m1", owning("a", "a-0 a-1", 3)), ("m2", owning("a", "a-0 a-1", 4))];
        check(Assignor::Sticky, "a=2", &members, &["a-1", "a-0"]);
        let members = [("m1", owning("a", "a-1", 4)), ("m2", owning("a", "a-1 a-0", 4))];
        check(Assignor::Sticky, "a=2", &members, &["a-1", "a-0"]);
    }

    #[test]
    fn what_is_not_subscribed_or_gone_is_nobodys() {
        let members = [("m1", owning("b", "a-0 b-7", 3)), ("m2", subscribed("b"))];
        check(Assignor::Sticky, "b=2", &members, &["b-0", "b-1"]);
    }

    #[test]
    fn a_partition_moves_only_after_its_owner_let_go_of_it() {
        let before = [("m1", owning("a", "a-0 a-1", 4)), ("m2", owning("a", "", 4))];
        check(Assignor::CooperativeSticky, "a=2", &before, &["a-0", ""]);
        let after = [("m1", owning("a", "a-0", 5)), ("m2", owning("a", "", 5))];
        check(Assignor::CooperativeSticky, "a=2", &after, &["a-0", "a-1"]);
    }

    /// Every assignor, on groups drawn by counting: each partition has exactly one member, which
    /// is subscribed to it; equal subscriptions get equal shares from the fair ones.
    #[test]
    fn every_partition_has_one_member() {
        for draw in 0..600_u32 {
            let group: Members = (0..1 + draw % 5)
                .map(|member| {
                    let topics = match (draw / 7 + member * 3) % 4 {
                        0 => "a",
                        1 => "b c",
                        _ => "a b c",
                    };
                    let owned = (0..(draw / 3) % 4).map(|at| format!("a-{} ", at + member));
                    let told = owning(topics, &owned.collect::<String>(), 3);
                    (format!("m{member}"), told)
                })
                .collect();
            let counts = counts(&format!("a={} b={} c=1", draw % 9, draw % 4));
            for assignor in [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky] {
                let assignments = assignor.assign(&group, &counts);
                let mut seen = BTreeSet::new();
                for (member, partitions) in &assignments {
                    for partition in partitions {
                        assert!(group[member].topics.contains(&partition.topic), "subscribed");
                        assert!(seen.insert(partition.clone()), "once: {partition}");
                    }
                }
                let wanted: usize = counts
                    .iter()
                    .filter(|(topic, _)| group.values().any(|told| told.topics.contains(*topic)))
                    .map(|(_, count)| usize::try_from(*count).expect("a few"))
                    .sum();
                assert_eq!(seen.len(), wanted, "{assignor:?} leaves none out");
                let same = group.values().all(|told| told.topics == group["m0"].topics);
                let sizes = assignments.values().map(BTreeSet::len);
                let (low, high) = (sizes.clone().min(), sizes.max());
                if same && assignor != Assignor::Range {
                    assert!(high <= low.map(|low| low + 1), "{assignor:?}: {low:?} to {high:?}");
                }
            }
        }
    }
}
