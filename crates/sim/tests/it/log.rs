//! One log on a disk of the fake world, through many lives: each dies between any two disk calls,
//! and the next one must find all that was durable, and nothing that was never appended.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ottla_env::{Answer, DiskExt as _, Env};
use ottla_log::{
    AppendError, Appended, CheckpointPlan, Checkpointed, DormantLog, Log, LogConfig, LogPosition,
    LogView, OpenLogError, ReadOutcome, RollError, Unsynced, inspect,
};
use ottla_records::{
    Batch, BatchBuilder, BatchOptions, Batches, BuiltBatch, NewRecord, ProducerStamp,
};
use ottla_sim::{Damage, Death, DiskFault, Draws, Host, Sim};
use ottla_types::planted::{self, Bug};
use ottla_types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const DIRECTORY: &str = "data/t-0";

/// What is known about the log from outside of its lives.
#[derive(Default)]
struct Ledger {
    /// Every record that was appended and may be there, by offset.
    appended: BTreeMap<i64, u64>,
    /// Everything below was durable.
    durable: i64,
    records: u64,
    next_sequence: i32,
    /// The last batches of the idempotent producer, oldest first: sequence, offset, batch.
    recent: VecDeque<(Option<i64>, BuiltBatch)>,
    /// What the host has written down, durably.
    recovery_point: Option<i64>,
    /// The last life has stopped cleanly, and nobody has begun another.
    clean: bool,
    /// A sync has failed, and nothing was made durable since: the machine may have survived it.
    sync_failed: bool,
    /// Somebody has harmed what is derived from the batches, and no checkpoint was made since.
    harmed: bool,
    counts: Counts,
}

impl Ledger {
    /// What the host reads, and takes away before anything is served.
    fn begin_life(&mut self) -> Checkpointed {
        Checkpointed {
            recovery_point: self.recovery_point.map(Offset::new),
            log_start: None,
            clean: std::mem::take(&mut self.clean),
            sync_failed: self.sync_failed,
        }
    }
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    lives: u32,
    rolls: u32,
    cuts: u32,
    duplicates: u32,
    checkpoints: u32,
    settled: u32,
    harmed: u32,
}

/// One life of the log.
struct Life {
    env: Env,
    machine: Host,
    draws: Rc<Draws>,
    ledger: Rc<RefCell<Ledger>>,
    log: Log,
    syncing: Option<(Answer<io::Result<()>>, LogPosition)>,
}

impl Life {
    async fn begin(
        env: Env,
        machine: Host,
        draws: Rc<Draws>,
        ledger: Rc<RefCell<Ledger>>,
        config: LogConfig,
    ) -> Self {
        // The log's parent is its host's business.
        let made = env.disk.make_dir(Path::new("data")).await;
        made.and(env.disk.sync_names(Path::new("")).await).expect("no fault of these two");
        let known = ledger.borrow_mut().begin_life();
        if draws.one_in(3) {
            // A harmed file may stay while a newer one serves in its place.
            let harmed = ledger.borrow().counts.harmed > 0;
            verify(&env, known, harmed).await;
        }
        let log = match Self::open(&env, &draws, config, known).await {
            Ok(log) => log,
            Err(OpenLogError::Storage(error)) => {
                ledger.borrow_mut().sync_failed = true;
                env.process.halt(&error.to_string());
                std::future::pending().await
            }
            Err(error) => panic!("{error}"),
        };
        ledger.borrow_mut().sync_failed = false;
        let mut life = Self { env, machine, draws, ledger, log, syncing: None };
        life.check_what_was_found(known).await;
        life.resend_recent().await;
        life
    }

    async fn open(
        env: &Env,
        draws: &Draws,
        config: LogConfig,
        known: Checkpointed,
    ) -> Result<Log, OpenLogError> {
        let dormant = DormantLog::survey(&env.disk, Path::new(DIRECTORY), config, known).await?;
        let seen = match dormant.is_settled() && draws.one_in(2) {
            true => Some((dormant.end(), read_all(env, &dormant.view(), dormant.end()).await)),
            false => None,
        };
        let mut log = dormant.open(&env.disk).await?;
        if let Some(unsynced) = log.take_unsynced() {
            unsynced.make_durable(&env.disk).await?;
            log.on_synced(unsynced.upto);
        }
        if let Some((end, seen)) = seen {
            assert_eq!(log.end(), end, "the names have told the end");
            assert_eq!(read_all(env, &log.view(), end).await, seen, "readers need no writer");
        }
        Ok(log)
    }

    async fn check_what_was_found(&self, known: Checkpointed) {
        let found = self.read_all().await;
        let end = self.log.end().offset.get();
        let mut ledger = self.ledger.borrow_mut();
        ledger.counts.lives += 1;
        ledger.counts.settled += u32::from(known.clean);
        assert!(end >= ledger.durable, "what was durable is there: {end} of {}", ledger.durable);
        let expected: Vec<(i64, u64)> =
            ledger.appended.range(..end).map(|(offset, value)| (*offset, *value)).collect();
        let records: Vec<(i64, u64)> =
            found.iter().flat_map(|(_, records)| records).copied().collect();
        assert_eq!(records, expected, "the log is a prefix of what was appended");
        let trusted = ledger.recovery_point.unwrap_or(0);
        let behind = found.iter().filter(|(base, _)| *base >= trusted).count() as u64;
        let read = self.log.recovery().batches;
        assert!(read == behind || ledger.harmed, "{read} batches read, {behind} behind {trusted}");
        // What was lost is not coming back: its offsets are free.
        ledger.appended.split_off(&end);
        ledger.durable = end;
    }

    /// A producer sends again what it does not know to be there, and some that it does.
    async fn resend_recent(&mut self) {
        let end = self.log.end().offset.get();
        for (offset, _) in &mut self.ledger.borrow_mut().recent {
            *offset = offset.filter(|offset| *offset < end);
        }
        let count = self.ledger.borrow().recent.len();
        for at in 0..count {
            let (there, batch) = self.ledger.borrow().recent[at].clone();
            self.ledger.borrow_mut().recent[at].0 =
                there.or_else(|| Some(self.log.end().offset.get()));
            self.append(&batch, there).await;
        }
    }

    /// Appends; `there`: where the batch is already.
    async fn append(&mut self, batch: &BuiltBatch, there: Option<i64>) {
        if there.is_none() {
            self.expect(batch);
        }
        let now = self.env.clock.wall();
        let appended = loop {
            match self.log.append(&batch.checked(), LeaderEpoch::ZERO, now) {
                Ok(appended) => break appended,
                Err(AppendError::NeedsRoll) => self.roll().await,
                Err(AppendError::Full(_)) => self.cut().await,
                Err(AppendError::Storage(_)) => dead().await,
                Err(error) => panic!("append: {error}"),
            }
        };
        let mut ledger = self.ledger.borrow_mut();
        match (appended, there) {
            (Appended::Duplicate { base_offset, .. }, Some(offset)) => {
                ledger.counts.duplicates += 1;
                assert_eq!(base_offset.get(), offset, "a duplicate is where it was");
            }
            (Appended::New { base_offset, last_offset }, None) => {
                let count = last_offset.get() - base_offset.get() + 1;
                assert_eq!(
                    i64::try_from(ledger.appended.range(base_offset.get()..).count()),
                    Ok(count)
                );
            }
            (appended, there) => panic!("{appended:?} of a batch that is at {there:?}"),
        }
    }

    /// From now on the batch may be there: a life may end between a write and its return.
    fn expect(&self, batch: &BuiltBatch) {
        let mut ledger = self.ledger.borrow_mut();
        let records = batch.batch().records(1 << 20).unwrap();
        for (offset, record) in (self.log.end().offset.get()..).zip(&records) {
            ledger.appended.insert(offset, value(record.unwrap().value.unwrap()));
        }
    }

    /// The disk was full in the middle of a batch; others make room meanwhile.
    async fn cut(&mut self) {
        self.machine.disk_fault(DiskFault::Room(None));
        self.ledger.borrow_mut().counts.cuts += 1;
        match self.log.cut_plan().perform(&self.env.disk).await {
            Ok(()) => self.log.on_cut(),
            Err(_) => self.halt().await,
        }
    }

    async fn roll(&mut self) {
        // A successor must not be there before the fate of the bytes in front of it is known:
        // after a sync that fails, the success of another proves nothing.
        self.end_sync().await;
        match self.log.roll_plan().prepare(&self.env.disk).await {
            Ok(fresh) => self.log.roll(fresh),
            Err(RollError::Create(error)) if error.kind() == io::ErrorKind::StorageFull => {
                self.machine.disk_fault(DiskFault::Room(None));
                return self.log.abandon_roll();
            }
            Err(_) => self.halt().await,
        }
        self.ledger.borrow_mut().counts.rolls += 1;
    }

    /// A sync failed: a node halts.
    async fn halt(&self) {
        self.ledger.borrow_mut().sync_failed = true;
        self.env.process.halt("sync");
        dead().await;
    }

    async fn step(&mut self) {
        if self.draws.one_in(20) {
            self.machine.disk_fault(DiskFault::Room(Some(self.draws.below(2_000))));
        }
        match self.draws.below(11) {
            0..5 => self.append_new().await,
            5 => {
                let recent = self.ledger.borrow().recent.back().cloned();
                if let Some((offset, batch)) = recent {
                    self.append(&batch, offset).await;
                }
            }
            6..8 => self.begin_sync(),
            8 => self.end_sync().await,
            9 => self.checkpoint().await,
            _ => assert_eq!(
                self.read_all().await.iter().map(|(_, records)| records.len() as u64).sum::<u64>(),
                self.ledger.borrow().appended.len() as u64,
                "all can be read"
            ),
        }
        self.look_at_sync().await;
    }

    async fn append_new(&mut self) {
        let batch = self.new_batch();
        let numbered = batch.batch().header.producer.is_some();
        let offset = self.log.end().offset.get();
        if numbered {
            let mut ledger = self.ledger.borrow_mut();
            ledger.recent.push_back((Some(offset), batch.clone()));
            if ledger.recent.len() > 5 {
                ledger.recent.pop_front();
            }
        }
        self.append(&batch, None).await;
    }

    /// Acks do not wait for a checkpoint.
    async fn append_some(&mut self) {
        for _ in 0..self.draws.below(3) {
            self.append_new().await;
        }
    }

    async fn checkpoint(&mut self) {
        self.end_sync().await;
        if let Some(mut plan) = self.log.begin_checkpoint() {
            if planted::is(Bug::CheckpointBeforeData) {
                self.on_recovery_point(plan.upto().offset);
            }
            if let Some(unsynced) = plan.unsynced.take() {
                self.make_durable(unsynced).await;
            }
            self.append_some().await;
            self.finish_checkpoint(plan).await;
        }
    }

    async fn make_durable(&mut self, unsynced: Unsynced) {
        if unsynced.make_durable(&self.env.disk).await.is_err() {
            self.log.on_sync_failed();
            self.halt().await;
        }
        self.log.on_synced(unsynced.upto);
        let mut ledger = self.ledger.borrow_mut();
        ledger.durable = ledger.durable.max(self.log.synced_end().offset.get());
    }

    async fn finish_checkpoint(&mut self, plan: CheckpointPlan) {
        let Ok(written) = plan.write(&self.env.disk).await else {
            self.log.abandon_checkpoint();
            return;
        };
        self.append_some().await;
        if written.make_durable(&self.env.disk).await.is_err() {
            self.halt().await;
        }
        self.append_some().await;
        let superseded = self.log.on_checkpointed(written);
        if self.draws.one_in(4) {
            // The host writes recovery points down when it likes.
            return;
        }
        self.on_recovery_point(self.log.recovery_point());
        superseded.remove(&self.env.disk).await;
    }

    fn on_recovery_point(&self, at: Offset) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.counts.checkpoints += 1;
        ledger.recovery_point = Some(at.get());
        ledger.harmed = false;
    }

    /// A clean stop, if the disk has room for one.
    async fn stop(&mut self) {
        self.end_sync().await;
        if let Some(mut plan) = self.log.begin_closing_checkpoint() {
            if let Some(unsynced) = plan.unsynced.take() {
                self.make_durable(unsynced).await;
            }
            let Ok(written) = plan.write(&self.env.disk).await else { return };
            if written.make_durable(&self.env.disk).await.is_err() {
                self.halt().await;
            }
            let superseded = self.log.on_checkpointed(written);
            self.on_recovery_point(self.log.recovery_point());
            superseded.remove(&self.env.disk).await;
        }
        assert_eq!(self.log.recovery_point(), self.log.end().offset);
        let mut ledger = self.ledger.borrow_mut();
        ledger.recovery_point = Some(self.log.recovery_point().get());
        (ledger.clean, ledger.harmed) = (true, false);
    }

    fn new_batch(&self) -> BuiltBatch {
        let mut ledger = self.ledger.borrow_mut();
        let count = self.draws.within(1..5);
        // A producer has five batches under way at most.
        let oldest = ledger.recent.front().filter(|_| ledger.recent.len() == 5);
        let may_number = oldest.is_none_or(|(at, _)| at.is_some_and(|at| at < ledger.durable));
        let stamp = (may_number && self.draws.one_in(2)).then(|| {
            let base_sequence = Some(Sequence::new(ledger.next_sequence));
            ledger.next_sequence += i32::try_from(count).unwrap();
            let (id, epoch) = (ProducerId::new(7), ProducerEpoch::new(0));
            ProducerStamp { id, epoch, base_sequence }
        });
        let options = BatchOptions { producer: stamp, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        for _ in 0..count {
            ledger.records += 1;
            let mut bytes = ledger.records.to_be_bytes().to_vec();
            bytes.resize(*self.draws.pick(&[8, 30, 700]), 0xaa);
            let timestamp: Timestamp = self.env.clock.wall();
            builder.push(NewRecord { timestamp, key: None, value: Some(&bytes), headers: &[] });
        }
        builder.build()
    }

    fn begin_sync(&mut self) {
        if self.syncing.is_none()
            && let Some(unsynced) = self.log.take_unsynced()
        {
            let (to, answer) = ottla_env::reply();
            self.env.disk.sync(unsynced.files, to);
            self.syncing = Some((answer, unsynced.upto));
        }
    }

    async fn look_at_sync(&mut self) {
        let Some((answer, _)) = &mut self.syncing else { return };
        let polled = std::pin::Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(synced) = polled {
            self.on_synced(synced.unwrap()).await;
        }
    }

    async fn end_sync(&mut self) {
        if let Some((answer, _)) = &mut self.syncing {
            let synced = answer.await.unwrap();
            self.on_synced(synced).await;
        }
    }

    async fn on_synced(&mut self, synced: io::Result<()>) {
        let (_, upto) = self.syncing.take().unwrap();
        if synced.is_err() {
            self.log.on_sync_failed();
            self.halt().await;
        }
        self.log.on_synced(upto);
        let mut ledger = self.ledger.borrow_mut();
        ledger.durable = ledger.durable.max(self.log.synced_end().offset.get());
    }

    async fn read_all(&self) -> Vec<(i64, Vec<(i64, u64)>)> {
        read_all(&self.env, &self.log.view(), self.log.end()).await
    }
}

/// What `ottla log verify` says of the files that a life has left.
async fn verify(env: &Env, known: Checkpointed, harmed: bool) {
    let mut findings = Vec::new();
    let told = inspect::Known {
        recovery_point: known.recovery_point,
        clean: known.clean,
        ..inspect::Known::default()
    };
    let mut report = |finding| findings.push(finding);
    // A disk that refuses is met again when the log is opened.
    let _ = inspect::verify_partition(&env.disk, Path::new(DIRECTORY), told, &mut report).await;
    let allowed = match harmed || !known.clean {
        true => inspect::Severity::Derived,
        false => inspect::Severity::Note,
    };
    // A snapshot that a power loss tore is passed over for ever: newer ones serve in its place.
    let passed_over = |it: &inspect::Trouble| matches!(it, inspect::Trouble::Snapshot(_));
    findings.retain(|it| it.severity > allowed && !passed_over(&it.trouble));
    assert!(findings.is_empty(), "{known:?}: {findings:#?}");
}

/// Every batch: its first offset, and its records.
async fn read_all(env: &Env, view: &LogView, end: LogPosition) -> Vec<(i64, Vec<(i64, u64)>)> {
    let (mut next, mut found) = (Offset::ZERO, Vec::new());
    loop {
        match view.read(next, end, 3_000, true) {
            Ok(ReadOutcome::Slice(slice)) => {
                let len = usize::try_from(slice.len).unwrap();
                let bytes = env.disk.read_at(&slice.file, slice.at, len).await.unwrap();
                for batch in Batches::new(&bytes) {
                    let batch = batch.unwrap();
                    assert!(batch.crc_matches(), "every batch is whole");
                    found.push((batch.header.base_offset.get(), values(&batch)));
                    next = batch.header.last_offset().next();
                }
            }
            Ok(ReadOutcome::Cold(cold)) => drop(cold.warm(&env.disk).await),
            Ok(ReadOutcome::Empty) => return found,
            Err(_) => dead().await,
        }
    }
}

fn values(batch: &Batch<'_>) -> Vec<(i64, u64)> {
    let records = batch.records(1 << 20).unwrap();
    let records = records.into_iter().map(Result::unwrap);
    records.map(|record| (record.offset.get(), value(record.value.unwrap()))).collect()
}

fn value(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(*bytes.first_chunk().unwrap())
}

/// The machine died during a call of the Now half: nothing that this life does counts any more.
async fn dead() {
    std::future::pending::<()>().await;
}

/// Runs a seed: lives of the log until one was left alone.
fn run(seed: u64) -> Ledger {
    let plan = Draws::new(seed, 0, "log");
    let mut sim = Sim::new(seed);
    let (operator, host) = (sim.host(), sim.host());
    host.disk_fault(DiskFault::ColdOneIn(*plan.pick(&[0, 3, 30])));
    // Some machines stay up when a node halts, and have forgotten what they could not write.
    host.set_outlives_halts(plan.one_in(2));
    let config = LogConfig {
        segment_bytes: *plan.pick(&[3_000, 10_000, 1 << 20]),
        index_interval_bytes: *plan.pick(&[0, 1, 1_000]),
        ..LogConfig::default()
    };
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let shared = Rc::clone(&ledger);
    sim.run(&operator, async move |env| {
        for life in (0..plan.within(2..8)).rev() {
            if life > 0 {
                let calls = u32::try_from(plan.below(300)).unwrap();
                let death = *plan.pick(&[Death::Kill, Death::PowerLoss]);
                host.disk_fault(DiskFault::DeathAfter { calls, death });
                if plan.one_in(5) {
                    host.disk_fault(DiskFault::NextSyncFails);
                }
                host.disk_fault(DiskFault::Room(None));
            } else {
                host.disk_fault(DiskFault::Healed);
            }
            let draws = Rc::new(Draws::new(seed, life, "steps"));
            live(&env, &host, draws, &shared, config, life == 0).await;
            harm(&host, &Draws::new(seed, life, "harm"), &mut shared.borrow_mut());
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
    config: LogConfig,
    last: bool,
) {
    let (done, ledger) = (Rc::new(Cell::new(false)), Rc::clone(ledger));
    let is_done = Rc::clone(&done);
    let machine = host.clone();
    let steps = if last { 20 } else { *draws.pick(&[5, 40, u64::MAX]) };
    let death = *draws.pick(&[Death::Kill, Death::PowerLoss]);
    host.start(1, |env| {
        Box::pin(async move {
            let mut life = Life::begin(env, machine, draws, ledger, config).await;
            for _ in 0..steps {
                life.step().await;
            }
            life.stop().await;
            is_done.set(true);
        })
    });
    while host.is_alive() && !done.get() {
        operator.clock.sleep(Duration::from_millis(1)).await;
    }
    host.end(death);
}

/// Harms files that the batches can replace, now and then, while nobody looks.
fn harm(host: &Host, draws: &Draws, ledger: &mut Ledger) {
    if !draws.one_in(3) {
        return;
    }
    let all = draws.one_in(4);
    for (path, len) in host.files() {
        let derived = path.starts_with(DIRECTORY) && !path.ends_with(".log");
        // Another digit in a text without a checksum is another text.
        let damage = match Damage::draw(draws, len) {
            Damage::BitFlipped { .. } if path.ends_with("checkpoint") => Damage::Removed,
            damage => damage,
        };
        if derived && (all || draws.one_in(3)) && host.damage(&path, damage) {
            ledger.harmed = true;
            ledger.counts.harmed += 1;
        }
    }
}

#[test]
fn a_log_keeps_its_promises_through_any_death() {
    let mut total = Counts::default();
    for seed in 0..300 {
        let ledger = std::panic::catch_unwind(|| run(seed));
        let counts = ledger.unwrap_or_else(|_| panic!("seed {seed}")).counts;
        total.lives += counts.lives;
        total.rolls += counts.rolls;
        total.cuts += counts.cuts;
        total.duplicates += counts.duplicates;
        total.checkpoints += counts.checkpoints;
        total.settled += counts.settled;
        total.harmed += counts.harmed;
    }
    let Counts { lives, rolls, cuts, duplicates, checkpoints, settled, harmed } = total;
    assert!(lives > 500 && rolls > 100 && duplicates > 100 && cuts > 100, "{total:?}");
    assert!(checkpoints > 500 && settled > 50 && harmed > 300, "{total:?}");
}

/// Bugs that are planted in a log and its host are seen here, too.
#[cfg(feature = "planted")]
#[test]
fn a_log_that_forgets_is_caught() {
    for bug in [Bug::SnapshotForgetsProducers, Bug::CheckpointBeforeData] {
        planted::plant(Some(bug));
        let caught = (0..100).find(|seed| std::panic::catch_unwind(|| run(*seed)).is_err());
        planted::plant(None);
        eprintln!("{}: caught by seed {caught:?}", bug.name());
        assert!(caught.is_some(), "{} is not caught", bug.name());
    }
}
