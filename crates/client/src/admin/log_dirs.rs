//! What brokers keep on their disks.

use std::collections::BTreeMap;

use ottla_types::{PartitionId, TopicName, TopicPartition};
use ottla_wire::messages::DescribeLogDirsRequest;
use ottla_wire::messages::describe_log_dirs_response::DescribeLogDirsResult;

use super::{Admin, AdminError, Repeat};
use crate::cluster::Lane;
use crate::error::BrokerError;

/// A log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDirDescription {
    /// Whose it is.
    pub broker: i32,
    /// Where it lies there.
    pub path: String,
    /// The size of its file system in bytes, where the broker says it.
    pub bytes_total: Option<u64>,
    /// How much of that is free.
    pub bytes_usable: Option<u64>,
    /// The bytes of each replica in it.
    pub replicas: BTreeMap<TopicPartition, u64>,
    /// How many records each of them is behind its leader.
    pub lags: BTreeMap<TopicPartition, i64>,
    /// Why it is not served.
    pub error: Option<BrokerError>,
}

impl Admin {
    /// The log directories of all brokers.
    ///
    /// # Errors
    /// When a broker refuses, or does not answer in time.
    pub async fn log_dirs(&self) -> Result<Vec<LogDirDescription>, AdminError> {
        self.persist("describe the log directories", Repeat::Always, async || {
            self.cluster.refresh(Some(&[])).await?;
            let mut dirs = Vec::new();
            for broker in self.cluster.nodes() {
                let request =
                    DescribeLogDirsRequest { topics: None, ..DescribeLogDirsRequest::default() };
                let answer = self.cluster.call(broker, Lane::COMMON, &request).await?;
                let answer = answer.get();
                BrokerError::check(answer.error_code)?;
                dirs.extend(answer.results.iter().map(|dir| described(broker, dir)));
            }
            Ok(dirs)
        })
        .await
    }
}

fn described(broker: i32, dir: DescribeLogDirsResult<'_>) -> LogDirDescription {
    let (mut replicas, mut lags) = (BTreeMap::new(), BTreeMap::new());
    for topic in &dir.topics {
        for each in topic.partitions.iter().filter(|each| !each.is_future_key) {
            let Some(partition) = of(&topic.name, each.partition_index) else { continue };
            replicas.insert(partition.clone(), u64::try_from(each.partition_size).unwrap_or(0));
            lags.insert(partition, each.offset_lag);
        }
    }
    LogDirDescription {
        broker,
        path: dir.log_dir.into_owned(),
        bytes_total: u64::try_from(dir.total_bytes).ok(),
        bytes_usable: u64::try_from(dir.usable_bytes).ok(),
        replicas,
        lags,
        error: BrokerError::check(dir.error_code).err(),
    }
}

fn of(topic: &str, index: i32) -> Option<TopicPartition> {
    let (topic, partition) = (TopicName::parse(topic).ok()?, PartitionId::from_wire(index)?);
    Some(TopicPartition { topic, partition })
}
