//! What a request makes of metadata and memory has bounds, however little there is in it.

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
        assert_eq!(client.create_many(7, 1, "retention.ms", &spaces(32_766)).await.0, [OK]);
    });
    world.live(async |life| {
        let _node = life.node(SMALL).await;
        let mut client = life.client().await;
        let again = client.create_many(7, 1, "retention.ms", "5").await;
        assert_eq!(again.0, [36], "the topic exists");
    });
}
