//! Random lives of a log, against a list of what was appended.

use ottla_log::{Appended, Checkpointed, Log};
use ottla_records::BuiltBatch;
use ottla_types::Offset;

use crate::memory_disk::MemoryDisk;
use crate::support::{
    append, batch, checkpoint, contents, now, numbered, open, reopen, stop, sync,
};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

/// A log, what it must hold, and a producer that goes on whatever happens.
struct Life {
    disk: MemoryDisk,
    log: Log,
    appended: Vec<String>,
    /// Records that no crash may take.
    durable: usize,
    /// The last batch of the producer, and its first offset.
    sent: Option<(BuiltBatch, i64)>,
    sequence: i32,
    names: usize,
    /// What the host has written down.
    known: Checkpointed,
}

impl Life {
    fn begin() -> Self {
        let disk = MemoryDisk::default();
        let log = open(&disk);
        let known = Checkpointed::default();
        Self { disk, log, appended: vec![], durable: 0, sent: None, sequence: 0, names: 0, known }
    }

    fn values(&mut self, dice: &mut Dice) -> Vec<String> {
        let count = 1 + dice.roll(3);
        (0..count)
            .map(|_| {
                self.names += 1;
                format!("{}-{}", self.names, "x".repeat(dice.roll(120)))
            })
            .collect()
    }

    fn append(&mut self, dice: &mut Dice) {
        let values = self.values(dice);
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let is_numbered = dice.roll(2) == 0;
        let built = if is_numbered { numbered(1, 0, self.sequence, &texts) } else { batch(&texts) };
        let base = i64::try_from(self.appended.len()).unwrap();
        let appended = append(&self.disk, &mut self.log, &built).unwrap();
        let last_offset = Offset::new(base + i64::try_from(values.len()).unwrap() - 1);
        assert_eq!(appended, Appended::New { base_offset: Offset::new(base), last_offset });
        if is_numbered {
            self.sequence += i32::try_from(values.len()).unwrap();
            self.sent = Some((built, base));
        }
        self.appended.extend(values);
        // A roll has made what came before it durable.
        let synced = usize::try_from(self.log.synced_end().offset.get()).unwrap();
        self.durable = self.durable.max(synced);
    }

    fn resend(&mut self) {
        let Some((built, base)) = &self.sent else { return };
        match append(&self.disk, &mut self.log, built).unwrap() {
            Appended::Duplicate { base_offset, .. } => assert_eq!(base_offset.get(), *base),
            Appended::New { .. } => panic!("the batch is in the log"),
        }
    }

    fn sync(&mut self) {
        sync(&self.disk, &mut self.log);
        assert_eq!(self.log.synced_end().offset, self.log.end().offset);
        self.durable = self.appended.len();
    }

    /// A power cut that keeps some sectors of what was not synced and loses others.
    fn crash(&mut self, dice: &mut Dice) {
        self.disk = self.disk.crash_with(|unsynced| {
            unsynced.truncate(dice.roll(unsynced.len() + 1));
            for sector in unsynced.chunks_mut(64) {
                if dice.roll(6) == 0 {
                    sector.fill(0);
                }
            }
        });
        self.reopen();
    }

    fn checkpoint(&mut self) {
        self.known = checkpoint(&self.disk, &mut self.log);
        self.durable = self.appended.len();
    }

    /// A clean stop, and a start.
    fn restart(self) -> Self {
        let Self { disk, log, appended, sent, sequence, names, .. } = self;
        let known = stop(&disk, log);
        let log = reopen(&disk, known).unwrap();
        let durable = appended.len();
        let known = Checkpointed { clean: false, ..known };
        let mut life = Self { disk, log, appended, durable, sent, sequence, names, known };
        life.compare_with_all_batches();
        life.forget_from(durable);
        life.check();
        life
    }

    /// A start that believes checkpoints is no other than one that reads every batch.
    fn compare_with_all_batches(&self) {
        let whole = self.disk.copy();
        let derived = |path: &&String| !path.ends_with(".log");
        whole.list().iter().filter(derived).for_each(|path| whole.remove(path));
        let expected = open(&whole);
        assert_eq!(self.log.end(), expected.end());
        assert_eq!(self.log.producers(), expected.producers());
        assert_eq!(self.log.leader_epochs(), expected.leader_epochs());
    }

    /// What was not synced may be gone, from the end only.
    fn reopen(&mut self) {
        self.log = reopen(&self.disk, self.known).unwrap();
        self.compare_with_all_batches();
        let left = usize::try_from(self.log.end().offset.get()).unwrap();
        assert!(left >= self.durable, "{left} records of {} durable ones", self.durable);
        self.forget_from(left);
        self.durable = left;
        self.check();
    }

    fn truncate(self, dice: &mut Dice) -> Self {
        let Self { disk, mut log, appended, durable, sent, sequence, names, mut known } = self;
        sync(&disk, &mut log);
        let to = Offset::new(i64::try_from(dice.roll(appended.len() + 1)).unwrap());
        log.lower_recovery_point(to);
        known.recovery_point = known.recovery_point.min(Some(log.recovery_point()));
        let log = now(log.truncate(&disk.ports(), to)).unwrap();
        let left = usize::try_from(log.end().offset.get()).unwrap();
        let mut life = Self { disk, log, appended, durable, sent, sequence, names, known };
        life.compare_with_all_batches();
        life.durable = left;
        life.forget_from(left);
        life.check();
        life
    }

    fn forget_from(&mut self, left: usize) {
        self.appended.truncate(left);
        let lost = |base: i64| usize::try_from(base).unwrap() >= left;
        if self.sent.as_ref().is_some_and(|(_, base)| lost(*base)) {
            self.sent = None;
        }
        // The producer asks the state where it is, as a real one finds out by its retries.
        let recent = self.log.producers().recent(ottla_types::ProducerId::new(1)).last();
        self.sequence = recent.map_or(0, |batch| batch.last_sequence.plus(1).get());
    }

    fn check(&self) {
        let records = contents(&self.disk, &self.log);
        assert_eq!(records.len(), self.appended.len());
        for ((offset, value), (expected_offset, expected)) in
            records.iter().zip((0..).zip(&self.appended))
        {
            assert_eq!((offset, value), (&expected_offset, expected));
        }
    }
}

#[test]
fn nothing_durable_is_lost_and_nothing_comes_back() {
    for seed in 1..=200 {
        let mut dice = Dice(seed * 0x9e37_79b9);
        let mut life = Life::begin();
        for _ in 0..60 {
            match dice.roll(14) {
                0 => life.crash(&mut dice),
                1 => life.reopen(),
                2 | 3 => life.sync(),
                4 => life.resend(),
                6 => life.checkpoint(),
                7 if dice.roll(3) == 0 => life = life.restart(),
                5 if dice.roll(3) == 0 => life = life.truncate(&mut dice),
                _ => life.append(&mut dice),
            }
        }
        life.check();
    }
}
