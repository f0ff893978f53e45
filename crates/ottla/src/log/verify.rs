//! `ottla log verify`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_env::{Disk, Env};
use ottla_log::inspect::{
    FileKind, Finding, Known, LogDirectory, PartitionFiles, Severity, Totals, aborted_entries,
    offset_entries, partition_of, snapshot_producers, time_entries, verify_directory,
    verify_partition, verify_segment,
};
use ottla_log::{LeaderEpochCache, OffsetCheckpoint, PartitionMetadata};
use ottla_types::Offset;

use super::output::{Cell, Column, Details, Output};
use super::target::{Target, name_of, parent_of};
use super::{LogError, OutputArguments};
use crate::json::Json;
use crate::words;

const ABOUT: &str = "\
What is found is one of three things:
  DAMAGE   records are lost or cannot be trusted: see ottla log recover
  DERIVED  an index, snapshot or checkpoint is wrong; a node makes it anew by itself
  NOTE     in order, and worth knowing: what a crash left, what compaction took away

Beside a running node nothing is said of what it may be writing at the moment: what lies behind
the recovery points, and files that are derived from the last segments.

Exit code 0: in order; 1: damaged or wrong; 2: the command line is wrong.

Examples:
  ottla log verify ottla-data
  ottla log verify ottla-data/orders-0 --deep
  ottla log verify /backup/ottla-data --output json";

/// Reads everything and says what is wrong with it: checksums, framing, order of offsets and
/// epochs; indexes, producers and checkpoints against the log. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Arguments {
    /// Log directories, partitions' directories, or files of them.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Look into every record as well; compressed ones are inflated.
    #[arg(long)]
    deep: bool,

    #[command(flatten)]
    output: OutputArguments,
}

const FINDINGS: [Column; 4] = [
    Column { title: "SEVERITY", key: "severity" },
    Column { title: "FILE", key: "file" },
    Column { title: "BYTE", key: "position" },
    Column { title: "WHAT", key: "what" },
];

/// What has been found so far.
struct Verifying<'a> {
    output: Output<'a>,
    failed: Option<std::io::Error>,
    damage: u64,
    derived: u64,
    notes: u64,
}

pub(super) async fn run(
    arguments: &Arguments,
    env: &Env,
    out: &mut dyn Write,
) -> Result<ExitCode, LogError> {
    let started = Instant::now();
    let output = Output::begin(out, arguments.output.format, "LogVerify", "nothing is wrong")?;
    let mut all = Verifying { output, failed: None, damage: 0, derived: 0, notes: 0 };
    let mut totals = Totals::default();
    for path in &arguments.paths {
        let shown = path.display().to_string();
        let target = Target::find(&env.disk, path).await?;
        let known = match &target {
            Target::Partition(files) => known_of(&env.disk, files).await,
            Target::LogDirectory(directory) => {
                Known { running: directory.running, ..Known::default() }
            }
            Target::File(..) | Target::Text(_) => Known::default(),
        };
        let known = Known { deep: arguments.deep, ..known };
        let running = known.running;
        let beside = if running { ", beside a running node" } else { "" };
        let fields = [("path", Json::text(&shown)), ("running", Json::Bool(running))];
        all.output.section(&format!("{shown}{beside}"), &fields, &FINDINGS)?;
        totals += verify(&env.disk, target, known, path, &mut all).await?;
        if let Some(error) = all.failed.take() {
            return Err(error.into());
        }
    }
    finish(all, totals, started.elapsed())
}

async fn verify(
    disk: &Arc<dyn Disk>,
    target: Target,
    known: Known,
    path: &Path,
    all: &mut Verifying<'_>,
) -> Result<Totals, LogError> {
    let (deep, mut report) = (known.deep, |finding| all.tell(&finding));
    let verified = match target {
        Target::LogDirectory(directory) => {
            verify_directory(disk, &directory, deep, &mut report).await
        }
        Target::Partition(files) => {
            let verified = verify_partition(disk, &files.directory, known, &mut report).await;
            verified.map(|verified| verified.totals)
        }
        Target::File(path, FileKind::Segment(base)) => {
            verify_segment(disk, &path, base, deep, &mut report).await
        }
        Target::File(path, FileKind::MetadataSnapshot(_)) => {
            verify_segment(disk, &path, Offset::ZERO, deep, &mut report).await
        }
        Target::File(path, kind) => small_file(disk, &path, kind, &mut report).await,
        // Nothing is known of them that could be wrong.
        Target::Text(_) => Ok(Totals::default()),
    };
    verified.map_err(|why| LogError::Disk { path: path.to_owned(), why })
}

/// A partition is judged by what the log directory that it lies in says of it.
async fn known_of(disk: &Arc<dyn Disk>, files: &PartitionFiles) -> Known {
    let directory = LogDirectory::read(disk, &parent_of(&files.directory)).await.ok().flatten();
    let partition = partition_of(&name_of(&files.directory));
    let known = directory.zip(partition).map(|(directory, partition)| directory.known(&partition));
    known.unwrap_or_default()
}

async fn small_file(
    disk: &Arc<dyn Disk>,
    path: &Path,
    kind: FileKind,
    report: &mut dyn FnMut(Finding),
) -> std::io::Result<Totals> {
    use ottla_env::DiskExt;
    let bytes = disk.read_whole(path).await?;
    let text = String::from_utf8_lossy(&bytes);
    let trouble = match kind {
        FileKind::OffsetIndex(base) => offset_entries(&bytes, base).err().map(Into::into),
        FileKind::TimeIndex(base) => time_entries(&bytes, base).err().map(Into::into),
        FileKind::AbortedIndex(base) => aborted_entries(&bytes, base).err().map(Into::into),
        FileKind::ProducerSnapshot(end) => snapshot_producers(&bytes, end).err().map(Into::into),
        FileKind::LeaderEpochs => LeaderEpochCache::parse(&text).err().map(Into::into),
        FileKind::PartitionMetadata => PartitionMetadata::parse(&text).err().map(Into::into),
        FileKind::Offsets(_) if text.is_empty() => None,
        FileKind::Offsets(file) => OffsetCheckpoint::parse(file, &text).err().map(Into::into),
        // Its presence is what it says.
        FileKind::CleanShutdown => None,
        FileKind::Segment(_) | FileKind::MetadataSnapshot(_) => {
            unreachable!("batches are read by `verify_segment`")
        }
    };
    if let Some(trouble) = trouble {
        let file = path.to_owned();
        report(Finding { severity: Severity::Derived, file, position: None, trouble });
    }
    Ok(Totals { bytes: bytes.len() as u64, ..Totals::default() })
}

impl Verifying<'_> {
    fn tell(&mut self, finding: &Finding) {
        let (severity, counter) = match finding.severity {
            Severity::Damage => ("DAMAGE", &mut self.damage),
            Severity::Derived => ("DERIVED", &mut self.derived),
            Severity::Note => ("NOTE", &mut self.notes),
        };
        *counter += 1;
        let position = finding.position.map_or_else(Cell::none, Cell::count);
        let cells = vec![
            Cell::text(severity),
            Cell::text(finding.file.display().to_string()),
            position,
            Cell::text(finding.trouble.to_string()),
        ];
        if let Err(error) = self.output.row(cells, Details::default()) {
            self.failed.get_or_insert(error);
        }
    }
}

fn finish(all: Verifying<'_>, totals: Totals, took: Duration) -> Result<ExitCode, LogError> {
    let Verifying { output, damage, derived, notes, .. } = all;
    let Totals { partitions, segments, bytes, batches, records } = totals;
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let mut lines = vec![
        format!(
            "read {} in {}, {}, {}, {}, in {}.{:03} s ({} a second)",
            words::size(bytes),
            words::count(partitions, "partition"),
            words::count(segments, "segment"),
            words::count(batches, "batch"),
            words::count(records, "record"),
            ms / 1_000,
            ms % 1_000,
            words::size(bytes.saturating_mul(1_000) / ms.max(1)),
        ),
        match (damage, derived) {
            (0, 0) => "in order".to_owned(),
            (0, derived) => format!("{derived} derived: no record is lost"),
            (damage, derived) => format!("{damage} of damage, {derived} derived"),
        },
    ];
    if damage > 0 {
        lines.push("ottla log recover PARTITION shows what can be saved, and how".to_owned());
    }
    let fields = [
        ("damage", Json::count(damage)),
        ("derived", Json::count(derived)),
        ("notes", Json::count(notes)),
        ("partitions", Json::count(partitions)),
        ("segments", Json::count(segments)),
        ("batches", Json::count(batches)),
        ("records", Json::count(records)),
        ("bytes", Json::count(bytes)),
        ("duration_ms", Json::count(ms)),
    ];
    output.finish(&lines, &fields)?;
    Ok(if damage + derived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
