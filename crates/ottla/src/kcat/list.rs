//! kcat's lists: what a cluster has (`-L`), and which offsets times have (`-Q`).

use std::io::Write as _;
use std::process::ExitCode;

use ottla_client::{Node, OffsetSpec, PartitionMetadata, TopicMetadata, partition};
use ottla_types::{Timestamp, TopicName, TopicPartition};

use super::options::Options;
use crate::failure::Failure;
use crate::json::Json;
use crate::reach::{self, Reach, Session};

/// What there is to list.
struct Cluster {
    controller: Option<i32>,
    nodes: Vec<Node>,
    topics: Vec<(TopicName, TopicMetadata)>,
    /// One was asked for.
    asked: Option<TopicName>,
}

pub(super) fn topics(options: &Options, reach: &Reach) -> ExitCode {
    reach::run(reach, async |session| {
        let cluster = cluster(options, session).await?;
        let text = if options.is_json { cluster.as_json() } else { cluster.as_text() };
        Ok(write!(std::io::stdout(), "{text}")?)
    })
}

async fn cluster(options: &Options, session: &Session) -> Result<Cluster, Failure> {
    let admin = session.admin();
    let controller = admin.describe_cluster().await?.controller;
    let mut nodes = admin.nodes().await?;
    nodes.sort_by_key(|node| node.id);
    let asked = options.topics.last().map(|name| TopicName::parse(name)).transpose()?;
    let topics = match &asked {
        Some(name) => vec![(name.clone(), crate::topic::known(&admin, name).await?)],
        None => admin.list_topics().await?.into_iter().collect(),
    };
    Ok(Cluster { controller, nodes, topics, asked })
}

impl Cluster {
    /// Who answered: any broker knows it, and the controller as well as any.
    fn teller(&self) -> Option<(i32, String)> {
        let teller = self.nodes.iter().find(|node| Some(node.id) == self.controller);
        let teller = teller.or_else(|| self.nodes.first())?;
        Some((teller.id, format!("{}:{}/{}", teller.host, teller.port, teller.id)))
    }

    fn as_text(&self) -> String {
        let of = self.asked.as_ref().map_or("all topics", TopicName::as_str);
        let (id, name) = self.teller().unwrap_or((-1, String::new()));
        let mut lines = vec![
            format!("Metadata for {of} (from broker {id}: {name}):"),
            format!(" {} brokers:", self.nodes.len()),
        ];
        for Node { id, host, port, .. } in &self.nodes {
            let role = if Some(*id) == self.controller { " (controller)" } else { "" };
            lines.push(format!("  broker {id} at {host}:{port}{role}"));
        }
        lines.push(format!(" {} topics:", self.topics.len()));
        for (name, topic) in &self.topics {
            let count = topic.partitions.len();
            lines.push(format!("  topic \"{name}\" with {count} partitions:"));
            lines.extend(topic.partitions.iter().map(partition_line));
        }
        lines.join("\n") + "\n"
    }

    fn as_json(&self) -> String {
        let number = |number: i32| Json::Number(number.into());
        let ids = |ids: &[i32]| {
            Json::List(ids.iter().map(|id| Json::Object(vec![("id", number(*id))])).collect())
        };
        let partition = |it: &PartitionMetadata| {
            Json::Object(vec![
                ("partition", number(it.id.get())),
                ("leader", number(it.leader.unwrap_or(-1))),
                ("replicas", ids(&it.replicas)),
                ("isrs", ids(&it.isr)),
            ])
        };
        let topic = |(name, topic): &(TopicName, TopicMetadata)| {
            let partitions = topic.partitions.iter().map(partition).collect();
            Json::Object(vec![
                ("topic", Json::text(name.as_str())),
                ("partitions", Json::List(partitions)),
            ])
        };
        let broker = |node: &Node| {
            let name = Json::Text(format!("{}:{}", node.host, node.port));
            Json::Object(vec![("id", number(node.id)), ("name", name)])
        };
        let (id, name) = self.teller().unwrap_or((-1, String::new()));
        let teller = Json::Object(vec![("id", number(id)), ("name", Json::Text(name))]);
        let asked = self.asked.as_ref().map_or("*", TopicName::as_str);
        let document = Json::Object(vec![
            ("originating_broker", teller),
            ("query", Json::Object(vec![("topic", Json::text(asked))])),
            ("controllerid", number(self.controller.unwrap_or(-1))),
            ("brokers", Json::List(self.nodes.iter().map(broker).collect())),
            ("topics", Json::List(self.topics.iter().map(topic).collect())),
        ]);
        document.to_string()
    }
}

fn partition_line(it: &PartitionMetadata) -> String {
    let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
    let (id, leader) = (it.id, it.leader.unwrap_or(-1));
    let (replicas, isrs) = (list(&it.replicas), list(&it.isr));
    format!("    partition {id}, leader {leader}, replicas: {replicas}, isrs: {isrs}")
}

/// `TOPIC:PARTITION:TIME` in milliseconds; -1 and -2 are the end and the beginning.
fn asked(text: &str) -> Result<(TopicPartition, OffsetSpec), Failure> {
    let wrong = || Failure::told(format!("-Q -t {text}: it takes TOPIC:PARTITION:MILLISECONDS"));
    let mut parts = text.rsplitn(3, ':');
    let (time, number) = (parts.next(), parts.next());
    let time: i64 = time.and_then(|time| time.parse().ok()).ok_or_else(wrong)?;
    let number: i32 = number.and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let topic = parts.next().ok_or_else(wrong)?;
    let spec = match time {
        -1 => OffsetSpec::Latest,
        -2 => OffsetSpec::Earliest,
        0.. => OffsetSpec::AtOrAfter(Timestamp::from_millis(time)),
        _ => return Err(wrong()),
    };
    Ok((partition(topic, number)?, spec))
}

pub(super) fn offsets(options: &Options, reach: &Reach) -> Result<ExitCode, Failure> {
    let asked: Vec<_> = options.topics.iter().map(|text| asked(text)).collect::<Result<_, _>>()?;
    Ok(reach::run(reach, async |session| {
        for (of, spec) in &asked {
            let found = session.admin().list_offsets(std::slice::from_ref(of), *spec).await?;
            let offset = found.get(of).map_or(-1, |found| found.offset.get());
            writeln!(std::io::stdout(), "{} [{}] offset {offset}", of.topic, of.partition)?;
        }
        Ok(())
    }))
}
