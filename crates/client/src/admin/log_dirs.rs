//! What brokers keep on their disks.

use std::collections::BTreeMap;

use ottla_types::{PartitionId, TopicName, TopicPartition};
use ottla_wire::messages::DescribeLogDirsRequest;

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
                dirs.extend(answer.results.iter().map(|dir| {
                    LogDirDescription {
                        broker,
                        path: dir.log_dir.into_owned(),
                        bytes_total: u64::try_from(dir.total_bytes).ok(),
                        bytes_usable: u64::try_from(dir.usable_bytes).ok(),
                        error: BrokerError::check(dir.error_code).err(),
                        replicas: (dir.topics.iter())
                            .flat_map(|topic| {
                                let sizes =
                                    topic.partitions.iter().filter(|each| !each.is_future_key);
                                let sizes = sizes.filter_map(|each| {
                                    let bytes = u64::try_from(each.partition_size).unwrap_or(0);
                                    Some((of(&topic.name, each.partition_index)?, bytes))
                                });
                                sizes.collect::<Vec<_>>()
                            })
                            .collect(),
                    }
                }));
            }
            Ok(dirs)
        })
        .await
    }
}

fn of(topic: &str, index: i32) -> Option<TopicPartition> {
    let (topic, partition) = (TopicName::parse(topic).ok()?, PartitionId::from_wire(index)?);
    Some(TopicPartition { topic, partition })
}
