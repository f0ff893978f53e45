//! `ottla log recover`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, FileLock};
use ottla_log::inspect::{LogDirectory, Lost, Mend, Recovered, RecoveryPlan};
use ottla_log::segment_name;

use super::output::{Cell, Column, Details, Output};
use super::target::{Target, is_metadata, parent_of};
use super::{LogError, OutputArguments};
use crate::json::Json;
use crate::words;

const ABOUT: &str = "\
A node that finds damage where no crash can have made it leaves the partition alone, serves
everything else, and names this command. Whoever has an intact replica or backup of the partition
should use that instead.

Without --yes nothing is changed: the damage is shown, and what each way of mending would lose.
With it, the bytes that the log loses are kept beside it, in files that no node looks at:
.ottla-damaged-<segment>-<position>. Indexes and snapshots behind the damage are removed; the node
makes them anew when it opens the partition. The node has to be stopped meanwhile.

Exit code 0: whole, or mended; 1: damaged still, or it could not be done; 2: the command line is
wrong.

Examples:
  ottla log recover ottla-data/orders-0
  ottla log recover ottla-data/orders-0 --skip-damage --yes";

/// Mends a partition whose log is damaged. Changes nothing without --yes.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub(super) struct Arguments {
    /// The partition's directory.
    #[arg(value_name = "PARTITION")]
    path: PathBuf,

    /// Leave the damage out and keep the good batches behind it. Their offsets stay what they
    /// are, and consumers step over the gap, as over what compaction took away.
    #[arg(long, conflicts_with = "truncate_at_damage")]
    skip_damage: bool,

    /// End the log in front of the damage. New records are given offsets that were given before:
    /// consumers that have read further must be reset.
    #[arg(long)]
    truncate_at_damage: bool,

    /// Do it.
    #[arg(short = 'y', long)]
    yes: bool,

    #[command(flatten)]
    output: OutputArguments,
}

impl Arguments {
    const fn mend(&self) -> Option<Mend> {
        match (self.skip_damage, self.truncate_at_damage) {
            (true, _) => Some(Mend::SkipDamage),
            (false, true) => Some(Mend::TruncateAtDamage),
            (false, false) => None,
        }
    }
}

const DAMAGES: [Column; 6] = [
    Column { title: "SEGMENT", key: "segment" },
    Column { title: "BYTE", key: "position" },
    Column { title: "BYTES", key: "bytes" },
    Column { title: "FROM", key: "from_offset" },
    Column { title: "UPTO", key: "upto_offset" },
    Column { title: "WHY", key: "why" },
];

pub(super) async fn run(
    arguments: &Arguments,
    disk: &Arc<dyn Disk>,
    out: &mut dyn Write,
) -> Result<ExitCode, LogError> {
    let path = &arguments.path;
    let Target::Partition(_) = Target::find(disk, path).await? else {
        return Err(LogError::NotPartition(path.clone()));
    };
    if is_metadata(path) && arguments.skip_damage {
        return Err(LogError::MetadataHole);
    }
    let parent = parent_of(path);
    // Where it cannot be told whether a node runs, nothing is touched.
    let directory = LogDirectory::read(disk, &parent).await;
    let directory = directory.map_err(|why| LogError::Disk { path: parent.clone(), why })?;
    // Held to the end: no node may start meanwhile.
    let _lock = match &directory {
        Some(_) => Some(lock(disk, &parent).await?),
        None => None,
    };
    let failed = |why| LogError::Recover { path: path.clone(), why };
    let plan = RecoveryPlan::survey(disk, path).await.map_err(failed)?;
    let mut output = Output::begin(out, arguments.output.format, "LogRecover", "(nothing)")?;
    show(&mut output, path, &plan)?;
    let done = match arguments.mend().filter(|_| arguments.yes && !plan.is_whole()) {
        Some(mend) => {
            let log_directory = directory.as_ref().map(|directory| directory.path.as_path());
            let done = plan.perform(disk, mend, log_directory).await;
            Some(done.map_err(|why| LogError::Disk { path: path.clone(), why })?)
        }
        None => None,
    };
    finish(arguments, output, &plan, done.as_ref())
}

async fn lock(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Box<dyn FileLock>, LogError> {
    let path = directory.join(".lock");
    disk.lock_file(&path).await.map_err(|why| match why.kind() {
        io::ErrorKind::WouldBlock => LogError::Running(directory.to_owned()),
        _ => LogError::Disk { path, why },
    })
}

fn show(output: &mut Output<'_>, path: &Path, plan: &RecoveryPlan) -> io::Result<()> {
    let shown = path.display().to_string();
    let places = plan.damages().count() as u64;
    let heading = match places {
        0 => format!("{shown}: whole, up to offset {}", plan.end()),
        _ => format!("{shown}: damaged in {}", words::count(places, "place")),
    };
    if places == 0 && output.is_table() {
        return output.line(&heading);
    }
    output.section(&heading, &[("path", Json::text(&shown))], &DAMAGES)?;
    for (base, damage) in plan.damages() {
        let upto = damage.upto.map(|upto| upto.get() - 1);
        let cells = vec![
            Cell::text(segment_name(base)),
            Cell::count(damage.position),
            Cell::count(damage.bytes),
            Cell::number(damage.from.get()),
            Cell::optional(upto),
            Cell::text(damage.fault.to_string()),
        ];
        output.row(cells, Details::default())?;
    }
    Ok(())
}

fn finish(
    arguments: &Arguments,
    output: Output<'_>,
    plan: &RecoveryPlan,
    done: Option<&Recovered>,
) -> Result<ExitCode, LogError> {
    let mut lines = Vec::new();
    match done {
        Some(done) => {
            lines.push(format!("mended: the log goes on at offset {}", done.end));
            lines.extend(done.kept.iter().map(|path| format!("kept: {}", path.display())));
            lines.extend(done.removed.iter().map(|path| format!("removed: {}", path.display())));
        }
        None if plan.is_whole() => {}
        None => {
            let ways = [Mend::SkipDamage, Mend::TruncateAtDamage].into_iter();
            let is_possible = |mend: &Mend| {
                !(is_metadata(&arguments.path) && *mend == Mend::SkipDamage)
                    && arguments.mend().is_none_or(|chosen| chosen == *mend)
            };
            ways.filter(is_possible).for_each(|mend| lines.extend(explain(plan, mend)));
            lines.push(match arguments.mend() {
                None => "Nothing was changed. Choose one of these, and add --yes.".to_owned(),
                Some(_) => "Nothing was changed. Add --yes to do it.".to_owned(),
            });
        }
    }
    let paths = |paths: &[PathBuf]| {
        Json::List(paths.iter().map(|path| Json::text(path.display().to_string())).collect())
    };
    let fields = [
        ("whole", Json::Bool(plan.is_whole())),
        ("mended", Json::Bool(done.is_some())),
        ("end_offset", Json::Number(done.map_or_else(|| plan.end(), |done| done.end).get())),
        ("skip_damage_loses", lost_json(plan, Mend::SkipDamage)),
        ("truncate_at_damage_loses", lost_json(plan, Mend::TruncateAtDamage)),
        ("kept", paths(done.map_or(&[], |done| &done.kept))),
        ("removed", paths(done.map_or(&[], |done| &done.removed))),
    ];
    output.finish(&lines, &fields)?;
    let is_good = plan.is_whole() || done.is_some();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain(plan: &RecoveryPlan, mend: Mend) -> Vec<String> {
    let lost: Vec<String> = plan.lost(mend).iter().map(range).collect();
    let lost = if lost.is_empty() { "no offset".to_owned() } else { lost.join(", ") };
    let end = plan.end_after(mend);
    match mend {
        Mend::SkipDamage => vec![
            "--skip-damage leaves the damage out and keeps what is good behind it".to_owned(),
            format!("    lost: {lost}"),
            format!("    the log goes on at offset {end}"),
        ],
        Mend::TruncateAtDamage => vec![
            "--truncate-at-damage ends the log in front of the damage".to_owned(),
            format!(
                "    lost: {lost}, {} of good batches",
                words::size(plan.good_bytes_lost(mend))
            ),
            format!(
                "    the log goes on at offset {end}: consumers that have read further must be reset"
            ),
        ],
    }
}

fn range(lost: &Lost) -> String {
    match lost.upto {
        Some(upto) if upto == lost.from.next() => format!("offset {}", lost.from),
        Some(upto) => format!("offsets {} to {}", lost.from, upto.get() - 1),
        None => format!("offset {} and all behind it", lost.from),
    }
}

fn lost_json(plan: &RecoveryPlan, mend: Mend) -> Json {
    let one = |lost: &Lost| {
        let last = lost.upto.map(|upto| upto.get() - 1);
        Json::Object(vec![
            ("from_offset", Json::Number(lost.from.get())),
            ("upto_offset", Json::optional(last)),
        ])
    };
    Json::List(plan.lost(mend).iter().map(one).collect())
}
