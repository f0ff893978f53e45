//! rskafka behind the command line of `../../README.md`; it has no groups: its member reads every
//! partition and commits nothing.

mod admin;
mod events;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

use events::{Fault, Options, Stopping, fail, say};

const FETCH_BYTES_MAX: i32 = 1 << 20;
const FETCH_WAIT_MS: i32 = 100;
const PAUSE_MS: u64 = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let stopping = Stopping::watch();
    let options = Options::parse(words.get(1..).unwrap_or_default());
    let ended = match words.first().map(String::as_str) {
        Some("member") => member(&options, &stopping).await,
        Some("produce") => produce(&options, &stopping).await,
        Some("admin") => admin::run(&options).await,
        other => Err(format!("no program is called {other:?}").into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            fail(&why);
            ExitCode::FAILURE
        }
    }
}

/// A client of the cluster.
async fn connect(options: &Options) -> Result<Client, Fault> {
    Ok(ClientBuilder::new(vec![options.text("bootstrap")?.to_owned()]).build().await?)
}

/// One of each partition of the topic.
async fn partitions(client: &Client, topic: &str) -> Result<Vec<PartitionClient>, Fault> {
    let topics = client.list_topics().await?;
    let found = topics.into_iter().find(|one| one.name == topic).ok_or("there is no such topic")?;
    let mut partitions = Vec::new();
    for number in found.partitions {
        let handling = UnknownTopicHandling::Retry;
        partitions.push(client.partition_client(topic, number, handling).await?);
    }
    Ok(partitions)
}

/// Reads every partition from its start, one after the other.
async fn member(options: &Options, stopping: &Stopping) -> Result<(), Fault> {
    let client = connect(options).await?;
    let partitions = partitions(&client, options.text("topic")?).await?;
    let numbers: Vec<i32> = partitions.iter().map(PartitionClient::partition).collect();
    let mut next = BTreeMap::new();
    for partition in &partitions {
        next.insert(partition.partition(), partition.get_offset(OffsetAt::Earliest).await?);
    }
    say("assigned", &format!("\"partitions\": {numbers:?}"));
    while !stopping.is_set() {
        for partition in &partitions {
            let at = next.get_mut(&partition.partition()).ok_or("a partition without an offset")?;
            let wanted = 1..FETCH_BYTES_MAX;
            let (records, _end) = partition.fetch_records(*at, wanted, FETCH_WAIT_MS).await?;
            let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
            if let Some(last) = offsets.last() {
                *at = last + 1;
                let number = partition.partition();
                say("records", &format!("\"partition\": {number}, \"offsets\": {offsets:?}"));
            }
        }
    }
    say("revoked", &format!("\"partitions\": {numbers:?}"));
    Ok(())
}

fn codec(name: Option<&str>) -> Result<Compression, Fault> {
    Ok(match name {
        None => Compression::NoCompression,
        Some("gzip") => Compression::Gzip,
        Some("lz4") => Compression::Lz4,
        Some("snappy") => Compression::Snappy,
        Some("zstd") => Compression::Zstd,
        Some(other) => return Err(format!("{other} is no codec").into()),
    })
}

fn record(value: usize) -> Record {
    let value = Some(value.to_string().into_bytes());
    Record { key: None, value, headers: BTreeMap::new(), timestamp: Utc::now() }
}

/// Sends at a rate until the standard input ends: a batch to one partition after the other.
async fn produce(options: &Options, stopping: &Stopping) -> Result<(), Fault> {
    let client = connect(options).await?;
    let partitions = partitions(&client, options.text("topic")?).await?;
    let codec = codec(options.get("codec"))?;
    let burst = (options.number("rate")? / 100).max(1);
    let mut sent = 0;
    for partition in partitions.iter().cycle() {
        if stopping.is_set() {
            break;
        }
        let records = (sent..sent + burst).map(record).collect();
        partition.produce(records, codec).await?;
        sent += burst;
        tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
    Ok(())
}
