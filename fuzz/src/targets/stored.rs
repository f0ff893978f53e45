//! What a node stores of groups and of its metadata, replayed as after a start.

use std::sync::Arc;

use ottla_coordinator::{GroupRecord, GroupSettings, GroupShard};
use ottla_metadata::{MetadataReplay, Record};
use ottla_testkit::vectors_of;
use ottla_types::{LeaderEpoch, Offset, PartitionId};

/// A length in one byte, and so many bytes of `rest`; what is left where there are fewer.
fn piece<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first()?;
    let (piece, after) = after.split_at(after.len().min(usize::from(*length)));
    *rest = after;
    Some(piece)
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().min(255);
    [&[length as u8][..], &bytes[..length]].concat()
}

/// Keys and values as Apache Kafka writes them.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (kind, name) in [
        (1_i16, "OffsetCommit"),
        (2, "GroupMetadata"),
        (3, "ConsumerGroupMetadata"),
        (5, "ConsumerGroupMemberMetadata"),
        (6, "ConsumerGroupTargetAssignmentMetadata"),
        (7, "ConsumerGroupTargetAssignmentMember"),
        (8, "ConsumerGroupCurrentMemberAssignment"),
        (16, "ConsumerGroupRegularExpression"),
    ] {
        for key in vectors_of(&format!("{name}Key")) {
            let key = [&kind.to_be_bytes()[..], &key.bytes].concat();
            for value in vectors_of(&format!("{name}Value")) {
                let value = [&value.version.to_be_bytes()[..], &value.bytes].concat();
                all.push([sized(&key), sized(&value), sized(&key), vec![0]].concat());
            }
        }
    }
    let mut together = vec![];
    for vector in vectors_of("MetadataRecord") {
        all.push([vec![0], sized(&vector.bytes)].concat());
        together.extend([vec![0], sized(&vector.bytes)].concat());
    }
    all.push(together);
    all
}

/// A key and a value in turn; without a key, the value is one of the metadata log's.
pub(super) fn replay(mut input: &[u8]) {
    let mut shard = GroupShard::new(PartitionId::ZERO, Arc::new(GroupSettings::default()));
    let mut replay = MetadataReplay::new("cluster");
    let mut at = Offset::ZERO;
    while let Some(key) = piece(&mut input) {
        let value = piece(&mut input).unwrap_or_default();
        if key.is_empty() {
            at = at.next();
            if let Ok(record) = Record::decode(value)
                && replay.record(at, &record).is_err()
            {
                break;
            }
            continue;
        }
        let value = (!value.is_empty()).then_some(value);
        if let Ok(Some(record)) = GroupRecord::decode(key, value) {
            // What is understood is written so that it is understood again.
            let bytes = record.encode();
            let again = GroupRecord::decode(&bytes.key, bytes.value.as_deref());
            // What older coordinators stored of topics is only ever taken away.
            if !matches!(record, GroupRecord::ConsumerTopics { .. }) {
                assert_eq!(again.as_ref(), Ok(&Some(record)));
            }
        }
        drop(shard.replay(None, key, value));
    }
    drop(replay.take(at.next(), LeaderEpoch::ZERO));
}
