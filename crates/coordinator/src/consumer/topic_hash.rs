//! What the topics of a group look like, as one number. If it changes, the group needs a new
//! assignment. Kafka's own arithmetic, since the number is stored.

use ottla_metadata::{MetadataImage, TopicImage};

use super::xxh3::xxh3_64;

/// The layout of what is hashed.
const LAYOUT: u8 = 0;

/// The hash of the topics of these names that exist; names must come in order, each once.
pub(crate) fn hash_of_topics<'a>(
    names: impl Iterator<Item = &'a str>,
    image: &MetadataImage,
) -> i64 {
    let mut hashes = Vec::new();
    for topic in names.filter_map(|name| image.topic(name)) {
        hashes.extend_from_slice(&hash_of_topic(topic, image).to_le_bytes());
    }
    // No topic is zero, which is what a record without a hash says.
    if hashes.is_empty() { 0 } else { xxh3_64(&hashes) }
}

fn hash_of_topic(topic: &TopicImage, image: &MetadataImage) -> i64 {
    let mut bytes = vec![LAYOUT];
    let (high, low) = topic.id.as_bytes().split_at(8);
    // Both halves as numbers, which Kafka stores with their last byte first.
    bytes.extend(high.iter().rev());
    bytes.extend(low.iter().rev());
    push_text(&mut bytes, topic.name.as_str());
    push_number(&mut bytes, topic.partitions.len());
    for (number, partition) in topic.partitions.iter().enumerate() {
        push_number(&mut bytes, number);
        let rack = |id| image.broker(id)?.rack.as_deref();
        let mut racks: Vec<&str> = partition.replicas.iter().filter_map(|id| rack(*id)).collect();
        racks.sort_unstable();
        for rack in racks {
            push_number(&mut bytes, rack.encode_utf16().count());
            push_text(&mut bytes, rack);
        }
    }
    xxh3_64(&bytes)
}

/// Kafka hashes a text as its UTF-16 units and then their number.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    push_number(bytes, text.encode_utf16().count());
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    let number = u32::try_from(number).expect("fewer than 2^32 partitions and letters");
    bytes.extend_from_slice(&number.to_le_bytes());
}
