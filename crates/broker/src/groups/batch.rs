//! Records of groups on their way into a batch, and how many bytes a request may lead to.

use ottla_coordinator::{CommitOffsets, GroupRecord, GroupRequest};
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, NewRecord};
use ottla_types::Timestamp;

/// A batch that grows.
#[derive(Debug)]
pub(super) struct Batch {
    builder: BatchBuilder,
    now: Timestamp,
}

impl Batch {
    /// Without a record.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { builder: BatchBuilder::new(BatchOptions::default()), now }
    }

    pub(super) fn push(&mut self, record: &GroupRecord) {
        let bytes = record.encode();
        let (key, value) = (Some(bytes.key.as_slice()), bytes.value.as_deref());
        self.builder.push(NewRecord { timestamp: self.now, key, value, headers: &[] });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.builder.count() == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.builder.uncompressed_size()
    }

    /// # Panics
    /// If there is no record in it, or more than 2 GiB: whoever appends has looked.
    pub(super) fn build(self) -> BuiltBatch {
        self.builder.build()
    }
}

/// Bytes of a record around its names: lengths, numbers, its own header.
const RECORD_FRAME_BYTES: usize = 80;

/// About how many bytes of records a request leads to by itself. Each offset is a record with the
/// group's and the topic's name, so it may be a thousand times the request.
pub(super) fn bytes_of(request: &GroupRequest) -> usize {
    match request {
        GroupRequest::CommitOffsets(commit) => commit_bytes(commit),
        GroupRequest::DeleteOffsets(delete) => {
            let topic = |topic: &ottla_coordinator::NamedPartitions| {
                let names = delete.group.as_str().len() + topic.name.len();
                topic.partitions.len() * (RECORD_FRAME_BYTES + names)
            };
            delete.topics.iter().map(topic).sum()
        }
        GroupRequest::Join(join) => join.protocols.iter().map(|it| it.metadata.len()).sum(),
        GroupRequest::Sync(sync) => sync.assignments.iter().map(|it| it.assignment.len()).sum(),
        GroupRequest::ConsumerHeartbeat(heartbeat) => {
            let topics = heartbeat.topics.iter().flatten().map(|topic| topic.len() + 2);
            topics.sum::<usize>() + heartbeat.regex.as_ref().map_or(0, |regex| regex.len())
        }
        GroupRequest::Heartbeat(_)
        | GroupRequest::Leave(_)
        | GroupRequest::FetchOffsets(_)
        | GroupRequest::Describe(_)
        | GroupRequest::List(_)
        | GroupRequest::Survey { .. }
        | GroupRequest::ConsumerDescribe(_)
        | GroupRequest::Delete(_) => 0,
    }
}

fn commit_bytes(commit: &CommitOffsets) -> usize {
    let topics = commit.topics.iter().map(|topic| {
        let names = commit.group.as_str().len() + topic.name.as_str().len();
        let metadata: usize = topic.partitions.iter().map(|it| it.metadata.len()).sum();
        topic.partitions.len() * (RECORD_FRAME_BYTES + names) + metadata
    });
    topics.sum()
}
