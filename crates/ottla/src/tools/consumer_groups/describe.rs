//! What `kafka-consumer-groups --describe` shows.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::{
    Admin, CommittedOffset, GroupDescription, GroupMember, ListedOffset, OffsetSpec,
};
use ottla_types::{TopicName, TopicPartition};

use super::super::columns::{row, widest};
use super::super::flags::Given;
use super::super::thrown::Thrown;
use super::super::{ToolError, complain, line, put};

/// What a column holds where there is nothing to say.
const NOTHING: &str = "-";

pub(super) async fn describe(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let names: BTreeSet<String> = super::chosen(given, admin).await?.into_iter().collect();
    let mut groups = Vec::new();
    for name in names {
        match admin.describe_group(&name).await {
            Ok(group) => groups.push(group),
            Err(error) => {
                // A future of Java's has failed.
                let thrown = Thrown::from(error);
                return super::failed(&thrown.to_string(), &thrown.wrapped());
            }
        }
    }
    let is_verbose = given.has("verbose");
    for group in &groups {
        if given.has("members") {
            members(group, is_verbose)?;
        } else if given.has("state") {
            state(group, admin, is_verbose).await?;
        } else {
            offsets(group, admin, is_verbose).await?;
        }
    }
    Ok(())
}

/// Says what is to be said of a group before it is shown; whether it is.
fn is_shown(group: &GroupDescription, rows: usize) -> Result<bool, ToolError> {
    let name = &group.id;
    match group.state.as_str() {
        "Dead" => super::error(&format!("Consumer group '{name}' does not exist."))?,
        "Empty" => complain(&format!("\nConsumer group '{name}' has no active members.")),
        "Stable" => {}
        _ => complain(&format!("\nWarning: Consumer group '{name}' is rebalancing.")),
    }
    Ok(group.state != "Dead" && rows > 0)
}

/// A row of the table of offsets.
struct Row {
    topic: String,
    partition: String,
    epoch: String,
    offset: String,
    end: String,
    lag: String,
    member: String,
    host: String,
    client: String,
}

const TITLES: [&str; 10] = [
    "GROUP",
    "TOPIC",
    "PARTITION",
    "LEADER-EPOCH",
    "CURRENT-OFFSET",
    "LOG-END-OFFSET",
    "LAG",
    "CONSUMER-ID",
    "HOST",
    "CLIENT-ID",
];

async fn offsets(
    group: &GroupDescription,
    admin: &Admin,
    is_verbose: bool,
) -> Result<(), ToolError> {
    let committed = admin.group_offsets(&group.id).await?;
    let assigned = group.members.iter().flat_map(|member| &member.assignment);
    let all: BTreeSet<TopicPartition> = assigned.chain(committed.keys()).cloned().collect();
    let all: Vec<TopicPartition> = all.into_iter().collect();
    let ends = admin.list_offsets(&all, OffsetSpec::Latest).await?;
    let rows = rows(group, &committed, &ends);
    if is_shown(group, rows.len())? {
        put(&table(&group.id, &rows, is_verbose))?;
    }
    Ok(())
}

fn rows(
    group: &GroupDescription,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
    ends: &BTreeMap<TopicPartition, ListedOffset>,
) -> Vec<Row> {
    let text = |number: Option<i64>| {
        number.map_or_else(|| NOTHING.to_owned(), |number| number.to_string())
    };
    let row = |of: &TopicPartition, member: Option<&GroupMember>| {
        let at = committed.get(of);
        let (offset, end) =
            (at.map(|at| at.offset.get()), ends.get(of).map(|end| end.offset.get()));
        let word = |read: fn(&GroupMember) -> &String| {
            member.map_or_else(|| NOTHING.to_owned(), |m| read(m).clone())
        };
        Row {
            topic: of.topic.to_string(),
            partition: of.partition.to_string(),
            epoch: text(at.and_then(|at| at.leader_epoch).map(|epoch| i64::from(epoch.get()))),
            offset: text(offset),
            end: text(end),
            lag: text(offset.zip(end).map(|(offset, end)| end - offset)),
            member: word(|member| &member.id),
            host: word(|member| &member.host),
            client: word(|member| &member.client_id),
        }
    };
    let mut members: Vec<&GroupMember> =
        group.members.iter().filter(|member| !member.assignment.is_empty()).collect();
    members.sort_by_key(|member| std::cmp::Reverse(member.assignment.len()));
    let mut rows: Vec<Row> = members
        .iter()
        .flat_map(|member| member.assignment.iter().map(|of| row(of, Some(member))))
        .collect();
    let is_taken =
        |of: &&TopicPartition| members.iter().any(|member| member.assignment.contains(of));
    rows.extend(committed.keys().filter(|of| !is_taken(of)).map(|of| row(of, None)));
    rows
}

fn table(group: &str, rows: &[Row], is_verbose: bool) -> String {
    let group_width = widest(15, [group]);
    let topic = widest(15, rows.iter().map(|row| row.topic.as_str()));
    let member = widest(15, rows.iter().map(|row| row.member.as_str()));
    let host = widest(15, rows.iter().map(|row| row.host.as_str()));
    let widths = [group_width, topic, 10, 15, 15, 15, 15, member, host, 0];
    let shown = |cells: [&str; 10]| {
        let kept = |at: &usize| is_verbose || *at != 3;
        let at: Vec<usize> = (0..10).filter(kept).collect();
        let widths: Vec<usize> = at.iter().map(|at| widths[*at]).collect();
        let cells: Vec<&str> = at.iter().map(|at| cells[*at]).collect();
        format!("\n{}", row(&widths, &cells))
    };
    let mut text = shown(TITLES);
    for row in rows {
        text.push_str(&shown([
            group,
            &row.topic,
            &row.partition,
            &row.epoch,
            &row.offset,
            &row.end,
            &row.lag,
            &row.member,
            &row.host,
            &row.client,
        ]));
    }
    text.push('\n');
    text
}

/// `topic:0,1;other:2`.
fn assignment(partitions: &BTreeSet<TopicPartition>) -> String {
    let mut topics: BTreeMap<&TopicName, Vec<String>> = BTreeMap::new();
    for of in partitions {
        topics.entry(&of.topic).or_default().push(of.partition.to_string());
    }
    if topics.is_empty() {
        return NOTHING.to_owned();
    }
    let shown =
        |(topic, numbers): (&TopicName, Vec<String>)| format!("{topic}:{}", numbers.join(","));
    topics.into_iter().map(shown).collect::<Vec<_>>().join(";")
}

fn members(group: &GroupDescription, is_verbose: bool) -> Result<(), ToolError> {
    is_shown(group, group.members.len())?;
    Ok(put(&members_table(group, is_verbose))?)
}

/// Whether a group has members of both protocols.
fn is_mixed(group: &GroupDescription) -> bool {
    let has = |modern: bool| group.members.iter().any(|member| member.is_modern == Some(modern));
    has(true) && has(false)
}

fn members_table(group: &GroupDescription, is_verbose: bool) -> String {
    let all = &group.members;
    let has_instances = all.iter().any(|member| member.instance.is_some());
    let widths = [
        widest(15, [group.id.as_str()]),
        widest(15, all.iter().map(|member| member.id.as_str())),
        widest(17, all.iter().filter_map(|member| member.instance.as_deref())),
        widest(15, all.iter().map(|member| member.host.as_str())),
        widest(15, all.iter().map(|member| member.client_id.as_str())),
        15,
    ];
    let first = |cells: [&str; 6]| {
        let at: Vec<usize> = (0..6).filter(|at| has_instances || *at != 2).collect();
        let widths: Vec<usize> = at.iter().map(|at| widths[*at]).collect();
        let cells: Vec<&str> = at.iter().map(|at| cells[*at]).collect();
        format!("{} ", row(&widths, &cells))
    };
    let titles = ["GROUP", "CONSUMER-ID", "GROUP-INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS"];
    let mut text = format!("\n{}", first(titles));
    let mut more = Vec::new();
    if is_verbose {
        let table = verbose_cells(group);
        text.push_str(&table[0]);
        more = table;
    }
    text.push('\n');
    for (at, member) in all.iter().enumerate() {
        text.push_str(&first([
            &group.id,
            &member.id,
            member.instance.as_deref().unwrap_or_default(),
            &member.host,
            &member.client_id,
            &member.assignment.len().to_string(),
        ]));
        text.push_str(more.get(at + 1).map_or("", String::as_str));
        text.push('\n');
    }
    text
}

/// The further columns, titles first.
fn verbose_cells(group: &GroupDescription) -> Vec<String> {
    let number =
        |epoch: Option<i32>| epoch.map_or_else(|| NOTHING.to_owned(), |epoch| epoch.to_string());
    let target_epoch = number(group.epochs.map(|(_, target)| target));
    let cells: Vec<[String; 5]> = group
        .members
        .iter()
        .map(|member| {
            [
                number(member.epoch),
                assignment(&member.assignment),
                target_epoch.clone(),
                member.target.as_ref().map_or_else(|| NOTHING.to_owned(), assignment),
                member.is_modern.map_or_else(|| NOTHING.to_owned(), |modern| modern.to_string()),
            ]
        })
        .collect();
    let titles =
        ["CURRENT-EPOCH", "CURRENT-ASSIGNMENT", "TARGET-EPOCH", "TARGET-ASSIGNMENT", "UPGRADED"];
    let width = |at: usize| widest(20, cells.iter().map(|cells| cells[at].as_str()));
    let widths = [15, width(1), 15, width(3), 0];
    let count = if is_mixed(group) { 5 } else { 4 };
    let shown = |cells: &[&str]| row(&widths[..count], &cells[..count]);
    let mut table = vec![shown(&titles)];
    table.extend(cells.iter().map(|cells| {
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        shown(&cells)
    }));
    table
}

async fn state(group: &GroupDescription, admin: &Admin, is_verbose: bool) -> Result<(), ToolError> {
    if !is_shown(group, 1)? {
        return Ok(());
    }
    let nodes = admin.nodes().await?;
    let node = nodes.iter().find(|node| node.id == group.coordinator);
    let address =
        node.map_or_else(|| NOTHING.to_owned(), |node| format!("{}:{}", node.host, node.port));
    let coordinator = format!("{address}  ({})", group.coordinator);
    let strategy = if group.assignor.is_empty() { NOTHING } else { &group.assignor };
    let number =
        |epoch: Option<i32>| epoch.map_or_else(|| NOTHING.to_owned(), |epoch| epoch.to_string());
    let (epoch, target) = (group.epochs.map(|(epoch, _)| epoch), group.epochs.map(|(_, to)| to));
    let widths =
        [widest(15, [group.id.as_str()]), widest(25, [coordinator.as_str()]), 20, 20, 15, 25, 0];
    let (epoch, target) = (number(epoch), number(target));
    let members = group.members.len().to_string();
    let titles = [
        "GROUP",
        "COORDINATOR (ID)",
        "ASSIGNMENT-STRATEGY",
        "STATE",
        "GROUP-EPOCH",
        "TARGET-ASSIGNMENT-EPOCH",
        "#MEMBERS",
    ];
    let cells = [&group.id, &coordinator, strategy, &group.state, &epoch, &target, &members];
    let shown = |cells: [&str; 7]| {
        let at: Vec<usize> = (0..7).filter(|at| is_verbose || !(4..6).contains(at)).collect();
        let widths: Vec<usize> = at.iter().map(|at| widths[*at]).collect();
        row(&widths, &at.iter().map(|at| cells[*at]).collect::<Vec<_>>())
    };
    line(&format!("\n{}\n{}", shown(titles), shown(cells)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ottla_client::partition;
    use ottla_types::Offset;

    use super::*;

    fn member(id: &str, partitions: &[i32]) -> GroupMember {
        let assignment: BTreeSet<TopicPartition> =
            partitions.iter().map(|number| partition("orders", *number).unwrap()).collect();
        GroupMember {
            id: id.to_owned(),
            instance: None,
            client_id: "c".to_owned(),
            host: "/127.0.0.1".to_owned(),
            target: Some(assignment.clone()),
            assignment,
            epoch: Some(2),
            is_modern: Some(true),
        }
    }

    fn group(members: Vec<GroupMember>) -> GroupDescription {
        GroupDescription {
            id: "g".to_owned(),
            state: "Stable".to_owned(),
            assignor: "range".to_owned(),
            members,
            coordinator: 1,
            epochs: Some((2, 2)),
        }
    }

    #[test]
    fn offsets_are_shown_with_those_who_read_before_what_nobody_reads() {
        let group = group(vec![member("m1", &[0]), member("m2", &[1, 2])]);
        let at = |offset| CommittedOffset::from(Offset::new(offset));
        let committed = [(0, at(3)), (5, at(7))];
        let committed = committed.map(|(of, at)| (partition("orders", of).unwrap(), at)).into();
        let end = |offset| ListedOffset {
            offset: Offset::new(offset),
            timestamp: None,
            leader_epoch: None,
        };
        let ends = [(0, end(10)), (1, end(0))];
        let ends = ends.map(|(of, end)| (partition("orders", of).unwrap(), end)).into();
        let table = table("g", &rows(&group, &committed, &ends), false);
        let words: Vec<String> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            words,
            [
                "",
                "GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID",
                "g orders 1 - 0 - m2 /127.0.0.1 c",
                "g orders 2 - - - m2 /127.0.0.1 c",
                "g orders 0 3 10 7 m1 /127.0.0.1 c",
                "g orders 5 7 - - - - -",
            ]
        );
        let title = table.lines().nth(1).unwrap();
        assert_eq!(title.find("TOPIC"), Some(16));
        assert_eq!(title.find("CURRENT-OFFSET"), Some(43));
    }

    #[test]
    fn members_are_shown_with_what_they_have() {
        let text = members_table(&group(vec![member("m1", &[0, 2])]), true);
        let words: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            words[1..],
            [
                "GROUP CONSUMER-ID HOST CLIENT-ID #PARTITIONS CURRENT-EPOCH CURRENT-ASSIGNMENT \
                 TARGET-EPOCH TARGET-ASSIGNMENT",
                "g m1 /127.0.0.1 c 2 2 orders:0,2 2 orders:0,2",
            ]
        );
    }
}
