//! DescribeLogDirs: the log directory of this node, its space, and how large its partitions are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_env::DiskExt;
use ottla_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::{Answer, Call, Refused, encode};
use crate::broker::Broker;
use crate::partition::Partition;

/// The partitions that are asked for, by topic; `None` for all.
type Asked = Option<BTreeMap<String, BTreeSet<i32>>>;

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let version = call.version;
    let request = DescribeLogDirsRequest::decode(&mut call.body, version)?;
    let asked: Asked = request.topics.as_ref().map(|topics| {
        let mut asked = BTreeMap::<String, BTreeSet<i32>>::new();
        for topic in topics {
            asked.entry(topic.topic.into_owned()).or_default().extend(topic.partitions.iter());
        }
        asked
    });
    let broker = Arc::clone(call.broker);
    Ok(Answer::Later(Box::pin(async move {
        // The directory was there when the node started; if it cannot be looked at now, the sizes
        // of what was written are known all the same.
        let space = broker.env.disk.space_of(&broker.config.log_dir).await.ok();
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let result = DescribeLogDirsResult {
            log_dir: broker.config.log_dir.display().to_string().into(),
            topics: topics(&broker, asked.as_ref()).into(),
            total_bytes: space.map_or(-1, |space| bytes(space.total_bytes)),
            usable_bytes: space.map_or(-1, |space| bytes(space.available_bytes)),
            is_cordoned: is_cordoned(&broker),
            ..Default::default()
        };
        let response =
            DescribeLogDirsResponse { results: vec![result].into(), ..Default::default() };
        encode(|writer| response.encode(writer, version))
    })))
}

fn topics(
    broker: &Broker,
    asked: Option<&BTreeMap<String, BTreeSet<i32>>>,
) -> Vec<DescribeLogDirsTopic<'static>> {
    let mut found: BTreeMap<String, Vec<DescribeLogDirsPartition<'static>>> = BTreeMap::new();
    let mut add = |partition: &Arc<Partition>| {
        found.entry(partition.name().topic.to_string()).or_default().push(told(partition));
    };
    match asked {
        None => broker.partitions.all().iter().filter(|it| !it.is_offline()).for_each(add),
        Some(asked) => {
            for (name, indexes) in asked {
                let topic = broker.partitions.topic(name);
                let here = indexes.iter().filter_map(|at| topic.as_ref()?.partition(*at).ok());
                here.for_each(&mut add);
            }
        }
    }
    found
        .into_iter()
        .map(|(name, partitions)| DescribeLogDirsTopic {
            name: name.into(),
            partitions: partitions.into(),
            ..Default::default()
        })
        .collect()
}

/// The leader is never behind its own high watermark, and nothing moves between directories.
fn told(partition: &Partition) -> DescribeLogDirsPartition<'static> {
    DescribeLogDirsPartition {
        partition_index: partition.name().partition.get(),
        partition_size: i64::try_from(partition.bytes()).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
        ..Default::default()
    }
}

/// With one directory, it is cordoned or the broker is not.
fn is_cordoned(broker: &Broker) -> bool {
    let image = broker.metadata.image();
    image.broker(broker.config.node_id).is_some_and(|broker| broker.is_cordoned())
}
