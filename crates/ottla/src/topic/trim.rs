//! `ottla topic trim`.

use ottla_client::{OffsetSpec, partition};
use ottla_types::{Offset, TopicName, TopicPartition};

use super::Items;
use crate::confirm::Act;
use crate::failure::{Failure, say};
use crate::reach::Session;
use crate::when::{self, Place};

const EXAMPLES: &str = "\
Examples:
  ottla topic trim orders --before 2 --yes
  ottla topic trim orders --before @-7d --dry-run
  ottla topic trim orders --before end --partition 0 --yes";

/// Deletes the oldest records of a topic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Trim {
    /// The topic
    #[arg(value_name = "TOPIC")]
    name: TopicName,

    /// The first record to stay: an offset, `end`, -N from the end, or a time as @-7d
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, value_parser = when::place)]
    before: Place,

    /// This partition only [default: all]
    #[arg(short, long, value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    #[command(flatten)]
    act: Act,
}

pub(super) async fn trim(arguments: &Trim, session: &Session) -> Result<(), Failure> {
    let (admin, mut items) = (session.admin(), Items::default());
    let topic = super::known(&admin, &arguments.name).await?;
    let numbers: Vec<i32> = match arguments.partition.as_slice() {
        [] => topic.partitions.iter().map(|each| each.id.get()).collect(),
        named => named.to_vec(),
    };
    let partitions: Vec<TopicPartition> = numbers
        .iter()
        .map(|number| partition(arguments.name.as_str(), *number))
        .collect::<Result<_, _>>()?;
    let starts = admin.list_offsets(&partitions, OffsetSpec::Earliest).await?;
    let places = when::found(&admin, &partitions, arguments.before, session.env.clock.wall());
    let places = places.await?;
    let mut plan: Vec<(&TopicPartition, Offset, i64)> = Vec::new();
    for each in &partitions {
        let (Some(start), Some(place)) = (starts.get(each), places.get(each)) else {
            items.note(Err(Failure::told(format!("there is no partition {each}"))))?;
            continue;
        };
        let gone = place.get() - start.offset.get();
        if gone > 0 {
            plan.push((each, *place, gone));
        }
    }
    let gone: i64 = plan.iter().map(|(_, _, gone)| gone).sum();
    if arguments.act.dry_run {
        for (each, place, gone) in &plan {
            say(&format!("{each}: {gone} records before offset {place} would be deleted"));
        }
        return items.end();
    }
    if plan.is_empty() {
        say("there is nothing to delete");
        return items.end();
    }
    arguments.act.confirm(&format!("delete {gone} records of {}", arguments.name))?;
    for (each, place, _) in plan {
        let start = admin.delete_records(each, place).await;
        items.note(
            start
                .map(|start| say(&format!("{each} begins at offset {start} now")))
                .map_err(Into::into),
        )?;
    }
    items.end()
}
