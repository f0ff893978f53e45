//! The groups of a node, asked of all shards.

use std::sync::Arc;

use ottla_coordinator::{GroupAnswer, GroupRequest, SurveyedGroup, SurveyedOffset};
use ottla_types::Offset;

use super::report::{GroupReport, GroupsReport, ReadReport};
use crate::broker::Broker;
use crate::groups::Unavailable;

/// Every group, with as many offsets as may be: the first shards' go first.
pub(super) async fn report(broker: Arc<Broker>, offsets_max: usize) -> GroupsReport {
    let mut report = GroupsReport::default();
    let mut room = offsets_max;
    // One after the other: what all of them know together may be much.
    for partition in broker.groups.partitions() {
        let survey = GroupRequest::Survey { offsets_max: room };
        match broker.groups.ask_partition(partition, survey).await {
            Ok(GroupAnswer::Survey(surveyed)) => {
                report.offsets_left_out += surveyed.offsets_left_out;
                for group in surveyed.groups {
                    room = room.saturating_sub(group.offsets.len());
                    report.groups.push(told(&broker, group));
                }
            }
            Ok(other) => unreachable!("a shard answers what it was asked, and not {other:?}"),
            // Another node has them.
            Err(Unavailable::NotCoordinator) => {}
            Err(_) => report.shards_left_out += 1,
        }
    }
    report.groups.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    report
}

fn told(broker: &Broker, group: SurveyedGroup) -> GroupReport {
    GroupReport {
        name: group.group.as_str().to_owned(),
        state: group.state,
        protocol: group.kind.name(),
        members: group.members,
        offsets: group.offsets.into_iter().map(|offset| read(broker, offset)).collect(),
    }
}

fn read(broker: &Broker, offset: SurveyedOffset) -> ReadReport {
    let SurveyedOffset { topic, partition, offset } = offset;
    let entry = broker.partitions.topic(topic.as_str());
    let found = entry.as_ref().and_then(|entry| entry.partition(partition.get()).ok());
    let lag = found.map(|found| lag(found.bounds().high_watermark.offset, offset));
    ReadReport { topic, partition, offset, lag }
}

/// Nobody is ahead of what is committed: an offset that is, belongs to a topic before this one.
fn lag(high_watermark: Offset, read: Offset) -> u64 {
    u64::try_from(high_watermark.get() - read.get()).unwrap_or(0)
}
