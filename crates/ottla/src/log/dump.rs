//! `ottla log dump`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, Open};
use ottla_log::inspect::{
    FileKind, Found, LogDirectory, PartitionFiles, SegmentReader, aborted_entries, offset_entries,
    snapshot_producers, time_entries,
};
use ottla_log::{
    LeaderEpochCache, OffsetCheckpoint, PARTITION_METADATA, PartitionMetadata, segment_name,
};
use ottla_types::{Offset, Timestamp};

use super::output::{Cell, Column, Details, Output};
use super::rows::{BATCHES, Inside, batch_row, damage_row};
use super::target::{Target, is_metadata, parent_of};
use super::{LogError, OutputArguments};
use crate::json::Json;
use crate::words;

const EXAMPLES: &str = "\
Examples:
  ottla log dump ottla-data                      the partitions of a log directory
  ottla log dump ottla-data/orders-0             the batches of a partition
  ottla log dump ottla-data/orders-0 --records --offset 1200 --limit 10
  ottla log dump ottla-data/orders-0/00000000000000001200.index
  ottla log dump ottla-data/__cluster_metadata-0 --records --output json";

/// Shows what files hold. Damaged batches are shown as such, and what follows them as well.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Log directories, partitions' directories, or files of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The records of each batch as well: offset, time, key, value, headers. What is not text is
    /// shown in hexadecimal.
    #[arg(short = 'r', long)]
    records: bool,

    /// Begin with the batch that holds this offset, or with the first one behind it.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,

    /// Show so many batches of each path, and no more.
    #[arg(short = 'n', long, value_name = "BATCHES")]
    limit: Option<u64>,

    #[command(flatten)]
    output: OutputArguments,
}

pub(super) async fn run(
    arguments: &Arguments,
    disk: &Arc<dyn Disk>,
    out: &mut dyn Write,
) -> Result<ExitCode, LogError> {
    let output = Output::begin(out, arguments.output.format, "LogDump", "(empty)")?;
    let mut dump = Dump { arguments, disk, output, left: 0, damaged: 0 };
    for path in &arguments.paths {
        dump.left = arguments.limit.unwrap_or(u64::MAX);
        dump.target(path).await?;
    }
    let damaged = dump.damaged;
    let lines = match damaged {
        0 => vec![],
        1 => vec!["1 place is damaged: ottla log verify says more".to_owned()],
        _ => vec![format!("{damaged} places are damaged: ottla log verify says more")],
    };
    dump.output.finish(&lines, &[("damaged", Json::count(damaged))])?;
    Ok(if damaged == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Dump<'a> {
    arguments: &'a Arguments,
    disk: &'a Arc<dyn Disk>,
    output: Output<'a>,
    /// Batches that may still be shown.
    left: u64,
    damaged: u64,
}

const fn column(title: &'static str, key: &'static str) -> Column {
    Column { title, key }
}

const PARTITIONS: [Column; 7] = [
    column("PARTITION", "partition"),
    column("SEGMENTS", "segments"),
    column("BYTES", "bytes"),
    column("FIRST-SEGMENT", "first_segment"),
    column("RECOVERY-POINT", "recovery_point"),
    column("HIGH-WATERMARK", "high_watermark"),
    column("TOPIC-ID", "topic_id"),
];
const OFFSET_ENTRIES: [Column; 2] = [column("OFFSET", "offset"), column("POSITION", "position")];
const TIME_ENTRIES: [Column; 2] = [column("TIME", "timestamp_ms"), column("OFFSET", "offset")];
const ABORTED: [Column; 4] = [
    column("PRODUCER", "producer_id"),
    column("FIRST", "first_offset"),
    column("LAST", "last_offset"),
    column("STABLE", "last_stable_offset"),
];
const PRODUCERS: [Column; 6] = [
    column("PRODUCER", "producer_id"),
    column("EPOCH", "producer_epoch"),
    column("COORDINATOR-EPOCH", "coordinator_epoch"),
    column("TRANSACTION-START", "transaction_start"),
    column("LAST-TIME", "last_timestamp_ms"),
    column("BATCHES", "batches"),
];
const EPOCHS: [Column; 2] = [column("EPOCH", "leader_epoch"), column("START", "start_offset")];
const OFFSETS: [Column; 3] =
    [column("TOPIC", "topic"), column("PARTITION", "partition"), column("OFFSET", "offset")];
const TEXT: [Column; 1] = [column("TEXT", "text")];

impl Dump<'_> {
    async fn target(&mut self, path: &Path) -> Result<(), LogError> {
        match Target::find(self.disk, path).await? {
            Target::LogDirectory(directory) => self.log_directory(&directory).await,
            Target::Partition(files) => self.partition(&files).await,
            Target::Text(path) => self.text(&path).await,
            Target::File(path, FileKind::Segment(base)) => {
                let inside = self.inside(is_metadata(&parent_of(&path)));
                self.segment(&path, base, None, inside, "segment").await
            }
            Target::File(path, FileKind::MetadataSnapshot(_)) => {
                // Its batches count from 0, wherever the log stood.
                let inside = self.inside(true);
                self.segment(&path, Offset::ZERO, None, inside, "metadata snapshot").await
            }
            Target::File(path, kind) => self.small_file(&path, kind).await,
        }
    }

    const fn inside(&self, is_metadata: bool) -> Inside {
        match (self.arguments.records, is_metadata) {
            (false, _) => Inside::Hidden,
            (true, false) => Inside::Plain,
            (true, true) => Inside::Metadata,
        }
    }

    async fn log_directory(&mut self, directory: &LogDirectory) -> Result<(), LogError> {
        let path = &directory.path;
        let state = match (directory.running, directory.clean) {
            (true, _) => "a node has it open",
            (false, true) => "stopped in order",
            (false, false) => "not stopped in order: recovered at the next start",
        };
        let heading = format!("{}: a log directory, {state}", path.display());
        let fields = [
            ("path", Json::text(path.display().to_string())),
            ("type", Json::text("log-directory")),
            ("running", Json::Bool(directory.running)),
            ("clean", Json::Bool(directory.clean)),
        ];
        self.output.section(&heading, &fields, &PARTITIONS)?;
        for partition in &directory.partitions {
            let path = path.join(partition.to_string());
            let failed = |why| LogError::Disk { path: path.clone(), why };
            let files = PartitionFiles::list(self.disk, &path).await.map_err(failed)?;
            let text = read_text(self.disk, &path.join(PARTITION_METADATA)).await.ok();
            let id = text.and_then(|text| PartitionMetadata::parse(&text).ok());
            let of = |checkpoint: &OffsetCheckpoint| {
                Cell::optional(checkpoint.offsets.get(partition).copied().map(Offset::get))
            };
            let cells = vec![
                Cell::text(partition.to_string()),
                Cell::count(files.segments.len() as u64),
                Cell::count(files.segments.iter().map(|(_, len)| len).sum()),
                Cell::optional(files.segments.first().map(|(base, _)| base.get())),
                of(&directory.recovery_points),
                of(&directory.high_watermarks),
                id.map_or_else(Cell::none, |id| Cell::text(id.topic_id.to_string())),
            ];
            self.output.row(cells, Details::default())?;
        }
        Ok(())
    }

    async fn partition(&mut self, files: &PartitionFiles) -> Result<(), LogError> {
        let inside = self.inside(is_metadata(&files.directory));
        let wanted = self.arguments.offset.unwrap_or(0);
        for (at, (base, _)) in files.segments.iter().enumerate() {
            let next = files.segments.get(at + 1).map(|(base, _)| *base);
            if next.is_some_and(|next| next.get() <= wanted) || self.left == 0 {
                continue;
            }
            let path = files.directory.join(segment_name(*base));
            self.segment(&path, *base, next, inside, "segment").await?;
        }
        Ok(())
    }

    async fn segment(
        &mut self,
        path: &Path,
        base: Offset,
        next: Option<Offset>,
        inside: Inside,
        what: &str,
    ) -> Result<(), LogError> {
        let failed = |why| LogError::Disk { path: path.to_owned(), why };
        let file = self.disk.open_file(path, Open::Existing).await.map_err(failed)?;
        let reader = SegmentReader::new(self.disk, file, base, next).await;
        let mut reader = reader.map_err(failed)?;
        let len = words::size(reader.file_len());
        self.section(path, &format!("a {what} of {len}"), what, &BATCHES)?;
        let wanted = self.arguments.offset.unwrap_or(0);
        while self.left > 0
            && let Some(found) = reader.next().await.map_err(failed)?
        {
            match found {
                Found::Batch { batch, .. } if batch.header.last_offset().get() < wanted => {}
                Found::Batch { position, batch } => {
                    let (cells, details) = batch_row(position, &batch, inside);
                    self.output.row(cells, details)?;
                    self.left -= 1;
                }
                Found::Damage(damage) => {
                    self.output.row(damage_row(&damage), Details::default())?;
                    self.damaged += 1;
                }
            }
        }
        Ok(())
    }

    fn section(
        &mut self,
        path: &Path,
        what: &str,
        kind: &str,
        columns: &'static [Column],
    ) -> io::Result<()> {
        let path = path.display().to_string();
        let fields = [("path", Json::text(&path)), ("type", Json::text(kind))];
        self.output.section(&format!("{path}: {what}"), &fields, columns)
    }

    async fn text(&mut self, path: &Path) -> Result<(), LogError> {
        let failed = |why| LogError::Disk { path: path.to_owned(), why };
        let text = read_text(self.disk, path).await.map_err(failed)?;
        self.section(path, "text", "text", &TEXT)?;
        for line in text.lines() {
            self.output.row(vec![Cell::text(line)], Details::default())?;
        }
        Ok(())
    }

    async fn small_file(&mut self, path: &Path, kind: FileKind) -> Result<(), LogError> {
        let failed = |why| LogError::Disk { path: path.to_owned(), why };
        let bytes = self.disk.read_whole(path).await.map_err(failed)?;
        let told = match kind {
            FileKind::OffsetIndex(base) => self.offset_index(path, &bytes, base)?,
            FileKind::TimeIndex(base) => self.time_index(path, &bytes, base)?,
            FileKind::AbortedIndex(base) => self.aborted(path, &bytes, base)?,
            FileKind::ProducerSnapshot(offset) => self.producers(path, &bytes, offset)?,
            FileKind::LeaderEpochs => self.epochs(path, &bytes)?,
            FileKind::Offsets(file) => self.offsets(path, &bytes, file)?,
            FileKind::PartitionMetadata | FileKind::CleanShutdown => {
                return self.text(path).await;
            }
            FileKind::Segment(_) | FileKind::MetadataSnapshot(_) => {
                unreachable!("batches are read by `segment`")
            }
        };
        if let Some(fault) = told {
            self.section(path, "cannot be read", "unreadable", &TEXT)?;
            self.output.row(vec![Cell::text(fault)], Details::default())?;
            self.damaged += 1;
        }
        Ok(())
    }

    fn offset_index(&mut self, path: &Path, bytes: &[u8], base: Offset) -> io::Result<Told> {
        let entries = match offset_entries(bytes, base) {
            Ok(entries) => entries,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        self.section(
            path,
            "last offsets of batches, and where these begin",
            "index",
            &OFFSET_ENTRIES,
        )?;
        for (offset, position) in entries {
            let cells = vec![Cell::number(offset.get()), Cell::number(i64::from(position))];
            self.output.row(cells, Details::default())?;
        }
        Ok(None)
    }

    fn time_index(&mut self, path: &Path, bytes: &[u8], base: Offset) -> io::Result<Told> {
        let entries = match time_entries(bytes, base) {
            Ok(entries) => entries,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        self.section(path, "the latest time up to an offset", "timeindex", &TIME_ENTRIES)?;
        for (time, offset) in entries {
            self.output
                .row(vec![time_cell(Some(time)), Cell::number(offset.get())], Details::default())?;
        }
        Ok(None)
    }

    fn aborted(&mut self, path: &Path, bytes: &[u8], base: Offset) -> io::Result<Told> {
        let entries = match aborted_entries(bytes, base) {
            Ok(entries) => entries,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        self.section(path, "aborted transactions", "txnindex", &ABORTED)?;
        for it in entries {
            let offsets = [it.first_offset, it.last_offset, it.last_stable_offset];
            let mut cells = vec![Cell::number(it.producer.get())];
            cells.extend(offsets.map(|offset| Cell::number(offset.get())));
            self.output.row(cells, Details::default())?;
        }
        Ok(None)
    }

    fn producers(&mut self, path: &Path, bytes: &[u8], offset: Offset) -> io::Result<Told> {
        let producers = match snapshot_producers(bytes, offset) {
            Ok(producers) => producers,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        let what = format!("what producers had written below offset {offset}");
        self.section(path, &what, "snapshot", &PRODUCERS)?;
        for it in producers {
            let batches = it.recent.iter().map(|batch| {
                let (first, last) = (batch.first_sequence, batch.last_sequence);
                format!("{first}-{last}@{}-{}", batch.base_offset, batch.last_offset)
            });
            let batches: Vec<String> = batches.collect();
            let text = if batches.is_empty() { "-".to_owned() } else { batches.join(",") };
            let list = Json::List(batches.into_iter().map(Json::Text).collect());
            let cells = vec![
                Cell::number(it.id.get()),
                Cell::number(i64::from(it.epoch.get())),
                Cell::optional(it.coordinator_epoch.map(i64::from)),
                Cell::optional(it.transaction_start.map(Offset::get)),
                time_cell(it.last_timestamp),
                Cell::new(text, list),
            ];
            self.output.row(cells, Details::default())?;
        }
        Ok(None)
    }

    fn epochs(&mut self, path: &Path, bytes: &[u8]) -> io::Result<Told> {
        let epochs = match LeaderEpochCache::parse(&String::from_utf8_lossy(bytes)) {
            Ok(epochs) => epochs,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        self.section(path, "where leader epochs begin", "leader-epochs", &EPOCHS)?;
        for entry in epochs.entries() {
            let cells =
                vec![Cell::number(i64::from(entry.epoch.get())), Cell::number(entry.start.get())];
            self.output.row(cells, Details::default())?;
        }
        Ok(None)
    }

    fn offsets(&mut self, path: &Path, bytes: &[u8], file: &'static str) -> io::Result<Told> {
        let text = String::from_utf8_lossy(bytes);
        let parsed = match text.is_empty() {
            // Apache Kafka makes the file before it has anything to write.
            true => Ok(OffsetCheckpoint::default()),
            false => OffsetCheckpoint::parse(file, &text),
        };
        let checkpoint = match parsed {
            Ok(checkpoint) => checkpoint,
            Err(fault) => return Ok(Some(fault.to_string())),
        };
        self.section(path, "an offset for each partition", "offsets", &OFFSETS)?;
        for (it, offset) in &checkpoint.offsets {
            let cells = vec![
                Cell::text(it.topic.as_str()),
                Cell::number(i64::from(it.partition.get())),
                Cell::number(offset.get()),
            ];
            self.output.row(cells, Details::default())?;
        }
        Ok(None)
    }
}

/// Why a file could not be shown, if it could not.
type Told = Option<String>;

fn time_cell(time: Option<Timestamp>) -> Cell {
    Cell::new(words::time(time), Json::optional(time.map(Timestamp::millis)))
}

async fn read_text(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&disk.read_whole(path).await?).into_owned())
}
