//! Whether records are of a time that their topic takes.

use ottla_records::CheckedBatch;
use ottla_types::limits::{INFLATED_BATCH_BYTES_MAX, RECORD_ERRORS_MAX};
use ottla_types::{Offset, Timestamp};
use ottla_wire::ErrorCode;

use super::errors::Refusal;

/// Checks the producer's timestamps; a refusal names the records, in Kafka's words.
pub(super) fn check_timestamps(
    batch: &CheckedBatch<'_>,
    (earliest, latest): (Timestamp, Timestamp),
    log_start: impl FnOnce() -> Offset,
) -> Result<(), Refusal> {
    let Err(error) = batch.check_timestamps(earliest, latest) else { return Ok(()) };
    let blamed =
        batch.out_of_range((earliest, latest), INFLATED_BATCH_BYTES_MAX, RECORD_ERRORS_MAX);
    if blamed.is_empty() {
        return Err(error.into());
    }
    let (from, to) = (earliest.millis(), latest.millis());
    let tell = |(index, timestamp): (u32, Timestamp)| {
        let timestamp = timestamp.millis();
        let words = format!(
            "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp \
             should be within [{from}, {to}]"
        );
        (index, words)
    };
    Err(Refusal {
        code: ErrorCode::InvalidTimestamp,
        message: Some("One or more records have been rejected due to invalid timestamp".to_owned()),
        records: blamed.into_iter().map(tell).collect(),
        log_start: Some(log_start()),
    })
}
