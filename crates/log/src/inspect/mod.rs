//! A person's view of the files: reading them whatever is in them, checking them against each
//! other, mending a log that a node refuses to open.
//!
//! Nothing here is used by a node. [`SegmentReader`] goes on behind damage, where opening a log
//! stops; [`verify_partition`] and [`verify_directory`] read everything and change nothing;
//! [`RecoveryPlan`] says what mending would lose before it touches a byte.

mod derived;
mod directory;
mod reader;
mod recover;
mod segment_check;
mod snapshot_check;
mod trouble;
mod verify;
mod verify_directory;

pub use derived::{
    SnapshotProducer, aborted_entries, offset_entries, snapshot_producers, time_entries,
};
pub use directory::{FileKind, PartitionFiles, damaged_name, partition_of};
pub use reader::{Damage, Found, SegmentReader};
pub use recover::{Lost, Mend, RecoverError, Recovered, RecoveryPlan};
pub use trouble::{Finding, Severity, Trouble};
pub use verify::{Known, Totals, Verified, verify_partition, verify_segment};
pub use verify_directory::{LogDirectory, verify_directory};
