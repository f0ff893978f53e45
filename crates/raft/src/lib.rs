//! KRaft consensus as a pure machine.
//!
//! [`RaftNode`] is told what happened and answers what to do; it reads no clock and writes no file.
//! It leads a quorum of one; a voter set of more is refused at the door until elections exist.
//! Sources: KIP-595 (the protocol), KIP-630 (snapshots), KIP-853 (voters in the log).

mod json;
mod node;
mod quorum_state;
mod snapshot_id;
mod voters;

pub use json::JsonError;
pub use node::{
    ControlBatch, ControlRecord, Effect, Event, Identity, LogEnd, NotElectable, RaftNode,
};
pub use quorum_state::{QuorumState, QuorumStateError, Vote};
pub use snapshot_id::SnapshotId;
pub use voters::{Endpoint, KRaftVersion, Voter, VoterSet, Voters};
