//! Record batches as text: `@batch pid=7 epoch=0 seq=0 k:v value`.
//!
//! A word is a record, `key:value` one with a key, `key:` a tombstone. Words with `=` before the
//! records say otherwise: `pid= epoch= seq= base= at= attributes=` (`at` in milliseconds from now),
//! `fill=N` (a record of N bytes), `poke=AT:HEX` (other bytes, and the checksum made right),
//! `harm=AT:HEX` (other bytes, and nothing made right), `cut=N` (the last bytes dropped). Batches
//! are joined by `;`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hostile::crc32c;

/// Where a batch's checksum lies, and what it covers begins.
const CRC: usize = 17;
const CRC_COVERS: usize = 21;

/// The bytes of all batches of a text.
///
/// # Errors
/// When the text is not understood.
pub(super) fn build(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    for part in text.split(';') {
        let part = part.trim().trim_start_matches("@batch");
        bytes.extend(Batch::parse(part)?.bytes());
    }
    Ok(bytes)
}

#[derive(Debug)]
struct Batch {
    base: i64,
    attributes: i16,
    /// Milliseconds from now.
    at: i64,
    producer: (i64, i16, i32),
    records: Vec<Record>,
    poke: Vec<(usize, Vec<u8>)>,
    harm: Vec<(usize, Vec<u8>)>,
    cut: usize,
}

#[derive(Debug)]
struct Record {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// Now in milliseconds, and later than ever before: of two batches of one moment the first has the
/// newest record, which a slower broker would not say.
fn moment() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let before = LAST.fetch_max(now - 1, Ordering::Relaxed).max(now - 1);
    LAST.store(before + 1, Ordering::Relaxed);
    before + 1
}

impl Batch {
    fn parse(text: &str) -> Result<Self, String> {
        let mut batch = Self {
            base: 0,
            attributes: 0,
            at: 0,
            producer: (-1, -1, -1),
            records: Vec::new(),
            poke: Vec::new(),
            harm: Vec::new(),
            cut: 0,
        };
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => batch.option(name, value)?,
                None => batch.records.push(Record::parse(word)),
            }
        }
        Ok(batch)
    }

    fn option(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "pid" => self.producer.0 = number(value)?,
            "epoch" => self.producer.1 = number(value)?,
            "seq" => self.producer.2 = number(value)?,
            "base" => self.base = number(value)?,
            "at" => self.at = number(value)?,
            "attributes" => self.attributes = number(value)?,
            "cut" => self.cut = number(value)?,
            "fill" => {
                let value = Some(vec![b'.'; number(value)?]);
                self.records.push(Record { key: None, value });
            }
            "poke" => self.poke.push(patch(value)?),
            "harm" => self.harm.push(patch(value)?),
            other => return Err(format!("a batch has no {other}")),
        }
        Ok(())
    }

    fn bytes(&self) -> Vec<u8> {
        let time = moment().saturating_add(self.at);
        let count = i32::try_from(self.records.len()).expect("batches are small");
        let mut bytes = Vec::new();
        bytes.extend(self.base.to_be_bytes());
        bytes.extend([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0]);
        bytes.extend(self.attributes.to_be_bytes());
        bytes.extend((count - 1).to_be_bytes());
        bytes.extend(time.to_be_bytes());
        bytes.extend(time.to_be_bytes());
        bytes.extend(self.producer.0.to_be_bytes());
        bytes.extend(self.producer.1.to_be_bytes());
        bytes.extend(self.producer.2.to_be_bytes());
        bytes.extend(count.to_be_bytes());
        for (offset, record) in (0..).zip(&self.records) {
            let body = record.body(offset);
            zigzag(&mut bytes, small(body.len()));
            bytes.extend(body);
        }
        let length = i32::try_from(bytes.len() - 12).expect("batches are small");
        overwrite(&mut bytes, 8, &length.to_be_bytes());
        self.poke.iter().for_each(|(at, with)| overwrite(&mut bytes, *at, with));
        let crc = crc32c(&bytes[CRC_COVERS..]);
        overwrite(&mut bytes, CRC, &crc.to_be_bytes());
        self.harm.iter().for_each(|(at, with)| overwrite(&mut bytes, *at, with));
        bytes.truncate(bytes.len().saturating_sub(self.cut));
        bytes
    }
}

impl Record {
    fn parse(word: &str) -> Self {
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        match word.split_once(':') {
            Some((key, "")) => Self { key: bytes(key), value: None },
            Some((key, value)) => Self { key: bytes(key), value: bytes(value) },
            None => Self { key: None, value: bytes(word) },
        }
    }

    /// All that follows the record's length.
    fn body(&self, offset: i64) -> Vec<u8> {
        let mut body = vec![0, 0];
        zigzag(&mut body, offset);
        for part in [&self.key, &self.value] {
            zigzag(&mut body, part.as_ref().map_or(-1, |part| small(part.len())));
            body.extend(part.iter().flatten());
        }
        body.push(0);
        body
    }
}

/// A signed number, seven bits a byte, small ones of both signs short.
#[allow(clippy::cast_sign_loss, reason = "zigzag is about bits")]
fn zigzag(out: &mut Vec<u8>, number: i64) {
    super::encode::varint(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn small(length: usize) -> i64 {
    i64::try_from(length).expect("records are small")
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number of its size"))
}

/// `AT:HEX`.
fn patch(text: &str) -> Result<(usize, Vec<u8>), String> {
    let (at, digits) = text.split_once(':').ok_or_else(|| format!("{text} is not AT:HEX"))?;
    Ok((number(at)?, unhex(digits)?))
}

/// Bytes from pairs of hexadecimal digits; spaces are passed over.
///
/// # Errors
/// When there are other characters.
pub(super) fn unhex(digits: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(|pair| byte(pair).ok_or_else(|| format!("{pair:?} are no digits"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_long_as_it_says_and_has_its_checksum() {
        let bytes = build(b"@batch pid=7 epoch=1 seq=2 a k:v k:").unwrap();
        assert_eq!(bytes.len() - 12, usize::from(bytes[11]));
        assert_eq!(bytes[CRC..CRC_COVERS], crc32c(&bytes[CRC_COVERS..]).to_be_bytes());
        assert_eq!(bytes[23..27], 2_i32.to_be_bytes(), "the last record's offset");
        assert_eq!(bytes[43..51], 7_i64.to_be_bytes(), "the producer");
        assert_eq!(bytes[61..69], [14, 0, 0, 0, 1, 2, b'a', 0], "the first record");
    }

    #[test]
    fn pokes_keep_the_checksum_right_and_harm_does_not() {
        let right = |text: &[u8]| {
            let bytes = build(text).unwrap();
            bytes[CRC..CRC_COVERS] == crc32c(&bytes[CRC_COVERS..]).to_be_bytes()
        };
        assert!(right(b"@batch a poke=57:00000009"));
        assert!(!right(b"@batch a harm=57:00000009"));
        assert!(build(b"@batch a nothing=1").is_err());
    }

    #[test]
    fn several_batches_are_joined() {
        let one = build(b"@batch at=-1 a").unwrap().len();
        assert_eq!(build(b"@batch at=-1 a;@batch b").unwrap().len(), 2 * one);
    }
}
