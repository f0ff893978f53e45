//! `ottla produce`: lines, files and single records into a topic.

pub(crate) mod lines;
mod split;

use std::fs::File;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ottla_client::{
    Acks, Compression, ConfigEntry, ConfigResource, Pour, Poured, PouredRecord, Producer,
};
use ottla_types::{PartitionId, TopicName};

use crate::confirm;
use crate::failure::{Failure, say};
use crate::progress::{Done, Progress};
use crate::reach::{self, Reach, Session, properties};
use crate::template::{self, Template};
use lines::Lines;
use split::{Fields, Split};

const EXAMPLES: &str = "\
Examples:
  ottla produce hello \"first message\" -k me
  echo one | ottla produce hello
  ottla produce orders --file orders.txt -K '\\t' --compression lz4
  ottla produce orders -v paid -k 7 -H by=card -p 0";

/// The records of one batch, in bytes, where a topic takes as much: fewer and larger requests.
const BATCH_BYTES: usize = 1_000_000;

/// What records may take of memory before reading waits.
const BUFFER_BYTES: u32 = 64 << 20;

/// Writes records: one that is given, or one for each line that is read
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The topic; made on the fly where the cluster does that
    #[arg(value_name = "TOPIC")]
    topic: TopicName,

    /// The value of one record [default: each line of standard input is one]
    #[arg(value_name = "VALUE")]
    value: Option<String>,

    /// The value of one record, where it begins with a dash
    #[arg(short, long = "value", value_name = "VALUE", allow_hyphen_values = true)]
    #[arg(conflicts_with_all = ["value", "file"])]
    value_option: Option<String>,

    /// The key of all records
    #[arg(short, long, value_name = "KEY", allow_hyphen_values = true)]
    key: Option<String>,

    /// A header of all records
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = confirm::pair)]
    headers: Vec<(String, String)>,

    /// The partition of all records [default: by the key, or whichever has fewest waiting]
    #[arg(short, long, value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,

    /// What is between key and value in a line, as ':' or '\t'
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = separator)]
    #[arg(conflicts_with_all = ["key", "format"])]
    key_separator: Option<Separator>,

    /// How a line is to be read, as '%k,%v' or '%p %k %v': see `ottla consume --help`
    #[arg(short, long, value_name = "FORMAT", value_parser = Template::parse)]
    format: Option<Template>,

    /// A file to read instead of standard input
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    file: Option<PathBuf>,

    /// An empty value is a tombstone, an empty key none
    #[arg(short = 'Z', long)]
    empty_is_null: bool,

    /// none, gzip, snappy, lz4 or zstd [default: none]
    #[arg(short = 'z', long, value_name = "CODEC", value_parser = codec)]
    compression: Option<Compression>,

    /// Who must have a record before it counts as written: all, 1 or 0 [default: all]
    #[arg(long, value_name = "ACKS", value_parser = acks)]
    acks: Option<Acks>,

    /// Say nothing of what went well
    #[arg(short, long)]
    quiet: bool,

    #[command(flatten)]
    reach: Reach,

    /// Files that are a record each, as kcat takes them.
    #[arg(skip)]
    pub(crate) records: Vec<PathBuf>,
}

/// Bytes between two fields; a type of its own, because clap takes a `Vec` for a list.
#[derive(Clone, Debug)]
struct Separator(Vec<u8>);

fn separator(text: &str) -> Result<Separator, String> {
    let bytes = template::text(text)?;
    if bytes.is_empty() { Err("it is empty".to_owned()) } else { Ok(Separator(bytes)) }
}

fn codec(text: &str) -> Result<Compression, String> {
    properties::compression(text).ok_or_else(|| "it is none, gzip, snappy, lz4 or zstd".to_owned())
}

fn acks(text: &str) -> Result<Acks, String> {
    properties::acks(text).ok_or_else(|| "it is all, 1 or 0".to_owned())
}

pub(crate) fn run(arguments: &Arguments, before: &Reach) -> ExitCode {
    let reach = arguments.reach.clone().or(before);
    reach::run(&reach, async |session| produce(arguments, session).await)
}

async fn produce(arguments: &Arguments, session: &Session) -> Result<(), Failure> {
    let split = Split::new(
        arguments.key_separator.as_ref().map(|between| between.0.as_slice()),
        arguments.format.as_ref(),
    )
    .map_err(Failure::Usage)?;
    // Before a topic is made for it.
    let lines = source(arguments)?;
    let began = session.env.clock.mono();
    let is_new = !is_there(arguments, session).await?;
    let producer = producer(arguments, session, is_new).await?;
    let mut pour = producer.pour(&arguments.topic).await?;
    if is_new && !arguments.quiet {
        say(&created(arguments, session).await?);
    }
    let value = arguments.value.as_ref().or(arguments.value_option.as_ref());
    match (lines, value) {
        (Some(lines), _) => {
            // Whoever types knows how far it is.
            let is_typed = arguments.file.is_none() && std::io::stdin().is_terminal();
            let quiet = arguments.quiet || is_typed;
            let progress = Progress::new(&session.env.clock, size(arguments), quiet);
            pour_lines(arguments, &split, (lines, progress), &mut pour).await?;
        }
        (None, None) if !arguments.records.is_empty() => {
            for path in &arguments.records {
                let value = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
                let fields = Fields { value: Some(&value), ..Fields::default() };
                push(arguments, &mut pour, fields).await?;
            }
        }
        (None, value) => {
            let value = value.map_or("", String::as_str);
            let fields = Fields { value: Some(value.as_bytes()), ..Fields::default() };
            push(arguments, &mut pour, fields).await?;
        }
    }
    let poured = pour.finish().await;
    told(arguments, &poured, session.env.clock.mono().since(began))
}

/// What is to be read; `None` where the record was given.
fn source(arguments: &Arguments) -> Result<Option<Lines>, Failure> {
    let is_given = arguments.value.is_some() || arguments.value_option.is_some();
    if is_given || !arguments.records.is_empty() {
        return Ok(None);
    }
    let Some(path) = &arguments.file else {
        if std::io::stdin().is_terminal() && !arguments.quiet {
            say("each line that you type is a record; Ctrl-D ends it");
        }
        return Ok(Some(Lines::of(std::io::stdin())));
    };
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    Ok(Some(Lines::of(file)))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::told(format!("cannot read {}: {error}", path.display()))
}

/// How much there is to read, where somebody knows.
fn size(arguments: &Arguments) -> Option<u64> {
    let file = std::fs::metadata(arguments.file.as_ref()?).ok()?;
    file.is_file().then_some(file.len())
}

/// Whether the topic is there; where not, the cluster must be one that makes it.
async fn is_there(arguments: &Arguments, session: &Session) -> Result<bool, Failure> {
    let (admin, topic) = (session.admin(), &arguments.topic);
    if admin.find_topic(topic).await?.is_some() {
        return Ok(true);
    }
    let Some(broker) = admin.nodes().await?.into_iter().next() else { return Ok(false) };
    let properties = admin.describe_configs(&ConfigResource::Broker(broker.id)).await?;
    let creates = |entry: &ConfigEntry| {
        entry.name == "auto.create.topics.enable" && entry.value.as_deref() == Some("false")
    };
    if properties.iter().any(creates) {
        let unknown = crate::topic::unknown(&admin, topic).await;
        return Err(Failure::told(format!(
            "{unknown}, and this cluster makes none on the fly: `ottla topic create {topic}` does"
        )));
    }
    Ok(false)
}

/// Says what was made.
async fn created(arguments: &Arguments, session: &Session) -> Result<String, Failure> {
    let count = session.admin().find_topic(&arguments.topic).await?;
    let count = count.map_or(0, |topic| topic.partitions.len());
    let partitions = crate::words::count(count as u64, "partition");
    Ok(format!("created topic {} ({partitions})", arguments.topic))
}

async fn producer(
    arguments: &Arguments,
    session: &Session,
    is_new: bool,
) -> Result<Producer, Failure> {
    let largest = if is_new { None } else { largest_batch(&arguments.topic, session).await? };
    let batch_bytes = largest.map_or(BATCH_BYTES, |largest| largest.min(BATCH_BYTES));
    let builder = session.client.producer().batch_bytes(batch_bytes).buffer_bytes(BUFFER_BYTES);
    let mut builder = session.properties.producer(builder);
    if let Some(compression) = arguments.compression {
        builder = builder.compression(compression);
    }
    if let Some(acks) = arguments.acks {
        builder = builder.acks(acks);
    }
    Ok(builder.build())
}

/// What the topic takes at once.
async fn largest_batch(topic: &TopicName, session: &Session) -> Result<Option<usize>, Failure> {
    let configs = session.admin().describe_configs(&ConfigResource::Topic(topic.clone())).await?;
    let largest = configs.into_iter().find(|entry| entry.name == "max.message.bytes");
    Ok(largest.and_then(|entry| entry.value?.parse().ok()))
}

async fn pour_lines(
    arguments: &Arguments,
    split: &Split,
    (mut lines, mut progress): (Lines, Progress),
    pour: &mut Pour<'_>,
) -> Result<(), Failure> {
    let (mut next, mut bytes) = (lines.next().await?, 0);
    while let Some(chunk) = next {
        bytes += chunk.len() as u64;
        for line in chunk.lines() {
            push(arguments, pour, split.fields(line).map_err(Failure::Told)?).await?;
        }
        lines.give_back(chunk);
        next = match lines.ready()? {
            Some(chunk) => Some(chunk),
            // Whoever types, or writes into a pipe now and then, wants it to be sent.
            None => {
                pour.hand_over_all().await;
                lines.next().await?
            }
        };
        let Poured { delivered: records, error, .. } = pour.so_far();
        if let Some(error) = error {
            return Err(error.into());
        }
        progress.at(Done { of_total: bytes, records, bytes });
    }
    Ok(())
}

async fn push(
    arguments: &Arguments,
    pour: &mut Pour<'_>,
    fields: Fields<'_>,
) -> Result<(), Failure> {
    let null =
        |bytes: Option<_>| bytes.filter(|b: &&[u8]| !(arguments.empty_is_null && b.is_empty()));
    let headers: Vec<(&str, Option<&[u8]>)> = arguments
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.as_bytes())))
        .collect();
    let key = arguments.key.as_deref().map(str::as_bytes).or(fields.key);
    let record = PouredRecord {
        partition: arguments.partition.or(fields.partition).map(PartitionId::new),
        timestamp: fields.timestamp,
        key: null(key),
        value: null(fields.value),
        headers: &headers,
    };
    Ok(pour.push(record).await?)
}

/// Says what became of the records.
fn told(arguments: &Arguments, poured: &Poured, took: Duration) -> Result<(), Failure> {
    let Poured { delivered, failed, error, first } = poured;
    let ms = took.as_secs_f64() * 1_000.0;
    match (error, first) {
        (Some(error), _) => {
            let records = crate::words::count(*failed, "record");
            say(&format!("{records} not written, {delivered} written"));
            return Err(error.clone().into());
        }
        (None, Some(first)) if *delivered == 1 && !arguments.quiet => {
            let (topic, partition) = (&first.partition.topic, first.partition.partition);
            let offset = first.offset.map(|offset| format!("@{offset}")).unwrap_or_default();
            say(&format!("sent to {topic}[{partition}]{offset} in {ms:.1} ms"));
        }
        (None, _) if !arguments.quiet => {
            let records = crate::words::count(*delivered, "record");
            say(&format!("sent {records} to {} in {ms:.1} ms", arguments.topic));
        }
        (None, _) => {}
    }
    Ok(())
}
