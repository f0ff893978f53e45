//! Logs and batches for the tests.

use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ottla_log::{
    AppendError, Appended, CheckpointPlan, Checkpointed, DormantLog, Log, LogConfig, OpenLogError,
};
use ottla_records::{BatchBuilder, BatchOptions, Batches, BuiltBatch, NewRecord, ProducerStamp};
use ottla_types::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::memory_disk::MemoryDisk;

pub(crate) const DIRECTORY: &str = "data/t-0";
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);
pub(crate) const EPOCH: LeaderEpoch = LeaderEpoch::ZERO;

/// Small segments, an index entry for every batch, or in a sealed segment for every fourth.
pub(crate) const SMALL: LogConfig = LogConfig {
    segment_bytes: 1_000,
    segment_age: std::time::Duration::from_hours(1),
    segment_jitter: std::time::Duration::ZERO,
    index_interval_bytes: 20,
    segment_index_bytes: 1_000,
};

/// Drives a future on a disk that answers at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the memory disk answers at once"),
    }
}

pub(crate) fn open(disk: &MemoryDisk) -> Log {
    try_open(disk).unwrap()
}

pub(crate) fn try_open(disk: &MemoryDisk) -> Result<Log, OpenLogError> {
    now(Log::open(disk.ports(), Path::new(DIRECTORY), SMALL))
}

/// A batch whose records have these values.
pub(crate) fn batch(values: &[&str]) -> BuiltBatch {
    build(BatchOptions::default(), values)
}

/// A batch of an idempotent producer.
pub(crate) fn numbered(producer: i64, epoch: i16, sequence: i32, values: &[&str]) -> BuiltBatch {
    let producer = Some(ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        base_sequence: Some(Sequence::new(sequence)),
    });
    build(BatchOptions { producer, ..Default::default() }, values)
}

pub(crate) fn build(options: BatchOptions, values: &[&str]) -> BuiltBatch {
    let mut builder = BatchBuilder::new(options);
    for value in values {
        let value = Some(value.as_bytes());
        builder.push(NewRecord { timestamp: NOW, key: None, value, headers: &[] });
    }
    builder.build()
}

/// Appends, rolling as a host does.
pub(crate) fn append(
    disk: &MemoryDisk,
    log: &mut Log,
    batch: &BuiltBatch,
) -> Result<Appended, AppendError> {
    match log.append(&batch.checked(), EPOCH, NOW) {
        Err(AppendError::NeedsRoll) => {
            roll(disk, log);
            log.append(&batch.checked(), EPOCH, NOW)
        }
        outcome => outcome,
    }
}

pub(crate) fn roll(disk: &MemoryDisk, log: &mut Log) {
    let fresh = now(log.roll_plan().prepare(&disk.ports())).unwrap();
    log.roll(fresh);
}

pub(crate) fn sync(disk: &MemoryDisk, log: &mut Log) {
    if let Some(unsynced) = log.take_unsynced() {
        now(unsynced.make_durable(&disk.ports())).unwrap();
        log.on_synced(unsynced.upto);
    }
}

/// A log that is opened with what its host knows.
pub(crate) fn reopen(disk: &MemoryDisk, known: Checkpointed) -> Result<Log, OpenLogError> {
    let ports = disk.ports();
    let dormant = now(DormantLog::survey(&ports, Path::new(DIRECTORY), SMALL, known))?;
    let mut log = now(dormant.open(&ports))?;
    sync(disk, &mut log);
    Ok(log)
}

/// Makes a checkpoint, as a host does; what it would write down.
pub(crate) fn checkpoint(disk: &MemoryDisk, log: &mut Log) -> Checkpointed {
    let plan = log.begin_checkpoint();
    finish(disk, log, plan)
}

/// Stops cleanly.
pub(crate) fn stop(disk: &MemoryDisk, mut log: Log) -> Checkpointed {
    let plan = log.begin_closing_checkpoint();
    Checkpointed { clean: true, ..finish(disk, &mut log, plan) }
}

fn finish(disk: &MemoryDisk, log: &mut Log, plan: Option<CheckpointPlan>) -> Checkpointed {
    let ports = disk.ports();
    if let Some(mut plan) = plan {
        if let Some(unsynced) = plan.unsynced.take() {
            now(unsynced.make_durable(&ports)).unwrap();
            log.on_synced(unsynced.upto);
        }
        let written = now(plan.write(&ports)).unwrap();
        now(written.make_durable(&ports)).unwrap();
        now(log.on_checkpointed(written).remove(&ports));
    }
    Checkpointed {
        recovery_point: Some(log.recovery_point()),
        log_start: Some(log.start_offset()),
        ..Checkpointed::default()
    }
}

/// All values in a log's files, with their offsets, as far as the log says that it goes.
pub(crate) fn contents(disk: &MemoryDisk, log: &Log) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    let segments = disk.list().into_iter().filter(|name| name.ends_with(".log"));
    for segment in segments {
        let bytes = disk.content(&segment);
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.crc_matches());
            assert_eq!(batch.header.leader_epoch, Some(EPOCH));
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                records.push((record.offset.get(), value));
            }
        }
    }
    assert_eq!(records.last().map_or(0, |(offset, _)| offset + 1), log.end().offset.get());
    records
}
