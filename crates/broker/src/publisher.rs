//! Who acts on what the metadata says.

use std::sync::Arc;

use ottla_env::Answer;
use ottla_metadata::{MetadataDelta, MetadataImage};

/// Told of every committed change, in order. It returns at once and does its work elsewhere.
pub(crate) trait MetadataPublisher {
    /// `delta` led to `image`, which everybody sees already. The answer comes once this node serves
    /// what changed: whoever asked for the change is told no earlier.
    fn publish(&mut self, delta: &MetadataDelta, image: &Arc<MetadataImage>) -> Answer<()>;
}
