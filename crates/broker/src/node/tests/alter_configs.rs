//! Properties that are altered while a node runs: what they do, what is told of them, what is
//! refused. Words and codes are those of a broker of 4.3.1, where it refuses, too.

use std::borrow::Cow;

use ottla_wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
    alter_configs_request as legacy,
};

use super::*;

const INCREMENTAL: i16 = 1;
const LEGACY: i16 = 2;

const OF_TOPIC: i8 = 2;
const OF_BROKER: i8 = 4;
const OF_GROUP: i8 = 32;

const OF_T: (i8, &str) = (OF_TOPIC, TOPIC);
const OF_ONE: (i8, &str) = (OF_BROKER, "1");
const OF_ALL: (i8, &str) = (OF_BROKER, "");

const MESSAGE_TOO_LARGE: i16 = 10;

/// A change: `=name=value`, `-name`, `+name=items`, `~name=items`; `=name` is without a value.
fn change(text: &str) -> AlterableConfig<'static> {
    let (name, value) = match text[1..].split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (&text[1..], None),
    };
    let operation = match &text[..1] {
        "=" => 0,
        "-" => 1,
        "+" => 2,
        "~" => 3,
        _ => 9,
    };
    AlterableConfig {
        name: leak(name).into(),
        config_operation: operation,
        value: value.map(|value| leak(value).into()),
        ..Default::default()
    }
}

impl Client {
    /// What became of each resource: a code, and words where it was refused.
    async fn alter_all(
        &mut self,
        resources: &[((i8, &'static str), &[&str])],
        validate_only: bool,
    ) -> Vec<(i16, Option<String>)> {
        let resource = |((kind, name), changes): &((i8, &'static str), &[&str])| {
            let changes = changes.iter().map(|text| change(text));
            AlterConfigsResource {
                resource_type: *kind,
                resource_name: (*name).into(),
                configs: changes.collect(),
                ..Default::default()
            }
        };
        let resources = resources.iter().map(resource).collect();
        let request =
            IncrementalAlterConfigsRequest { resources, validate_only, ..Default::default() };
        let (key, version) = (ApiKey::IncrementalAlterConfigs, INCREMENTAL);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let body = &mut answer.body();
        let response = IncrementalAlterConfigsResponse::decode(body, version).unwrap();
        let told = response.responses.iter();
        told.map(|it| (it.error_code, it.error_message.map(Cow::into_owned))).collect()
    }

    async fn alter(&mut self, of: (i8, &'static str), changes: &[&str]) -> (i16, Option<String>) {
        self.alter_all(&[(of, changes)], false).await.remove(0)
    }

    pub(super) async fn altered(&mut self, of: (i8, &'static str), changes: &[&str]) {
        assert_eq!(self.alter(of, changes).await, (OK, None), "{changes:?}");
    }

    async fn replace(&mut self, of: (i8, &'static str), properties: &[(&str, &str)]) -> i16 {
        let property = |(name, value): &(&str, &str)| legacy::AlterableConfig {
            name: leak(name).into(),
            value: Some(leak(value).into()),
            ..Default::default()
        };
        let resource = legacy::AlterConfigsResource {
            resource_type: of.0,
            resource_name: of.1.into(),
            configs: properties.iter().map(property).collect(),
            ..Default::default()
        };
        let request =
            AlterConfigsRequest { resources: vec![resource].into(), ..Default::default() };
        let (key, version) = (ApiKey::AlterConfigs, LEGACY);
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = AlterConfigsResponse::decode(&mut answer.body(), version).unwrap();
        response.responses.first().unwrap().error_code
    }

    /// The listed resources, and an error code.
    async fn resources(&mut self, version: i16, kinds: &[i8]) -> (i16, Vec<(i8, String)>) {
        let resource_types = kinds.iter().copied().collect();
        let request = ListConfigResourcesRequest { resource_types, ..Default::default() };
        let key = ApiKey::ListConfigResources;
        self.send(key, version, |writer| request.encode(writer, version)).await;
        let answer = self.answer(key, version).await;
        let response = ListConfigResourcesResponse::decode(&mut answer.body(), version).unwrap();
        let listed = response.config_resources.iter();
        let named = listed.map(|it| (it.resource_type, it.resource_name.into_owned()));
        (response.error_code, named.collect())
    }
}

#[test]
fn what_is_altered_holds_when_that_is_answered_and_after_a_power_cut() {
    let mut world = World::new(61);
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("max.message.bytes", "1000")]).await;
        assert_eq!(client.produce(-1, &batch(2_000)).await.error, MESSAGE_TOO_LARGE);
        // Whose word counts most: the topic's, the broker's own, that of all brokers.
        client.altered(OF_T, &["=max.message.bytes=3000"]).await;
        assert_eq!(client.produce(-1, &batch(2_000)).await.error, OK);
        client.altered(OF_T, &["-max.message.bytes"]).await;
        client.altered(OF_ALL, &["=message.max.bytes=500"]).await;
        assert_eq!(client.produce(-1, &batch(1_000)).await.error, MESSAGE_TOO_LARGE);
        client.altered(OF_ONE, &["=message.max.bytes=1500"]).await;
        assert_eq!(client.produce(-1, &batch(1_000)).await.error, OK);
        assert_eq!(client.produce(-1, &batch(2_000)).await.error, MESSAGE_TOO_LARGE);
    });
    world.live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        assert_eq!(client.produce(-1, &batch(1_000)).await.error, OK);
        assert_eq!(client.produce(-1, &batch(2_000)).await.error, MESSAGE_TOO_LARGE);
        client.altered(OF_ONE, &["-message.max.bytes"]).await;
        assert_eq!(client.produce(-1, &batch(1_000)).await.error, MESSAGE_TOO_LARGE);
        client.altered(OF_ALL, &["-message.max.bytes"]).await;
        assert_eq!(client.produce(-1, &batch(2_000)).await.error, OK);
    });
}

#[test]
fn an_open_log_rolls_as_its_topic_says_from_now_on() {
    World::new(62).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        for _ in 0..3 {
            client.produce(-1, &batch(400)).await;
        }
        assert_eq!(segments(&life).await, 1);
        client.altered(OF_T, &["=internal.segment.bytes=1000"]).await;
        for _ in 0..4 {
            client.produce(-1, &batch(400)).await;
        }
        assert_eq!(segments(&life).await, 3);
    });
}

async fn segments(life: &Life) -> usize {
    let listed = life.env.disk.list(Path::new("data/t-0")).await.unwrap();
    listed.iter().filter(|entry| entry.name.ends_with(".log")).count()
}

#[test]
fn records_go_as_soon_as_the_broker_keeps_them_no_longer() {
    const PROPERTIES: &[(&str, &str)] = &[
        ("internal.segment.bytes", "1000"),
        ("log.initial.task.delay.ms", "1000"),
        ("log.retention.check.interval.ms", "1000"),
        ("log.retention.hours", "-1"),
        ("log.segment.delete.delay.ms", "0"),
    ];
    World::new(63).live(async |life| {
        let _node = life.node(PROPERTIES).await;
        let mut client = life.client().await;
        client.create(&[("message.timestamp.type", "LogAppendTime")]).await;
        for _ in 0..6 {
            client.produce(-1, &batch(400)).await;
        }
        life.pause(10_000).await;
        assert_eq!(segments(&life).await, 3);
        client.altered(OF_ALL, &["=log.retention.bytes=1000"]).await;
        life.pause(10_000).await;
        assert_eq!(segments(&life).await, 2);
    });
}

#[test]
fn what_is_validated_only_changes_nothing() {
    World::new(64).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let told = client.alter_all(&[(OF_T, &["=max.message.bytes=10"])], true).await;
        assert_eq!(told, [(OK, None)]);
        assert_eq!(client.produce(-1, &batch(400)).await.error, OK);
        let told = client.alter_all(&[(OF_T, &["=max.message.bytes=x"])], true).await;
        assert_eq!(told[0].0, 40);
    });
}

#[test]
fn the_older_request_takes_away_what_it_does_not_name() {
    World::new(65).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[("max.message.bytes", "100")]).await;
        assert_eq!(client.replace(OF_T, &[("segment.ms", "5")]).await, OK);
        assert_eq!(client.produce(-1, &batch(400)).await.error, OK);
        assert_eq!(client.replace(OF_T, &[("segment.ms", "0")]).await, 40);
        assert_eq!(client.replace(OF_ONE, &[("num.partitions", "2")]).await, 42);
    });
}

/// Codes: 3 no such topic, 17 no topic's name, 40 no such value, 42 no sense.
#[test]
#[rustfmt::skip]
fn what_cannot_be_is_refused_in_kafkas_words() {
    check(OF_T, &["=retention.ms=abc"], 40, "Invalid value abc for configuration retention.ms: Not a number of type LONG");
    check(OF_T, &["=no.such=1"], 40, "Unknown topic config name: no.such");
    check(OF_T, &["+retention.ms=1"], 40, "Can't APPEND to key retention.ms because its type is not LIST.");
    check(OF_T, &["=retention.ms"], 42, "Null value not supported for : retention.ms");
    check(OF_T, &["=retention.ms=1", "=retention.ms=2"], 42, "Error due to duplicate config keys");
    check(OF_T, &["?retention.ms=1"], 42, "Unknown operations type 9");
    check((OF_TOPIC, "absent"), &["=retention.ms=1"], 3, "The topic 'absent' does not exist.");
    check((OF_TOPIC, ""), &["=retention.ms=1"], 42, "Default topic resources are not allowed.");
    check((OF_TOPIC, "a b"), &["=retention.ms=1"], 17, "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'");
    check(OF_ONE, &["=log.segment.bytes=5"], 42, "Invalid value 5 for configuration log.segment.bytes: Value must be at least 1048576");
    check(OF_ONE, &["=log.retention.hours=1", "=num.partitions=3"], 42, "Cannot update these configs dynamically: [log.retention.hours, num.partitions]");
    check(OF_ONE, &["+no.such=1"], 40, "Unknown config name: no.such");
    check(OF_ONE, &["+log.segment.bytes=1"], 40, "Config value append is not allowed for config key: log.segment.bytes");
    check((OF_BROKER, "77"), &["=log.retention.ms=1"], 42, "Unexpected broker id, expected 1, but received 77");
    check((OF_BROKER, "x"), &["=log.retention.ms=1"], 42, "Node id must be an integer, but it is: x");
    check((OF_GROUP, ""), &["=consumer.session.timeout.ms=50000"], 42, "Default group resources are not allowed.");
    check((OF_GROUP, "g"), &["=consumer.session.timeout.ms=5"], 40, "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms");
    check((3, "x"), &["=a=1"], 42, "Unknown resource type 3");
}

fn check(of: (i8, &'static str), changes: &'static [&'static str], code: i16, words: &str) {
    let told = World::new(66).live(async move |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.alter(of, changes).await
    });
    assert_eq!(told, (code, Some(words.to_owned())), "{changes:?}");
}

#[test]
fn each_resource_stands_by_itself_and_none_twice() {
    World::new(67).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let wrong: &[&str] = &["=log.roll.ms=0"];
        let right: &[&str] = &["=max.message.bytes=100"];
        let told = client.alter_all(&[(OF_ALL, wrong), (OF_T, right)], false).await;
        assert_eq!(told.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [42, OK]);
        assert_eq!(client.produce(-1, &batch(400)).await.error, MESSAGE_TOO_LARGE);
        let twice = client.alter_all(&[(OF_T, right), (OF_ONE, &[]), (OF_T, right)], false).await;
        assert_eq!(twice.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [42, OK, 42]);
        let words = "Each resource must appear at most once.";
        assert_eq!(twice[0].1.as_deref(), Some(words));
    });
}

#[test]
fn who_has_properties_is_listed() {
    World::new(68).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        client.altered((OF_GROUP, "g"), &["=consumer.session.timeout.ms=50000"]).await;
        let owned = |list: &[(i8, &str)]| {
            list.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect::<Vec<_>>()
        };
        let all = owned(&[(OF_GROUP, "g"), (OF_BROKER, "1"), (OF_TOPIC, "t")]);
        assert_eq!(client.resources(1, &[]).await, (OK, all));
        assert_eq!(client.resources(1, &[OF_TOPIC]).await, (OK, owned(&[(OF_TOPIC, "t")])));
        assert_eq!(client.resources(1, &[OF_TOPIC, 3]).await, (35, Vec::new()));
        // Its only kind is the metrics of clients.
        assert_eq!(client.resources(0, &[]).await, (OK, Vec::new()));
        client.altered((OF_GROUP, "g"), &["-consumer.session.timeout.ms"]).await;
        assert_eq!(client.resources(1, &[OF_GROUP]).await, (OK, Vec::new()));
    });
}

/// Sources: 1 the topic, 2 the broker's own, 3 of all brokers, 4 the file, 5 the default, 8 the
/// group.
#[test]
#[rustfmt::skip]
fn what_was_set_is_told_before_what_was_given() {
    World::new(69).live(async |life| {
        let _node = life.node(&[("log.retention.hours", "24")]).await;
        let mut client = life.client().await;
        client.create(&[("retention.ms", "700")]).await;
        client.altered(OF_ONE, &["=log.retention.ms=7000"]).await;
        client.altered(OF_ALL, &["=log.retention.ms=8000", "=message.max.bytes=2000000"]).await;
        client.altered((OF_GROUP, "g"), &["=consumer.session.timeout.ms=50000"]).await;
        let all = "log.retention.ms=7000 2, log.retention.ms=8000 3, log.retention.hours=24 4, log.retention.hours=168 5";
        for (of, name, expected) in [
            (OF_T, "retention.ms", format!("700 1, retention.ms=700 1, {all}")),
            (OF_ONE, "log.retention.ms", format!("7000 2, {all}")),
            (OF_ONE, "log.retention.hours", "24 4, log.retention.hours=24 4, log.retention.hours=168 5".to_owned()),
            (OF_ALL, "log.retention.ms", "8000 3, log.retention.ms=8000 3".to_owned()),
            (OF_T, "max.message.bytes", "2000000 3, message.max.bytes=2000000 3, message.max.bytes=1048588 5".to_owned()),
            ((OF_GROUP, "g"), "consumer.session.timeout.ms", "50000 8, consumer.session.timeout.ms=50000 8, group.consumer.session.timeout.ms=45000 5".to_owned()),
            ((OF_GROUP, "h"), "consumer.session.timeout.ms", "45000 5, group.consumer.session.timeout.ms=45000 5".to_owned()),
        ] {
            assert_eq!(client.describe(of, name).await, expected, "{name}");
        }
    });
}

#[test]
fn what_is_too_long_or_too_much_is_refused() {
    World::new(70).live(async |life| {
        let _node = life.node(&[]).await;
        let mut client = life.client().await;
        client.create(&[]).await;
        let padded = |len: usize| leak(&format!("=consumer.session.timeout.ms={:>len$}", 50_000));
        let name = |len: usize, at: usize| (OF_GROUP, leak(&format!("{at:0len$}")));
        assert_eq!(client.alter(name(1_024, 0), &[padded(1_024)]).await.0, OK);
        assert_eq!(client.alter(name(1_025, 0), &[padded(9)]).await.0, 40);
        assert_eq!(client.alter(name(5, 0), &[padded(1_025)]).await.0, 40);
        // An answer of a size that any client reads, whatever was asked.
        let value = leak(&format!("=retention.ms={:x>30000}", 5));
        let (code, words) = client.alter(OF_T, &[value]).await;
        assert!(code == 40 && words.unwrap().len() < 3_000);
        // One batch of the metadata log holds what one request changes.
        let many: Vec<_> = (0..5_000).map(|at| name(10, at)).collect();
        let changes = [padded(1_000)];
        let many: Vec<((i8, &'static str), &[&str])> =
            many.into_iter().map(|group| (group, &changes[..])).collect();
        let told = client.alter_all(&many, false).await;
        assert!(told.iter().all(|(code, _)| *code == 44), "{:?}", told[0]);
        assert_eq!(client.resources(1, &[OF_GROUP]).await.1.len(), 1);
    });
}
