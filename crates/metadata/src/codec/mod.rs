//! Records as bytes: Kafka's numbers and sentinels end here.

mod read;
mod write;

use ottla_wire::{DecodeError, EncodeError};

use crate::features::MetadataVersion;
use crate::record::Record;

/// Bytes that are not a record this build can follow. The node must not go on without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a metadata record, or one of a type or version from the future.
    #[error("not a metadata record: {0}")]
    Wire(#[from] DecodeError),
    /// The cluster uses something that is not served yet; going on without it could give access
    /// that somebody took away, or promise what is not kept.
    #[error("the cluster uses {what}, which this version of Ottla does not support")]
    Unsupported {
        /// What the record is about.
        what: &'static str,
    },
    /// A field has a value that no controller writes.
    #[error("the record's {field} makes no sense")]
    Field {
        /// Kafka's name of the field.
        field: &'static str,
    },
}

impl Record {
    /// Reads the value of a stored record.
    ///
    /// # Errors
    /// When this build cannot follow it.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        read::record(value)
    }

    /// Appends the value of the stored record, in the version that every node of a cluster at
    /// `version` can read.
    ///
    /// # Errors
    /// When that version cannot say what the record holds.
    pub fn encode(&self, version: MetadataVersion, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (record, record_version) = write::record(self, version);
        record.encode(out, record_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::METADATA_VERSION;

    /// The bytes are from a log of Apache Kafka 4.3.1.
    #[test]
    #[rustfmt::skip]
    fn records_are_kafkas_bytes() {
        let feature = |name: &str, level| Record::FeatureLevel { name: name.into(), level };
        check(&feature(METADATA_VERSION, 30), "010c00116d657461646174612e76657273696f6e001e00");
        check(&feature("group.version", 1), "010c000e67726f75702e76657273696f6e000100");
        check(&Record::BeginTransaction { name: "Bootstrap records".into() }, "01170001001212426f6f747374726170207265636f726473");
        check(&Record::EndTransaction, "01180000");
        // In a snapshot, whose records name no broker.
        let next = ottla_types::ProducerId::new(1_000);
        check(&Record::ProducerIds { by: None, next }, "010f00ffffffffffffffffffffffff00000000000003e800");
    }

    fn check(record: &Record, hex: &str) {
        let mut bytes = Vec::new();
        record.encode(MetadataVersion::LATEST, &mut bytes).unwrap();
        let actual: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(actual, hex);
        assert_eq!(Record::decode(&bytes).as_ref(), Ok(record));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        use RecordError::{Field, Unsupported, Wire};
        let refuse = |bytes: &[u8]| Record::decode(bytes).unwrap_err();
        assert!(matches!(refuse(&[]), Wire(_)));
        assert!(matches!(refuse(&[1, 99, 0]), Wire(_)));
        let user = [1, 11, 0, 2, b'u', 1, 1, 1, 1, 0, 0, 16, 0, 0];
        assert_eq!(refuse(&user), Unsupported { what: "SCRAM credentials" });
        let mut topic = vec![1, 2, 0, 2, b'*'];
        topic.extend([0; 17]);
        assert_eq!(refuse(&topic), Field { field: "Name" });
    }
}
