//! Ottla: an Apache Kafka-compatible event-streaming system in one binary.

mod config;
mod given;
mod log;
mod server;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Freed pages go back to the system, and a small heap stays small: it does without huge pages, of
/// which the first bytes of a node would take 8 MiB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Apache Kafka-compatible event streaming in one binary.
///
/// Without a command it starts a node on 127.0.0.1:9092, with its data in ./ottla-data.
#[derive(Debug, Parser)]
#[command(name = "ottla", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a node.
    Server(server::Arguments),
    /// Prints the properties that a node would be started with.
    Config(config::Arguments),
    /// Looks into the files of a node, and mends them: dump, verify, recover.
    Log(log::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let command = arguments.command.unwrap_or_else(|| Command::Server(Default::default()));
    let ran = match command {
        Command::Server(arguments) => server::run(&arguments).map_err(|error| error.to_string()),
        Command::Config(arguments) => match config::run(&arguments) {
            Ok(text) => print(&text),
            Err(mistakes) => Err(mistakes.to_string()),
        },
        Command::Log(arguments) => {
            return log::run(&arguments).unwrap_or_else(|error| fail(&error.to_string()));
        }
    };
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
