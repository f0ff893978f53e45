//! Which records belong to aborted transactions, and which markers have nothing left to mark.

use std::collections::{BTreeMap, BTreeSet};

use ottla_records::{BatchHeader, EndTransactionMarker};
use ottla_types::{Offset, ProducerId};

use crate::EndedTransaction;

/// The transactions of a log, as far as a walk over its batches has come.
#[derive(Debug)]
pub(crate) struct Transactions {
    /// Those that were aborted, by producer and by their markers' offsets.
    aborted: BTreeMap<(ProducerId, Offset), Aborted>,
    /// Producers of whom a record was met since their last marker.
    committing: BTreeSet<ProducerId>,
}

#[derive(Debug)]
struct Aborted {
    entry: EndedTransaction,
    /// A batch of it is still there.
    met: bool,
}

/// What a batch is in the eyes of transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its records count.
    Data,
    /// Its records belong to an aborted transaction: nobody who waits for commits sees them.
    Aborted,
    /// A marker, of which batches are still there; of an aborted transaction, if so said.
    Marker { aborts: Option<EndedTransaction> },
    /// A marker of which nothing is left, or of a transaction that was empty.
    IdleMarker,
}

impl Transactions {
    /// With what the indexes of aborted transactions say.
    pub(crate) fn new(aborted: impl IntoIterator<Item = EndedTransaction>) -> Self {
        let keyed = |entry: EndedTransaction| {
            ((entry.producer, entry.last_offset), Aborted { entry, met: false })
        };
        Self { aborted: aborted.into_iter().map(keyed).collect(), committing: BTreeSet::new() }
    }

    /// The next batch. `section` is what follows the header, needed of control batches only.
    pub(crate) fn next(&mut self, header: &BatchHeader, section: &[u8]) -> Standing {
        match header.producer {
            Some(stamp) if header.attributes.is_control() => {
                self.on_marker(header, stamp.id, section)
            }
            Some(stamp) if header.attributes.is_transactional() => self.on_batch(header, stamp.id),
            Some(_) | None if header.attributes.is_control() => Standing::Marker { aborts: None },
            Some(_) | None => Standing::Data,
        }
    }

    fn on_batch(&mut self, header: &BatchHeader, producer: ProducerId) -> Standing {
        let first = (producer, header.last_offset().next());
        let last = (producer, Offset::new(i64::MAX));
        let ends = self.aborted.range_mut(first..=last).next();
        if let Some((_, aborted)) =
            ends.filter(|(_, aborted)| aborted.entry.first_offset <= header.last_offset())
        {
            aborted.met = true;
            return Standing::Aborted;
        }
        self.committing.insert(producer);
        Standing::Data
    }

    fn on_marker(
        &mut self,
        header: &BatchHeader,
        producer: ProducerId,
        section: &[u8],
    ) -> Standing {
        // Compaction has emptied it before.
        if header.records_count == 0 {
            return Standing::IdleMarker;
        }
        match EndTransactionMarker::of(header, section) {
            Some(EndTransactionMarker { committed: true, .. }) => {
                match self.committing.remove(&producer) {
                    true => Standing::Marker { aborts: None },
                    false => Standing::IdleMarker,
                }
            }
            Some(EndTransactionMarker { committed: false, .. }) => {
                let aborted = self.aborted.get(&(producer, header.last_offset()));
                match aborted.filter(|aborted| aborted.met) {
                    Some(aborted) => Standing::Marker { aborts: Some(aborted.entry) },
                    None => Standing::IdleMarker,
                }
            }
            None => Standing::Marker { aborts: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_records::{
        BatchBuilder, BatchOptions, Batches, ControlType, HEADER_BYTES, NewRecord, ProducerStamp,
    };
    use ottla_types::{ProducerEpoch, Timestamp};

    use super::*;

    /// A word for each batch: `d1` data of producer 1, `c1` and `a1` its markers, `p` plain data.
    #[test]
    #[rustfmt::skip]
    fn batches_are_told_apart() {
        check("p d1 c1",            &[],           "data data marker");
        check("d1 a1",              &[(1, 0, 1)],  "aborted aborts");
        check("d1 d2 a1 c2",        &[(1, 0, 2)],  "aborted data aborts marker");
        // Of the same producer, one after the other.
        check("d1 a1 d1 c1 d1 a1",  &[(1, 0, 1), (1, 4, 5)], "aborted aborts data marker aborted aborts");
        // Nothing is left of what they mark.
        check("c1 a1 p",            &[],           "idle idle data");
        check("a1 d1 c1",           &[(1, 0, 0)],  "idle data marker");
        // Its beginning was deleted, or lies in front of what is looked at.
        check("d1 a1",              &[(1, -50, 1)], "aborted aborts");
    }

    fn check(batches: &str, aborted: &[(i64, i64, i64)], expected: &str) {
        let entry = |(producer, first, last): &(i64, i64, i64)| EndedTransaction {
            producer: ProducerId::new(*producer),
            first_offset: Offset::new(first + 100),
            last_offset: Offset::new(last + 100),
            committed: false,
            last_stable_offset: Offset::new(last + 101),
        };
        let mut transactions = Transactions::new(aborted.iter().map(entry));
        let told: Vec<&str> = (100..)
            .zip(batches.split(' '))
            .map(|(offset, word)| {
                let bytes = batch(offset, word);
                let header = Batches::new(&bytes).next().unwrap().unwrap().header;
                match transactions.next(&header, &bytes[HEADER_BYTES..]) {
                    Standing::Data => "data",
                    Standing::Aborted => "aborted",
                    Standing::Marker { aborts: None } => "marker",
                    Standing::Marker { aborts: Some(_) } => "aborts",
                    Standing::IdleMarker => "idle",
                }
            })
            .collect();
        assert_eq!(told.join(" "), expected, "{batches}");
    }

    fn batch(offset: i64, word: &str) -> Vec<u8> {
        let (kind, producer) = word.split_at(1);
        let control = kind == "c" || kind == "a";
        let kind_of = if kind == "c" { ControlType::Commit } else { ControlType::Abort };
        let marker = EndTransactionMarker { committed: kind == "c", coordinator_epoch: 1 };
        let stamp = producer.parse().ok().map(|id| ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::new(0),
            base_sequence: None,
        });
        let options = BatchOptions {
            base_offset: Offset::new(offset),
            producer: stamp,
            transactional: stamp.is_some(),
            control,
            ..BatchOptions::default()
        };
        let (key, value) = (kind_of.key(), marker.value());
        let mut builder = BatchBuilder::new(options);
        builder.push(NewRecord {
            timestamp: Timestamp::from_millis(0),
            key: Some(if control { &key } else { b"key" }),
            value: Some(if control { &value } else { b"value" }),
            headers: &[],
        });
        builder.build().into_bytes()
    }
}
