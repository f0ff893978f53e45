//! `ottla group seek`: where a group goes on. The plan is shown before anything is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use ottla_client::{Admin, CommittedOffset, OffsetSpec, partition};
use ottla_types::{Offset, TopicName, TopicPartition};

use super::list;
use crate::confirm::Act;
use crate::failure::{Failure, say};
use crate::reach::Session;
use crate::show::{Answer, Cell, Column, Format, Show, Table, print};
use crate::when::{self, Place};

const EXAMPLES: &str = "\
Examples:
  ottla group seek readers --to start --topic orders --yes
  ottla group seek readers --to @-1h --topic orders --dry-run
  ottla group seek readers --by -10 --yes
  ottla group seek readers --to-group writers --dry-run
  ottla group seek readers --to current --dry-run -o csv";

/// Moves a group that nobody is in: to a place, by a number of records, to where another group is
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub(super) struct Seek {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,

    /// start, end, current, an offset, +N behind the start, -N before the end, @TIME
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true, value_parser = target)]
    #[arg(group = "target")]
    to: Option<To>,

    /// So many records on, or back where it is negative
    #[arg(long, value_name = "RECORDS", allow_hyphen_values = true, group = "target")]
    by: Option<i64>,

    /// To where another group is
    #[arg(long, value_name = "GROUP", group = "target")]
    to_group: Option<String>,

    /// To what a file says: TOPIC,PARTITION,OFFSET in each line
    #[arg(long, value_name = "FILE", group = "target")]
    to_file: Option<PathBuf>,

    /// These topics [default: all that it has offsets of]
    #[arg(short, long, value_name = "TOPIC")]
    topic: Vec<TopicName>,

    /// These partitions only
    #[arg(short, long, value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    #[command(flatten)]
    act: Act,

    #[command(flatten)]
    show: Show,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Current,
    Place(Place),
}

fn target(text: &str) -> Result<To, String> {
    if text == "current" { Ok(To::Current) } else { when::place(text).map(To::Place) }
}

const COLUMNS: &[Column] = &[
    Column::text("TOPIC", "topic"),
    Column::number("PARTITION", "partition"),
    Column::number("FROM", "from"),
    Column::number("TO", "to"),
];

type Offsets = BTreeMap<TopicPartition, Offset>;

pub(super) async fn seek(arguments: &Seek, session: &Session) -> Result<(), Failure> {
    let (admin, group) = (session.admin(), &arguments.group);
    let described = admin.describe_group(group).await;
    let members = described.map_or(0, |described| described.members.len());
    if members > 0 && !arguments.act.dry_run {
        return Err(Failure::told(format!(
            "group {group} has {}: stop them first, whoever reads goes where it wants",
            crate::words::count(members as u64, "member")
        )));
    }
    let committed = admin.group_offsets(group).await?;
    let committed: Offsets = committed.into_iter().map(|(of, at)| (of, at.offset)).collect();
    let targets = targets(arguments, session, &committed).await?;
    if targets.is_empty() {
        return Err(Failure::told(format!(
            "group {group} has no offsets to move: name a topic with --topic"
        )));
    }
    let mut table = Table::new(COLUMNS);
    for (of, to) in &targets {
        let from = committed.get(of).map(|from| from.get());
        table.row([
            Cell::text(of.topic.as_str()),
            Cell::number(of.partition.get()),
            Cell::maybe(from, Cell::number),
            Cell::number(to.get()),
        ]);
    }
    print("group-seek", &Answer::Table(table), Format::or_default(arguments.show.output))?;
    if arguments.act.dry_run {
        return Ok(());
    }
    arguments.act.confirm(&format!("move group {group} as shown"))?;
    let offsets: BTreeMap<TopicPartition, CommittedOffset> =
        targets.into_iter().map(|(of, to)| (of, to.into())).collect();
    admin.alter_group_offsets(group, &offsets).await?;
    say(&format!("group {group} moved"));
    Ok(())
}

async fn targets(
    arguments: &Seek,
    session: &Session,
    committed: &Offsets,
) -> Result<Offsets, Failure> {
    let admin = session.admin();
    let named = if let Some(other) = &arguments.to_group {
        list::known(&admin, other).await?;
        let offsets = admin.group_offsets(other).await?;
        Some(offsets.into_iter().map(|(of, at)| (of, at.offset)).collect::<Offsets>())
    } else if let Some(path) = &arguments.to_file {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::told(format!("cannot read {}: {error}", path.display())))?;
        Some(of_file(&text).map_err(Failure::Told)?)
    } else {
        None
    };
    let scope = scope(arguments, &admin, named.as_ref().unwrap_or(committed)).await?;
    let wanted: Offsets = match (named, arguments.by, arguments.to) {
        (Some(named), _, _) => named.into_iter().filter(|(of, _)| scope.contains(of)).collect(),
        (None, Some(by), _) => {
            let from = committed.iter().filter(|(of, _)| scope.contains(of));
            from.map(|(of, at)| (of.clone(), moved(*at, by))).collect()
        }
        (None, None, Some(To::Current)) => {
            committed.clone().into_iter().filter(|(of, _)| scope.contains(of)).collect()
        }
        (None, None, Some(To::Place(place))) => {
            return when::found(&admin, &scope, place, session.env.clock.wall()).await;
        }
        (None, None, None) => Offsets::new(),
    };
    within_logs(&admin, wanted).await
}

fn moved(from: Offset, by: i64) -> Offset {
    Offset::new(from.get().saturating_add(by).max(0))
}

/// The partitions that are meant: those of the topics that were named, or all that are known.
async fn scope(
    arguments: &Seek,
    admin: &Admin,
    known: &Offsets,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut all: BTreeSet<TopicPartition> = BTreeSet::new();
    for topic in &arguments.topic {
        let metadata = crate::topic::known(admin, topic).await?;
        for each in &metadata.partitions {
            all.insert(TopicPartition { topic: topic.clone(), partition: each.id });
        }
    }
    if arguments.topic.is_empty() {
        all.extend(known.keys().cloned());
    }
    let numbers = &arguments.partition;
    all.retain(|each| numbers.is_empty() || numbers.contains(&each.partition.get()));
    Ok(all.into_iter().collect())
}

/// No offset before the first record, nor behind the end: readers would be lost there.
async fn within_logs(admin: &Admin, wanted: Offsets) -> Result<Offsets, Failure> {
    let all: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let starts = admin.list_offsets(&all, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(&all, OffsetSpec::Latest).await?;
    let mut found = Offsets::new();
    for (of, at) in wanted {
        let (Some(start), Some(end)) = (starts.get(&of), ends.get(&of)) else {
            return Err(Failure::told(format!("there is no partition {of}")));
        };
        let at = at.clamp(start.offset, end.offset.max(start.offset));
        found.insert(of, at);
    }
    Ok(found)
}

/// Lines as Kafka's own tool exports and imports them; a line of titles is left out.
fn of_file(text: &str) -> Result<Offsets, String> {
    let mut offsets = Offsets::new();
    for (at, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || (at == 1 && line.to_ascii_lowercase().starts_with("topic,")) {
            continue;
        }
        let fields: Vec<&str> =
            line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let read = |fields: &[&str]| {
            let (topic, number) = (fields.first()?, fields.get(1)?.parse::<i32>().ok()?);
            // A plan of ours has a column more: where the group was.
            let offset = fields.get(2..)?.last()?.parse().ok()?;
            let of = (number >= 0).then(|| partition(topic, number).ok())??;
            Some((of, Offset::from_wire(offset)?))
        };
        let (of, offset) = read(&fields)
            .ok_or_else(|| format!("line {at} is not TOPIC,PARTITION,OFFSET: {line}"))?;
        offsets.insert(of, offset);
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_offsets_are_read() {
        let offsets = of_file("TOPIC,PARTITION,FROM,TO\nt,0,1,5\n\"t\", 1, 7\n\n").unwrap();
        let told: Vec<_> = offsets.iter().map(|(of, at)| format!("{of}@{at}")).collect();
        assert_eq!(told, ["t-0@5", "t-1@7"]);
        for line in ["t,0", "t,x,1", "t,0,-1", "t,-1,1", "a/b,0,1", "t"] {
            assert!(of_file(line).unwrap_err().starts_with("line 1 is not"), "{line}");
        }
    }

    #[test]
    fn targets_are_places_or_where_it_is() {
        assert_eq!(target("current"), Ok(To::Current));
        assert_eq!(target("start"), Ok(To::Place(Place::Start)));
        assert_eq!(moved(Offset::new(3), -10), Offset::ZERO);
    }
}
