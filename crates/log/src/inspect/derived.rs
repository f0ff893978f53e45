//! What derived files say, entry by entry.

use ottla_types::{Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::aborted::AbortedIndex;
use crate::index_file::{OffsetEntries, TimeEntries};
use crate::{EndedTransaction, IndexFault, ProducerState, RecentBatch, SnapshotFault};

/// A producer, as a snapshot tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Of the coordinator that wrote its last marker.
    pub coordinator_epoch: Option<i32>,
    pub last_timestamp: Option<Timestamp>,
    /// Where its open transaction begins.
    pub transaction_start: Option<Offset>,
    /// The batches that are recognised, the oldest first.
    pub recent: Vec<RecentBatch>,
}

/// The entries of an `.index` file: the last offset of a batch, and where the batch begins.
///
/// # Errors
/// When the bytes are not what Kafka writes.
pub fn offset_entries(bytes: &[u8], base: Offset) -> Result<Vec<(Offset, u32)>, IndexFault> {
    let entries = OffsetEntries::parse(bytes)?.iter();
    Ok(entries.map(|it| (base.plus(i64::from(it.relative)), it.position)).collect())
}

/// The entries of a `.timeindex` file: the latest time so far, and the last offset of the batch
/// that has it.
///
/// # Errors
/// When the bytes are not what Kafka writes.
pub fn time_entries(bytes: &[u8], base: Offset) -> Result<Vec<(Timestamp, Offset)>, IndexFault> {
    let entries = TimeEntries::parse(bytes)?.iter();
    Ok(entries.map(|it| (it.timestamp, base.plus(i64::from(it.relative)))).collect())
}

/// The entries of a `.txnindex` file.
///
/// # Errors
/// When the bytes are not what Kafka writes.
pub fn aborted_entries(bytes: &[u8], base: Offset) -> Result<Vec<EndedTransaction>, IndexFault> {
    let index = AbortedIndex::parse(bytes, base, Offset::new(i64::MAX))?;
    Ok((0..index.len()).map(|at| index.get(at)).collect())
}

/// The producers in a `.snapshot` file of a log that ended at `end`.
///
/// # Errors
/// When the bytes are not what Kafka or we write.
pub fn snapshot_producers(
    bytes: &[u8],
    end: Offset,
) -> Result<Vec<SnapshotProducer>, SnapshotFault> {
    let state = ProducerState::parse_snapshot(bytes, end)?;
    let producers = state.producers().map(|(id, producer)| SnapshotProducer {
        id,
        epoch: producer.epoch,
        coordinator_epoch: producer.coordinator_epoch,
        last_timestamp: producer.last_timestamp,
        transaction_start: producer.transaction_start,
        recent: producer.recent.iter().flatten().copied().collect(),
    });
    Ok(producers.collect())
}
