//! Ottla: an Apache Kafka-compatible event-streaming system in one binary.

mod server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Freed pages go back to the system, and a small heap stays small.
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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ran =
        match arguments.command.unwrap_or_else(|| Command::Server(server::Arguments::default())) {
            Command::Server(arguments) => server::run(&arguments),
        };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                eprintln!("ottla: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
