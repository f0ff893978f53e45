//! What DescribeConfigs tells of a topic; the answers are those of a broker of 4.3.1 with the same
//! properties.

use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::*;

const DESCRIBE_CONFIGS: i16 = 4;
const OF_TOPIC: i8 = 2;
const OF_BROKER: i8 = 4;

const PROPERTIES: &[(&str, &str)] = &[
    ("log.retention.hours", "24"),
    ("log.roll.ms", "3600000"),
    ("log.roll.hours", "2"),
    ("log.segment.bytes", "2000000"),
    ("log.segment.delete.delay.ms", "60000"),
];

impl Client {
    /// A setting's value and where it may come from: `name=value source`, the first that counts.
    pub(super) async fn describe(&mut self, resource: (i8, &str), name: &str) -> String {
        let resource = DescribeConfigsResource {
            resource_type: resource.0,
            resource_name: resource.1.into(),
            configuration_keys: Some(vec![leak(name).into()].into()),
            ..Default::default()
        };
        let request = DescribeConfigsRequest {
            resources: vec![resource].into(),
            include_synonyms: true,
            ..Default::default()
        };
        let (key, version) = (ApiKey::DescribeConfigs, DESCRIBE_CONFIGS);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = DescribeConfigsResponse::decode(&mut answer.body(), version).unwrap();
        let result = response.results.first().unwrap();
        let config = result.configs.first().unwrap();
        let value = |value: Option<std::borrow::Cow<'_, str>>| {
            value.map_or_else(|| "null".to_owned(), std::borrow::Cow::into_owned)
        };
        let mut told = format!("{} {}", value(config.value), config.config_source);
        for synonym in &config.synonyms {
            told += &format!(", {}={} {}", synonym.name, value(synonym.value), synonym.source);
        }
        told
    }
}

/// Sources: 1 the topic, 4 the broker's file, 5 the default.
#[test]
#[rustfmt::skip]
fn settings_are_told_with_what_they_come_from() {
    let topic = (OF_TOPIC, TOPIC);
    check(topic, "retention.bytes", "700 1, retention.bytes=700 1, log.retention.bytes=-1 5");
    check(topic, "segment.bytes", "2000000 4, log.segment.bytes=2000000 4, log.segment.bytes=1073741824 5");
    // A given default is given.
    check(topic, "file.delete.delay.ms", "60000 4, log.segment.delete.delay.ms=60000 4, log.segment.delete.delay.ms=60000 5");
    // Hours alone are not told where milliseconds count more.
    check(topic, "retention.ms", "86400000 5");
    check(topic, "segment.jitter.ms", "0 5");
    check(topic, "segment.ms", "3600000 4, log.roll.ms=3600000 4, log.roll.hours=2 4, log.roll.hours=168 5");
    let broker = (OF_BROKER, "1");
    check(broker, "log.retention.ms", "null 5");
    check(broker, "log.retention.hours", "24 4, log.retention.hours=24 4, log.retention.hours=168 5");
    check(broker, "log.roll.hours", "2 4, log.roll.hours=2 4, log.roll.hours=168 5");
}

fn check(resource: (i8, &'static str), name: &'static str, expected: &'static str) {
    World::new(41).live(async move |life| {
        let _node = life.node(PROPERTIES).await;
        let mut client = life.client().await;
        client.create(&[("retention.bytes", "700")]).await;
        assert_eq!(client.describe(resource, name).await, expected, "{name}");
    });
}
