//! Who acts on what the metadata says.

use std::sync::Arc;

use ottla_env::Answer;
use ottla_metadata::{MetadataDelta, MetadataImage};

use crate::config::LiveConfig;

/// Told of every committed change, in order. It returns at once and does its work elsewhere.
pub(crate) trait MetadataPublisher {
    /// `delta` led to `image`, which everybody sees already. The answer comes once this node serves
    /// what changed: whoever asked for the change is told no earlier.
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()>;
}

/// Lets what was set for brokers hold before anybody acts on the rest of a change: nothing is
/// served before the rules that govern it.
pub(crate) struct ConfigsFirst<P> {
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) then: P,
}

impl<P: MetadataPublisher> MetadataPublisher for ConfigsFirst<P> {
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()> {
        if delta.broker_configs_changed() {
            self.config.on_image(image);
        }
        self.then.publish(delta, image)
    }
}
