//! The cases, and the figures that each is about.

/// Something to measure.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// For the report.
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    pub(crate) figures: &'static [Figure],
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// The generator with these options.
    Produce(&'static str),
    /// From nothing to the first answer.
    Start,
    /// A backlog from the disk beside live traffic, with these options. Only when it is named: it
    /// writes ten gigabytes a system.
    CatchUp(&'static str),
}

/// A number of the report: one sample's value, or one divided by another.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    /// Divides the value; empty for none.
    pub(crate) by: &'static str,
    pub(crate) factor: f64,
    /// Whether the ratio of a pair means something for it.
    pub(crate) compared: bool,
}

const fn figure(name: &'static str, value: &'static str, by: &'static str, factor: f64) -> Figure {
    Figure { name, value, by, factor, compared: true }
}

const fn noise(name: &'static str, value: &'static str) -> Figure {
    Figure { name, value, by: "", factor: 1.0, compared: false }
}

const SMALL: &[Figure] = &[
    figure("CPU, µs a request", "produce.broker_cpu_s", "produce.requests", 1e6),
    figure("requests/s", "produce.requests", "produce.wall_s", 1.0),
    noise("others' CPUs busy", "produce.foreign_cpus"),
];

/// 64 records of 1,000 bytes make a batch of 64 KiB; 16,000 of them a GB.
pub(crate) const CASES: [Case; 5] = [
    Case {
        name: "bulk",
        what: "16,000 requests of one 64 KiB batch (64 records, no codec), 12 partitions, \
               4 connections x 5 in flight, acks=all; then all of it read back, 1 MiB a fetch, \
               4 connections",
        kind: Kind::Produce("--requests 16000 --connections 4 --in-flight 5 --acks -1 --fetch"),
        figures: &[
            figure("produce: CPU-s/GB", "produce.broker_cpu_s", "produce.bytes", 1e9),
            figure("produce: MB/s", "produce.bytes", "produce.wall_s", 1e-6),
            figure("fetch: CPU-s/GB", "fetch.broker_cpu_s", "fetch.bytes", 1e9),
            figure("fetch: MB/s", "fetch.bytes", "fetch.wall_s", 1e-6),
            figure("resident at most, MiB", "rss_highest_kib", "", 1.0 / 1024.0),
            noise("others' CPUs busy, produce", "produce.foreign_cpus"),
        ],
    },
    Case {
        name: "small16",
        what: "200,000 requests of one record of 120 bytes (a batch of 191), 12 partitions, \
               16 connections x 5 in flight, acks=all",
        kind: Kind::Produce(
            "--requests 200000 --connections 16 --in-flight 5 --acks -1 --records 1 \
             --record-bytes 120",
        ),
        figures: SMALL,
    },
    Case {
        name: "small1",
        what: "as small16, 100,000 requests, 1 connection x 5 in flight",
        kind: Kind::Produce(
            "--requests 100000 --connections 1 --in-flight 5 --acks -1 --records 1 \
             --record-bytes 120",
        ),
        figures: SMALL,
    },
    Case {
        name: "start",
        what: "from starting the process on an empty folder (Kafka's formatted before) to its \
               first answer to ApiVersions; resident 2 s later",
        kind: Kind::Start,
        figures: &[
            figure("start, ms", "start.ms", "", 1.0),
            figure("idle, resident MiB", "idle.rss_kib", "", 1.0 / 1024.0),
        ],
    },
    Case {
        name: "catch-up",
        what: "10 GB in 12 partitions, dropped from the page cache and read back, 1 MiB a fetch, \
               4 connections; beside it 50 MB/s of 64 KiB batches, acks=1, and 1,000 probes a \
               second: single records, their delay counted from when they should have been sent \
               to when a consumer has them. Before that 20 s without the reading: the baseline",
        kind: Kind::CatchUp("--requests 155000 --partitions 12 --acks 1 --seconds 20"),
        figures: &[
            figure("catch-up, GB/s", "catch_up.bytes", "catch_up.wall_s", 1e-9),
            figure("catch-up: CPU-s/GB, live traffic included", CPU, "catch_up.bytes", 1e9),
            noise("bytes from the disk ÷ bytes read", "catch_up.disk_share"),
            figure("baseline: probes' p50, ms", "baseline.p50_us", "", 1e-3),
            figure("baseline: probes' p99, ms", "baseline.p99_us", "", 1e-3),
            figure("catching up: probes' p50, ms", "during.p50_us", "", 1e-3),
            figure("catching up: probes' p99, ms", "during.p99_us", "", 1e-3),
            figure("catching up: probes' p99.9, ms", "during.p999_us", "", 1e-3),
            figure("catching up: worst probe, ms", "during.max_us", "", 1e-3),
            figure("p99, catching up ÷ baseline", "during.p99_us", "baseline.p99_us", 1.0),
            figure("baseline: live MB/s", "baseline.live_bytes", "baseline.wall_s", 1e-6),
            figure("catching up: live MB/s", "during.live_bytes", "catch_up.wall_s", 1e-6),
        ],
    },
];

const CPU: &str = "catch_up.broker_cpu_s";
