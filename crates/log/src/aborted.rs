//! The aborted transactions of one segment: which records a consumer has to skip (KIP-98).

use ottla_types::{Offset, ProducerId};

use crate::EndedTransaction;
use crate::append_list::AppendList;

/// A transaction whose records are not to be shown to consumers of committed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer: ProducerId,
    /// Its records begin here, and end with its marker.
    pub first_offset: Offset,
}

/// Appended by the segment's writer while readers look; in the order of the markers.
#[derive(Debug)]
pub(crate) struct AbortedIndex {
    /// Producer, first offset, the marker's offset, and the last stable offset after it.
    pub(crate) entries: AppendList<4>,
}

impl AbortedIndex {
    pub(crate) const fn new() -> Self {
        Self { entries: AppendList::new() }
    }

    pub(crate) fn push(&self, aborted: &EndedTransaction) {
        let offset = |offset: Offset| offset.get().cast_unsigned();
        self.entries.push([
            aborted.producer.get().cast_unsigned(),
            offset(aborted.first_offset),
            offset(aborted.last_offset),
            offset(aborted.last_stable_offset),
        ]);
    }

    /// A copy for the same segment.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self::new();
        (0..self.entries.len()).for_each(|at| copy.entries.push(self.entries.get(at)));
        copy
    }

    /// Adds the transactions with records in `from..upto` to `found`. True when no later marker
    /// can add another: all that began below `upto` had ended by then.
    pub(crate) fn collect(
        &self,
        from: Offset,
        upto: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> bool {
        let len = self.entries.len();
        let offset = |word: u64| Offset::new(word.cast_signed());
        let first = self.entries.partition_point(len, |[_, _, last, _]| offset(last) < from);
        for at in first..len {
            let [producer, first_offset, _, last_stable] = self.entries.get(at);
            let first_offset = offset(first_offset);
            if first_offset < upto {
                let producer = ProducerId::new(producer.cast_signed());
                found.push(AbortedTransaction { producer, first_offset });
            }
            if offset(last_stable) >= upto {
                return true;
            }
        }
        false
    }
}
