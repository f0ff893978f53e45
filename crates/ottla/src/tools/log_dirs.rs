//! `kafka-log-dirs`.

use std::collections::BTreeSet;

use ottla_client::LogDirDescription;

use super::flags::{Flag, Given, Grammar, flag, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};
use crate::json::Json;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-log-dirs",
    about: "shows the log directories of brokers, and how large the partitions in them are.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 5] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("command-config", "file", "Properties of the client"),
    flag("describe", "Shows the directories; required"),
    word("topic-list", "a,b", "These topics only"),
    word("broker-list", "1,2", "These brokers only"),
];

fn listed(text: Option<&str>) -> Vec<&str> {
    text.unwrap_or_default().split(',').filter(|part| !part.is_empty()).collect()
}

fn run(given: &Given) -> Result<(), ToolError> {
    given.require(&["bootstrap-server", "describe"])?;
    let topics = listed(given.word("topic-list")?);
    let mut wanted: BTreeSet<i32> = BTreeSet::new();
    for number in listed(given.word("broker-list")?) {
        wanted.insert(number.parse().map_err(|_| {
            let told = format!("For input string: \"{number}\"");
            Thrown::new("java.lang.NumberFormatException", told)
        })?);
    }
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        let known: BTreeSet<i32> = admin.nodes().await?.into_iter().map(|node| node.id).collect();
        let shown = |ids: &mut dyn Iterator<Item = &i32>| {
            ids.map(i32::to_string).collect::<Vec<_>>().join(",")
        };
        if !wanted.is_subset(&known) {
            return Err(ToolError::terse(format!(
                "ERROR: The given brokers do not exist from --broker-list: {}. Current existent \
                 brokers: {}",
                shown(&mut wanted.difference(&known)),
                shown(&mut known.iter())
            )));
        }
        let brokers = if wanted.is_empty() { &known } else { &wanted };
        line("Querying brokers for log directories information")?;
        let dirs = admin.log_dirs().await?;
        let told = shown(&mut brokers.iter());
        line(&format!("Received log directory information from brokers {told}"))?;
        Ok(line(&document(brokers, &dirs, &topics).to_string())?)
    })
}

fn document(brokers: &BTreeSet<i32>, dirs: &[LogDirDescription], topics: &[&str]) -> Json {
    let of_broker = |broker: &i32| {
        let ours = dirs.iter().filter(|dir| dir.broker == *broker);
        Json::Object(vec![
            ("broker", Json::Number(i64::from(*broker))),
            ("logDirs", Json::List(ours.map(|dir| of_dir(dir, topics)).collect())),
        ])
    };
    Json::Object(vec![
        ("brokers", Json::List(brokers.iter().map(of_broker).collect())),
        ("version", Json::Number(1)),
    ])
}

fn of_dir(dir: &LogDirDescription, topics: &[&str]) -> Json {
    let wanted = dir
        .replicas
        .iter()
        .filter(|(of, _)| topics.is_empty() || topics.contains(&of.topic.as_str()));
    let replicas = wanted.map(|(of, bytes)| {
        Json::Object(vec![
            ("partition", Json::text(of.to_string())),
            ("size", Json::count(*bytes)),
            ("offsetLag", Json::Number(dir.lags.get(of).copied().unwrap_or(0))),
            ("isFuture", Json::Bool(false)),
        ])
    });
    let error = dir.error.as_ref().map(|error| Json::text(Thrown::from(error).class));
    Json::Object(vec![
        ("partitions", Json::List(replicas.collect())),
        ("error", error.unwrap_or(Json::Null)),
        ("logDir", Json::text(dir.path.clone())),
    ])
}

#[cfg(test)]
mod tests {
    use ottla_client::partition;

    use super::*;

    #[test]
    fn directories_are_a_document_as_kafkas_tool_writes_it() {
        let of = partition("sized", 0).unwrap();
        let dir = LogDirDescription {
            broker: 1,
            path: "/data".to_owned(),
            bytes_total: None,
            bytes_usable: None,
            replicas: [(of.clone(), 69)].into(),
            lags: [(of, 0)].into(),
            error: None,
        };
        let told = document(&BTreeSet::from([1]), &[dir], &["sized"]).to_string();
        assert_eq!(
            told,
            r#"{"brokers":[{"broker":1,"logDirs":[{"partitions":[{"partition":"sized-0","size":69,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/data"}]}],"version":1}"#
        );
    }
}
