//! Producer ids, handed out from blocks that the controller allocates.

use ottla_types::ProducerId;
use tokio::sync::Mutex;

use crate::controller::ControllerHandle;

/// The controller could not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller gave no producer ids")]
pub(crate) struct NoProducerIds;

/// What is left of this node's block.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds {
    /// Ids from the first, so many. One task at a time asks for the next block; the others wait
    /// for it here.
    block: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// An id that nobody had before.
    pub(crate) async fn next(
        &self,
        controller: &ControllerHandle,
    ) -> Result<ProducerId, NoProducerIds> {
        let mut block = self.block.lock().await;
        if block.1 == 0 {
            let fresh = controller.allocate_producer_ids().await;
            let fresh = fresh.map_err(|_| NoProducerIds)?.map_err(|_| NoProducerIds)?;
            *block = (fresh.first.get(), fresh.count);
        }
        let (first, left) = *block;
        assert!(left > 0, "a block of producer ids is never empty");
        *block = (first + 1, left - 1);
        Ok(ProducerId::new(first))
    }
}
