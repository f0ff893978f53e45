//! `kafka-topics`.

use std::collections::BTreeMap;

use ottla_client::{
    Admin, ConfigEntry, ConfigResource, EligibleReplicas, NewTopic, PartitionMetadata,
    TopicMetadata,
};
use ottla_types::{PartitionId, TopicId, TopicName};
use ottla_wire::ErrorCode;

use super::columns::numbers;
use super::flags::{Flag, Given, Grammar, flag, word};
use super::include::Include;
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, complain, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-topics",
    about: "makes, deletes, describes and changes topics.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Phrase {
        words: "Error while executing topic command : ",
        logger: "org.apache.kafka.tools.TopicCommand",
    },
};

static FLAGS: [Flag; 23] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("command-config", "file", "Properties of the client"),
    flag("list", "Lists topics"),
    flag("create", "Makes a topic"),
    flag("delete", "Deletes topics"),
    flag("alter", "Gives topics more partitions"),
    flag("describe", "Shows topics and their partitions"),
    word("topic", "name", "The topic; an expression, but for --create"),
    word("topic-id", "id", "The id of the topic to describe"),
    word("config", "name=value", "A property of the topic to make"),
    word("delete-config", "name", "Has no effect, and none in Kafka since 4.0"),
    word("partitions", "count", "How many partitions there are to be"),
    word("replication-factor", "count", "How many copies of each partition"),
    word("replica-assignment", "1:2,2:1", "The brokers of each partition"),
    flag("under-replicated-partitions", "Describes only those with replicas behind"),
    flag("unavailable-partitions", "Describes only those without a leader that lives"),
    flag("under-min-isr-partitions", "Describes only those below min.insync.replicas"),
    flag("at-min-isr-partitions", "Describes only those at min.insync.replicas"),
    flag("topics-with-overrides", "Describes only topics with properties of their own"),
    flag("if-exists", "Does not mind where there is no such topic"),
    flag("if-not-exists", "Does not mind where there is such a topic"),
    flag("exclude-internal", "Leaves out the topics of Kafka's own"),
    word("partition-size-limit-per-response", "count", "How many partitions to ask for at once"),
];

const ACTIONS: [&str; 5] = ["list", "describe", "create", "alter", "delete"];

const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];

/// Options, the actions that take them, and options that they cannot stand beside.
const TAKEN_BY: [(&str, &[&str], &[&str]); 11] = [
    ("config", &["alter", "create"], &[]),
    ("partitions", &["alter", "create"], &[]),
    ("replication-factor", &["create"], &[]),
    ("replica-assignment", &["alter", "create"], &[]),
    ("under-replicated-partitions", &["describe"], &["topics-with-overrides"]),
    ("under-min-isr-partitions", &["describe"], &["topics-with-overrides"]),
    ("at-min-isr-partitions", &["describe"], &["topics-with-overrides"]),
    ("unavailable-partitions", &["describe"], &["topics-with-overrides"]),
    ("topics-with-overrides", &["describe"], &REPORTS),
    ("if-exists", &["alter", "delete", "describe"], &[]),
    ("if-not-exists", &["create"], &[]),
];

fn check(given: &Given) -> Result<(), ToolError> {
    if ACTIONS.iter().filter(|action| given.has(action)).count() != 1 {
        return Err(ToolError::usage(
            "Command must include exactly one action: --list, --describe, --create, --alter or \
             --delete",
        ));
    }
    if given.has("delete-config") {
        complain("delete-config option is no longer supported and deprecated since version 4.0.");
    }
    if !given.has("bootstrap-server") {
        return Err(Thrown::illegal_argument("--bootstrap-server must be specified").into());
    }
    if given.has("describe")
        && given.has("if-exists")
        && !given.has("topic")
        && !given.has("topic-id")
    {
        return Err(ToolError::usage("--topic or --topic-id is required to describe a topic"));
    }
    if !given.has("list") && !given.has("describe") {
        given.require(&["topic"])?;
    }
    if given.has("alter") {
        if given.has("config") {
            return Err(ToolError::usage(
                "Option combination \"[bootstrap-server],[config]\" can't be used with option \
                 \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)",
            ));
        }
        given.require(&["partitions"])?;
    }
    for (option, takers, beside) in TAKEN_BY {
        let others = ACTIONS.into_iter().filter(|action| !takers.contains(action));
        let excluded: Vec<&str> = others.chain(beside.iter().copied()).collect();
        given.exclude(option, &excluded)?;
    }
    given.exclude("exclude-internal", &["create", "alter", "delete"])?;
    if given.has("create") {
        given.exclude("replica-assignment", &["partitions", "replication-factor"])?;
    }
    Ok(())
}

fn run(given: &Given) -> Result<(), ToolError> {
    check(given)?;
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        if given.has("create") {
            create(given, &admin).await
        } else if given.has("alter") {
            alter(given, &admin).await
        } else if given.has("list") {
            let names = matching(given, &admin).await?;
            let names: Vec<&str> = names.iter().map(TopicName::as_str).collect();
            Ok(line(&names.join("\n"))?)
        } else if given.has("describe") {
            describe(given, &admin).await
        } else {
            delete(given, &admin).await
        }
    })
}

/// The brokers of each partition, from `1:2,2:1`.
fn assignments(text: &str) -> Result<Vec<Vec<i32>>, Thrown> {
    let mut all: Vec<Vec<i32>> = Vec::new();
    for (at, part) in text.split(',').enumerate() {
        let mut nodes = Vec::new();
        for number in part.split(':') {
            let number = number.trim();
            let node = number.parse::<i32>().map_err(|_| {
                let told = format!("For input string: \"{number}\"");
                Thrown::new("java.lang.NumberFormatException", told)
            })?;
            if nodes.contains(&node) {
                return Err(Thrown::new(
                    "org.apache.kafka.tools.AdminCommandFailedException",
                    format!("Partition replica lists may not contain duplicate entries: {node}"),
                ));
            }
            nodes.push(node);
        }
        if all.first().is_some_and(|first| first.len() != nodes.len()) {
            let shown: Vec<String> = nodes.iter().map(i32::to_string).collect();
            return Err(Thrown::new(
                "org.apache.kafka.server.common.AdminOperationException",
                format!("Partition {at} has different replication factor: [{}]", shown.join(", ")),
            ));
        }
        all.push(nodes);
    }
    Ok(all)
}

fn given_assignments(given: &Given) -> Result<Vec<Vec<i32>>, ToolError> {
    let text = given.word("replica-assignment")?.filter(|text| !text.is_empty());
    Ok(text.map_or(Ok(Vec::new()), assignments)?)
}

async fn create(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let name = given.word("topic")?.unwrap_or_default();
    let mut topic = NewTopic::new(name);
    if name.contains(['.', '_']) {
        line(
            "WARNING: Due to limitations in metric names, topics with a period ('.') or \
             underscore ('_') could collide. To avoid issues it is best to use either, but not \
             both.",
        )?;
    }
    let copies = given.number::<i32>("replication-factor")?;
    if copies.is_some_and(|copies| !(1..=i32::from(i16::MAX)).contains(&copies)) {
        let told = "The replication factor must be between 1 and 32767 inclusive";
        return Err(Thrown::illegal_argument(told).into());
    }
    if let Some(copies) = copies {
        topic = topic.replication_factor(i16::try_from(copies).expect("it was checked"));
    }
    if let Some(count) = given.number::<i32>("partitions")? {
        if count < 1 {
            let told = "The partitions must be greater than 0";
            return Err(Thrown::illegal_argument(told).into());
        }
        topic = topic.partitions(count);
    }
    for pair in given.words("config") {
        let (name, value) =
            pair.split_once('=').filter(|(_, value)| !value.is_empty()).ok_or_else(|| {
                Thrown::illegal_argument(
                    "requirement failed: Invalid topic config: all configs to be added must be in \
                     the format \"key=val\".",
                )
            })?;
        topic = topic.config(name.trim(), value.trim());
    }
    let topic = topic.assignments(given_assignments(given)?);
    match admin.create_topic(topic).await {
        Ok(_) => Ok(line(&format!("Created topic {name}."))?),
        Err(error)
            if error.code() == Some(ErrorCode::TopicAlreadyExists)
                && given.has("if-not-exists") =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The topics that were named, in order of their names.
async fn matching(given: &Given, admin: &Admin) -> Result<Vec<TopicName>, ToolError> {
    let include = Include::parse(given.word("topic")?.unwrap_or(".*"))?;
    let all = admin.list_topics().await?.into_keys();
    Ok(include.pick(all, given.has("exclude-internal")))
}

/// As [`matching`], and at least one.
async fn existing(given: &Given, admin: &Admin) -> Result<Vec<TopicName>, ToolError> {
    let names = matching(given, admin).await?;
    let named = given.word("topic")?.filter(|name| !name.is_empty());
    match named {
        Some(named) if names.is_empty() && !given.has("if-exists") => {
            let told = format!("Topic '{named}' does not exist as expected");
            Err(Thrown::illegal_argument(told).into())
        }
        Some(_) | None => Ok(names),
    }
}

async fn alter(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let assignments = given_assignments(given)?;
    let count = given.number::<i32>("partitions")?.expect("it was required");
    for name in existing(given, admin).await? {
        if assignments.is_empty() {
            admin.create_partitions(&name, count).await?;
            continue;
        }
        let before = admin.describe_topic(&name).await?.partitions.len();
        let new = assignments.get(before..).unwrap_or_default();
        admin.create_partitions_at(&name, count, Some(new)).await?;
    }
    Ok(())
}

async fn delete(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    for name in existing(given, admin).await? {
        admin.delete_topic(&name).await?;
    }
    Ok(())
}

/// The topics to describe: by the id that was named, or by their names.
async fn described(
    given: &Given,
    admin: &Admin,
) -> Result<BTreeMap<TopicName, TopicMetadata>, ToolError> {
    let mut all = admin.list_topics().await?;
    let id: Option<TopicId> = match given.word("topic-id")? {
        Some(id) => Some(id.parse().map_err(|_| {
            Thrown::illegal_argument(format!(
                "Input string `{id}` decoded as 0 bytes, which is not equal to the expected 16 \
                 bytes of a base64-encoded UUID"
            ))
        })?),
        None => None,
    };
    if let Some(id) = id.filter(|id| *id != TopicId::ZERO) {
        all.retain(|_, topic| topic.id == id);
        if all.is_empty() && !given.has("if-exists") {
            let told = format!("TopicId '{id}' does not exist as expected");
            return Err(Thrown::illegal_argument(told).into());
        }
        return Ok(all);
    }
    let names = existing(given, admin).await?;
    all.retain(|name, _| names.contains(name));
    Ok(all)
}

async fn describe(given: &Given, admin: &Admin) -> Result<(), ToolError> {
    let live: Vec<i32> = admin.nodes().await?.into_iter().map(|node| node.id).collect();
    let reports = REPORTS.iter().any(|report| given.has(report));
    let per_page = given.number("partition-size-limit-per-response")?.unwrap_or(2_000);
    for (name, topic) in described(given, admin).await? {
        let configs = admin.describe_configs(&ConfigResource::Topic(name.clone())).await?;
        let set: Vec<&ConfigEntry> = configs.iter().filter(|entry| !entry.is_default).collect();
        if !reports && (!given.has("topics-with-overrides") || !set.is_empty()) {
            line(&title(&name, &topic, &set))?;
        }
        if given.has("topics-with-overrides") {
            continue;
        }
        let eligible = match admin.eligible_replicas(&name, per_page).await {
            Ok(eligible) => eligible,
            // Clusters before Kafka 3.7 cannot tell.
            Err(error) if error.code().is_none() => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        for partition in &topic.partitions {
            if !reports || is_reported(given, partition, &live, &configs) {
                line(&shown(&name, partition, &eligible))?;
            }
        }
    }
    Ok(())
}

fn title(name: &TopicName, topic: &TopicMetadata, set: &[&ConfigEntry]) -> String {
    let shown = |entry: &&ConfigEntry| {
        format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null"))
    };
    let set: Vec<String> = set.iter().map(shown).collect();
    let copies = topic.partitions.first().map_or(0, |first| first.replicas.len());
    format!(
        "Topic: {name}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {copies}\tConfigs: {}",
        topic.id,
        topic.partitions.len(),
        set.join(",")
    )
}

fn shown(
    name: &TopicName,
    partition: &PartitionMetadata,
    eligible: &BTreeMap<PartitionId, EligibleReplicas>,
) -> String {
    let eligible = eligible.get(&partition.id);
    let listed =
        |nodes: Option<&Vec<i32>>| nodes.map_or_else(|| "N/A".to_owned(), |nodes| numbers(nodes));
    format!(
        "\tTopic: {name}\tPartition: {}\tLeader: {}\tReplicas: {}\tIsr: {}\tElr: {}\t\
         LastKnownElr: {}",
        partition.id,
        partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
        numbers(&partition.replicas),
        numbers(&partition.isr),
        listed(eligible.and_then(|each| each.eligible.as_ref())),
        listed(eligible.and_then(|each| each.last_known.as_ref())),
    )
}

fn is_reported(
    given: &Given,
    partition: &PartitionMetadata,
    live: &[i32],
    configs: &[ConfigEntry],
) -> bool {
    let least = configs.iter().find(|entry| entry.name == "min.insync.replicas");
    let least: usize = least.and_then(|entry| entry.value.as_deref()?.parse().ok()).unwrap_or(1);
    let in_sync = partition.isr.len();
    let reports = [
        in_sync < partition.replicas.len(),
        partition.leader.is_none() || in_sync < least,
        in_sync == least,
        !partition.leader.is_some_and(|leader| live.contains(&leader)),
    ];
    REPORTS.iter().zip(reports).any(|(report, holds)| given.has(report) && holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_their_mistakes_told() {
        assert_eq!(assignments("1:2,2:1"), Ok(vec![vec![1, 2], vec![2, 1]]));
        assert_eq!(assignments("1, 2"), Ok(vec![vec![1], vec![2]]));
        let told = |text: &str| assignments(text).unwrap_err().message;
        assert_eq!(told("1:1"), "Partition replica lists may not contain duplicate entries: 1");
        assert_eq!(told("1:2,3"), "Partition 1 has different replication factor: [3]");
        assert_eq!(told("x"), "For input string: \"x\"");
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let told = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let given = TOOL.grammar.read(&words).unwrap();
            match check(&given) {
                Ok(()) => "fine".to_owned(),
                Err(ToolError::Usage(told)) => told,
                Err(ToolError::Thrown(thrown)) => thrown.message,
                Err(other) => format!("{other:?}"),
            }
        };
        assert_eq!(told("--list --bootstrap-server x"), "fine");
        assert_eq!(told("--list"), "--bootstrap-server must be specified");
        assert!(told("--list --create").starts_with("Command must include exactly one action"));
        assert_eq!(told("--create --bootstrap-server x"), "Missing required argument \"[topic]\"");
        assert_eq!(
            told("--alter --topic t --bootstrap-server x"),
            "Missing required argument \"[partitions]\""
        );
        assert_eq!(
            told("--list --partitions 3 --bootstrap-server x"),
            "Option \"[partitions]\" can't be used with option \"[list]\""
        );
    }
}
