//! What a new leader of the quorum writes first.

use ottla_types::Offset;

use crate::features::{GROUP_VERSION, METADATA_VERSION, MetadataVersion};
use crate::image::MetadataImage;
use crate::record::Record;

use super::Controller;

/// The name of the transaction that holds the first records, as Kafka gives it.
const BOOTSTRAP: &str = "Bootstrap records";

impl Controller {
    /// The features that formatting a new cluster finalizes: `metadata.version` first, as Kafka
    /// does, and every other one that is served.
    #[must_use]
    pub fn bootstrap_records() -> Vec<Record> {
        let levels = [(METADATA_VERSION, MetadataVersion::LATEST.level()), (GROUP_VERSION, 1)];
        let feature =
            |(name, level): (&str, i16)| Record::FeatureLevel { name: name.to_owned(), level };
        levels.map(feature).to_vec()
    }

    /// The records that make the log usable: the `bootstrap` records if there are none yet, and the
    /// end of a transaction that a former leader left open at `open_transaction`.
    #[must_use]
    pub fn activation_records(
        image: &MetadataImage,
        open_transaction: Option<Offset>,
        bootstrap: &[Record],
    ) -> Vec<Record> {
        let mut records = Vec::new();
        if open_transaction.is_some() {
            records.push(Record::AbortTransaction { reason: "Controller failover".to_owned() });
        }
        if image.metadata_version().is_some() {
            return records;
        }
        let transactional = bootstrap_version(bootstrap) >= MetadataVersion::TRANSACTIONS.level();
        if transactional {
            records.push(Record::BeginTransaction { name: BOOTSTRAP.to_owned() });
        }
        records.extend_from_slice(bootstrap);
        if transactional {
            records.push(Record::EndTransaction);
        }
        records
    }
}

fn bootstrap_version(bootstrap: &[Record]) -> i16 {
    bootstrap
        .iter()
        .find_map(|record| match record {
            Record::FeatureLevel { name, level } if name == METADATA_VERSION => Some(*level),
            _ => None,
        })
        .unwrap_or(0)
}
