//! The files of a partition and of a log directory, read as a start reads them.

use std::path::Path;
use std::time::Duration;

use ottla_log::inspect::{
    Known, aborted_entries, offset_entries, snapshot_producers, time_entries, verify_partition,
};
use ottla_log::{
    CleanShutdown, Log, LogConfig, OffsetCheckpoint, PartitionMetadata, RECOVERY_POINT_CHECKPOINT,
};
use ottla_testkit::apache_folder;
use ottla_types::Offset;

use super::split;
use crate::memory_disk::MemoryDisk;
use crate::support::now;

const DIRECTORY: &str = "data/t-0";

const CONFIG: LogConfig = LogConfig {
    segment_bytes: 1_000_000,
    segment_age: Duration::from_hours(1),
    segment_jitter: Duration::ZERO,
    index_interval_bytes: 4_096,
    segment_index_bytes: 1_000_000,
};

/// Each file of a partition, and some of the directory.
const FILES: [&str; 9] = [
    "00000000000000000000.log",
    "00000000000000000000.index",
    "00000000000000000000.timeindex",
    "00000000000000000000.txnindex",
    "00000000000000000005.snapshot",
    "leader-epoch-checkpoint",
    "partition.metadata",
    "recovery-point-offset-checkpoint",
    ".kafka_cleanshutdown",
];

/// Which file, and what it holds.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for batch in super::batches::seeds() {
        let mut first = batch;
        first[..8].fill(0);
        all.push([vec![0], first].concat());
    }
    for (path, bytes) in apache_folder() {
        let name = path.rsplit('/').next().unwrap_or_default();
        let alike =
            |other: &&str| *other == name || other.rsplit('.').next() == name.rsplit('.').next();
        let kind = FILES.iter().position(|other| alike(&other));
        if let Some(kind) = kind.filter(|_| bytes.len() < 8_000) {
            all.push([vec![kind as u8], bytes].concat());
        }
    }
    for text in ["0\n1\n0 0\n", "0\n2\nt 0 5\nu 1 7\n", "{\"version\":0,\"brokerEpoch\":4}"] {
        all.extend([5_u8, 7, 8].map(|kind| [vec![kind], text.as_bytes().to_vec()].concat()));
    }
    all
}

pub(super) fn file(input: &[u8]) {
    let Some(([which], bytes)) = split(input) else { return };
    let which = usize::from(which) % FILES.len();
    let base = Offset::new(0);
    drop(offset_entries(bytes, base));
    drop(time_entries(bytes, base));
    drop(aborted_entries(bytes, base));
    drop(snapshot_producers(bytes, Offset::new(5)));
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(read) = PartitionMetadata::parse(text) {
            assert_eq!(PartitionMetadata::parse(&read.encode()), Ok(read));
        }
        if let Ok(read) = OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, text) {
            let again = OffsetCheckpoint::parse(RECOVERY_POINT_CHECKPOINT, &read.encode());
            assert_eq!(again, Ok(read));
        }
        let _clean = CleanShutdown::parse(text);
    }
    let disk = MemoryDisk::default();
    if which != 0 {
        let mut batch = super::batches::seeds().swap_remove(0);
        batch[..8].fill(0);
        disk.put(&format!("{DIRECTORY}/{}", FILES[0]), &batch);
    }
    disk.put(&format!("{DIRECTORY}/{}", FILES[which]), bytes);
    let ports = disk.ports();
    // Looked at by a person's tools, and then opened by a node, which may mend its end.
    let known = Known { deep: true, ..Known::default() };
    drop(now(verify_partition(&ports, Path::new(DIRECTORY), known, &mut |_| {})));
    if let Ok(log) = now(Log::open(ports, Path::new(DIRECTORY), CONFIG)) {
        assert!(log.start_offset() <= log.end().offset);
    }
}
