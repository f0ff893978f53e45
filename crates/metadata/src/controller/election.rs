//! Who leads a partition.

use ottla_types::{BrokerId, PartitionId, TopicId};

use crate::image::{MetadataImage, PartitionImage};
use crate::record::{PartitionChange, Record};

/// The changes that make a broker, on its return, the leader of what it may lead: partitions that
/// nobody leads, and those that its former incarnation led. These get a new leader epoch too, since
/// records of the old one may have gone with a crash (KAFKA-18106).
pub(super) fn elect_returning(image: &MetadataImage, broker: BrokerId) -> Vec<Record> {
    let changes = image.topics().flat_map(|topic| {
        topic.numbered().filter_map(|(partition, state)| {
            elect(state, broker, topic.id, partition).map(Record::PartitionChange)
        })
    });
    changes.collect()
}

fn elect(
    state: &PartitionImage,
    broker: BrokerId,
    topic: TopicId,
    partition: PartitionId,
) -> Option<PartitionChange> {
    if state.leader.is_some_and(|leader| leader != broker) {
        return None;
    }
    let change =
        PartitionChange { leader: Some(Some(broker)), ..PartitionChange::of(topic, partition) };
    if state.isr.contains(&broker) {
        return Some(change);
    }
    // An eligible leader has everything below the high watermark (KIP-966), and with nobody in
    // sync it is the only one that has.
    let eligible = state.isr.is_empty() && state.elr.contains(&broker);
    // The only replica there is has all that is left, whatever it lost in an unclean stop: Kafka
    // elects it as the last known eligible leader.
    let only = state.isr.is_empty() && state.elr.is_empty() && state.replicas == [broker];
    (eligible || only).then(|| PartitionChange {
        isr: Some(vec![broker]),
        elr: Some(state.elr.iter().copied().filter(|id| *id != broker).collect()),
        last_known_elr: (!state.last_known_elr.is_empty()).then(Vec::new),
        ..change
    })
}
