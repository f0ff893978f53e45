//! An append-only partition on disk that survives any crash.
//!
//! A [`Log`] is owned by one writer; any number of readers hold its [`LogView`] and take no lock.
//! The files are Kafka's. Appends go to the page cache; the host syncs ([`Log::take_unsynced`]),
//! rolls ([`Log::roll_plan`]) and hands the results back. Two invariants carry recovery: a segment
//! is durable in full before its successor exists, and nothing counts as durable in a file whose
//! name is not. So a crash can tear the last segment only, and a bad batch anywhere else is
//! corruption, which is reported and never cut away.

mod aborted;
mod advance;
mod ages;
mod append_list;
mod append_run;
mod checkpoint;
mod checkpoint_file;
mod cold;
mod compact;
mod config;
mod cut;
mod dormant;
mod durability;
mod epochs;
mod files;
#[cfg(test)]
mod fixtures;
mod index;
#[allow(dead_code, reason = "tools look at more than a log needs")]
mod index_file;
pub mod inspect;
mod listing;
mod load;
mod log;
mod lookup;
mod open;
mod producer_snapshot;
mod producers;
mod recovery;
mod restore;
mod retention;
mod roll;
mod scan;
mod segment;
mod stored_index;
mod truncate;
mod unsettled;
mod view;
mod walk;
mod written;

pub use aborted::AbortedTransaction;
pub use advance::{Doomed, SetAside};
pub use append_run::RunRoom;
pub use checkpoint::{CheckpointPlan, Superseded, WrittenCheckpoint};
pub use checkpoint_file::{
    CLEAN_SHUTDOWN, CLEANER_CHECKPOINT, CleanShutdown, HIGH_WATERMARK_CHECKPOINT,
    LOG_START_CHECKPOINT, OffsetCheckpoint, RECOVERY_POINT_CHECKPOINT,
};
pub use cold::{Cold, ColdRange, UnloadedSegment};
pub use compact::{
    CleanedSegment, Compaction, CompactionError, CompactionSettings, CompactionStart, Dirt,
    DirtFacts, HashSeeds, KEY_BYTES, RecordsFault, Step, Swapping, Work,
};
pub use config::LogConfig;
pub use cut::CutPlan;
pub use dormant::{Checkpointed, DormantLog};
pub use durability::Unsynced;
pub use epochs::{EpochEnd, EpochEntry, LeaderEpochCache, StaleEpoch};
pub use files::{
    LEADER_EPOCH_CHECKPOINT, PARTITION_METADATA, ParseFileError, PartitionMetadata, segment_name,
};
pub use index_file::IndexFault;
pub use log::{AppendError, Appended, Log, LogPosition};
pub use lookup::{FoundRecord, LookupError};
pub use open::{OpenLogError, RecoveryReport, TornTail};
pub use producer_snapshot::SnapshotFault;
pub use producers::{
    ActiveProducer, Admission, EndedTransaction, ProducerError, ProducerState, RECENT_BATCHES,
    RecentBatch,
};
pub use recovery::Fault;
pub use retention::{Expired, LogFacts, RetentionLimits, SegmentFacts};
pub use roll::{FreshSegment, RollError, RollPlan};
pub use truncate::TruncateError;
pub use view::{Located, LogView, ReadError, ReadOutcome, RecordSlice};
