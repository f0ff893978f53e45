//! The configuration in force: what a node was started with, and what was set since.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ottla_metadata::{ConfigResource, InvalidValue, MetadataImage};

use super::{NodeConfig, Properties};

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

    /// The metadata says something else of this broker, or of all.
    pub(crate) fn on_image(&self, image: &MetadataImage) {
        let (config, passed_over) = as_set(&self.started, image);
        for invalid in passed_over {
            // Apache Kafka may have stored it, or an Ottla that could do more.
            tracing::warn!("what was set for brokers has no effect: {invalid}");
        }
        self.now.store(Arc::new(config));
    }
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
