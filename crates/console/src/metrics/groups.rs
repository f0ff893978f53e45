//! Consumer groups: how far they have read, and what they have not.

use std::collections::BTreeMap;
use std::io;

use ottla_broker::GroupReport;
use ottla_types::TopicName;

use super::{Extent, Scraped, Section};
use crate::family::{Family, gauge};
use crate::page::Page;

const OF_TOPIC: &[&str] = &["consumergroup", "topic"];
const OF_PARTITION: &[&str] = &["consumergroup", "topic", "partition"];

static COUNT: Family = gauge(
    "kafka_coordinator_group_groupmetadatamanager_numgroups",
    &[],
    "Groups that this node coordinates.",
);
static STATES: Family =
    gauge("ottla_groups", &["protocol", "state"], "Groups by their protocol and Kafka's state.");
static MEMBERS: Family =
    gauge("kafka_consumergroup_members", &["consumergroup"], "Members of the group.");
static OFFSET_SUM: Family = gauge(
    "kafka_consumergroup_current_offset_sum",
    OF_TOPIC,
    "The sum of the offsets that the group has committed in the topic.",
);
static LAG_SUM: Family = gauge(
    "kafka_consumergroup_lag_sum",
    OF_TOPIC,
    "Committed records of the topic that the group has not read, as far as it has told.",
);
static OFFSET: Family = gauge(
    "kafka_consumergroup_current_offset",
    OF_PARTITION,
    "The next offset that the group reads, as it has committed.",
);
static LAG: Family = gauge(
    "kafka_consumergroup_lag",
    OF_PARTITION,
    "Committed records of the partition that the group has not read.",
);
static OFFSETS_LEFT_OUT: Family = gauge(
    "ottla_group_offsets_left_out",
    &[],
    "Committed offsets that this page does not tell of: it has room for 50,000.",
);
static SHARDS_LEFT_OUT: Family = gauge(
    "ottla_group_shards_left_out",
    &[],
    "Partitions of `__consumer_offsets` whose groups this page does not tell of: they are being \
     loaded, or have too much to do.",
);

pub(super) static SECTION: Section = Section {
    title: "Consumer groups",
    about: "Told by the node that coordinates the group. Lag is counted to the high watermark. A \
            group that has never committed has no lag, and no lines. At `/metrics/topics` sums only.",
    families: &[
        &COUNT,
        &STATES,
        &OFFSETS_LEFT_OUT,
        &SHARDS_LEFT_OUT,
        &MEMBERS,
        &OFFSET_SUM,
        &LAG_SUM,
        &OFFSET,
        &LAG,
    ],
};

/// How far a group has read of a topic.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    offset: i64,
    /// `None` where no partition is served here.
    lag: Option<u64>,
}

pub(super) async fn write(
    page: &mut Page<'_, '_>,
    scraped: &Scraped,
    extent: Extent,
) -> io::Result<()> {
    let groups = &scraped.groups.groups;
    counts(page, scraped);
    page.family(&MEMBERS);
    for group in groups {
        page.sample(&[&group.name], group.members);
        page.breathe().await?;
    }
    page.family(&OFFSET_SUM);
    for group in groups {
        for (topic, sum) in sums(group) {
            page.sample(&[&group.name, topic], sum.offset);
        }
        page.breathe().await?;
    }
    page.family(&LAG_SUM);
    for group in groups {
        for (topic, sum) in sums(group) {
            sum.lag.into_iter().for_each(|lag| page.sample(&[&group.name, topic], lag));
        }
        page.breathe().await?;
    }
    if extent == Extent::Partitions {
        partitions(page, groups).await?;
    }
    Ok(())
}

fn counts(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let groups = &scraped.groups;
    page.single(&COUNT, groups.groups.len());
    let mut states: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for group in &groups.groups {
        *states.entry((group.protocol, group.state)).or_default() += 1;
    }
    page.family(&STATES);
    for ((protocol, state), count) in &states {
        page.sample(&[protocol, state], count);
    }
    page.single(&OFFSETS_LEFT_OUT, groups.offsets_left_out);
    page.single(&SHARDS_LEFT_OUT, groups.shards_left_out);
}

fn sums(group: &GroupReport) -> BTreeMap<&TopicName, Sum> {
    let mut sums: BTreeMap<&TopicName, Sum> = BTreeMap::new();
    for read in &group.offsets {
        let sum = sums.entry(&read.topic).or_default();
        sum.offset = sum.offset.saturating_add(read.offset.get());
        if let Some(lag) = read.lag {
            sum.lag = Some(sum.lag.unwrap_or(0).saturating_add(lag));
        }
    }
    sums
}

async fn partitions(page: &mut Page<'_, '_>, groups: &[GroupReport]) -> io::Result<()> {
    page.family(&OFFSET);
    for group in groups {
        for read in &group.offsets {
            page.sample(&[&group.name, &read.topic, &read.partition], read.offset);
            page.breathe().await?;
        }
    }
    page.family(&LAG);
    for group in groups {
        for read in &group.offsets {
            if let Some(lag) = read.lag {
                page.sample(&[&group.name, &read.topic, &read.partition], lag);
                page.breathe().await?;
            }
        }
    }
    Ok(())
}
