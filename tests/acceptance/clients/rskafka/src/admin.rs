//! The calls of its controller and partition clients that one node has an answer to.

use chrono::{Duration, SubsecRound, Utc};
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};

use crate::events::{Fault, Options, expect};
use crate::{connect, record};

const TIMEOUT_MS: i32 = 5_000;
const RECORDS: i64 = 100;

/// Topics, offsets and the deletion of records.
pub async fn run(options: &Options) -> Result<(), Fault> {
    let client = connect(options).await?;
    let controller = client.controller_client()?;
    let topic = format!("{}-topic", options.text("prefix")?);
    controller.create_topic(&topic, 3, 1, TIMEOUT_MS).await?;
    let handling = UnknownTopicHandling::Retry;
    let partition = client.partition_client(&topic, 0, handling).await?;
    let topics = client.list_topics().await?;
    let found = topics.iter().find(|one| one.name == topic).map(|one| one.partitions.len());
    expect("create and list topics", found == Some(3), found)?;
    let twice = controller.create_topic(&topic, 3, 1, TIMEOUT_MS).await;
    let refused = matches!(
        twice,
        Err(Error::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. })
    );
    expect("create a topic twice", refused, twice)?;
    offsets(&partition).await?;
    controller.delete_topic(&topic, TIMEOUT_MS).await?;
    for _ in 0..100 {
        if !client.list_topics().await?.iter().any(|one| one.name == topic) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let left = client.list_topics().await?.iter().any(|one| one.name == topic);
    expect("delete topics", !left, left)
}

async fn offsets(partition: &PartitionClient) -> Result<(), Fault> {
    let first = (Utc::now() - Duration::minutes(10)).trunc_subsecs(3);
    let records = (0..RECORDS).map(|number| {
        let timestamp = first + Duration::milliseconds(number);
        rskafka::record::Record { timestamp, ..record(0) }
    });
    partition.produce(records.collect(), Compression::NoCompression).await?;
    let timed = OffsetAt::Timestamp(first + Duration::milliseconds(40));
    for (call, at, offset) in [
        ("list offsets: latest", OffsetAt::Latest, RECORDS),
        ("list offsets: by time", timed, 40),
        ("list offsets: earliest", OffsetAt::Earliest, 0),
    ] {
        let found = partition.get_offset(at).await?;
        expect(call, found == offset, found)?;
    }
    partition.delete_records(30, TIMEOUT_MS).await?;
    let found = partition.get_offset(OffsetAt::Earliest).await?;
    expect("delete records", found == 30, found)
}
