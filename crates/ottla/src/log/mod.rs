//! `ottla log`: a person's view of a node's files.

mod dump;
mod output;
mod recover;
mod rows;
pub(crate) mod target;
mod verify;

use std::io::{self, BufWriter, ErrorKind};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ottla_env::Env;
use ottla_log::inspect::RecoverError;
use ottla_runtime::RealEnv;

use output::Format;

/// Looks into the files of a node, and mends them. No node has to run, and none is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows what files hold: batches and records, indexes, producers, checkpoints.
    Dump(dump::Arguments),
    /// Reads everything and says what is wrong with it. Changes nothing.
    Verify(verify::Arguments),
    /// Mends a partition whose log is damaged. Changes nothing without --yes.
    Recover(recover::Arguments),
}

/// How to write the answer.
#[derive(Clone, Copy, Debug, clap::Args)]
struct OutputArguments {
    /// `table` for people, `json` for programs: one document with the version of its form.
    #[arg(short = 'o', long = "output", value_enum, default_value = "table", value_name = "FORM")]
    format: Format,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the event loop cannot start: {0}")]
    Loop(io::Error),
    #[error("{}", locate(.path, .why))]
    Disk { path: PathBuf, why: io::Error },
    #[error("{path}: {why}", path = .path.display())]
    Recover { path: PathBuf, why: RecoverError },
    #[error(
        "{path} is neither a log directory nor a partition's: the first has a file meta.properties, \
         the second files whose names end in .log",
        path = .0.display()
    )]
    OtherDirectory(PathBuf),
    #[error(
        "{path} is no file of a log: known are .log, .index, .timeindex, .txnindex, .snapshot and \
         .checkpoint files, the checkpoints and properties of log directories and partitions, and \
         quorum-state",
        path = .0.display()
    )]
    OtherFile(PathBuf),
    #[error(
        "{path} is not a partition's directory: give the one that holds the damaged .log files, as \
         in /var/lib/ottla/orders-0",
        path = .0.display()
    )]
    NotPartition(PathBuf),
    #[error(
        "a node has {path} open: stop it first, since mending a log under a running node would \
         damage it",
        path = .0.display()
    )]
    Running(PathBuf),
    #[error(
        "the metadata log cannot do without some of its records: what they said of topics would \
         be wrong; --truncate-at-damage takes back everything since the damage instead"
    )]
    MetadataHole,
    #[error("the answer cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Most errors of the disk name the path already.
fn locate(path: &Path, why: &io::Error) -> String {
    let (path, why) = (path.display().to_string(), why.to_string());
    if why.starts_with(&path) { why } else { format!("{path}: {why}") }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, LogError> {
    let stdout = io::stdout();
    let mut out = BufWriter::new(stdout.lock());
    let ran =
        RealEnv::start(
            NonZeroUsize::MIN,
            |env| async move { perform(arguments, &env, &mut out).await },
        );
    match ran.map_err(LogError::Loop)? {
        // Whoever reads the answer has seen enough: `ottla log dump ... | head`.
        Err(LogError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        ran => ran,
    }
}

async fn perform(
    arguments: &Arguments,
    env: &Env,
    out: &mut dyn io::Write,
) -> Result<ExitCode, LogError> {
    match &arguments.command {
        Command::Dump(arguments) => dump::run(arguments, &env.disk, out).await,
        Command::Verify(arguments) => verify::run(arguments, env, out).await,
        Command::Recover(arguments) => recover::run(arguments, &env.disk, out).await,
    }
}
