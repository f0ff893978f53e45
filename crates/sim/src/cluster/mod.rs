//! A whole node in a whole run: clients, faults, and the question whether what was seen can be.
//!
//! A run has three phases. In the first, clients work and the planned faults happen; in the
//! second, everything is healed and new work must succeed; in the third, nothing new begins and
//! all that was begun must come to its end. Then a fresh client reads everything.

mod admin;
mod calls;
mod churn;
mod client;
mod connection;
mod consumer;
mod deleter;
mod groups;
mod history;
mod keeps;
mod nemesis;
mod node;
mod plan;
mod producer;
mod sessions;
mod sometimes;
mod values;
mod vandal;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ottla_env::{Env, Mono, Task};

use client::{CONVALESCENCE, Client, Phase, Shared};
use consumer::Consumer;
use history::History;
use nemesis::Nemesis;
use node::Supervised;
pub use plan::PlannedFault;
use plan::{Plan, Writes};
use producer::Producer;
use sessions::SessionReader;
pub use sometimes::{Counts, Event};

use crate::draws::Draws;
use crate::executor::Sim;
use crate::host::Host;

/// How long new work is begun after everything was healed.
const HEALED: Duration = Duration::from_secs(2);

/// How long what was begun, or a reading of everything, may take in a healed world.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workload {
    /// Records: written, read, deleted, kept.
    #[default]
    Records,
    /// Groups of consumers: who reads what, and from where on.
    Groups,
}

/// How to run a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub workload: Workload,
    /// Planned faults, by number, that are left out.
    pub without: BTreeSet<usize>,
    /// Whether the trace is printed.
    pub prints: bool,
}

/// What a run was like.
#[derive(Clone, Debug)]
pub struct Report {
    pub seed: u64,
    /// A hash over everything that happened: the same seed must give the same one.
    pub trace_hash: u64,
    /// How much time passed in the world.
    pub time: Duration,
    pub polls: u64,
    /// How often the node was started.
    pub lives: u32,
    /// Records that were acknowledged, and that were read.
    pub acked: u64,
    pub read: u64,
    /// Partitions that went from one member of a group to another.
    pub hand_overs: u64,
    /// How often things happened that some run must meet.
    pub events: Counts,
    /// The faults that happened.
    pub faults: Vec<PlannedFault>,
    /// What was seen that must not be.
    pub violations: Vec<String>,
}

impl Report {
    /// Whether everything that was seen may be.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {} s, {} lives, {} faults, {} acked, {} read, {} polls, trace {:016x}",
            self.seed,
            self.time.as_secs(),
            self.lives,
            self.faults.len(),
            self.acked,
            self.read,
            self.polls,
            self.trace_hash
        )?;
        // The first ones are the cause; the others follow from them.
        for violation in self.violations.iter().take(5) {
            write!(f, "\n  BROKEN: {violation}")?;
        }
        if !self.is_clean() {
            for (number, fault) in self.faults.iter().enumerate() {
                write!(f, "\n  fault {number}: {fault}")?;
            }
        }
        Ok(())
    }
}

/// Runs a seed.
///
/// # Panics
/// When the node does: whatever is under way is printed by the panic's hook.
#[must_use]
pub fn simulate(seed: u64, options: &Options) -> Report {
    match options.workload {
        Workload::Records => simulate_records(seed, options),
        Workload::Groups => groups::simulate(seed, options),
    }
}

fn simulate_records(seed: u64, options: &Options) -> Report {
    let mut plan = Plan::draw(seed);
    let mut number = 0;
    plan.faults.retain(|_| {
        number += 1;
        !options.without.contains(&(number - 1))
    });
    let mut sim = if options.prints { Sim::printing(seed) } else { Sim::new(seed) };
    let run = Run::new(&mut sim, seed, plan);
    let (node, shared) = (run.node.host.clone(), Rc::clone(&run.shared));
    let (operator, faults) = (run.operator.clone(), run.plan.faults.clone());
    let ((), events) =
        sometimes::watching(options.prints, || sim.run(&operator, |env| run.play(env)));
    let history = shared.history.borrow();
    let (acked, read) = history.counts();
    Report {
        seed,
        trace_hash: sim.trace_hash(),
        time: Duration::from_nanos(sim.now().nanos()),
        polls: sim.polls(),
        lives: node.lives(),
        acked,
        read,
        hand_overs: 0,
        events,
        faults,
        violations: history.violations().to_vec(),
    }
}

/// A run and all that takes part in it.
struct Run {
    seed: u64,
    plan: Plan,
    operator: Host,
    node: Rc<Supervised>,
    writers: Vec<Host>,
    readers: Vec<Host>,
    shared: Rc<Shared>,
    /// Clients that are not done.
    busy: Rc<RefCell<BTreeSet<String>>>,
}

impl Run {
    fn new(sim: &mut Sim, seed: u64, plan: Plan) -> Self {
        let operator = sim.host();
        let node_host = sim.host();
        node_host.disk_fault(crate::disk::DiskFault::ColdOneIn(plan.cold_one_in));
        let shared = Rc::new(Shared {
            node: node_host.address(node::PORT),
            history: RefCell::new(History::default()),
            phase: Cell::new(Phase::Trouble),
            sound_from: Cell::new(None),
        });
        Self {
            seed,
            node: Rc::new(Supervised::new(node_host, &plan)),
            writers: plan.writers.iter().map(|_| sim.host()).collect(),
            readers: (0..plan.readers).map(|_| sim.host()).collect(),
            operator,
            plan,
            shared,
            busy: Rc::default(),
        }
    }

    async fn play(self, env: Env) {
        let supervisor =
            Rc::clone(&self.node).supervise(env.clone(), Rc::clone(&self.shared), self.seed);
        env.spawn.spawn("supervisor", Box::pin(supervisor));
        let clients = self.writers.iter().chain(&self.readers).cloned().collect();
        let nemesis = Rc::new(Nemesis {
            env: env.clone(),
            node: Rc::clone(&self.node),
            clients,
            shared: Rc::clone(&self.shared),
        });
        nemesis.begin(&self.plan.faults);
        self.begin_clients(&env);

        self.watch(&env, self.plan.trouble, || false).await;
        nemesis.heal();
        self.shared.phase.set(Phase::Healed);
        let sound_from = env.clock.mono().after(CONVALESCENCE);
        self.shared.sound_from.set(Some(sound_from));
        let (acked_before, _) = self.shared.history.borrow().counts();
        self.watch(&env, HEALED, || false).await;
        let acked = || self.shared.history.borrow().counts().0;
        let hopeless = || self.shared.history.borrow().sound_partitions().is_empty();
        if !self.watch(&env, PATIENCE, || acked() > acked_before || hopeless()).await {
            self.violate("nothing was acknowledged after all was healed".to_owned());
        }
        self.shared.phase.set(Phase::Draining);
        let busy = Rc::clone(&self.busy);
        if !self.watch(&env, PATIENCE, || busy.borrow().is_empty()).await {
            self.violate(format!("not done long after all was healed: {:?}", self.busy.borrow()));
        }
        if self.is_sound() {
            env.clock.sleep_until(sound_from).await;
        }
        self.read_everything(&env).await;
    }

    /// Whether nothing was seen so far that must not be.
    fn is_sound(&self) -> bool {
        self.shared.history.borrow().violations().is_empty()
    }

    fn violate(&self, what: String) {
        self.shared.history.borrow_mut().violate(what);
    }

    /// Lets the world go on until `done` or for `time`; ends at once where something is broken
    /// already. Whether it was done.
    async fn watch(&self, env: &Env, time: Duration, done: impl Fn() -> bool) -> bool {
        let end = env.clock.mono().after(time);
        loop {
            if !self.is_sound() || done() {
                return true;
            }
            if env.clock.mono() >= end {
                return false;
            }
            env.clock.sleep_until(env.clock.mono().after(Duration::from_millis(10)).min(end)).await;
        }
    }

    /// Starts a client on a machine of its own; it is busy until its task ends.
    fn begin<F: Future<Output = ()> + 'static>(
        &self,
        host: &Host,
        name: String,
        task: impl FnOnce(Client) -> F,
    ) {
        host.start(1, |env| {
            let client = self.client(env, host, &name);
            let (task, busy) = (task(client), Rc::clone(&self.busy));
            busy.borrow_mut().insert(name.clone());
            Box::pin(async move {
                task.await;
                busy.borrow_mut().remove(&name);
            }) as Task
        });
    }

    fn client(&self, env: Env, host: &Host, name: &str) -> Client {
        let draws = Draws::new(self.seed, u64::from(host.id().0), name);
        Client { shared: Rc::clone(&self.shared), env, draws }
    }

    fn begin_clients(&self, env: &Env) {
        for ((number, host), writes) in (0..).zip(&self.writers).zip(&self.plan.writers) {
            let writes = *writes;
            self.begin(host, format!("writer {number} {writes:?}"), |client| async move {
                let producer = Producer::new(client, number);
                match writes {
                    Writes::ExactlyOnce => producer.run_exactly_once().await,
                    Writes::AcksOne => producer.run_once_each(1).await,
                    Writes::AcksNone => producer.run_once_each(0).await,
                }
            });
        }
        for (number, host) in self.readers.iter().enumerate() {
            let in_sessions = number % 2 == 1;
            self.begin(host, format!("reader {number}"), |client| async move {
                let consumer = Consumer::new(client);
                if in_sessions {
                    SessionReader::new(consumer).run().await;
                } else {
                    consumer.run().await;
                }
            });
        }
        // The operator's own machine makes topics and watches them.
        for (number, (at, partitions, keeps)) in self.plan.topics.iter().enumerate() {
            let (at, shape) = (Duration::from_millis(*at), (*partitions, *keeps));
            let (name, busy) = (format!("topic-{number}"), Rc::clone(&self.busy));
            let client = self.client(env.clone(), &self.operator, &name);
            busy.borrow_mut().insert(name.clone());
            let task = async move {
                client.env.clock.sleep(at).await;
                admin::create(&client, &name, shape).await;
                busy.borrow_mut().remove(&name);
            };
            env.spawn.spawn("create", Box::pin(task));
        }
        if self.plan.churns {
            let client = self.client(env.clone(), &self.operator, "churn");
            env.spawn.spawn("churn", Box::pin(churn::run(client)));
        }
        let deleter = self.client(env.clone(), &self.operator, "deleter");
        env.spawn.spawn("deleter", Box::pin(deleter::run(deleter)));
        let watcher = self.client(env.clone(), &self.operator, "watcher");
        env.spawn.spawn("watch", Box::pin(admin::watch(watcher)));
    }

    async fn read_everything(&self, env: &Env) {
        if !self.is_sound() {
            return;
        }
        let mut reader = Consumer::new(self.client(env.clone(), &self.operator, "last reader"));
        let partitions = self.shared.history.borrow().partitions();
        let deadline: Mono = env.clock.mono().after(PATIENCE);
        for partition in partitions {
            if self.shared.history.borrow().is_written_off(partition) {
                reader.probe(partition).await;
                continue;
            }
            let mut timer = env.clock.timer();
            timer.set(Some(deadline));
            let mut reading = Box::pin(reader.read_all(partition));
            let whole = std::future::poll_fn(|cx| match timer.poll_expired(cx) {
                std::task::Poll::Ready(()) => std::task::Poll::Ready(None),
                std::task::Poll::Pending => reading.as_mut().poll(cx).map(Some),
            })
            .await;
            drop(reading);
            let now = env.clock.wall();
            match whole {
                Some(whole) => self.shared.history.borrow_mut().on_whole_log(partition, whole, now),
                None => return self.violate(format!("{partition} cannot be read to its end")),
            }
        }
    }
}
