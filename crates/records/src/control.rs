//! Control records: the cluster's own marks between the data.

use crate::record::RecordIter;
use crate::{BatchHeader, Compression};

/// What a control record says; the second number of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction is aborted (KIP-98).
    Abort,
    /// The transaction is committed (KIP-98).
    Commit,
    /// A `KRaft` leader's first words (KIP-595).
    LeaderChange,
    /// Opens a `KRaft` snapshot (KIP-630).
    SnapshotHeader,
    /// Closes a `KRaft` snapshot (KIP-630).
    SnapshotFooter,
    /// `kraft.version` (KIP-853).
    KraftVersion,
    /// The voters (KIP-853).
    KraftVoters,
}

/// Not a control record that we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a control record: {field} is cut or unknown")]
pub struct InvalidControlRecord {
    pub field: &'static str,
}

impl ControlType {
    const ALL: [Self; 7] = [
        Self::Abort,
        Self::Commit,
        Self::LeaderChange,
        Self::SnapshotHeader,
        Self::SnapshotFooter,
        Self::KraftVersion,
        Self::KraftVoters,
    ];

    /// The record's key: key version 0, then the type.
    #[must_use]
    pub fn key(self) -> [u8; 4] {
        // The discriminants are Kafka's numbers.
        [0, 0, 0, self as u8]
    }

    /// Reads a key. Later key versions may append fields, so more bytes are no error.
    ///
    /// # Errors
    /// When the key is cut, or of a type that does not exist.
    pub fn from_key(key: &[u8]) -> Result<Self, InvalidControlRecord> {
        let key: &[u8; 4] = key.first_chunk().ok_or(InvalidControlRecord { field: "key" })?;
        let number = usize::from(u16::from_be_bytes([key[2], key[3]]));
        Self::ALL.get(number).copied().ok_or(InvalidControlRecord { field: "type" })
    }
}

/// The value of the record that ends a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub committed: bool,
    /// The epoch of the coordinator that wrote it, which fences older ones.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The record's value: value version 0, then the coordinator's epoch.
    #[must_use]
    pub fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        value
    }

    /// What a batch with these records says of a transaction. Kafka writes one record in each
    /// marker batch, uncompressed; a control batch of another kind, or an empty one that
    /// compaction left, says nothing.
    #[must_use]
    pub fn of(header: &BatchHeader, section: &[u8]) -> Option<Self> {
        let readable = header.attributes.compression() == Compression::None;
        if !header.attributes.is_control() || !readable {
            return None;
        }
        let record = RecordIter::new(*header, section).next()?.ok()?;
        Self::parse(record.key, record.value).ok()?
    }

    /// Reads key and value of a control record; `None` if it is of another type.
    ///
    /// # Errors
    /// When it is cut, or of a type that does not exist.
    pub fn parse(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Option<Self>, InvalidControlRecord> {
        let committed = match ControlType::from_key(key.unwrap_or_default())? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            ControlType::LeaderChange
            | ControlType::SnapshotHeader
            | ControlType::SnapshotFooter
            | ControlType::KraftVersion
            | ControlType::KraftVoters => return Ok(None),
        };
        let epoch = value.and_then(|value| value.get(2..)).and_then(|rest| rest.first_chunk());
        let epoch = epoch.ok_or(InvalidControlRecord { field: "value" })?;
        Ok(Some(Self { committed, coordinator_epoch: i32::from_be_bytes(*epoch) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_keys_survive() {
        for (number, kind) in ControlType::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.key()[3]), number);
            assert_eq!(ControlType::from_key(&kind.key()), Ok(kind));
        }
        assert!(ControlType::from_key(&[0, 0, 0, 7]).is_err());
        assert!(ControlType::from_key(&[0, 0, 0]).is_err());
    }

    #[test]
    fn markers_survive() {
        let marker = EndTransactionMarker { committed: true, coordinator_epoch: 7 };
        let commit = ControlType::Commit.key();
        let parse = EndTransactionMarker::parse;
        assert_eq!(parse(Some(&commit), Some(&marker.value())), Ok(Some(marker)));
        assert_eq!(parse(Some(&ControlType::LeaderChange.key()), None), Ok(None));
        assert!(parse(Some(&commit), Some(&[0; 5])).is_err());
        assert!(parse(None, None).is_err());
    }
}
