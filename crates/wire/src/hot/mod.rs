//! Produce and Fetch by hand: the paths that every record takes.
//!
//! Requests are visited where they lie in the frame, without one allocation; responses are appended
//! to a buffer of the loop, with a hole wherever record bytes go, so that those are never copied.
//! The generated messages of the same names say the same, byte for byte; tests hold them together.

mod by_topic;
mod fetch_request;
mod fetch_response;
mod produce_request;
mod produce_response;
mod response;

pub use by_topic::{ByTopic, Entry, TopicRef, Visit};
pub use fetch_request::{FetchPartition, FetchRequest};
pub use fetch_response::{
    AbortedTransaction, EpochAndOffset, FetchResponseHead, FetchResponsePartition,
    FetchResponseWriter, ResponseRecords,
};
pub use produce_request::{ProducePartition, ProduceRequest};
pub use produce_response::{
    ProduceResponsePartition, ProduceResponseWriter, ProducedAt, RecordError,
};

/// A leader and its epoch, in the tagged fields that spare a client one metadata request (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// The leader's node id, -1 if there is none.
    pub leader_id: i32,
    /// Its epoch, -1 if unknown.
    pub leader_epoch: i32,
}

impl CurrentLeader {
    /// What Kafka leaves off the wire.
    const UNSET: Self = Self { leader_id: -1, leader_epoch: -1 };
}

/// Where to find a leader that a response names (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeEndpoint<'a> {
    /// The node.
    pub node_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<&'a str>,
}
