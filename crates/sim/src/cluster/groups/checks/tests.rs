//! The checker's own tables.

use super::*;
use ottla_client::partition;

fn member(place: usize) -> MemberName {
    MemberName { group: 0, place, life: 1 }
}

fn at() -> TopicPartition {
    partition("t", 0).expect("legal")
}

fn offsets(offset: i64) -> Floors {
    Floors::from([(at(), offset)])
}

fn standing(epoch: i32) -> Standing {
    Standing { id: "m".to_owned(), epoch }
}

fn read(checks: &mut Checks, by: MemberName, offset: i64) {
    checks.on_read(by, Some(standing(3)), (&at(), Offset::new(offset)), "x");
}

fn check(what: impl FnOnce(&mut Checks), violations: usize) {
    let mut checks = Checks::default();
    what(&mut checks);
    let found = checks.take_violations();
    assert_eq!(found.len(), violations, "{found:?}");
}

#[test]
fn two_owners_in_one_epoch_are_found() {
    let owned = BTreeSet::from([at()]);
    check(
        |checks| {
            checks.on_assigned(member(1), 3, &owned);
            checks.on_assigned(member(1), 4, &owned);
            checks.on_assigned(member(2), 5, &owned);
        },
        0,
    );
    check(
        |checks| {
            checks.on_assigned(member(1), 3, &owned);
            checks.on_assigned(member(2), 3, &owned);
        },
        1,
    );
}

#[test]
fn what_was_committed_is_not_read_again() {
    let committed = |checks: &mut Checks, acked: bool| {
        checks.on_commit_begun(member(1), &offsets(5));
        if acked {
            checks.on_committed(member(1), &offsets(5), &[]);
        }
    };
    check(
        |checks| {
            committed(checks, true);
            read(checks, member(2), 5);
        },
        0,
    );
    check(
        |checks| {
            committed(checks, true);
            read(checks, member(2), 4);
        },
        1,
    );
    check(
        |checks| {
            committed(checks, false);
            read(checks, member(2), 4);
        },
        0,
    );
}

#[test]
fn commits_do_not_go_back() {
    for (found, violations) in [(5, 0), (7, 0), (3, 1), (2, 0)] {
        check(
            |checks| {
                checks.on_commit_begun(member(1), &offsets(2));
                checks.on_commit_begun(member(1), &offsets(5));
                checks.on_committed(member(1), &offsets(5), &[]);
                let floors = checks.floors(0);
                checks.on_looked_up(0, &floors, &offsets(found));
            },
            violations,
        );
    }
}

#[test]
fn generations_begin_anew_only_where_protocols_mix_and_the_former_owner_is_gone() {
    let owned = BTreeSet::from([at()]);
    let both = |mixed: bool, gone: bool| {
        let owned = owned.clone();
        move |checks: &mut Checks| {
            if mixed {
                checks.on_mixed(0);
            }
            checks.on_assigned(member(1), 3, &owned);
            if gone {
                checks.on_gone(member(1));
            }
            checks.on_assigned(member(2), 3, &owned);
        }
    };
    check(both(true, true), 0);
    check(both(true, false), 1);
    check(both(false, true), 1);
}

/// Member 1 has the partition in generation 3, member 2 in 4, which reads and commits.
fn taken_over(checks: &mut Checks) {
    let owned = BTreeSet::from([at()]);
    checks.on_assigned(member(1), 3, &owned);
    checks.on_assigned(member(2), 4, &owned);
    let taken = checks.on_commit_begun(member(2), &offsets(5));
    assert!(taken.is_empty());
    checks.on_committed(member(2), &offsets(5), &taken);
}

#[test]
fn a_member_that_is_out_reads_on_until_it_is_told() {
    let next = |standing: Option<Standing>, lost: bool| {
        move |checks: &mut Checks| {
            taken_over(checks);
            read(checks, member(1), 4);
            if lost {
                checks.on_gone(member(1));
            }
            checks.on_polled(member(1), standing.as_ref());
        }
    };
    let other = Standing { id: "another".to_owned(), epoch: 5 };
    check(next(Some(standing(3)), false), 0);
    check(next(None, false), 0);
    check(next(Some(other), false), 0);
    check(next(Some(standing(5)), true), 0);
    // It was a member all the time.
    check(next(Some(standing(5)), false), 1);
    // Who has it by now reads nothing twice.
    check(
        |checks| {
            taken_over(checks);
            read(checks, member(2), 4);
        },
        1,
    );
}

#[test]
fn nobody_commits_what_others_have_been_given() {
    check(
        |checks| {
            taken_over(checks);
            let taken = checks.on_commit_begun(member(1), &offsets(4));
            assert_eq!(taken.len(), 1);
            checks.on_committed(member(1), &offsets(4), &taken);
        },
        1,
    );
}
