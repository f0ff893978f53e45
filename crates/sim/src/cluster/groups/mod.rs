//! Groups of consumers under trouble: several of them, of both protocols and mixed, whose members
//! come, go, die and dawdle while the node does what it does.

mod checks;
mod member;
mod plan;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla_client::{Client, NewTopic, ProduceError, Record};
use ottla_env::Env;
use ottla_types::PartitionId;

use super::client::{Phase, Shared};
use super::history::History;
use super::nemesis::Nemesis;
use super::node::{self, Supervised};
use super::{Options, Report, sometimes};
use crate::draws::Draws;
use crate::executor::Sim;
use crate::host::Host;
use checks::{Checks, MemberName};
use member::Place;
use plan::GroupsPlan;

/// How long everything that was written may take to be read in a healed world: sessions have to
/// end, and rebalances to wait for the slowest.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long new records are written after everything was healed.
const HEALED: Duration = Duration::from_secs(10);

/// What those who take part in a run share.
pub(super) struct Stage {
    seed: u64,
    topics: usize,
    shared: Rc<Shared>,
    checks: RefCell<Checks>,
    ready: Cell<bool>,
}

impl Stage {
    fn phase(&self) -> Phase {
        self.shared.phase.get()
    }
}

fn topic_name(number: usize) -> String {
    format!("topic-{number}")
}

fn group_name(number: usize) -> String {
    format!("group-{number}")
}

/// A client of the node.
fn client(env: &Env, stage: &Stage) -> Client {
    Client::builder(env.clone())
        .bootstrap(stage.shared.node)
        .client_id("sim")
        .connect_timeout(Duration::from_secs(3))
        .request_timeout(Duration::from_secs(5))
        .build()
}

/// Runs a seed.
pub(super) fn simulate(seed: u64, options: &Options) -> Report {
    let mut plan = GroupsPlan::draw(seed);
    let mut number = 0;
    plan.base.faults.retain(|_| {
        number += 1;
        !options.without.contains(&(number - 1))
    });
    let mut sim = if options.prints { Sim::printing(seed) } else { Sim::new(seed) };
    let run = Run::new(&mut sim, seed, plan);
    let (node, stage) = (run.node.host.clone(), Rc::clone(&run.stage));
    let (operator, faults) = (run.operator.clone(), run.plan.base.faults.clone());
    let ((), events) =
        sometimes::watching(options.prints, || sim.run(&operator, |env| run.play(env)));
    let (acked, read, hand_overs) = stage.checks.borrow().counts();
    Report {
        seed,
        trace_hash: sim.trace_hash(),
        time: Duration::from_nanos(sim.now().nanos()),
        polls: sim.polls(),
        lives: node.lives(),
        acked,
        read,
        hand_overs,
        events,
        faults,
        violations: stage.shared.history.borrow().violations().to_vec(),
    }
}

struct Run {
    plan: GroupsPlan,
    operator: Host,
    node: Rc<Supervised>,
    writers: Vec<Host>,
    members: Vec<Vec<Host>>,
    stage: Rc<Stage>,
}

impl Run {
    fn new(sim: &mut Sim, seed: u64, plan: GroupsPlan) -> Self {
        let operator = sim.host();
        let node_host = sim.host();
        let shared = Rc::new(Shared {
            node: node_host.address(node::PORT),
            history: RefCell::new(History::default()),
            phase: Cell::new(Phase::Trouble),
            sound_from: Cell::new(None),
        });
        let stage = Stage {
            seed,
            topics: plan.topics.len(),
            shared,
            checks: RefCell::default(),
            ready: Cell::new(false),
        };
        let members =
            |group: &plan::GroupPlan| group.members.iter().map(|_| ()).collect::<Vec<_>>();
        Self {
            node: Rc::new(Supervised::with_properties(node_host, &plan.base, &plan.properties)),
            writers: (0..plan.writers).map(|_| sim.host()).collect(),
            members: plan
                .groups
                .iter()
                .map(|group| members(group).into_iter().map(|()| sim.host()).collect())
                .collect(),
            operator,
            plan,
            stage: Rc::new(stage),
        }
    }

    async fn play(self, env: Env) {
        let (stage, shared) = (Rc::clone(&self.stage), Rc::clone(&self.stage.shared));
        let supervisor =
            Rc::clone(&self.node).supervise(env.clone(), Rc::clone(&shared), stage.seed);
        env.spawn.spawn("supervisor", Box::pin(supervisor));
        let clients = self.writers.iter().chain(self.members.iter().flatten()).cloned().collect();
        let nemesis = Rc::new(Nemesis {
            env: env.clone(),
            node: Rc::clone(&self.node),
            clients,
            shared: Rc::clone(&shared),
        });
        nemesis.begin(&self.plan.base.faults);
        self.begin(&env);

        self.watch(&env, self.plan.base.trouble, || false).await;
        nemesis.heal();
        shared.phase.set(Phase::Healed);
        let acked_before = stage.checks.borrow().counts().0;
        self.watch(&env, HEALED, || false).await;
        let acked = || stage.checks.borrow().counts().0;
        if !self.watch(&env, PATIENCE, || acked() > acked_before).await {
            self.violate("nothing was acknowledged after all was healed".to_owned());
        }
        shared.phase.set(Phase::Draining);
        let unread = |group: usize| stage.checks.borrow().unread(group);
        let groups = 0..self.plan.groups.len();
        if !self.watch(&env, PATIENCE, || groups.clone().all(|group| unread(group) == 0)).await {
            let left: Vec<usize> = groups.map(unread).collect();
            self.violate(format!("records were not read long after all was healed: {left:?}"));
        }
    }

    fn violate(&self, what: String) {
        self.stage.shared.history.borrow_mut().violate(what);
    }

    /// Lets the world go on until `done` or for `time`; ends at once where something is broken
    /// already. Whether it was done.
    async fn watch(&self, env: &Env, time: Duration, done: impl Fn() -> bool) -> bool {
        let end = env.clock.mono().after(time);
        loop {
            let found = self.stage.checks.borrow_mut().take_violations();
            found.into_iter().for_each(|what| self.violate(what));
            if !self.stage.shared.history.borrow().violations().is_empty() || done() {
                return true;
            }
            if env.clock.mono() >= end {
                return false;
            }
            env.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    fn begin(&self, env: &Env) {
        let topics = self.plan.topics.clone();
        let (stage, operator) = (Rc::clone(&self.stage), env.clone());
        env.spawn.spawn("topics", Box::pin(make_topics(stage, operator, topics)));
        for (number, host) in self.writers.iter().enumerate() {
            let (stage, topics) = (Rc::clone(&self.stage), self.plan.topics.clone());
            host.start(1, |env| Box::pin(write(stage, env, number, topics)));
        }
        for (group, (hosts, plan)) in self.members.iter().zip(&self.plan.groups).enumerate() {
            if plan.is_mixed() {
                self.stage.checks.borrow_mut().on_mixed(group);
            }
            for (place, host) in hosts.iter().enumerate() {
                let keeper = Place {
                    stage: Rc::clone(&self.stage),
                    host: host.clone(),
                    name: MemberName { group, place, life: 0 },
                    group: plan.clone(),
                    plan: plan.members[place],
                };
                env.spawn.spawn("keeper", Box::pin(keeper.keep(env.clone())));
            }
            let (stage, operator) = (Rc::clone(&self.stage), env.clone());
            env.spawn.spawn("watcher", Box::pin(look(stage, operator, group)));
        }
    }
}

/// Makes the topics, however often that takes.
async fn make_topics(stage: Rc<Stage>, env: Env, topics: Vec<i32>) {
    let admin = client(&env, &stage).admin();
    for (number, partitions) in topics.into_iter().enumerate() {
        let name = topic_name(number);
        loop {
            let made = admin.create_topic(NewTopic::new(&name).partitions(partitions));
            let exists = |error: &ottla_client::AdminError| {
                error.code() == Some(ottla_wire::ErrorCode::TopicAlreadyExists)
            };
            match made.await {
                Ok(_) => break,
                Err(error) if exists(&error) => break,
                Err(_) => env.clock.sleep(Duration::from_millis(100)).await,
            }
        }
    }
    stage.ready.set(true);
}

/// Writes numbered records until the run drains.
async fn write(stage: Rc<Stage>, env: Env, writer: usize, topics: Vec<i32>) {
    let draws = Draws::new(stage.seed, writer as u64, "group writer");
    while !stage.ready.get() {
        env.clock.sleep(Duration::from_millis(50)).await;
    }
    let client = client(&env, &stage);
    let producer = client.producer().linger(Duration::from_millis(draws.below(20))).build();
    let mut number = 0_u64;
    while stage.phase() < Phase::Draining {
        let mut deliveries = Vec::new();
        for _ in 0..draws.within(1..8) {
            let topic = draws.index(topics.len());
            let count = u64::from(topics[topic].unsigned_abs());
            let to = PartitionId::new(i32::try_from(draws.below(count)).expect("a few"));
            let text = format!("{writer}-{number}");
            number += 1;
            let record = Record::to(&topic_name(topic)).partition(to).value(text.clone());
            match producer.send(record).await {
                Ok(delivery) => deliveries.push((text, delivery)),
                Err(error) => judge(&stage, &error),
            }
        }
        for (text, delivery) in deliveries {
            match delivery.await {
                Ok(told) => {
                    // Without an offset it is there, and the broker has forgotten where.
                    if let Some(offset) = told.offset {
                        stage.checks.borrow_mut().on_written(&told.partition, offset, text);
                    }
                }
                Err(error) => judge(&stage, &error),
            }
        }
        env.clock.sleep(Duration::from_millis(draws.within(10..500))).await;
    }
}

/// A record may come too late; anything else is somebody's mistake.
fn judge(stage: &Stage, error: &ProduceError) {
    let late = match error {
        ProduceError::TimedOut { .. } => true,
        ProduceError::Lookup { source, .. } => source.is_retriable(),
        _ => false,
    };
    if !late {
        stage.checks.borrow_mut().violate(format!("a writer has met an error: {error}"));
    }
}

/// Looks at a group from outside, now and then.
async fn look(stage: Rc<Stage>, env: Env, group: usize) {
    let draws = Draws::new(stage.seed, group as u64, "group watcher");
    let admin = client(&env, &stage).admin().timeout(Duration::from_secs(2));
    let name = group_name(group);
    loop {
        env.clock.sleep(Duration::from_millis(draws.within(100..2_000))).await;
        if draws.one_in(2) {
            let floors = stage.checks.borrow().floors(group);
            let Ok(found) = admin.group_offsets(&name).await else { continue };
            let found: BTreeMap<_, i64> =
                found.into_iter().map(|(at, committed)| (at, committed.offset.get())).collect();
            stage.checks.borrow_mut().on_looked_up(group, &floors, &found);
        } else if let Ok(told) = admin.describe_group(&name).await {
            stage.checks.borrow_mut().on_described(group, &told);
        }
    }
}
