//! Batches that the node itself builds, into a partition.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use ottla_env::Env;
use ottla_records::BuiltBatch;
use ottla_types::Offset;

use crate::partition::{Admission, AppendError, Partition};

/// Appends a batch, and waits while there is no room for it just now: a roll, a sync. The high
/// watermark that says that it is committed.
pub(super) async fn append(
    env: &Env,
    partition: &Arc<Partition>,
    batch: &BuiltBatch,
) -> Result<Offset, AppendError> {
    let batch = batch.checked();
    poll_fn(|cx| match partition.append(env, &batch, cx.waker()) {
        Ok(Admission::Accepted { committed_at, .. }) => Poll::Ready(Ok(committed_at)),
        Ok(Admission::Parked) => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
    })
    .await
}
