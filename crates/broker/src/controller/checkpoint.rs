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

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_metadata::Controller;
    use ottla_raft::{Endpoint, Voter};
    use ottla_types::NodeId;

    /// What `kafka-storage format --standalone` of Apache Kafka 4.3.1 left at offset 0.
    const APACHE: &str = "\
        00000000000000000000009a0000000002fc8853b1002000000002000001a1fe141640000001a1fe141640ff\
        ffffffffffffffffffffffffff000000032a0000000800000003160000000001a1fe14163800001e00000208\
        000000050a000000010000820100000408000000066e000002000000010062700968ac41d1ae63d8481b366b\
        cc020b434f4e54524f4c4c45520a3132372e302e302e315a3500000000010000000000000000000000030000\
        003f000000000292942f3c002000000000000001a1fe14164e000001a1fe14164effffffffffffffffffffff\
        ffffff000000011a00000008000000040600000000";

    fn apache() -> Vec<u8> {
        let digits: Vec<u32> = APACHE.chars().filter_map(|c| c.to_digit(16)).collect();
        let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn formatted() -> Checkpoint {
        let endpoint =
            Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 23_093 };
        let directory = "AGJwCWisQdGuY9hIGzZrzA".parse().ok();
        let voter = Voter { directory, endpoints: vec![endpoint] };
        Checkpoint {
            last_contained: Some(Timestamp::from_millis(1_795_264_091_704)),
            version: Some(KRaftVersion::Reconfigurable),
            voters: Some(VoterSet::from([(NodeId::new(1), voter)])),
            records: Vec::new(),
        }
    }

    #[test]
    fn the_first_voters_are_read_and_written_as_kafka_does() {
        let bytes = apache();
        assert_eq!(Checkpoint::decode(&bytes), Ok(formatted()));
        let ours = formatted().encode(Timestamp::from_millis(1_795_264_091_712));
        // Kafka's clock went on before the footer, which begins at byte 166.
        assert_eq!(ours[..166], bytes[..166]);
        assert_eq!(ours.len(), bytes.len());
    }

    #[test]
    fn snapshots_survive_and_halves_of_them_are_refused() {
        let now = Timestamp::from_millis(1_000);
        let whole = Checkpoint { records: Controller::bootstrap_records(), ..formatted() };
        let bytes = whole.encode(now);
        assert_eq!(Checkpoint::decode(&bytes), Ok(whole));
        assert_eq!(Checkpoint::decode(&[]), Err(CheckpointError::Incomplete));
        let footer = bytes.len() - 75;
        assert_eq!(Checkpoint::decode(&bytes[..footer]), Err(CheckpointError::Incomplete));
        let cut = Checkpoint::decode(&bytes[..footer + 7]);
        assert_eq!(cut, Err(CheckpointError::Cut { bytes: 7 }));
        let mut flipped = bytes;
        flipped[100] ^= 1;
        let error = BatchReadError::Checksum;
        assert_eq!(Checkpoint::decode(&flipped), Err(CheckpointError::Batch { nth: 0, error }));
    }
}
