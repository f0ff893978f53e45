//! Proof that the checkers see: known bugs are planted, and each must be caught.

use ottla_sim::{Options, Workload, simulate};
use ottla_types::planted::{Bug, plant};

/// Runs seeds with the bug until one is broken, and with it one of the rules that the bug breaks.
fn check(bug: Bug, seeds: u64, signs: &[&str]) {
    check_in(Workload::Records, bug, seeds, signs);
}

fn check_in(workload: Workload, bug: Bug, seeds: u64, signs: &[&str]) {
    plant(Some(bug));
    for seed in 0..seeds {
        let report = simulate(seed, &Options { workload, ..Options::default() });
        let Some(violation) = report.violations.first() else { continue };
        eprintln!("{}: caught by seed {seed}: {violation}", bug.name());
        assert!(signs.iter().any(|sign| violation.contains(sign)), "by another rule: {report}");
        return;
    }
    panic!("{} is not caught by {seeds} seeds", bug.name());
}

/// What a client sees that was promised more than the node kept.
const LOST: [&str; 6] =
    ["is lost", "went back", "acknowledged at", "was Value", "OUT_OF_ORDER", "is offline"];

#[test]
fn a_retried_batch_that_is_appended_again_is_caught() {
    check(Bug::NoDeduplicationOfRetriedBatch, 30, &["twice", "out of order"]);
}

#[test]
fn a_duplicate_that_is_answered_with_a_wrong_offset_is_caught() {
    check(Bug::DuplicateAnsweredWithWrongOffset, 30, &["acknowledged at"]);
}

#[test]
fn a_torn_tail_that_is_kept_is_caught() {
    let signs =
        ["checksum", "impossible", "not done", "went back", "does not start", "cannot be read"];
    check(Bug::TornTailKept, 30, &signs);
}

#[test]
fn a_segment_whose_name_is_not_synced_is_caught() {
    check(Bug::SegmentNameNotSynced, 30, &LOST);
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    check(Bug::AckBeforeSync, 30, &LOST);
}

#[test]
fn a_fetch_of_unsynced_records_is_caught() {
    check(Bug::FetchShowsUnsyncedRecords, 100, &LOST);
}

#[test]
fn a_failed_sync_that_is_tried_again_is_caught() {
    check(Bug::FailedSyncRetried, 200, &LOST);
}

#[test]
fn a_fetch_answer_from_a_recycled_buffer_is_caught() {
    check(Bug::FetchAnswerFromRecycledBuffer, 30, &["read ", "holds", "was Value"]);
}

#[test]
fn retention_that_is_too_early_is_caught() {
    check(Bug::RetentionTooEarly, 100, &["too early", "is lost"]);
}

#[test]
fn deleted_records_that_come_back_are_caught() {
    check(Bug::DeletedRecordsComeBack, 100, &["the start of"]);
}

#[test]
fn a_session_that_misses_appends_is_caught() {
    check(Bug::SessionMissesAppends, 30, &["not done"]);
}

/// What a client meets whose partition was trusted and should not have been.
const TRUSTED: [&str; 7] = [
    "is lost",
    "went back",
    "checksum",
    "was Value",
    "OUT_OF_ORDER",
    "is offline",
    "cannot be read",
];

#[test]
fn a_proof_of_a_clean_stop_that_is_kept_is_caught() {
    check(Bug::CleanShutdownFileKept, 100, &TRUSTED);
}

#[test]
fn a_snapshot_that_forgets_its_producers_is_caught() {
    check(Bug::SnapshotForgetsProducers, 200, &["twice", "out of order", "OUT_OF_ORDER"]);
}

/// What members of groups see that read what was read, or have what others have.
const SHARED: [&str; 4] = ["again, committed to", "after an ack of", "belongs to", "to both"];

#[test]
fn a_group_that_answers_before_it_is_durable_is_caught() {
    check_in(Workload::Groups, Bug::GroupAnsweredBeforeCommit, 60, &SHARED);
}

#[test]
fn a_partition_that_is_given_twice_is_caught() {
    check_in(Workload::Groups, Bug::PartitionGivenTwice, 60, &SHARED);
}
