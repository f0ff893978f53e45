//! Spoilt frames: real ones, with something wrong.

use crate::command;
use std::fs;
use std::path::Path;

const TOPIC: &[u8] = b"hostile";

/// Numbers that break what trusts them.
const BAD_NUMBERS: [i32; 7] = [0, 1, -1, i32::MAX, i32::MIN, 0x7fff, 0x0640_0000];

/// What golden vectors hold: whole requests, and record batches.
#[derive(Debug)]
pub(super) struct Frames {
    requests: Vec<Vec<u8>>,
    batches: Vec<Vec<u8>>,
}

impl Frames {
    /// Reads what real clients sent, and what Apache Kafka builds.
    ///
    /// # Errors
    /// When the vectors cannot be read.
    pub(super) fn read() -> Result<Self, String> {
        let vectors = command::root().join("crates/testkit/vectors");
        let mut requests = Vec::new();
        let recorded = vectors.join("recorded");
        let listed = fs::read_dir(&recorded).map_err(|error| at(&recorded, &error))?;
        for entry in listed {
            let path = entry.map_err(|error| at(&recorded, &error))?.path();
            requests.extend(last_words(&path, "request ")?);
        }
        let batches = last_words(&vectors.join("batches/RecordBatch.hex"), "v2 ")?;
        if requests.is_empty() || batches.is_empty() {
            return Err(format!("there are no vectors in {}", vectors.display()));
        }
        Ok(Self { requests, batches })
    }

    /// A frame with its length, most likely a bad one.
    pub(super) fn draw(&self, random: &mut Random) -> Vec<u8> {
        let frame = match random.below(10) {
            0 => random.bytes(300),
            1 => random.pick(&self.requests).clone(),
            2..=4 => self.produce(random),
            _ => spoil(random.pick(&self.requests).clone(), random),
        };
        let honest = i32::try_from(frame.len()).expect("frames are small");
        let length = match random.below(20) {
            0 => *random.pick(&BAD_NUMBERS),
            1 => honest + 1,
            2 => honest - 1,
            _ => honest,
        };
        [&length.to_be_bytes(), frame.as_slice()].concat()
    }

    /// A sound Produce 9 around a batch that is not.
    fn produce(&self, random: &mut Random) -> Vec<u8> {
        let mut batch = spoil(random.pick(&self.batches).clone(), random);
        if random.below(3) > 0 {
            seal(&mut batch);
        }
        let acks: i16 = *random.pick(&[1, -1, 0]);
        let mut frame = vec![0, 0, 0, 9, 0, 0, 0, 7, 0xff, 0xff, 0, 0];
        frame.extend(acks.to_be_bytes());
        frame.extend(100_i32.to_be_bytes());
        frame.push(2);
        compact(&mut frame, TOPIC);
        frame.extend([2, 0, 0, 0, 0]);
        compact(&mut frame, &batch);
        frame.extend([0, 0, 0]);
        frame
    }

    /// CreateTopics 2 for the topic that batches are sent to.
    pub(super) fn create_topic(&self) -> Vec<u8> {
        assert!(!self.batches.is_empty(), "there is something to send to it");
        let mut frame = vec![0, 19, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 1, 0, 7];
        frame.extend(TOPIC);
        // One partition, one replica, no assignments, no configs; five seconds; do it.
        frame.extend([0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x13, 0x88, 0]);
        let length = u32::try_from(frame.len()).expect("frames are small");
        [&length.to_be_bytes(), frame.as_slice()].concat()
    }
}

/// The last word of each line that begins with `prefix`, from its hexadecimal form.
fn last_words(path: &Path, prefix: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
    let words = text.lines().filter(|line| line.starts_with(prefix));
    let words = words.filter_map(|line| line.rsplit(' ').next());
    words.map(|word| unhex(word).ok_or_else(|| format!("{}: {word}", path.display()))).collect()
}

fn at(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Bytes with a varint of their length plus one before them.
fn compact(frame: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len() + 1;
    loop {
        let [digits, ..] = (length & 0x7f).to_le_bytes();
        length >>= 7;
        if length == 0 {
            frame.push(digits);
            break;
        }
        frame.push(digits | 0x80);
    }
    frame.extend(bytes);
}

/// Makes length and checksum of a batch right again, so that what is wrong lies deeper.
fn seal(batch: &mut [u8]) {
    if batch.len() < 61 {
        return;
    }
    let length = i32::try_from(batch.len() - 12).expect("batches are small");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Bit by bit: slow, and nobody's implementation but its own.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    })
}

/// Does one to four bad things.
fn spoil(mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let place = random.place(&bytes);
        match random.below(7) {
            0 => bytes[place] = random.byte(),
            1 => bytes[place] ^= 1 << random.below(8),
            2 => bytes.truncate(place),
            3 => drop(bytes.splice(place..place, random.bytes(8))),
            4 => overwrite(&mut bytes, place, &random.pick(&BAD_NUMBERS).to_be_bytes()),
            // The largest varint, and one that is too large.
            5 => overwrite(&mut bytes, place, &[0xff, 0xff, 0xff, 0xff, *random.pick(&[7, 0x7f])]),
            _ => {
                let copied = bytes[place..].to_vec();
                bytes.splice(place..place, copied);
            }
        }
    }
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let end = bytes.len().min(at + with.len());
    bytes[at..end].copy_from_slice(&with[..end - at]);
}

/// Numbers that look like chance and are the same for the same seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    /// Up to `most` bytes.
    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.byte()).collect()
    }

    /// One of some that are not none.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.place(all)]
    }

    /// An index of something that is not empty.
    fn place<T>(&mut self, all: &[T]) -> usize {
        usize::try_from(self.below(all.len() as u64)).expect("an index fits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_frames() {
        let frames = Frames::read().unwrap();
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| frames.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_sealed_batch_has_apache_kafkas_checksum() {
        let batches = Frames::read().unwrap().batches;
        for batch in batches {
            let mut sealed = batch.clone();
            sealed[17..21].fill(0);
            seal(&mut sealed);
            assert_eq!(sealed, batch);
        }
    }
}
