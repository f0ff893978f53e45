//! The answer to a Fetch: headers in memory, records where they lie.

use ottla_env::Part;
use ottla_wire::hot::{
    AbortedTransaction, FetchResponseHead, FetchResponsePartition, FetchResponseWriter,
    ResponseRecords, TopicRef,
};
use ottla_wire::{EncodeError, ErrorCode};

use super::Refused;
use super::fetch_read::{FetchRoom, Given, PartitionRead};
use crate::connection::{AnswerHeader, Channel};
use crate::fetch_session::SessionId;
use crate::partition::Isolation;
use crate::watch::Refuser;

/// What a partition takes besides its records, about.
const PARTITION_BYTES: usize = 64;

/// What an answer says of the whole request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) header: AnswerHeader,
    pub(super) version: i16,
    pub(super) isolation: Isolation,
    pub(super) session: Option<SessionId>,
}

/// Answers with an error of the whole request.
pub(super) fn write_error(
    channel: &mut Channel,
    head: Head,
    error: ErrorCode,
) -> Result<(), Refused> {
    write(channel, head, error, std::iter::empty(), &mut FetchRoom::default())
}

/// Answers with the reads of a look, each of the topic at its place in `topics`.
pub(super) fn write_answer<'a>(
    channel: &mut Channel,
    head: Head,
    topics: impl Iterator<Item = TopicRef<'a>> + Clone,
    room: &mut FetchRoom,
) -> Result<(), Refused> {
    write(channel, head, ErrorCode::None, topics, room)
}

fn write<'a>(
    channel: &mut Channel,
    head: Head,
    error: ErrorCode,
    topics: impl Iterator<Item = TopicRef<'a>> + Clone,
    room: &mut FetchRoom,
) -> Result<(), Refused> {
    assert!(channel.is_in_order(), "a fetch starts when nothing older waits");
    let mut last = None;
    let starts = topics.clone().filter(|topic| last.replace(*topic) != Some(*topic));
    let wire_head = FetchResponseHead {
        correlation_id: head.header.correlation_id,
        error_code: error.code(),
        session_id: SessionId::to_wire(head.session),
        topics: starts.count(),
        ..Default::default()
    };
    let FetchRoom { reads, copied } = room;
    channel.outbox.frame_with_holes(|buffer, holes| {
        buffer.reserve(copied.len() + (reads.len() + 1) * PARTITION_BYTES);
        let mut writer = FetchResponseWriter::begin(buffer, head.version, &wire_head)?;
        let mut rest = topics.peekable();
        let mut reads = reads.iter_mut();
        while let Some(topic) = rest.peek().copied() {
            let count = rest.clone().take_while(|next| *next == topic).count();
            writer.topic(topic, count)?;
            for read in reads.by_ref().take(count) {
                rest.next();
                match &read.found {
                    Ok(found) => found.partition.traffic().on_fetched(read.bytes()),
                    Err(error) => channel.broker.counters.on_error(Refuser::Fetch, error.code()),
                }
                holes.extend(put(&mut writer, read, head.isolation, copied)?);
            }
        }
        writer.finish(&[])
    })?;
    Ok(())
}

/// Adds what a look at a partition came to; the records that are sent from a file, and where.
fn put(
    writer: &mut FetchResponseWriter<'_>,
    read: &mut PartitionRead,
    isolation: Isolation,
    copied: &[u8],
) -> Result<Option<(usize, Part)>, EncodeError> {
    let aborted = aborted_in(read);
    let partition = describe(read, isolation, &aborted);
    let records = read.found.as_mut().ok().and_then(|found| found.records.take());
    let here = match records.map(|records| records.given) {
        None => &[],
        Some(Given::Copied(at)) => &copied[at],
        Some(Given::Sent(part)) => {
            let length = usize::try_from(part.len()).expect("an answer has a size");
            let hole = writer.partition(&partition, ResponseRecords::Elsewhere(length))?;
            return Ok(Some((hole, part)));
        }
    };
    writer.partition(&partition, ResponseRecords::Here(here))?;
    Ok(None)
}

fn aborted_in(read: &PartitionRead) -> Vec<AbortedTransaction> {
    let records = read.found.iter().filter_map(|found| found.records.as_ref());
    let to_wire = |aborted: &ottla_log::AbortedTransaction| AbortedTransaction {
        producer_id: aborted.producer.get(),
        first_offset: aborted.first_offset.get(),
    };
    records.flat_map(|records| &records.aborted).map(to_wire).collect()
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
