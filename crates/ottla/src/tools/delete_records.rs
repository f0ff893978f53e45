//! `kafka-delete-records`.

use std::collections::BTreeMap;

use ottla_types::{Offset, PartitionId, TopicName, TopicPartition};

use super::flags::{Flag, Given, Grammar, word};
use super::json_file::Value;
use super::settings::{Settings, read_file};
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-delete-records",
    about: "deletes the records of partitions below an offset.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 3] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("offset-json-file", "file", "The partitions and their offsets; required"),
    word("command-config", "file", "Properties of the client"),
];

/// Stands for the end of a partition.
const END: i64 = -1;

fn wrong(told: &str) -> Thrown {
    Thrown::new("org.apache.kafka.server.common.AdminOperationException", told)
}

/// The offset of each partition: `None` for all of its records.
fn plan(text: &str) -> Result<BTreeMap<TopicPartition, Option<Offset>>, Thrown> {
    let json = Value::parse(text).ok_or_else(|| wrong("The input string is not a valid JSON"))?;
    match json.field("version").map_or(Some(1), Value::number) {
        Some(1) => {}
        version => {
            let version = version.map_or_else(|| "null".to_owned(), |version| version.to_string());
            return Err(wrong(&format!("Not supported version field value {version}")));
        }
    }
    let listed = json.field("partitions").and_then(Value::list);
    let listed = listed.ok_or_else(|| wrong("Missing partitions field"))?;
    let (mut plan, mut twice) = (BTreeMap::new(), Vec::new());
    for each in listed {
        let read = || {
            let topic = TopicName::parse(each.field("topic")?.text()?).ok()?;
            let partition = i32::try_from(each.field("partition")?.number()?).ok()?;
            let partition = PartitionId::from_wire(partition)?;
            Some((TopicPartition { topic, partition }, each.field("offset")?.number()?))
        };
        let (of, offset) = read().ok_or_else(|| {
            let told = "a partition needs a topic, a partition and an offset";
            Thrown::new("com.fasterxml.jackson.databind.JsonMappingException", told)
        })?;
        let offset = match offset {
            END => None,
            offset => Some(Offset::from_wire(offset).ok_or_else(|| {
                Thrown::new("java.lang.IllegalArgumentException", format!("{of}: {offset}"))
            })?),
        };
        if plan.insert(of.clone(), offset).is_some() {
            twice.push(of.to_string());
        }
    }
    match twice.as_slice() {
        [] => Ok(plan),
        twice => Err(Thrown::new(
            "org.apache.kafka.tools.AdminCommandFailedException",
            format!("Offset json file contains duplicate topic partitions: {}", twice.join(",")),
        )),
    }
}

fn run(given: &Given) -> Result<(), ToolError> {
    given.require(&["bootstrap-server", "offset-json-file"])?;
    let plan = plan(&read_file(given.word("offset-json-file")?.unwrap_or_default())?)?;
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        line("Executing records delete operation")?;
        line("Records delete operation completed:")?;
        for (of, before) in &plan {
            let deleted = match before {
                Some(before) => admin.delete_records(of, *before).await,
                None => admin.delete_all_records(of).await,
            };
            line(&match deleted {
                Ok(start) => format!("partition: {of}\tlow_watermark: {start}"),
                Err(error) => format!("partition: {of}\terror: {}", Thrown::from(error)),
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_partitions_and_offsets() {
        let told = |text: &str| match plan(text) {
            Ok(plan) => plan
                .into_iter()
                .map(|(of, to)| {
                    format!("{of}@{}", to.map_or_else(|| "end".to_owned(), |to| to.to_string()))
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(thrown) => thrown.message,
        };
        let one = r#"{"topic": "cut", "partition": 0, "offset": 1}"#;
        let end = r#"{"topic": "cut", "partition": 1, "offset": -1}"#;
        assert_eq!(told(&format!("{{\"partitions\": [{one}, {end}]}}")), "cut-0@1 cut-1@end");
        assert_eq!(
            told(&format!("{{\"partitions\": [{one}, {one}]}}")),
            "Offset json file contains duplicate topic partitions: cut-0"
        );
        assert_eq!(told("{}"), "Missing partitions field");
        assert_eq!(told("nonsense"), "The input string is not a valid JSON");
        let second = r#"{"partitions": [], "version": 2}"#;
        assert_eq!(told(second), "Not supported version field value 2");
    }
}
