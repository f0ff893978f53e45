//! Fetch: batches out of partitions, as file ranges that nobody copies.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::{DiskExt, Mono};
use ottla_log::{ColdRange, ReadError, ReadOutcome, RecordSlice};
use ottla_types::Offset;
use ottla_types::planted::{self, Bug};
use ottla_wire::messages::FetchRequest;
use ottla_wire::messages::fetch_request::FetchPartition;
use ottla_wire::{ErrorCode, Reader};

use super::Refused;
use super::fetch_answer::write_answer;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled};
use crate::partition::{Bounds, Partition, TopicEntry};

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
    pub(super) bounds: Bounds,
    pub(super) slice: Option<RecordSlice>,
}

/// A partition that was read up to its high watermark.
struct Seen {
    partition: Arc<Partition>,
    high_watermark: Offset,
}

/// What a pass over the request came to.
#[derive(Default)]
struct Pass {
    reads: Vec<PartitionRead>,
    seen: Vec<Seen>,
    bytes: u32,
    /// An error that the client should hear of at once.
    urgent: bool,
    /// Pages that must be read from the device before the pass can be made.
    cold: Option<ColdRange>,
}

/// Handles a Fetch request; `deadline` is set when it has waited before.
pub(super) fn handle(
    channel: &mut Channel,
    header: AnswerHeader,
    version: i16,
    mut body: Reader<'_>,
    deadline: Option<Mono>,
    now: Mono,
    cx: &mut Context<'_>,
) -> Result<Handled, Refused> {
    let request = FetchRequest::decode(&mut body, version)?;
    if let Some(error) = session_error(&request) {
        write_answer(channel, header, version, &request, error, Vec::new())?;
        return Ok(Handled::Done);
    }
    let deadline = deadline.unwrap_or_else(|| {
        let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
        now.after(Duration::from_millis(wait))
    });
    let pass = read_all(channel, &request, version);
    if let Some(cold) = pass.cold {
        let disk = Arc::clone(&channel.broker.env.disk);
        let reading = Box::pin(async move {
            // Its bytes are wanted in the page cache only; if that fails, the next try says so.
            drop(disk.read_at(&cold.file, cold.at, cold.len).await);
        });
        return Ok(Handled::Kept(Blocked::Warming { reading, deadline }));
    }
    let missing = i64::from(request.min_bytes) - i64::from(pass.bytes);
    let nothing_to_wait_for = missing <= 0 || pass.urgent || pass.seen.is_empty();
    if nothing_to_wait_for || now >= deadline {
        channel.fetch_waiter.disarm();
        write_answer(channel, header, version, &request, ErrorCode::None, pass.reads)?;
        return Ok(Handled::Done);
    }
    channel.fetch_waiter.arm(missing, cx.waker());
    let waiter = &channel.fetch_waiter;
    let moved =
        pass.seen.iter().any(|seen| !seen.partition.park_fetch(seen.high_watermark, waiter));
    if moved {
        cx.waker().wake_by_ref();
    }
    Ok(Handled::Kept(Blocked::Fetch { deadline }))
}

/// There are no sessions yet: whoever asks for one is answered in full, and told so by a session
/// id of 0, as by a Kafka broker whose session cache is full (KIP-227).
fn session_error(request: &FetchRequest<'_>) -> Option<ErrorCode> {
    match request.session_epoch {
        SESSION_EPOCH_FINAL | SESSION_EPOCH_INITIAL => None,
        _ => Some(ErrorCode::FetchSessionIdNotFound),
    }
}

fn read_all(channel: &Channel, request: &FetchRequest<'_>, version: i16) -> Pass {
    let mut pass = Pass::default();
    let wanted = u32::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX);
    let from_replica = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
    for topic in &request.topics {
        let partitions = &channel.broker.partitions;
        let entry = match version {
            13.. => partitions.topic_by_id(topic.topic_id).ok_or(ErrorCode::UnknownTopicId),
            _ => partitions.topic(&topic.topic).ok_or(ErrorCode::UnknownTopicOrPartition),
        };
        for asked in &topic.partitions {
            let found = match &entry {
                // Nobody follows a partition that has one replica.
                Ok(_) if from_replica => Err(Trouble::Urgent(ErrorCode::NotLeaderOrFollower)),
                Ok(entry) => read_one(entry, &asked, wanted.saturating_sub(pass.bytes), &mut pass),
                Err(error) => Err(Trouble::Unknown(*error)),
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
            });
            pass.reads.push(PartitionRead { index: asked.partition, found });
        }
    }
    pass
}

enum Trouble {
    /// Answered at once, whatever the others wait for.
    Urgent(ErrorCode),
    /// The topic may be about to appear: no hurry.
    Unknown(ErrorCode),
    Cold(ColdRange),
}

fn read_one(
    entry: &TopicEntry,
    asked: &FetchPartition<'_>,
    budget: u32,
    pass: &mut Pass,
) -> Result<Found, Trouble> {
    let unknown = Trouble::Unknown(ErrorCode::UnknownTopicOrPartition);
    let partition = entry.partition(asked.partition).ok_or(unknown)?;
    check_epoch(partition, asked.current_leader_epoch).map_err(Trouble::Urgent)?;
    let mut bounds = partition.bounds();
    if planted::is(Bug::FetchShowsUnsyncedRecords) {
        bounds.high_watermark = bounds.log_end;
    }
    let out_of_range = Trouble::Urgent(ErrorCode::OffsetOutOfRange);
    let from = Offset::from_wire(asked.fetch_offset).ok_or(out_of_range)?;
    // Between the high watermark and the log's end lies what is not committed yet: not out of
    // range, but not to be read either.
    if from < bounds.log_start || from > bounds.log_end.offset {
        return Err(Trouble::Urgent(ErrorCode::OffsetOutOfRange));
    }
    let wanted = u32::try_from(asked.partition_max_bytes).unwrap_or(0).min(budget);
    let first = pass.bytes == 0;
    let slice = match wanted {
        0 if !first => None,
        _ if from >= bounds.high_watermark.offset => None,
        _ => match partition.view().read(from, bounds.high_watermark, wanted, first) {
            Ok(ReadOutcome::Slice(slice)) => Some(slice),
            Ok(ReadOutcome::Empty) => None,
            Ok(ReadOutcome::Cold(cold)) => return Err(Trouble::Cold(cold)),
            Err(ReadError::BelowStart { .. } | ReadError::BeyondEnd { .. }) => {
                return Err(Trouble::Urgent(ErrorCode::OffsetOutOfRange));
            }
            Err(error @ (ReadError::Damaged { .. } | ReadError::Storage(_))) => {
                tracing::error!(partition = %partition.name(), %error, "read failed");
                return Err(Trouble::Urgent(ErrorCode::KafkaStorageError));
            }
        },
    };
    pass.bytes += slice.as_ref().map_or(0, |slice| slice.len);
    let high_watermark = bounds.high_watermark.offset;
    pass.seen.push(Seen { partition: Arc::clone(partition), high_watermark });
    Ok(Found { bounds, slice })
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
