//! One step each: what a member has, what it is to have, what it says, and what comes of it.

use std::collections::BTreeSet;

use ottla_types::{PartitionId, TopicId, Uuid};

use super::*;

const TOPIC: TopicId = Uuid::from_u128(1_000);
const OTHER: TopicId = Uuid::from_u128(2_000);

fn numbered(text: &str) -> impl Iterator<Item = (TopicId, PartitionId)> {
    text.split_whitespace().map(|word| match word.strip_prefix('o') {
        Some(number) => (OTHER, PartitionId::new(number.parse().unwrap())),
        None => (TOPIC, PartitionId::new(word.parse().unwrap())),
    })
}

fn owned(text: &str, since: i32) -> OwnedPartitions {
    let partitions: Partitions = numbered(text).collect();
    OwnedPartitions::all_since(&partitions, Epoch::new(since))
}

/// `state epoch: assigned / revoking`, partitions of the other topic with an `o`.
fn parse(text: &str) -> CurrentAssignment {
    let (head, tail) = text.split_once(':').unwrap();
    let (state, epoch) = head.split_once(' ').unwrap();
    let (assigned, revoking) = tail.split_once('/').unwrap_or((tail, ""));
    let epoch = epoch.parse().unwrap();
    CurrentAssignment {
        epoch: Some(Epoch::new(epoch)),
        previous_epoch: None,
        state: match state {
            "stable" => MemberState::Stable,
            "unrevoked" => MemberState::UnrevokedPartitions,
            "unreleased" => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown(9),
        },
        assigned: owned(assigned, epoch),
        revoking: owned(revoking, epoch),
    }
}

fn print(current: &CurrentAssignment) -> String {
    let state = match current.state {
        MemberState::Stable => "stable",
        MemberState::UnrevokedPartitions => "unrevoked",
        MemberState::UnreleasedPartitions => "unreleased",
        MemberState::Unknown(_) => "unknown",
    };
    let list = |owned: &OwnedPartitions| {
        let word = |(topic, number, _)| match topic {
            OTHER => format!(" o{number}"),
            _ => format!(" {number}"),
        };
        owned.iter().map(word).collect::<String>()
    };
    let epoch = current.epoch.unwrap();
    let revoking = list(&current.revoking);
    let revoking = if revoking.is_empty() { revoking } else { format!(" /{revoking}") };
    format!("{state} {epoch}:{}{revoking}", list(&current.assigned))
}

/// `others`: what other members hold; `says`: what the member says it has, `-` for nothing said.
fn check(has: &str, target: &str, others: &str, says: &str, expected: &str) {
    check_with(has, target, others, says, &[TOPIC, OTHER], false, expected);
}

fn check_with(
    has: &str,
    target: &str,
    others: &str,
    says: &str,
    subscribed: &[TopicId],
    subscription_changed: bool,
    expected: &str,
) {
    let (epoch, target) = target.split_once(':').unwrap();
    let (target, others): (Partitions, Partitions) =
        (numbered(target).collect(), numbered(others).collect());
    let said: Option<Partitions> = (says != "-").then(|| numbered(says).collect());
    let (me, other) = (MemberId::new("me"), MemberId::new("other"));
    let current = parse(has);
    let mine: Vec<_> = current.held().collect();
    let step = Reconciliation {
        target_epoch: Epoch::new(epoch.parse().unwrap()),
        target: &target,
        subscribed: &subscribed.iter().copied().collect::<BTreeSet<_>>(),
        subscription_changed,
        owned: said.as_ref(),
        member: &me,
        owner: &|topic, partition| match others.contains(topic, partition) {
            true => Some(&other),
            false => mine.contains(&(topic, partition)).then_some(&me),
        },
    };
    let next = step.step(&current).map_or_else(|_| "fenced".to_owned(), |next| print(&next));
    assert_eq!(next, expected, "{has} towards {epoch}:{}", target.iter().count());
}

#[test]
#[rustfmt::skip]
fn a_member_gives_up_before_it_gets_and_gets_what_is_free() {
    //     has                          target       others  says     then has
    check("stable 0:",                  "1: 0 1 2",  "",     "",      "stable 1: 0 1 2");
    check("stable 1: 0 1",              "1: 0 1",    "",     "-",     "stable 1: 0 1");
    check("stable 1: 0 1",              "2: 0 1",    "",     "-",     "stable 2: 0 1");
    check("stable 1: 0 1 2",            "2: 0 1",    "",     "-",     "unrevoked 1: 0 1 / 2");
    check("stable 1: 0 1 2",            "2: 0 3",    "",     "0 1 2", "unrevoked 1: 0 / 1 2");
    // It has given up already: nothing is waited for.
    check("stable 1: 0 1 2",            "2: 0 1",    "",     "0 1",   "stable 2: 0 1");
    check("unrevoked 1: 0 1 / 2",       "2: 0 1",    "",     "-",     "unrevoked 1: 0 1 / 2");
    check("unrevoked 1: 0 1 / 2",       "2: 0 1",    "",     "0 1 2", "unrevoked 1: 0 1 / 2");
    check("unrevoked 1: 0 1 / 2",       "2: 0 1",    "",     "0 1",   "stable 2: 0 1");
    // The target moved on meanwhile: more to give up.
    check("unrevoked 1: 0 1 / 2",       "3: 0",      "",     "0 1",   "unrevoked 1: 0 / 1");
    // Or back: what it gave up is its own again.
    check("unrevoked 1: 0 1 / 2",       "3: 0 1 2",  "",     "0 1",   "stable 3: 0 1 2");
    check("stable 1: 0",                "2: 0 1",    "1",    "-",     "unreleased 2: 0");
    check("stable 1: 0",                "2: 0 1 2",  "1",    "-",     "unreleased 2: 0 2");
    check("unreleased 2: 0",            "2: 0 1",    "1",    "-",     "unreleased 2: 0");
    check("unreleased 2: 0",            "2: 0 1",    "",     "-",     "stable 2: 0 1");
    check("unreleased 2: 0",            "3: 1",      "",     "0",     "unrevoked 2: / 0");
    // Several topics.
    check("stable 1: 0 o0",             "2: 0 o1",   "",     "-",     "unrevoked 1: 0 / o0");
    // A state of the future.
    check("future 1: 0",                "2: 0",      "",     "-",     "fenced");
    check("future 1: 0",                "2: 0",      "",     "0",     "fenced");
    check("future 1: 0",                "2: 0 1",    "",     "",      "stable 2: 0 1");
}

#[test]
#[rustfmt::skip]
fn a_subscription_that_shrinks_takes_effect_before_the_next_target() {
    let topic = &[TOPIC][..];
    //          has                      target       others says     subs   new   then has
    check_with("stable 1: 0 o0",        "1: 0 o0",   "",    "-",     topic, true,  "unrevoked 1: 0 / o0");
    check_with("stable 1: 0 o0",        "1: 0 o0",   "",    "0",     topic, true,  "stable 1: 0");
    check_with("stable 1: 0",           "1: 0 o0",   "",    "-",     topic, true,  "stable 1: 0");
    check_with("unrevoked 1: 0 o0 / 1", "2: 0 o0",   "",    "-",     topic, true,  "unrevoked 1: 0 / 1 o0");
    check_with("unrevoked 1: 0 o0 / 1", "2: 0 o0",   "",    "-",     topic, false, "unrevoked 1: 0 o0 / 1");
    // A target of a topic that is not wanted any more gives nothing.
    check_with("stable 1: 0",           "2: 0 o0",   "",    "-",     topic, false, "stable 2: 0");
    check_with("stable 1: o0",          "1: o0",     "",    "-",     &[],   true,  "unrevoked 1: / o0");
}

#[test]
fn what_is_kept_keeps_its_epoch_and_what_comes_gets_the_new_one() {
    let current = parse("stable 1: 0 1");
    let target: Partitions = numbered("0 1 2").collect();
    let me = MemberId::new("me");
    let step = Reconciliation {
        target_epoch: Epoch::new(5),
        target: &target,
        subscribed: &[TOPIC].into(),
        subscription_changed: false,
        owned: None,
        member: &me,
        owner: &|_, _| None,
    };
    let next = step.step(&current).unwrap();
    let since: Vec<_> = next.assigned.iter().map(|(_, _, since)| since.get()).collect();
    assert_eq!(since, [1, 1, 5]);
    assert_eq!(next.previous_epoch, Some(Epoch::new(1)));
    assert_eq!(CurrentAssignment::from_record(&next.to_record()), next);
}
