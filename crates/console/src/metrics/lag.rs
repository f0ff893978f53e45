//! Lag in records and in seconds, by the names of kafka-lag-exporter.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use ottla_broker::{GroupReport, ReadReport, Watch};
use ottla_env::Clock;
use ottla_types::{Timestamp, TopicName};

use super::{Extent, Scraped, Section};
use crate::family::{Family, gauge};
use crate::page::Page;
use crate::within::pause;

const OF_GROUP: &[&str] = &["cluster_name", "group"];
const OF_TOPIC: &[&str] = &["cluster_name", "group", "topic"];
const OF_PARTITION: &[&str] = &["cluster_name", "group", "topic", "partition"];

static MAX_LAG: Family = gauge(
    "kafka_consumergroup_group_max_lag",
    OF_GROUP,
    "The largest lag that the group has in a partition, in records.",
);
static MAX_SECONDS: Family = gauge(
    "kafka_consumergroup_group_max_lag_seconds",
    OF_GROUP,
    "The largest lag that the group has in a partition, in seconds.",
);
static SUM_LAG: Family = gauge(
    "kafka_consumergroup_group_sum_lag",
    OF_GROUP,
    "Committed records that the group has not read, in all topics.",
);
static TOPIC_SUM_LAG: Family = gauge(
    "kafka_consumergroup_group_topic_sum_lag",
    OF_TOPIC,
    "Committed records of the topic that the group has not read.",
);
static LAG: Family = gauge(
    "kafka_consumergroup_group_lag",
    OF_PARTITION,
    "Committed records of the partition that the group has not read.",
);
static SECONDS: Family = gauge(
    "kafka_consumergroup_group_lag_seconds",
    OF_PARTITION,
    "How long the oldest record has been waiting that the group has not read.",
);
static LEFT_OUT: Family = gauge(
    "ottla_group_lag_seconds_left_out",
    &[],
    "Partitions of groups whose lag in seconds this page does not tell, for it took too long to \
     find out.",
);

pub(super) static SECTION: Section = Section {
    title: "Lag, as kafka-lag-exporter tells it",
    about: "`cluster_name` is the cluster's id. Seconds are not estimated: they go from the \
            timestamp of the first unread batch (of its first record, or of its append where the \
            topic has `message.timestamp.type=LogAppendTime`) to now, and are 0 where nothing is \
            unread. Where a group has committed in the middle of a batch, that is the batch. A \
            partition whose unread records have no timestamps has no seconds. At `/metrics/topics` \
            without single partitions.",
    families: &[&LEFT_OUT, &MAX_LAG, &MAX_SECONDS, &SUM_LAG, &TOPIC_SUM_LAG, &LAG, &SECONDS],
};

/// What a page may spend on finding out how old records are. A look takes microseconds, and
/// milliseconds where the device has to be read: there is time for some thousand of those.
const LOOKING_TIME_MAX: Duration = Duration::from_secs(2);

/// Looks before the loop's other tasks have their turn: less than a millisecond.
const LOOKS_AT_ONCE: usize = 64;

/// How old the oldest record is that a group has not read, for each committed offset of each group.
#[derive(Debug, Default)]
pub(super) struct Ages {
    /// In the order of the groups and offsets that were reported; `None` where it is not known.
    seconds: Vec<Vec<Option<f64>>>,
    left_out: u64,
}

impl Ages {
    /// Looks at the logs of what the groups read.
    pub(super) async fn find(groups: &[GroupReport], watch: &Watch, clock: &dyn Clock) -> Self {
        let (until, mut looks) = (clock.mono().after(LOOKING_TIME_MAX), 0);
        let mut ages = Self::default();
        for group in groups {
            let mut seconds = Vec::with_capacity(group.offsets.len());
            for read in &group.offsets {
                let late = clock.mono() > until;
                ages.left_out += u64::from(late && read.lag > Some(0));
                seconds.push(if late { None } else { age(read, watch, clock).await });
                looks += usize::from(read.lag > Some(0));
                if looks >= LOOKS_AT_ONCE {
                    looks = 0;
                    pause().await;
                }
            }
            ages.seconds.push(seconds);
        }
        ages
    }
}

async fn age(read: &ReadReport, watch: &Watch, clock: &dyn Clock) -> Option<f64> {
    if read.lag? == 0 {
        return Some(0.0);
    }
    let written = watch.written_at(&read.topic, read.partition, read.offset).await?;
    Some(seconds_between(written, clock.wall()))
}

/// A record from the future is as young as one can be.
fn seconds_between(written: Timestamp, now: Timestamp) -> f64 {
    now.millis().saturating_sub(written.millis()).max(0) as f64 / 1e3
}

/// A group, and the ages that belong to its offsets.
type Aged<'a> = (&'a GroupReport, &'a [Option<f64>]);

fn reads<'a>((group, ages): Aged<'a>) -> impl Iterator<Item = (&'a ReadReport, Option<f64>)> {
    group.offsets.iter().zip(ages.iter().copied())
}

pub(super) async fn write(
    page: &mut Page<'_, '_>,
    scraped: &Scraped,
    extent: Extent,
) -> io::Result<()> {
    page.single(&LEFT_OUT, scraped.ages.left_out);
    let lags = |(group, _): Aged<'_>| -> Vec<u64> {
        group.offsets.iter().filter_map(|read| read.lag).collect()
    };
    of_groups(page, scraped, &MAX_LAG, |aged| lags(aged).into_iter().max()).await?;
    of_groups(page, scraped, &MAX_SECONDS, |aged| {
        reads(aged).filter_map(|(_, age)| age).max_by(f64::total_cmp)
    })
    .await?;
    of_groups(page, scraped, &SUM_LAG, |aged| lags(aged).into_iter().reduce(u64::saturating_add))
        .await?;
    page.family(&TOPIC_SUM_LAG);
    for group in &scraped.groups.groups {
        for (topic, lag) in topics(group) {
            page.sample(&[&scraped.node.cluster, &group.name, topic], lag);
        }
        page.breathe().await?;
    }
    if extent == Extent::Partitions {
        of_partitions(page, scraped, &LAG, |read, _| read.lag).await?;
        of_partitions(page, scraped, &SECONDS, |_, age| age).await?;
    }
    Ok(())
}

fn topics(group: &GroupReport) -> BTreeMap<&TopicName, u64> {
    let mut topics: BTreeMap<&TopicName, u64> = BTreeMap::new();
    for read in &group.offsets {
        if let Some(lag) = read.lag {
            let sum = topics.entry(&read.topic).or_default();
            *sum = sum.saturating_add(lag);
        }
    }
    topics
}

async fn of_groups<V: Display>(
    page: &mut Page<'_, '_>,
    scraped: &Scraped,
    family: &'static Family,
    of: impl Fn(Aged<'_>) -> Option<V>,
) -> io::Result<()> {
    page.family(family);
    for (group, ages) in scraped.groups.groups.iter().zip(&scraped.ages.seconds) {
        if let Some(value) = of((group, ages)) {
            page.sample(&[&scraped.node.cluster, &group.name], value);
        }
        page.breathe().await?;
    }
    Ok(())
}

async fn of_partitions<V: Display>(
    page: &mut Page<'_, '_>,
    scraped: &Scraped,
    family: &'static Family,
    of: impl Fn(&ReadReport, Option<f64>) -> Option<V>,
) -> io::Result<()> {
    page.family(family);
    for (group, ages) in scraped.groups.groups.iter().zip(&scraped.ages.seconds) {
        for (read, age) in reads((group, ages)) {
            if let Some(value) = of(read, age) {
                let labels: [&dyn Display; 4] =
                    [&scraped.node.cluster, &group.name, &read.topic, &read.partition];
                page.sample(&labels, value);
                page.breathe().await?;
            }
        }
    }
    Ok(())
}
