//! What one request may write.

use crate::record::{ConfigResource, Record};

/// `max.records.per.batch` of Kafka's controller: what one request may change at most.
pub(super) const RECORDS_PER_REQUEST_MAX: usize = 10_000;

/// What the records of one request may be together, in bytes: they are one batch of the metadata
/// log, of which Apache Kafka reads 8 MiB at the most, and which the smallest segment must hold.
const RECORD_BYTES_PER_REQUEST_MAX: usize = 4 << 20;

/// Bytes of a record besides its texts and replicas, rounded up.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Bytes of one replica: its broker's number, twice, and its directory's id.
const REPLICA_BYTES: usize = 24;

/// The longest value of a property in bytes: what an old client can be told of it.
pub(super) const VALUE_BYTES_MAX: usize = i16::MAX as usize;

/// Whether the records of one request may stay together.
pub(super) fn fit_together(records: &[Record]) -> bool {
    let bytes: usize = records.iter().map(bytes_of).sum();
    records.len() <= RECORDS_PER_REQUEST_MAX && bytes <= RECORD_BYTES_PER_REQUEST_MAX
}

/// A generous measure of a record.
fn bytes_of(record: &Record) -> usize {
    let own = match record {
        Record::Config { resource, name, value } => {
            let of = match resource {
                ConfigResource::Topic(name) => name.as_str().len(),
                ConfigResource::Group(name) | ConfigResource::Other { name, .. } => name.len(),
                ConfigResource::Broker(_) => 0,
            };
            of + name.len() + value.as_ref().map_or(0, String::len)
        }
        Record::Topic { name, .. } => name.as_str().len(),
        Record::Partition(new) => new.state.replicas.len() * REPLICA_BYTES,
        _ => 0,
    };
    RECORD_OVERHEAD_BYTES + own
}
