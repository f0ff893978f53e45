//! What an operator is told of a partition.

use std::sync::Arc;

use ottla_env::Env;
use ottla_log::ActiveProducer;

use super::{Absent, Partition};
use crate::watch::Traffic;

impl Partition {
    /// The bytes of its batches, as Kafka counts a log's size: indexes and snapshots excepted.
    pub(crate) fn bytes(&self) -> u64 {
        // In this order: a roll shows the new segment first and bounds that lie in it afterwards.
        let bounds = self.bounds();
        self.view().bytes_below(bounds.log_end)
    }

    /// What went through it.
    pub(crate) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The producers that it remembers, by their ids.
    ///
    /// # Errors
    /// When its log cannot be opened, or not any more.
    pub(crate) async fn active_producers(
        self: &Arc<Self>,
        env: &Env,
    ) -> Result<Vec<ActiveProducer>, Absent> {
        self.opened(env).await?;
        let state = self.state.lock();
        Ok(state.writer.log().map_or_else(Vec::new, |log| log.producers().active().collect()))
    }
}
