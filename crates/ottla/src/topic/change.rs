//! `ottla topic create`, `alter` and `delete`.

use ottla_client::{ConfigChange, ConfigResource, NewTopic};
use ottla_types::TopicName;

use super::Items;
use crate::confirm::{self, Act};
use crate::failure::{Failure, is_unknown_topic, say};
use crate::reach::Session;

const CREATE_EXAMPLES: &str = "\
Examples:
  ottla topic create invoices
  ottla topic create clicks views --partitions 3 --set retention.ms=86400000
  ottla topic create tests --dry-run";

/// Makes topics
#[derive(Debug, clap::Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub(super) struct Create {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<TopicName>,

    /// How many partitions each gets [default: the cluster's num.partitions]
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// How many brokers keep each [default: the cluster's default.replication.factor]
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,

    /// A property of the topic
    #[arg(short = 's', long = "set", value_name = "NAME=VALUE", value_parser = confirm::pair)]
    configs: Vec<(String, String)>,

    /// Do not mind a topic that is there already
    #[arg(long)]
    if_not_exists: bool,

    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,
}

const ALTER_EXAMPLES: &str = "\
Examples:
  ottla topic alter orders --partitions 6
  ottla topic alter orders --set retention.ms=86400000 --unset max.message.bytes";

/// Gives a topic more partitions, or other properties
#[derive(Debug, clap::Args)]
#[command(after_help = ALTER_EXAMPLES)]
pub(super) struct Alter {
    /// The topic
    #[arg(value_name = "TOPIC")]
    name: TopicName,

    /// How many partitions it has then; there is no way back
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// A property to set
    #[arg(short = 's', long = "set", value_name = "NAME=VALUE", value_parser = confirm::pair)]
    configs: Vec<(String, String)>,

    /// A property to be what the cluster says again
    #[arg(short, long = "unset", value_name = "NAME")]
    unset: Vec<String>,

    /// Only ask whether it could be done
    #[arg(long)]
    dry_run: bool,
}

const DELETE_EXAMPLES: &str = "\
Examples:
  ottla topic delete old-orders --yes
  ottla topic delete payments --dry-run";

/// Deletes topics and all of their records
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(super) struct Delete {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    names: Vec<TopicName>,

    /// Do not mind a topic that is not there
    #[arg(long)]
    if_exists: bool,

    #[command(flatten)]
    act: Act,
}

pub(super) async fn create(arguments: &Create, session: &Session) -> Result<(), Failure> {
    let (admin, mut items) = (session.admin(), Items::default());
    for name in &arguments.names {
        let mut topic = NewTopic::new(name.as_str());
        if let Some(count) = arguments.partitions {
            topic = topic.partitions(count);
        }
        if let Some(copies) = arguments.replicas {
            topic = topic.replication_factor(copies);
        }
        for (property, value) in &arguments.configs {
            topic = topic.config(property, value);
        }
        if arguments.dry_run {
            topic = topic.validate_only();
        }
        if arguments.if_not_exists && admin.find_topic(name).await?.is_some() {
            say(&format!("topic {name} is there already"));
            continue;
        }
        let made = admin.create_topic(topic).await;
        let done = if arguments.dry_run { "would be created" } else { "created" };
        items.note(made.map(|_| say(&format!("topic {name} {done}"))).map_err(Into::into))?;
    }
    items.end()
}

pub(super) async fn alter(arguments: &Alter, session: &Session) -> Result<(), Failure> {
    let Alter { name, partitions, configs, unset, dry_run } = arguments;
    if partitions.is_none() && configs.is_empty() && unset.is_empty() {
        return Err(Failure::usage(
            "nothing is to be changed: give --partitions COUNT, --set NAME=VALUE or --unset NAME",
        ));
    }
    let admin = session.admin();
    let before = super::known(&admin, name).await?.partitions.len();
    let set = configs.iter().map(|(name, value)| ConfigChange::Set(name.clone(), value.clone()));
    let changes: Vec<ConfigChange> =
        set.chain(unset.iter().cloned().map(ConfigChange::Delete)).collect();
    let resource = ConfigResource::Topic(name.clone());
    if let Some(count) =
        partitions.filter(|count| usize::try_from(*count).is_ok_and(|count| count <= before))
    {
        return Err(Failure::told(format!(
            "topic {name} has {before} partitions, and cannot have {count}: partitions are added \
             only, because records stay where they are"
        )));
    }
    if *dry_run {
        if !changes.is_empty() {
            admin.validate_configs(&resource, &changes).await?;
        }
        say(&format!("topic {name} would be changed"));
        return Ok(());
    }
    // What can be refused for more reasons goes first.
    if !changes.is_empty() {
        admin.alter_configs(&resource, &changes).await?;
        let names: Vec<&str> =
            configs.iter().map(|(name, _)| name).chain(unset).map(String::as_str).collect();
        say(&format!("topic {name}: changed {}", names.join(", ")));
    }
    if let Some(count) = partitions {
        admin.create_partitions(name, *count).await?;
        say(&format!("topic {name} has {count} partitions now, {before} before"));
    }
    Ok(())
}

pub(super) async fn delete(arguments: &Delete, session: &Session) -> Result<(), Failure> {
    let (admin, mut items) = (session.admin(), Items::default());
    let names: Vec<&str> = arguments.names.iter().map(TopicName::as_str).collect();
    if arguments.act.dry_run {
        for name in &arguments.names {
            let known = super::known(&admin, name).await;
            items.note(known.map(|_| say(&format!("topic {name} would be deleted"))))?;
        }
        return items.end();
    }
    arguments.act.confirm(&format!("delete {} and all records in it", names.join(", ")))?;
    for name in &arguments.names {
        let deleted = match admin.delete_topic(name).await {
            Ok(()) => {
                say(&format!("topic {name} deleted"));
                Ok(())
            }
            Err(error) if is_unknown_topic(&error) && arguments.if_exists => {
                say(&format!("there is no topic {name}"));
                Ok(())
            }
            Err(error) if is_unknown_topic(&error) => Err(super::unknown(&admin, name).await),
            Err(error) => Err(error.into()),
        };
        items.note(deleted)?;
    }
    items.end()
}
