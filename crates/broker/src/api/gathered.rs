//! Produce requests whose batch is appended together with others', at the end of the loop's pass.
//!
//! The answer is written when the request is handled, since all of the request is at hand then, and
//! corrected when it is known what became of the batch.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::Mono;
use ottla_records::CheckedBatch;
use ottla_types::Timestamp;
use ottla_wire::hot::{
    Entry, ProducePartition, ProduceRequest, ProduceResponsePartition, ProduceResponseWriter,
    ProducedAt, TopicRef,
};
use ottla_wire::{ApiKey, ErrorCode, Reader, ResponseHeader, messages};

use super::Refused;
use super::errors::Refusal;
use super::produce::{Acks, describe_refusal};
use crate::connection::{
    Channel, GATHERED_BATCH_BYTES_MAX, ParkedProduce, Parking, Ticket, Wait, WaitCodes,
};
use crate::partition::{Admission, AppendError, Partition};
use crate::watch::Refuser;

/// A request whose batch was gathered, and is not known to be in the log, or not known to be
/// committed.
#[derive(Debug)]
pub(crate) struct GatheredProduce {
    ticket: Rc<Ticket>,
    partition: Arc<Partition>,
    version: i16,
    /// With an answer that says that all went well.
    parking: Parking,
    /// Where in the answer the error code stands.
    error_at: usize,
    log_append_time: i64,
    /// When an answer is due that says that it is committed.
    commit_by: Option<Mono>,
}

/// What is known of it.
pub(crate) enum Settled {
    NotYet(GatheredProduce),
    Answered(Parking),
    /// It is in the log, and not committed.
    Waits(ParkedProduce),
}

/// A batch that may be appended.
pub(super) struct Ready<'a> {
    pub(super) partition: &'a Arc<Partition>,
    pub(super) batch: CheckedBatch<'a>,
    /// The time that it was stamped with, -1 if it was not.
    pub(super) log_append_time: i64,
}

/// How a request came.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) topic: TopicRef<'a>,
    pub(super) index: i32,
    /// With acks=all, until when the commit is waited for.
    pub(super) commit_by: Option<Mono>,
}

/// Whether the batch of a request may be appended with others': it is the only one, it is small,
/// and its answer waits for it.
pub(super) fn may_gather(request: &ProduceRequest<'_>, acks: Option<Acks>) -> bool {
    let small = |entry: &Entry<'_, ProducePartition<'_>>| {
        entry.partition.records.is_some_and(|bytes| bytes.len() <= GATHERED_BATCH_BYTES_MAX)
    };
    matches!(acks, Some(Acks::Leader | Acks::All)) && request.partitions.lone().is_some_and(small)
}

/// When the answer to a request with acks=all is due.
pub(super) fn commit_by(now: Mono, timeout_ms: i32) -> Mono {
    now.after(Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)))
}

/// Puts the batch to those of the pass; false if there is no room.
pub(super) fn gather(
    channel: &mut Channel,
    ready: &Ready<'_>,
    asked: Asked<'_>,
    cx: &Context<'_>,
) -> Result<bool, Refused> {
    let Ready { partition, batch, log_append_time } = ready;
    let Asked { version, correlation_id, topic, index, commit_by } = asked;
    let mut gathering = channel.lane.gathering();
    if !gathering.has_room(partition) {
        gathering.append(&channel.broker.env);
        if !gathering.has_room(partition) {
            return Ok(false);
        }
    }
    let mut parking = channel.lane.parking();
    let mut writer = ProduceResponseWriter::begin(&mut parking.answer, version, correlation_id, 1)?;
    writer.topic(topic, 1)?;
    let error_at = writer.next_error_at();
    writer.partition(&ProduceResponsePartition { index, ..Default::default() })?;
    writer.finish(0, &[])?;
    let ticket = gathering.add(partition, batch, cx.waker(), commit_by.is_some());
    drop(gathering);
    let (partition, log_append_time) = (Arc::clone(partition), *log_append_time);
    channel.gather(GatheredProduce {
        ticket,
        partition,
        version,
        parking,
        error_at,
        log_append_time,
        commit_by,
    });
    Ok(true)
}

impl GatheredProduce {
    /// Whether there was no room for the batch so far.
    pub(crate) fn is_parked(&self) -> bool {
        self.ticket.is_parked()
    }

    /// The answer, if it is known what became of the batch.
    pub(crate) fn settle(mut self, channel: &Channel) -> Settled {
        let Some(outcome) = self.ticket.take() else { return Settled::NotYet(self) };
        let (base_offset, committed_at, committed, log_start, before) = match outcome {
            Ok(Admission::Accepted { base_offset, committed_at, committed, log_start, before }) => {
                (base_offset, committed_at, committed, log_start, before)
            }
            Ok(Admission::Parked) => unreachable!("what is parked is not judged"),
            Err(error) => return self.refuse(channel, error),
        };
        // As in Kafka, whatever the topic's type of timestamps.
        let log_append_time_ms =
            before.map_or(self.log_append_time, |before| Timestamp::to_wire(before.timestamp));
        let (base_offset, log_start_offset) = (base_offset.get(), log_start.get());
        let at = ProducedAt { base_offset, log_append_time_ms, log_start_offset };
        at.write_to(&mut self.parking.answer, self.error_at, self.version);
        let Self { ticket, partition, mut parking, error_at, commit_by, .. } = self;
        channel.lane.gathering().keep(ticket);
        let Some(deadline) = commit_by.filter(|_| !committed) else {
            return Settled::Answered(parking);
        };
        parking.waits.push(Wait { partition, needed: committed_at, error_at });
        let codes = WaitCodes {
            timed_out: ErrorCode::RequestTimedOut.code(),
            gone: ErrorCode::NotLeaderOrFollower.code(),
        };
        Settled::Waits(ParkedProduce::listed(parking, deadline, codes))
    }

    #[cold]
    fn refuse(self, channel: &Channel, error: AppendError) -> Settled {
        let Self { ticket, partition, version, mut parking, .. } = self;
        channel.lane.gathering().keep(ticket);
        let refusal = Refusal::from(error);
        channel.broker.counters.on_error(Refuser::Produce, refusal.code.code());
        partition.traffic().on_append_refused(0);
        parking.answer = refused(&parking.answer, version, &refusal)
            .expect("an answer that was written can be read, and written again");
        Settled::Answered(parking)
    }
}

/// The answer that says the contrary of `accepted`.
fn refused(accepted: &[u8], version: i16, refusal: &Refusal) -> Result<Vec<u8>, Refused> {
    let mut reader = Reader::new(&accepted[size_of::<i32>()..]);
    let header_version = ApiKey::Produce.header_versions(version).response;
    let correlation_id = ResponseHeader::decode(&mut reader, header_version)?.correlation_id;
    let response = messages::ProduceResponse::decode(&mut reader, version)?;
    let mut answer = Vec::new();
    let topics = response.responses.iter().count();
    let mut writer = ProduceResponseWriter::begin(&mut answer, version, correlation_id, topics)?;
    for topic in &response.responses {
        let named = TopicRef::Name(&topic.name);
        let named = if topic.name.is_empty() { TopicRef::Id(topic.topic_id) } else { named };
        writer.topic(named, topic.partition_responses.iter().count())?;
        for partition in &topic.partition_responses {
            writer.partition(&describe_refusal(partition.index, refusal, &[]))?;
        }
    }
    writer.finish(0, &[])?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use ottla_types::Uuid;

    use super::*;

    #[test]
    fn an_answer_is_corrected_as_if_it_had_been_written_so() {
        for version in messages::ProduceResponse::VERSIONS {
            let (name, id) = (TopicRef::Name("orders"), TopicRef::Id(Uuid::from_bytes([7; 16])));
            let topic = if version >= 13 { id } else { name };
            let at = ProducedAt { base_offset: 42, log_append_time_ms: 7, log_start_offset: 3 };
            let told = ProduceResponsePartition {
                index: 5,
                base_offset: 42,
                log_append_time_ms: 7,
                log_start_offset: 3,
                ..Default::default()
            };
            let blank = ProduceResponsePartition { index: 5, ..Default::default() };
            let (mut answer, error_at) = write(version, topic, &blank);
            at.write_to(&mut answer, error_at, version);
            assert_eq!(answer, write(version, topic, &told).0, "version {version}");
            let refusal = Refusal::directory_full();
            let expected = write(version, topic, &describe_refusal(5, &refusal, &[])).0;
            assert_eq!(refused(&answer, version, &refusal).unwrap(), expected, "{version}");
        }
    }

    fn write(
        version: i16,
        topic: TopicRef<'_>,
        partition: &ProduceResponsePartition<'_>,
    ) -> (Vec<u8>, usize) {
        let mut answer = Vec::new();
        let mut writer = ProduceResponseWriter::begin(&mut answer, version, 99, 1).unwrap();
        writer.topic(topic, 1).unwrap();
        let error_at = writer.next_error_at();
        writer.partition(partition).unwrap();
        writer.finish(0, &[]).unwrap();
        (answer, error_at)
    }
}
