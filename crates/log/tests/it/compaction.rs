//! Compacting a log: what stays, what goes, and what a crash in the middle leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use ottla_log::{
    AbortedTransaction, Checkpointed, CompactionError, CompactionSettings, Dirt, DirtFacts,
    HashSeeds, Log, LogView, ReadOutcome, Step, inspect,
};
use ottla_records::{
    BatchBuilder, BatchOptions, Batches, BuiltBatch, Compression, ControlType,
    EndTransactionMarker, NewRecord, ProducerStamp,
};
use ottla_types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::memory_disk::MemoryDisk;
use crate::support::{DIRECTORY, NOW, append, checkpoint, now, open, reopen, roll, stop};

const RETENTION: Duration = Duration::from_millis(1_000);

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis)
}

fn settings(now: Timestamp, keys_max: usize) -> CompactionSettings {
    let seeds = HashSeeds([11, 0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 5]);
    CompactionSettings { keys_max, seeds, delete_retention: RETENTION, now }
}

/// What a host would find dirty.
fn dirt(log: &mut Log, compacted: Option<Offset>) -> Dirt {
    let end = log.end();
    let bound = log.last_stable_offset(end.offset).min(log.recovery_point());
    let view = log.view();
    let sealed = view.sealed_sizes();
    let facts = DirtFacts {
        sealed: &sealed,
        active: view.active_base(),
        start: log.start_offset(),
        end: end.offset,
        compacted,
        bound,
        young: None,
    };
    facts.dirt()
}

/// Compacts as a host does, and says how far.
fn compact(
    disk: &MemoryDisk,
    log: &mut Log,
    dirt: Dirt,
    settings: CompactionSettings,
) -> Result<Offset, CompactionError> {
    let ports = disk.ports();
    let mut compaction = now(log.compaction(dirt, settings).begin(&ports))?;
    loop {
        match now(compaction.step(&ports, &|job| job()))? {
            Step::Went { .. } => {}
            Step::Done { upto } => return Ok(upto),
            Step::Cleaned(cleaned) => {
                assert!(cleaned.replaces_part_of(log));
                now(cleaned.declare(&ports))?;
                let swapping = log.replace(cleaned);
                now(now(swapping.finish(&ports))?.remove(&ports));
            }
        }
    }
}

/// A record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    key: String,
    value: Option<String>,
    timestamp: Timestamp,
    /// Of the batch.
    transactional: Option<ProducerId>,
    horizon: Option<Timestamp>,
}

/// All records that a consumer may read, control records left out; markers by their offsets.
struct Contents {
    records: BTreeMap<i64, Told>,
    markers: BTreeSet<i64>,
    batches: usize,
    bytes: usize,
}

fn read(disk: &MemoryDisk, view: &LogView, log: &Log) -> Contents {
    let (ports, upto) = (disk.ports(), log.end());
    let (records, markers) = (BTreeMap::new(), BTreeSet::new());
    let mut contents = Contents { records, markers, batches: 0, bytes: 0 };
    let mut at = log.start_offset();
    let mut last = -1;
    while at < upto.offset {
        match view.read(at, upto, 300, true).unwrap() {
            ReadOutcome::Slice(slice) => {
                let read = ports_read(&ports, &slice.file, slice.at, slice.len as usize);
                for batch in Batches::new(&read) {
                    let batch = batch.unwrap();
                    assert!(batch.crc_matches());
                    contents.batches += 1;
                    contents.bytes += batch.bytes.len();
                    at = batch.header.last_offset().next();
                    for record in &batch.records(1 << 20).unwrap() {
                        let record = record.unwrap();
                        assert!(record.offset.get() > last, "offsets grow");
                        last = record.offset.get();
                        if batch.header.attributes.is_control() {
                            contents.markers.insert(last);
                            continue;
                        }
                        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                        let attributes = batch.header.attributes;
                        let told = Told {
                            key: record.key.map_or_else(String::new, text),
                            value: record.value.map(text),
                            timestamp: record.timestamp.unwrap(),
                            transactional: (batch.header.producer.map(|stamp| stamp.id))
                                .filter(|_| attributes.is_transactional()),
                            horizon: attributes
                                .has_delete_horizon()
                                .then_some(batch.header.base_timestamp),
                        };
                        contents.records.insert(last, told);
                    }
                }
            }
            ReadOutcome::Cold(cold) => now(cold.warm(&ports)).unwrap(),
            ReadOutcome::Empty => break,
        }
    }
    contents
}

fn ports_read(
    ports: &std::sync::Arc<dyn ottla_env::Disk>,
    file: &std::sync::Arc<dyn ottla_env::File>,
    at: u64,
    len: usize,
) -> Vec<u8> {
    use ottla_env::DiskExt as _;
    now(ports.read_at(file, at, len)).unwrap()
}

/// What a reader of committed records sees: the newest value of each key.
fn table(disk: &MemoryDisk, log: &Log) -> BTreeMap<String, Option<String>> {
    let view = log.view();
    let contents = read(disk, &view, log);
    let aborted = loop {
        match view.aborted(log.start_offset(), log.end().offset) {
            Ok(aborted) => break aborted,
            Err(cold) => now(cold.warm(&disk.ports())).unwrap(),
        }
    };
    let mut open: BTreeMap<ProducerId, Vec<i64>> = BTreeMap::new();
    for AbortedTransaction { producer, first_offset } in aborted {
        open.entry(producer).or_default().push(first_offset.get());
    }
    let mut table = BTreeMap::new();
    let mut skipping: BTreeSet<ProducerId> = BTreeSet::new();
    let all: BTreeSet<i64> = contents.records.keys().chain(&contents.markers).copied().collect();
    let marked = markers_of(disk, log);
    for offset in all {
        for (producer, starts) in &mut open {
            if starts.iter().any(|start| *start <= offset) {
                starts.retain(|start| *start > offset);
                skipping.insert(*producer);
            }
        }
        if let Some((producer, aborts)) = marked.get(&offset) {
            if *aborts {
                skipping.remove(producer);
            }
            continue;
        }
        let told = &contents.records[&offset];
        if !told.transactional.is_some_and(|producer| skipping.contains(&producer)) {
            table.insert(told.key.clone(), told.value.clone());
        }
    }
    table
}

/// Producer of each marker, and whether it aborts.
fn markers_of(disk: &MemoryDisk, log: &Log) -> BTreeMap<i64, (ProducerId, bool)> {
    let mut markers = BTreeMap::new();
    for name in disk.list().into_iter().filter(|name| name.ends_with(".log")) {
        let bytes = disk.content(&name);
        for batch in Batches::new(&bytes) {
            let header = batch.unwrap().header;
            if header.base_offset >= log.end().offset || !header.attributes.is_control() {
                continue;
            }
            let batch = Batches::new(&bytes).map(Result::unwrap);
            let batch = batch.into_iter().find(|it| it.header.base_offset == header.base_offset);
            let section = &batch.unwrap().bytes[61..];
            if let Some(marker) = EndTransactionMarker::of(&header, section) {
                let producer = header.producer.unwrap().id;
                markers.insert(header.base_offset.get(), (producer, !marker.committed));
            }
        }
    }
    markers
}

/// `a=1` a value, `a` a tombstone, of one batch, appended at `millis`.
fn records(words: &[&str], millis: i64, options: BatchOptions) -> BuiltBatch {
    let mut builder = BatchBuilder::new(options);
    for word in words {
        let (key, value) = word.split_once('=').map_or((*word, None), |(k, v)| (k, Some(v)));
        builder.push(NewRecord {
            timestamp: at(millis),
            key: (!key.is_empty()).then_some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: &[],
        });
    }
    builder.build()
}

fn of_producer(id: i64, sequence: Option<i32>, transactional: bool) -> BatchOptions {
    let producer = Some(ProducerStamp {
        id: ProducerId::new(id),
        epoch: ProducerEpoch::new(0),
        base_sequence: sequence.map(Sequence::new),
    });
    BatchOptions { producer, transactional, ..BatchOptions::default() }
}

fn marker(id: i64, committed: bool, millis: i64) -> BuiltBatch {
    let options = BatchOptions { control: true, ..of_producer(id, None, true) };
    let marker = EndTransactionMarker { committed, coordinator_epoch: 0 };
    let kind = if committed { ControlType::Commit } else { ControlType::Abort };
    let mut builder = BatchBuilder::new(options);
    builder.push(NewRecord {
        timestamp: at(millis),
        key: Some(&kind.key()),
        value: Some(&marker.value()),
        headers: &[],
    });
    builder.build()
}

/// Appends a batch for each word group: `;` begins another batch, `|` another segment, `+7`, `-7`
/// are markers of producer 7, `7:a=1` is a batch of its transaction.
fn life(disk: &MemoryDisk, script: &str) -> Log {
    let mut log = open(disk);
    play(disk, &mut log, script);
    log
}

fn play(disk: &MemoryDisk, log: &mut Log, script: &str) {
    for segment in script.split('|') {
        for text in segment.split(';').map(str::trim).filter(|text| !text.is_empty()) {
            let batch = match text.split_at(1) {
                ("+", id) => marker(id.parse().unwrap(), true, 0),
                ("-", id) => marker(id.parse().unwrap(), false, 0),
                _ => {
                    let (of, words) = text.split_once(':').unwrap_or(("", text));
                    let options = of
                        .parse()
                        .map_or_else(|_| BatchOptions::default(), |id| of_producer(id, None, true));
                    records(&words.split(' ').collect::<Vec<_>>(), 0, options)
                }
            };
            append(disk, log, &batch).unwrap();
        }
        assert!(log.begin_roll());
        roll(disk, log);
    }
    // The active segment is never touched.
    checkpoint(disk, log);
}

fn told(disk: &MemoryDisk, log: &Log) -> String {
    let contents = read(disk, &log.view(), log);
    let mut all: BTreeMap<i64, String> = BTreeMap::new();
    for (offset, told) in contents.records {
        let value = told.value.map_or_else(String::new, |value| format!("={value}"));
        let horizon = told.horizon.map(|it| format!("!{}", it.millis() - NOW.millis()));
        all.insert(offset, format!("{offset}{}{value}{}", told.key, horizon.unwrap_or_default()));
    }
    all.extend(contents.markers.iter().map(|offset| (*offset, format!("{offset}*"))));
    all.into_values().collect::<Vec<_>>().join(" ")
}

#[test]
#[rustfmt::skip]
fn the_newest_record_of_each_key_stays() {
    check("a=1; a=2; b=1 | a=3",         &[(0, "2b=1 3a=3")]);
    check("a=1 b=1 c=1; a=2 | c=2",      &[(0, "1b=1 3a=2 4c=2")]);
    // A record without a key was written before the topic was to be compacted.
    check("=1; a=1; =2",                 &[(0, "1a=1")]);
    // A tombstone stays as long as somebody may need it, and says so.
    check("a=1; a; b=1",                 &[(0, "1a!1000 2b=1"), (999, "1a!1000 2b=1"), (1_000, "2b=1")]);
    check("a=1; a; a=2",                 &[(0, "2a=2")]);
    check("a=1; a b; b=2 | c=1",         &[(0, "1a!1000 3b=2 4c=1"), (2_000, "3b=2 4c=1")]);
    // Aborted records go, their markers when their time is over; so do those of which nothing is left.
    check("a=1; 7:a=2; -7; b=1",         &[(0, "0a=1 2* 3b=1"), (999, "0a=1 2* 3b=1"), (1_998, "0a=1 2* 3b=1"), (1_999, "0a=1 3b=1")]);
    check("a=1; 7:a=2; +7; b=1",         &[(0, "1a=2 2* 3b=1"), (5_000, "1a=2 2* 3b=1")]);
    check("7:a=1; +7; a=2",              &[(0, "1* 2a=2"), (5_000, "1* 2a=2"), (6_000, "2a=2")]);
    check("7:a=1 | 8:a=2; -7; +8; b=1",  &[(0, "1a=2 2* 3* 4b=1"), (1_000, "1a=2 2* 3* 4b=1"), (2_000, "1a=2 3* 4b=1")]);
}

/// What is there after compactions at these times.
fn check(script: &str, expected: &[(i64, &str)]) {
    let disk = MemoryDisk::default();
    let mut log = life(&disk, script);
    let (end, before) = (log.end(), table(&disk, &log));
    for (millis, expected) in expected {
        let dirt = dirt(&mut log, None);
        assert_eq!(dirt.upto, end.offset, "{script}");
        let upto = compact(&disk, &mut log, dirt, settings(at(*millis), 100)).unwrap();
        assert_eq!(upto, end.offset);
        assert_eq!(told(&disk, &log), *expected, "{script} at {millis}");
        assert_eq!(log.end(), end);
        let live = |mut table: BTreeMap<String, Option<String>>| {
            table.retain(|key, value| value.is_some() && !key.is_empty());
            table
        };
        assert_eq!(live(table(&disk, &log)), live(before.clone()), "{script} at {millis}");
        verify(&disk, &log);
    }
}

/// Nothing is wrong with the files, whoever looks.
fn verify(disk: &MemoryDisk, log: &Log) {
    let names = disk.list();
    let odd = |name: &&String| [".cleaned", ".swap"].iter().any(|suffix| name.ends_with(suffix));
    assert_eq!(names.iter().find(odd), None);
    let known = Checkpointed {
        recovery_point: Some(log.recovery_point()),
        log_start: Some(log.start_offset()),
        ..Checkpointed::default()
    };
    let copy = disk.copy();
    let again = reopen(&copy, known).unwrap();
    assert_eq!(again.end(), log.end());
    assert_eq!(told(&copy, &again), told(disk, log));
    assert!(again.producers().active().eq(log.producers().active()));
    let (mut findings, ports) = (Vec::new(), copy.ports());
    let told = inspect::Known { recovery_point: known.recovery_point, ..Default::default() };
    let mut report = |finding| findings.push(finding);
    now(inspect::verify_partition(&ports, Path::new(DIRECTORY), told, &mut report)).unwrap();
    // Gaps are noted, and no more.
    findings.retain(|finding| finding.severity != inspect::Severity::Note);
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn producers_are_remembered_by_what_is_left_of_their_batches() {
    for codec in Compression::ALL {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        let options = BatchOptions { compression: codec, ..of_producer(5, Some(0), false) };
        let first = records(&["a=1", "b=1"], 0, options);
        append(&disk, &mut log, &first).unwrap();
        let options = BatchOptions { compression: codec, ..of_producer(5, Some(2), false) };
        let second = records(&["a=2"], 0, options);
        append(&disk, &mut log, &second).unwrap();
        play(&disk, &mut log, "a=3 b=3; c=3");
        let whole = dirt(&mut log, None);
        compact(&disk, &mut log, whole, settings(at(0), 100)).unwrap();
        assert_eq!(told(&disk, &log), "3a=3 4b=3 5c=3");
        // Nothing was left of the first batch; of the second, what the next sequence is.
        for name in disk.list().iter().filter(|name| name.ends_with(".snapshot")) {
            disk.remove(name);
        }
        let mut log = reopen(&disk, stop(&disk, log)).unwrap();
        let again = append(&disk, &mut log, &second).unwrap();
        assert!(matches!(again, ottla_log::Appended::Duplicate { .. }), "{again:?}");
        let next = records(&["a=4"], 0, of_producer(5, Some(3), false));
        append(&disk, &mut log, &next).unwrap();
        let gap = records(&["a=5"], 0, of_producer(5, Some(9), false));
        append(&disk, &mut log, &gap).unwrap_err();
    }
}

#[test]
fn a_map_that_is_too_small_compacts_in_several_passes() {
    let script = "a=1 b=1; c=1; a=2 | b=2; d=1 e=1 f=1; a=3 | c=2; b=3";
    for keys_max in 1..8 {
        let disk = MemoryDisk::default();
        let mut log = life(&disk, script);
        let (mut upto, mut passes) = (None, 0);
        while upto != Some(log.end().offset) {
            let dirt = dirt(&mut log, upto);
            let next = compact(&disk, &mut log, dirt, settings(at(0), keys_max)).unwrap();
            assert!(Some(next) > upto, "each pass comes further");
            (upto, passes) = (Some(next), passes + 1);
        }
        assert_eq!(told(&disk, &log), "5d=1 6e=1 7f=1 8a=3 9c=2 10b=3", "{keys_max}");
        assert!(passes > 1 || keys_max > 5, "{passes} with {keys_max}");
        verify(&disk, &log);
    }
}

#[test]
fn readers_of_an_old_view_read_on() {
    let disk = MemoryDisk::default();
    let mut log = life(&disk, "a=1; b=1 | a=2; b=2 | a=3; c=1");
    // As a reader has them that was stopped at the wrong moment.
    let (view, upto) = (log.view(), log.end());
    let within = match view.position_of(Offset::new(3), upto).unwrap() {
        ottla_log::Located::Batch(position) => position,
        other => panic!("{other:?}"),
    };
    let before = read(&disk, &view, &log).records;
    let whole = dirt(&mut log, None);
    compact(&disk, &mut log, whole, settings(at(0), 100)).unwrap();
    assert_eq!(read(&disk, &view, &log).records, before);
    assert_eq!(told(&disk, &log), "3b=2 4a=3 5c=1");
    // A bound that was told before is where it was told to be.
    let slice = match log.view().read(Offset::ZERO, within, 10_000, true).unwrap() {
        ReadOutcome::Empty => 0,
        ReadOutcome::Slice(slice) => slice.len,
        ReadOutcome::Cold(cold) => panic!("{cold:?}"),
    };
    assert_eq!(slice, 0, "nothing is left below offset 3");
}

#[test]
fn damaged_records_leave_the_log_as_it_is() {
    let disk = MemoryDisk::default();
    let mut log = life(&disk, "a=1; b=1; a=2");
    let name = format!("{DIRECTORY}/00000000000000000000.log");
    let before = disk.list();
    for at in [70, 100, 150] {
        let good = disk.content(&name);
        let mut bad = good.clone();
        bad[at] ^= 1;
        disk.overwrite(&name, &bad);
        let dirt = dirt(&mut log, None);
        let error = compact(&disk, &mut log, dirt, settings(at_zero(), 100)).unwrap_err();
        assert!(matches!(error, CompactionError::Damaged { .. }), "{error}");
        disk.overwrite(&name, &good);
        assert_eq!(disk.list(), before);
    }
}

fn at_zero() -> Timestamp {
    at(0)
}

#[test]
fn a_crash_at_any_point_leaves_the_old_or_the_new() {
    let script = "a=1 b=1; 7:c=1; -7; a=2 | b; a=3 d=1 | 8:d=2; +8; e=1 | e=2; b=2; f=1";
    let disk = MemoryDisk::default();
    let (expected, changes) = {
        let disk = disk.copy();
        let mut log = life(&disk, script);
        (table(&disk, &log), count_changes(&disk, &mut log))
    };
    assert!(changes > 30, "{changes}");
    let mut interrupted = 0;
    for point in 0..changes {
        for power in [false, true] {
            let disk = MemoryDisk::default();
            let mut log = life(&disk, script);
            let dirt = dirt(&mut log, None);
            let known = Checkpointed {
                recovery_point: Some(log.recovery_point()),
                log_start: Some(log.start_offset()),
                ..Checkpointed::default()
            };
            disk.refuse_after(point);
            compact(&disk, &mut log, dirt, settings(at(0), 100)).unwrap_err();
            drop(log);
            let disk = if power { disk.crash(0) } else { disk.copy() };
            interrupted += usize::from(disk.list().iter().any(|name| name.ends_with(".swap")));
            let mut log = reopen(&disk, known).unwrap();
            assert_eq!(table(&disk, &log), expected, "at change {point}, power {power}");
            let again = crate::compaction::dirt(&mut log, None);
            compact(&disk, &mut log, again, settings(at(0), 100)).unwrap();
            assert_eq!(table(&disk, &log), expected, "at change {point}, power {power}");
            verify(&disk, &log);
        }
    }
    assert!(interrupted > 10, "{interrupted}");
}

fn count_changes(disk: &MemoryDisk, log: &mut Log) -> usize {
    let dirt = dirt(log, None);
    (1..)
        .find(|changes| {
            let disk = disk.copy();
            let mut log = reopen(&disk, Checkpointed::default()).unwrap();
            checkpoint(&disk, &mut log);
            disk.refuse_after(*changes);
            compact(&disk, &mut log, dirt, settings(at(0), 100)).is_ok()
        })
        .unwrap()
}

/// What Apache Kafka leaves when it is killed between two renames.
#[test]
fn a_compaction_of_apache_kafka_is_completed() {
    let disk = MemoryDisk::default();
    let mut log = life(&disk, "a=1; b=1 | a=2; c=1 | a=3");
    let name = |base: i64, kind: &str| format!("{DIRECTORY}/{base:020}.{kind}");
    let compacted = {
        let disk = disk.copy();
        let mut log = reopen(&disk, Checkpointed::default()).unwrap();
        checkpoint(&disk, &mut log);
        let whole = dirt(&mut log, None);
        compact(&disk, &mut log, whole, settings(at(0), 100)).unwrap();
        disk
    };
    let old = disk.copy();
    for kind in ["log", "index", "timeindex"] {
        disk.put(&name(0, &format!("{kind}.swap")), &compacted.content(&name(0, kind)));
    }
    // Some of what is replaced is gone already, and some is not.
    disk.remove(&name(2, "index"));
    disk.remove(&name(0, "log"));
    let known = Checkpointed { recovery_point: Some(Offset::new(5)), ..Checkpointed::default() };
    drop(log);
    log = reopen(&disk, known).unwrap();
    assert_eq!(told(&disk, &log), "1b=1 3c=1 4a=3");
    verify(&disk, &log);
    // While one of its files is called *.cleaned, the old ones are all there.
    old.put(&name(0, "log.swap"), &compacted.content(&name(0, "log")));
    old.put(&name(0, "index.cleaned"), b"");
    let log = reopen(&old, known).unwrap();
    assert_eq!(told(&old, &log), "0a=1 1b=1 2a=2 3c=1 4a=3");
    verify(&old, &log);
}

/// Random lives: whatever happens, the newest value of each key is the same as without compaction.
#[test]
fn compaction_changes_no_table() {
    for seed in 1..50_u64 {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        random_life(&mut dice, seed);
    }
}

fn random_life(dice: &mut Dice, seed: u64) {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    // The same without compaction.
    let other = MemoryDisk::default();
    let mut whole = open(&other);
    let (mut sequence, mut in_transaction) = (0, BTreeSet::new());
    let (mut compacted, mut time, mut changed) = (None, 0, false);
    for _ in 0..60 {
        time += i64::try_from(dice.roll(300)).unwrap();
        match dice.roll(12) {
            0 => {
                // Rolls happen by themselves, too.
                for (disk, log) in [(&disk, &mut log), (&other, &mut whole)] {
                    if log.begin_roll() {
                        roll(disk, log);
                    }
                }
            }
            1 | 2 => {
                checkpoint(&disk, &mut log);
                let dirt = dirt(&mut log, compacted);
                if dirt.dirty_bytes > 0 {
                    let keys_max = 1 + dice.roll(12);
                    let settings = settings(at(time), keys_max);
                    compacted = Some(compact(&disk, &mut log, dirt, settings).unwrap());
                    check_one_each(&disk, &mut log, compacted);
                    changed = true;
                }
            }
            3 => {
                let known =
                    if dice.roll(2) == 0 { stop(&disk, log) } else { checkpoint(&disk, &mut log) };
                log = reopen(&disk, known).unwrap();
                changed = true;
            }
            _ => {
                let batch = random_batch(dice, time, &mut sequence, &mut in_transaction);
                let one = append(&disk, &mut log, &batch).unwrap();
                assert_eq!(append(&other, &mut whole, &batch).unwrap(), one, "seed {seed}");
            }
        }
        let live = |disk: &MemoryDisk, log: &Log| {
            let mut table = table(disk, log);
            table.retain(|key, value| value.is_some() && !key.is_empty());
            table
        };
        if std::mem::take(&mut changed) {
            assert_eq!(live(&disk, &log), live(&other, &whole), "seed {seed}");
        }
    }
    checkpoint(&disk, &mut log);
    verify(&disk, &log);
    let (left, all) = (read(&disk, &log.view(), &log), read(&other, &whole.view(), &whole));
    for (offset, told) in &left.records {
        let was = &all.records[offset];
        assert_eq!((&told.key, &told.value, told.timestamp), (&was.key, &was.value, was.timestamp));
    }
}

/// Below what was compacted, each key is there once, but for what its own transactions keep.
fn check_one_each(disk: &MemoryDisk, log: &mut Log, compacted: Option<Offset>) {
    let upto = compacted.unwrap();
    let mut seen = BTreeSet::new();
    for (offset, told) in read(disk, &log.view(), log).records {
        if offset < upto.get() {
            assert!(seen.insert(told.key.clone()), "{} at {offset} once more", told.key);
        }
    }
}

fn random_batch(
    dice: &mut Dice,
    time: i64,
    sequence: &mut i32,
    in_transaction: &mut BTreeSet<i64>,
) -> BuiltBatch {
    let id = i64::try_from(dice.roll(3)).unwrap() + 7;
    if in_transaction.contains(&id) && dice.roll(2) == 0 {
        in_transaction.remove(&id);
        return marker(id, dice.roll(2) == 0, time);
    }
    let count = 1 + dice.roll(4);
    let words: Vec<String> = (0..count)
        .map(|_| {
            let key = dice.roll(9);
            match dice.roll(5) {
                0 => format!("k{key}"),
                more => format!("k{key}={}", "v".repeat(more * 7)),
            }
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let compression = Compression::ALL[dice.roll(5)];
    let options = match dice.roll(3) {
        0 => BatchOptions::default(),
        1 => {
            in_transaction.insert(id);
            of_producer(id, None, true)
        }
        _ => {
            let options = of_producer(1, Some(*sequence), false);
            *sequence += i32::try_from(count).unwrap();
            options
        }
    };
    records(&words, time, BatchOptions { compression, ..options })
}
