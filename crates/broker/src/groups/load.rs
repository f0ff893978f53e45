//! What a partition of groups says, from its first record to its last.

use ottla_coordinator::{GroupShard, ReplayError};
use ottla_env::{DiskExt, Env};
use ottla_log::{ReadError, ReadOutcome};
use ottla_records::{Batch, Batches, EndTransactionMarker, HeaderError, InflateError, RecordError};
use ottla_types::Offset;

use crate::partition::Partition;

/// Bytes that are read at once; a larger batch comes whole all the same. Between two reads the
/// loop's other tasks have their turn.
const READ_BYTES: u32 = 256 << 10;

/// Bytes that a compressed batch may inflate to. Kafka writes no batch of groups that is larger
/// than `max.message.bytes`, 1 MiB unless somebody set more.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// Why a partition of groups cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("read a segment: {0}")]
    Storage(#[from] std::io::Error),
    #[error("the batch at offset {at}: {error}")]
    Batch { at: Offset, error: BatchError },
}

/// What is wrong with a batch.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the checksum does not fit the bytes")]
    Checksum,
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Framing(#[from] RecordError),
    #[error("the record at offset {offset}: {error}")]
    Record { offset: Offset, error: ReplayError },
}

impl LoadError {
    /// Whether another attempt would find the same: the bytes are whole, and another version wrote
    /// them.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Batch { error: BatchError::Record { .. }, .. })
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    /// Where the log ended.
    pub(super) end: Offset,
    /// How many records were replayed.
    pub(super) records: u64,
}

/// Replays all that the log holds, committed or not: nobody appends to it meanwhile.
pub(super) async fn load(
    env: &Env,
    partition: &Partition,
    shard: &mut GroupShard,
) -> Result<Loaded, LoadError> {
    let bounds = partition.bounds();
    // A roll shows the new segment first and the bounds that lie in it afterwards.
    let (view, upto) = (partition.view(), bounds.log_end);
    let (mut at, mut records) = (bounds.log_start, 0);
    while at < upto.offset {
        match view.read(at, upto, READ_BYTES, true)? {
            ReadOutcome::Slice(slice) => {
                let bytes = env.disk.read_at(&slice.file, slice.at, slice.len as usize).await?;
                at = replay(shard, at, &bytes, &mut records)?;
            }
            ReadOutcome::Cold(cold) => cold.warm(&env.disk).await?,
            // Compaction took what was last.
            ReadOutcome::Empty => break,
        }
    }
    Ok(Loaded { end: upto.offset, records })
}

/// Replays the whole batches of a slice; where the next one begins.
fn replay(
    shard: &mut GroupShard,
    from: Offset,
    bytes: &[u8],
    records: &mut u64,
) -> Result<Offset, LoadError> {
    let mut at = from;
    for batch in Batches::new(bytes) {
        let replayed = batch.map_err(BatchError::from).and_then(|batch| {
            *records += replay_batch(shard, &batch, from)?;
            Ok(batch.header.last_offset().next())
        });
        at = replayed.map_err(|error| LoadError::Batch { at, error })?;
    }
    assert!(at > from, "a read yields at least one whole batch");
    Ok(at)
}

/// Replays the records of a batch from an offset on, and counts them.
fn replay_batch(
    shard: &mut GroupShard,
    batch: &Batch<'_>,
    from: Offset,
) -> Result<u64, BatchError> {
    if !batch.crc_matches() {
        return Err(BatchError::Checksum);
    }
    let (header, mut count) = (&batch.header, 0);
    let transaction = header.producer.filter(|_| header.attributes.is_transactional());
    for record in &batch.records(INFLATED_BYTES_MAX)? {
        let record = record?;
        if record.offset < from {
            continue;
        }
        count += 1;
        if header.attributes.is_control() {
            let marker = EndTransactionMarker::parse(record.key, record.value);
            if let (Ok(Some(marker)), Some(producer)) = (marker, header.producer) {
                shard.replay_marker(producer.id, marker.committed);
            }
            continue;
        }
        let Some(key) = record.key else { continue };
        let producer = transaction.map(|stamp| stamp.id);
        if let Err(error) = shard.replay(producer, key, record.value) {
            // Without it an older record of the same key would count: offsets that were read
            // long ago, partitions whose owner is forgotten.
            if !error.names_nothing() {
                return Err(BatchError::Record { offset: record.offset, error });
            }
            tracing::warn!(offset = %record.offset, %error, "a record of no group is left out");
        }
    }
    Ok(count)
}
