//! A record on its way to a topic.

use bytes::Bytes;
use ottla_types::{PartitionId, Timestamp};

/// A record to be written.
///
/// ```
/// use ottla_client::Record;
///
/// let paid = Record::to("orders").key("order-7").value("paid").header("by", "card");
/// # drop(paid);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing happens before `Producer::send`"]
pub struct Record {
    pub(super) topic: String,
    pub(super) partition: Option<PartitionId>,
    pub(super) timestamp: Option<Timestamp>,
    /// Decides the partition, unless that is named.
    pub key: Option<Bytes>,
    /// What is said; `None` is a tombstone where a topic is compacted.
    pub value: Option<Bytes>,
    /// Whatever else there is to say, by name.
    pub headers: Vec<(String, Option<Bytes>)>,
}

impl Record {
    /// A record of a topic, with nothing in it yet.
    pub fn to(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// Sets the key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Names the partition.
    pub const fn partition(mut self, partition: PartitionId) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Sets the time that it is about. Default: when it is sent.
    pub const fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// About what it takes in a batch.
    pub(super) fn size(&self) -> usize {
        let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len) + 5;
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + 5 + len(value)).sum();
        // Length, attributes, timestamp and offset deltas, count of headers.
        21 + len(&self.key) + len(&self.value) + headers
    }
}
