//! Batches made beforehand, of records that look like something.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla_records::{BatchBuilder, BatchOptions, Compression, NewRecord, crc32c};
use ottla_types::Timestamp;

/// Where a batch keeps its checksum, and where what is checked begins.
const CRC_AT: usize = 17;
const CHECKED_FROM: usize = 21;
/// Stands for a time until one is known: no text contains it.
const NO_TIME: [u8; 8] = [0xfe, 0xed, 0xfa, 0xce, 0xca, 0xfe, 0xbe, 0xef];

/// What batches are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// In a batch.
    pub(crate) records: usize,
    /// Of a record's value.
    pub(crate) record_bytes: usize,
    pub(crate) codec: Compression,
}

/// A batch in its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// Its size before compression.
    pub(crate) plain_bytes: u64,
}

/// A batch; others of the same `variant` are equal but for their time.
pub(crate) fn make(shape: Shape, variant: u64) -> Made {
    let mut words = Words(variant);
    build(shape, |_| words.value(shape.record_bytes))
}

fn build(shape: Shape, mut value: impl FnMut(usize) -> Vec<u8>) -> Made {
    // Older records would fall to retention while they are read.
    let now = i64::try_from(since_1970().as_millis()).expect("for 292 million years");
    let options = BatchOptions { compression: shape.codec, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    for at in 0..shape.records {
        builder.push(NewRecord {
            timestamp: Timestamp::from_millis(now),
            key: None,
            value: Some(&value(at)),
            headers: &[],
        });
    }
    let plain_bytes = builder.uncompressed_size() as u64;
    Made { bytes: builder.build().into_bytes(), plain_bytes }
}

pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set")
}

/// A batch, without codec, whose first record begins with a time that can be set.
#[derive(Clone, Debug)]
pub(crate) struct Stamped {
    pub(crate) bytes: Vec<u8>,
    /// Where the time is.
    time_at: usize,
}

impl Stamped {
    /// # Panics
    /// If a record has no room for a time.
    pub(crate) fn new(shape: Shape) -> Self {
        let mut words = Words(1);
        let made = build(Shape { codec: Compression::None, ..shape }, |at| {
            let mut value = words.value(shape.record_bytes);
            if at == 0 {
                value[..NO_TIME.len()].copy_from_slice(&NO_TIME);
            }
            value
        });
        let time_at = made.bytes.windows(NO_TIME.len()).position(|bytes| bytes == NO_TIME);
        Self { bytes: made.bytes, time_at: time_at.expect("it was just written") }
    }

    /// Where a batch keeps the time, from its beginning.
    pub(crate) const fn time_at(&self) -> usize {
        self.time_at
    }
}

/// Sets the time of a batch that [`Stamped`] made.
pub(crate) fn stamp(batch: &mut [u8], time_at: usize, time: u64) {
    batch[time_at..time_at + 8].copy_from_slice(&time.to_be_bytes());
    let crc = crc32c(&batch[CHECKED_FROM..]);
    batch[CRC_AT..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
}

/// The time of a batch, as it was stamped.
pub(crate) fn time_of(batch: &[u8], time_at: usize) -> Option<u64> {
    let bytes = batch.get(time_at..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*bytes))
}

/// Batches of records with keys, no two alike.
#[derive(Debug)]
pub(crate) struct Keyed {
    words: Words,
    keys: u64,
    value: Vec<u8>,
}

impl Keyed {
    /// Keys are drawn at random from so many.
    pub(crate) fn new(keys: u64, record_bytes: usize) -> Self {
        let mut words = Words(7);
        let value = words.value(record_bytes);
        Self { words, keys, value }
    }

    /// A batch of about so many bytes, no codec.
    pub(crate) fn batch(&mut self, bytes: usize) -> Vec<u8> {
        let now = i64::try_from(since_1970().as_millis()).expect("for 292 million years");
        let mut builder = BatchBuilder::new(BatchOptions::default());
        while builder.uncompressed_size() < bytes {
            let key = format!("key-{:08}", self.words.next() % self.keys);
            builder.push(NewRecord {
                timestamp: Timestamp::from_millis(now),
                key: Some(key.as_bytes()),
                value: Some(&self.value),
                headers: &[],
            });
        }
        builder.build().into_bytes()
    }
}

/// A source of values like those that services log: fields that repeat, and numbers that do not.
#[derive(Debug)]
struct Words(u64);

const ACTIONS: [&str; 6] = ["view", "search", "add-to-cart", "checkout", "login", "refund"];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile Safari/604.1",
    "okhttp/4.12.0",
];

impl Words {
    /// Splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_of(&mut self, list: &[&'static str]) -> &'static str {
        list[usize::try_from(self.next() % list.len() as u64).expect("a place in a list")]
    }

    /// Exactly so many bytes.
    fn value(&mut self, bytes: usize) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < bytes {
            let (id, session) = (self.next(), self.next());
            let (user, item) = (self.next() % 100_000, self.next() % 10_000);
            let (price, took) = (self.next() % 50_000, self.next() % 3_000);
            let (action, agent) = (self.one_of(&ACTIONS), self.one_of(&AGENTS));
            let _ = write!(
                text,
                "{{\"event\":\"{action}\",\"trace\":\"{id:016x}\",\"session\":\"{session:016x}\",\
                 \"user\":\"user-{user:05}\",\
                 \"item\":{item},\"price\":{price},\"currency\":\"EUR\",\"took_us\":{took},\
                 \"path\":\"/shop/v2/items/{item}/{action}\",\"agent\":\"{agent}\",\"ok\":true}}",
            );
        }
        text.truncate(bytes);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_shrink_as_logs_of_services_do() {
        check(Compression::None, 1.0..1.01);
        check(Compression::Lz4, 2.5..3.6);
        check(Compression::Zstd, 3.6..6.0);
    }

    #[allow(clippy::cast_precision_loss, reason = "sizes of batches")]
    fn check(codec: Compression, expected: std::ops::Range<f64>) {
        let made = make(Shape { records: 64, record_bytes: 1000, codec }, 3);
        let ratio = made.plain_bytes as f64 / made.bytes.len() as f64;
        assert!(expected.contains(&ratio), "{codec:?}: {ratio}");
    }

    #[test]
    fn a_stamp_is_read_where_it_was_set_and_the_checksum_fits() {
        let stamped =
            Stamped::new(Shape { records: 2, record_bytes: 100, codec: Compression::Lz4 });
        let mut batch = stamped.bytes.clone();
        stamp(&mut batch, stamped.time_at(), 77);
        assert_eq!(time_of(&batch, stamped.time_at()), Some(77));
        let crc = u32::from_be_bytes(*batch[CRC_AT..].first_chunk().unwrap());
        assert_eq!(crc, crc32c(&batch[CHECKED_FROM..]));
        assert_eq!(batch.len(), stamped.bytes.len());
    }
}
