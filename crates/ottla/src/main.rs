//! Ottla: an Apache Kafka-compatible event-streaming system in one binary.

mod clients;
mod cluster;
mod complete;
mod config;
mod confirm;
mod consume;
mod doctor;
mod events;
mod failure;
mod folder;
mod given;
mod group;
mod json;
mod kcat;
mod log;
mod near;
mod observed;
mod pattern;
mod produce;
mod progress;
mod reach;
mod server;
mod settings;
mod show;
mod template;
mod tools;
mod topic;
mod trial;
mod when;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use failure::Failure;
use reach::Reach;

const EXAMPLES: &str = "\
In five minutes:
  ottla                                   starts a node; then, in another terminal:
  ottla produce hello \"first message\"     writes a record
  ottla consume hello -e                  reads it
  ottla topic list                        shows what there is";

/// Freed pages go back to the system, and a small heap stays small: it does without huge pages, of
/// which the first bytes of a node would take 8 MiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Apache Kafka-compatible event streaming in one binary.
///
/// Without a command it starts a node on 127.0.0.1:9092, with its data in ./ottla-data.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    server: server::Arguments,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a node.
    #[command(visible_alias = "dev")]
    Server(server::Arguments),
    Topic(topic::Arguments),
    Produce(Box<produce::Arguments>),
    Consume(Box<consume::Arguments>),
    Group(group::Arguments),
    Cluster(cluster::Arguments),
    /// Prints the properties that a node would be started with.
    Config(config::Arguments),
    /// Looks into the files of a node, and mends them: dump, verify, recover.
    Log(log::Arguments),
    Test(trial::Arguments),
    /// Lists what a node counts and tells at /metrics, as Markdown.
    #[command(after_help = "Examples:\n  ottla metrics")]
    Metrics,
    Doctor(doctor::Arguments),
    Profile(reach::profile::Arguments),
    InstallTools(tools::Install),
    /// Prints what a shell needs to complete commands, and names of topics and groups.
    ///
    /// For good: put `source <(ottla completion bash)` into ~/.bashrc, the same with zsh into
    /// ~/.zshrc, `ottla completion fish | source` into fish's configuration.
    #[command(after_help = "Examples:\n  ottla completion bash\n  ottla completion zsh")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the version.
    #[command(after_help = "Examples:\n  ottla version")]
    Version,
}

/// What is said of clusters in front of a command holds for that command only: those that start a
/// node, or read its files, do not take it.
fn command_line() -> clap::Command {
    Arguments::command().mut_args(|argument| argument.global(false))
}

fn main() -> ExitCode {
    if let Some(ended) = tools::called().or_else(kcat::called) {
        return ended;
    }
    complete::answer(command_line);
    let matches = command_line().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let before = arguments.reach;
    let command = match arguments.command {
        None => Command::Server(arguments.server),
        Some(command) if arguments.server.is_empty() => command,
        Some(_) => {
            let none = "--config, --override, --memory and --port in front of a command are for a \
                        node, which is started without one";
            return Failure::usage(none).end();
        }
    };
    match command {
        Command::Topic(arguments) => topic::run(arguments, &before),
        Command::Produce(arguments) => produce::run(&arguments, &before),
        Command::Consume(arguments) => consume::run(&arguments, &before),
        Command::Group(arguments) => group::run(arguments, &before),
        Command::Cluster(arguments) => cluster::run(&arguments, &before),
        Command::Doctor(arguments) => doctor::run(&arguments, &before),
        Command::Config(config::Arguments { command: Some(command), .. }) => {
            settings::run(&command, &before)
        }
        Command::Server(_)
        | Command::Config(_)
        | Command::Log(_)
        | Command::Profile(_)
        | Command::Test(_)
        | Command::InstallTools(_)
        | Command::Completion { .. }
        | Command::Metrics
        | Command::Version
            if !before.is_empty() =>
        {
            let none = "--bootstrap, -X and --profile are for commands that talk to a cluster";
            Failure::usage(none).end()
        }
        Command::Profile(arguments) => reach::profile::run(&arguments),
        Command::Test(arguments) => trial::run(&arguments),
        Command::InstallTools(arguments) => tools::install(&arguments),
        Command::Metrics => end(print(&ottla_console::reference())),
        Command::Completion { shell } => end(print(&complete::script(shell))),
        Command::Version => end(print(concat!("ottla ", env!("CARGO_PKG_VERSION"), "\n"))),
        Command::Server(arguments) => {
            end(server::run(&arguments).map_err(|error| error.to_string()))
        }
        Command::Config(arguments) => end(match config::run(&arguments) {
            Ok(text) => print(&text),
            Err(mistakes) => Err(mistakes.to_string()),
        }),
        Command::Log(arguments) => {
            log::run(&arguments).unwrap_or_else(|error| fail(&error.to_string()))
        }
    }
}

fn end(ran: Result<(), String>) -> ExitCode {
    ran.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

/// Whoever reads may have enough before the end, as `head` does.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn fail(error: &str) -> ExitCode {
    for line in error.lines() {
        eprintln!("ottla: {line}");
    }
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_command_takes_the_same_argument_twice() {
        super::command_line().debug_assert();
    }
}
