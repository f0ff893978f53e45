//! `kafka-groups`.

use ottla_client::GroupListing;

use super::columns::{left, widest};
use super::consumer_groups::capital;
use super::flags::{Flag, Given, Grammar, flag, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, put, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-groups",
    about: "lists groups of all types.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Phrase {
        words: "Error while executing groups command : ",
        logger: "org.apache.kafka.tools.GroupsCommand",
    },
};

static FLAGS: [Flag; 8] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("command-config", "file", "Properties of the client"),
    flag("list", "Lists groups"),
    word("group-type", "type", "Those of a type: classic, consumer, share or streams"),
    word("protocol", "protocol", "Those of a protocol, as consumer or connect"),
    flag("consumer", "All groups of consumers, whatever their type"),
    flag("share", "Share groups"),
    flag("streams", "Streams groups"),
];

const TYPES: [&str; 4] = ["classic", "consumer", "share", "streams"];

fn run(given: &Given) -> Result<(), ToolError> {
    if !given.has("bootstrap-server") {
        return Err(ToolError::usage("Missing required option(s) [bootstrap-server]"));
    }
    if !given.has("list") {
        return Err(ToolError::usage("Command must include exactly one action: --list."));
    }
    let kind = given.word("group-type")?.map(str::to_ascii_lowercase);
    if kind.as_deref().is_some_and(|kind| !TYPES.contains(&kind)) {
        let told = "--group-type must be a valid group type.";
        return Err(Thrown::illegal_argument(told).into());
    }
    given.exclude("consumer", &["group-type", "protocol", "share", "streams"])?;
    given.exclude("share", &["consumer", "group-type", "protocol", "streams"])?;
    given.exclude("streams", &["consumer", "group-type", "protocol", "share"])?;
    let protocol = given.word("protocol")?;
    talk(&Settings::of_admin(given)?, async |session, _| {
        let mut groups = session.admin().list_groups().await?;
        groups.retain(|group| fits(given, group, (kind.as_deref(), protocol)));
        Ok(put(&table(&groups))?)
    })
}

fn fits(
    given: &Given,
    group: &GroupListing,
    (kind, protocol): (Option<&str>, Option<&str>),
) -> bool {
    let is = |kind: &str| group.kind.eq_ignore_ascii_case(kind);
    match (kind, protocol) {
        (Some(kind), protocol) => {
            is(kind) && protocol.is_none_or(|protocol| group.protocol_type == protocol)
        }
        (None, Some(protocol)) => group.protocol_type == protocol,
        (None, None) if given.has("consumer") => {
            matches!(group.protocol_type.as_str(), "consumer" | "") || is("consumer")
        }
        (None, None) if given.has("share") => is("share"),
        (None, None) if given.has("streams") => is("streams"),
        (None, None) => true,
    }
}

fn table(groups: &[GroupListing]) -> String {
    let cells: Vec<[String; 3]> = groups
        .iter()
        .map(|group| [group.id.clone(), capital(&group.kind), group.protocol_type.clone()])
        .collect();
    let width = widest(20, cells.iter().flatten().map(String::as_str));
    let titles = ["GROUP", "TYPE", "PROTOCOL"].map(|title| left(title, width));
    let mut text = format!("{}\n", titles.join(" "));
    for row in cells {
        for cell in row {
            text.push_str(&format!("{} ", left(&cell, width)));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_chosen_by_type_protocol_or_both() {
        let group = |kind: &str, protocol: &str| GroupListing {
            id: format!("{kind}-{protocol}"),
            protocol_type: protocol.to_owned(),
            state: "Empty".to_owned(),
            kind: kind.to_owned(),
        };
        let all = [
            group("classic", "consumer"),
            group("consumer", "consumer"),
            group("classic", "connect"),
        ];
        let chosen = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let given = TOOL.grammar.read(&words).unwrap();
            let options = (given.word("group-type").unwrap(), given.word("protocol").unwrap());
            let fitting = all.iter().filter(|group| fits(&given, group, options));
            fitting.map(|group| group.id.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chosen("--list"), "classic-consumer consumer-consumer classic-connect");
        assert_eq!(chosen("--list --group-type classic"), "classic-consumer classic-connect");
        assert_eq!(chosen("--list --group-type classic --protocol connect"), "classic-connect");
        assert_eq!(chosen("--list --consumer"), "classic-consumer consumer-consumer");
        assert_eq!(chosen("--list --share"), "");
    }

    #[test]
    fn columns_are_twenty_wide() {
        assert_eq!(table(&[]), "GROUP                TYPE                 PROTOCOL            \n");
    }
}
