//! Starting from what checkpoints have left, or from what is left of them.

use std::path::Path;

use ottla_log::{
    Checkpointed, DormantLog, FoundRecord, LOG_START_CHECKPOINT, Located, Log, LogConfig,
    LogPosition, LogView, OffsetCheckpoint, OpenLogError, RECOVERY_POINT_CHECKPOINT,
};
use ottla_records::{BatchBuilder, BatchOptions, BuiltBatch, ControlType, NewRecord};
use ottla_testkit::apache_folder;
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::memory_disk::MemoryDisk;
use crate::support::{
    DIRECTORY, NOW, SMALL, batch, checkpoint, now, numbered, open, reopen, roll, stop, sync,
};
use crate::transactions::{data, marker};

/// What a log tells of itself and of its batches.
#[derive(Debug, PartialEq)]
struct Told {
    start: Offset,
    end: LogPosition,
    producers: ottla_log::ProducerState,
    epochs: ottla_log::LeaderEpochCache,
    batches: Vec<Option<LogPosition>>,
    since: Vec<Option<FoundRecord>>,
    latest: Option<FoundRecord>,
    aborted: Vec<Vec<(i64, i64)>>,
}

fn told(disk: &MemoryDisk, log: &Log) -> Told {
    let (view, end) = (log.view(), log.end());
    let offsets = || (log.start_offset().get()..end.offset.get()).map(Offset::new);
    let times = (990_000..1_020_000).step_by(500).map(Timestamp::from_millis);
    let ports = disk.ports();
    Told {
        start: log.start_offset(),
        end,
        producers: log.producers().clone(),
        epochs: log.leader_epochs().clone(),
        batches: offsets().map(|offset| located(disk, &view, offset, end)).collect(),
        since: times.map(|time| now(view.first_since(&ports, time, end)).unwrap()).collect(),
        latest: now(view.latest(&ports, end)).unwrap(),
        aborted: offsets().map(|from| aborted(disk, &view, from, end.offset)).collect(),
    }
}

fn located(
    disk: &MemoryDisk,
    view: &LogView,
    offset: Offset,
    upto: LogPosition,
) -> Option<LogPosition> {
    loop {
        match view.position_of(offset, upto).unwrap() {
            Located::Batch(position) => return Some(position),
            Located::End => return None,
            Located::Cold(cold) => now(cold.warm(&disk.ports())).unwrap(),
        }
    }
}

fn aborted(disk: &MemoryDisk, view: &LogView, from: Offset, upto: Offset) -> Vec<(i64, i64)> {
    loop {
        match view.aborted(from, upto) {
            Ok(found) => {
                return found.iter().map(|a| (a.producer.get(), a.first_offset.get())).collect();
            }
            Err(cold) => now(cold.warm(&disk.ports())).unwrap(),
        }
    }
}

/// A batch of two records, the second of them a second after the first.
fn timed(millis: i64) -> BuiltBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for millis in [millis, millis + 1_000] {
        let timestamp = Timestamp::from_millis(millis);
        builder.push(NewRecord { timestamp, key: None, value: Some(b"t"), headers: &[] });
    }
    builder.build()
}

/// Appends in an epoch, rolling as a host does.
fn put(disk: &MemoryDisk, log: &mut Log, batch: &BuiltBatch, epoch: i32) {
    while log.append(&batch.checked(), LeaderEpoch::new(epoch), NOW).is_err() {
        roll(disk, log);
    }
}

/// Segments of everything: times that run back and forth, producers, transactions that abort a
/// segment later, epochs.
fn fill(disk: &MemoryDisk, log: &mut Log, rounds: std::ops::Range<i32>) {
    for round in rounds {
        put(disk, log, &data(1, round * 2), round);
        for n in 0..4 {
            let millis = i64::from(990_000 + round * 1_500 + n * 700 % 1_100);
            put(disk, log, &timed(millis), round);
            put(disk, log, &numbered(7, 0, round * 4 + n, &["p"]), round);
        }
        let kind = if round % 3 == 0 { ControlType::Commit } else { ControlType::Abort };
        put(disk, log, &marker(1, kind), round);
    }
}

/// Damage to a file: its bytes, and those that it had at an earlier checkpoint.
type Damage = fn(&[u8], &[u8]) -> Option<Vec<u8>>;

const DAMAGES: [(&str, Damage); 7] = [
    ("removed", |_, _| None),
    ("empty", |_, _| Some(Vec::new())),
    ("cut in half", |now, _| Some(now[..now.len() / 2].to_vec())),
    ("cut by a byte", |now, _| Some(now[..now.len().saturating_sub(1)].to_vec())),
    ("zeroed", |now, _| Some(vec![0; now.len()])),
    ("longer", |now, _| Some([now, &[0; 4_096]].concat())),
    ("stale", |_, earlier| Some(earlier.to_vec())),
];

fn is_derived(path: &str) -> bool {
    !path.ends_with(".log") && !path.ends_with("partition.metadata")
}

#[test]
fn a_log_is_what_it_was_whatever_is_missing_of_what_is_derived() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..3);
    checkpoint(&disk, &mut log);
    let earlier = disk.copy();
    fill(&disk, &mut log, 3..6);
    let known = checkpoint(&disk, &mut log);
    fill(&disk, &mut log, 6..7);
    sync(&disk, &mut log);
    let unclean = disk.copy();
    check_all(&unclean, known, &earlier);
    let known = stop(&disk, log);
    check_all(&disk, known, &earlier);
    // What is beside a clean stop may be older, too.
    check_all(&disk, Checkpointed { clean: false, ..known }, &earlier);
}

/// Harms every derived file in every way, and all of them in every way.
fn check_all(disk: &MemoryDisk, known: Checkpointed, earlier: &MemoryDisk) {
    let expected = told_by_all_batches(disk);
    let derived: Vec<String> = disk.list().into_iter().filter(|path| is_derived(path)).collect();
    assert!(derived.len() > 20, "{derived:?}");
    check(&disk.copy(), known, &expected, "whole");
    for (damage, harm) in DAMAGES {
        for path in &derived {
            if !is_beyond_notice(disk, path, damage) {
                let harmed = disk.copy();
                harm_one(&harmed, path, harm, earlier);
                check(&harmed, known, &expected, &format!("{path} {damage}"));
            }
        }
        let harmed = disk.copy();
        derived.iter().for_each(|path| harm_one(&harmed, path, harm, earlier));
        if damage != "stale" {
            check(&harmed, known, &expected, &format!("all {damage}"));
        }
    }
}

/// Kafka's index files have no checksum, and say nothing of their length. Where times run
/// backwards, a time index that has lost its last entries is as good as any; and no `.txnindex` is
/// as good as an empty one, since Kafka makes it with its first entry.
fn is_beyond_notice(disk: &MemoryDisk, path: &str, damage: &str) -> bool {
    match path.rsplit_once('.').unwrap_or_default().1 {
        "timeindex" => ["cut in half", "stale"].contains(&damage),
        "txnindex" => !disk.content(path).is_empty() && damage != "cut by a byte",
        _ => false,
    }
}

fn harm_one(disk: &MemoryDisk, path: &str, harm: Damage, earlier: &MemoryDisk) {
    let before = earlier.list().iter().any(|name| name == path).then(|| earlier.content(path));
    match harm(&disk.content(path), &before.unwrap_or_default()) {
        Some(bytes) => disk.put(path, &bytes),
        None => disk.remove(path),
    }
}

/// What a scan of every batch tells, which believes nothing else.
fn told_by_all_batches(disk: &MemoryDisk) -> Told {
    let disk = disk.copy();
    disk.list().iter().filter(|path| is_derived(path)).for_each(|path| disk.remove(path));
    told(&disk, &open(&disk))
}

fn check(disk: &MemoryDisk, known: Checkpointed, expected: &Told, what: &str) {
    let mut log = reopen(disk, known).unwrap_or_else(|error| panic!("{what}: {error}"));
    compare(&told(disk, &log), expected, what);
    // It goes on, leaves a checkpoint, and is found the same by it.
    put(disk, &mut log, &batch(&["on"]), 50);
    let expected = told(disk, &log);
    let known = checkpoint(disk, &mut log);
    let again = reopen(disk, known).unwrap_or_else(|error| panic!("{what}, again: {error}"));
    assert_eq!(again.recovery().batches, 0, "{what}: the checkpoint has everything");
    compare(&told(disk, &again), &expected, what);
}

fn compare(told: &Told, expected: &Told, what: &str) {
    assert_eq!(told.batches, expected.batches, "{what}");
    assert_eq!(told.since, expected.since, "{what}");
    assert_eq!(told, expected, "{what}");
}

/// A short segment with an aborted transaction, stopped cleanly.
fn aborted_once(disk: &MemoryDisk) -> Checkpointed {
    let mut log = open(disk);
    for batch in [data(1, 0), marker(1, ControlType::Abort), batch(&["a"])] {
        put(disk, &mut log, &batch, 0);
    }
    stop(disk, log)
}

#[test]
fn aborted_transactions_outlive_damage_to_an_index_and_a_kill() {
    for (damage, harm) in DAMAGES {
        let disk = MemoryDisk::default();
        let known = aborted_once(&disk);
        let expected = told_by_all_batches(&disk);
        let index = format!("{DIRECTORY}/{}", ottla_log::segment_name(Offset::ZERO));
        harm_one(&disk, &index.replace(".log", ".index"), harm, &disk);
        let log = reopen(&disk, known).unwrap();
        compare(&told(&disk, &log), &expected, damage);
        // A kill: whatever was written is there.
        let killed = Checkpointed { clean: false, ..known };
        let log = reopen(&disk, killed).unwrap();
        compare(&told(&disk, &log), &expected, &format!("{damage}, after a kill"));
    }
}

/// The indexes of two segments are made anew, and the disk refuses to go on after so many changes:
/// the machine dies there.
#[test]
fn aborted_transactions_outlive_a_death_while_indexes_are_written_anew() {
    let whole = MemoryDisk::default();
    let mut log = open(&whole);
    fill(&whole, &mut log, 0..3);
    let known = checkpoint(&whole, &mut log);
    let expected = told_by_all_batches(&whole);
    for path in whole.list().iter().filter(|path| path.ends_with(".index")) {
        whole.remove(path);
    }
    for changes in 0..60 {
        let disk = whole.copy();
        disk.refuse_after(changes);
        let _ = try_anew(&disk, known);
        for suffix in ["nothing", ".txnindex", ".timeindex", ".index"] {
            let after = disk.crash_losing(suffix);
            let log = reopen(&after, known).unwrap();
            compare(&told(&after, &log), &expected, &format!("{changes}, less {suffix}"));
        }
    }
}

/// Loads every segment and makes a checkpoint, as far as the disk lets it.
fn try_anew(disk: &MemoryDisk, known: Checkpointed) -> std::io::Result<()> {
    let ports = disk.ports();
    let dormant = now(DormantLog::survey(&ports, Path::new(DIRECTORY), SMALL, known)).unwrap();
    let mut log = now(dormant.open(&ports)).map_err(std::io::Error::other)?;
    told(disk, &log);
    let Some(mut plan) = log.begin_checkpoint() else { return Ok(()) };
    if let Some(unsynced) = plan.unsynced.take() {
        now(unsynced.make_durable(&ports))?;
        log.on_synced(unsynced.upto);
    }
    let written = now(plan.write(&ports))?;
    now(written.make_durable(&ports))
}

/// A log of many segments, stopped cleanly.
fn long(disk: &MemoryDisk, rounds: i32) -> Checkpointed {
    let mut log = open(disk);
    fill(disk, &mut log, 0..rounds);
    stop(disk, log)
}

#[test]
fn a_log_that_was_stopped_cleanly_is_known_by_its_names() {
    let disk = MemoryDisk::default();
    let known = long(&disk, 6);
    let (expected, ports) = (told_by_all_batches(&disk), disk.ports());
    disk.take_reads();
    let dormant = now(DormantLog::survey(&ports, Path::new(DIRECTORY), SMALL, known)).unwrap();
    assert_eq!(disk.take_reads(), (0, 0), "names are enough");
    assert!(dormant.is_settled());
    assert_eq!((dormant.start_offset(), dormant.end()), (expected.start, expected.end));
    // Readers load what they need, and go on with what they hold when a writer comes.
    let view = dormant.view();
    let first = located(&disk, &view, Offset::ZERO, dormant.end());
    assert_eq!(first, expected.batches[0]);
    let last = Offset::new(expected.end.offset.get() - 1);
    assert_eq!(located(&disk, &view, last, dormant.end()), *expected.batches.last().unwrap());
    let mut log = now(dormant.open(&ports)).unwrap();
    compare(&told(&disk, &log), &expected, "open");
    assert!(log.take_unsynced().is_none(), "all is durable");
    log.append(&batch(&["on"]).checked(), LeaderEpoch::new(50), NOW).unwrap();
    assert_eq!(located(&disk, &view, expected.end.offset, log.end()), Some(expected.end));
}

#[test]
fn opening_a_log_costs_the_same_however_long_it_is() {
    let cost = |rounds| {
        let disk = MemoryDisk::default();
        let known = long(&disk, rounds);
        disk.take_reads();
        let log = reopen(&disk, known).unwrap();
        assert_eq!(log.recovery().bytes, 0);
        disk.take_reads()
    };
    let (_, short_bytes) = cost(4);
    let (opens, long_bytes) = cost(20);
    assert!(opens <= 6, "the segment, its indexes, a snapshot, the epochs: {opens}");
    // The epochs' file grows by a line each round.
    assert!(long_bytes < short_bytes + 1_500, "{long_bytes} bytes instead of {short_bytes}");
}

#[test]
fn after_a_kill_what_lies_behind_the_recovery_point_is_read_and_nothing_else() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..10);
    let known = checkpoint(&disk, &mut log);
    let trusted = log.end();
    assert_eq!(log.uncheckpointed_bytes(), 0);
    put(&disk, &mut log, &batch(&["behind"]), 20);
    let behind = log.uncheckpointed_bytes();
    let mut log = reopen(&disk.copy(), known).unwrap();
    assert_eq!((log.recovery().batches, log.recovery().bytes), (1, behind));
    assert_eq!((log.recovery_point(), log.uncheckpointed_bytes()), (trusted.offset, behind));
    assert!(log.begin_checkpoint().is_some());
    // The whole of the rest is only names.
    drop(log);
    disk.take_reads();
    let log = reopen(&disk, known).unwrap();
    let (_, bytes) = disk.take_reads();
    assert!(bytes < 4_000, "{bytes} bytes read");
    assert_eq!(log.end().offset, trusted.offset.next());
}

/// What somebody does to the last segment of a log with two batches behind its recovery point, at
/// the recovery point or before it, and what becomes of that.
#[test]
fn what_was_durable_is_never_cut_away() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..2);
    roll_now(&disk, &mut log);
    put(&disk, &mut log, &batch(&["a"]), 2);
    put(&disk, &mut log, &batch(&["b"]), 2);
    let known = checkpoint(&disk, &mut log);
    let (base, durable) = (log.end().segment_base, log.end());
    put(&disk, &mut log, &batch(&["c"]), 2);
    put(&disk, &mut log, &batch(&["d"]), 2);
    sync(&disk, &mut log);
    let name = format!("{DIRECTORY}/{}", ottla_log::segment_name(base));
    let (bytes, at) = (disk.content(&name), usize::try_from(durable.position).unwrap());
    let outcome = |bytes: &[u8], known| {
        let harmed = disk.copy();
        harmed.put(&name, bytes);
        let opened = reopen(&harmed, known);
        assert!(opened.is_ok() || harmed.content(&name) == bytes, "nothing is touched");
        opened.map(|log| log.end().offset.get() - durable.offset.get())
    };
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    assert_eq!(outcome(&bytes, known).unwrap(), 2);
    assert_eq!(outcome(&flipped(at + 20), known).unwrap(), 0, "a torn tail");
    assert_eq!(outcome(&bytes[..bytes.len() - 1], known).unwrap(), 1, "a torn tail");
    assert_eq!(outcome(&bytes[..at], known).unwrap(), 0);
    let short = outcome(&bytes[..at - 1], known);
    assert!(matches!(short, Err(OpenLogError::Corrupt { .. })), "{short:?}");
    let empty = outcome(&[], known);
    assert!(matches!(empty, Err(OpenLogError::BelowRecoveryPoint { .. })), "{empty:?}");
    let length = outcome(&flipped(8), known);
    assert!(matches!(length, Err(OpenLogError::Corrupt { .. })), "{length:?}");
    let clean = Checkpointed { clean: true, ..known };
    let more = outcome(&bytes, clean);
    assert!(matches!(more, Err(OpenLogError::NotAsStopped { .. })), "{more:?}");
}

fn roll_now(disk: &MemoryDisk, log: &mut Log) {
    assert!(log.begin_roll());
    roll(disk, log);
}

#[test]
fn a_snapshot_behind_the_recovery_point_is_made_again() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    put(&disk, &mut log, &numbered(7, 0, 0, &["a"]), 0);
    let known = checkpoint(&disk, &mut log);
    put(&disk, &mut log, &numbered(7, 0, 1, &["b"]), 0);
    sync(&disk, &mut log);
    // Another life had begun a checkpoint there, and not synced it.
    disk.put(&format!("{DIRECTORY}/00000000000000000002.snapshot"), b"half");
    let mut log = reopen(&disk, known).unwrap();
    let known = checkpoint(&disk, &mut log);
    let again = reopen(&disk, known).unwrap();
    assert_eq!((again.recovery().batches, again.producers()), (0, log.producers()));
}

#[test]
fn a_log_that_ends_before_its_start_begins_anew_there() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..2);
    let known = checkpoint(&disk, &mut log);
    let producers = reopen(&disk.copy(), known).unwrap().producers().clone();
    let log_start = Some(Offset::new(1_000));
    let mut log = reopen(&disk, Checkpointed { log_start, ..known }).unwrap();
    assert_eq!((log.start_offset().get(), log.end().offset.get()), (1_000, 1_000));
    assert_eq!(log.producers(), &producers);
    put(&disk, &mut log, &batch(&["on"]), 9);
    let known = Checkpointed { log_start, ..checkpoint(&disk, &mut log) };
    let log = reopen(&disk.crash(0), known).unwrap();
    assert_eq!((log.start_offset().get(), log.end().offset.get()), (1_000, 1_001));
}

#[test]
fn what_producers_were_before_batches_that_are_gone_is_not_taken_for_what_they_are() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    put(&disk, &mut log, &data(1, 0), 0);
    let known = checkpoint(&disk, &mut log);
    put(&disk, &mut log, &marker(1, ControlType::Commit), 0);
    roll_now(&disk, &mut log);
    put(&disk, &mut log, &batch(&["a"]), 0);
    sync(&disk, &mut log);
    let start = Offset::new(3);
    assert!(!log.may_start_at(start), "the recovery point would lie in front of what is kept");
    // As a host would do it that did not ask; the roll's snapshot was not durable.
    drop(now(log.advance_start(start).set_aside(&disk.ports())).unwrap());
    disk.put(&format!("{DIRECTORY}/00000000000000000003.snapshot"), b"half");
    let log = reopen(&disk, Checkpointed { log_start: Some(start), ..known }).unwrap();
    assert_eq!((log.start_offset(), log.end().offset), (start, Offset::new(4)));
    let mut log = log;
    assert_eq!(log.last_stable_offset(Offset::new(4)), Offset::new(4), "no transaction is open");
}

#[test]
fn a_checkpoint_lets_the_log_start_behind_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..3);
    let base = log.end().segment_base;
    assert!(log.may_start_at(Offset::new(1)), "no segment goes");
    assert!(!log.may_start_at(base));
    checkpoint(&disk, &mut log);
    assert!(log.may_start_at(log.end().offset));
    roll_now(&disk, &mut log);
    assert!(log.may_start_at(log.end().offset), "it begins where the checkpoint ends");
}

#[test]
fn a_roll_leaves_the_snapshot_of_a_checkpoint_alone() {
    for changes in 0..12 {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        put(&disk, &mut log, &numbered(7, 0, 0, &["a"]), 0);
        let known = checkpoint(&disk, &mut log);
        assert!(log.begin_roll());
        disk.refuse_after(changes);
        drop(now(log.roll_plan().prepare(&disk.ports())));
        let snapshot = disk.content(&format!("{DIRECTORY}/00000000000000000001.snapshot"));
        let after = disk.crash_losing("nothing");
        let again = reopen(&after, known).unwrap();
        assert!(!snapshot.is_empty(), "after {changes} changes");
        assert_eq!(again.producers(), log.producers());
    }
}

#[test]
fn an_older_epochs_file_is_not_believed_where_a_segment_begins() {
    let disk = MemoryDisk::default();
    // Every second batch has an entry, and none of them stays in memory of a sealed segment.
    let config = LogConfig { segment_bytes: 100_000, index_interval_bytes: 130, ..SMALL };
    let open_with = |known| {
        let ports = disk.ports();
        let survey = DormantLog::survey(&ports, Path::new(DIRECTORY), config, known);
        now(now(survey).unwrap().open(&ports)).unwrap()
    };
    let mut log = open_with(Checkpointed::default());
    put(&disk, &mut log, &batch(&["a"]), 1);
    checkpoint(&disk, &mut log);
    let path = format!("{DIRECTORY}/leader-epoch-checkpoint");
    let older = disk.content(&path);
    for _ in 1..32 {
        put(&disk, &mut log, &batch(&["a"]), 2);
    }
    roll_now(&disk, &mut log);
    let known = checkpoint(&disk, &mut log);
    disk.put(&path, &older);
    assert_eq!(open_with(known).leader_epochs(), log.leader_epochs());
}

#[test]
fn only_the_snapshots_that_a_start_may_need_are_kept() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&disk, &mut log, 0..3);
    for _ in 0..3 {
        put(&disk, &mut log, &batch(&["a"]), 5);
        checkpoint(&disk, &mut log);
    }
    let names = |kind: &str| -> Vec<String> {
        let names = disk.list().into_iter();
        names.filter_map(|name| name.strip_suffix(kind).map(str::to_owned)).collect()
    };
    let newest = format!("{DIRECTORY}/{:020}", log.end().offset.get());
    let segments = names(".log").into_iter().skip(1);
    assert_eq!(names(".snapshot"), segments.chain([newest]).collect::<Vec<_>>());
}

#[test]
fn apache_kafkas_folder_is_taken_as_it_is() {
    let whole = crate::inspect::apache();
    let folder = apache_folder();
    let offsets = |name: &'static str| {
        let text = String::from_utf8(folder[name].clone()).unwrap();
        OffsetCheckpoint::parse(name, &text).unwrap().offsets
    };
    let starts = offsets(LOG_START_CHECKPOINT);
    for (partition, point) in offsets(RECOVERY_POINT_CHECKPOINT) {
        let known = Checkpointed {
            recovery_point: Some(point),
            log_start: starts.get(&partition).copied(),
            clean: true,
            sync_failed: false,
        };
        let directory = format!("data/{partition}");
        check_apache(&whole, &directory, known);
        check_apache(&whole, &directory, Checkpointed { clean: false, ..known });
        // A kill leaves the files of the active segment as long as they were made.
        let killed = whole.copy();
        let newest = whole.list().into_iter().filter(|name| name.starts_with(&directory));
        let newest = newest.rev().find(|name| name.ends_with(".log")).unwrap();
        for kind in ["index", "timeindex"] {
            let name = newest.replace(".log", &format!(".{kind}"));
            let mut bytes = whole.content(&name);
            bytes.resize(bytes.len() / 12 * 12 + 24_000, 0);
            killed.put(&name, &bytes);
        }
        check_apache(&killed, &directory, Checkpointed { clean: false, ..known });
    }
}

fn check_apache(whole: &MemoryDisk, directory: &str, known: Checkpointed) {
    let disk = whole.copy();
    let ports = disk.ports();
    let config = LogConfig { index_interval_bytes: 100, ..LogConfig::default() };
    let survey = DormantLog::survey(&ports, Path::new(directory), config, known);
    let log = now(now(survey).unwrap().open(&ports)).unwrap();
    assert_eq!(log.recovery().batches, 0, "{directory}: nothing is read again");
    let found = told(&disk, &log);
    assert_eq!(Some(log.end().offset), known.recovery_point);
    for path in disk.list().iter().filter(|path| path.starts_with(directory)) {
        let (left, is_there) = (disk.content(path), whole.list().contains(path));
        let kept = left.is_empty() || (is_there && whole.content(path).starts_with(&left));
        assert!(kept, "{path} is left alone, but for zeros at its end");
    }
    let bare = whole.copy();
    whole.list().iter().filter(|path| is_derived(path)).for_each(|path| bare.remove(path));
    let log = now(Log::open(bare.ports(), Path::new(directory), config)).unwrap();
    let expected = told(&bare, &log);
    assert_eq!(found.epochs.latest(), expected.epochs.latest());
    let start = usize::try_from(found.start.get() - expected.start.get()).unwrap();
    assert_eq!(found.batches, expected.batches[start..], "{directory}");
    assert_eq!(found.aborted, expected.aborted[start..], "{directory}");
    assert_eq!(found.latest, expected.latest, "{directory}");
}
