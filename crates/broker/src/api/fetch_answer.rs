//! The answer to a Fetch: headers in memory, records where they lie.

use ottla_wire::ErrorCode;
use ottla_wire::hot::{
    AbortedTransaction, FetchResponseHead, FetchResponsePartition, FetchResponseWriter, TopicRef,
};

use super::Refused;
use super::fetch_read::PartitionRead;
use crate::connection::{AnswerHeader, Channel};
use crate::fetch_session::SessionId;
use crate::partition::Isolation;
use crate::watch::Refuser;

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
    write(channel, head, error, std::iter::empty(), Vec::new())
}

/// Answers with reads, each of the topic at its place in `topics`.
pub(super) fn write_answer<'a>(
    channel: &mut Channel,
    head: Head,
    topics: impl Iterator<Item = TopicRef<'a>> + Clone,
    reads: Vec<PartitionRead>,
) -> Result<(), Refused> {
    write(channel, head, ErrorCode::None, topics, reads)
}

fn write<'a>(
    channel: &mut Channel,
    head: Head,
    error: ErrorCode,
    topics: impl Iterator<Item = TopicRef<'a>> + Clone,
    reads: Vec<PartitionRead>,
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
    let mut answer = Vec::with_capacity(128);
    let mut holes = Vec::with_capacity(reads.len());
    let mut writer = FetchResponseWriter::begin(&mut answer, head.version, &wire_head)?;
    let mut rest = topics.peekable();
    let mut reads = reads.into_iter();
    while let Some(topic) = rest.peek().copied() {
        let count = rest.clone().take_while(|next| *next == topic).count();
        writer.topic(topic, count)?;
        for read in reads.by_ref().take(count) {
            rest.next();
            let aborted = aborted_in(&read);
            let partition = describe(&read, head.isolation, &aborted);
            let length = read.bytes();
            match &read.found {
                Ok(found) => found.partition.traffic().on_fetched(length),
                Err(error) => channel.broker.counters.on_error(Refuser::Fetch, error.code()),
            }
            let part = read.found.ok().and_then(|found| found.records).map(|found| found.part);
            let length = usize::try_from(length).expect("an answer has a size");
            let hole = writer.partition(&partition, Some(length))?;
            holes.extend(part.map(|part| (hole, part)));
        }
    }
    writer.finish(&[])?;
    channel.outbox.push_with_holes(answer, holes);
    Ok(())
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
