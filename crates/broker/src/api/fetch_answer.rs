//! The answer to a Fetch: headers in memory, records where they lie.

use bytes::Bytes;
use ottla_env::{CachedRead, Part};
use ottla_log::RecordSlice;
use ottla_wire::ErrorCode;
use ottla_wire::hot::{
    AbortedTransaction, FetchRequest, FetchResponseHead, FetchResponsePartition,
    FetchResponseWriter,
};

use super::Refused;
use super::fetch::PartitionRead;
use crate::connection::{AnswerHeader, Channel};
use crate::partition::Isolation;

/// Below this many bytes a copy costs less than a system call of its own.
const COPY_BYTES_MAX: u32 = 16 * 1024;

/// Answers with one read for each partition of the request, in its order; or with none, where the
/// whole request failed.
pub(super) fn write_answer(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    request: &FetchRequest<'_>,
    error: ErrorCode,
    reads: Vec<PartitionRead>,
) -> Result<(), Refused> {
    assert!(channel.is_in_order(), "a fetch starts when nothing older waits");
    let entries = || request.partitions.clone().take(reads.len());
    let mut last = None;
    let starts = entries().filter(|entry| last.replace(entry.topic) != Some(entry.topic));
    let head = FetchResponseHead {
        correlation_id: header.correlation_id,
        error_code: error.code(),
        topics: starts.count(),
        ..Default::default()
    };
    let mut answer = Vec::with_capacity(128);
    let mut holes = Vec::with_capacity(reads.len());
    let mut writer = FetchResponseWriter::begin(&mut answer, version, &head)?;
    let isolation = Isolation::from_wire(request.isolation_level);
    let mut rest = entries().peekable();
    let mut reads = reads.into_iter();
    while let Some(topic) = rest.peek().map(|entry| entry.topic) {
        let count = rest.clone().take_while(|entry| entry.topic == topic).count();
        writer.topic(topic, count)?;
        for read in reads.by_ref().take(count) {
            rest.next();
            let aborted = aborted_in(&read);
            let partition = describe(&read, isolation, &aborted);
            let slice = read.found.ok().and_then(|found| found.records.slice);
            let length = slice.as_ref().map_or(0, |slice| slice.len as usize);
            let hole = writer.partition(&partition, Some(length))?;
            holes.extend(slice.map(|slice| (hole, part(slice))));
        }
    }
    writer.finish(&[])?;
    channel.outbox.push_with_holes(answer, holes);
    Ok(())
}

fn aborted_in(read: &PartitionRead) -> Vec<AbortedTransaction> {
    let found = read.found.iter().flat_map(|found| &found.records.aborted);
    let to_wire = |aborted: &ottla_log::AbortedTransaction| AbortedTransaction {
        producer_id: aborted.producer.get(),
        first_offset: aborted.first_offset.get(),
    };
    found.map(to_wire).collect()
}

fn describe<'a>(
    read: &PartitionRead,
    isolation: Isolation,
    aborted: &'a [AbortedTransaction],
) -> FetchResponsePartition<'a> {
    let partition_index = read.index;
    match &read.found {
        Ok(found) => FetchResponsePartition {
            partition_index,
            high_watermark: found.bounds.high_watermark.offset.get(),
            last_stable_offset: found.bounds.last_stable.get(),
            log_start_offset: found.bounds.log_start.get(),
            // Nobody else may think that there were none.
            aborted_transactions: (isolation == Isolation::ReadCommitted).then_some(aborted),
            ..Default::default()
        },
        Err(error) => FetchResponsePartition {
            partition_index,
            error_code: error.code(),
            high_watermark: -1,
            aborted_transactions: is_unknown(*error).then_some(&[]),
            ..Default::default()
        },
    }
}

fn is_unknown(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
}

/// A small slice is copied if it is in the page cache; all else is sent from the file.
fn part(slice: RecordSlice) -> Part {
    if slice.len < COPY_BYTES_MAX {
        let mut copy = vec![0; slice.len as usize];
        if let Ok(CachedRead::Ready(count)) = slice.file.read_cached(slice.at, &mut copy)
            && count == copy.len()
        {
            return Part::Bytes(Bytes::from(copy));
        }
    }
    Part::File { file: slice.file, at: slice.at, len: u64::from(slice.len) }
}
