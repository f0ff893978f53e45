//! `ottla group delete` and `delete-offsets`.

use ottla_types::TopicPartition;

use super::list;
use crate::confirm::Act;
use crate::failure::{Failure, say};
use crate::reach::Session;
use crate::topic::Items;

const DELETE_EXAMPLES: &str = "\
Examples:
  ottla group delete old-readers --yes
  ottla group delete readers --dry-run";

/// Deletes groups that nobody is in, and their offsets
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE_EXAMPLES)]
pub(super) struct Delete {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,

    #[command(flatten)]
    act: Act,
}

const OFFSETS_EXAMPLES: &str = "\
Examples:
  ottla group delete-offsets readers orders --partition 0 --dry-run
  ottla group delete-offsets readers orders --yes";

/// Makes a group forget how far it is in a topic
#[derive(Debug, clap::Args)]
#[command(after_help = OFFSETS_EXAMPLES)]
pub(super) struct DeleteOffsets {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,

    /// These partitions only
    #[arg(short, long, value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    #[command(flatten)]
    act: Act,
}

pub(super) async fn delete(arguments: &Delete, session: &Session) -> Result<(), Failure> {
    let (admin, mut items) = (session.admin(), Items::default());
    if !arguments.act.dry_run {
        let names = arguments.names.join(", ");
        arguments.act.confirm(&format!("delete the groups {names} and their offsets"))?;
    }
    for name in &arguments.names {
        let done = match list::known(&admin, name).await {
            Err(unknown) => Err(unknown),
            Ok(group) if !group.members.is_empty() => Err(Failure::told(format!(
                "group {name} has {}: stop them first, whoever reads cannot be deleted",
                crate::words::count(group.members.len() as u64, "member")
            ))),
            Ok(_) if arguments.act.dry_run => {
                say(&format!("group {name} would be deleted"));
                Ok(())
            }
            Ok(_) => {
                let deleted = admin.delete_group(name).await;
                deleted.map(|()| say(&format!("group {name} deleted"))).map_err(Into::into)
            }
        };
        items.note(done)?;
    }
    items.end()
}

pub(super) async fn delete_offsets(
    arguments: &DeleteOffsets,
    session: &Session,
) -> Result<(), Failure> {
    let DeleteOffsets { group, topics, partition, act } = arguments;
    let admin = session.admin();
    list::known(&admin, group).await?;
    let committed = admin.group_offsets(group).await?;
    let ours = |each: &TopicPartition| {
        topics.iter().any(|topic| topic == each.topic.as_str())
            && (partition.is_empty() || partition.contains(&each.partition.get()))
    };
    let gone: Vec<TopicPartition> = committed.into_keys().filter(ours).collect();
    if gone.is_empty() {
        let told = format!("group {group} has no offsets of {}", topics.join(", "));
        return Err(Failure::told(told));
    }
    let names: Vec<String> = gone.iter().map(ToString::to_string).collect();
    if act.dry_run {
        say(&format!("group {group} would forget {}", names.join(", ")));
        return Ok(());
    }
    act.confirm(&format!("make group {group} forget {}", names.join(", ")))?;
    admin.delete_group_offsets(group, &gone).await?;
    say(&format!("group {group} has forgotten {}", names.join(", ")));
    Ok(())
}
