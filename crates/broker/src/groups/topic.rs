//! The topic that groups are kept in, made when the first group is looked for.

use ottla_metadata::{CreateTopicError, CreateTopics, MetadataImage, NewTopic};

use crate::broker::Broker;
use crate::config::{GroupsConfig, REPLICATION_FACTOR_DEFAULT};

/// The topic that groups are kept in.
pub(crate) const GROUP_METADATA: &str = "__consumer_offsets";

/// What the topic is made with.
fn new_topic(config: &GroupsConfig, image: &MetadataImage) -> NewTopic {
    let brokers = image.brokers().filter(|broker| broker.is_active()).count();
    let brokers = i16::try_from(brokers).unwrap_or(i16::MAX).max(1);
    let unset = REPLICATION_FACTOR_DEFAULT.min(brokers);
    let text = |(name, value): (&str, &str)| (name.to_owned(), Some(value.to_owned()));
    let segment_bytes = config.topic_segment_bytes.to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("compression.type", "producer"),
        ("segment.bytes", &segment_bytes),
    ];
    NewTopic {
        name: GROUP_METADATA.to_owned(),
        partitions: Some(config.topic_partitions),
        replication_factor: Some(config.topic_replication_factor.unwrap_or(unset)),
        assignments: Vec::new(),
        configs: configs.map(text).to_vec(),
    }
}

/// Makes the topic unless it is there; whether it is afterwards.
pub(crate) async fn make_group_metadata(broker: &Broker) -> bool {
    let image = broker.metadata.image();
    if image.topic(GROUP_METADATA).is_some() {
        return true;
    }
    if !broker.partitions.have_room() {
        // Said in the log when the directory became full.
        return false;
    }
    let topic = new_topic(&broker.config.groups, &image);
    let request = CreateTopics { topics: vec![topic], validate_only: false };
    let Ok(Ok(outcomes)) = broker.controller.create_topics(request).await else { return false };
    match outcomes.into_iter().next().map(|outcome| outcome.outcome) {
        // Somebody else was first.
        Some(Ok(_) | Err(CreateTopicError::Exists(_))) => true,
        Some(Err(error)) => {
            tracing::warn!(%error, "the topic of groups was not made");
            false
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NodeConfig, Properties};

    #[test]
    fn the_topic_of_groups_is_made_as_kafka_makes_it() {
        check(&[], (50, 1), "104857600");
        check(&[("offsets.topic.num.partitions", "7")], (7, 1), "104857600");
        // Set by somebody, it holds, and is refused where there are too few brokers.
        check(&[("offsets.topic.replication.factor", "3")], (50, 3), "104857600");
        check(&[("offsets.topic.segment.bytes", "2000000")], (50, 1), "2000000");
    }

    fn check(properties: &[(&str, &str)], shape: (i32, i16), segment_bytes: &str) {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let properties: Properties = properties.iter().map(own).collect();
        let config = NodeConfig::parse(&properties, None).unwrap();
        let topic = new_topic(&config.groups, &MetadataImage::empty("cluster"));
        assert_eq!((topic.partitions, topic.replication_factor), (Some(shape.0), Some(shape.1)));
        let value = |name| topic.configs.iter().find(|config| config.0 == name).unwrap().1.clone();
        assert_eq!(value("cleanup.policy").as_deref(), Some("compact"));
        assert_eq!(value("segment.bytes").as_deref(), Some(segment_bytes));
    }
}
