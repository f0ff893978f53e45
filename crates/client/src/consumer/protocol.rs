//! What members of a classic consumer group tell each other through its coordinator, which does
//! not look into it.

use std::collections::BTreeSet;

use ottla_types::{PartitionId, TopicName, TopicPartition};
use ottla_wire::records::consumer_protocol_assignment as assigned;
use ottla_wire::records::consumer_protocol_subscription as subscribed;
use ottla_wire::records::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_wire::{DecodeError, Reader, Writer};

use super::assignor::Subscription;
use crate::offsets::by_topic;

/// The version that is written; older members read as much of it as they know.
const VERSION: i16 = 3;

/// The protocol type of groups of consumers.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";

/// What a member says of itself. Its user data is what Kafka's sticky assignors put there: what it
/// had and when, for those that were written before the protocol had fields for it.
pub(crate) fn encode_subscription(subscription: &Subscription, tells_owned: bool) -> Vec<u8> {
    let owned = |(name, partitions): (&TopicName, Vec<(i32, ())>)| subscribed::TopicPartition {
        topic: name.to_string().into(),
        partitions: partitions.into_iter().map(|(index, ())| index).collect(),
    };
    let told = subscription.owned.iter().filter(|_| tells_owned).map(|each| (each, ()));
    let generation = subscription.generation.unwrap_or(-1);
    let user_data = if tells_owned {
        generation.to_be_bytes().to_vec()
    } else {
        sticky_user_data(&subscription.owned, generation)
    };
    let message = ConsumerProtocolSubscription {
        topics: subscription.topics.iter().map(|name| name.to_string().into()).collect(),
        user_data: Some(user_data.into()),
        owned_partitions: by_topic(told).into_iter().map(owned).collect(),
        generation_id: generation,
        rack_id: subscription.rack.clone().map(Into::into),
    };
    let mut out = VERSION.to_be_bytes().to_vec();
    let encoded = message.encode(&mut Writer::new(&mut out), VERSION);
    encoded.expect("legal names are short, and all fields exist");
    out
}

/// An array of topics with arrays of partitions, then the generation.
fn sticky_user_data(owned: &BTreeSet<TopicPartition>, generation: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let topics = by_topic(owned.iter().map(|each| (each, ())));
    let count = |len: usize| i32::try_from(len).expect("few").to_be_bytes();
    out.extend(count(topics.len()));
    for (name, partitions) in topics {
        let len = i16::try_from(name.as_str().len()).expect("legal names are short");
        out.extend(len.to_be_bytes());
        out.extend(name.as_str().as_bytes());
        out.extend(count(partitions.len()));
        out.extend(partitions.iter().flat_map(|(index, ())| index.to_be_bytes()));
    }
    out.extend(generation.to_be_bytes());
    out
}

/// What another member says of itself. What it owned comes from the protocol's own fields, or,
/// where those are empty, from the user data of Kafka's sticky assignor.
pub(crate) fn subscription(bytes: &[u8]) -> Result<Subscription, DecodeError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?.clamp(0, VERSION);
    let message = ConsumerProtocolSubscription::decode(&mut reader, version)?;
    let mut owned = BTreeSet::new();
    for topic in &message.owned_partitions {
        add(&mut owned, &topic.topic, topic.partitions.iter());
    }
    let mut generation = (message.generation_id >= 0).then_some(message.generation_id);
    if let Some(data) = message.user_data.as_deref().filter(|_| owned.is_empty())
        && let Ok((told, told_generation)) = read_sticky_user_data(data)
    {
        (owned, generation) = (told, generation.or(told_generation));
    }
    Ok(Subscription {
        topics: message.topics.iter().filter_map(|name| TopicName::parse(&name).ok()).collect(),
        owned,
        generation,
        rack: message.rack_id.map(std::borrow::Cow::into_owned),
        instance: None,
    })
}

fn read_sticky_user_data(
    data: &[u8],
) -> Result<(BTreeSet<TopicPartition>, Option<i32>), DecodeError> {
    let (mut reader, mut owned) = (Reader::new(data), BTreeSet::new());
    for _ in 0..reader.i32()? {
        let len = usize::try_from(reader.i16()?).unwrap_or(0);
        let name = reader.take(len)?;
        let name = std::str::from_utf8(name).map_err(|_| DecodeError::NotUtf8)?;
        for _ in 0..reader.i32()? {
            add(&mut owned, name, [reader.i32()?]);
        }
    }
    let generation = reader.i32().ok().filter(|generation| *generation >= 0);
    Ok((owned, generation))
}

fn add(to: &mut BTreeSet<TopicPartition>, name: &str, partitions: impl IntoIterator<Item = i32>) {
    let Ok(topic) = TopicName::parse(name) else { return };
    let known = partitions.into_iter().filter_map(PartitionId::from_wire);
    to.extend(known.map(|partition| TopicPartition { topic: topic.clone(), partition }));
}

/// What a leader gives to a member.
pub(crate) fn encode_assignment(partitions: &BTreeSet<TopicPartition>) -> Vec<u8> {
    let topic = |(name, partitions): (&TopicName, Vec<(i32, ())>)| assigned::TopicPartition {
        topic: name.to_string().into(),
        partitions: partitions.into_iter().map(|(index, ())| index).collect(),
    };
    let message = ConsumerProtocolAssignment {
        assigned_partitions: by_topic(partitions.iter().map(|each| (each, ())))
            .into_iter()
            .map(topic)
            .collect(),
        user_data: None,
    };
    let mut out = VERSION.to_be_bytes().to_vec();
    let encoded = message.encode(&mut Writer::new(&mut out), VERSION);
    encoded.expect("legal names are short, and all fields exist");
    out
}

/// What a member was given; nothing where the bytes are empty.
pub(crate) fn assignment(bytes: &[u8]) -> Result<BTreeSet<TopicPartition>, DecodeError> {
    let mut partitions = BTreeSet::new();
    if bytes.is_empty() {
        return Ok(partitions);
    }
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?.clamp(0, VERSION);
    let message = ConsumerProtocolAssignment::decode(&mut reader, version)?;
    for topic in &message.assigned_partitions {
        add(&mut partitions, &topic.topic, topic.partitions.iter());
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition;

    fn member() -> Subscription {
        Subscription {
            topics: ["a", "b"].map(|name| TopicName::parse(name).expect("legal")).into(),
            owned: [("a", 3), ("a", 1), ("b", 0)]
                .map(|(topic, at)| partition(topic, at).expect("legal"))
                .into(),
            generation: Some(7),
            rack: Some("east".to_owned()),
            instance: None,
        }
    }

    #[test]
    fn members_understand_each_other() {
        for tells_owned in [true, false] {
            let bytes = encode_subscription(&member(), tells_owned);
            assert_eq!(subscription(&bytes), Ok(member()), "owned in a field: {tells_owned}");
        }
        let bytes = encode_assignment(&member().owned);
        assert_eq!(assignment(&bytes), Ok(member().owned));
        assert_eq!(assignment(&[]), Ok(BTreeSet::new()));
    }

    #[test]
    fn cut_bytes_are_refused_or_say_less() {
        let bytes = encode_subscription(&member(), false);
        for cut in 0..bytes.len() {
            drop(subscription(&bytes[..cut]));
        }
        let bytes = encode_assignment(&member().owned);
        for cut in 1..bytes.len() {
            assert!(assignment(&bytes[..cut]).is_err(), "cut to {cut}");
        }
    }
}
