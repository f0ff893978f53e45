//! Produce: batches into partitions.

use std::sync::Arc;
use std::task::Context;

use ottla_env::Mono;
use ottla_records::{BatchLimits, CheckedBatch, Compression, Inside, check_produced};
use ottla_types::limits::INFLATED_BATCH_BYTES_MAX;
use ottla_types::{Offset, Timestamp, TimestampType};
use ottla_wire::ErrorCode;
use ottla_wire::hot::{
    ProducePartition, ProduceRequest, ProduceResponsePartition, ProduceResponseWriter, RecordError,
};

use super::Refused;
use super::errors::Refusal;
use super::gathered::{Asked, Ready, commit_by, gather, may_gather};
use super::keys::check_keys;
use super::legacy_produce::{OLD_FORMATS_UNTIL, as_batch};
use super::timestamps::check_timestamps;
use super::topic_cursor::TopicCursor;
use crate::broker::Broker;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled, ParkedProduce, Wait, WaitCodes};
use crate::partition::{Admission, Partition, TopicEntry};
use crate::watch::Refuser;

/// When a producer wants its answer: `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
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
    /// In the order of the request.
    results: Vec<PartitionResult>,
}

impl Progress {
    /// Forgets everything but the room that it takes.
    pub(crate) fn clear(&mut self) {
        self.results.clear();
    }

    /// Partitions that it has room for.
    pub(crate) fn room(&self) -> usize {
        self.results.capacity()
    }
}

#[derive(Debug)]
struct PartitionResult {
    index: i32,
    /// The first of its topic.
    opens_topic: bool,
    /// Where in the answer its error code stands, once that is written.
    error_at: usize,
    appended: Result<AppendedAt, Refusal>,
}

#[derive(Debug)]
struct AppendedAt {
    partition: Arc<Partition>,
    base_offset: Offset,
    /// The high watermark that says that it is committed.
    committed_at: Offset,
    /// It was at the time of the append.
    committed: bool,
    log_start: Offset,
    log_append_time: i64,
}

/// Handles a Produce request, from where `progress` left it.
pub(super) fn handle(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    body: &[u8],
    mut progress: Progress,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let request = ProduceRequest::decode(body, version)?;
    let acks = Acks::from_wire(request.acks);
    let done = progress.results.len();
    // What the oldest versions bring is converted, and may come to any size.
    let gathers = done == 0 && version > OLD_FORMATS_UNTIL && may_gather(&request, acks);
    if !gathers && !channel.has_caught_up() {
        return Ok(Handled::Kept(Blocked::Produce(progress)));
    }
    let mut topic = TopicCursor::default();
    let mut last = None;
    for (at, entry) in request.partitions.clone().enumerate() {
        let opens_topic = last.replace(entry.topic) != Some(entry.topic);
        if at < done {
            continue;
        }
        let entry_topic = topic.seek(&channel.broker.partitions, entry.topic);
        let index = entry.partition.index;
        let mut converted = Vec::new();
        let ready = prepare(channel, acks, version, entry_topic, &entry.partition, &mut converted);
        if gathers && let Ok(ready) = &ready {
            let all = acks == Some(Acks::All);
            let commit_by = all.then(|| commit_by(now, request.timeout_ms));
            let (topic, correlation_id) = (entry.topic, header.correlation_id);
            let asked = Asked { version, correlation_id, topic, index, commit_by };
            if gather(channel, ready, asked, cx)? {
                return Ok(Handled::Done);
            }
            if channel.is_held() {
                return Ok(Handled::Kept(Blocked::Produce(progress)));
            }
        }
        let appended = match ready.and_then(|ready| append(channel, &ready, cx)) {
            Ok(Some(appended)) => Ok(appended),
            Ok(None) => return Ok(Handled::Kept(Blocked::Produce(progress))),
            Err(refusal) => {
                count_refusal(channel, entry_topic, &entry.partition, &refusal);
                Err(refusal)
            }
        };
        progress.results.push(PartitionResult { index, opens_topic, error_at: 0, appended });
    }
    let correlation_id = header.correlation_id;
    let mut answer = Answered { version, correlation_id, request, progress };
    match acks {
        Some(Acks::None) => answer.without_acknowledgement()?,
        Some(Acks::Leader) | None => answer.now(channel)?,
        Some(Acks::All) => answer.once_committed(channel, now, cx)?,
    }
    channel.lane.keep_progress(answer.progress);
    Ok(Handled::Done)
}

#[cold]
fn count_refusal(
    channel: &Channel,
    topic: Result<&TopicEntry, ErrorCode>,
    data: &ProducePartition<'_>,
    refusal: &Refusal,
) {
    channel.broker.counters.on_error(Refuser::Produce, refusal.code.code());
    let Some(Ok(partition)) = topic.ok().map(|topic| topic.partition(data.index)) else { return };
    let too_large = match refusal.code {
        ErrorCode::MessageTooLarge => data.records.unwrap_or_default().len() as u64,
        _ => 0,
    };
    partition.traffic().on_append_refused(too_large);
}

/// A request with all its results.
struct Answered<'a> {
    version: i16,
    correlation_id: i32,
    request: ProduceRequest<'a>,
    progress: Progress,
}

impl Answered<'_> {
    fn without_acknowledgement(&self) -> Result<(), Refused> {
        // acks=0 has no answer that could carry the error. Closing is the only signal left:
        // clients refresh their metadata on disconnect and find the new leader.
        match self.progress.results.iter().any(|result| result.appended.is_err()) {
            true => Err(Refused::SilentAppendFailed),
            false => Ok(()),
        }
    }

    fn now(&mut self, channel: &mut Channel) -> Result<(), Refused> {
        channel.answer(|outbox| outbox.frame(|buffer| self.encode(buffer)))
    }

    /// Answers when the high watermark has passed every append, or the request's time is over.
    fn once_committed(
        &mut self,
        channel: &mut Channel,
        now: Mono,
        cx: &Context<'_>,
    ) -> Result<(), Refused> {
        let is_committed = |appended: &AppendedAt| {
            let needed = appended.committed_at;
            appended.committed || appended.partition.bounds().high_watermark.offset >= needed
        };
        if self.progress.results.iter().flat_map(|result| &result.appended).all(is_committed) {
            return self.now(channel);
        }
        let deadline = commit_by(now, self.request.timeout_ms);
        let mut parking = channel.lane.parking();
        self.encode(&mut parking.answer)?;
        let waits = self.progress.results.drain(..).filter_map(|result| {
            let error_at = result.error_at;
            let AppendedAt { partition, committed_at: needed, .. } = result.appended.ok()?;
            Some(Wait { partition, needed, error_at })
        });
        parking.waits.extend(waits);
        let codes = WaitCodes {
            timed_out: ErrorCode::RequestTimedOut.code(),
            gone: ErrorCode::NotLeaderOrFollower.code(),
        };
        channel.park(ParkedProduce::new(parking, deadline, codes, cx.waker()));
        Ok(())
    }

    /// Appends the whole answer, and notes where each partition's error code stands in it.
    fn encode(&mut self, buffer: &mut Vec<u8>) -> Result<(), Refused> {
        let (version, correlation_id) = (self.version, self.correlation_id);
        let results = &mut self.progress.results;
        let topics = results.iter().filter(|result| result.opens_topic).count();
        let mut writer = ProduceResponseWriter::begin(buffer, version, correlation_id, topics)?;
        let mut entries = self.request.partitions.clone();
        for at in 0..results.len() {
            let entry = entries.next().expect("every entry has its result");
            if results[at].opens_topic {
                let others = results[at + 1..].iter().take_while(|result| !result.opens_topic);
                writer.topic(entry.topic, 1 + others.count())?;
            }
            let result = &mut results[at];
            result.error_at = writer.next_error_at();
            let records = result.record_errors();
            writer.partition(&result.describe(&records))?;
        }
        writer.finish(0, &[])?;
        Ok(())
    }
}

impl PartitionResult {
    fn record_errors(&self) -> Vec<RecordError<'_>> {
        let refused = self.appended.as_ref().err().map(|refusal| refusal.records.as_slice());
        let mut told = Vec::new();
        for (index, message) in refused.unwrap_or_default() {
            let batch_index = i32::try_from(*index).unwrap_or(i32::MAX);
            told.push(RecordError { batch_index, message: Some(message) });
        }
        told
    }

    fn describe<'a>(&'a self, records: &'a [RecordError<'a>]) -> ProduceResponsePartition<'a> {
        let index = self.index;
        match &self.appended {
            Ok(appended) => ProduceResponsePartition {
                index,
                base_offset: appended.base_offset.get(),
                log_append_time_ms: appended.log_append_time,
                log_start_offset: appended.log_start.get(),
                ..Default::default()
            },
            Err(refusal) => describe_refusal(index, refusal, records),
        }
    }
}

/// What the answer says of a batch that was refused.
pub(super) fn describe_refusal<'a>(
    index: i32,
    refusal: &'a Refusal,
    records: &'a [RecordError<'a>],
) -> ProduceResponsePartition<'a> {
    ProduceResponsePartition {
        index,
        error_code: refusal.code.code(),
        base_offset: -1,
        log_start_offset: Offset::to_wire(refusal.log_start),
        record_errors: records,
        error_message: refusal.message.as_deref(),
        ..Default::default()
    }
}

/// Checks one partition's batch.
fn prepare<'a>(
    channel: &Channel,
    acks: Option<Acks>,
    version: i16,
    entry: Result<&'a TopicEntry, ErrorCode>,
    data: &ProducePartition<'a>,
    converted: &'a mut Vec<u8>,
) -> Result<Ready<'a>, Refusal> {
    if acks.is_none() {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let entry = entry?;
    // What stands in them decides what groups are: only their coordinators write to them.
    if Broker::is_internal(&entry.name) {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    let partition = entry.partition(data.index).map_err(ErrorCode::from)?;
    let settings = partition.settings();
    let image = || channel.broker.metadata.image();
    if acks == Some(Acks::All) && !partition.has_replicas_in_sync(image) {
        return Err(ErrorCode::NotEnoughReplicas.into());
    }
    let compacts = settings.cleanup.compacts();
    let inside = match compacts {
        true => Inside::Full { inflated_max: INFLATED_BATCH_BYTES_MAX },
        false => Inside::Header,
    };
    let limits = BatchLimits { size_max: settings.max_message_bytes, inside };
    let records = as_batch(data.records.unwrap_or_default(), version, converted)?;
    let mut batch = check_produced(records, limits)?;
    admit(&batch, version)?;
    if compacts {
        check_keys(&batch, partition.name(), partition.bounds().log_start)?;
    }
    let wall = channel.broker.env.clock.wall();
    let log_append_time = match settings.timestamp_type {
        TimestampType::CreateTime => {
            let log_start = || partition.bounds().log_start;
            check_timestamps(&batch, settings.legal_timestamps(wall), log_start)?;
            -1
        }
        TimestampType::LogAppendTime => {
            batch.stamp_append_time(wall);
            wall.millis()
        }
    };
    Ok(Ready { partition, batch, log_append_time })
}

/// Appends one partition's batch. `None`: no room just now; the connection will be woken.
fn append(
    channel: &Channel,
    ready: &Ready<'_>,
    cx: &Context<'_>,
) -> Result<Option<AppendedAt>, Refusal> {
    let Ready { partition, batch, log_append_time } = ready;
    match partition.append(&channel.broker.env, batch, cx.waker())? {
        Admission::Parked => Ok(None),
        Admission::Accepted { base_offset, committed_at, committed, log_start, before } => {
            // As in Kafka, whatever the topic's type of timestamps.
            let log_append_time =
                before.map_or(*log_append_time, |before| Timestamp::to_wire(before.timestamp));
            let partition = Arc::clone(partition);
            Ok(Some(AppendedAt {
                partition,
                base_offset,
                committed_at,
                committed,
                log_start,
                log_append_time,
            }))
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
