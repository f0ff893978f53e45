//! `kafka-verifiable-consumer`: what Kafka's system tests drive, line by line in JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_client::{
    Assignor, CommittedOffset, Consumer, ConsumerRecord, GroupProtocol, OffsetReset, Rebalance,
};
use ottla_env::Mailbox;
use ottla_runtime::stop_requested;
use ottla_types::{Offset, TopicPartition};

use super::flags::{Flag, Given, Grammar, OptionError, flag, word};
use super::settings::Settings;
use super::thrown::Thrown;
use super::verifiable_producer::event;
use super::{Manner, Tool, ToolError, line, log, talk};
use crate::json::Json;
use crate::reach::{First, Session, first};

pub(super) static TOOL: Tool = Tool {
    name: "kafka-verifiable-consumer",
    about: "reads as a member of a group, and says what it is given and what it commits.",
    grammar: Grammar::Commands { shared: &FLAGS, commands: &[] },
    run,
    manner: Manner::Traced,
};

static FLAGS: [Flag; 14] = [
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("topic", "topic", "The topic; required"),
    word("group-protocol", "protocol", "classic or consumer"),
    word("group-remote-assignor", "name", "How the coordinator shares out"),
    word("group-id", "group", "The group; required"),
    word("group-instance-id", "name", "A name that outlives the process"),
    word("max-messages", "count", "How many to read; -1, the default, until it is stopped"),
    word("session-timeout", "ms", "How long the group waits for a silent member"),
    flag("verbose", "Shows each record"),
    flag("enable-autocommit", "Commits now and then instead of after each poll"),
    word("reset-policy", "place", "earliest, latest or none"),
    word("assignment-strategy", "class", "Kafka's RangeAssignor, RoundRobinAssignor, ..."),
    word("consumer.config", "file", "As --command-config; deprecated"),
    word("command-config", "file", "Properties of the client"),
];

/// Kafka's assignors, by the last part of their classes.
const ASSIGNORS: [(&str, Assignor); 4] = [
    ("RangeAssignor", Assignor::Range),
    ("RoundRobinAssignor", Assignor::RoundRobin),
    ("StickyAssignor", Assignor::Sticky),
    ("CooperativeStickyAssignor", Assignor::CooperativeSticky),
];

/// News of the group that may wait to be told: a handful in each poll.
const NEWS_MAX: usize = 1_024;

fn settings(given: &Given) -> Result<Settings, ToolError> {
    for option in ["bootstrap-server", "topic", "group-id"] {
        given.demand(option)?;
    }
    if given.has("consumer.config") && given.has("command-config") {
        let told = "Options --consumer.config and --command-config are mutually exclusive.";
        return Err(OptionError::argument(told).into());
    }
    if given.has("consumer.config") {
        line(
            "Option --consumer.config has been deprecated and will be removed in a future \
             version. Use --command-config instead.",
        )?;
    }
    let files: &[&str] = &["consumer.config", "command-config"];
    let own = ["group.id", "auto.offset.reset", "enable.auto.commit", "max.poll.records"];
    let mut settings = Settings::default().read(given, (files, &[]), &own)?;
    settings.bootstrap(given)?;
    for (option, property) in [
        ("group-protocol", "group.protocol"),
        ("group-instance-id", "group.instance.id"),
        ("session-timeout", "session.timeout.ms"),
    ] {
        if let Some(value) = given.word(option)? {
            settings.set(property, value)?;
        }
    }
    Ok(settings)
}

fn run(given: &Given) -> Result<(), ToolError> {
    let settings = settings(given)?;
    let count = given.number::<i64>("max-messages")?.unwrap_or(-1);
    let count = u64::try_from(count).ok();
    talk(&settings, async |session, _| {
        event(session, "startup_complete", vec![])?;
        let (consumer, news) = consumer(given, session)?;
        let mut reading = Reading { given, session, consumer, news, read: 0, count };
        let ended = match first(reading.read(), stop_requested()).await {
            First::Left(ended) => ended,
            First::Right(_) => event(session, "shutdown_requested", vec![]),
        };
        if let Err(ToolError::Thrown(thrown)) = &ended {
            let what = format!("Error during processing, terminating consumer process: \n{thrown}");
            log(&what, "org.apache.kafka.tools.VerifiableConsumer");
        }
        let Reading { consumer, .. } = reading;
        consumer.close().await?;
        event(session, "shutdown_complete", vec![])
    })
}

type News = Mailbox<Rebalance>;

fn consumer(given: &Given, session: &Session) -> Result<(Consumer, News), ToolError> {
    let builder = session.client.consumer().group(given.demand("group-id")?);
    let usual = (50 << 20, 1 << 20);
    let mut builder = session.properties.consumer(builder, usual);
    let is_modern = session.properties.group_protocol() == Some(GroupProtocol::Consumer);
    if let Some(assignor) = given.word("group-remote-assignor")?.filter(|_| is_modern) {
        builder = builder.server_assignor(assignor);
    }
    if !is_modern {
        let class = given.word("assignment-strategy")?.unwrap_or("RangeAssignor");
        let name = class.rsplit('.').next().unwrap_or(class);
        let known = ASSIGNORS.iter().find(|(known, _)| *known == name);
        let (_, assignor) =
            known.ok_or_else(|| ToolError::unsupported(&format!("the assignor {class}")))?;
        builder = builder.assignors([*assignor]);
    }
    builder = builder.offset_reset(match given.word("reset-policy")?.unwrap_or("earliest") {
        "earliest" => OffsetReset::Earliest,
        "latest" => OffsetReset::Latest,
        "none" => OffsetReset::Fail,
        policy => return Err(ToolError::unsupported(&format!("--reset-policy {policy}"))),
    });
    if given.has("enable-autocommit") {
        builder = builder.auto_commit(Duration::from_secs(5));
    }
    let (sender, news) = ottla_env::mailbox(NEWS_MAX);
    builder = builder.on_rebalance(move |each| drop(sender.try_send(each.clone())));
    Ok((builder.subscribe([given.demand("topic")?]).build()?, news))
}

struct Reading<'a> {
    given: &'a Given,
    session: &'a Session,
    consumer: Consumer,
    news: News,
    read: u64,
    count: Option<u64>,
}

/// The records of one partition that a poll has brought.
struct Summary {
    count: u64,
    first: Offset,
    last: Offset,
}

fn place(of: &TopicPartition) -> Vec<(&'static str, Json)> {
    vec![
        ("topic", Json::text(of.topic.as_str())),
        ("partition", Json::Number(i64::from(of.partition.get()))),
    ]
}

fn text(bytes: Option<&[u8]>) -> Json {
    bytes.map_or(Json::Null, |bytes| Json::text(String::from_utf8_lossy(bytes)))
}

impl Reading<'_> {
    async fn read(&mut self) -> Result<(), ToolError> {
        while self.count.is_none_or(|count| self.read < count) {
            let records = self.consumer.poll(Duration::from_millis(200)).await?;
            self.tell_news()?;
            if records.is_empty() {
                continue;
            }
            let offsets = self.tell_records(&records)?;
            if !self.given.has("enable-autocommit") {
                self.commit(offsets).await?;
            }
        }
        Ok(())
    }

    fn tell_news(&mut self) -> Result<(), ToolError> {
        while let Some(news) = self.news.try_next() {
            let (name, partitions) = match &news {
                Rebalance::Assigned { added, .. } => ("partitions_assigned", added),
                Rebalance::Revoked { removed } | Rebalance::Lost { removed } => {
                    ("partitions_revoked", removed)
                }
            };
            let partitions = partitions.iter().map(|of| Json::Object(place(of))).collect();
            event(self.session, name, vec![("partitions", Json::List(partitions))])?;
        }
        Ok(())
    }

    /// Tells of records up to the number that is wanted, and gives the others back.
    fn tell_records(
        &mut self,
        records: &[ConsumerRecord],
    ) -> Result<BTreeMap<TopicPartition, Offset>, ToolError> {
        let mut summaries: BTreeMap<&TopicPartition, Summary> = BTreeMap::new();
        let mut back: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
        for record in records {
            if self.count.is_some_and(|count| self.read >= count) {
                back.entry(&record.partition).or_insert(record.offset);
                continue;
            }
            self.read += 1;
            let fresh = Summary { count: 0, first: record.offset, last: record.offset };
            let summary = summaries.entry(&record.partition).or_insert(fresh);
            (summary.count, summary.last) = (summary.count + 1, record.offset);
            if self.given.has("verbose") {
                self.tell_record(record)?;
            }
        }
        for (of, at) in back {
            self.consumer.seek(of, at)?;
        }
        let shown = summaries.iter().map(|(of, summary)| {
            let mut fields = place(of);
            fields.push(("count", Json::count(summary.count)));
            fields.push(("minOffset", Json::Number(summary.first.get())));
            fields.push(("maxOffset", Json::Number(summary.last.get())));
            Json::Object(fields)
        });
        let fields = vec![
            ("count", Json::count(records.len() as u64)),
            ("partitions", Json::List(shown.collect())),
        ];
        event(self.session, "records_consumed", fields)?;
        let behind = |(of, summary): (&TopicPartition, Summary)| {
            (of.clone(), Offset::new(summary.last.get() + 1))
        };
        Ok(summaries.into_iter().map(behind).collect())
    }

    fn tell_record(&self, record: &ConsumerRecord) -> Result<(), ToolError> {
        let mut fields =
            vec![("key", text(record.key.as_deref())), ("value", text(record.value.as_deref()))];
        fields.extend(place(&record.partition));
        fields.push(("offset", Json::Number(record.offset.get())));
        event(self.session, "record_data", fields)
    }

    async fn commit(&mut self, offsets: BTreeMap<TopicPartition, Offset>) -> Result<(), ToolError> {
        let to: BTreeMap<TopicPartition, CommittedOffset> =
            offsets.iter().map(|(of, at)| (of.clone(), (*at).into())).collect();
        let committed = self.consumer.commit_offsets(&to).await;
        let shown = offsets.iter().map(|(of, at)| {
            let mut fields = place(of);
            fields.push(("offset", Json::Number(at.get())));
            Json::Object(fields)
        });
        let mut fields = vec![
            ("offsets", Json::List(shown.collect())),
            ("success", Json::Bool(committed.is_ok())),
        ];
        if let Err(error) = committed {
            fields.push(("error", Json::Text(Thrown::from(error).message)));
        }
        event(self.session, "offsets_committed", fields)
    }
}
