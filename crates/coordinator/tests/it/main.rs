//! Scripts of a shard and its log, and random events over one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod foreign;
mod hostile;
mod random;
mod records;
mod text;
mod world;

use std::path::Path;

use ottla_testkit::trace;

use world::World;

#[test]
fn members_join_are_assigned_and_leave() {
    script("classic");
}

#[test]
fn a_rebalance_waits_for_members_and_not_for_ever() {
    script("rebalance_timers");
}

#[test]
fn a_member_that_waits_for_a_slow_log_is_not_silent() {
    script("late_answers");
}

#[test]
fn a_static_member_keeps_its_place() {
    script("static_members");
}

#[test]
fn whoever_is_not_a_member_is_refused() {
    script("refusals");
}

#[test]
fn a_group_is_no_larger_than_allowed() {
    script("group_size");
}

#[test]
fn offsets_are_committed_fetched_and_deleted() {
    script("offsets");
}

#[test]
fn old_offsets_and_empty_groups_expire() {
    script("expiry");
}

#[test]
fn offsets_of_an_open_transaction_wait_for_its_end() {
    script("transactions");
}

#[test]
fn groups_are_described_listed_and_deleted() {
    script("admin");
}

fn script(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/traces/{name}.trace"));
    let mut world = World::new();
    trace::check(&path, |command| world.run(command));
}
