//! `ottla group`: who reads what, how far, and how to change that.

mod change;
mod list;
mod seek;

use std::process::ExitCode;

use crate::reach::{self, Reach};

/// Lists groups, shows how far they are, and moves them
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::List),
    Describe(list::Describe),
    Lag(list::Lag),
    Seek(seek::Seek),
    Delete(change::Delete),
    DeleteOffsets(change::DeleteOffsets),
}

pub(crate) fn run(arguments: Arguments, before: &Reach) -> ExitCode {
    let Arguments { reach, command } = arguments;
    reach::run(&reach.or(before), async move |session| match &command {
        Command::List(arguments) => list::list(arguments, session).await,
        Command::Describe(arguments) => list::describe(arguments, session).await,
        Command::Lag(arguments) => list::lag(arguments, session).await,
        Command::Seek(arguments) => seek::seek(arguments, session).await,
        Command::Delete(arguments) => change::delete(arguments, session).await,
        Command::DeleteOffsets(arguments) => change::delete_offsets(arguments, session).await,
    })
}
