//! How many replicas have to have what is acknowledged.

use std::sync::Arc;

use ottla_metadata::MetadataImage;

use super::Partition;

impl Partition {
    /// Whether as many replicas are in sync as `min.insync.replicas` says, or all there are: what
    /// is committed must outlive the loss of all but one of them.
    pub(crate) fn has_replicas_in_sync(&self, image: impl FnOnce() -> Arc<MetadataImage>) -> bool {
        let needed = self.settings().min_insync_replicas;
        // The leader is in sync with itself: most topics ask for no more.
        if needed <= 1 {
            return true;
        }
        let image = image();
        let topic = image.topic_by_id(self.topic_id());
        let state = topic.and_then(|topic| topic.partition(self.name().partition));
        // Deleted meanwhile; whoever appends says so.
        let Some(state) = state else { return true };
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        state.isr.len() >= needed.min(state.replicas.len())
    }
}
