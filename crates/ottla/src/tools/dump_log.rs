//! `kafka-dump-log`: the files of partitions, as Kafka's tool writes them down. `ottla log` says
//! more, and finds what is wrong.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt as _, Open};
use ottla_log::inspect::{
    FileKind, Found, SegmentReader, aborted_entries, offset_entries, snapshot_producers,
    time_entries,
};
use ottla_records::{Batch, BatchHeader, ControlType, EndTransactionMarker, Record};
use ottla_runtime::RealEnv;
use ottla_types::{LeaderEpoch, Offset, Timestamp, TimestampType};

use super::flags::{Flag, Given, Grammar, flag, maybe, word};
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, complain, put};
use crate::log::target;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-dump-log",
    about: "writes down what files of partitions hold; see also `ottla log`.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 15] = [
    word("files", "a,b", "The files: .log, .index, .timeindex, .txnindex, .snapshot; required"),
    flag("print-data-log", "The contents of records as well"),
    flag("deep-iteration", "Records as well as batches"),
    flag("skip-record-metadata", "Of records only their contents"),
    word("max-bytes", "bytes", "So many bytes of a log at most"),
    word("max-message-size", "bytes", "Has no effect"),
    maybe("key-decoder-class", "class", "Only Kafka's StringDecoder"),
    maybe("value-decoder-class", "class", "Only Kafka's StringDecoder"),
    flag("verify-index-only", "Not supported: see `ottla log verify`"),
    flag("index-sanity-check", "Not supported: see `ottla log verify`"),
    flag("offsets-decoder", "Not supported"),
    flag("transaction-log-decoder", "Not supported"),
    flag("cluster-metadata-decoder", "Not supported: see `ottla log dump --records`"),
    flag("remote-log-metadata-decoder", "Not supported"),
    flag("share-group-state-decoder", "Not supported"),
];

const REFUSED: [&str; 7] = [
    "verify-index-only",
    "index-sanity-check",
    "offsets-decoder",
    "transaction-log-decoder",
    "cluster-metadata-decoder",
    "remote-log-metadata-decoder",
    "share-group-state-decoder",
];

/// The one class that decodes keys and values here.
const DECODER: &str = "org.apache.kafka.tools.api.StringDecoder";

/// Records of a compressed batch are inflated to this size at the most.
const INFLATED_BYTES_MAX: usize = 1 << 30;

#[derive(Clone, Copy, Debug)]
struct Plan {
    deep: bool,
    contents: bool,
    metadata: bool,
    max_bytes: u64,
}

fn plan(given: &Given) -> Result<Plan, ToolError> {
    given.require(&["files"])?;
    if let Some(option) = REFUSED.iter().find(|option| given.has(option)) {
        return Err(ToolError::unsupported(&format!("--{option}")));
    }
    for option in ["key-decoder-class", "value-decoder-class"] {
        if let Some(class) = given.word(option)?.filter(|class| *class != DECODER) {
            return Err(ToolError::unsupported(&format!("--{option} {class}")));
        }
    }
    if given.has("max-message-size") {
        complain("ottla: --max-message-size has no effect here");
    }
    let contents = given.has("print-data-log");
    Ok(Plan {
        deep: contents || given.has("deep-iteration"),
        contents,
        metadata: !given.has("skip-record-metadata"),
        max_bytes: given.number("max-bytes")?.unwrap_or(u64::MAX),
    })
}

fn run(given: &Given) -> Result<(), ToolError> {
    let plan = plan(given)?;
    let files: Vec<PathBuf> = given
        .words("files")
        .iter()
        .flat_map(|list| list.split(','))
        .map(|path| PathBuf::from(path.trim()))
        .collect();
    let ran = RealEnv::start(NonZeroUsize::MIN, |env| async move {
        let mut dump = Dump { plan, disk: Arc::clone(&env.disk), gaps: BTreeMap::new() };
        for path in &files {
            dump.file(path).await?;
        }
        for (path, gaps) in &dump.gaps {
            complain(&format!("Non-consecutive offsets in {}", path.display()));
            for (before, behind) in gaps {
                complain(&format!("  {before} is followed by {behind}"));
            }
        }
        Ok(())
    });
    ran?
}

struct Dump {
    plan: Plan,
    disk: Arc<dyn Disk>,
    /// Offsets that are not followed by the next one.
    gaps: BTreeMap<PathBuf, BTreeMap<i64, i64>>,
}

fn failed(path: &Path, why: &std::io::Error) -> ToolError {
    let class = match why.kind() {
        std::io::ErrorKind::NotFound => "java.nio.file.NoSuchFileException",
        _ => "java.io.IOException",
    };
    ToolError::thrown(class, path.display().to_string())
}

fn corrupt(why: &impl ToString) -> ToolError {
    Thrown::new("org.apache.kafka.storage.internals.log.CorruptIndexException", why.to_string())
        .into()
}

fn millis(time: Option<Timestamp>) -> i64 {
    time.map_or(-1, Timestamp::millis)
}

impl Dump {
    async fn file(&mut self, path: &Path) -> Result<(), ToolError> {
        put(&format!("Dumping {}\n", path.display()))?;
        let kind = FileKind::of_any(&target::name_of(path));
        let Some(kind) = kind else { return unknown(path) };
        match kind {
            FileKind::Segment(base) => {
                put(&format!("Log starting offset: {base}\n"))?;
                self.log(path, base).await
            }
            FileKind::MetadataSnapshot(_) => self.snapshot(path).await,
            kind => {
                let bytes = self.disk.read_whole(path).await;
                let bytes = bytes.map_err(|why| failed(path, &why))?;
                let Some(text) = small(&bytes, kind)? else { return unknown(path) };
                let is_index = matches!(kind, FileKind::OffsetIndex(_) | FileKind::TimeIndex(_));
                match text.is_empty() && is_index {
                    true => Ok(put(&format!("{} is empty.\n", path.display()))?),
                    false => Ok(put(&text)?),
                }
            }
        }
    }

    async fn snapshot(&mut self, path: &Path) -> Result<(), ToolError> {
        let name = target::name_of(path);
        let told = match name.strip_suffix(".checkpoint").and_then(|name| name.split_once('-')) {
            Some((offset, epoch)) => {
                let plain = |digits: &str| digits.parse::<i64>().unwrap_or(0);
                format!("Snapshot end offset: {}, epoch: {}\n", plain(offset), plain(epoch))
            }
            None => "KRaft bootstrap snapshot\n".to_owned(),
        };
        put(&told)?;
        self.log(path, Offset::ZERO).await
    }

    async fn log(&mut self, path: &Path, base: Offset) -> Result<(), ToolError> {
        let disk = Arc::clone(&self.disk);
        let file = disk.open_file(path, Open::Existing).await.map_err(|why| failed(path, &why))?;
        let reader = SegmentReader::new(&disk, file, base, None).await;
        let mut reader = reader.map_err(|why| failed(path, &why))?;
        let mut last = -1;
        while let Some(found) = reader.next().await.map_err(|why| failed(path, &why))? {
            match found {
                Found::Batch { position, batch } => {
                    if position + u64::from(batch.header.size) > self.plan.max_bytes {
                        break;
                    }
                    put(&batch_line(&batch.header, position, true))?;
                    if self.plan.deep {
                        let text = self.records(path, &batch, &mut last)?;
                        put(&text)?;
                    }
                }
                Found::Damage(damage) if damage.upto.is_none() => {
                    let (bytes, name) = (damage.bytes, target::name_of(path));
                    put(&format!("Found {bytes} invalid bytes at the end of {name}\n"))?;
                }
                Found::Damage(damage) => match &damage.claimed {
                    Some(header) => put(&batch_line(header, damage.position, false))?,
                    None => put(&format!(
                        "Found {} invalid bytes at position {}\n",
                        damage.bytes, damage.position
                    ))?,
                },
            }
        }
        Ok(())
    }

    fn records(
        &mut self,
        path: &Path,
        batch: &Batch<'_>,
        last: &mut i64,
    ) -> Result<String, ToolError> {
        let unreadable =
            |why: String| ToolError::thrown("org.apache.kafka.common.KafkaException", why);
        let records =
            batch.records(INFLATED_BYTES_MAX).map_err(|why| unreadable(why.to_string()))?;
        let mut text = String::new();
        for record in &records {
            let record = record.map_err(|why| unreadable(why.to_string()))?;
            let offset = record.offset.get();
            if offset != *last + 1 {
                self.gaps.entry(path.to_owned()).or_default().insert(*last, offset);
            }
            *last = offset;
            text.push_str(&record_line(&batch.header, &record, self.plan));
        }
        Ok(text)
    }
}

/// Goes on with the next file, as Kafka's tool does.
fn unknown(path: &Path) -> Result<(), ToolError> {
    complain(&format!("Ignoring unknown file {}", path.display()));
    Ok(())
}

/// What a small file says; `None` for one that Kafka's tool does not know.
fn small(bytes: &[u8], kind: FileKind) -> Result<Option<String>, ToolError> {
    let lines: Vec<String> = match kind {
        FileKind::OffsetIndex(base) => offset_entries(bytes, base)
            .map_err(|why| corrupt(&why))?
            .into_iter()
            .map(|(offset, position)| format!("offset: {offset} position: {position}"))
            .collect(),
        FileKind::TimeIndex(base) => time_entries(bytes, base)
            .map_err(|why| corrupt(&why))?
            .into_iter()
            .map(|(time, offset)| format!("timestamp: {} offset: {offset}", time.millis()))
            .collect(),
        FileKind::AbortedIndex(base) => aborted_entries(bytes, base)
            .map_err(|why| corrupt(&why))?
            .into_iter()
            .map(|it| {
                format!(
                    "version: 0 producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
                    it.producer, it.first_offset, it.last_offset, it.last_stable_offset
                )
            })
            .collect(),
        FileKind::ProducerSnapshot(offset) => snapshot_producers(bytes, offset)
            .map_err(|why| corrupt(&why))?
            .into_iter()
            .map(|it| {
                let transaction = match it.transaction_start {
                    Some(start) => format!("OptionalLong[{start}]"),
                    None => "OptionalLong.empty".to_owned(),
                };
                let mut text = format!(
                    "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: \
                     {transaction} lastTimestamp: {}",
                    it.id,
                    it.epoch,
                    it.coordinator_epoch.unwrap_or(-1),
                    millis(it.last_timestamp),
                );
                if let Some(batch) = it.recent.first() {
                    text.push_str(&format!(
                        " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} \
                         timestamp: {}",
                        batch.first_sequence,
                        batch.last_sequence,
                        batch.last_offset,
                        batch.last_offset.get() - batch.base_offset.get(),
                        millis(batch.timestamp),
                    ));
                }
                text
            })
            .collect(),
        FileKind::Segment(_)
        | FileKind::MetadataSnapshot(_)
        | FileKind::LeaderEpochs
        | FileKind::Offsets(_)
        | FileKind::PartitionMetadata
        | FileKind::CleanShutdown => return Ok(None),
    };
    Ok(Some(lines.into_iter().map(|line| format!("{line}\n")).collect()))
}

const fn type_of(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

/// The sequence of a record that lies so far behind the first one; -1 for none, as in Kafka.
fn sequence(header: &BatchHeader, delta: i64) -> i64 {
    let base = header.producer.and_then(|producer| producer.base_sequence);
    base.map_or(-1, |base| {
        // Behind the highest number comes 0.
        (i64::from(base.get()) + delta) % (i64::from(i32::MAX) + 1)
    })
}

fn batch_line(header: &BatchHeader, position: u64, is_valid: bool) -> String {
    let attributes = header.attributes;
    let horizon = match attributes.has_delete_horizon() {
        true => format!("OptionalLong[{}]", header.base_timestamp.millis()),
        false => "OptionalLong.empty".to_owned(),
    };
    let producer = header.producer;
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} \
         deleteHorizonMs: {horizon} position: {position} {}: {} size: {} magic: 2 compresscodec: \
         {} crc: {} isvalid: {is_valid}\n",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        sequence(header, 0),
        sequence(header, i64::from(header.last_offset_delta)),
        producer.map_or(-1, |producer| producer.id.get()),
        producer.map_or(-1, |producer| producer.epoch.get()),
        LeaderEpoch::to_wire(header.leader_epoch),
        attributes.is_transactional(),
        attributes.is_control(),
        type_of(header),
        millis(header.max_timestamp),
        header.size,
        attributes.compression().name(),
        header.crc,
    )
}

fn record_line(header: &BatchHeader, record: &Record<'_>, plan: Plan) -> String {
    let is_control = header.attributes.is_control();
    let mut text = String::new();
    if plan.metadata {
        let len = |part: Option<&[u8]>| {
            part.map_or_else(|| "-1".to_owned(), |part| part.len().to_string())
        };
        let names: Vec<String> = record
            .headers
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect();
        text.push_str(&format!(
            "| offset: {} {}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
            record.offset,
            type_of(header),
            millis(record.timestamp),
            len(record.key),
            len(record.value),
            sequence(header, record.offset.get() - header.base_offset.get()),
            names.join(","),
        ));
        if is_control {
            text.push_str(&control(record));
        }
    }
    if plan.contents && !is_control {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut prefix = if plan.metadata { " " } else { "| " };
        if let Some(key) = record.key {
            text.push_str(&format!("{prefix}key: {}", shown(key)));
            prefix = " ";
        }
        if let Some(value) = record.value {
            text.push_str(&format!("{prefix}payload: {}", shown(value)));
        }
    }
    text.push('\n');
    text
}

/// What a record of the cluster's own is.
fn control(record: &Record<'_>) -> String {
    let Ok(kind) = ControlType::from_key(record.key.unwrap_or_default()) else {
        return " controlType: UNKNOWN(-1)".to_owned();
    };
    let name = format!("{kind:?}").to_ascii_uppercase();
    match EndTransactionMarker::parse(record.key, record.value) {
        Ok(Some(marker)) => {
            format!(" endTxnMarker: {name} coordinatorEpoch: {}", marker.coordinator_epoch)
        }
        _ => format!(" controlType: {name}"),
    }
}

#[cfg(test)]
mod tests {
    use ottla_records::{BatchBuilder, BatchOptions, NewRecord};

    use super::*;

    #[test]
    fn batches_and_records_are_lines_as_kafkas_tool_writes_them() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        let (key, value) = (Some(&b"a"[..]), Some(&b"1"[..]));
        let timestamp = Timestamp::from_millis(5);
        builder.push(NewRecord { timestamp, key, value, headers: &[("h", None)] });
        let built = builder.build();
        let batch = built.batch();
        let header = batch.header;
        let line = batch_line(&header, 7, true);
        let start = "baseOffset: 0 lastOffset: 0 count: 1 baseSequence: -1 lastSequence: -1 \
                     producerId: -1 producerEpoch: -1 partitionLeaderEpoch: -1 isTransactional: \
                     false isControl: false deleteHorizonMs: OptionalLong.empty position: 7 \
                     CreateTime: 5 size: ";
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with(" isvalid: true\n"), "{line}");
        let records = batch.records(1 << 20).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        let shown = |contents, metadata| {
            record_line(&header, &record, Plan { deep: true, contents, metadata, max_bytes: 0 })
        };
        assert_eq!(
            shown(true, true),
            "| offset: 0 CreateTime: 5 keySize: 1 valueSize: 1 sequence: -1 headerKeys: [h] key: a \
             payload: 1\n"
        );
        assert_eq!(shown(true, false), "| key: a payload: 1\n");
        assert_eq!(
            shown(false, true),
            "| offset: 0 CreateTime: 5 keySize: 1 valueSize: 1 sequence: -1 headerKeys: [h]\n"
        );
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        let words = ["--files", "a.log", "--cluster-metadata-decoder"].map(str::to_owned);
        let given = TOOL.grammar.read(&words).unwrap();
        assert!(
            matches!(plan(&given), Err(ToolError::Terse(told)) if told.contains("not supported"))
        );
    }
}
