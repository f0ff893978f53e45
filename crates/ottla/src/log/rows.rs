//! Batches and records as rows.

use ottla_log::inspect::Damage;
use ottla_records::{Batch, ControlType, EndTransactionMarker, Record};
use ottla_types::{LeaderEpoch, Timestamp, TimestampType};
use ottla_wire::records::MetadataRecord;

use super::output::{Cell, Column, Details};
use crate::json::Json;
use crate::words;

/// Records of a compressed batch are inflated to this size at the most.
const INFLATED_BYTES_MAX: usize = 1 << 30;

const fn column(title: &'static str, key: &'static str) -> Column {
    Column { title, key }
}

pub(super) const BATCHES: [Column; 13] = [
    column("POSITION", "position"),
    column("BASE", "base_offset"),
    column("LAST", "last_offset"),
    column("EPOCH", "leader_epoch"),
    column("PRODUCER", "producer_id"),
    column("PEPOCH", "producer_epoch"),
    column("SEQUENCE", "base_sequence"),
    column("RECORDS", "records_count"),
    column("BYTES", "bytes"),
    column("CODEC", "compression"),
    column("MAX-TIME", "max_timestamp_ms"),
    column("FLAGS", "flags"),
    column("CRC", "fault"),
];

/// How much of the records to show, and what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    Hidden,
    Plain,
    /// Records of the cluster's metadata.
    Metadata,
}

pub(super) fn batch_row(position: u64, batch: &Batch<'_>, inside: Inside) -> (Vec<Cell>, Details) {
    let header = &batch.header;
    let stamp = header.producer;
    let max = header.max_timestamp;
    let sequence = stamp.and_then(|stamp| stamp.base_sequence);
    let cells = vec![
        Cell::count(position),
        Cell::number(header.base_offset.get()),
        Cell::number(header.last_offset().get()),
        Cell::optional(header.leader_epoch.map(|epoch| i64::from(epoch.get()))),
        Cell::optional(stamp.map(|stamp| stamp.id.get())),
        Cell::optional(stamp.map(|stamp| i64::from(stamp.epoch.get()))),
        Cell::optional(sequence.map(|sequence| i64::from(sequence.get()))),
        Cell::count(u64::from(header.records_count)),
        Cell::count(u64::from(header.size)),
        Cell::text(header.attributes.compression().name()),
        Cell::new(words::time(max), Json::optional(max.map(Timestamp::millis))),
        flags(batch),
        Cell::new("ok", Json::Null),
    ];
    let details = match inside {
        Inside::Hidden => Details::default(),
        Inside::Plain | Inside::Metadata => records(batch, inside),
    };
    (cells, details)
}

fn flags(batch: &Batch<'_>) -> Cell {
    let attributes = batch.header.attributes;
    let all = [
        ("transactional", attributes.is_transactional()),
        ("control", attributes.is_control()),
        ("log-append-time", attributes.timestamp_type() == TimestampType::LogAppendTime),
        ("delete-horizon", attributes.has_delete_horizon()),
    ];
    let set: Vec<&str> = all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect();
    let text = if set.is_empty() { "-".to_owned() } else { set.join(",") };
    Cell::new(text, Json::List(set.into_iter().map(Json::text).collect()))
}

/// Bytes that are no good batch. What their header claims is shown where it can be read.
pub(super) fn damage_row(damage: &Damage) -> Vec<Cell> {
    let upto = damage.upto.map(|upto| upto.get() - 1);
    let claimed = damage.claimed.as_ref();
    let epoch = claimed.and_then(|header| header.leader_epoch).map(LeaderEpoch::get);
    let records = claimed.map(|header| i64::from(header.records_count));
    let fault = damage.fault.to_string();
    let mut cells = vec![
        Cell::count(damage.position),
        Cell::number(damage.from.get()),
        Cell::optional(upto),
        Cell::optional(epoch.map(i64::from)),
    ];
    cells.extend((0..3).map(|_| Cell::none()));
    cells.push(Cell::optional(records));
    cells.push(Cell::count(damage.bytes));
    cells.extend((0..2).map(|_| Cell::none()));
    cells.push(Cell::new("damaged", Json::List(vec![Json::text("damaged")])));
    cells.push(Cell::new(format!("BAD: {fault}"), Json::text(fault)));
    cells
}

fn records(batch: &Batch<'_>, inside: Inside) -> Details {
    let records = match batch.records(INFLATED_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return unreadable(Details::default(), &error.to_string()),
    };
    let is_control = batch.header.attributes.is_control();
    let mut details = Details { lines: Vec::new(), field: Some(("records", Json::List(vec![]))) };
    for record in &records {
        match record {
            Ok(record) => add_record(&mut details, &record, is_control, inside),
            Err(error) => return unreadable(details, &error.to_string()),
        }
    }
    details
}

fn unreadable(mut details: Details, why: &str) -> Details {
    details.lines.push(format!("the records cannot be read: {why}"));
    details.field = Some(("records_fault", Json::text(why)));
    details
}

fn add_record(details: &mut Details, record: &Record<'_>, is_control: bool, inside: Inside) {
    let meaning = match inside {
        _ if is_control => Some(control(record)),
        Inside::Metadata => Some(metadata(record)),
        Inside::Plain | Inside::Hidden => None,
    };
    let (key, value) = (words::readable(record.key), words::readable(record.value));
    let time = words::time(record.timestamp);
    let offset = record.offset;
    let mut line = match &meaning {
        Some(meaning) => format!("{offset}  {time}  {meaning}"),
        None => format!("{offset}  {time}  {key}  {value}"),
    };
    let mut headers = Vec::new();
    for (name, value) in record.headers.iter() {
        let (name, value) = (words::readable(Some(name)), words::readable(value));
        line.push_str(&format!("  {name}={value}"));
        let pair = [("key", name), ("value", value)].map(|(key, text)| (key, Json::text(text)));
        headers.push(Json::Object(pair.to_vec()));
    }
    details.lines.push(line);
    let mut fields = vec![
        ("offset", Json::Number(offset.get())),
        ("timestamp_ms", Json::optional(record.timestamp.map(Timestamp::millis))),
        ("key", optional(record.key)),
        ("value", optional(record.value)),
        ("headers", Json::List(headers)),
    ];
    fields.extend(meaning.map(|meaning| ("meaning", Json::Text(meaning))));
    if let Some((_, Json::List(all))) = &mut details.field {
        all.push(Json::Object(fields));
    }
}

/// Text as it is, other bytes as `{"hex":"0x..."}`.
fn optional(bytes: Option<&[u8]>) -> Json {
    let Some(bytes) = bytes else { return Json::Null };
    match words::text(bytes) {
        Some(text) => Json::text(text),
        None => Json::Object(vec![("hex", Json::Text(words::hex(bytes)))]),
    }
}

/// What a record of the cluster's own says.
fn control(record: &Record<'_>) -> String {
    let Ok(kind) = ControlType::from_key(record.key.unwrap_or_default()) else {
        return format!("control record of an unknown type {}", words::readable(record.key));
    };
    match EndTransactionMarker::parse(record.key, record.value) {
        Ok(Some(marker)) => format!("{kind:?}, coordinator epoch {}", marker.coordinator_epoch),
        _ => format!("{kind:?} {}", words::readable(record.value)),
    }
}

/// The record's name and fields, without the tags of which it has none.
fn metadata(record: &Record<'_>) -> String {
    const NO_TAGS: [&str; 2] = [
        ", unknown_tags: UnknownTags { raw: [], count: 0 }",
        " unknown_tags: UnknownTags { raw: [], count: 0 }",
    ];
    match MetadataRecord::decode(record.value.unwrap_or_default()) {
        Ok(record) => {
            let text = format!("{record:?}");
            let inner = text.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
            let text = inner.unwrap_or(&text).to_owned();
            NO_TAGS.iter().fold(text, |text, none| text.replace(none, ""))
        }
        Err(error) => format!("{error}: {}", words::readable(record.value)),
    }
}
