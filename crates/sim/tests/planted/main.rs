//! Proof that the checkers see: known bugs are planted, and each must be caught.

use ottla_sim::{Options, simulate};
use ottla_types::planted::{Bug, plant};

/// Runs seeds with the bug until one is broken, which says `sign` among other things.
fn check(bug: Bug, seeds: u64, sign: &str) {
    plant(Some(bug));
    for seed in 0..seeds {
        let report = simulate(seed, &Options::default());
        if let Some(violation) = report.violations.iter().find(|what| what.contains(sign)) {
            eprintln!("{}: caught by seed {seed}: {violation}", bug.name());
            return;
        }
        assert!(report.is_clean(), "caught, but by another sign than {sign:?}: {report}");
    }
    panic!("{} is not caught by {seeds} seeds", bug.name());
}

#[test]
fn a_retried_batch_that_is_appended_again_is_caught() {
    check(Bug::NoDeduplicationOfRetriedBatch, 20, "twice");
}

#[test]
fn a_duplicate_that_is_answered_with_a_wrong_offset_is_caught() {
    check(Bug::DuplicateAnsweredWithWrongOffset, 20, "acknowledged at");
}

#[test]
fn a_torn_tail_that_is_kept_is_caught() {
    check(Bug::TornTailKept, 50, "checksum");
}

#[test]
fn a_segment_whose_name_is_not_synced_is_caught() {
    check(Bug::SegmentNameNotSynced, 50, "");
}

#[test]
fn an_acknowledgement_before_the_sync_is_caught() {
    check(Bug::AckBeforeSync, 20, "lost");
}

#[test]
fn a_fetch_of_unsynced_records_is_caught() {
    check(Bug::FetchShowsUnsyncedRecords, 50, "");
}

#[test]
fn a_failed_sync_that_is_tried_again_is_caught() {
    check(Bug::FailedSyncRetried, 50, "");
}
