//! `kafka-get-offsets`.

use ottla_client::OffsetSpec;
use ottla_types::{PartitionId, Timestamp, TopicPartition};

use super::console_producer::validate_servers;
use super::flags::{Flag, Given, Grammar, flag, word};
use super::include::{Include, is_internal};
use super::settings::Settings;
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, complain, line, talk};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-get-offsets",
    about: "shows offsets of partitions: the first, the last, or those of a time.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Behind("Error occurred: "),
};

static FLAGS: [Flag; 7] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("topic-partitions", "list", "Topics with partitions: one:0,two:1-3,three:5-,four:-3"),
    word("topic", "expression", "The topics"),
    word("partitions", "list", "The partitions of each"),
    word("time", "time", "Milliseconds, or latest, earliest, max-timestamp, ..."),
    word("command-config", "file", "Properties of the client"),
    flag("exclude-internal-topics", "Leaves out the topics of Kafka's own"),
];

/// Partitions of topics whose names fit.
struct Rule {
    topics: Include,
    partitions: Partitions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Partitions {
    All,
    These(Vec<i32>),
    /// From the first one on, up to the last one and without it.
    Range(i32, i32),
}

impl Partitions {
    fn holds(&self, partition: PartitionId) -> bool {
        let number = partition.get();
        match self {
            Self::All => true,
            Self::These(all) => all.contains(&number),
            Self::Range(from, to) => (*from..*to).contains(&number),
        }
    }

    /// `3`, `1-3`, `1-`, `-3`, or nothing.
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str, usual| match text {
            "" => Some(usual),
            text if text.bytes().all(|digit| digit.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        match text.split_once('-') {
            Some((from, to)) => Some(Self::Range(number(from, 0)?, number(to, i32::MAX)?)),
            None if text.is_empty() => Some(Self::All),
            None => Some(Self::These(vec![number(text, 0)?])),
        }
    }
}

fn rules(given: &Given) -> Result<Vec<Rule>, ToolError> {
    let (topic, partitions) = (given.word("topic")?, given.word("partitions")?);
    let Some(list) = given.word("topic-partitions")? else {
        let numbers = partitions.filter(|list| !list.is_empty()).map(|list| {
            let numbers: Option<Vec<i32>> =
                list.split(',').map(|number| number.parse().ok()).collect();
            numbers.ok_or_else(|| {
                ToolError::terse(format!(
                    "--partitions expects a comma separated list of numeric partition ids, but \
                     received: {list}"
                ))
            })
        });
        let partitions = numbers.transpose()?.map_or(Partitions::All, Partitions::These);
        return Ok(vec![Rule { topics: Include::parse(topic.unwrap_or(".*"))?, partitions }]);
    };
    if topic.is_some() || partitions.is_some() {
        let told = "--topic-partitions cannot be used with --topic or --partitions";
        return Err(ToolError::terse(told));
    }
    let rule = |text: &str| {
        let (topics, partitions) = text.split_once(':').unwrap_or((text, ""));
        let partitions = Partitions::parse(partitions)
            .ok_or_else(|| ToolError::terse(format!("Invalid rule specification: {text}")))?;
        let topics = if topics.is_empty() { ".*" } else { topics };
        Ok(Rule { topics: Include::parse(topics)?, partitions })
    };
    list.split(',').map(rule).collect()
}

const TIMES: [(&str, i64, OffsetSpec); 6] = [
    ("latest", -1, OffsetSpec::Latest),
    ("earliest", -2, OffsetSpec::Earliest),
    ("max-timestamp", -3, OffsetSpec::MaxTimestamp),
    ("earliest-local", -4, OffsetSpec::EarliestLocal),
    ("latest-tiered", -5, OffsetSpec::LatestTiered),
    ("earliest-pending-upload", -6, OffsetSpec::EarliestPendingUpload),
];

fn spec(time: &str) -> Result<OffsetSpec, ToolError> {
    if let Some((_, _, spec)) = TIMES.iter().find(|(name, _, _)| *name == time) {
        return Ok(*spec);
    }
    let Ok(number) = time.parse::<i64>() else {
        return Err(ToolError::terse(format!(
            "Malformed time argument {time}. Please use -1 or latest / -2 or earliest / -3 or \
             max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or \
             earliest-pending-upload, or a specified long format timestamp"
        )));
    };
    let named = TIMES.iter().find(|(_, named, _)| *named == number);
    Ok(named.map_or_else(
        || OffsetSpec::AtOrAfter(Timestamp::from_millis(number)),
        |(_, _, spec)| *spec,
    ))
}

fn run(given: &Given) -> Result<(), ToolError> {
    given.require(&["bootstrap-server"])?;
    validate_servers(given.word("bootstrap-server")?)?;
    let (rules, spec) = (rules(given)?, spec(given.word("time")?.unwrap_or("latest"))?);
    talk(&Settings::of_admin(given)?, async |session, _| {
        let admin = session.admin();
        let mut chosen: Vec<TopicPartition> = Vec::new();
        for (name, topic) in admin.list_topics().await? {
            if given.has("exclude-internal-topics") && is_internal(name.as_str()) {
                continue;
            }
            let fits = |id| {
                let holds =
                    |rule: &Rule| rule.topics.fits(name.as_str()) && rule.partitions.holds(id);
                rules.iter().any(holds)
            };
            let ids = topic.partitions.iter().map(|each| each.id).filter(|id| fits(*id));
            chosen.extend(ids.map(|id| TopicPartition { topic: name.clone(), partition: id }));
        }
        if chosen.is_empty() {
            let told = "Could not match any topic-partitions with the specified filters";
            return Err(ToolError::terse(told));
        }
        chosen.sort_by_key(ToString::to_string);
        let found = match admin.list_offsets(&chosen, spec).await {
            Ok(found) => found,
            // One that cannot tell must not hide the others.
            Err(_) => {
                let mut found = std::collections::BTreeMap::new();
                for of in &chosen {
                    match admin.list_offset(of, spec).await {
                        Ok(at) => found.extend(at.map(|at| (of.clone(), at))),
                        Err(error) => {
                            let thrown = Thrown::from(error);
                            complain(&format!(
                                "Skip getting offsets for topic-partition {of} due to error: {thrown}"
                            ));
                        }
                    }
                }
                found
            }
        };
        for of in &chosen {
            if let Some(at) = found.get(of) {
                line(&format!("{}:{}:{}", of.topic, of.partition, at.offset))?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbers_and_ranges() {
        for (text, expected) in [
            ("", Some(Partitions::All)),
            ("3", Some(Partitions::These(vec![3]))),
            ("1-3", Some(Partitions::Range(1, 3))),
            ("1-", Some(Partitions::Range(1, i32::MAX))),
            ("-3", Some(Partitions::Range(0, 3))),
            ("x", None),
            ("1-x", None),
            ("+1", None),
        ] {
            assert_eq!(Partitions::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn times_are_words_or_milliseconds() {
        assert_eq!(spec("latest").unwrap(), OffsetSpec::Latest);
        assert_eq!(spec("-2").unwrap(), OffsetSpec::Earliest);
        assert_eq!(spec("5").unwrap(), OffsetSpec::AtOrAfter(Timestamp::from_millis(5)));
        assert!(spec("soon").is_err());
    }
}
