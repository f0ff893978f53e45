//! Features: what a node can do, and which of it the cluster has agreed to use.

/// The feature that governs the records of the metadata log and the versions between brokers.
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature that governs the quorum; finalized by a control record, never by a feature record.
pub const KRAFT_VERSION: &str = "kraft.version";
/// The feature that governs the protocols of groups: 1 adds that of KIP-848.
pub const GROUP_VERSION: &str = "group.version";

/// A feature and the levels of it that a node supports, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeatureRange {
    /// The feature's name.
    pub name: String,
    /// The lowest level.
    pub min: i16,
    /// The highest level.
    pub max: i16,
}

/// What this build supports, by name: advertised means served.
pub const SUPPORTED_FEATURES: [(&str, i16, i16); 3] = [
    (GROUP_VERSION, 0, 1),
    (KRAFT_VERSION, 0, 1),
    (METADATA_VERSION, MetadataVersion::MIN.level(), MetadataVersion::LATEST.level()),
];

/// Features of Kafka 4.3 that this build does not support: where an Apache Kafka has finalized one,
/// it can still be taken away.
pub(crate) const OTHER_FEATURES: [&str; 4] =
    ["eligible.leader.replicas.version", "share.version", "streams.version", "transaction.version"];

/// The finalized level of `metadata.version`; it chooses the version of each record that is
/// written, so that every node of the cluster can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataVersion(i16);

impl MetadataVersion {
    /// 3.3-IV3, the first level that a KRaft cluster of 4.x can have.
    pub const MIN: Self = Self(7);
    /// 3.6-IV1: metadata transactions (KIP-868).
    pub const TRANSACTIONS: Self = Self(13);
    /// 3.7-IV0: controllers register themselves (KIP-919).
    pub const CONTROLLER_REGISTRATION: Self = Self(15);
    /// 3.7-IV2: replicas are assigned to directories (KIP-858).
    pub const DIRECTORIES: Self = Self(17);
    /// 4.0-IV1: eligible leader replicas have fields in records (KIP-966).
    pub const ELIGIBLE_LEADER_REPLICAS: Self = Self(23);
    /// 4.3-IV0, the newest: log directories can be cordoned (KIP-1066).
    pub const LATEST: Self = Self(30);

    /// The level as a feature record has it; `None` for one that this build does not know.
    #[must_use]
    pub const fn from_level(level: i16) -> Option<Self> {
        if level >= Self::MIN.0 && level <= Self::LATEST.0 { Some(Self(level)) } else { None }
    }

    /// The feature level.
    #[must_use]
    pub const fn level(self) -> i16 {
        self.0
    }

    /// Whether a level above `older`, up to this one, brought something into the records that the
    /// level below it cannot write.
    pub(crate) fn changes_metadata_since(self, older: Self) -> bool {
        const CHANGING: [i16; 9] = [7, 8, 11, 13, 14, 15, 17, 23, 30];
        CHANGING.iter().any(|level| older.0 < *level && *level <= self.0)
    }

    /// The version of RegisterBroker records.
    #[must_use]
    pub const fn register_broker_record(self) -> i16 {
        match self.0 {
            30.. => 4,
            17.. => 3,
            8.. => 2,
            _ => 1,
        }
    }

    /// The version of Partition and PartitionChange records.
    #[must_use]
    pub const fn partition_record(self) -> i16 {
        match self.0 {
            23.. => 2,
            17.. => 1,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_versions_follow_the_finalized_level() {
        check(6, None);
        check(7, Some((1, 0)));
        check(8, Some((2, 0)));
        check(16, Some((2, 0)));
        check(17, Some((3, 1)));
        check(23, Some((3, 2)));
        check(30, Some((4, 2)));
        check(31, None);
    }

    fn check(level: i16, records: Option<(i16, i16)>) {
        let version = MetadataVersion::from_level(level);
        assert_eq!(
            version.map(|v| (v.register_broker_record(), v.partition_record())),
            records,
            "{level}"
        );
    }
}
