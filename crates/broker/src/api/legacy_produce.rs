//! Produce from before 0.11: messages become a batch, and all else is as for any other producer.

use ottla_records::up_convert;
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;

use super::errors::Refusal;

/// The last version whose messages may have an old format; those since have batches alone.
pub(super) const OLD_FORMATS_UNTIL: i16 = 2;

/// Where a message and a batch say of which format they are, and the first one of batches.
const FORMAT_AT: usize = 16;
const FORMAT_OF_BATCHES: u8 = 2;

/// What a producer sent for one partition, as a batch: where it came, or in `converted`.
#[inline]
pub(super) fn as_batch<'a>(
    records: &'a [u8],
    version: i16,
    converted: &'a mut Vec<u8>,
) -> Result<&'a [u8], Refusal> {
    if version > OLD_FORMATS_UNTIL {
        return Ok(records);
    }
    convert(records, converted)
}

#[cold]
fn convert<'a>(records: &'a [u8], converted: &'a mut Vec<u8>) -> Result<&'a [u8], Refusal> {
    if records.get(FORMAT_AT).is_some_and(|format| *format == FORMAT_OF_BATCHES) {
        return Ok(records);
    }
    *converted = up_convert(records, INFLATED_BATCH_BYTES_MAX)?.into_bytes();
    Ok(converted)
}
