//! The cases. Their numbers are those of `docs/performance.md`; goals are ratios that the lower end
//! of the interval has to reach.

use super::cases::{Case, Figure, Kind, Placement, Row, about, less, more};
use super::systems::System::{self, Fsync, Kafka, KafkaArchived, KafkaFsync, PageCache};

/// In the order in which they run: what leaves thousands of files comes last.
pub(crate) static CASES: &[Case] = &[
    Case { name: "bulk", rows: BULK, ..LOAD },
    Case { name: "bulk-fsync", systems: SYNCED, pairs: SYNCED_PAIRS, rows: BULK_FSYNC, ..LOAD },
    Case { name: "bulk-free", placement: Placement::Free, rows: BULK_FREE, ..LOAD },
    Case { name: "compressed", rows: COMPRESSED, ..LOAD },
    Case { name: "reads", rows: READS, ..LOAD },
    Case { name: "small", rows: SMALL, ..LOAD },
    Case { name: "small-fsync", systems: SYNCED, pairs: SYNCED_PAIRS, rows: SMALL_FSYNC, ..LOAD },
    Case {
        name: "noise",
        systems: &[PageCache, PageCache, Kafka, Kafka],
        pairs: &[(0, 1), (2, 3)],
        rows: NOISE,
        ..LOAD
    },
    Case { name: "producers", rows: PRODUCERS, ..LOAD },
    Case { name: "fan-out", placement: Placement::Free, rows: FAN_OUT, ..LOAD },
    Case { name: "latency", placement: Placement::Free, rows: LATENCY, ..LOAD },
    Case {
        name: "latency-fsync",
        systems: SYNCED,
        pairs: SYNCED_PAIRS,
        placement: Placement::Free,
        rows: LATENCY_FSYNC,
        ..LOAD
    },
    Case { name: "storm", rows: STORM, ..LOAD },
    Case {
        name: "start",
        systems: &[PageCache, Kafka, KafkaArchived],
        pairs: &[(0, 1), (0, 2)],
        placement: Placement::Free,
        kind: Kind::Start,
        rows: START,
        ..LOAD
    },
    Case {
        name: "groups",
        placement: Placement::Free,
        kind: Kind::Fresh { warm_up: "--members 20 --partitions 40 --no-death", needs_data: false },
        properties: &[
            "group.initial.rebalance.delay.ms=0",
            "group.consumer.min.session.timeout.ms=6000",
            "group.consumer.session.timeout.ms=6000",
            "group.consumer.min.heartbeat.interval.ms=1000",
            "group.consumer.heartbeat.interval.ms=1000",
            ONE_REPLICA,
        ],
        rows: GROUPS,
        ..LOAD
    },
    Case {
        name: "groups-default",
        placement: Placement::Free,
        kind: Kind::Fresh { warm_up: "--members 20 --partitions 40 --no-death", needs_data: false },
        properties: &[ONE_REPLICA],
        rows: GROUPS_DEFAULT,
        ..LOAD
    },
    Case {
        name: "catch-up",
        placement: Placement::Free,
        kind: Kind::Fresh { warm_up: "", needs_data: true },
        rows: CATCH_UP,
        ..LOAD
    },
    Case {
        name: "compaction",
        placement: Placement::Free,
        kind: Kind::Fresh { warm_up: "", needs_data: true },
        properties: &[
            "log.segment.delete.delay.ms=500",
            "log.cleaner.backoff.ms=500",
            "log.cleaner.min.cleanable.ratio=0.01",
        ],
        rows: COMPACTION,
        ..LOAD
    },
    Case { name: "partitions", for_kafka: &[SMALL_INDEXES], rows: PARTITIONS, ..LOAD },
    Case {
        name: "topics",
        placement: Placement::Free,
        kind: Kind::Fresh { warm_up: "--topics 50", needs_data: false },
        for_kafka: &[SMALL_INDEXES],
        rows: TOPICS,
        ..LOAD
    },
    Case {
        name: "restart",
        placement: Placement::Free,
        kind: Kind::Restart,
        // As many threads as there are processors here, which is what we use; Kafka's default is 2.
        for_kafka: &[SMALL_INDEXES, "num.recovery.threads.per.data.dir=2"],
        rows: RESTART,
        ..LOAD
    },
];

const ONE_REPLICA: &str = "offsets.topic.replication.factor=1";

/// Kafka maps two index files of 10 MB a partition, holes that the kernel's read-ahead fills.
const SMALL_INDEXES: &str = "log.index.size.max.bytes=65536";

/// What most cases are.
const LOAD: Case = Case {
    name: "",
    systems: &[PageCache, Kafka],
    pairs: &[(0, 1)],
    placement: Placement::Pinned,
    // Deleted topics leave the disk at once: it is small.
    properties: &["log.segment.delete.delay.ms=500"],
    for_kafka: &[],
    kind: Kind::Load,
    rows: &[],
};

const SYNCED: &[System] = &[Fsync, KafkaFsync, Kafka];
const SYNCED_PAIRS: &[(usize, usize)] = &[(0, 1), (0, 2)];

const ROW: Row = Row {
    name: "",
    what: "",
    command: "produce",
    full: "",
    short: "",
    seconds: [0.0, 0.0],
    short_pairs_max: usize::MAX,
    warm_ups_later: 1,
    figures: &[],
};

const PRODUCE_CPU: Figure = less("CPU-s/GB", "produce.broker_cpu_s", "produce.plain_bytes", 1e9);
const PRODUCE_RATE: Figure = more("MB/s", "produce.plain_bytes", "produce.wall_s", 1e-6);
const RESIDENT: Figure = less("resident at most, MiB", "rss_highest_kib", "", 1.0 / 1024.0);
const OTHERS: Figure = about("others' CPUs busy", "produce.foreign_cpus", "", 1.0);
const GENERATOR: Figure =
    about("generator's CPU ÷ broker's", "produce.generator_cpu_s", "produce.broker_cpu_s", 1.0);
const REQUEST: Figure = less("CPU, µs a request", "produce.broker_cpu_s", "produce.requests", 1e6);
const REQUESTS: Figure = more("requests/s", "produce.requests", "produce.wall_s", 1.0);

/// 64 records of 1,000 bytes make a batch of 64 KiB; 15,625 of them a GB.
const BULK: &[Row] = &[Row {
    name: "64 KiB",
    what: "requests of one batch of 64 KiB (64 records, no codec), 2 GB a run (short: 1 GB), 12 \
           partitions, 4 connections x 5 in flight, acks=1",
    full: "--requests 31250 --acks 1 --delete",
    short: "--requests 15625 --acks 1 --delete",
    seconds: [6.0, 3.5],
    figures: &[PRODUCE_CPU.goals(&[(0, 4.0)]), PRODUCE_RATE, RESIDENT, GENERATOR, OTHERS],
    ..ROW
}];

const BULK_FSYNC: &[Row] = &[Row {
    name: "64 KiB",
    what: "as bulk with acks=all, 1 GB a run (short: 0.4 GB)",
    full: "--requests 15625 --acks -1 --delete",
    short: "--requests 6250 --acks -1 --delete",
    seconds: [7.0, 4.0],
    figures: &[PRODUCE_CPU.goals(&[(0, 6.0), (1, 2.5)]), PRODUCE_RATE, GENERATOR, OTHERS],
    ..ROW
}];

const BULK_FREE: &[Row] = &[Row {
    name: "64 KiB",
    figures: &[PRODUCE_RATE.goals(&[(0, 2.5)]), PRODUCE_CPU, GENERATOR, OTHERS],
    ..copy(&BULK[0])
}];

const fn copy(row: &Row) -> Row {
    Row { ..*row }
}

const COMPRESSED: &[Row] = &[
    Row {
        name: "lz4",
        what: "as bulk, batches compressed beforehand; per GB before compression, 2 GB a run \
               (short: 1 GB)",
        full: "--requests 31250 --acks 1 --codec lz4 --delete",
        short: "--requests 15625 --acks 1 --codec lz4 --delete",
        seconds: [3.5, 2.0],
        figures: &[
            PRODUCE_CPU.goals(&[(0, 7.0)]),
            PRODUCE_RATE,
            about("compressed to 1/", "produce.plain_bytes", "produce.bytes", 1.0),
            OTHERS,
        ],
        ..ROW
    },
    Row {
        name: "zstd",
        what: "as bulk, batches compressed beforehand; per GB before compression, 2 GB a run \
               (short: 1 GB)",
        full: "--requests 31250 --acks 1 --codec zstd --delete",
        short: "--requests 15625 --acks 1 --codec zstd --delete",
        seconds: [3.5, 2.0],
        figures: &[
            PRODUCE_CPU.goals(&[(0, 15.0)]),
            PRODUCE_RATE,
            about("compressed to 1/", "produce.plain_bytes", "produce.bytes", 1.0),
            OTHERS,
        ],
        ..ROW
    },
];

const READS: &[Row] = &[Row {
    name: "from the page cache",
    what: "1 GB (short: 0.5 GB) in 12 partitions, just written; 1 consumer, then 5, read all of \
           it, 1 MiB a fetch",
    full: "--requests 15625 --acks 1 --readers 1,5 --delete",
    short: "--requests 8000 --acks 1 --readers 1,5 --delete",
    seconds: [6.0, 3.6],
    figures: &[
        less("1 consumer: CPU-s/GB", "readers1.broker_cpu_s", "readers1.bytes", 1e9)
            .goals(&[(0, 2.5)]),
        less("5 consumers: CPU-s/GB", "readers5.broker_cpu_s", "readers5.bytes", 1e9)
            .goals(&[(0, 2.5)]),
        more("1 consumer: MB/s", "readers1.bytes", "readers1.wall_s", 1e-6),
        more("5 consumers: MB/s", "readers5.bytes", "readers5.wall_s", 1e-6),
        about("others' CPUs busy", "readers5.foreign_cpus", "", 1.0),
    ],
    ..ROW
}];

const SMALL: &[Row] = &[
    Row {
        name: "16 x 5",
        what: "200,000 requests of one record of 100 bytes, 12 partitions, 16 connections x 5 in \
               flight, acks=1",
        full: "--requests 200000 --connections 16 --records 1 --record-bytes 100",
        short: "--requests 200000 --connections 16 --records 1 --record-bytes 100",
        seconds: [3.0, 3.0],
        figures: &[REQUEST.goals(&[(0, 10.0)]), REQUESTS, GENERATOR, OTHERS],
        ..ROW
    },
    Row {
        name: "1 x 5",
        warm_ups_later: 0,
        what: "100,000 of the same requests, 1 connection x 5 in flight",
        full: "--requests 100000 --connections 1 --records 1 --record-bytes 100",
        short: "--requests 100000 --connections 1 --records 1 --record-bytes 100",
        seconds: [3.5, 3.5],
        figures: &[REQUEST.goals(&[(0, 4.0)]), REQUESTS, GENERATOR, OTHERS],
        ..ROW
    },
];

const SMALL_FSYNC: &[Row] = &[Row {
    name: "16 x 5",
    what: "as small with acks=all, 40,000 requests (short: 20,000)",
    full: "--requests 40000 --connections 16 --records 1 --record-bytes 100 --acks -1",
    short: "--requests 20000 --connections 16 --records 1 --record-bytes 100 --acks -1",
    seconds: [6.0, 3.5],
    figures: &[REQUEST.goals(&[(0, 30.0)]), REQUESTS, OTHERS],
    ..ROW
}];

const NOISE: &[Row] = &[
    Row {
        name: "16 x 5",
        what: "as small: two nodes of the same system, so that every ratio should be 1",
        full: "--requests 200000 --connections 16 --records 1 --record-bytes 100",
        short: "--requests 100000 --connections 16 --records 1 --record-bytes 100",
        seconds: [3.5, 2.0],
        short_pairs_max: 3,
        figures: &[REQUEST, REQUESTS, OTHERS],
        ..ROW
    },
    Row {
        name: "64 KiB",
        what: "as bulk: two nodes of the same system, so that every ratio should be 1",
        full: "--requests 31250 --acks 1 --delete",
        short: "--requests 15625 --acks 1 --delete",
        seconds: [6.0, 3.5],
        short_pairs_max: 3,
        figures: &[PRODUCE_CPU, PRODUCE_RATE, OTHERS],
        ..ROW
    },
];

const PRODUCERS: &[Row] = &[Row {
    name: "2,000 x 1",
    what: "2,000 connections x 1 in flight, requests of one record of 1,000 bytes, 12 partitions, \
           acks=1, 200,000 requests (short: 100,000)",
    full: "--requests 200000 --connections 2000 --in-flight 1 --records 1 --record-bytes 1000",
    short: "--requests 100000 --connections 2000 --in-flight 1 --records 1 --record-bytes 1000",
    seconds: [5.0, 3.5],
    figures: &[
        REQUEST.goals(&[(0, 2.0)]),
        REQUESTS,
        RESIDENT.goals(&[(0, 30.0)]),
        GENERATOR,
        OTHERS,
    ],
    ..ROW
}];

const PARTITIONS: &[Row] = &[
    Row {
        name: "1,000",
        what: "requests of one batch of 4 KB to 1,000 partitions in turn, 4 connections x 5 in \
               flight, acks=1, 100,000 requests (short: 50,000)",
        full: "--topic p1000 --partitions 1000 --requests 100000 --records 4",
        short: "--topic p1000 --partitions 1000 --requests 50000 --records 4",
        seconds: [6.0, 3.5],
        figures: &[REQUEST.goals(&[(0, 4.0)]), REQUESTS, RESIDENT.goals(&[(0, 25.0)]), OTHERS],
        ..ROW
    },
    Row {
        name: "5,000",
        what: "the same to 5,000 partitions",
        full: "--topic p5000 --partitions 5000 --requests 100000 --records 4",
        short: "--topic p5000 --partitions 5000 --requests 50000 --records 4",
        seconds: [8.0, 5.0],
        figures: &[REQUEST.goals(&[(0, 5.0)]), REQUESTS, RESIDENT.goals(&[(0, 25.0)]), OTHERS],
        ..ROW
    },
    Row {
        name: "5,000, 50 a request",
        warm_ups_later: 0,
        what: "the same 5,000 partitions, requests of 50 batches of 4 KB, 2,000 requests (short: \
               1,000)",
        full: "--topic p5000 --partitions 5000 --requests 2000 --records 4 --per-request 50",
        short: "--topic p5000 --partitions 5000 --requests 1000 --records 4 --per-request 50",
        seconds: [6.0, 4.0],
        figures: &[
            less("CPU, µs a batch", "produce.broker_cpu_s", "produce.requests", 1e6 / 50.0),
            PRODUCE_RATE,
            OTHERS,
        ],
        ..ROW
    },
];

const OPEN_OTHERS: Figure = about("others' CPUs busy", "open.foreign_cpus", "", 1.0);
const MESSAGE: Figure = less("CPU, µs a message", "open.broker_cpu_s", "open.sent", 1e6);
const P50: Figure = less("p50, ms", "open.p50_us", "", 1e-3).wall();
const P99: Figure = less("p99, ms", "open.p99_us", "", 1e-3).wall();
const P999: Figure = less("p99.9, ms", "open.p999_us", "", 1e-3).wall();
const ARRIVED: Figure = about("arrived in time ÷ sent", "open.arrived_in_time", "open.sent", 1.0);

const FAN_OUT: &[Row] = &[
    Row {
        name: "200 MB/s to 5 consumers",
        what: "3,125 batches of 64 KiB a second, 12 partitions, 4 connections, 5 consumers at the \
               end of all of them, acks=1, 10 s (short: 3 s) after one that does not count",
        command: "open-loop",
        full: "--rate 3125 --records 64 --consumers 5 --seconds 10",
        short: "--rate 3125 --records 64 --consumers 5 --seconds 3",
        seconds: [13.5, 5.2],
        figures: &[
            less("CPU-s/GB delivered", "open.broker_cpu_s", "open.delivered_bytes", 1e9)
                .goals(&[(0, 6.0)]),
            P50,
            P99,
            about("arrived in time ÷ sent", "open.arrived_in_time", "open.sent", 0.2),
            about("others' CPUs busy", "open.foreign_cpus", "", 1.0),
        ],
        ..ROW
    },
    Row {
        name: "5,000 messages/s to 5 consumers",
        warm_ups_later: 0,
        what: "5,000 requests of one record of 100 bytes a second, 1 partition, 1 connection, 5 \
               consumers, acks=1, 10 s (short: 3 s) after one that does not count",
        command: "open-loop",
        full: "--rate 5000 --records 1 --record-bytes 100 --partitions 1 --connections 1 \
               --consumers 5 --seconds 10",
        short: "--rate 5000 --records 1 --record-bytes 100 --partitions 1 --connections 1 \
                --consumers 5 --seconds 3",
        seconds: [12.5, 4.8],
        figures: &[
            less("CPU, µs a message delivered", "open.broker_cpu_s", "open.arrived_in_time", 1e6)
                .goals(&[(0, 5.0)]),
            P50,
            P99.goals(&[(0, 20.0)]),
            P999,
            OPEN_OTHERS,
        ],
        ..ROW
    },
];

/// One row of open-loop messages of 100 bytes; the delays of all pairs are also taken together.
macro_rules! paced {
    ($name:literal, $what:literal, $arguments:literal, $seconds:expr, $figures:expr) => {
        Row {
            name: $name,
            what: concat!(
                $what,
                ", records of 100 bytes, one a request, acks=1, one consumer, 30 s (short: 3 s) \
                 after one that does not count; delays from when a request was due to when the \
                 consumer has it"
            ),
            command: "open-loop",
            full: concat!($arguments, " --records 1 --record-bytes 100 --seconds 30"),
            short: concat!($arguments, " --records 1 --record-bytes 100 --seconds 3"),
            seconds: $seconds,
            warm_ups_later: 0,
            figures: $figures,
            ..ROW
        }
    };
}

const LATENCY: &[Row] = &[
    paced!(
        "10,000/s",
        "10,000 requests a second, 1 partition, 1 connection",
        "--rate 10000 --partitions 1 --connections 1",
        [33.0, 5.5],
        &[
            P50.goals(&[(0, 2.0)]),
            P99.goals(&[(0, 100.0)]),
            P999,
            MESSAGE.goals(&[(0, 4.5)]),
            ARRIVED,
            OPEN_OTHERS
        ]
    ),
    Row {
        short_pairs_max: 3,
        ..paced!(
            "10,000/s, 12 partitions",
            "10,000 requests a second, 12 partitions, 1 connection",
            "--rate 10000 --partitions 12 --connections 1",
            [33.0, 5.5],
            &[P50, P99, P999, MESSAGE, ARRIVED, OPEN_OTHERS]
        )
    },
    paced!(
        "50,000/s, 1 connection",
        "50,000 requests a second, 1 partition, 1 connection",
        "--rate 50000 --partitions 1 --connections 1",
        [36.0, 7.0],
        &[P50.limit(0.15), P99.limit(1.0), P999, MESSAGE, ARRIVED, OPEN_OTHERS]
    ),
    paced!(
        "50,000/s, 8 connections",
        "50,000 requests a second, 1 partition, 8 connections",
        "--rate 50000 --partitions 1 --connections 8",
        [36.0, 7.0],
        &[P50.limit(0.15), P99.limit(1.0), P999, MESSAGE, ARRIVED, OPEN_OTHERS]
    ),
    paced!(
        "1,000/s",
        "1,000 requests a second, 1 partition, 1 connection",
        "--rate 1000 --partitions 1 --connections 1",
        [33.0, 5.0],
        &[
            P50.goals(&[(0, 1.2)]),
            P99.goals(&[(0, 2.0)]),
            P999,
            MESSAGE.goals(&[(0, 5.0)]),
            ARRIVED,
            OPEN_OTHERS
        ]
    ),
];

const LATENCY_FSYNC: &[Row] = &[Row {
    short_pairs_max: 3,
    ..paced!(
        "1,000/s",
        "1,000 requests a second, 1 partition, 1 connection",
        "--rate 1000 --partitions 1 --connections 1",
        [33.0, 5.0],
        &[P50, P99, P999, MESSAGE, ARRIVED, OPEN_OTHERS]
    )
}];

const STORM: &[Row] = &[Row {
    name: "connections",
    what: "15,000 connections (short: 3,000), each with one ApiVersions request, 200 at a time, \
           all kept open until the last",
    command: "storm",
    full: "--connections 15000",
    short: "--connections 3000",
    seconds: [6.0, 3.0],
    figures: &[
        less("CPU, µs a connection", "storm.broker_cpu_s", "storm.connections", 1e6)
            .goals(&[(0, 5.0)]),
        more("connections/s", "storm.connections", "storm.wall_s", 1.0),
        less("resident with all of them, MiB", "after.rss_kib", "", 1.0 / 1024.0),
    ],
    ..ROW
}];

const START: &[Row] = &[Row {
    name: "empty folder",
    what: "from starting the process on an empty folder (Kafka's formatted before) to its first \
           answer to ApiVersions; then 2 s, then 10 s (short: 2 s) left alone",
    command: "idle",
    full: "--seconds 10",
    short: "--seconds 2",
    seconds: [14.0, 6.0],
    figures: &[
        less("start, ms", "start.ms", "", 1.0).wall().goals(&[(0, 100.0)]).limit(12.0),
        less("idle, resident MiB", "idle.rss_kib", "", 1.0 / 1024.0).goals(&[(0, 30.0)]),
        less("idle, CPU %", "idle.broker_cpu_s", "idle.wall_s", 100.0).goals(&[(0, 60.0)]),
        less("idle, sleeps of threads a second", "idle.sleeps", "idle.wall_s", 1.0),
    ],
    ..ROW
}];

const CLASSIC: &[Figure] = &[
    less("join, ms", "groups.join_ms", "", 1.0).wall(),
    less("join, CPU-s", "groups.join_broker_cpu_s", "", 1.0),
    less("one leaves, ms", "groups.leave_ms", "", 1.0).wall(),
    less("one leaves, CPU-s", "groups.leave_broker_cpu_s", "", 1.0),
    less("one dies, ms (session 6 s)", "groups.death_ms", "", 1.0).wall(),
];

const GROUPS: &[Row] = &[
    Row {
        name: "500 members, consumer protocol",
        what: "500 members join at once, one leaves, one dies (short: none dies): until all stand \
               in one epoch and share 1,000 partitions evenly; heartbeats as the broker asks, \
               group.consumer.heartbeat.interval.ms=1000",
        command: "groups",
        full: "--protocol consumer",
        short: "--protocol consumer --no-death",
        seconds: [35.0, 13.0],
        short_pairs_max: 3,
        figures: &[
            less("join, ms", "groups.join_ms", "", 1.0).wall().goals(&[(0, 20.0)]),
            less("join, CPU-s", "groups.join_broker_cpu_s", "", 1.0),
            less("one leaves, ms", "groups.leave_ms", "", 1.0).wall().goals(&[(0, 20.0)]),
            less("one leaves, CPU-s", "groups.leave_broker_cpu_s", "", 1.0),
            less("one dies, ms (session 6 s)", "groups.death_ms", "", 1.0).wall(),
        ],
        ..ROW
    },
    Row {
        name: "500 members, classic protocol",
        what: "the same with the classic protocol, heartbeats every second",
        command: "groups",
        full: "--protocol classic",
        short: "--protocol classic --no-death",
        seconds: [14.0, 5.5],
        short_pairs_max: 3,
        warm_ups_later: 0,
        figures: CLASSIC,
    },
];

const GROUPS_DEFAULT: &[Row] = &[Row {
    name: "500 members, consumer protocol",
    what: "500 members join at once, one leaves: until all stand in one epoch and share 1,000 \
           partitions evenly; heartbeats as the broker asks, with its defaults: \
           group.consumer.heartbeat.interval.ms=5000",
    command: "groups",
    full: "--protocol consumer --no-death",
    short: "--protocol consumer --no-death",
    seconds: [11.0, 11.0],
    short_pairs_max: 2,
    figures: &[
        less("join, ms", "groups.join_ms", "", 1.0).wall().goals(&[(0, 20.0)]),
        less("join, CPU-s", "groups.join_broker_cpu_s", "", 1.0),
        less("one leaves, ms", "groups.leave_ms", "", 1.0).wall().goals(&[(0, 20.0)]),
        less("one leaves, CPU-s", "groups.leave_broker_cpu_s", "", 1.0),
    ],
    ..ROW
}];

const CATCH_UP: &[Row] = &[Row {
    name: "from the disk",
    what: "10 GB (short: 3 GB) in 12 partitions, dropped from the page cache and read back, 1 MiB \
           a fetch, 4 connections; beside it 50 MB/s of 64 KiB batches, acks=1, and 1,000 probes a \
           second: single records, their delay counted from when they should have been sent to \
           when a consumer has them. Before that 20 s (short: 5 s) without the reading: the \
           baseline",
    command: "catch-up",
    full: "--requests 155000 --seconds 20",
    short: "--requests 47000 --seconds 5",
    seconds: [65.0, 25.0],
    short_pairs_max: 3,
    figures: &[
        more("catch-up, GB/s", "catch_up.bytes", "catch_up.wall_s", 1e-9).goals(&[(0, 2.5)]),
        less("CPU-s/GB, live traffic included", CATCH_UP_CPU, "catch_up.bytes", 1e9),
        less("baseline: probes' p50, ms", "baseline.p50_us", "", 1e-3).wall(),
        less("baseline: probes' p99, ms", "baseline.p99_us", "", 1e-3).wall(),
        less("catching up: probes' p50, ms", "during.p50_us", "", 1e-3).wall(),
        less("catching up: probes' p99, ms", "during.p99_us", "", 1e-3).wall().goals(&[(0, 25.0)]),
        less("catching up: worst probe, ms", "during.max_us", "", 1e-3).wall(),
        about("bytes from the disk ÷ bytes read", "catch_up.disk_share", "", 1.0),
        about("baseline: live MB/s", "baseline.live_bytes", "baseline.wall_s", 1e-6),
        about("catching up: live MB/s", "during.live_bytes", "catch_up.wall_s", 1e-6),
    ],
    ..ROW
}];

const CATCH_UP_CPU: &str = "catch_up.broker_cpu_s";

const COMPACTION_FIGURES: [Figure; 4] = [
    more("MB per CPU-s", "compact.bytes", "compact.broker_cpu_s", 1e-6),
    more("MB/s", "compact.bytes", "compact.wall_s", 1e-6),
    about("left over", "compact.bytes_left", "compact.bytes", 1.0),
    less("resident at most, MiB", "rss_highest_kib", "", 1.0 / 1024.0),
];

const COMPACTION: &[Row] = &[
    Row {
        name: "records of 100 bytes",
        what: "2 GB (short: 0.4 GB) in one partition, segments of 32 MiB, keys drawn at random \
               from 2,000,000 (short: 1,000,000); filled while cleanup.policy is delete, then \
               compact: until the log has shrunk and stood still for 6 s",
        command: "compact",
        full: "--megabytes 2000 --keys 2000000 --record-bytes 100",
        short: "--megabytes 400 --keys 1000000 --record-bytes 100",
        seconds: [38.0, 10.0],
        short_pairs_max: 3,
        figures: &[
            Figure { is_wall: false, ..COMPACTION_FIGURES[0] }.goals(&[(0, 5.0)]),
            COMPACTION_FIGURES[1],
            COMPACTION_FIGURES[2],
            COMPACTION_FIGURES[3],
        ],
        ..ROW
    },
    Row {
        name: "records of 1,000 bytes",
        what: "the same with keys from 1,000,000 (short: 200,000)",
        command: "compact",
        full: "--megabytes 2000 --keys 1000000 --record-bytes 1000",
        short: "--megabytes 400 --keys 200000 --record-bytes 1000",
        seconds: [33.0, 9.0],
        short_pairs_max: 3,
        figures: &[
            Figure { is_wall: false, ..COMPACTION_FIGURES[0] }.goals(&[(0, 2.0)]),
            COMPACTION_FIGURES[1],
            COMPACTION_FIGURES[2],
            COMPACTION_FIGURES[3],
        ],
        ..ROW
    },
];

const TOPICS: &[Row] = &[Row {
    name: "10,000",
    what: "10,000 topics of one partition, 500 a request, until Metadata names the last one's \
           leader; then all deleted, until Metadata does not know the last one",
    command: "topics",
    full: "--topics 10000 --per-request 500",
    short: "--topics 10000 --per-request 500",
    seconds: [12.0, 12.0],
    short_pairs_max: 3,
    figures: &[
        less("made, ms", "topics.create_ms", "", 1.0).wall().goals(&[(0, 14.0)]).limit(1000.0),
        less("made, CPU-s", "topics.create_broker_cpu_s", "", 1.0),
        less("deleted, ms", "topics.delete_ms", "", 1.0).wall(),
        less("deleted, CPU-s", "topics.delete_broker_cpu_s", "", 1.0),
        RESIDENT,
    ],
    ..ROW
}];

const RESTART: &[Row] = &[Row {
    name: "kill -9, 5,000 partitions",
    what: "20 GB (short: 0.4 GB) in 5,000 partitions, killed while more is being written; from the \
           start of the process to the first answer, to a leader for every partition, to the last \
           record of 20 of them, to the right end of every one",
    command: "produce",
    full: "--partitions 5000 --requests 312500 --records 64 --acks -1",
    short: "--partitions 5000 --requests 100000 --records 4 --acks -1",
    seconds: [120.0, 28.0],
    short_pairs_max: 3,
    figures: &[
        less("first answer, ms", "restart.first_answer_ms", "", 1.0).wall(),
        less("every leader, ms", "restart.leaders_ms", "", 1.0).wall(),
        less("20 last records, ms", "restart.last_records_ms", "", 1.0).wall(),
        less("every end, ms", "restart.every_end_ms", "", 1.0)
            .wall()
            .goals(&[(0, 57.0)])
            .limit(500.0),
        less("CPU-s", "restart.broker_cpu_s", "", 1.0),
    ],
    ..ROW
}];
