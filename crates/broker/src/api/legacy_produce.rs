//! Produce from before 0.11: messages become a batch, and all else is as for any other producer.

use std::borrow::Cow;

use ottla_records::up_convert;
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;

use super::errors::Refusal;

/// The last version whose messages may have an old format; those since have batches alone.
const OLD_FORMATS_UNTIL: i16 = 2;

/// Where a message and a batch say of which format they are, and the first one of batches.
const FORMAT_AT: usize = 16;
const FORMAT_OF_BATCHES: u8 = 2;

/// What a producer sent for one partition, as a batch.
#[inline]
pub(super) fn as_batch(records: &[u8], version: i16) -> Result<Cow<'_, [u8]>, Refusal> {
    if version > OLD_FORMATS_UNTIL {
        return Ok(Cow::Borrowed(records));
    }
    converted(records)
}

#[cold]
fn converted(records: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if records.get(FORMAT_AT).is_some_and(|format| *format == FORMAT_OF_BATCHES) {
        return Ok(Cow::Borrowed(records));
    }
    let batch = up_convert(records, INFLATED_BATCH_BYTES_MAX)?;
    Ok(Cow::Owned(batch.into_bytes()))
}
