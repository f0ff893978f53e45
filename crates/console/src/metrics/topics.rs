//! Topics, and what goes through them.

use std::io;

use ottla_broker::TrafficReport;

use super::{Scraped, Section};
use crate::family::{Family, counter, gauge};
use crate::page::Page;

static PARTITIONS: Family = gauge("kafka_topic_partitions", &["topic"], "Partitions of the topic.");
static RECORDS_IN: Family = counter(
    "kafka_server_brokertopicmetrics_messagesin_total",
    &["topic"],
    "Records that were appended.",
);
static BYTES_IN: Family = counter(
    "kafka_server_brokertopicmetrics_bytesin_total",
    &["topic"],
    "Bytes of record batches that were appended.",
);
static BYTES_OUT: Family = counter(
    "kafka_server_brokertopicmetrics_bytesout_total",
    &["topic"],
    "Bytes of record batches that consumers were answered with.",
);
static BYTES_REJECTED: Family = counter(
    "kafka_server_brokertopicmetrics_bytesrejected_total",
    &["topic"],
    "Bytes of record batches that were refused for their size.",
);
static PRODUCED: Family = counter(
    "kafka_server_brokertopicmetrics_totalproducerequests_total",
    &["topic"],
    "Batches that producers sent, a partition of a request each, refused ones included.",
);
static FETCHED: Family = counter(
    "kafka_server_brokertopicmetrics_totalfetchrequests_total",
    &["topic"],
    "Partitions that answers to consumers told of.",
);
static FETCHES_FAILED: Family = counter(
    "kafka_server_brokertopicmetrics_failedfetchrequests_total",
    &["topic"],
    "Reads for consumers that a damaged log, or the disk, had fail.",
);
static REFUSED: Family = counter(
    "kafka_server_brokertopicmetrics_failedproducerequests_total",
    &["topic"],
    "Batches that were refused.",
);

pub(super) static SECTION: Section = Section {
    title: "Topics",
    about: "Each counter also stands without a label, for all topics together, those included that \
            were deleted meanwhile: `topic!=\"\"` in a query leaves that out, `topic=\"\"` takes it \
            alone.",
    families: &[
        &PARTITIONS,
        &RECORDS_IN,
        &BYTES_IN,
        &BYTES_OUT,
        &BYTES_REJECTED,
        &PRODUCED,
        &FETCHED,
        &REFUSED,
        &FETCHES_FAILED,
    ],
};

type Counted = fn(&TrafficReport) -> u64;

/// What is counted in both directions.
static COUNTERS: [(&Family, Counted); 8] = [
    (&RECORDS_IN, |traffic| traffic.records_in),
    (&BYTES_IN, |traffic| traffic.bytes_in),
    (&BYTES_OUT, |traffic| traffic.bytes_out),
    (&BYTES_REJECTED, |traffic| traffic.refused_bytes),
    (&PRODUCED, |traffic| traffic.appends + traffic.refused_appends),
    (&FETCHED, |traffic| traffic.fetches),
    (&REFUSED, |traffic| traffic.refused_appends),
    (&FETCHES_FAILED, |traffic| traffic.failed_fetches),
];

pub(super) async fn write(page: &mut Page<'_, '_>, scraped: &Scraped) -> io::Result<()> {
    page.family(&PARTITIONS);
    for topic in &scraped.topics {
        page.sample(&[&topic.name], topic.partitions.len());
        page.breathe().await?;
    }
    for (family, counted) in &COUNTERS {
        page.family(family);
        page.sum(counted(&scraped.total));
        for topic in &scraped.topics {
            page.sample(&[&topic.name], counted(&topic.traffic));
            page.breathe().await?;
        }
    }
    Ok(())
}
