//! Record batches against those that Apache Kafka's own classes build.

use ottla_records::{
    Batch, BatchBuilder, BatchOptions, Batches, Compression, NewRecord, Record, Records,
};
use ottla_testkit::{Vector, vectors_of};
use ottla_types::{LeaderEpoch, Sequence, Timestamp, TimestampType};

const INFLATED_MAX: usize = 1 << 20;

#[test]
fn batches_of_apache_kafka_mean_what_it_says() {
    for Vector { variant, bytes, meaning, .. } in vectors_of("batches/RecordBatch") {
        let batch = only_batch(&variant, &bytes);
        let Some(meaning) = meaning else { continue };
        let records = batch.records(INFLATED_MAX).unwrap();
        let ours = spell(&batch, &records);
        let difference = meaning.difference(&ours.parse().unwrap());
        assert_eq!(difference, None, "{variant}: {ours}");
    }
}

#[test]
fn blocks_of_every_codec_are_joined() {
    let mut codecs = Vec::new();
    for Vector { variant, bytes, .. } in vectors_of("batches/RecordBatch") {
        let Some(codec) = variant.strip_suffix("_many") else { continue };
        let records = only_batch(&variant, &bytes).records(INFLATED_MAX).unwrap();
        let mut count = 0;
        for (at, record) in records.iter().enumerate() {
            let value = format!("record {at} ").repeat(12);
            assert_eq!(record.unwrap().value, Some(value.as_bytes()), "{variant}");
            count += 1;
        }
        assert_eq!(count, 800, "{variant}");
        codecs.push(codec.to_owned());
    }
    assert_eq!(codecs, ["gzip", "snappy", "lz4", "zstd"]);
}

#[test]
fn uncompressed_batches_are_built_byte_for_byte() {
    for Vector { variant, bytes, .. } in vectors_of("batches/RecordBatch") {
        let batch = only_batch(&variant, &bytes);
        let attributes = batch.header.attributes;
        // The builder gives each record its time: these hold none, or the time of their append.
        let timeless = batch.header.max_timestamp.is_none()
            || attributes.timestamp_type() == TimestampType::LogAppendTime;
        if timeless || attributes.compression() != Compression::None {
            continue;
        }
        let mut builder = BatchBuilder::new(BatchOptions {
            base_offset: batch.header.base_offset,
            leader_epoch: batch.header.leader_epoch,
            compression: Compression::None,
            producer: batch.header.producer,
            transactional: attributes.is_transactional(),
            control: attributes.is_control(),
            append_time: None,
        });
        for record in &batch.records(INFLATED_MAX).unwrap() {
            push(&mut builder, &record.unwrap());
        }
        assert_eq!(builder.build().bytes(), bytes, "{variant}");
    }
}

fn push(builder: &mut BatchBuilder, record: &Record<'_>) {
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(key, value)| (std::str::from_utf8(key).unwrap(), value))
        .collect();
    builder.push(NewRecord {
        timestamp: record.timestamp.unwrap(),
        key: record.key,
        value: record.value,
        headers: &headers,
    });
}

#[track_caller]
fn only_batch<'a>(variant: &str, bytes: &'a [u8]) -> Batch<'a> {
    let mut batches = Batches::new(bytes);
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none() && batches.rest().is_empty(), "{variant}");
    assert!(batch.crc_matches(), "{variant}");
    batch
}

/// The batch in the words of the vectors.
fn spell(batch: &Batch<'_>, records: &Records<'_>) -> String {
    let header = batch.header;
    let time = header.max_timestamp.map_or(-1, Timestamp::millis);
    let producer = header.producer;
    let sequence = producer.and_then(|producer| producer.base_sequence);
    let records: Vec<String> =
        records.iter().map(|record| spell_record(&record.unwrap())).collect();
    format!(
        "{{base_offset: {}, last_offset: {}, size: {}, leader_epoch: {}, max_timestamp: {time}, \
         producer_id: {}, producer_epoch: {}, base_sequence: {}, last_sequence: {}, \
         transactional: {}, control: {}, compression: \"{}\", records: [{}]}}",
        header.base_offset.get(),
        header.last_offset().get(),
        header.size,
        header.leader_epoch.map_or(-1, LeaderEpoch::get),
        producer.map_or(-1, |producer| producer.id.get()),
        producer.map_or(-1, |producer| producer.epoch.get()),
        sequence.map_or(-1, Sequence::get),
        header.last_sequence().map_or(-1, Sequence::get),
        header.attributes.is_transactional(),
        header.attributes.is_control(),
        header.attributes.compression().name(),
        records.join(", "),
    )
}

fn spell_record(record: &Record<'_>) -> String {
    let headers: Vec<String> = record
        .headers
        .iter()
        .map(|(key, value)| format!("{{key: {key:?}, value: {value:?}}}"))
        .collect();
    format!(
        "{{offset: {}, timestamp: {}, key: {:?}, value: {:?}, headers: [{}]}}",
        record.offset.get(),
        record.timestamp.map_or(-1, Timestamp::millis),
        record.key,
        record.value,
        headers.join(", "),
    )
}
