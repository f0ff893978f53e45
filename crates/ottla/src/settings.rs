//! `ottla config list|describe|set|unset`: the properties of topics, brokers and groups of a
//! running cluster. Without a subcommand `ottla config` is about a node that is to be started.

use std::process::ExitCode;

use ottla_client::{ConfigChange, ConfigEntry, ConfigResource};
use ottla_types::TopicName;

use crate::confirm;
use crate::failure::{Failure, say};
use crate::near;
use crate::reach::{self, Reach, Session};
use crate::show::{Answer, Cell, Column, Format, Show, Table, print};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    List(List),
    Describe(Describe),
    Set(Set),
    Unset(Unset),
}

const LIST_EXAMPLES: &str = "\
Examples:
  ottla config list
  ottla config list --all -o json";

/// Lists what was set in a running cluster: for topics, brokers and groups
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(crate) struct List {
    /// What has no properties of its own as well
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    show: Show,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  ottla config describe topic orders
  ottla config describe broker 1 --all
  ottla config describe broker default
  ottla config describe group readers -o json";

/// Shows the properties of a topic, a broker or a group of a running cluster
#[derive(Debug, clap::Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub(crate) struct Describe {
    #[command(flatten)]
    of: Resource,

    /// Those that nobody has set as well
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    show: Show,
}

const SET_EXAMPLES: &str = "\
Examples:
  ottla config set topic orders retention.ms=86400000 max.message.bytes=2000000
  ottla config set broker default log.retention.ms=86400000 --dry-run";

/// Sets properties of a topic, a broker or a group of a running cluster
#[derive(Debug, clap::Args)]
#[command(after_help = SET_EXAMPLES)]
pub(crate) struct Set {
    #[command(flatten)]
    of: Resource,

    /// The properties
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = confirm::pair)]
    properties: Vec<(String, String)>,

    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    reach: Reach,
}

const UNSET_EXAMPLES: &str = "\
Examples:
  ottla config unset topic orders retention.ms
  ottla config unset topic orders max.message.bytes --dry-run";

/// Lets properties of a running cluster be what they are by default
#[derive(Debug, clap::Args)]
#[command(after_help = UNSET_EXAMPLES)]
pub(crate) struct Unset {
    #[command(flatten)]
    of: Resource,

    /// The properties
    #[arg(required = true, value_name = "PROPERTY")]
    names: Vec<String>,

    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    reach: Reach,
}

/// What has properties, in two words.
#[derive(Debug, clap::Args)]
struct Resource {
    /// What it is
    #[arg(value_enum, value_name = "KIND")]
    kind: Kind,

    /// Its name; a broker's number, or `default` for all brokers
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Topic,
    Broker,
    Group,
}

impl Resource {
    fn parse(&self) -> Result<ConfigResource, Failure> {
        Ok(match self.kind {
            Kind::Topic => ConfigResource::Topic(TopicName::parse(&self.name)?),
            Kind::Broker if self.name == "default" => ConfigResource::AllBrokers,
            Kind::Broker => ConfigResource::Broker(self.name.parse().map_err(|_| {
                let told = format!("`{}` is no broker: give its number, or default", self.name);
                Failure::usage(told)
            })?),
            Kind::Group => ConfigResource::Group(self.name.clone()),
        })
    }
}

pub(crate) fn run(command: &Command, before: &Reach) -> ExitCode {
    let reach = match command {
        Command::List(List { reach, .. })
        | Command::Describe(Describe { reach, .. })
        | Command::Set(Set { reach, .. })
        | Command::Unset(Unset { reach, .. }) => reach,
    };
    reach::run(&reach.clone().or(before), async |session| match command {
        Command::List(arguments) => list(arguments, session).await,
        Command::Describe(arguments) => describe(arguments, session).await,
        Command::Set(Set { of, properties, dry_run, .. }) => {
            let set =
                |(name, value): &(String, String)| ConfigChange::Set(name.clone(), value.clone());
            alter(of, properties.iter().map(set).collect(), *dry_run, session).await
        }
        Command::Unset(Unset { of, names, dry_run, .. }) => {
            let changes = names.iter().cloned().map(ConfigChange::Delete).collect();
            alter(of, changes, *dry_run, session).await
        }
    })
}

const SET_PROPERTIES: &[Column] = &[
    Column::text("KIND", "kind"),
    Column::text("NAME", "resource"),
    Column::text("PROPERTY", "name"),
    Column::text("VALUE", "value"),
];

/// Kind and name, as the command line takes them.
fn words_of(resource: &ConfigResource) -> (&'static str, String) {
    match resource {
        ConfigResource::Topic(name) => ("topic", name.to_string()),
        ConfigResource::Broker(id) => ("broker", id.to_string()),
        ConfigResource::AllBrokers => ("broker", "default".to_owned()),
        ConfigResource::Group(id) => ("group", id.clone()),
    }
}

async fn list(arguments: &List, session: &Session) -> Result<(), Failure> {
    let (admin, mut table) = (session.admin(), Table::new(SET_PROPERTIES));
    let mut resources = admin.list_config_resources().await?;
    if !resources.contains(&ConfigResource::AllBrokers) {
        resources.push(ConfigResource::AllBrokers);
    }
    resources.sort_unstable();
    for resource in resources {
        let (kind, name) = words_of(&resource);
        let row = |property: Cell, value: Cell| {
            [Cell::text(kind), Cell::text(name.clone()), property, value]
        };
        let mut own = admin.describe_configs(&resource).await?;
        own.retain(|entry| entry.is_own);
        if own.is_empty() && arguments.all {
            table.row(row(Cell::none(), Cell::none()));
        }
        for entry in own {
            table.row(row(Cell::text(&entry.name), value_of(entry)));
        }
    }
    let format = Format::or_default(arguments.show.output);
    Ok(print("configs", &Answer::Table(table), format)?)
}

fn value_of(entry: ConfigEntry) -> Cell {
    if entry.is_sensitive {
        return Cell::text("(secret)");
    }
    Cell::maybe(entry.value, Cell::text)
}

const PROPERTIES: &[Column] = &[
    Column::text("PROPERTY", "name"),
    Column::text("VALUE", "value"),
    Column::text("SET", "set"),
    Column::text("CHANGES", "changes").wide(),
];

async fn describe(arguments: &Describe, session: &Session) -> Result<(), Failure> {
    let (admin, resource) = (session.admin(), arguments.of.parse()?);
    if let ConfigResource::Topic(name) = &resource {
        crate::topic::known(&admin, name).await?;
    }
    let mut table = Table::new(PROPERTIES);
    for entry in admin.describe_configs(&resource).await? {
        if entry.is_default && !arguments.all {
            continue;
        }
        let set = match (entry.is_own, entry.is_default) {
            (true, _) => "here",
            (false, true) => "nowhere",
            (false, false) => "above",
        };
        let changes = if entry.is_read_only { "with a restart" } else { "at once" };
        let name = Cell::text(&entry.name);
        table.row([name, value_of(entry), Cell::text(set), Cell::text(changes)]);
    }
    if table.len() == 0 {
        say(&format!("nothing was set for {resource}; --all shows what holds all the same"));
    }
    let format = Format::or_default(arguments.show.output);
    Ok(print("config", &Answer::Table(table), format)?)
}

async fn alter(
    of: &Resource,
    changes: Vec<ConfigChange>,
    dry_run: bool,
    session: &Session,
) -> Result<(), Failure> {
    let (admin, resource) = (session.admin(), of.parse()?);
    if let ConfigResource::Topic(name) = &resource {
        crate::topic::known(&admin, name).await?;
    }
    // The broker refuses names that it does not know; here somebody says which one was meant.
    let known = admin.describe_configs(&resource).await?;
    let names = || known.iter().map(|entry| entry.name.as_str());
    for change in &changes {
        let name = name_of(change);
        let near = near::nearest(name, names()).filter(|near| *near != name);
        if let Some(near) = near.filter(|_| !names().any(|known| known == name)) {
            say(&format!("{resource} has no property {name}; did you mean {near}?"));
        }
    }
    if dry_run {
        admin.validate_configs(&resource, &changes).await?;
        say(&format!("{resource} would be changed"));
        return Ok(());
    }
    admin.alter_configs(&resource, &changes).await?;
    let names: Vec<&str> = changes.iter().map(name_of).collect();
    say(&format!("{resource}: changed {}", names.join(", ")));
    Ok(())
}

fn name_of(change: &ConfigChange) -> &str {
    match change {
        ConfigChange::Set(name, _)
        | ConfigChange::Delete(name)
        | ConfigChange::Append(name, _)
        | ConfigChange::Subtract(name, _) => name,
    }
}
