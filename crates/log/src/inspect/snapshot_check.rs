//! Producer snapshots against a replay of the log.

use ottla_types::{Offset, ProducerId};

use crate::ProducerState;

/// The first producer of which `snapshot` says what the log, replayed from offset `begun` to the
/// snapshot's, contradicts. What was written before `begun` nobody can tell any more, and a
/// producer that is missing may have been silent for too long.
pub(super) fn contradiction(
    snapshot: &ProducerState,
    replayed: &ProducerState,
    begun: Offset,
) -> Option<ProducerId> {
    snapshot.producers().find_map(|(id, producer)| {
        let newest = producer.recent.iter().flatten().last();
        let newest = newest.filter(|newest| newest.base_offset >= begun);
        let open = producer.transaction_start.filter(|start| *start >= begun);
        let place = |batch: &crate::RecentBatch| (batch.last_sequence, batch.last_offset);
        let agrees = match replayed.producer(id) {
            None => newest.is_none() && open.is_none(),
            Some(known) => {
                let last = known.recent.iter().flatten().last();
                newest.is_none_or(|newest| {
                    producer.epoch == known.epoch && last.map(place) == Some(place(newest))
                }) && open.is_none_or(|open| known.transaction_start == Some(open))
            }
        };
        (!agrees).then_some(id)
    })
}
