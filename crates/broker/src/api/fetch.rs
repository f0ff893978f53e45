//! Fetch: batches out of partitions, as file ranges that nobody copies.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::Mono;
use ottla_log::{
    AbortedTransaction, Cold, Located, LogPosition, LogView, ReadError, ReadOutcome, RecordSlice,
};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};
use ottla_wire::ErrorCode;
use ottla_wire::hot::{FetchPartition, FetchRequest};

use super::Refused;
use super::fetch_answer::write_answer;
use super::topic_cursor::TopicCursor;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled};
use crate::partition::{Absent, Bounds, Isolation, Partition, TopicEntry};

/// Kafka's `fetch.max.bytes`: the largest answer, whatever the client asks for.
const ANSWER_BYTES_MAX: u32 = 55 * 1024 * 1024;

/// The session epoch that closes a session, or does without one.
const SESSION_EPOCH_FINAL: i32 = -1;
/// The session epoch that asks for a new session.
const SESSION_EPOCH_INITIAL: i32 = 0;

/// What one partition of the request gives.
#[derive(Debug)]
pub(super) struct PartitionRead {
    pub(super) index: i32,
    pub(super) found: Result<Found, ErrorCode>,
}

/// Part of a partition's log.
#[derive(Debug)]
pub(super) struct Found {
    partition: Arc<Partition>,
    pub(super) bounds: Bounds,
    pub(super) records: Records,
}

/// Where the records lie.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) slice: Option<RecordSlice>,
    /// What a reader of committed records has to skip in them.
    pub(super) aborted: Vec<AbortedTransaction>,
}

/// A fetch that could not be answered at once.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// When it is answered whatever there is.
    pub(crate) deadline: Mono,
    /// What could not be warmed: it stays cold, and would be tried for ever.
    unreadable: Option<Cold>,
}

/// What a pass over the request came to.
#[derive(Default)]
struct Pass {
    reads: Vec<PartitionRead>,
    bytes: u32,
    /// There is something that the client should hear of at once, or nothing to wait for.
    urgent: bool,
    /// What must come from the device before the pass can be made.
    cold: Option<Cold>,
    /// Partitions whose logs are being opened, and must be for the pass to be made.
    asleep: Vec<Arc<Partition>>,
}

impl Pass {
    fn found(&self) -> impl Iterator<Item = &Found> {
        self.reads.iter().filter_map(|read| read.found.as_ref().ok())
    }
}

/// Handles a Fetch request; `waited` is set when it has waited before.
pub(super) fn handle(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    body: &[u8],
    waited: Option<Waiting>,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let request = FetchRequest::decode(body, version)?;
    if let Some(error) = session_error(&request) {
        write_answer(channel, header, version, &request, error, Vec::new())?;
        return Ok(Handled::Done);
    }
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = waited.as_ref().map_or_else(|| now.after(wait), |waited| waited.deadline);
    let unreadable = waited.and_then(|waited| waited.unreadable);
    let wanted = u32::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let pass = read_all(channel, &request, wanted, unreadable.as_ref());
    if !pass.asleep.is_empty() {
        return Ok(Handled::Kept(awake(channel, pass.asleep, deadline, unreadable)));
    }
    if let Some(cold) = pass.cold {
        return Ok(Handled::Kept(warm(channel, cold, deadline)));
    }
    // Nobody waits for more than the answer may hold.
    let least = i64::from(request.min_bytes).min(i64::from(wanted));
    let missing = least - i64::from(pass.bytes);
    let nothing_to_wait_for = missing <= 0 || pass.urgent || pass.found().next().is_none();
    if nothing_to_wait_for || now >= deadline {
        channel.fetch_waiter.disarm();
        write_answer(channel, header, version, &request, ErrorCode::None, pass.reads)?;
        return Ok(Handled::Done);
    }
    let isolation = Isolation::from_wire(request.isolation_level);
    channel.fetch_waiter.arm(missing, isolation, cx.waker());
    let waiter = &channel.fetch_waiter;
    let parks = |found: &Found| found.partition.park_fetch(&found.bounds, waiter);
    if !pass.found().all(parks) {
        cx.waker().wake_by_ref();
    }
    Ok(Handled::Kept(Blocked::Fetch(Waiting { deadline, unreadable: None })))
}

/// Has what is cold read from the device.
fn warm(channel: &Channel, cold: Cold, deadline: Mono) -> Blocked {
    let disk = Arc::clone(&channel.broker.env.disk);
    Blocked::Warming(Box::pin(async move {
        let warmed = cold.warm(&disk).await;
        if let Err(error) = &warmed {
            tracing::error!(?cold, %error, "a segment cannot be read");
        }
        Waiting { deadline, unreadable: warmed.is_err().then_some(cold) }
    }))
}

/// Waits until logs are open. One that cannot be is offline then, and the next pass says so.
fn awake(
    channel: &Channel,
    asleep: Vec<Arc<Partition>>,
    deadline: Mono,
    unreadable: Option<Cold>,
) -> Blocked {
    let env = channel.broker.env.clone();
    Blocked::Warming(Box::pin(async move {
        for partition in asleep {
            let _offline = partition.opened(&env).await;
        }
        Waiting { deadline, unreadable }
    }))
}

/// There are no sessions yet: whoever asks for one is answered in full, and told so by a session
/// id of 0, as by a Kafka broker whose session cache is full (KIP-227).
fn session_error(request: &FetchRequest<'_>) -> Option<ErrorCode> {
    match request.session_epoch {
        SESSION_EPOCH_FINAL | SESSION_EPOCH_INITIAL => None,
        _ => Some(ErrorCode::FetchSessionIdNotFound),
    }
}

fn read_all(
    channel: &Channel,
    request: &FetchRequest<'_>,
    wanted: u32,
    unreadable: Option<&Cold>,
) -> Pass {
    let mut pass = Pass::default();
    let isolation = Isolation::from_wire(request.isolation_level);
    let mut topics = TopicCursor::default();
    let partitions = &channel.broker.partitions;
    for entry in request.partitions.clone() {
        let asked = &entry.partition;
        let budget = wanted.saturating_sub(pass.bytes);
        let found = match topics.seek(partitions, entry.topic) {
            // Nobody follows a partition that has one replica.
            Ok(_) if request.replica_id >= 0 => {
                Err(Trouble::Urgent(ErrorCode::NotLeaderOrFollower))
            }
            Ok(topic) => read_one(topic, asked, (budget, isolation), unreadable, &mut pass),
            Err(error) => Err(Trouble::Unknown(error)),
        };
        let found = found.map_err(|trouble| match trouble {
            Trouble::Urgent(error) => {
                pass.urgent = true;
                error
            }
            Trouble::Unknown(error) => error,
            Trouble::Cold(cold) => {
                pass.cold = Some(cold);
                ErrorCode::None
            }
            Trouble::Asleep(partition) => {
                partition.open_soon(&channel.broker.env);
                pass.asleep.push(partition);
                ErrorCode::None
            }
        });
        pass.reads.push(PartitionRead { index: asked.partition, found });
    }
    pass
}

enum Trouble {
    /// Answered at once, whatever the others wait for.
    Urgent(ErrorCode),
    /// The topic may be about to appear: no hurry.
    Unknown(ErrorCode),
    Cold(Cold),
    /// What committed readers have to know, nobody knows before the log is open.
    Asleep(Arc<Partition>),
}

fn read_one(
    entry: &TopicEntry,
    asked: &FetchPartition,
    (budget, isolation): (u32, Isolation),
    unreadable: Option<&Cold>,
    pass: &mut Pass,
) -> Result<Found, Trouble> {
    let partition = entry.partition(asked.partition).map_err(|absent| match absent {
        Absent::Unknown => Trouble::Unknown(absent.into()),
        Absent::Offline => Trouble::Urgent(absent.into()),
    })?;
    check_epoch(partition, asked.current_leader_epoch).map_err(Trouble::Urgent)?;
    if isolation == Isolation::ReadCommitted && !partition.is_open() {
        return Err(Trouble::Asleep(Arc::clone(partition)));
    }
    let bounds = bounds_of(partition);
    let out_of_range = Trouble::Urgent(ErrorCode::OffsetOutOfRange);
    let from = Offset::from_wire(asked.fetch_offset).ok_or(out_of_range)?;
    // Between the high watermark and the log's end lies what is not committed yet: not out of
    // range, but not to be read either.
    if from < bounds.log_start || from > bounds.log_end.offset {
        return Err(Trouble::Urgent(ErrorCode::OffsetOutOfRange));
    }
    let wanted = u32::try_from(asked.partition_max_bytes).unwrap_or(0).min(budget);
    let first = pass.bytes == 0;
    let end = bounds.readable_end(isolation);
    let records = match from < end && (wanted > 0 || first) {
        true => {
            let reading = Reading { partition, bounds: &bounds, isolation };
            reading.records(from, wanted, first).or_else(|trouble| give_up(trouble, unreadable))?
        }
        false => Records::default(),
    };
    // What can be read and is not in the answer, for want of room or because an answer has bytes
    // of one segment only, is nothing that waiting would bring.
    let newest = bounds.high_watermark.segment_base;
    let in_older_segment = records.slice.as_ref().map(|slice| slice.first.segment_base < newest);
    pass.urgent |= from < end && in_older_segment.unwrap_or(true);
    pass.bytes += records.slice.as_ref().map_or(0, |slice| slice.len);
    Ok(Found { partition: Arc::clone(partition), bounds, records })
}

/// What the device could not read is not waited for again.
fn give_up(trouble: Trouble, unreadable: Option<&Cold>) -> Result<Records, Trouble> {
    match (trouble, unreadable) {
        (Trouble::Cold(cold), Some(same)) if same.is_same(&cold) => {
            Err(Trouble::Urgent(ErrorCode::KafkaStorageError))
        }
        // The answer goes out because of another partition; this one has its turn next time.
        (Trouble::Cold(_), Some(_)) => Ok(Records::default()),
        (trouble, _) => Err(trouble),
    }
}

fn bounds_of(partition: &Partition) -> Bounds {
    let mut bounds = partition.bounds();
    if planted::is(Bug::FetchShowsUnsyncedRecords) {
        bounds.high_watermark = bounds.log_end;
        bounds.last_stable = bounds.log_end.offset;
    }
    bounds
}

/// A read of one partition.
struct Reading<'a> {
    partition: &'a Partition,
    /// Loaded before the view.
    bounds: &'a Bounds,
    isolation: Isolation,
}

impl Reading<'_> {
    /// At most `wanted` bytes from `from` on; with `first`, at least one batch.
    fn records(&self, from: Offset, wanted: u32, first: bool) -> Result<Records, Trouble> {
        let view = self.partition.view();
        let upto = self.readable(&view)?;
        let slice = match view.read(from, upto, wanted, first) {
            Ok(ReadOutcome::Slice(slice)) => slice,
            Ok(ReadOutcome::Empty) => return Ok(Records::default()),
            Ok(ReadOutcome::Cold(cold)) => return Err(Trouble::Cold(cold)),
            Err(error) => return Err(self.failed(&error)),
        };
        let aborted = match self.isolation {
            Isolation::ReadUncommitted => Vec::new(),
            Isolation::ReadCommitted => {
                view.aborted(from, view.end_of(&slice, upto.offset)).map_err(Trouble::Cold)?
            }
        };
        Ok(Records { slice: Some(slice), aborted })
    }

    /// Where the readable part of the log ends. The high watermark's place is known; that of a
    /// last stable offset below it is looked up.
    fn readable(&self, view: &LogView) -> Result<LogPosition, Trouble> {
        let (end, hw) = (self.bounds.readable_end(self.isolation), self.bounds.high_watermark);
        if end == hw.offset {
            return Ok(hw);
        }
        match view.position_of(end, hw) {
            Ok(Located::Batch(position)) => Ok(position),
            Ok(Located::End) => Ok(hw),
            Ok(Located::Cold(cold)) => Err(Trouble::Cold(cold)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &ReadError) -> Trouble {
        match error {
            ReadError::BelowStart { .. } | ReadError::BeyondEnd { .. } => {
                Trouble::Urgent(ErrorCode::OffsetOutOfRange)
            }
            ReadError::Damaged { .. } | ReadError::Storage(_) => {
                tracing::error!(partition = %self.partition.name(), %error, "read failed");
                Trouble::Urgent(ErrorCode::KafkaStorageError)
            }
        }
    }
}

/// A client that knows another leader epoch has to refresh its metadata (KIP-320).
pub(super) fn check_epoch(partition: &Partition, asked: i32) -> Result<(), ErrorCode> {
    let own = partition.leader_epoch().ok_or(ErrorCode::NotLeaderOrFollower)?;
    match asked {
        -1 => Ok(()),
        asked if asked < own.get() => Err(ErrorCode::FencedLeaderEpoch),
        asked if asked > own.get() => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
