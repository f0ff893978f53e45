//! One voter of the quorum.

use ottla_types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};

use crate::quorum_state::QuorumState;
use crate::voters::{Endpoint, KRaftVersion, Voter, VoterSet, Voters};

/// Who this node is in the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `node.id`.
    pub node: NodeId,
    /// The directory that holds the metadata log.
    pub directory: Uuid,
    /// The controller listeners, in the order of the configuration.
    pub endpoints: Vec<Endpoint>,
}

/// Where the log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The next offset.
    pub offset: Offset,
    /// The epoch of the last record; `None` in an empty log.
    pub epoch: Option<LeaderEpoch>,
}

/// What happened. Events of one node arrive in the order in which they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The host is ready to lead.
    Campaign,
    /// The quorum-state of [`Effect::WriteQuorumState`] is durable.
    QuorumStateWritten,
    /// The log ends at this offset now, in the page cache.
    Appended(Offset),
    /// The log is durable below this offset.
    Synced(Offset),
}

/// What to do.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this state durable, then report [`Event::QuorumStateWritten`].
    WriteQuorumState(QuorumState),
    /// Append this batch where the log ends, then report [`Event::Appended`]. This node leads from
    /// here on.
    Append(ControlBatch),
    /// Everything below this offset is committed.
    AdvanceHighWatermark(Offset),
}

/// The batch that opens an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlBatch {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Of every record in the batch.
    pub timestamp: Timestamp,
    /// At least a [`ControlRecord::LeaderChange`].
    pub records: Vec<ControlRecord>,
}

/// A record that speaks about the quorum itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlRecord {
    /// An epoch begins.
    LeaderChange {
        /// The leader.
        leader: NodeId,
        /// The voters of the epoch.
        voters: Vec<NodeId>,
        /// Those who voted for the leader.
        granting: Vec<NodeId>,
    },
    /// The level of `kraft.version`.
    Version(KRaftVersion),
    /// The voters from here on.
    Voters(VoterSet),
}

/// Why a node cannot lead its quorum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotElectable {
    /// The voters are other nodes.
    #[error("node {node} is not among the voters {voters:?} of the metadata quorum")]
    NotAVoter {
        /// This node.
        node: NodeId,
        /// The voters.
        voters: Vec<NodeId>,
    },
    /// The disk that votes is another one.
    #[error("voter {node} votes with directory {expected}, this is directory {found}")]
    OtherDirectory {
        /// This node.
        node: NodeId,
        /// The directory in the voter set.
        expected: Uuid,
        /// The directory in meta.properties.
        found: Uuid,
    },
    /// Elections between several voters do not exist yet.
    #[error("the metadata quorum has the voters {voters:?}; only a quorum of one can be led yet")]
    SeveralVoters {
        /// The voters.
        voters: Vec<NodeId>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nothing was written in this run. A former leader starts here too: it must not go on in its
    /// old epoch, because unsynced records of that epoch may have vanished with a crash.
    Unattached,
    /// The new epoch is on its way to the disk.
    Candidate { epoch: LeaderEpoch },
    /// Leads; `start` is the offset of the epoch's first record.
    Leader { epoch: LeaderEpoch, start: Offset },
}

/// A voter that is a quorum of one.
#[derive(Clone, Debug)]
pub struct RaftNode {
    identity: Identity,
    voters: Voters,
    role: Role,
    epoch: LeaderEpoch,
    log_end: Offset,
    high_watermark: Option<Offset>,
}

impl RaftNode {
    /// A voter as its files tell: `state` from quorum-state, `voters` from the configuration, the
    /// formatting snapshot or the log.
    ///
    /// # Errors
    /// When the node cannot lead this quorum.
    pub fn new(
        identity: Identity,
        state: QuorumState,
        voters: Voters,
        log: LogEnd,
    ) -> Result<Self, NotElectable> {
        check_sole_voter(&identity, voters.set())?;
        // The log may be ahead of quorum-state if that file was lost: an epoch that has records
        // must never be led again.
        let epoch = log.epoch.map_or(state.epoch, |last| last.max(state.epoch));
        Ok(Self {
            identity,
            voters,
            role: Role::Unattached,
            epoch,
            log_end: log.offset,
            high_watermark: None,
        })
    }

    /// The epoch in which this node may append; `None` unless it leads.
    #[must_use]
    pub const fn leading(&self) -> Option<LeaderEpoch> {
        match self.role {
            Role::Leader { epoch, .. } => Some(epoch),
            Role::Unattached | Role::Candidate { .. } => None,
        }
    }

    /// The first offset that is not known to be committed; `None` until this node has committed a
    /// record of its own epoch.
    #[must_use]
    pub const fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The voters.
    #[must_use]
    pub const fn voters(&self) -> &Voters {
        &self.voters
    }

    /// Takes one event; adds what to do to `out`, in the order in which to do it. `now` becomes the
    /// timestamp of records.
    ///
    /// # Panics
    /// On an event that cannot follow those before it: going on could commit what is not there.
    pub fn step(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) {
        match (self.role, event) {
            (Role::Unattached, Event::Campaign) => self.campaign(out),
            (Role::Candidate { epoch }, Event::QuorumStateWritten) => self.lead(now, epoch, out),
            (Role::Leader { .. }, Event::Appended(end)) => {
                assert!(end > self.log_end, "log end {} goes back to {end}", self.log_end);
                self.log_end = end;
            }
            (Role::Leader { start, .. }, Event::Synced(end)) => self.on_synced(start, end, out),
            (role, event) => unreachable!("{event:?} cannot happen to {role:?}"),
        }
    }

    /// The vote of a sole voter for itself is the majority, so one durable write is vote and
    /// election both.
    fn campaign(&mut self, out: &mut Vec<Effect>) {
        let epoch = self.epoch.next();
        self.epoch = epoch;
        self.role = Role::Candidate { epoch };
        let leader = Some(self.identity.node);
        out.push(Effect::WriteQuorumState(QuorumState { epoch, leader, voted: None }));
    }

    fn lead(&mut self, now: Timestamp, epoch: LeaderEpoch, out: &mut Vec<Effect>) {
        assert_eq!(epoch, self.epoch, "an election of another epoch");
        self.role = Role::Leader { epoch, start: self.log_end };
        let node = self.identity.node;
        let mut records = vec![ControlRecord::LeaderChange {
            leader: node,
            voters: self.voters.set().keys().copied().collect(),
            granting: vec![node],
        }];
        if let Some(set) = self.voters_to_write() {
            records.push(ControlRecord::Version(self.voters.version()));
            records.push(ControlRecord::Voters(set.clone()));
            self.voters = Voters::Logged { set, at: self.log_end.plus(2) };
        }
        out.push(Effect::Append(ControlBatch { epoch, timestamp: now, records }));
    }

    /// The voters, if the log does not name them yet or this node's listeners have changed.
    fn voters_to_write(&self) -> Option<VoterSet> {
        let mine = Voter {
            directory: Some(self.identity.directory),
            endpoints: self.identity.endpoints.clone(),
        };
        match &self.voters {
            Voters::Configured(_) => None,
            Voters::Logged { set, .. } if set.get(&self.identity.node) == Some(&mine) => None,
            Voters::Formatted(set) | Voters::Logged { set, .. } => {
                let mut set = set.clone();
                set.insert(self.identity.node, mine);
                Some(set)
            }
        }
    }

    /// Raft commits a former epoch's records only together with one of its own (KIP-595): a synced
    /// end that does not pass the epoch's start commits nothing.
    fn on_synced(&mut self, start: Offset, end: Offset, out: &mut Vec<Effect>) {
        assert!(end <= self.log_end, "{end} is durable, but the log ends at {}", self.log_end);
        let advances = self.high_watermark.is_none_or(|current| end > current);
        if end > start && advances {
            self.high_watermark = Some(end);
            out.push(Effect::AdvanceHighWatermark(end));
        }
    }
}

fn check_sole_voter(identity: &Identity, set: &VoterSet) -> Result<(), NotElectable> {
    let node = identity.node;
    let voters = || set.keys().copied().collect();
    let Some(mine) = set.get(&node) else {
        return Err(NotElectable::NotAVoter { node, voters: voters() });
    };
    let found = identity.directory;
    match mine.directory {
        Some(expected) if expected != found => {
            Err(NotElectable::OtherDirectory { node, expected, found })
        }
        _ if set.len() > 1 => Err(NotElectable::SeveralVoters { voters: voters() }),
        Some(_) | None => Ok(()),
    }
}
