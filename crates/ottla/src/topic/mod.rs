//! `ottla topic`: what topics there are, and making, changing and deleting them.

mod change;
mod describe;
mod list;
mod trim;

use std::process::ExitCode;

use ottla_client::{Admin, TopicMetadata};
use ottla_types::TopicName;

use crate::failure::Failure;
use crate::near;
use crate::reach::{self, Reach};
use crate::show::{Format, Show};

/// Lists, makes, changes and deletes topics
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
    Watch(list::Rates),
    Describe(describe::Describe),
    Create(change::Create),
    Alter(change::Alter),
    Delete(change::Delete),
    Trim(trim::Trim),
}

pub(crate) fn run(arguments: Arguments, before: &Reach) -> ExitCode {
    let Arguments { reach, command } = arguments;
    reach::run(&reach.or(before), async move |session| match &command {
        Command::List(arguments) => list::list(arguments, session).await,
        Command::Watch(arguments) => list::watch(arguments, session).await,
        Command::Describe(arguments) => describe::describe(arguments, session).await,
        Command::Create(arguments) => change::create(arguments, session).await,
        Command::Alter(arguments) => change::alter(arguments, session).await,
        Command::Delete(arguments) => change::delete(arguments, session).await,
        Command::Trim(arguments) => trim::trim(arguments, session).await,
    })
}

fn format(show: &Show) -> Format {
    Format::or_default(show.output)
}

/// A topic that has to be there.
///
/// # Errors
/// When there is none: with the name of one that may have been meant.
pub(crate) async fn known(admin: &Admin, name: &TopicName) -> Result<TopicMetadata, Failure> {
    match admin.find_topic(name).await? {
        Some(topic) => Ok(topic),
        None => Err(unknown(admin, name).await),
    }
}

/// Says that there is no such topic, and which one may have been meant.
pub(crate) async fn unknown(admin: &Admin, name: &TopicName) -> Failure {
    let topics = admin.list_topics().await.unwrap_or_default();
    let near = near::suggestion(name.as_str(), topics.keys().map(TopicName::as_str));
    Failure::told(format!("there is no topic {name}{near} (`ottla topic list` shows all)"))
}

/// Notes of each of several things whether it was done; the first failure is not the last word.
#[derive(Default)]
pub(crate) struct Items {
    failed: bool,
}

impl Items {
    pub(crate) fn note(&mut self, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Ok(()) => {}
            // Without a cluster nothing that follows can be done, either.
            Err(failure) if failure.call().is_some() => return Err(failure),
            Err(failure) => {
                crate::failure::say(&failure.to_string());
                self.failed = true;
            }
        }
        Ok(())
    }

    pub(crate) const fn end(&self) -> Result<(), Failure> {
        if self.failed { Err(Failure::Items) } else { Ok(()) }
    }
}
