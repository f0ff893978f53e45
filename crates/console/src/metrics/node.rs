//! One node: its process, its requests, its connections, its disk.

use ottla_broker::ConnectionReport;

use super::{Scraped, Section};
use crate::family::{Family, counter, gauge, histogram};
use crate::page::Page;

static BUILD: Family = gauge("ottla_build_info", &["version"], "The version that runs; always 1.");
static CPU: Family =
    counter("process_cpu_seconds_total", &[], "Processor time of the process in seconds.");
static RESIDENT: Family =
    gauge("process_resident_memory_bytes", &[], "Memory in use of the process in bytes.");
static VIRTUAL: Family =
    gauge("process_virtual_memory_bytes", &[], "Address space of the process in bytes.");
static THREADS: Family = gauge("process_threads", &[], "Threads of the process.");
static DEVICE_READ: Family = gauge(
    "kafka_server_kafkaserver_linux_disk_read_bytes",
    &[],
    "Bytes that storage devices were read for the process, since its start.",
);
static DEVICE_WRITTEN: Family = gauge(
    "kafka_server_kafkaserver_linux_disk_write_bytes",
    &[],
    "Bytes that the process had storage devices write, since its start.",
);
static OPEN_FILES: Family =
    gauge("process_open_fds", &[], "Open files and sockets of the process.");
static OPEN_FILES_MAX: Family =
    gauge("process_max_fds", &[], "How many open files and sockets the process may have.");
static STARTED: Family =
    gauge("process_start_time_seconds", &[], "When the node was started, in seconds since 1970.");
static STATE: Family = gauge(
    "kafka_server_kafkaserver_brokerstate",
    &[],
    "Kafka's number of the broker's state: 3 while it serves, 2 while it is fenced.",
);
static REQUESTS: Family = counter(
    "kafka_network_requestmetrics_requests_total",
    &["request"],
    "Requests that were answered, by API.",
);
static ERRORS: Family = counter(
    "kafka_network_requestmetrics_errors_total",
    &["request", "error"],
    "Partitions that Produce and Fetch were refused at, by error.",
);
static REQUEST_QUANTILES: Family = gauge(
    "kafka_network_requestmetrics_totaltimems",
    &["request", "quantile"],
    "Time from a request's arrival to its answer in milliseconds, of the last minutes; found \
     within buckets that double.",
);
static REQUEST_TIMES: Family = histogram(
    "ottla_request_seconds",
    &["request"],
    "Time from a request's arrival to its answer in seconds, waits that it asked for included.",
);
static CONNECTIONS: Family = gauge(
    "kafka_server_socket_server_metrics_connection_count",
    &["listener", "networkProcessor"],
    "Open connections, by listener and by the event loop that they are on.",
);
static CONNECTIONS_OPENED: Family = counter(
    "kafka_server_socket_server_metrics_connection_creation_total",
    &["listener", "networkProcessor"],
    "Connections that were opened, by listener and the event loop that took them.",
);
static CONNECTIONS_CLOSED: Family = counter(
    "kafka_server_socket_server_metrics_connection_close_total",
    &["listener", "networkProcessor"],
    "Connections that have ended, by listener and the event loop that they were on.",
);
static SOFTWARE: Family = gauge(
    "kafka_server_socket_server_metrics_connections_software",
    &["clientSoftwareName", "clientSoftwareVersion"],
    "Open connections of clients that say what they are (KIP-511).",
);
static CONNECTIONS_REFUSED: Family = counter(
    "ottla_connections_refused_total",
    &["reason"],
    "Connections that were closed for a length that no frame has, for a request that cannot be \
     read or is not served, for being late, or refused because their address has as many as it may \
     have.",
);
static REQUEST_MEMORY: Family = gauge(
    "ottla_request_memory_bytes",
    &[],
    "Bytes that connections hold of requests and answers.",
);
static SESSIONS: Family = gauge(
    "kafka_server_fetchsessioncache_numincrementalfetchsessions",
    &[],
    "Open fetch sessions (KIP-227).",
);
static SYNC_QUANTILES: Family = gauge(
    "kafka_log_logflushstats_logflushrateandtimems",
    &["quantile"],
    "Time that it took to make what was appended durable in milliseconds, of the last minutes.",
);
static SYNC_TIMES: Family = histogram(
    "ottla_log_sync_seconds",
    &[],
    "Time that it took to make what was appended durable in seconds; one sync covers all \
     partitions.",
);
static UNSYNCED: Family = gauge(
    "ottla_log_unsynced_bytes",
    &[],
    "Bytes that were appended and are not durable yet; at 256 MiB appends wait.",
);
static DIR_BYTES: Family = gauge(
    "ottla_log_dir_size_bytes",
    &[],
    "Size in bytes of the file system that has the log directory.",
);
static DIR_FREE: Family =
    gauge("ottla_log_dir_free_bytes", &[], "Bytes of it that the node may still write.");
static DIR_TAKES: Family = gauge(
    "ottla_log_dir_takes_records",
    &[],
    "1 while there is room for records, 0 while Produce is refused for want of it.",
);
static DIRS_OFFLINE: Family = gauge(
    "kafka_log_logmanager_offlinelogdirectorycount",
    &[],
    "Log directories that have failed: none, for a node ends when its only one does.",
);
static LOCK_WAITS: Family = counter(
    "ottla_partition_lock_waits_total",
    &[],
    "How often an event loop waited for another one at a partition.",
);

pub(super) static SECTION: Section = Section {
    title: "The node",
    about: "Process, requests, connections and disk of the node that is asked.",
    families: &[
        &BUILD,
        &CPU,
        &RESIDENT,
        &VIRTUAL,
        &THREADS,
        &DEVICE_READ,
        &DEVICE_WRITTEN,
        &OPEN_FILES,
        &OPEN_FILES_MAX,
        &STARTED,
        &STATE,
        &REQUESTS,
        &ERRORS,
        &REQUEST_QUANTILES,
        &REQUEST_TIMES,
        &CONNECTIONS,
        &CONNECTIONS_OPENED,
        &CONNECTIONS_CLOSED,
        &SOFTWARE,
        &CONNECTIONS_REFUSED,
        &REQUEST_MEMORY,
        &SESSIONS,
        &SYNC_QUANTILES,
        &SYNC_TIMES,
        &UNSYNCED,
        &DIR_BYTES,
        &DIR_FREE,
        &DIR_TAKES,
        &DIRS_OFFLINE,
        &LOCK_WAITS,
    ],
};

/// As the JMX exporter spells them.
const QUANTILES: [(&str, f64); 6] = [
    ("0.50", 0.5),
    ("0.75", 0.75),
    ("0.95", 0.95),
    ("0.98", 0.98),
    ("0.99", 0.99),
    ("0.999", 0.999),
];

/// Kafka's `BrokerState`.
const RECOVERY: u8 = 2;
const RUNNING: u8 = 3;

pub(super) fn write(page: &mut Page<'_, '_>, scraped: &Scraped, version: &str) {
    process(page, scraped, version);
    requests(page, scraped);
    connections(page, scraped);
    disk(page, scraped);
}

fn process(page: &mut Page<'_, '_>, scraped: &Scraped, version: &str) {
    let node = &scraped.node;
    page.family(&BUILD);
    page.sample(&[&version], 1);
    let usage = node.process;
    let mut maybe = |family, value: Option<f64>| {
        page.family(family);
        value.into_iter().for_each(|value| page.sample(&[], value));
    };
    maybe(&CPU, usage.map(|usage| usage.cpu.as_secs_f64()));
    maybe(&RESIDENT, usage.map(|usage| usage.resident_bytes as f64));
    maybe(&VIRTUAL, usage.map(|usage| usage.virtual_bytes as f64));
    maybe(&THREADS, usage.map(|usage| usage.threads as f64));
    maybe(&DEVICE_READ, usage.and_then(|usage| usage.device_read_bytes).map(|it| it as f64));
    let written = usage.and_then(|usage| usage.device_written_bytes);
    maybe(&DEVICE_WRITTEN, written.map(|it| it as f64));
    maybe(&OPEN_FILES, usage.map(|usage| usage.open_files as f64));
    maybe(&OPEN_FILES_MAX, usage.and_then(|usage| usage.open_files_max).map(|max| max as f64));
    page.single(&STARTED, node.started.millis() as f64 / 1e3);
    let own = node.brokers.iter().find(|broker| broker.id == node.node);
    let serves = own.is_some_and(|own| !own.fenced);
    page.single(&STATE, if serves { RUNNING } else { RECOVERY });
}

fn requests(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let node = &scraped.node;
    page.family(&REQUESTS);
    for request in &node.requests {
        page.sample(&[&request.name], request.times.count());
    }
    page.family(&ERRORS);
    for error in &node.errors {
        page.sample(&[&error.request, &error.error], error.count);
    }
    page.family(&REQUEST_QUANTILES);
    for request in &node.requests {
        let lately = scraped.lately.requests(request.name, &request.times);
        for (name, part) in QUANTILES {
            if let Some(seconds) = lately.quantile_seconds(part) {
                page.sample(&[&request.name, &name], seconds * 1e3);
            }
        }
    }
    page.family(&REQUEST_TIMES);
    for request in &node.requests {
        page.times(&[&request.name], &request.times);
    }
}

fn connections(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let node = &scraped.node;
    let mut each = |family, value: fn(&ConnectionReport) -> u64| {
        page.family(family);
        for it in &node.connections {
            page.sample(&[&it.listener, &it.on_loop], value(it));
        }
    };
    each(&CONNECTIONS, |it| it.open);
    each(&CONNECTIONS_OPENED, |it| it.opened);
    each(&CONNECTIONS_CLOSED, |it| it.closed);
    page.family(&SOFTWARE);
    for (software, count) in &node.software {
        page.sample(&[&software.name, &software.version], count);
    }
    page.family(&CONNECTIONS_REFUSED);
    for (reason, count) in &node.refused {
        page.sample(&[reason], count);
    }
    page.single(&REQUEST_MEMORY, node.request_memory_bytes);
    page.single(&SESSIONS, node.fetch_sessions);
}

fn disk(page: &mut Page<'_, '_>, scraped: &Scraped) {
    let node = &scraped.node;
    page.family(&SYNC_QUANTILES);
    let lately = scraped.lately.syncs(&node.syncs);
    for (name, part) in QUANTILES {
        if let Some(seconds) = lately.quantile_seconds(part) {
            page.sample(&[&name], seconds * 1e3);
        }
    }
    page.family(&SYNC_TIMES);
    page.times(&[], &node.syncs);
    page.single(&UNSYNCED, node.unsynced_bytes);
    for (family, bytes) in [
        (&DIR_BYTES, scraped.space.map(|space| space.total_bytes)),
        (&DIR_FREE, scraped.space.map(|space| space.available_bytes)),
    ] {
        page.family(family);
        bytes.into_iter().for_each(|bytes| page.sample(&[], bytes));
    }
    page.single(&DIR_TAKES, u8::from(node.has_room));
    page.single(&DIRS_OFFLINE, 0);
    page.single(&LOCK_WAITS, node.lock_waits);
}
