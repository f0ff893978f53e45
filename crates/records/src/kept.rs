//! Checked batches that outlive the frames in which they came.

use ottla_types::Timestamp;

use crate::{BatchHeader, CheckedBatch, HEADER_BYTES};

/// Copies of checked batches, one behind the other, for whoever appends several together. It keeps
/// its room when it is cleared.
#[derive(Debug, Default)]
pub struct KeptBatches {
    /// Headers and records.
    bytes: Vec<u8>,
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    header: BatchHeader,
    min_timestamp: Option<Timestamp>,
    /// Its first byte.
    from: usize,
}

impl KeptBatches {
    /// Copies a batch behind the others.
    pub fn keep(&mut self, batch: &CheckedBatch<'_>) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(&batch.head);
        self.bytes.extend_from_slice(batch.section);
        let CheckedBatch { header, min_timestamp, .. } = *batch;
        self.kept.push(Kept { header, min_timestamp, from });
    }

    /// The batch that was kept as number `at`, counted from 0.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn get(&self, at: usize) -> CheckedBatch<'_> {
        let Kept { header, min_timestamp, from } = self.kept[at];
        let bytes = &self.bytes[from..from + header.size as usize];
        let (head, section) =
            bytes.split_first_chunk::<HEADER_BYTES>().expect("a batch was copied whole");
        CheckedBatch { header, head: *head, section, min_timestamp }
    }

    /// The header of the batch that was kept as number `at`.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn header(&self, at: usize) -> &BatchHeader {
        &self.kept[at].header
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use ottla_types::{LeaderEpoch, Offset};

    use super::*;
    use crate::{BatchBuilder, BatchLimits, BatchOptions, Inside, NewRecord, check_produced};

    #[test]
    fn a_kept_batch_is_the_batch_that_was_checked() {
        let built: Vec<_> = [["a", "b"], ["cc", ""], ["d", "eee"]].map(build).into_iter().collect();
        let limits = BatchLimits { size_max: 1_000, inside: Inside::Header };
        let mut kept = KeptBatches::default();
        for bytes in &built {
            let mut batch = check_produced(bytes, limits).unwrap();
            if kept.len() == 1 {
                batch.stamp_append_time(Timestamp::from_millis(77));
            }
            kept.keep(&batch);
            let copy = kept.get(kept.len() - 1);
            assert_eq!((copy.header(), copy.section()), (batch.header(), batch.section()));
            let head = |of: &CheckedBatch<'_>| of.head_at(Offset::new(9), LeaderEpoch::ZERO);
            assert_eq!(head(&copy), head(&batch));
            let late = (Timestamp::from_millis(8), Timestamp::from_millis(9));
            let judge = |of: &CheckedBatch<'_>| of.check_timestamps(late.0, late.1);
            assert_eq!(judge(&copy), judge(&batch));
        }
        assert_eq!((kept.len(), kept.get(0).section()), (3, &built[0][HEADER_BYTES..]));
        kept.clear();
        assert!(kept.is_empty());
    }

    fn build(values: [&str; 2]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        for value in values {
            let value = Some(value.as_bytes());
            let timestamp = Timestamp::from_millis(5);
            builder.push(NewRecord { timestamp, key: None, value, headers: &[] });
        }
        builder.build().into_bytes()
    }
}
