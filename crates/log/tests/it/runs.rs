//! Batches that share a write, against the same batches one after the other.

use ottla_log::{AppendError, Appended, Log, RunRoom};
use ottla_records::{BatchOptions, BuiltBatch};
use ottla_types::{LeaderEpoch, Offset, Timestamp};

use crate::memory_disk::MemoryDisk;
use crate::support::{
    DIRECTORY, EPOCH, NOW, append, batch, build, contents, now, numbered, open, roll, stop, sync,
};

/// What became of each batch, rolling as a host does.
fn append_run(disk: &MemoryDisk, log: &mut Log, batches: &[BuiltBatch]) -> Vec<String> {
    let (mut room, mut told) = (RunRoom::default(), Vec::new());
    let mut rest = batches;
    loop {
        log.append_run(rest.iter().map(BuiltBatch::checked), EPOCH, || NOW, &mut room);
        let outcomes: Vec<_> = room.take_outcomes().collect();
        let rolls = matches!(outcomes.last(), Some(Err(AppendError::NeedsRoll)));
        let done = outcomes.len() - usize::from(rolls);
        told.extend(outcomes[..done].iter().map(tell));
        rest = &rest[done..];
        if !rolls {
            assert!(rest.is_empty(), "each batch is told what became of it");
            return told;
        }
        roll(disk, log);
    }
}

fn tell(outcome: &Result<Appended, AppendError>) -> String {
    format!("{outcome:?}")
}

#[test]
fn a_run_becomes_what_its_batches_become_one_after_the_other() {
    for seed in 1..=200 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let (disks, mut sent) = ([(); 2].map(|()| MemoryDisk::default()), Vec::new());
        let [mut alone, mut together] = disks.each_ref().map(open);
        let mut sequences = [0; 3];
        for _ in 0..12 {
            let run: Vec<BuiltBatch> =
                (0..1 + dice.roll(9)).map(|_| draw(&mut dice, &mut sequences, &mut sent)).collect();
            let one = |batch| tell(&append(&disks[0], &mut alone, batch));
            let expected: Vec<String> = run.iter().map(one).collect();
            assert_eq!(append_run(&disks[1], &mut together, &run), expected, "seed {seed}");
            if dice.roll(4) == 0 {
                sync(&disks[0], &mut alone);
                sync(&disks[1], &mut together);
            }
            assert_eq!(together.end(), alone.end());
            assert_eq!(together.dirty_bytes(), alone.dirty_bytes());
            assert_eq!(together.producers(), alone.producers());
            assert_eq!(together.leader_epochs(), alone.leader_epochs());
        }
        stop(&disks[0], alone);
        stop(&disks[1], together);
        assert_eq!(disks[1].list(), disks[0].list());
        for file in disks[0].list() {
            assert_eq!(disks[1].content(&file), disks[0].content(&file), "seed {seed}, {file}");
        }
    }
}

/// Any batch: of nobody, of one of three producers (the next one, one that comes again, one that
/// leaves a gap or begins an epoch), of a transaction, or one that is too large.
fn draw(dice: &mut Dice, sequences: &mut [i32; 3], sent: &mut Vec<BuiltBatch>) -> BuiltBatch {
    let value = "x".repeat(dice.roll(150));
    let values = vec![value.as_str(); 1 + dice.roll(3)];
    let producer = dice.roll(3);
    let sequence = &mut sequences[producer];
    let id = i64::try_from(producer).unwrap();
    let built = match dice.roll(12) {
        0 if !sent.is_empty() => sent.remove(dice.roll(sent.len())),
        1 => numbered(id, 0, *sequence + 1, &values),
        2 => batch(&["x".repeat(1_000).as_str()]),
        3 => {
            let late = Some(Timestamp::from_millis(NOW.millis() + 3_600_000));
            build(BatchOptions { append_time: late, ..Default::default() }, &values)
        }
        4 if dice.roll(4) == 0 => numbered(id, 1, 0, &values),
        5..=9 => {
            let first = *sequence;
            *sequence += i32::try_from(values.len()).unwrap();
            numbered(id, 0, first, &values)
        }
        _ => batch(&values),
    };
    sent.push(numbered(id, 0, *sequence, &values));
    if dice.roll(3) == 0 {
        sent.push(numbered(id, 0, (*sequence - 1).max(0), &["a"]));
    }
    built
}

#[test]
fn batches_of_a_run_share_one_write() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let plain = || batch(&["a"]);
    check_writes(&disk, &mut log, &[plain(), plain(), plain(), plain()], 1);
    // Behind each other they are as they should be.
    check_writes(&disk, &mut log, &[0, 1, 2, 3].map(|n| numbered(7, 0, n, &["a"])), 1);
    // What is not new is looked at once those before it are written, and not written.
    let again = [numbered(7, 0, 4, &["a"]), numbered(7, 0, 4, &["a"]), plain()];
    check_writes(&disk, &mut log, &again, 2);
    check_writes(&disk, &mut log, &[numbered(7, 0, 4, &["a"])], 0);
    let transactional = || {
        let producer = numbered(8, 0, 0, &["a"]).checked().header().producer;
        build(BatchOptions { producer, transactional: true, ..Default::default() }, &["a"])
    };
    check_writes(&disk, &mut log, &[plain(), transactional(), plain()], 3);
}

fn check_writes(disk: &MemoryDisk, log: &mut Log, run: &[BuiltBatch], writes: u64) {
    disk.take_writes();
    let told = append_run(disk, log, run);
    assert!(told.iter().all(|told| told.starts_with("Ok")), "{told:?}");
    assert_eq!(disk.take_writes(), writes, "{told:?}");
}

#[test]
fn a_crash_in_the_middle_of_a_run_leaves_its_first_batches() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["durable"])).unwrap();
    sync(&disk, &mut log);
    let run = ["a", "bb", "ccc", "dddd"].map(|value| numbered(7, 0, sequence(value), &[value]));
    let sizes = run.each_ref().map(|batch| batch.checked().size() as usize);
    append_run(&disk, &mut log, &run);
    for luck in 0..=sizes.iter().sum() {
        let crashed = disk.crash(luck);
        let again = open(&crashed);
        let mut end = 0;
        let whole = sizes.iter().take_while(|size| {
            end += **size;
            end <= luck
        });
        let left = 1 + whole.count();
        let values = ["durable", "a", "bb", "ccc", "dddd"];
        let expected: Vec<_> = (0..).zip(values.map(str::to_owned)).take(left).collect();
        assert_eq!(contents(&crashed, &again), expected, "after {luck} bytes");
        let known = again.producers().recent(ottla_types::ProducerId::new(7)).count();
        assert_eq!(known, left - 1, "after {luck} bytes");
    }
}

fn sequence(value: &str) -> i32 {
    i32::try_from(value.len()).unwrap() - 1
}

#[test]
fn a_run_that_finds_no_space_is_in_nobodys_log() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&disk, &mut log, &batch(&["a"])).unwrap();
    let (end, producers) = (log.end(), log.producers().clone());
    let run = [0, 1, 2].map(|n| numbered(7, 0, n, &["b"]));
    disk.set_full(true);
    let told = append_run(&disk, &mut log, &run);
    assert!(told[0].starts_with("Err(Full"), "{told:?}");
    assert_eq!(told[1..], ["Err(NeedsCut)", "Err(NeedsCut)"]);
    assert_eq!((log.end(), log.producers()), (end, &producers));
    disk.set_full(false);
    now(log.cut_plan().perform(&disk.ports())).unwrap();
    log.on_cut();
    let told = append_run(&disk, &mut log, &run);
    assert!(told.iter().all(|told| told.starts_with("Ok(New")), "{told:?}");
    assert_eq!(contents(&disk, &log).len(), 4);
}

#[test]
fn a_log_is_dead_after_a_run_that_failed() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    disk.fail_writes();
    let told = append_run(&disk, &mut log, &[batch(&["a"]), batch(&["b"])]);
    assert!(told[0].starts_with("Err(Storage"), "{told:?}");
    assert_eq!(told[1], "Err(Dead)");
    assert_eq!(log.end().offset, Offset::ZERO);
}

#[test]
fn an_old_leader_writes_no_run() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    log.append(&batch(&["a"]).checked(), LeaderEpoch::new(3), NOW).unwrap();
    let told = append_run(&disk, &mut log, &[batch(&["b"]), batch(&["c"])]);
    assert!(told.iter().all(|told| told.starts_with("Err(Epoch")), "{told:?}");
    assert!(disk.list().contains(&format!("{DIRECTORY}/00000000000000000000.log")));
    assert_eq!(log.end().offset, Offset::new(1));
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}
