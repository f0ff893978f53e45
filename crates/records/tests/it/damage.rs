//! Decoders meet damaged batches: they may refuse, never panic, never outgrow their bound.

use ottla_records::{BatchLimits, BatchStream, Batches, Inside, check_produced};

use crate::golden::vectors;

const INFLATED_MAX: usize = 200_000;
const LIMITS: BatchLimits =
    BatchLimits { size_max: 1 << 20, inside: Inside::Full { inflated_max: INFLATED_MAX } };

/// A small generator, so that each run damages the same bytes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.roll(bytes.len());
        match self.roll(5) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.roll(8),
            2 => bytes[at..].fill([0, 0xff][self.roll(2)]),
            3 => bytes.insert(at, 0x80),
            _ => {
                let end = bytes.len().min(at + 4);
                bytes[at..end].fill([0, 0x7f, 0xff][self.roll(3)]);
            }
        }
    }
}

#[test]
fn damaged_batches_do_no_harm() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for vector in vectors() {
        for _ in 0..300 {
            let mut bytes = vector.bytes.clone();
            for _ in 0..=dice.roll(3) {
                if !bytes.is_empty() {
                    dice.damage(&mut bytes);
                }
            }
            try_all(&bytes);
        }
    }
}

/// The checksum would hide most damage from what comes after it, so records are read without it.
fn try_all(bytes: &[u8]) {
    let _ = check_produced(bytes, LIMITS);
    let mut rest = bytes;
    let _ = BatchStream::new().next(&mut rest);
    for batch in Batches::new(bytes).flatten() {
        let Ok(records) = batch.records(INFLATED_MAX) else { continue };
        for record in records.iter().flatten() {
            assert!(record.headers.iter().count() <= record.headers.len());
            assert!(record.value.map_or(0, <[u8]>::len) <= INFLATED_MAX);
        }
    }
}
