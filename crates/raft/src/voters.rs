//! Who votes, and where they listen.

use std::collections::BTreeMap;

use ottla_types::{NodeId, Offset, Uuid};

/// `kraft.version`: how the voters of a quorum are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KRaftVersion {
    /// From `controller.quorum.voters`, the same on every node.
    Static,
    /// From records in the log, so that they can change (KIP-853).
    Reconfigurable,
}

impl KRaftVersion {
    /// The feature level; `None` for one that does not exist (yet).
    #[must_use]
    pub const fn from_level(level: i16) -> Option<Self> {
        match level {
            0 => Some(Self::Static),
            1 => Some(Self::Reconfigurable),
            _ => None,
        }
    }

    /// The feature level, which is also the `data_version` of the quorum-state file.
    #[must_use]
    pub const fn level(self) -> i16 {
        match self {
            Self::Static => 0,
            Self::Reconfigurable => 1,
        }
    }
}

/// Where a voter is reached by the name of one listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name, such as `CONTROLLER`.
    pub listener: String,
    /// A host name or address, unresolved.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The disk that votes: `None` in a static quorum, where only the node is known.
    pub directory: Option<Uuid>,
    /// In the order of preference.
    pub endpoints: Vec<Endpoint>,
}

/// The voters of a quorum, by node.
pub type VoterSet = BTreeMap<NodeId, Voter>;

/// The voters that govern an epoch, and where that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voters {
    /// Told by `controller.quorum.voters`; the log says nothing.
    Configured(VoterSet),
    /// Read from the snapshot that formatting leaves: not in the log yet.
    Formatted(VoterSet),
    /// Read from a control record of the log.
    Logged {
        /// The voters.
        set: VoterSet,
        /// The offset of the record.
        at: Offset,
    },
}

impl Voters {
    /// The voters themselves.
    #[must_use]
    pub const fn set(&self) -> &VoterSet {
        match self {
            Self::Configured(set) | Self::Formatted(set) | Self::Logged { set, .. } => set,
        }
    }

    /// The level of `kraft.version` that goes with this kind of voters.
    #[must_use]
    pub const fn version(&self) -> KRaftVersion {
        match self {
            Self::Configured(_) => KRaftVersion::Static,
            Self::Formatted(_) | Self::Logged { .. } => KRaftVersion::Reconfigurable,
        }
    }
}
