//! Fetch from before 0.11: what lies in batches is answered as messages.
//!
//! Everything up to the answer is as for any other consumer. Then what was found is read into
//! memory and converted, one partition after the other.

use ottla_env::{CachedRead, Part};
use ottla_records::{DownConvertError, DownLimits, InflateError, MessageFormat, down_convert};
use ottla_types::Offset;
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;
use ottla_wire::ErrorCode;
use ottla_wire::hot::FetchPartition;

use super::fetch::{Fetch, speculate};
use super::fetch_read::{FetchRoom, Found, Given, Pass, Records};
use crate::connection::Channel;

/// The last version that is answered with messages.
pub(super) const MESSAGES_UNTIL: i16 = 3;

/// Slices that are tried for one message: there is none in a batch of control records, and in one
/// whose records compaction took.
const SLICES_MAX: usize = 16;

/// Converts what was found for the answer to such a request.
#[cold]
pub(super) fn convert(channel: &Channel, fetch: &Fetch<'_>, room: &mut FetchRoom) {
    let FetchRoom { reads, copied } = room;
    for (entry, read) in fetch.request.partitions.clone().zip(reads) {
        let converted = match &mut read.found {
            Ok(found) => convert_one(channel, fetch, &entry.partition, found, copied),
            Err(error) => Err(*error),
        };
        if let Err(error) = converted {
            read.found = Err(match error {
                // Younger than these clients; this one makes them look again.
                ErrorCode::KafkaStorageError => ErrorCode::NotLeaderOrFollower,
                error => error,
            });
        }
    }
}

fn convert_one(
    channel: &Channel,
    fetch: &Fetch<'_>,
    asked: &FetchPartition,
    found: &mut Found,
    copied: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let mut records = found.records.take();
    // One message at least for each partition, whatever the client has room for: it has no other
    // way to come to the next.
    let room = (fetch.wanted.bytes as usize).saturating_sub(copied.len());
    if room == 0 || found.caught_up {
        return Ok(());
    }
    let bytes = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(room);
    let limits = DownLimits { bytes, inflated_max: INFLATED_BATCH_BYTES_MAX };
    let from = Offset::from_wire(asked.fetch_offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let mut next = from;
    for _ in 0..SLICES_MAX {
        let slice = match records.take() {
            Some(records) => Some(records),
            None => read_again(channel, fetch, asked, found, next, copied)?,
        };
        let Some(mut slice) = slice else { return Ok(()) };
        let Some(source) = source(&slice.given, copied)? else { return Ok(()) };
        let before = copied.len();
        let format = format_of(fetch.head.version);
        let behind =
            down_convert(&source, format, from, limits, copied).map_err(|e| code_of(&e))?;
        if copied.len() > before {
            slice.given = Given::Copied(before..copied.len());
            found.records = Some(slice);
            return Ok(());
        }
        match behind {
            Some(behind) if behind < found.bounds.readable_end(fetch.wanted.isolation) => {
                next = behind;
            }
            Some(_) | None => return Ok(()),
        }
    }
    Ok(())
}

/// Looks at the partition once more, by itself: the first batch comes whole then.
fn read_again(
    channel: &Channel,
    fetch: &Fetch<'_>,
    asked: &FetchPartition,
    found: &Found,
    from: Offset,
    copied: &mut Vec<u8>,
) -> Result<Option<Records>, ErrorCode> {
    let mut pass = Pass::default();
    let asked = FetchPartition { fetch_offset: from.get(), ..*asked };
    let again = pass.read_partition(&found.partition, &asked, fetch.wanted, copied)?;
    // Not here yet: for the next fetch.
    speculate(channel, &pass.cold);
    Ok(again.records)
}

/// The batches themselves; `None` if the cache has lost them meanwhile.
fn source(given: &Given, copied: &[u8]) -> Result<Option<Vec<u8>>, ErrorCode> {
    match given {
        Given::Copied(at) => Ok(Some(copied[at.clone()].to_vec())),
        Given::Sent(Part::Bytes(bytes)) => Ok(Some(bytes.to_vec())),
        Given::Sent(Part::File { file, at, len }) => {
            let mut bytes = vec![0; usize::try_from(*len).expect("an answer has a size")];
            match file.read_cached(*at, &mut bytes) {
                Ok(CachedRead::Ready(count)) => {
                    bytes.truncate(count);
                    Ok(Some(bytes))
                }
                Ok(CachedRead::Cold) => Ok(None),
                Err(error) => {
                    tracing::error!(%error, "read failed");
                    Err(ErrorCode::KafkaStorageError)
                }
            }
        }
    }
}

fn format_of(version: i16) -> MessageFormat {
    if version < 2 { MessageFormat::V0 } else { MessageFormat::V1 }
}

fn code_of(error: &DownConvertError) -> ErrorCode {
    match error {
        DownConvertError::Codec { .. } => ErrorCode::UnsupportedCompressionType,
        DownConvertError::TooLarge { .. }
        | DownConvertError::Inflate(InflateError::TooLarge { .. }) => ErrorCode::MessageTooLarge,
        DownConvertError::Inflate(InflateError::Corrupt { .. })
        | DownConvertError::Header(_)
        | DownConvertError::Record(_) => ErrorCode::CorruptMessage,
    }
}
