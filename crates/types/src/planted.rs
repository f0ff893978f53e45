//! Bugs planted on purpose, to prove that the simulator's checkers see them.
//!
//! Each is one line at the place of the crime: `if planted::is(Bug::X) { .. }`. Without the
//! feature `planted`, which no product build enables, [`is`] is a constant `false` and the line
//! vanishes. With it, at most one bug is chosen, per thread: a simulated cluster is one thread.

/// A bug that a checker must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A batch that a producer sends again is appended again.
    NoDeduplicationOfRetriedBatch,
    /// A recognised duplicate is answered with the log's end, not with its first offset.
    DuplicateAnsweredWithWrongOffset,
    /// Recovery trusts the length of the file and keeps a batch that a crash tore.
    TornTailKept,
    /// A new segment's bytes count as durable though its name is not.
    SegmentNameNotSynced,
    /// acks=all is answered from the page cache though durability is `fsync`.
    AckBeforeSync,
    /// The high watermark passes records that are not synced.
    FetchShowsUnsyncedRecords,
    /// A failed sync is tried again, and the second success is believed.
    FailedSyncRetried,
    /// A fetch is answered from a buffer that another answer was made in.
    FetchAnswerFromRecycledBuffer,
    /// Records go when they are half as old as they should be.
    RetentionTooEarly,
    /// DeleteRecords is answered before the new start of the log is durable.
    DeletedRecordsComeBack,
    /// A fetch session is not told of appends to a partition that it has read to its end.
    SessionMissesAppends,
    /// A checkpoint says how much is durable before it is.
    CheckpointBeforeData,
    /// The proof of a clean stop is still there when the node serves again.
    CleanShutdownFileKept,
    /// A snapshot is found at the start, and its producers are not taken over.
    SnapshotForgetsProducers,
    /// What a group decided is answered before it is durable.
    GroupAnsweredBeforeCommit,
    /// A partition is given to a member while another one still has it.
    PartitionGivenTwice,
    /// A compaction removes a tombstone that it meets for the first time.
    TombstoneDroppedTooEarly,
    /// A compaction removes the newest record of a key.
    CompactionDropsNewestOfKey,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::NoDeduplicationOfRetriedBatch,
        Self::DuplicateAnsweredWithWrongOffset,
        Self::TornTailKept,
        Self::SegmentNameNotSynced,
        Self::AckBeforeSync,
        Self::FetchShowsUnsyncedRecords,
        Self::FailedSyncRetried,
        Self::FetchAnswerFromRecycledBuffer,
        Self::RetentionTooEarly,
        Self::DeletedRecordsComeBack,
        Self::SessionMissesAppends,
        Self::CheckpointBeforeData,
        Self::CleanShutdownFileKept,
        Self::SnapshotForgetsProducers,
        Self::GroupAnsweredBeforeCommit,
        Self::PartitionGivenTwice,
        Self::TombstoneDroppedTooEarly,
        Self::CompactionDropsNewestOfKey,
    ];

    /// The name that command lines and test reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoDeduplicationOfRetriedBatch => "no_deduplication_of_retried_batch",
            Self::DuplicateAnsweredWithWrongOffset => "duplicate_answered_with_wrong_offset",
            Self::TornTailKept => "torn_tail_kept",
            Self::SegmentNameNotSynced => "segment_name_not_synced",
            Self::AckBeforeSync => "ack_before_sync",
            Self::FetchShowsUnsyncedRecords => "fetch_shows_unsynced_records",
            Self::FailedSyncRetried => "failed_sync_retried",
            Self::FetchAnswerFromRecycledBuffer => "fetch_answer_from_recycled_buffer",
            Self::RetentionTooEarly => "retention_too_early",
            Self::DeletedRecordsComeBack => "deleted_records_come_back",
            Self::SessionMissesAppends => "session_misses_appends",
            Self::CheckpointBeforeData => "checkpoint_before_data",
            Self::CleanShutdownFileKept => "clean_shutdown_file_kept",
            Self::SnapshotForgetsProducers => "snapshot_forgets_producers",
            Self::GroupAnsweredBeforeCommit => "group_answered_before_commit",
            Self::PartitionGivenTwice => "partition_given_twice",
            Self::TombstoneDroppedTooEarly => "tombstone_dropped_too_early",
            Self::CompactionDropsNewestOfKey => "compaction_drops_newest_of_key",
        }
    }

    /// The bug of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }
}

/// Whether `bug` is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
#[inline]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use chosen::{is, plant};

#[cfg(feature = "planted")]
mod chosen {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether `bug` is planted in this thread.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get() == Some(bug)
    }

    /// Plants `bug` in this thread, in place of the last one; `None` heals it.
    pub fn plant(bug: Option<Bug>) {
        CHOSEN.set(bug);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_is_found_by_its_name() {
        for bug in Bug::ALL {
            assert_eq!(Bug::from_name(bug.name()), Some(bug));
        }
        assert_eq!(Bug::from_name("none"), None);
    }

    #[cfg(not(feature = "planted"))]
    #[test]
    fn no_bug_is_planted_without_the_feature() {
        assert!(Bug::ALL.into_iter().all(|bug| !is(bug)));
    }

    #[cfg(feature = "planted")]
    #[test]
    fn one_bug_is_planted_at_a_time() {
        plant(Some(Bug::TornTailKept));
        assert!(is(Bug::TornTailKept));
        plant(Some(Bug::AckBeforeSync));
        assert!(!is(Bug::TornTailKept));
        plant(None);
        assert!(!is(Bug::AckBeforeSync));
    }
}
