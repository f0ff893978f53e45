//! Fetch: batches out of partitions, as file ranges that nobody copies.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ottla_env::Mono;
use ottla_wire::ErrorCode;
use ottla_wire::hot::FetchRequest;

use super::Refused;
use super::fetch_answer::write_answer;
use super::fetch_read::{Found, PartitionRead, Pass, Wanted, Warmed};
use super::topic_cursor::TopicCursor;
use crate::connection::{AnswerHeader, Blocked, Channel, Handled};
use crate::partition::{Cold, Isolation, Partition};

/// Kafka's `fetch.max.bytes`: the largest answer, whatever the client asks for.
const ANSWER_BYTES_MAX: u32 = 55 * 1024 * 1024;

/// The session epoch that closes a session, or does without one.
const SESSION_EPOCH_FINAL: i32 = -1;
/// The session epoch that asks for a new session.
const SESSION_EPOCH_INITIAL: i32 = 0;

/// A fetch that could not be answered at once.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// When it is answered whatever there is.
    pub(crate) deadline: Mono,
    warmed: Option<Warmed>,
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
    let warmed = waited.and_then(|waited| waited.warmed);
    let wanted = Wanted {
        bytes: u32::try_from(request.max_bytes).unwrap_or(0).min(ANSWER_BYTES_MAX),
        isolation: Isolation::from_wire(request.isolation_level),
        warmed: warmed.as_ref(),
    };
    let (pass, reads) = read_all(channel, &request, wanted);
    let missing = pass.missing(&request, wanted, now >= deadline);
    if missing <= 0 {
        channel.fetch_waiter.disarm();
        speculate(channel, &pass.cold);
        write_answer(channel, header, version, &request, ErrorCode::None, reads)?;
        return Ok(Handled::Done);
    }
    if let Some(((partition, cold), others)) = pass.cold.split_first() {
        speculate(channel, others);
        return Ok(Handled::Kept(warm(channel, partition, cold.clone(), deadline)));
    }
    channel.fetch_waiter.arm(missing, wanted.isolation, cx.waker());
    let waiter = &channel.fetch_waiter;
    let parks = |found: &Found| found.partition.park_fetch(&found.bounds, waiter);
    if !reads.iter().filter_map(|read| read.found.as_ref().ok()).all(parks) {
        cx.waker().wake_by_ref();
    }
    Ok(Handled::Kept(Blocked::Fetch(Waiting { deadline, warmed: None })))
}

impl Pass {
    /// Bytes that the answer must wait for; none if it has them, or waiting brings nothing.
    fn missing(&self, request: &FetchRequest<'_>, wanted: Wanted<'_>, late: bool) -> i64 {
        // Nobody waits for more than the answer may hold.
        let least = i64::from(request.min_bytes).min(i64::from(wanted.bytes));
        // What is on the device is there: at the deadline too it is waited for, unless there is
        // something else to answer with.
        let late = late && (self.cold.is_empty() || self.bytes > 0);
        match self.urgent || late || self.found == 0 {
            true => 0,
            false => least - i64::from(self.bytes),
        }
    }
}

/// Has bytes read into the page cache.
fn warm(channel: &Channel, partition: &Partition, cold: Cold, deadline: Mono) -> Blocked {
    let disk = Arc::clone(&channel.broker.env.disk);
    let directory = Arc::clone(partition.directory());
    Blocked::Warming(Box::pin(async move {
        let read = directory.read_ahead.warm(&disk, &cold).await;
        if let Err(error) = &read {
            tracing::error!(?cold, %error, "the device cannot read a segment");
        }
        Waiting { deadline, warmed: Some(Warmed { cold, readable: read.is_ok() }) }
    }))
}

/// Has bytes read that this fetch does without, for the next one.
fn speculate(channel: &Channel, cold: &[(Arc<Partition>, Cold)]) {
    for (partition, cold) in cold {
        partition.directory().read_ahead.speculate(&channel.broker.env, cold.clone());
    }
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
    wanted: Wanted<'_>,
) -> (Pass, Vec<PartitionRead>) {
    let (mut pass, mut reads) = (Pass::default(), Vec::new());
    let mut topics = TopicCursor::default();
    let partitions = &channel.broker.partitions;
    for entry in request.partitions.clone() {
        let asked = &entry.partition;
        let found = match topics.seek(partitions, entry.topic) {
            // Nobody follows a partition that has one replica.
            Ok(_) if request.replica_id >= 0 => {
                pass.urgent = true;
                Err(ErrorCode::NotLeaderOrFollower)
            }
            Ok(topic) => pass.read(topic, asked, wanted),
            Err(error) => Err(error),
        };
        reads.push(PartitionRead { index: asked.partition, found });
    }
    (pass, reads)
}
