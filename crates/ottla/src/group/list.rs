//! `ottla group list`, `describe` and `lag`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::{Admin, GroupDescription, GroupListing, OffsetSpec};
use ottla_types::TopicPartition;

use crate::failure::Failure;
use crate::near;
use crate::pattern::Glob;
use crate::reach::Session;
use crate::show::{Answer, Cell, Column, Format, Page, Show, Table, Watch, print};
use crate::topic::Items;

const LIST_EXAMPLES: &str = "\
Examples:
  ottla group list
  ottla group list 'read*' -o json
  ottla group list --watch --every 500ms --times 2";

/// Lists groups, what they are at, and how much they have left to read
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(super) struct List {
    /// Names, where * stands for anything [default: all]
    #[arg(value_name = "GROUP")]
    names: Vec<Glob>,

    #[command(flatten)]
    watch: Watch,

    #[command(flatten)]
    show: Show,
}

const DESCRIBE_EXAMPLES: &str = "\
Examples:
  ottla group describe readers
  ottla group describe readers -o json";

/// Shows a group: its members, its offsets and their lag
#[derive(Debug, clap::Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub(super) struct Describe {
    /// The groups
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,

    #[command(flatten)]
    show: Show,
}

const LAG_EXAMPLES: &str = "\
Examples:
  ottla group lag
  ottla group lag readers
  ottla group lag --watch --every 500ms --times 2";

/// Shows what groups have left to read, partition by partition
#[derive(Debug, clap::Args)]
#[command(after_help = LAG_EXAMPLES)]
pub(super) struct Lag {
    /// Names, where * stands for anything [default: all]
    #[arg(value_name = "GROUP")]
    names: Vec<Glob>,

    #[command(flatten)]
    watch: Watch,

    #[command(flatten)]
    show: Show,
}

const GROUPS: &[Column] = &[
    Column::text("GROUP", "group"),
    Column::text("TYPE", "type"),
    Column::text("STATE", "state"),
    Column::number("TOPICS", "topics"),
    Column::number("LAG", "lag"),
    Column::text("PROTOCOL", "protocol_type").wide(),
];

const LAGS: &[Column] = &[
    Column::text("GROUP", "group"),
    Column::text("TOPIC", "topic"),
    Column::number("PARTITION", "partition"),
    Column::number("OFFSET", "offset"),
    Column::number("END", "end"),
    Column::number("LAG", "lag"),
    Column::text("MEMBER", "member"),
];

const MEMBERS: &[Column] = &[
    Column::text("MEMBER", "member"),
    Column::text("CLIENT", "client_id"),
    Column::text("HOST", "host"),
    Column::number("PARTITIONS", "partitions"),
    Column::text("INSTANCE", "instance").wide(),
    Column::text("EPOCH", "epoch").wide(),
];

/// How far a group has got in one partition.
struct Progress {
    offset: Option<i64>,
    end: Option<i64>,
    member: Option<String>,
}

impl Progress {
    /// What is left to read; never less than nothing, whatever was committed.
    fn lag(&self) -> Option<u64> {
        Some(u64::try_from(self.end? - self.offset?).unwrap_or(0))
    }
}

/// How far a group has got: in what it has committed, and in what its members have.
async fn progress(
    admin: &Admin,
    group: &GroupDescription,
) -> Result<BTreeMap<TopicPartition, Progress>, Failure> {
    let committed = admin.group_offsets(&group.id).await?;
    let member_of: BTreeMap<&TopicPartition, &String> = (group.members.iter())
        .flat_map(|member| member.assignment.iter().map(|each| (each, &member.client_id)))
        .collect();
    let all: BTreeSet<&TopicPartition> =
        committed.keys().chain(member_of.keys().copied()).collect();
    let all: Vec<TopicPartition> = all.into_iter().cloned().collect();
    let ends = admin.list_offsets(&all, OffsetSpec::Latest).await?;
    let of = |each: TopicPartition| {
        let progress = Progress {
            offset: committed.get(&each).map(|committed| committed.offset.get()),
            end: ends.get(&each).map(|end| end.offset.get()),
            member: member_of.get(&each).map(|member| (*member).clone()),
        };
        (each, progress)
    };
    Ok(all.into_iter().map(of).collect())
}

async fn chosen(admin: &Admin, names: &[Glob]) -> Result<Vec<GroupListing>, Failure> {
    let mut groups = admin.list_groups().await?;
    groups.retain(|group| names.is_empty() || names.iter().any(|name| name.fits(&group.id)));
    Ok(groups)
}

pub(super) async fn list(arguments: &List, session: &Session) -> Result<(), Failure> {
    let format = Format::or_default(arguments.show.output);
    let made = async || listed(arguments, &session.admin()).await;
    arguments.watch.show(&*session.env.clock, ("groups", format), made).await
}

async fn listed(arguments: &List, admin: &Admin) -> Result<Answer, Failure> {
    let mut table = Table::new(GROUPS);
    for group in chosen(admin, &arguments.names).await? {
        let described = admin.describe_group(&group.id).await?;
        let progress = progress(admin, &described).await?;
        let topics: BTreeSet<_> = progress.keys().map(|each| &each.topic).collect();
        let lag = progress.values().filter_map(Progress::lag).sum();
        let kind = if group.kind.is_empty() { "classic".to_owned() } else { group.kind };
        table.row([
            Cell::text(group.id),
            Cell::text(kind.to_ascii_lowercase()),
            Cell::text(group.state),
            Cell::length(topics.len()),
            Cell::count(lag),
            Cell::text(group.protocol_type),
        ]);
    }
    Ok(Answer::Table(table))
}

/// A group that has to be there.
///
/// # Errors
/// When there is none: with the name of one that may have been meant.
pub(super) async fn known(admin: &Admin, name: &str) -> Result<GroupDescription, Failure> {
    let groups = admin.list_groups().await?;
    if groups.iter().any(|group| group.id == name) {
        return Ok(admin.describe_group(name).await?);
    }
    let near = near::suggestion(name, groups.iter().map(|group| group.id.as_str()));
    Err(Failure::told(format!("there is no group {name}{near} (`ottla group list` shows all)")))
}

pub(super) async fn describe(arguments: &Describe, session: &Session) -> Result<(), Failure> {
    let (mut items, mut pages) = (Items::default(), Vec::new());
    for name in &arguments.names {
        let page = page_of(name, session).await;
        items.note(page.map(|page| pages.push(page)))?;
    }
    if !pages.is_empty() {
        let format = Format::or_default(arguments.show.output);
        print("group-descriptions", &Answer::Pages(pages), format)?;
    }
    items.end()
}

async fn page_of(name: &str, session: &Session) -> Result<Page, Failure> {
    let admin = session.admin();
    let group = known(&admin, name).await?;
    let mut page = Page::default();
    page.field("group", "group", Cell::text(name));
    page.field("state", "state", Cell::text(&group.state));
    page.field("assignor", "assignor", Cell::text(&group.assignor));
    let mut members = Table::new(MEMBERS);
    for member in &group.members {
        members.row([
            Cell::text(&member.id),
            Cell::text(&member.client_id),
            Cell::text(&member.host),
            Cell::length(member.assignment.len()),
            Cell::maybe(member.instance.as_ref(), Cell::text),
            Cell::maybe(member.epoch, Cell::number),
        ]);
    }
    let mut lags = Table::new(LAGS);
    add_lags(&mut lags, name, progress(&admin, &group).await?);
    page.table("Members", "members", members);
    page.table("Offsets", "offsets", lags);
    Ok(page)
}

fn add_lags(table: &mut Table, group: &str, progress: BTreeMap<TopicPartition, Progress>) {
    for (partition, progress) in progress {
        table.row([
            Cell::text(group),
            Cell::text(partition.topic.as_str()),
            Cell::number(partition.partition.get()),
            Cell::maybe(progress.offset, Cell::number),
            Cell::maybe(progress.end, Cell::number),
            Cell::maybe(progress.lag(), Cell::count),
            Cell::maybe(progress.member, Cell::text),
        ]);
    }
}

pub(super) async fn lag(arguments: &Lag, session: &Session) -> Result<(), Failure> {
    let (admin, format) = (session.admin(), Format::or_default(arguments.show.output));
    let made = async || {
        let mut table = Table::new(LAGS);
        for group in chosen(&admin, &arguments.names).await? {
            let described = admin.describe_group(&group.id).await?;
            add_lags(&mut table, &group.id, progress(&admin, &described).await?);
        }
        Ok(Answer::Table(table))
    };
    arguments.watch.show(&*session.env.clock, ("group-lag", format), made).await
}
