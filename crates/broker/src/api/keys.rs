//! Whether records have keys, as topics need them that are compacted.

use ottla_records::CheckedBatch;
use ottla_types::limits::{INFLATED_BATCH_BYTES_MAX, RECORD_ERRORS_MAX};
use ottla_types::{Offset, TopicPartition};
use ottla_wire::ErrorCode;

use super::errors::Refusal;

/// Records that are told in the message of a refusal, as Kafka does.
const SHOWN: usize = 3;

/// Checks that every record has a key; a refusal names those that have none, in Kafka's words.
pub(super) fn check_keys(
    batch: &CheckedBatch<'_>,
    partition: &TopicPartition,
    log_start: Offset,
) -> Result<(), Refusal> {
    let (count, first) = batch.without_key(INFLATED_BATCH_BYTES_MAX, RECORD_ERRORS_MAX);
    if count == 0 {
        return Ok(());
    }
    let words =
        format!("Compacted topic cannot accept message without key in topic partition {partition}");
    let show = |index: &u32| format!("RecordError(batchIndex={index}, message='{words}')");
    let shown: Vec<String> = first.iter().take(SHOWN).map(show).collect();
    let message = format!(
        "One or more records have been rejected due to {count} record errors in total, and only \
         showing the first three errors at most: [{}]",
        shown.join(", ")
    );
    Err(Refusal {
        code: ErrorCode::InvalidRecord,
        message: Some(message),
        records: first.into_iter().map(|index| (index, words.clone())).collect(),
        log_start: Some(log_start),
    })
}
