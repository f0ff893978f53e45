//! `kafka-console-consumer`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::time::Duration;

use ottla_client::{
    ConfigResource, Consumer, ConsumerBuilder, ConsumerRecord, GroupProtocol, OffsetReset,
    OffsetSpec, partition,
};
use ottla_env::{First, Mono, Purpose, first};
use ottla_runtime::stop_requested;
use ottla_types::{Offset, TopicName, TopicPartition};

use super::flags::{Flag, Given, Grammar, flag, word};
use super::formatter::Formatter;
use super::include;
use super::settings::{READERS_OWN, Settings, properties_of};
use super::{Manner, Tool, ToolError, complain, line, log, talk};
use crate::reach::Session;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-consumer",
    about: "reads records of topics and writes them to standard output.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Logged(LOGGER),
};

const LOGGER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

static FLAGS: [Flag; 22] = [
    word("topic", "topic", "The topic"),
    word("include", "expression", "The topics, by an expression"),
    word("partition", "partition", "This partition only, from its end on unless --offset says so"),
    word("offset", "place", "earliest, latest or an offset; with --partition"),
    word("consumer-property", "name=value", "As --command-property; deprecated"),
    word("command-property", "name=value", "A property of the client"),
    word("consumer.config", "file", "As --command-config; deprecated"),
    word("command-config", "file", "Properties of the client"),
    word("formatter", "class", "Kafka's DefaultMessageFormatter or NoOpMessageFormatter"),
    word("property", "name=value", "As --formatter-property; deprecated"),
    word("formatter-property", "name=value", "How a record is written: print.key, ..."),
    word("formatter-config", "file", "Properties of the formatter"),
    flag("from-beginning", "Begins with the first record where nothing was committed"),
    word("max-messages", "count", "Ends after so many records"),
    word("timeout-ms", "ms", "Ends when no record comes for so long"),
    flag("skip-message-on-error", "Goes on behind a record that cannot be written"),
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    word("key-deserializer", "class", "What keys are: one of Kafka's own deserializers"),
    word("value-deserializer", "class", "What values are: one of Kafka's own deserializers"),
    flag("enable-systest-events", "Says when it has ended"),
    word("isolation-level", "level", "read_committed or read_uncommitted"),
    word("group", "group", "The group; without it, one of its own that is not used again"),
];

/// How often a group's offsets are committed where nothing is said.
const COMMIT_EVERY_MS: u64 = 5_000;

/// Bytes of one answer, and of one partition in it, where nothing is said.
const FETCH_BYTES: (i32, i32) = (50 << 20, 1 << 20);

/// What waits before it is written at most.
const BUFFER_BYTES: usize = 256 << 10;

/// What is known by users of Kafka's tool to come first.
const PROTOCOL_HINT: &str = "The consumer rebalance protocol (KIP-848) is production-ready! Set \
    group.protocol=consumer to try it out. See \
    https://kafka.apache.org/documentation/#consumer_rebalance_protocol";

fn check(given: &Given) -> Result<(), ToolError> {
    given.one_of(&["topic", "include"])?;
    if given.has("partition") {
        if !given.has("topic") {
            return Err(ToolError::usage("The topic is required when partition is specified."));
        }
        if given.has("from-beginning") && given.has("offset") {
            let told = "Options from-beginning and offset cannot be specified together.";
            return Err(ToolError::usage(told));
        }
    } else if given.has("offset") {
        return Err(ToolError::usage("The partition is required when offset is specified."));
    }
    given.require(&["bootstrap-server"])?;
    for (old, new) in [
        ("consumer-property", "command-property"),
        ("consumer.config", "command-config"),
        ("property", "formatter-property"),
    ] {
        if given.has(old) && given.has(new) {
            return Err(ToolError::usage(format!(
                "Options --{old} and --{new} cannot be specified together."
            )));
        }
        if given.has(old) {
            line(&format!(
                "Option --{old} is deprecated and will be removed in a future version. Use \
                 --{new} instead."
            ))?;
        }
    }
    Ok(())
}

/// Where one partition is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Earliest,
    Latest,
    At(Offset),
}

fn place(given: &Given) -> Result<Place, ToolError> {
    match given.word("offset")? {
        None if given.has("from-beginning") => Ok(Place::Earliest),
        None => Ok(Place::Latest),
        Some(word) => match (word.to_ascii_lowercase().as_str(), word.parse::<i64>()) {
            ("earliest", _) => Ok(Place::Earliest),
            ("latest", _) => Ok(Place::Latest),
            (_, Ok(offset)) if offset >= 0 => Ok(Place::At(Offset::new(offset))),
            _ => Err(ToolError::usage(format!(
                "The provided offset value '{word}' is incorrect. Valid values are 'earliest', \
                 'latest', or a non-negative long."
            ))),
        },
    }
}

/// What is asked for, once all of it is known to make sense.
struct Plan {
    formatter: Formatter,
    place: Place,
    partition: Option<i32>,
    group: Option<String>,
    reset: OffsetReset,
    commit_every: Option<Duration>,
    poll_records: usize,
    count: Option<u64>,
    timeout: Option<Duration>,
    skips_errors: bool,
}

fn formatter_of(given: &Given) -> Result<Formatter, ToolError> {
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    for path in given.words("formatter-config") {
        properties.extend(properties_of(path)?);
    }
    for (option, property) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = given.word(option)?.filter(|class| !class.is_empty()) {
            properties.insert(property.to_owned(), class.to_owned());
        }
    }
    for pair in given.words("property").into_iter().chain(given.words("formatter-property")) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        properties.insert(name.to_owned(), value.to_owned());
    }
    Formatter::new(given.word("formatter")?, &properties).map_err(ToolError::Usage)
}

fn group_of(given: &Given, settings: &Settings) -> Result<Option<String>, ToolError> {
    let named = [given.word("group")?, settings.own("group.id")];
    let named: BTreeSet<&str> = named.into_iter().flatten().collect();
    if named.len() > 1 {
        let shown: Vec<String> = named.iter().map(|group| format!("'{group}'")).collect();
        return Err(ToolError::usage(format!(
            "The group ids provided in different places (directly using '--group', via \
             '--consumer-property', or via '--consumer.config') do not match. Detected group \
             ids: {}",
            shown.join(", ")
        )));
    }
    if !named.is_empty() && given.has("partition") {
        let told = "Options group and partition cannot be specified together.";
        return Err(ToolError::usage(told));
    }
    Ok(named.first().map(|group| (*group).to_owned()))
}

fn reset_of(given: &Given, settings: &Settings) -> Result<OffsetReset, ToolError> {
    let from_beginning = given.has("from-beginning");
    match settings.own("auto.offset.reset") {
        Some(reset) if from_beginning && reset != "earliest" => {
            complain(&format!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', \
                 please remove one option"
            ));
            Err(ToolError::Told(1))
        }
        Some("earliest") => Ok(OffsetReset::Earliest),
        Some("latest") => Ok(OffsetReset::Latest),
        Some("none") => Ok(OffsetReset::Fail),
        Some(reset) => Err(ToolError::unsupported(&format!("auto.offset.reset={reset}"))),
        None if from_beginning => Ok(OffsetReset::Earliest),
        None => Ok(OffsetReset::Latest),
    }
}

fn plan(given: &Given, settings: &Settings) -> Result<Plan, ToolError> {
    let group = group_of(given, settings)?;
    // Nobody comes back to a group that has no name.
    let commits = settings.own_flag("enable.auto.commit")?.unwrap_or_else(|| group.is_some());
    let every = settings.own_number("auto.commit.interval.ms")?.unwrap_or(COMMIT_EVERY_MS);
    let poll_records = settings.own_number("max.poll.records")?.unwrap_or(500);
    let timeout = given.number::<i64>("timeout-ms")?;
    let count = given.number::<i32>("max-messages")?.filter(|count| *count != -1);
    Ok(Plan {
        formatter: formatter_of(given)?,
        place: place(given)?,
        partition: given.number("partition")?,
        group,
        reset: reset_of(given, settings)?,
        commit_every: commits.then(|| Duration::from_millis(every)),
        poll_records: usize::try_from(poll_records).unwrap_or(usize::MAX).max(1),
        count: count.map(|count| u64::try_from(count).unwrap_or(0)),
        timeout: timeout.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
        skips_errors: given.has("skip-message-on-error"),
    })
}

fn run(given: &Given) -> Result<(), ToolError> {
    check(given)?;
    let files: &[&str] = &["consumer.config", "command-config"];
    let pairs: &[&str] = &["consumer-property", "command-property"];
    let usual = Settings::usual(&[("client.id", "console-consumer")]);
    let mut settings = usual.read(given, (files, pairs), &READERS_OWN)?;
    settings.bootstrap(given)?;
    if let Some(level) = given.word("isolation-level")? {
        settings.set("isolation.level", level)?;
    }
    let plan = plan(given, &settings)?;
    let is_classic = settings.client.group_protocol() != Some(GroupProtocol::Consumer);
    talk(&settings, async |session, _| {
        if plan.partition.is_none() && is_classic {
            complain(PROTOCOL_HINT);
        }
        let consumer = consumer(given, (&plan, is_classic), session).await?;
        let mut reading = Reading {
            plan: &plan,
            session,
            consumer,
            out: Vec::new(),
            written: 0,
            brokers: BTreeMap::new(),
        };
        let ended = match first(reading.read(), stop_requested()).await {
            First::Left(ended) => ended,
            First::Right(_) => Ok(()),
        };
        let Reading { consumer, mut out, written, .. } = reading;
        let flushed = flush(&mut out);
        let closed = consumer.close().await;
        complain(&format!("Processed a total of {written} messages"));
        if given.has("enable-systest-events") {
            line("shutdown_complete")?;
        }
        flushed?;
        ended?;
        Ok(closed?)
    })
}

async fn consumer(
    given: &Given,
    (plan, is_classic): (&Plan, bool),
    session: &Session,
) -> Result<Consumer, ToolError> {
    let builder = session.client.consumer();
    let topic = given.word("topic")?.unwrap_or_default();
    if let Some(number) = plan.partition {
        if number < 0 {
            let told = format!("Invalid partition {number}");
            return Err(ToolError::thrown("java.lang.IllegalArgumentException", told));
        }
        return assigned(plan, session, partition(topic, number)?).await;
    }
    let drawn = session.env.rng.next(Purpose::Jitter) % 100_000;
    let group = plan.group.clone().unwrap_or_else(|| format!("console-consumer-{drawn}"));
    let builder = session.properties.consumer(builder.group(&group), FETCH_BYTES);
    let builder = behaved(builder, plan);
    let Some(pattern) = given.word("include")? else {
        return Ok(builder.subscribe([topic]).build()?);
    };
    let wrong = |why: regex::Error| {
        ToolError::thrown("java.util.regex.PatternSyntaxException", why.to_string())
    };
    let fitting = include::whole(pattern).map_err(wrong)?;
    if !is_classic {
        return Ok(builder.subscribe_pattern(pattern).build()?);
    }
    let all = session.admin().list_topics().await?;
    let names = all.keys().map(TopicName::as_str);
    let names: Vec<&str> =
        names.filter(|name| fitting.is_match(name) && !include::is_internal(name)).collect();
    if names.is_empty() {
        return Err(ToolError::terse(format!("ottla: no topic fits {pattern}")));
    }
    Ok(builder.subscribe(names).build()?)
}

fn behaved(builder: ConsumerBuilder, plan: &Plan) -> ConsumerBuilder {
    let builder = builder.offset_reset(plan.reset).poll_records_max(plan.poll_records);
    match plan.commit_every {
        Some(every) => builder.auto_commit(every),
        None => builder,
    }
}

async fn assigned(
    plan: &Plan,
    session: &Session,
    of: TopicPartition,
) -> Result<Consumer, ToolError> {
    let builder = session.properties.consumer(session.client.consumer(), FETCH_BYTES);
    let builder = builder.offset_reset(plan.reset).poll_records_max(plan.poll_records);
    let mut consumer = builder.assign([of.clone()])?;
    match plan.place {
        Place::Earliest => consumer.seek_to(&of, OffsetSpec::Earliest).await?,
        Place::Latest => consumer.seek_to(&of, OffsetSpec::Latest).await?,
        Place::At(offset) => consumer.seek(&of, offset)?,
    }
    Ok(consumer)
}

struct Reading<'a> {
    plan: &'a Plan,
    session: &'a Session,
    consumer: Consumer,
    out: Vec<u8>,
    written: u64,
    /// Topics whose records have the time of the broker.
    brokers: BTreeMap<TopicName, bool>,
}

/// The longest poll: whoever wants to stop it does not have to wait longer.
const POLL: Duration = Duration::from_millis(500);

impl Reading<'_> {
    async fn read(&mut self) -> Result<(), ToolError> {
        let mut last = self.session.env.clock.mono();
        while self.plan.count.is_none_or(|count| self.written < count) {
            let mut records = self.poll(Duration::ZERO).await?;
            if records.is_empty() {
                flush(&mut self.out)?;
                let left = self.plan.timeout.map_or(POLL, |timeout| self.left(last, timeout));
                records = self.poll(left.min(POLL)).await?;
            }
            let now = self.session.env.clock.mono();
            if records.is_empty() {
                if self.plan.timeout.is_some_and(|timeout| now.since(last) > timeout) {
                    let what = "Error processing message, terminating consumer process: ";
                    log(
                        &format!("{what}\norg.apache.kafka.common.errors.TimeoutException"),
                        LOGGER,
                    );
                    return Ok(());
                }
                continue;
            }
            last = now;
            if !self.write_all(&records).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn left(&self, last: Mono, timeout: Duration) -> Duration {
        let passed = self.session.env.clock.mono().since(last);
        timeout.saturating_sub(passed) + Duration::from_millis(1)
    }

    async fn poll(&mut self, wait: Duration) -> Result<Vec<ConsumerRecord>, ToolError> {
        Ok(self.consumer.poll(wait).await?)
    }

    /// Writes records until there are enough; whether more are wanted.
    async fn write_all(&mut self, records: &[ConsumerRecord]) -> Result<bool, ToolError> {
        for (at, record) in records.iter().enumerate() {
            let is_brokers = self.is_brokers(&record.partition.topic).await?;
            self.written += 1;
            let written = self.plan.formatter.write(&mut self.out, record, is_brokers);
            match written {
                Err(thrown) if self.plan.skips_errors => {
                    log(
                        &format!("Error processing message, skipping this message: \n{thrown}"),
                        LOGGER,
                    );
                }
                Err(thrown) => {
                    self.give_back(&records[at + 1..])?;
                    return Err(thrown.into());
                }
                Ok(()) => {}
            }
            if self.out.len() >= BUFFER_BYTES {
                flush(&mut self.out)?;
            }
            if self.plan.count == Some(self.written) {
                self.give_back(&records[at + 1..])?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was polled and not written was not read.
    fn give_back(&mut self, records: &[ConsumerRecord]) -> Result<(), ToolError> {
        let mut first: BTreeMap<&TopicPartition, Offset> = BTreeMap::new();
        for record in records {
            first.entry(&record.partition).or_insert(record.offset);
        }
        for (partition, offset) in first {
            self.consumer.seek(partition, offset)?;
        }
        Ok(())
    }

    /// Whether a topic's records have the time when they were written to the log.
    async fn is_brokers(&mut self, topic: &TopicName) -> Result<bool, ToolError> {
        if !self.plan.formatter.tells_time() {
            return Ok(false);
        }
        if let Some(known) = self.brokers.get(topic) {
            return Ok(*known);
        }
        let resource = ConfigResource::Topic(topic.clone());
        let configs = self.session.admin().describe_configs(&resource).await?;
        let by = configs.iter().find(|entry| entry.name == "message.timestamp.type");
        let is = by.is_some_and(|entry| entry.value.as_deref() == Some("LogAppendTime"));
        self.brokers.insert(topic.clone(), is);
        Ok(is)
    }
}

fn flush(out: &mut Vec<u8>) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(out)?;
    out.clear();
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let given = TOOL.grammar.read(&words).unwrap();
        let planned = || -> Result<Plan, ToolError> {
            check(&given)?;
            let pairs: &[&str] = &["command-property"];
            let settings = Settings::default().read(&given, (&[], pairs), &READERS_OWN)?;
            plan(&given, &settings)
        };
        match planned() {
            Ok(plan) => {
                format!("{:?} {:?} commits {}", plan.reset, plan.place, plan.commit_every.is_some())
            }
            Err(ToolError::Usage(told)) => told,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn options_say_where_to_begin_and_whether_to_commit() {
        for (line, expected) in [
            ("--topic t", "Latest Latest commits false"),
            ("--topic t --from-beginning", "Earliest Earliest commits false"),
            ("--topic t --group g", "Latest Latest commits true"),
            ("--topic t --command-property group.id=g", "Latest Latest commits true"),
            (
                "--topic t --group g --command-property enable.auto.commit=false",
                "Latest Latest commits false",
            ),
            ("--topic t --partition 0 --offset 7", "Latest At(7) commits false"),
            ("--topic t --partition 0 --offset earliest", "Latest Earliest commits false"),
            (
                "--topic t --partition 0 --offset -1",
                "The provided offset value '-1' is incorrect. Valid values are 'earliest', \
                 'latest', or a non-negative long.",
            ),
            ("--topic t --offset 1", "The partition is required when offset is specified."),
            (
                "--topic t --group a --command-property group.id=b",
                "The group ids provided in different places (directly using '--group', via \
                 '--consumer-property', or via '--consumer.config') do not match. Detected group \
                 ids: 'a', 'b'",
            ),
            (
                "--topic t --group a --partition 1",
                "Options group and partition cannot be specified together.",
            ),
            (
                "--from-beginning",
                "Exactly one of the following arguments is required: [topic], [include]",
            ),
        ] {
            assert_eq!(told(&format!("--bootstrap-server x {line}")), expected, "{line}");
        }
    }
}
