//! Batches of the metadata log and of snapshots, between bytes and what they mean.

use std::borrow::Cow;

use ottla_metadata::{MetadataVersion, Record, RecordError};
use ottla_raft::{ControlRecord, Endpoint, KRaftVersion, Voter, VoterSet};
use ottla_records::{
    Batch, BatchBuilder, BatchOptions, BuiltBatch, ControlType, HeaderError, InflateError,
    InvalidControlRecord, NewRecord, RecordError as FramingError,
};
use ottla_types::{LeaderEpoch, NodeId, Offset, Timestamp, Uuid};
use ottla_wire::records::{
    KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord, leader_change_message, voters_record,
};
use ottla_wire::{DecodeError, EncodeError, Reader, Writer};

/// The version in which the quorum's own records are written; each says it in its first field too.
const CONTROL_VERSION: i16 = 0;

/// Bytes that a compressed batch may inflate to: Kafka's controllers write none above 8 MiB, and
/// none compressed.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// The leader epoch of a batch in a formatting snapshot, as Kafka writes it. A log puts its own
/// epoch in the place.
const NO_EPOCH: Option<LeaderEpoch> = Some(LeaderEpoch::ZERO);

/// A control record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Quorum(ControlRecord),
    SnapshotHeader { last_contained: Option<Timestamp> },
    SnapshotFooter,
}

/// What a batch holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BatchContent {
    Control(Vec<Control>),
    Metadata(Vec<(Offset, Record)>),
}

/// Why a batch cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchReadError {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("the checksum does not fit the bytes")]
    Checksum,
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error(transparent)]
    Control(#[from] InvalidControlRecord),
    #[error("control record: {0}")]
    ControlValue(#[from] DecodeError),
    #[error("control record: {field} makes no sense")]
    ControlField { field: &'static str },
    #[error("record at offset {offset}: {error}")]
    Record { offset: Offset, error: RecordError },
}

pub(super) fn header(last_contained: Option<Timestamp>) -> Control {
    Control::SnapshotHeader { last_contained }
}

pub(super) const fn footer() -> Control {
    Control::SnapshotFooter
}

/// A batch of metadata records.
///
/// # Panics
/// If there are none, or one cannot be said in that version: the controller writes no such record.
pub(super) fn metadata_batch(
    base_offset: Offset,
    records: &[Record],
    version: MetadataVersion,
    now: Timestamp,
) -> BuiltBatch {
    let options = BatchOptions { base_offset, leader_epoch: NO_EPOCH, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut value = Vec::new();
    for record in records {
        value.clear();
        record.encode(version, &mut value).expect("the controller keeps to the finalized version");
        builder.push(NewRecord { timestamp: now, key: None, value: Some(&value), headers: &[] });
    }
    builder.build()
}

/// A batch of control records.
///
/// # Panics
/// If there are none.
pub(super) fn control_batch(
    base_offset: Offset,
    records: &[Control],
    now: Timestamp,
) -> BuiltBatch {
    let leader_epoch = NO_EPOCH;
    let options =
        BatchOptions { base_offset, leader_epoch, control: true, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let mut value = Vec::new();
    for record in records {
        value.clear();
        record.encode(&mut value).expect("ids, names and ports fit");
        let key = record.kind().key();
        builder.push(NewRecord {
            timestamp: now,
            key: Some(&key),
            value: Some(&value),
            headers: &[],
        });
    }
    builder.build()
}

/// Reads a batch, and checks its checksum.
pub(super) fn read(batch: &Batch<'_>) -> Result<BatchContent, BatchReadError> {
    if !batch.crc_matches() {
        return Err(BatchReadError::Checksum);
    }
    let records = batch.records(INFLATED_BYTES_MAX)?;
    if batch.header.attributes.is_control() {
        let controls = records.iter().map(|record| {
            let record = record?;
            Control::decode(record.key.unwrap_or_default(), record.value.unwrap_or_default())
        });
        return controls.collect::<Result<_, _>>().map(BatchContent::Control);
    }
    let metadata = records.iter().map(|record| {
        let record = record?;
        let (offset, value) = (record.offset, record.value.unwrap_or_default());
        match Record::decode(value) {
            Ok(record) => Ok((offset, record)),
            Err(error) => Err(BatchReadError::Record { offset, error }),
        }
    });
    metadata.collect::<Result<_, _>>().map(BatchContent::Metadata)
}

impl Control {
    pub(super) const fn kind(&self) -> ControlType {
        match self {
            Self::Quorum(ControlRecord::LeaderChange { .. }) => ControlType::LeaderChange,
            Self::Quorum(ControlRecord::Version(_)) => ControlType::KraftVersion,
            Self::Quorum(ControlRecord::Voters(_)) => ControlType::KraftVoters,
            Self::SnapshotHeader { .. } => ControlType::SnapshotHeader,
            Self::SnapshotFooter => ControlType::SnapshotFooter,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let writer = &mut Writer::new(out);
        match self {
            Self::Quorum(ControlRecord::LeaderChange { leader, voters, granting }) => {
                leader_change(*leader, voters, granting).encode(writer, CONTROL_VERSION)
            }
            Self::Quorum(ControlRecord::Version(version)) => {
                let kraft_version = version.level();
                let record = KRaftVersionRecord { kraft_version, ..Default::default() };
                record.encode(writer, CONTROL_VERSION)
            }
            Self::Quorum(ControlRecord::Voters(set)) => {
                voters_to_wire(set).encode(writer, CONTROL_VERSION)
            }
            Self::SnapshotHeader { last_contained } => {
                let last_contained_log_timestamp = last_contained.map_or(0, Timestamp::millis);
                SnapshotHeaderRecord { last_contained_log_timestamp, ..Default::default() }
                    .encode(writer, CONTROL_VERSION)
            }
            Self::SnapshotFooter => SnapshotFooterRecord::default().encode(writer, CONTROL_VERSION),
        }
    }

    /// Later versions of a value only append tagged fields, which the reader skips.
    fn decode(key: &[u8], value: &[u8]) -> Result<Self, BatchReadError> {
        let reader = &mut Reader::new(value);
        let field = |field| BatchReadError::ControlField { field };
        let quorum = match ControlType::from_key(key)? {
            ControlType::LeaderChange => {
                // Version 1 has the directories of the voters, and says so in its first field.
                let version = Reader::new(value).i16()?;
                leader_change_from_wire(&LeaderChangeMessage::decode(reader, version)?)?
            }
            ControlType::KraftVersion => {
                let record = KRaftVersionRecord::decode(reader, CONTROL_VERSION)?;
                let version = KRaftVersion::from_level(record.kraft_version);
                ControlRecord::Version(version.ok_or_else(|| field("kRaftVersion"))?)
            }
            ControlType::KraftVoters => {
                let record = VotersRecord::decode(reader, CONTROL_VERSION)?;
                ControlRecord::Voters(voters_from_wire(&record)?)
            }
            ControlType::SnapshotHeader => {
                let record = SnapshotHeaderRecord::decode(reader, CONTROL_VERSION)?;
                let last_contained = Timestamp::from_wire(record.last_contained_log_timestamp);
                return Ok(Self::SnapshotHeader {
                    last_contained: last_contained.filter(|at| at.millis() > 0),
                });
            }
            ControlType::SnapshotFooter => return Ok(Self::SnapshotFooter),
            ControlType::Abort | ControlType::Commit => return Err(field("type")),
        };
        Ok(Self::Quorum(quorum))
    }
}

fn leader_change(
    leader: NodeId,
    voters: &[NodeId],
    granting: &[NodeId],
) -> LeaderChangeMessage<'static> {
    let voter =
        |id: &NodeId| leader_change_message::Voter { voter_id: id.get(), ..Default::default() };
    LeaderChangeMessage {
        leader_id: leader.get(),
        voters: voters.iter().map(voter).collect(),
        granting_voters: granting.iter().map(voter).collect(),
        ..Default::default()
    }
}

fn node(raw: i32, field: &'static str) -> Result<NodeId, BatchReadError> {
    NodeId::from_wire(raw).ok_or(BatchReadError::ControlField { field })
}

fn leader_change_from_wire(
    message: &LeaderChangeMessage<'_>,
) -> Result<ControlRecord, BatchReadError> {
    let voters = message.voters.iter().map(|voter| node(voter.voter_id, "Voters"));
    let granting = message.granting_voters.iter().map(|v| node(v.voter_id, "GrantingVoters"));
    Ok(ControlRecord::LeaderChange {
        leader: node(message.leader_id, "LeaderId")?,
        voters: voters.collect::<Result<_, _>>()?,
        granting: granting.collect::<Result<_, _>>()?,
    })
}

/// What every node of this build supports.
fn kraft_versions() -> voters_record::KRaftVersionFeature<'static> {
    voters_record::KRaftVersionFeature {
        min_supported_version: KRaftVersion::Static.level(),
        max_supported_version: KRaftVersion::Reconfigurable.level(),
        ..Default::default()
    }
}

fn voters_to_wire(set: &VoterSet) -> VotersRecord<'_> {
    let endpoint = |endpoint: &Endpoint| voters_record::Endpoint {
        name: Cow::Owned(endpoint.listener.clone()),
        host: Cow::Owned(endpoint.host.clone()),
        port: endpoint.port,
        ..Default::default()
    };
    let voter = |(id, voter): (&NodeId, &Voter)| voters_record::Voter {
        voter_id: id.get(),
        voter_directory_id: voter.directory.unwrap_or(Uuid::ZERO),
        endpoints: voter.endpoints.iter().map(endpoint).collect(),
        kraft_version_feature: kraft_versions(),
        ..Default::default()
    };
    VotersRecord { voters: set.iter().map(voter).collect(), ..Default::default() }
}

fn voters_from_wire(record: &VotersRecord<'_>) -> Result<VoterSet, BatchReadError> {
    let endpoint = |endpoint: voters_record::Endpoint<'_>| Endpoint {
        listener: endpoint.name.into_owned(),
        host: endpoint.host.into_owned(),
        port: endpoint.port,
    };
    let voters = record.voters.iter().map(|voter| {
        let directory = Some(voter.voter_directory_id).filter(|id| *id != Uuid::ZERO);
        let endpoints = voter.endpoints.iter().map(endpoint).collect();
        Ok((node(voter.voter_id, "VoterId")?, Voter { directory, endpoints }))
    });
    voters.collect()
}
