//! Snapshot files: a header, the state as batches of records, a footer (KIP-630).

use ottla_metadata::{MetadataVersion, Record};
use ottla_raft::{ControlRecord, KRaftVersion, VoterSet};
use ottla_records::{Batches, ControlType};
use ottla_types::{Offset, Timestamp};

use super::batches::{
    BatchContent, BatchReadError, Control, control_batch, footer, header, metadata_batch, read,
};

/// What a snapshot says. Formatting leaves two of them: `bootstrap.checkpoint` with the first
/// records, and the one at offset 0 with the first voters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// When the last record that it covers was appended.
    pub(crate) last_contained: Option<Timestamp>,
    pub(crate) version: Option<KRaftVersion>,
    pub(crate) voters: Option<VoterSet>,
    pub(crate) records: Vec<Record>,
}

/// Why bytes are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("batch {nth}: {error}")]
    Batch { nth: usize, error: BatchReadError },
    #[error("{bytes} bytes are left over at the end")]
    Cut { bytes: usize },
    #[error("the header or the footer is missing")]
    Incomplete,
}

impl Checkpoint {
    /// The file's bytes. Offsets count from 0: those of a snapshot are its own.
    pub(crate) fn encode(&self, now: Timestamp) -> Vec<u8> {
        let mut head = vec![header(self.last_contained)];
        head.extend(self.version.map(|version| Control::Quorum(ControlRecord::Version(version))));
        head.extend(self.voters.clone().map(|set| Control::Quorum(ControlRecord::Voters(set))));
        let mut at = Offset::ZERO;
        let mut bytes = Vec::new();
        let mut add = |batch: ottla_records::BuiltBatch| {
            at = batch.batch().header.last_offset().next();
            bytes.extend_from_slice(batch.bytes());
            at
        };
        let at = add(control_batch(Offset::ZERO, &head, now));
        let at = if self.records.is_empty() {
            at
        } else {
            add(metadata_batch(at, &self.records, MetadataVersion::LATEST, now))
        };
        add(control_batch(at, &[footer()], now));
        bytes
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When they are not a whole snapshot, or hold what this build cannot follow.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let mut read_so_far = Self::default();
        let (mut begun, mut ended) = (false, false);
        let mut batches = Batches::new(bytes);
        for (nth, batch) in batches.by_ref().enumerate() {
            let wrong = |error| CheckpointError::Batch { nth, error };
            let batch = batch.map_err(|error| wrong(error.into()))?;
            match read(&batch).map_err(wrong)? {
                BatchContent::Metadata(records) => {
                    read_so_far.records.extend(records.into_iter().map(|(_, record)| record));
                }
                BatchContent::Control(controls) => {
                    for control in controls {
                        begun |= control.kind() == ControlType::SnapshotHeader;
                        ended |= control.kind() == ControlType::SnapshotFooter;
                        read_so_far.take(control);
                    }
                }
            }
        }
        match batches.rest().len() {
            0 if begun && ended => Ok(read_so_far),
            0 => Err(CheckpointError::Incomplete),
            bytes => Err(CheckpointError::Cut { bytes }),
        }
    }

    fn take(&mut self, control: Control) {
        match control {
            Control::SnapshotHeader { last_contained } => self.last_contained = last_contained,
            Control::Quorum(ControlRecord::Version(version)) => self.version = Some(version),
            Control::Quorum(ControlRecord::Voters(voters)) => self.voters = Some(voters),
            Control::Quorum(ControlRecord::LeaderChange { .. }) | Control::SnapshotFooter => {}
        }
    }
}
