//! Texts that people and clients write: configurations, lists, expressions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_broker::{
    NodeConfig, Properties, escape_value, from_environment, parse_properties, registry,
};
use ottla_coordinator::{
    Client, ConsumerHeartbeat, Effects, GroupRequest, GroupSettings, GroupShard, MemberEpoch, Now,
};
use ottla_metadata::MetadataReplay;
use ottla_types::{LeaderEpoch, Offset, PartitionId, Timestamp, Uuid};

use super::split;

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut file = String::new();
    for property in registry() {
        let line = format!("{}={}\n", property.name(), property.default().unwrap_or("x"));
        all.push([b"c", line.as_bytes()].concat());
        file.push_str(&line);
    }
    all.push([b"c", file.as_bytes()].concat());
    for text in [
        "listeners=PLAINTEXT://:9092,CONTROLLER://[::1]:9093\nlistener.security.protocol.map=A:SSL",
        "controller.quorum.voters=1@localhost:9093,2@h:1",
        "max.connections.per.ip.overrides=10.0.0.1:5,::1:3,[fe80::1]:7",
        "group.consumer.assignors=uniform,range\nlog.cleanup.policy=compact,delete",
        "a\\ b = c\\\n  d\n! x\n# y\nlog.cleaner.min.cleanable.ratio=0.5\nx=\\u00e9\\uD83D",
    ] {
        all.push([b"c", text.as_bytes()].concat());
    }
    for regex in [
        r"\Qa.b\E.*",
        "[[:alpha:]]+",
        "[^]a-z&&[b]]",
        "(?i)ab|c{2,5}",
        r"\pL+\w{3}",
        "((a*)*)*b",
        "(a{100}){100}",
        "[a-c--]+",
        "(?P<n>x)",
        "(((((((((((((((((a)))))))))))))))))",
    ] {
        all.push([b"r", regex.as_bytes()].concat());
    }
    all
}

pub(super) fn text(input: &[u8]) {
    let Some(([kind], bytes)) = split(input) else { return };
    let text = String::from_utf8_lossy(bytes);
    match kind {
        b'r' => expression(&text),
        _ => configuration(&text),
    }
}

fn configuration(text: &str) {
    let (properties, _) = parse_properties(text);
    let again: String = properties
        .iter()
        .map(|(name, value)| format!("{}={}\n", escape_name(name), escape_value(value)))
        .collect();
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if properties.keys().all(|name| plain(name)) {
        assert_eq!(parse_properties(&again).0, properties, "{again}");
    }
    // What is refused is refused in words, and what is taken holds.
    match NodeConfig::parse(&properties, None) {
        Ok(config) => drop(config.with_set(&Properties::new(), &Properties::new())),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
    for property in registry() {
        drop(property.check(text));
    }
    // Set while a node runs: never an end of it.
    let started = NodeConfig::parse(&Properties::new(), None).expect("the defaults are legal");
    drop(started.with_set(&properties, &BTreeMap::new()));
    drop(from_environment(properties.iter().map(|(name, value)| (name.clone(), value.clone()))));
}

fn escape_name(name: &str) -> String {
    name.replace('=', "\\=").replace(':', "\\:").replace('#', "\\#").replace('!', "\\!")
}

/// An expression in a heartbeat, over some topics.
fn expression(text: &str) {
    let mut shard = GroupShard::new(PartitionId::ZERO, Arc::new(GroupSettings::default()));
    let image = MetadataReplay::new("c").take(Offset::ZERO, LeaderEpoch::ZERO).1;
    let now = Now { mono: Duration::from_secs(5), wall: Timestamp::from_millis(5_000) };
    let mut effects = Effects::default();
    shard.on_loaded(now, &image, &mut effects);
    let beat = ConsumerHeartbeat {
        group: "g".into(),
        member: "m".into(),
        names_itself: true,
        epoch: Some(MemberEpoch::Joining),
        instance: None,
        rack: None,
        rebalance_timeout: Some(Duration::from_secs(60)),
        topics: Some(Vec::new()),
        regex: Some(text.into()),
        assignor: None,
        owned: Some(Vec::new()),
        client: Client { id: "c".into(), host: "/127.0.0.1".into() },
        drawn: Uuid::from_u128(7),
    };
    shard.step(
        now,
        &image,
        super::groups::ticket(1),
        GroupRequest::ConsumerHeartbeat(beat),
        &mut effects,
    );
}
