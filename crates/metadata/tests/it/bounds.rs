//! What one request may write.

use ottla_metadata::{
    Controller, ControllerConfig, CreateTopicError, CreateTopics, ElectLeaders, Election,
    GroupConfigLimits, MetadataImage, MetadataReplay, NewTopic, TopicConfig,
};
use ottla_types::{LeaderEpoch, Offset, Uuid};

fn image() -> std::sync::Arc<MetadataImage> {
    MetadataReplay::new("cluster").take(Offset::new(0), LeaderEpoch::new(1)).1
}

/// What the first of so many topics comes to, each with a `retention.ms` of so many bytes.
fn create(topics: usize, bytes: usize) -> Option<CreateTopicError> {
    let controller = Controller::new(ControllerConfig {
        partitions: 1,
        replication_factor: 1,
        topic_defaults: TopicConfig::KAFKA,
        group_limits: GroupConfigLimits::KAFKA,
    });
    let topic = |at: usize| NewTopic {
        name: format!("t{at}"),
        configs: vec![("retention.ms".to_owned(), Some(format!("{:>bytes$}", 5)))],
        ..NewTopic::default()
    };
    let request = CreateTopics { topics: (0..topics).map(topic).collect(), validate_only: false };
    let outcome = controller.create_topics(&image(), &request, &mut || Uuid::from_u128(9));
    outcome.response.into_iter().next().unwrap().outcome.err()
}

#[test]
fn a_value_of_a_new_topic_is_no_longer_than_a_client_can_be_told() {
    assert_eq!(create(1, 32_768), Some(CreateTopicError::TooLong));
    // There is no broker for it.
    assert!(matches!(create(1, 32_767), Some(CreateTopicError::Placement { .. })));
}

#[test]
fn a_partition_that_is_named_often_is_looked_at_once() {
    let named = |topic: &str| (topic.to_owned(), vec![0, 0, 1, 0]);
    let request = ElectLeaders {
        election: Election::Preferred,
        partitions: Some(vec![named("t"), named("u"), named("t")]),
    };
    let told = Controller::elect_leaders(&image(), &request).response;
    let counts: Vec<usize> = told.iter().map(|topic| topic.partitions.len()).collect();
    assert_eq!(counts, [2, 2, 0]);
}
