//! Record batches, and the codecs inside of them.

use std::fs;

use ottla_records::{
    Batch, BatchHeader, BatchLimits, BatchStream, Batches, Compression, DownLimits,
    EndTransactionMarker, HEADER_BYTES, Inside, MessageFormat, RawRecords, check_produced, crc32c,
    down_convert, is_old_message, old_message_size, up_convert,
};
use ottla_testkit::recorded;
use ottla_types::Offset;

use super::split;

/// Inflated bytes that are taken here.
const INFLATED_MAX: usize = 1 << 20;

const LENGTH_AT: usize = 8;
const CHECKSUM_AT: usize = 17;
const CHECKED_FROM: usize = 21;

/// What Apache Kafka builds, from `batches/RecordBatch.hex`.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    vectors("RecordBatch.hex")
}

fn vectors(file: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/testkit/vectors/batches/");
    let text = fs::read_to_string(format!("{folder}{file}")).expect("they lie beside the crates");
    let batches = text.lines().filter(|line| line.starts_with('v'));
    batches.map(|line| unhex(line.rsplit(' ').next().unwrap_or_default())).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = (0..text.len() / 2).map(|at| &text[2 * at..2 * at + 2]);
    digits.map(|two| u8::from_str_radix(two, 16).expect("hexadecimal digits")).collect()
}

pub(super) fn batch(input: &[u8]) {
    check(input);
    let mut sealed = input.to_vec();
    if sealed.len() >= HEADER_BYTES {
        // What anybody can do who means ill: length and checksum are right.
        let length = i32::try_from(sealed.len() - LENGTH_AT - 4).expect("inputs are short");
        sealed[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32c(&sealed[CHECKED_FROM..]);
        sealed[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
        check(&sealed);
    }
    stream(input);
}

fn check(bytes: &[u8]) {
    for inside in [Inside::Header, Inside::Full { inflated_max: INFLATED_MAX }] {
        let limits = BatchLimits { size_max: 1 << 20, inside };
        let Ok(checked) = check_produced(bytes, limits) else { continue };
        let checksum = crc32c(&bytes[CHECKED_FROM..]).to_be_bytes();
        assert_eq!(bytes[CHECKSUM_AT..CHECKED_FROM], checksum, "a wrong checksum was taken");
        let offsets = u64::from(checked.header().last_offset_delta) + 1;
        assert_eq!(offsets, u64::from(checked.header().records_count));
        drop(checked.without_key(INFLATED_MAX, 3));
        if matches!(inside, Inside::Full { .. }) {
            let header = BatchHeader::parse(bytes).expect("it was checked");
            let batch = Batch { header, bytes };
            let records = batch.records(INFLATED_MAX).expect("they were inflated");
            let count = records.iter().map(|record| record.expect("it was walked")).count();
            assert_eq!(count as u64, u64::from(header.records_count));
        }
    }
    for found in Batches::new(bytes).take(100) {
        let Ok(batch) = found else { break };
        let _marker = EndTransactionMarker::of(&batch.header, &batch.bytes[HEADER_BYTES..]);
        let codec = batch.header.attributes.compression();
        if let Ok(inflated) = codec.inflate(&batch.bytes[HEADER_BYTES..], INFLATED_MAX) {
            let raw = RawRecords::new(&batch.header, &inflated);
            let whole = raw.take_while(Result::is_ok).count();
            if whole > 0 && whole as u64 == u64::from(batch.header.records_count) {
                let kept = batch.retaining(&inflated, &vec![true; whole], None);
                drop(kept.expect("all of its records were read"));
            }
        }
    }
}

/// The same batches, however they are cut.
fn stream(input: &[u8]) {
    let Some(([cut], bytes)) = split(input) else { return };
    let mut stream = BatchStream::new();
    for mut piece in bytes.chunks(usize::from(cut) + 1) {
        while !piece.is_empty() {
            match stream.next(&mut piece) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// Messages of format 1 and 0, built here and by Apache Kafka.
pub(super) fn old_seeds() -> Vec<Vec<u8>> {
    let message = |format: u8, value: &[u8]| {
        let mut body = vec![format, 0];
        if format == 1 {
            body.extend_from_slice(&7_i64.to_be_bytes());
        }
        body.extend_from_slice(&(-1_i32).to_be_bytes());
        body.extend_from_slice(&(value.len() as i32).to_be_bytes());
        body.extend_from_slice(value);
        let mut bytes = 5_i64.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&body);
        bytes
    };
    let old = [message(0, b"abc"), message(1, b"abc"), message(1, &[0; 100])];
    let produced = recorded().into_iter().filter(|it| it.api == "Produce");
    let sets = vectors("MessageSet.hex");
    old.into_iter().chain(sets).chain(produced.map(|it| it.request)).collect()
}

pub(super) fn old(input: &[u8]) {
    let limits = BatchLimits { size_max: 1 << 20, inside: Inside::Header };
    let taken = check_produced(input, limits).is_ok();
    let format = input.get(16).copied();
    assert!(!taken || format == Some(2), "a batch of format {format:?} was taken");
    let size = old_message_size(input);
    let whole = is_old_message(input);
    assert!(!whole || size.is_some_and(|size| size as usize == input.len()));
    check(input);
    convert(input);
    let mut sealed = input.to_vec();
    if sealed.len() > FORMAT_AT {
        let length = i32::try_from(sealed.len() - LENGTH_AT - 4).expect("inputs are short");
        sealed[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        let checksum = crc32(&sealed[FORMAT_AT..]);
        sealed[FORMAT_AT - 4..FORMAT_AT].copy_from_slice(&checksum.to_be_bytes());
        convert(&sealed);
    }
    // Whatever a producer of today may send, a consumer of old may ask for.
    for format in [MessageFormat::V0, MessageFormat::V1] {
        drop(down_convert(input, format, Offset::ZERO, DOWN, &mut Vec::new()));
    }
}

/// Where a message says of which format it is; its checksum lies before that.
const FORMAT_AT: usize = 16;

const DOWN: DownLimits = DownLimits { bytes: usize::MAX, inflated_max: INFLATED_MAX };

/// What becomes a batch is a sound one, and comes up again as it went down.
fn convert(set: &[u8]) {
    let Ok(batch) = up_convert(set, INFLATED_MAX) else { return };
    let inside = Inside::Full { inflated_max: INFLATED_MAX };
    let limits = BatchLimits { size_max: u32::MAX, inside };
    let checked = check_produced(batch.bytes(), limits).expect("what was made is sound");
    let count = checked.header().records_count;
    for format in [MessageFormat::V0, MessageFormat::V1] {
        let mut set = Vec::new();
        // Of many small messages, those of format 1 may be larger than their bound.
        let went = down_convert(batch.bytes(), format, Offset::ZERO, DOWN, &mut set);
        if went.is_ok() {
            let again = up_convert(&set, INFLATED_MAX).expect("it was made here");
            assert_eq!(again.batch().header.records_count, count);
        }
    }
}

/// Bit by bit: inputs are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

pub(super) fn inflate_seeds() -> Vec<Vec<u8>> {
    let texts: [Vec<u8>; 3] =
        [b"a".to_vec(), vec![0; 5_000], (0..=255).cycle().take(700).collect()];
    let mut all = Vec::new();
    for codec in Compression::ALL {
        for text in &texts {
            all.push([vec![codec.id()], codec.compress(text.clone())].concat());
        }
    }
    all
}

pub(super) fn inflate(input: &[u8]) {
    let Some(([codec], section)) = split(input) else { return };
    let codec = Compression::ALL[usize::from(codec) % Compression::ALL.len()];
    let max = if codec == Compression::None { section.len() } else { 100_000 };
    if let Ok(inflated) = codec.inflate(section, max) {
        assert!(inflated.len() <= max, "{codec:?} gave {} bytes", inflated.len());
    }
}
