//! What can be wrong with files, in a person's words.

use std::path::PathBuf;

use ottla_types::{LeaderEpoch, Offset, ProducerId, TopicPartition};

use super::Damage;
use crate::{IndexFault, ParseFileError, SnapshotFault};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing, and in order: a node deals with it by itself, and nothing is lost.
    Note,
    /// A file that is derived from the log is wrong. A node makes it anew when it opens the log.
    Derived,
    /// Records are lost or cannot be trusted.
    Damage,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub file: PathBuf,
    /// Bytes before it in the file, where it has a place.
    pub position: Option<u64>,
    pub trouble: Trouble,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("{}", describe(.0))]
    Damage(Damage),
    #[error("{}; nobody was told that these bytes are safe, and a node cuts them off when it \
             starts", describe(.0))]
    TornTail(Damage),
    #[error("the records of the batch at offset {offset} cannot be read: {why}")]
    Records { offset: Offset, why: String },
    #[error("the segment begins before offset {expected}, where the one before it ends")]
    Overlap { expected: Offset },
    #[error("{} missing, as after compaction", span(*from, *upto))]
    Gap { from: Offset, upto: Offset },
    #[error("leader epoch {epoch} follows {before}, which is newer")]
    EpochOrder { epoch: LeaderEpoch, before: LeaderEpoch },
    #[error("offset {offset} was written in leader epoch {epoch}, and the file says {told}")]
    Epoch { offset: Offset, epoch: LeaderEpoch, told: LeaderEpoch },
    #[error(transparent)]
    Index(#[from] IndexFault),
    #[error("entry {entry} says that offset {offset} ends a batch at byte {position}; none does")]
    OffsetEntry { entry: usize, offset: Offset, position: u32 },
    #[error("entry {entry} says that {millis} is the latest time up to offset {offset}; it is not")]
    TimeEntry { entry: usize, offset: Offset, millis: i64 },
    #[error("it lists {listed} aborted transactions; the segment's markers say {found}")]
    Aborted { listed: usize, found: usize },
    #[error("there is none of it; a node makes it when it needs it")]
    Missing,
    #[error(transparent)]
    Snapshot(#[from] SnapshotFault),
    #[error("it is of offset {offset}, where no batch ends")]
    SnapshotPlace { offset: Offset },
    #[error("it says of producer {producer} what the log does not")]
    SnapshotProducer { producer: ProducerId },
    #[error(transparent)]
    Text(#[from] ParseFileError),
    #[error(
        "everything below offset {recovery_point} was on stable storage, and the log ends at {end}"
    )]
    BehindRecoveryPoint { recovery_point: Offset, end: Offset },
    #[error("{partition} is said to reach offset {told}, and ends at {end}")]
    BehindCheckpoint { partition: TopicPartition, told: Offset, end: Offset },
    #[error("{0} has no directory here")]
    NoDirectory(TopicPartition),
    #[error("a part of it was taken away while it was read")]
    Vanished,
}

fn describe(damage: &Damage) -> String {
    let Damage { bytes, fault, from, upto, .. } = damage;
    match upto {
        Some(upto) if upto == from => {
            format!("{bytes} bytes too many, which are no batch: {fault}")
        }
        Some(upto) => {
            format!("{bytes} bytes cannot be read, {} with them: {fault}", span(*from, *upto))
        }
        None => format!("{bytes} bytes cannot be read, offsets from {from} on with them: {fault}"),
    }
}

/// The offsets from one to another, which is not among them.
fn span(from: Offset, upto: Offset) -> String {
    match upto.get() - 1 {
        last if last == from.get() => format!("offset {from}"),
        last => format!("offsets {from} to {last}"),
    }
}
