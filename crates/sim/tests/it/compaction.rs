//! A compacted log on a disk of the fake world, through many lives: each dies between any two disk
//! calls, and the next one must find the newest value of each key, unchanged and in its order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use ottla_env::{DiskExt as _, Env};
use ottla_log::{
    AppendError, Checkpointed, CompactionSettings, DirtFacts, DormantLog, HashSeeds, Log,
    LogConfig, OpenLogError, ReadOutcome, Step,
};
use ottla_records::{BatchBuilder, BatchOptions, Batches, Compression, NewRecord};
use ottla_sim::{Death, DiskFault, Draws, Host, Sim};
#[cfg(feature = "planted")]
use ottla_types::planted::{Bug, plant};
use ottla_types::{LeaderEpoch, Offset, Timestamp};

const DIRECTORY: &str = "data/t-0";

/// How long a tombstone stays.
const RETENTION: Duration = Duration::from_millis(500);

/// A record as it was appended; without a value it is a tombstone.
type Written = (u64, Option<u64>);

/// What is known about the log from outside of its lives.
#[derive(Default)]
struct Ledger {
    appended: BTreeMap<i64, Written>,
    durable: i64,
    values: u64,
    /// What the host has written down.
    recovery_point: Option<i64>,
    compacted: Option<i64>,
    /// When a compaction first looked at a tombstone, by its offset.
    met: BTreeMap<i64, i64>,
    compactions: u32,
    gone: u64,
}

struct Life {
    env: Env,
    draws: Rc<Draws>,
    ledger: Rc<RefCell<Ledger>>,
    log: Log,
}

/// The machine died: nothing that this life does counts any more.
async fn dead() -> ! {
    std::future::pending().await
}

/// What a disk says that is no more says nothing of the log.
async fn alive<T>(outcome: Result<T, OpenLogError>) -> T {
    match outcome {
        Ok(done) => done,
        Err(OpenLogError::Storage(_)) => dead().await,
        Err(error) => panic!("{error}"),
    }
}

impl Life {
    async fn begin(env: Env, draws: Rc<Draws>, ledger: Rc<RefCell<Ledger>>) -> Self {
        let made = env.disk.make_dir(Path::new("data")).await;
        made.and(env.disk.sync_names(Path::new("")).await).expect("no fault of these two");
        let config = LogConfig {
            segment_bytes: *draws.pick(&[1_000, 3_000]),
            index_interval_bytes: *draws.pick(&[1, 500]),
            ..LogConfig::default()
        };
        let known = Checkpointed {
            recovery_point: ledger.borrow().recovery_point.map(Offset::new),
            ..Checkpointed::default()
        };
        let directory = Path::new(DIRECTORY);
        let mut dormant =
            alive(DormantLog::survey(&env.disk, directory, config, known).await).await;
        dormant.take_leftovers().remove(&env.disk).await;
        let log = alive(dormant.open(&env.disk).await).await;
        let mut life = Self { env, draws, ledger, log };
        life.sync().await;
        life.check().await;
        life
    }

    async fn sync(&mut self) {
        if let Some(unsynced) = self.log.take_unsynced() {
            if unsynced.make_durable(&self.env.disk).await.is_err() {
                dead().await;
            }
            self.log.on_synced(unsynced.upto);
        }
        let end = self.log.synced_end().offset.get();
        let mut ledger = self.ledger.borrow_mut();
        ledger.durable = ledger.durable.max(end);
    }

    /// What is there is what was appended, and nothing of it is missing that a reader needs.
    async fn check(&self) {
        let found = self.read_all().await;
        let (end, now) = (self.log.end().offset.get(), self.env.clock.wall().millis());
        let mut ledger = self.ledger.borrow_mut();
        assert!(end >= ledger.durable, "what was durable is there: {end}");
        ledger.appended.split_off(&end);
        ledger.met.split_off(&end);
        ledger.durable = end;
        let mut newest: BTreeMap<u64, i64> = BTreeMap::new();
        for (offset, (key, _)) in &ledger.appended {
            newest.insert(*key, *offset);
        }
        for (offset, record) in &found {
            assert_eq!(ledger.appended.get(offset), Some(record), "at {offset}");
        }
        let retention = i64::try_from(RETENTION.as_millis()).unwrap();
        for (key, offset) in newest {
            let is_tombstone = ledger.appended[&offset].1.is_none();
            let met = ledger.met.get(&offset);
            let may_go = is_tombstone && met.is_some_and(|met| met + retention <= now);
            let is_there = found.contains_key(&offset);
            assert!(is_there || may_go, "the newest record of {key} at {offset} is gone");
        }
        ledger.gone += (ledger.appended.len() - found.len()) as u64;
    }

    async fn read_all(&self) -> BTreeMap<i64, Written> {
        let (view, end) = (self.log.view(), self.log.end());
        let (mut next, mut found) = (self.log.start_offset(), BTreeMap::new());
        while next < end.offset {
            match view.read(next, end, 3_000, true) {
                Ok(ReadOutcome::Slice(slice)) => {
                    let len = usize::try_from(slice.len).unwrap();
                    let read = self.env.disk.read_at(&slice.file, slice.at, len).await;
                    let Ok(bytes) = read else { dead().await };
                    for batch in Batches::new(&bytes) {
                        let batch = batch.unwrap();
                        assert!(batch.crc_matches(), "every batch is whole");
                        for record in &batch.records(1 << 20).unwrap() {
                            let record = record.unwrap();
                            let key = number(record.key.unwrap());
                            let earlier =
                                found.insert(record.offset.get(), (key, record.value.map(number)));
                            assert_eq!(earlier, None, "each offset is there once");
                        }
                        next = batch.header.last_offset().next();
                    }
                }
                Ok(ReadOutcome::Cold(cold)) => drop(cold.warm(&self.env.disk).await),
                Ok(ReadOutcome::Empty) => break,
                Err(_) => dead().await,
            }
        }
        found
    }

    async fn step(&mut self) {
        match self.draws.below(12) {
            0..7 => self.append().await,
            7 => self.sync().await,
            8 => self.checkpoint().await,
            9 => self.env.clock.sleep(Duration::from_millis(self.draws.below(300))).await,
            10 => self.compact().await,
            _ => self.check_while_up().await,
        }
    }

    async fn check_while_up(&mut self) {
        self.sync().await;
        self.check().await;
    }

    async fn append(&mut self) {
        let compression = *self.draws.pick(&Compression::ALL);
        let mut builder =
            BatchBuilder::new(BatchOptions { compression, ..BatchOptions::default() });
        let first = self.log.end().offset.get();
        let records = i64::try_from(self.draws.within(1..4)).unwrap();
        for offset in first..first + records {
            let mut ledger = self.ledger.borrow_mut();
            ledger.values += 1;
            let key = self.draws.below(7);
            let value = (!self.draws.one_in(4)).then_some(ledger.values);
            ledger.appended.insert(offset, (key, value));
            ledger.met.remove(&offset);
            let mut bytes = value.unwrap_or_default().to_be_bytes().to_vec();
            bytes.resize(*self.draws.pick(&[8, 60]), 0xaa);
            builder.push(NewRecord {
                timestamp: self.env.clock.wall(),
                key: Some(&key.to_be_bytes()),
                value: value.map(|_| bytes.as_slice()),
                headers: &[],
            });
        }
        let batch = builder.build();
        loop {
            match self.log.append(&batch.checked(), LeaderEpoch::ZERO, self.env.clock.wall()) {
                Ok(_) => return,
                Err(AppendError::NeedsRoll) => self.roll().await,
                Err(_) => dead().await,
            }
        }
    }

    async fn roll(&mut self) {
        match self.log.roll_plan().prepare(&self.env.disk).await {
            Ok(fresh) => self.log.roll(fresh),
            Err(_) => dead().await,
        }
    }

    async fn checkpoint(&mut self) {
        let Some(mut plan) = self.log.begin_checkpoint() else { return };
        if let Some(unsynced) = plan.unsynced.take() {
            if unsynced.make_durable(&self.env.disk).await.is_err() {
                dead().await;
            }
            self.log.on_synced(unsynced.upto);
        }
        let Ok(written) = plan.write(&self.env.disk).await else { dead().await };
        if written.make_durable(&self.env.disk).await.is_err() {
            dead().await;
        }
        let superseded = self.log.on_checkpointed(written);
        self.ledger.borrow_mut().recovery_point = Some(self.log.recovery_point().get());
        superseded.remove(&self.env.disk).await;
    }

    async fn compact(&mut self) {
        let now = self.env.clock.wall();
        let bound = self.log.recovery_point().min(self.log.synced_end().offset);
        let view = self.log.view();
        let sealed = view.sealed_sizes();
        let facts = DirtFacts {
            sealed: &sealed,
            active: view.active_base(),
            start: self.log.start_offset(),
            end: self.log.end().offset,
            compacted: self.ledger.borrow().compacted.map(Offset::new),
            bound,
            young: None,
        };
        let dirt = facts.dirt();
        if dirt.dirty_bytes == 0 {
            return;
        }
        self.meet(dirt.upto, now);
        let settings = CompactionSettings {
            keys_max: *self.draws.pick(&[2, 5, 1_000]),
            seeds: HashSeeds([self.draws.next(), self.draws.next(), 7, self.draws.next()]),
            delete_retention: RETENTION,
            now,
        };
        match self.compact_as(self.log.compaction(dirt, settings)).await {
            Ok(upto) => {
                let mut ledger = self.ledger.borrow_mut();
                ledger.compacted = Some(upto.get());
                ledger.compactions += 1;
            }
            Err(_) => dead().await,
        }
        self.check_while_up().await;
    }

    /// Tombstones below `upto` are looked at now.
    fn meet(&self, upto: Offset, now: Timestamp) {
        let mut ledger = self.ledger.borrow_mut();
        let below = ledger.appended.range(..upto.get()).filter(|(_, (_, value))| value.is_none());
        let offsets: Vec<i64> = below.map(|(offset, _)| *offset).collect();
        for offset in offsets {
            ledger.met.entry(offset).or_insert_with(|| now.millis());
        }
    }

    async fn compact_as(
        &mut self,
        start: ottla_log::CompactionStart,
    ) -> Result<Offset, ottla_log::CompactionError> {
        let disk = &self.env.disk;
        let mut compaction = start.begin(disk).await?;
        loop {
            match compaction.step(disk, &|job| job()).await? {
                Step::Went { .. } => {}
                Step::Done { upto } => return Ok(upto),
                Step::Cleaned(cleaned) => {
                    cleaned.declare(disk).await?;
                    let aside = self.log.replace(cleaned).finish(disk).await?;
                    if self.draws.one_in(2) {
                        aside.remove(disk).await;
                    }
                }
            }
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().unwrap())
}

/// Runs a seed: lives of the log until one was left alone.
fn run(seed: u64) -> Ledger {
    let plan = Draws::new(seed, 0, "compaction");
    let mut sim = Sim::new(seed);
    let (operator, host) = (sim.host(), sim.host());
    host.disk_fault(DiskFault::ColdOneIn(*plan.pick(&[0, 3, 30])));
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let shared = Rc::clone(&ledger);
    sim.run(&operator, async move |env| {
        for life in (0..plan.within(2..8)).rev() {
            let death = *plan.pick(&[Death::Kill, Death::PowerLoss]);
            if life > 0 {
                let calls = u32::try_from(plan.below(500)).unwrap();
                host.disk_fault(DiskFault::DeathAfter { calls, death });
            } else {
                host.disk_fault(DiskFault::Healed);
            }
            let draws = Rc::new(Draws::new(seed, life, "compaction steps"));
            live(&env, &host, draws, &shared, life == 0).await;
            host.end(death);
        }
    });
    drop(sim);
    Rc::into_inner(ledger).unwrap().into_inner()
}

/// One life, until it dies; the last one is not meant to.
async fn live(
    operator: &Env,
    host: &Host,
    draws: Rc<Draws>,
    ledger: &Rc<RefCell<Ledger>>,
    last: bool,
) {
    let (done, ledger) = (Rc::new(Cell::new(false)), Rc::clone(ledger));
    let is_done = Rc::clone(&done);
    let steps = if last { 60 } else { *draws.pick(&[40, 400]) };
    host.start(1, |env| {
        Box::pin(async move {
            let mut life = Life::begin(env, draws, ledger).await;
            for _ in 0..steps {
                life.step().await;
            }
            is_done.set(true);
        })
    });
    while host.is_alive() && !done.get() {
        operator.clock.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_compacted_log_keeps_the_newest_of_each_key_through_any_death() {
    let (mut compactions, mut gone) = (0, 0);
    for seed in 0..150 {
        let ledger = std::panic::catch_unwind(|| run(seed));
        let ledger = ledger.unwrap_or_else(|_| panic!("seed {seed}"));
        compactions += ledger.compactions;
        gone += ledger.gone;
    }
    assert!(compactions > 300 && gone > 10_000, "{compactions} compactions, {gone} gone");
}

/// Bugs that are planted in compaction are seen here.
#[cfg(feature = "planted")]
#[test]
fn a_log_that_forgets_is_caught_when_it_is_compacted() {
    for bug in [Bug::TombstoneDroppedTooEarly, Bug::CompactionDropsNewestOfKey] {
        plant(Some(bug));
        let caught = (0..100).find(|seed| std::panic::catch_unwind(|| run(*seed)).is_err());
        plant(None);
        eprintln!("{}: caught by seed {caught:?}", bug.name());
        assert!(caught.is_some(), "{} is not caught", bug.name());
    }
}
