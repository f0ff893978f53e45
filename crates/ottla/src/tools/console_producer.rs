//! `kafka-console-producer`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use bytes::Bytes;
use ottla_client::{Partitioner, Pour, PouredRecord, Producer, ProducerBuilder, Record};
use ottla_types::TopicName;

use super::flags::{Flag, Given, Grammar, flag, maybe, word};
use super::line_reader::{CLASS, LineReader};
use super::settings::{Settings, properties_of};
use super::thrown::Thrown;
use super::{Manner, Tool, ToolError, complain, line, log, put, talk};
use crate::produce::lines::Lines;
use crate::reach::Session;

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-producer",
    about: "writes each line of standard input as a record.",
    grammar: Grammar::Options(&FLAGS),
    run,
    manner: Manner::Plain,
};

static FLAGS: [Flag; 23] = [
    word("topic", "topic", "The topic; required"),
    word("bootstrap-server", "servers", "Brokers to begin with; required"),
    flag("sync", "Waits for each record before the next one is sent"),
    maybe(
        "compression-codec",
        "codec",
        "none, gzip, snappy, lz4 or zstd; gzip where none is named",
    ),
    word("batch-size", "bytes", "The bytes of a batch"),
    word("message-send-max-retries", "count", "Has no effect: see delivery.timeout.ms"),
    word("retry-backoff-ms", "ms", "Has no effect"),
    word("timeout", "ms", "How long a record waits for others to share its batch"),
    word("request-required-acks", "acks", "all, 1 or 0"),
    word("request-timeout-ms", "ms", "How long a request may take"),
    word("metadata-expiry-ms", "ms", "Has no effect"),
    word("max-block-ms", "ms", "Has no effect"),
    word("max-memory-bytes", "bytes", "What records may take of memory"),
    word("max-partition-memory-bytes", "bytes", "As --batch-size; deprecated"),
    word("line-reader", "class", "Only Kafka's own"),
    word("socket-buffer-size", "bytes", "Has no effect"),
    word("property", "name=value", "As --reader-property; deprecated"),
    word("reader-property", "name=value", "How a line is read: parse.key, key.separator, ..."),
    word("reader-config", "file", "Properties of the reader"),
    word("producer-property", "name=value", "As --command-property; deprecated"),
    word("command-property", "name=value", "A property of the client"),
    word("producer.config", "file", "As --command-config; deprecated"),
    word("command-config", "file", "Properties of the client"),
];

/// Old spellings, and the new ones.
const RENAMED: [(&str, &str); 3] = [
    ("producer-property", "command-property"),
    ("producer.config", "command-config"),
    ("property", "reader-property"),
];

/// Options that set a property of the client.
const PROPERTIES: [(&str, &str); 5] = [
    ("timeout", "linger.ms"),
    ("request-required-acks", "acks"),
    ("request-timeout-ms", "request.timeout.ms"),
    ("max-memory-bytes", "buffer.memory"),
    ("batch-size", "batch.size"),
];

/// Options about what this client does in its own way.
const WITHOUT_EFFECT: [&str; 5] = [
    "message-send-max-retries",
    "retry-backoff-ms",
    "metadata-expiry-ms",
    "max-block-ms",
    "socket-buffer-size",
];

const ROUND_ROBIN: &str = "org.apache.kafka.clients.producer.RoundRobinPartitioner";

/// Where its complaints about records come from.
const LOGGER: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";

fn check(given: &Given) -> Result<(), ToolError> {
    given.require(&["topic"])?;
    for (old, new) in RENAMED.into_iter().rev() {
        if given.has(old) && given.has(new) {
            return Err(ToolError::usage(format!(
                "Options --{new} and --{old} cannot be specified together."
            )));
        }
    }
    for (old, new) in RENAMED {
        if given.has(old) {
            line(&format!(
                "Warning: --{old} is deprecated and will be removed in a future version. Use \
                 --{new} instead."
            ))?;
        }
    }
    if given.has("max-partition-memory-bytes") {
        line(
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache \
             Kafka 5.0. Use --batch-size instead.",
        )?;
    }
    for option in WITHOUT_EFFECT.into_iter().filter(|option| given.has(option)) {
        complain(&format!("ottla: --{option} has no effect on this client"));
    }
    validate_servers(given.word("bootstrap-server")?)
}

/// Demands servers with ports, as some tools do before they try any.
pub(super) fn validate_servers(servers: Option<&str>) -> Result<(), ToolError> {
    let servers = servers.map(str::trim).filter(|servers| !servers.is_empty());
    let Some(servers) = servers else {
        return Err(ToolError::usage("Error while validating the bootstrap address\n"));
    };
    let has_port = |server: &str| {
        server.rsplit_once(':').is_some_and(|(_, port)| port.trim().parse::<u16>().is_ok())
    };
    if servers.split(',').all(has_port) {
        return Ok(());
    }
    let told = "Please provide valid host:port like host1:9091,host2:9092\n";
    Err(ToolError::usage(told))
}

fn reader_of(given: &Given) -> Result<LineReader, ToolError> {
    let class = given.word("line-reader")?.unwrap_or(CLASS);
    if class != CLASS {
        return Err(ToolError::unsupported(&format!("the reader {class}")));
    }
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    for path in given.words("reader-config") {
        properties.extend(properties_of(path)?);
    }
    for pair in given.words("property").into_iter().chain(given.words("reader-property")) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        properties.insert(name.to_owned(), value.to_owned());
    }
    Ok(LineReader::new(&properties)?)
}

fn settings_of(given: &Given) -> Result<Settings, ToolError> {
    let files: &[&str] = &["producer.config", "command-config"];
    let pairs: &[&str] = &["producer-property", "command-property"];
    // What these are where no option says so, a file may say otherwise.
    let usual = Settings::usual(&[("client.id", "console-producer"), ("linger.ms", "1000")]);
    let mut read = usual.read(given, (files, pairs), &["partitioner.class"])?;
    read.bootstrap(given)?;
    for (option, property) in PROPERTIES {
        if let Some(value) = given.word(option)? {
            read.set(property, value)?;
        }
    }
    if let Some(bytes) = given.word("max-partition-memory-bytes")? {
        read.set("batch.size", bytes)?;
    }
    if given.has("compression-codec") {
        let codec = given.word("compression-codec")?.filter(|codec| !codec.is_empty());
        read.set("compression.type", codec.unwrap_or("gzip"))?;
    }
    Ok(read)
}

/// The producer that the properties describe.
pub(super) fn producer_of(
    session: &Session,
    settings: &Settings,
) -> Result<ProducerBuilder, ToolError> {
    let builder = session.properties.producer(session.client.producer());
    match settings.own("partitioner.class") {
        None => Ok(builder),
        Some(ROUND_ROBIN) => Ok(builder.partitioner(Partitioner::RoundRobin)),
        Some(class) => Err(ToolError::unsupported(&format!("the partitioner {class}"))),
    }
}

fn run(given: &Given) -> Result<(), ToolError> {
    check(given)?;
    let reader = reader_of(given)?;
    let topic = TopicName::parse(given.word("topic")?.unwrap_or_default())?;
    talk(&settings_of(given)?, async |session, settings| {
        let producer = producer_of(session, settings)?.build();
        if given.has("sync") {
            return write_one_by_one(&reader, (&producer, &topic)).await;
        }
        let mut pour = producer.pour(&topic).await?;
        let told = write_lines(&reader, &mut pour).await;
        let poured = pour.finish().await;
        if let Some(error) = &poured.error {
            let thrown = Thrown::from(error);
            let failed = poured.failed;
            let what = format!(
                "Error when sending message to topic {topic}, {failed} in all, with error:\n{thrown}"
            );
            log(&what, LOGGER);
        }
        told
    })
}

/// A sign for somebody who types.
fn prompt() -> Result<(), ToolError> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        put(">")?;
    }
    Ok(())
}

async fn write_lines(reader: &LineReader, pour: &mut Pour<'_>) -> Result<(), ToolError> {
    let mut lines = Lines::of(std::io::stdin());
    let mut number = 0;
    prompt()?;
    let mut next = lines.next().await?;
    while let Some(chunk) = next {
        for each in chunk.lines() {
            number += 1;
            let parts = reader.parts(each, number)?;
            pour.push(PouredRecord {
                partition: None,
                timestamp: None,
                key: parts.key,
                value: parts.value,
                headers: &parts.headers,
            })
            .await?;
            prompt()?;
        }
        lines.give_back(chunk);
        next = match lines.ready()? {
            Some(chunk) => Some(chunk),
            // Whoever types wants it to be sent.
            None => {
                pour.hand_over_all().await;
                lines.next().await?
            }
        };
    }
    Ok(())
}

async fn write_one_by_one(
    reader: &LineReader,
    (producer, topic): (&Producer, &TopicName),
) -> Result<(), ToolError> {
    let mut lines = Lines::of(std::io::stdin());
    let mut number = 0;
    prompt()?;
    while let Some(chunk) = lines.next().await? {
        for each in chunk.lines() {
            number += 1;
            let parts = reader.parts(each, number)?;
            let owned = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
            let mut record = Record::to(topic.as_str());
            (record.key, record.value) = (owned(parts.key), owned(parts.value));
            let headers = parts.headers.into_iter();
            record.headers = headers.map(|(name, value)| (name.to_owned(), owned(value))).collect();
            producer.send(record).await?.await?;
            prompt()?;
        }
        lines.give_back(chunk);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_need_ports() {
        for (servers, is_fine) in [
            (Some("localhost:9092"), true),
            (Some("a:1,b:2"), true),
            (Some("localhost"), false),
            (Some("a:1,b"), false),
            (Some(" "), false),
            (None, false),
        ] {
            assert_eq!(validate_servers(servers).is_ok(), is_fine, "{servers:?}");
        }
    }

    #[test]
    fn old_and_new_spellings_do_not_go_together() {
        let words = ["--topic", "t", "--property", "a=b", "--reader-property", "a=b"];
        let given = TOOL.grammar.read(&words.map(str::to_owned)).unwrap();
        let Err(ToolError::Usage(told)) = check(&given) else { panic!("it was taken") };
        assert_eq!(told, "Options --reader-property and --property cannot be specified together.");
    }
}
