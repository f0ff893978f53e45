//! Single partitions.

use std::io;

use ottla_broker::{LogReport, PartitionReport};
use ottla_types::BrokerId;

use super::{Scraped, Section};
use crate::family::{Family, gauge};
use crate::page::Page;

const LABELS: &[&str] = &["topic", "partition"];

static CURRENT: Family = gauge(
    "kafka_topic_partition_current_offset",
    LABELS,
    "Where the committed records end: the next offset that a consumer will be given.",
);
static OLDEST: Family =
    gauge("kafka_topic_partition_oldest_offset", LABELS, "The first offset that can be read.");
static IN_SYNC: Family =
    gauge("kafka_topic_partition_in_sync_replica", LABELS, "Replicas that are in sync.");
static REPLICAS: Family = gauge("kafka_topic_partition_replicas", LABELS, "Replicas.");
static LEADER: Family = gauge(
    "kafka_topic_partition_leader",
    LABELS,
    "The number of the broker that leads, -1 for none.",
);
static PREFERRED: Family = gauge(
    "kafka_topic_partition_leader_is_preferred",
    LABELS,
    "1 if the preferred leader leads, 0 if not.",
);
static UNDER_REPLICATED: Family = gauge(
    "kafka_topic_partition_under_replicated_partition",
    LABELS,
    "1 if fewer replicas are in sync than there are, 0 if not.",
);
static UNDER_MIN_ISR: Family = gauge(
    "kafka_cluster_partition_underminisr",
    LABELS,
    "1 if fewer replicas are in sync than acks=all needs, 0 if not.",
);
static AT_MIN_ISR: Family = gauge(
    "kafka_cluster_partition_atminisr",
    LABELS,
    "1 if no more replicas are in sync than acks=all needs, 0 if not.",
);
static SIZE: Family =
    gauge("kafka_log_log_size", LABELS, "Size of the log in bytes: its record batches.");
static START: Family =
    gauge("kafka_log_log_logstartoffset", LABELS, "The first offset of the log.");
static END: Family = gauge("kafka_log_log_logendoffset", LABELS, "The next offset of the log.");
static SEGMENTS: Family =
    gauge("kafka_log_log_numlogsegments", LABELS, "Segment files of the log.");

pub(super) static SECTION: Section = Section {
    title: "Partitions",
    about: "Not at `/metrics/topics`. What is told of a log is told by the node that leads it.",
    families: &[
        &IN_SYNC,
        &REPLICAS,
        &LEADER,
        &PREFERRED,
        &UNDER_REPLICATED,
        &UNDER_MIN_ISR,
        &AT_MIN_ISR,
        &CURRENT,
        &OLDEST,
        &SIZE,
        &START,
        &END,
        &SEGMENTS,
    ],
};

type OfPartition = fn(&PartitionReport) -> i64;
type OfLog = fn(&LogReport) -> i64;

static OF_PARTITIONS: [(&Family, OfPartition); 7] = [
    (&IN_SYNC, |it| count(it.in_sync)),
    (&REPLICAS, |it| count(it.replicas)),
    (&LEADER, |it| BrokerId::to_wire(it.leader).into()),
    (&PREFERRED, |it| i64::from(it.leader.is_some() && it.leader == it.preferred)),
    (&UNDER_REPLICATED, |it| i64::from(it.is_under_replicated())),
    (&UNDER_MIN_ISR, |it| i64::from(it.is_under_min_isr())),
    (&AT_MIN_ISR, |it| i64::from(it.is_at_min_isr())),
];

static OF_LOGS: [(&Family, OfLog); 6] = [
    (&CURRENT, |log| log.high_watermark.get()),
    (&OLDEST, |log| log.start.get()),
    (&SIZE, |log| i64::try_from(log.bytes).unwrap_or(i64::MAX)),
    (&START, |log| log.start.get()),
    (&END, |log| log.end.get()),
    (&SEGMENTS, |log| count(log.segments)),
];

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

pub(super) async fn write(page: &mut Page<'_, '_>, scraped: &Scraped) -> io::Result<()> {
    for (family, of) in &OF_PARTITIONS {
        each(page, scraped, family, |partition| Some(of(partition))).await?;
    }
    for (family, of) in &OF_LOGS {
        each(page, scraped, family, |partition| partition.log.as_ref().map(of)).await?;
    }
    Ok(())
}

async fn each(
    page: &mut Page<'_, '_>,
    scraped: &Scraped,
    family: &'static Family,
    of: impl Fn(&PartitionReport) -> Option<i64>,
) -> io::Result<()> {
    page.family(family);
    for topic in &scraped.topics {
        for partition in &topic.partitions {
            if let Some(value) = of(partition) {
                page.sample(&[&topic.name, &partition.index], value);
                page.breathe().await?;
            }
        }
    }
    Ok(())
}
