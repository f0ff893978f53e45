//! What a request makes of metadata and memory has bounds, however little there is in it.

use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::describe_producers_request::TopicRequest;
use ottla_wire::messages::elect_leaders_request::TopicPartitions;
use ottla_wire::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeProducersRequest,
    DescribeProducersResponse, ElectLeadersRequest, ElectLeadersResponse,
};

use super::*;

const INVALID_CONFIG: i16 = 40;
const POLICY_VIOLATION: i16 = 44;

impl Client {
    /// Makes `count` topics, each with the property; what became of them, and the longest words.
    async fn create_many(
        &mut self,
        version: i16,
        count: usize,
        property: &'static str,
        value: &str,
    ) -> (Vec<i16>, usize) {
        let topic = |at: usize| CreatableTopic {
            name: format!("many-{at}").into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![CreatableTopicConfig {
                name: property.into(),
                value: Some(value.to_owned().into()),
                ..Default::default()
            }]
            .into(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: (0..count).map(topic).collect(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        let key = ApiKey::CreateTopics;
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = CreateTopicsResponse::decode(&mut answer.body(), version).unwrap();
        let words = response.topics.iter().filter_map(|it| Some(it.error_message?.len())).max();
        let mut codes: Vec<i16> = response.topics.iter().map(|it| it.error_code).collect();
        codes.dedup();
        (codes, words.unwrap_or(0))
    }
}

/// The smallest segments that may be: whatever does not fit into one ends the node.
const SMALL: &[(&str, &str)] = &[("metadata.log.segment.bytes", "8388608")];

#[test]
fn properties_of_new_topics_are_no_longer_than_a_log_and_a_client_can_take() {
    let mut world = World::new(80);
    world.live(async |life| {
        let _node = life.node(SMALL).await;
        let mut client = life.client().await;
        let spaces = |count: usize| " ".repeat(count) + "5";
        let many = client.create_many(7, 300, "retention.ms", &spaces(32_000)).await;
        assert_eq!(many.0, [POLICY_VIOLATION]);
        // A text of 16 bits must hold what an old client is told.
        let (codes, words) = client.create_many(4, 1, "retention.ms", &"x".repeat(32_750)).await;
        assert!(codes == [INVALID_CONFIG] && words < 3_000, "{codes:?} {words}");
        let list = "delete,".repeat(4_000) + "delete";
        assert_eq!(client.create_many(7, 1, "cleanup.policy", &list).await.0, [INVALID_CONFIG]);
        assert_eq!(client.create_many(7, 1, "retention.ms", &spaces(32_766)).await.0, [OK]);
    });
    world.live(async |life| {
        let _node = life.node(SMALL).await;
        let mut client = life.client().await;
        let again = client.create_many(7, 1, "retention.ms", "5").await;
        assert_eq!(again.0, [36], "the topic exists");
    });
}

#[test]
fn a_partition_that_is_named_again_and_again_is_told_of_once() {
    World::new(81).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        // A name of which 20,000 copies are more than half a GiB.
        for name in [TOPIC.to_owned(), "x".repeat(32_000)] {
            let indexes = vec![0; 10_000];
            let asked = TopicRequest {
                name: name.clone().into(),
                partition_indexes: indexes.clone().into(),
                ..Default::default()
            };
            let request =
                DescribeProducersRequest { topics: vec![asked].into(), ..Default::default() };
            let key = ApiKey::DescribeProducers;
            client.send(key, 0, |writer| request.encode(writer, 0)).await;
            let answer = client.answer(key, 0).await;
            let response = DescribeProducersResponse::decode(&mut answer.body(), 0).unwrap();
            assert_eq!(response.topics.first().unwrap().partitions.len(), 1);

            let asked = TopicPartitions {
                topic: name.into(),
                partitions: indexes.into(),
                ..Default::default()
            };
            let request = ElectLeadersRequest {
                topic_partitions: Some(vec![asked.clone(), asked].into()),
                timeout_ms: 10_000,
                ..Default::default()
            };
            let key = ApiKey::ElectLeaders;
            client.send(key, 2, |writer| request.encode(writer, 2)).await;
            let answer = client.answer(key, 2).await;
            let response = ElectLeadersResponse::decode(&mut answer.body(), 2).unwrap();
            let told = response.replica_election_results.iter();
            assert_eq!(told.map(|it| it.partition_result.len()).sum::<usize>(), 1);
        }
    });
}

#[test]
fn many_partitions_of_a_topic_with_a_long_name_are_refused_in_few_words() {
    World::new(82).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        let partitions = (0..10_000).collect::<Vec<i32>>();
        let topic = "y".repeat(30_000);
        let asked = TopicPartitions {
            topic: topic.into(),
            partitions: partitions.into(),
            ..Default::default()
        };
        let request = ElectLeadersRequest {
            topic_partitions: Some(vec![asked].into()),
            timeout_ms: 10_000,
            ..Default::default()
        };
        // Version 1 has texts of 16 bits.
        for version in [1, 2] {
            let key = ApiKey::ElectLeaders;
            client.send(key, version, |writer| request.encode(writer, version)).await;
            let answer = client.answer(key, version).await;
            assert!(answer.frame.len() < 4 << 20, "{}", answer.frame.len());
            let response = ElectLeadersResponse::decode(&mut answer.body(), version).unwrap();
            let topic = response.replica_election_results.first().unwrap();
            let partition = topic.partition_result.first().unwrap();
            assert_eq!((topic.partition_result.len(), partition.error_code), (10_000, 3));
        }
    });
}

#[test]
fn a_resource_that_is_named_again_and_again_is_described_once() {
    World::new(83).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let resource = |name: &'static str| DescribeConfigsResource {
            resource_type: 2,
            resource_name: name.into(),
            configuration_keys: None,
            ..Default::default()
        };
        let resources = [resource(TOPIC), resource("none"), resource(TOPIC), resource(TOPIC)];
        let request =
            DescribeConfigsRequest { resources: resources.to_vec().into(), ..Default::default() };
        let key = ApiKey::DescribeConfigs;
        client.send(key, 4, |writer| request.encode(writer, 4)).await;
        let answer = client.answer(key, 4).await;
        let response = DescribeConfigsResponse::decode(&mut answer.body(), 4).unwrap();
        let told = response.results.iter().map(|it| (it.resource_name.into_owned(), it.error_code));
        let expected = [(TOPIC.to_owned(), OK), ("none".to_owned(), 3)];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    });
}
