//! The configuration in force: what a node was started with, and what was set since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_metadata::{ConfigResource, InvalidValue, MetadataImage, TopicConfigProperty};
use ottla_types::BrokerId;

use super::{NodeConfig, Properties, Update, registry};

/// A node's configuration, which changes while it runs. Reading it takes no lock.
#[derive(Debug)]
pub(crate) struct LiveConfig {
    /// What the node was started with.
    started: NodeConfig,
    now: ArcSwap<NodeConfig>,
}

impl LiveConfig {
    pub(crate) fn new(started: NodeConfig) -> Self {
        let now = ArcSwap::from_pointee(started.clone());
        Self { started, now }
    }

    /// The configuration of this moment.
    pub(crate) fn load(&self) -> Arc<NodeConfig> {
        self.now.load_full()
    }

    /// The first metadata: what Apache Kafka stored of topics and nobody here acts on is said once.
    pub(crate) fn on_first_image(image: &MetadataImage) {
        let names = topics_without_effect(image);
        if !names.is_empty() {
            let names = Vec::from_iter(names).join(", ");
            tracing::warn!("what was set for topics has no effect in this version: {names}");
        }
    }

    /// The metadata says something else of this broker, or of all.
    pub(crate) fn on_image(&self, image: &MetadataImage) {
        let (config, passed_over) = as_set(&self.started, image);
        let names = without_effect(self.started.node_id, image);
        if !names.is_empty() {
            let names = Vec::from_iter(names).join(", ");
            tracing::warn!("what was set for brokers has no effect in this version: {names}");
        }
        for invalid in passed_over {
            // Apache Kafka may have stored it, or an Ottla that could do more.
            tracing::warn!("what was set for brokers has no effect: {invalid}");
        }
        self.now.store(Arc::new(config));
    }
}

/// Properties of brokers in the metadata that this node does not act on, as Apache Kafka stores
/// some: it has none of the name, or only a start reads it.
fn without_effect(node: BrokerId, image: &MetadataImage) -> BTreeSet<&str> {
    let acted_on = |name: &&str| {
        let mut named = registry().filter(|property| property.name() == *name);
        named.any(|property| property.update() == Update::ClusterWide)
    };
    let mut names = BTreeSet::new();
    for of in [Some(node), None].map(ConfigResource::Broker) {
        let set = image.configs(&of).into_iter().flat_map(BTreeMap::keys);
        names.extend(set.map(String::as_str).filter(|name| !acted_on(name)));
    }
    names
}

/// Properties of topics in the metadata that this node does not act on: it has none of the name, or
/// cannot do what the value says.
fn topics_without_effect(image: &MetadataImage) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for topic in image.topics() {
        for (name, value) in &topic.configs {
            let property = TopicConfigProperty::named(name);
            if property.is_none_or(|property| property.rule.check(value).is_err()) {
                names.insert(name.as_str());
            }
        }
    }
    names
}

/// The configuration of a node over which lies what the metadata says of it; and what of that
/// cannot be.
pub(crate) fn as_set(
    started: &NodeConfig,
    image: &MetadataImage,
) -> (NodeConfig, Vec<InvalidValue>) {
    let set = |broker| image.configs(&ConfigResource::Broker(broker)).cloned();
    let own: Properties = set(Some(started.node_id)).unwrap_or_default();
    started.with_set(&own, &set(None).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use ottla_metadata::{MetadataReplay, Record};
    use ottla_types::{LeaderEpoch, NodeId, Offset, TopicName, Uuid};

    use super::*;
    use crate::groups::GROUP_METADATA;

    #[test]
    fn what_apache_stored_and_nobody_acts_on_is_named() {
        let topic = |name| TopicName::parse(name).unwrap();
        let of_topic = |name| ConfigResource::Topic(topic(name));
        let made = |name, id| Record::Topic { name: topic(name), id: Uuid::from_u128(id) };
        let config = |resource, name: &str, value: &str| Record::Config {
            resource,
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        let broker = |id: Option<i32>| ConfigResource::Broker(id.map(NodeId::new));
        let image = image(&[
            config(broker(None), "log.cleaner.threads", "2"),
            config(broker(None), "log.retention.ms", "5"),
            config(broker(Some(1)), "listeners", "PLAINTEXT://:9092"),
            config(broker(Some(2)), "max.connections", "3"),
            made("t", 7),
            made(GROUP_METADATA, 8),
            config(of_topic("t"), "flush.messages", "1"),
            config(of_topic("t"), "retention.ms", "1"),
            config(of_topic("t"), "compression.type", "zstd"),
            config(of_topic(GROUP_METADATA), "cleanup.policy", "compact"),
        ]);
        let named = without_effect(NodeId::new(1), &image);
        assert_eq!(Vec::from_iter(named), ["listeners", "log.cleaner.threads"]);
        let named = topics_without_effect(&image);
        assert_eq!(Vec::from_iter(named), ["compression.type", "flush.messages"]);
    }

    fn image(records: &[Record]) -> Arc<MetadataImage> {
        let mut replay = MetadataReplay::new("cluster");
        let mut at = Offset::new(0);
        for record in records {
            replay.record(at, record).unwrap();
            at = at.next();
        }
        replay.take(at, LeaderEpoch::new(1)).1
    }
}
