//! What classic consumers tell each other in bytes that the classic protocol does not look into.
//! A consumer group does: it needs their subscriptions, and gives them their assignments.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ottla_metadata::MetadataImage;
use ottla_types::PartitionId;
use ottla_wire::records::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
};
use ottla_wire::{List, Reader, Writer};

use super::partitions::Partitions;

/// Later versions begin like this one.
const VERSION_MAX: i16 = 3;

/// What a classic consumer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) topics: Vec<Arc<str>>,
    pub(super) owned: Partitions,
    pub(super) rack: Option<Arc<str>>,
}

/// Why an assignment cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForeignAssignment {
    /// It is something else.
    Malformed,
    /// An assignor of the client's own says more than partitions.
    UserData,
}

/// The version that the bytes begin with; `None` if they are something else.
pub(super) fn version(bytes: &[u8]) -> Option<i16> {
    let version = Reader::new(bytes).i16().ok()?;
    (version >= 0).then_some(version.min(VERSION_MAX))
}

/// A subscription; `None` if the bytes are something else.
pub(super) fn subscription(bytes: &[u8], image: &MetadataImage) -> Option<Subscription> {
    let version = version(bytes)?;
    let mut reader = Reader::new(&bytes[2..]);
    let read = ConsumerProtocolSubscription::decode(&mut reader, version).ok()?;
    let owned = read.owned_partitions.iter().map(|of| (of.topic, of.partitions));
    Some(Subscription {
        topics: read.topics.iter().map(|name| Arc::from(name.as_ref())).collect(),
        owned: known(owned.map(|(topic, all)| (topic, all.iter().collect())), image),
        rack: read.rack_id.filter(|rack| !rack.is_empty()).map(|rack| Arc::from(rack.as_ref())),
    })
}

/// An assignment; nothing of topics that are gone. A member that has none yet has no bytes.
pub(super) fn assignment(
    bytes: &[u8],
    image: &MetadataImage,
) -> Result<Partitions, ForeignAssignment> {
    if bytes.is_empty() {
        return Ok(Partitions::default());
    }
    let version = version(bytes).ok_or(ForeignAssignment::Malformed)?;
    let mut reader = Reader::new(&bytes[2..]);
    let read = ConsumerProtocolAssignment::decode(&mut reader, version)
        .map_err(|_| ForeignAssignment::Malformed)?;
    if read.user_data.is_some_and(|data| !data.is_empty()) {
        return Err(ForeignAssignment::UserData);
    }
    let assigned = read.assigned_partitions.iter().map(|of| (of.topic, of.partitions));
    Ok(known(assigned.map(|(topic, all)| (topic, all.iter().collect())), image))
}

fn known<'a>(
    named: impl Iterator<Item = (std::borrow::Cow<'a, str>, Vec<i32>)>,
    image: &MetadataImage,
) -> Partitions {
    let mut partitions = Partitions::default();
    for (name, numbers) in named {
        let Some(topic) = image.topic(&name) else { continue };
        for partition in numbers.into_iter().filter_map(PartitionId::from_wire) {
            if topic.partition(partition).is_some() {
                partitions.insert(topic.id, partition);
            }
        }
    }
    partitions
}

/// The bytes of an assignment, in the version of the member's subscription.
pub(super) fn assignment_bytes(
    partitions: &Partitions,
    version: i16,
    image: &MetadataImage,
) -> Bytes {
    let mut by_name = BTreeMap::new();
    for (topic, all) in partitions.topics() {
        if let Some(topic) = image.topic_by_id(topic) {
            let numbers: Vec<i32> = all.iter().map(|partition| partition.get()).collect();
            by_name.insert(topic.name.as_str(), numbers);
        }
    }
    let topics =
        by_name.into_iter().map(|(name, numbers)| consumer_protocol_assignment::TopicPartition {
            topic: name.into(),
            partitions: List::from(numbers),
        });
    let message = ConsumerProtocolAssignment {
        assigned_partitions: topics.collect::<Vec<_>>().into(),
        user_data: None,
    };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.i16(version);
    message.encode(&mut writer, version).expect("names and counts come from the metadata");
    Bytes::from(bytes)
}
