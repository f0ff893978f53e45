//! Which partition of `__consumer_offsets` a group lives in.

use ottla_coordinator::GroupId;
use ottla_types::PartitionId;

/// Java's `String.hashCode`, over UTF-16 units: clients do not compute it, but Apache's tools do,
/// and its brokers look for a group where this says.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

/// The partition of a group, if there are `partitions`.
///
/// # Panics
/// If there are none.
pub(super) fn partition_of(group: &GroupId, partitions: i32) -> PartitionId {
    assert!(partitions > 0, "a topic has partitions");
    // The one number without a positive counterpart counts as zero, as in Kafka.
    let positive = java_hash(group.as_str()).checked_abs().unwrap_or(0);
    PartitionId::new(positive % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are what Java prints.
    #[test]
    fn groups_live_where_kafka_looks_for_them() {
        check("", 0, 0);
        check("a", 97, 47);
        check("group", 98_629_247, 47);
        check("my-group", -1_906_497_762, 12);
        check("polygenelubricants", i32::MIN, 0);
        check("ä€😀", 16_603_051, 1);
    }

    fn check(group: &str, hash: i32, partition: i32) {
        assert_eq!(java_hash(group), hash, "{group}");
        assert_eq!(partition_of(&GroupId::new(group), 50).get(), partition, "{group}");
    }
}
