//! Produce: batches into partitions.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::Mono;
use ottla_records::{BatchLimits, CheckedBatch, Compression, Inside, check_produced};
use ottla_types::{Offset, TimestampType, Uuid};
use ottla_wire::messages::produce_request::PartitionProduceData;
use ottla_wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use ottla_wire::messages::{ProduceRequest, ProduceResponse};
use ottla_wire::{ErrorCode, Reader, Writer};

use super::Refused;
use super::errors::Refusal;
use crate::connection::{
    AnswerHeader, Blocked, Channel, Handled, Outbox, ParkedProduce, Wait,
};
use crate::partition::{Admission, Partition, TopicEntry, legal_timestamps};

/// When a producer wants its answer: `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    /// Never.
    None,
    /// When the leader has appended.
    Leader,
    /// When the append is committed.
    All,
}

impl Acks {
    fn from_wire(raw: i16) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::All),
            _ => None,
        }
    }
}

/// How far a request has come: it is kept while an append waits for room.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    topics: Vec<TopicResult>,
    waits: Vec<Wait>,
    /// Partitions that are done with.
    done: usize,
}

#[derive(Debug)]
struct TopicResult {
    name: String,
    id: Uuid,
    partitions: Vec<PartitionResult>,
}

#[derive(Debug)]
struct PartitionResult {
    index: i32,
    /// Counted over all partitions of the request.
    place: usize,
    appended: Result<AppendedAt, Refusal>,
}

#[derive(Clone, Copy, Debug)]
struct AppendedAt {
    base_offset: Offset,
    log_start: Offset,
    log_append_time: i64,
}

/// An answer that nobody has been given yet.
#[derive(Debug)]
pub(crate) struct Unanswered {
    header: AnswerHeader,
    version: i16,
    topics: Vec<TopicResult>,
}

/// How waiting for a commit can end badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitEnd {
    TimedOut,
    /// The topic was deleted.
    Gone,
}

impl Unanswered {
    /// The append at `place` will not be known to be committed.
    pub(crate) fn end_wait(&mut self, place: usize, end: WaitEnd) {
        let code = match end {
            WaitEnd::TimedOut => ErrorCode::RequestTimedOut,
            WaitEnd::Gone => ErrorCode::NotLeaderOrFollower,
        };
        let mut results = self.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        let result = results.find(|result| result.place == place);
        result.expect("a wait is for a partition of the request").appended = Err(code.into());
    }

    /// Encodes the answer.
    pub(crate) fn write(self, outbox: &mut Outbox) -> Result<(), Refused> {
        let (header, version) = (self.header, self.version);
        let response = ProduceResponse {
            responses: self.topics.iter().map(topic_response).collect(),
            ..Default::default()
        };
        outbox.answer(header, |buffer| Ok(response.encode(&mut Writer::new(buffer), version)?))
    }
}

fn topic_response(topic: &TopicResult) -> TopicProduceResponse<'_> {
    TopicProduceResponse {
        name: topic.name.as_str().into(),
        topic_id: topic.id,
        partition_responses: topic.partitions.iter().map(partition_response).collect(),
        ..Default::default()
    }
}

fn partition_response(result: &PartitionResult) -> PartitionProduceResponse<'_> {
    let index = result.index;
    match &result.appended {
        Ok(appended) => PartitionProduceResponse {
            index,
            base_offset: appended.base_offset.get(),
            log_append_time_ms: appended.log_append_time,
            log_start_offset: appended.log_start.get(),
            ..Default::default()
        },
        Err(refusal) => PartitionProduceResponse {
            index,
            error_code: refusal.code.code(),
            base_offset: -1,
            error_message: refusal.message.as_deref().map(Into::into),
            ..Default::default()
        },
    }
}

/// Handles a Produce request, from where `progress` left it.
pub(super) fn handle(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    mut body: Reader<'_>,
    mut progress: Progress,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let request = ProduceRequest::decode(&mut body, version)?;
    let acks = Acks::from_wire(request.acks);
    let mut place = 0;
    for topic in &request.topic_data {
        let entry = if version >= 13 {
            channel.broker.partitions.topic_by_id(topic.topic_id)
        } else {
            channel.broker.partitions.topic(&topic.name)
        };
        for data in &topic.partition_data {
            place += 1;
            if place <= progress.done {
                continue;
            }
            let index = data.index;
            let appended = match append(channel, acks, version, entry.as_deref(), &data, cx) {
                Ok(Some((appended, wait))) => {
                    let waits = (acks == Some(Acks::All)).then_some(wait);
                    progress.waits.extend(waits.map(|(partition, needed)| {
                        Wait { partition, needed, place }
                    }));
                    Ok(appended)
                }
                Ok(None) => return Ok(Handled::Kept(Blocked::Produce(progress))),
                Err(refusal) => Err(refusal),
            };
            progress.record(&topic.name, topic.topic_id, PartitionResult { index, place, appended });
        }
    }
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    finish(channel, header, version, acks, progress, now.after(timeout), cx)
}

impl Progress {
    fn record(&mut self, name: &str, id: Uuid, result: PartitionResult) {
        self.done = result.place;
        match self.topics.last_mut().filter(|last| last.name == name && last.id == id) {
            Some(last) => last.partitions.push(result),
            None => {
                self.topics.push(TopicResult { name: name.to_owned(), id, partitions: vec![result] });
            }
        }
    }
}

fn finish(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    acks: Option<Acks>,
    progress: Progress,
    deadline: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let Progress { topics, mut waits, .. } = progress;
    if acks == Some(Acks::None) {
        let failed = topics.iter().flat_map(|topic| &topic.partitions).any(|p| p.appended.is_err());
        // acks=0 has no answer that could carry the error. Closing is the only signal left:
        // clients refresh their metadata on disconnect and find the new leader.
        return if failed { Err(Refused::SilentAppendFailed) } else { Ok(Handled::Done) };
    }
    waits.retain(|wait| wait.partition.bounds().high_watermark.offset < wait.needed);
    let answer = Unanswered { header, version, topics };
    if !waits.is_empty() {
        channel.park(ParkedProduce::new(answer, waits, deadline, cx.waker()));
    } else {
        channel.answer(|outbox| answer.write(outbox))?;
    }
    Ok(Handled::Done)
}

type Committed = (Arc<Partition>, Offset);

/// Appends one partition's batch. `None`: no room just now; the connection will be woken.
fn append(
    channel: &Channel,
    acks: Option<Acks>,
    version: i16,
    entry: Option<&TopicEntry>,
    data: &PartitionProduceData<'_>,
    cx: &Context<'_>,
) -> Result<Option<(AppendedAt, Committed)>, Refusal> {
    if acks.is_none() {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let unknown = || match version {
        13.. if entry.is_none() => ErrorCode::UnknownTopicId,
        _ => ErrorCode::UnknownTopicOrPartition,
    };
    let partition = entry.and_then(|entry| entry.partition(data.index)).ok_or_else(unknown)?;
    let settings = partition.settings();
    let limits = BatchLimits { size_max: settings.message_bytes_max, inside: Inside::Header };
    let records = data.records.as_deref().unwrap_or_default();
    let mut batch = check_produced(records, limits)?;
    admit(&batch, version)?;
    let wall = channel.broker.env.clock.wall();
    let log_append_time = match settings.timestamp_type {
        TimestampType::CreateTime => {
            let (earliest, latest) = legal_timestamps(wall);
            batch.check_timestamps(earliest, latest)?;
            -1
        }
        TimestampType::LogAppendTime => {
            batch.stamp_append_time(wall);
            wall.millis()
        }
    };
    match partition.append(&channel.broker.env, &batch, cx.waker())? {
        Admission::Parked => Ok(None),
        Admission::Accepted { base_offset, committed_at } => {
            let log_start = partition.bounds().log_start;
            let appended = AppendedAt { base_offset, log_start, log_append_time };
            Ok(Some((appended, (Arc::clone(partition), committed_at))))
        }
    }
}

/// What the request's version, and what is not there yet, forbid.
fn admit(batch: &CheckedBatch<'_>, version: i16) -> Result<(), Refusal> {
    let attributes = batch.header().attributes;
    if attributes.compression() == Compression::Zstd && version < 7 {
        return Err(ErrorCode::UnsupportedCompressionType.into());
    }
    if attributes.is_transactional() {
        return Err(ErrorCode::InvalidTxnState.into());
    }
    Ok(())
}
