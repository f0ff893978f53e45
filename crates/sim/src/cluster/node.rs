//! The node of a run, and whoever starts it again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use ottla_broker::{Node, NodeConfig, Properties};
use ottla_env::{Env, Mailbox, Sender, mailbox};

use super::client::{Phase, Shared};
use super::plan::Plan;
use super::sometimes::{self, Event};
use super::vandal::{self, Vandalism};
use crate::disk::DiskFault;
use crate::draws::Draws;
use crate::host::{Death, Host};

/// Where the node listens for clients, and for its like.
pub(super) const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;

/// The machine of the node, and what its present life is at.
pub(super) struct Supervised {
    pub(super) host: Host,
    loops: usize,
    config: NodeConfig,
    status: RefCell<Status>,
    /// Asks the present life to stop in peace, and to end so.
    stop: RefCell<Sender<Death>>,
    /// It may halt, and it may refuse to start.
    excused: Cell<bool>,
    /// It may refuse to start, for as many reasons.
    excused_from_starting: Cell<u32>,
    /// How many checkpoints were written when it was started last.
    checkpoints: Cell<u64>,
    /// The last life ended in peace.
    stopped: Cell<bool>,
    /// What happens to its files before it is started again.
    vandalism: RefCell<VecDeque<Vandalism>>,
    /// How the next lives end: after so many disk calls.
    deaths: RefCell<VecDeque<(u32, Death)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    Starting,
    Serving,
    Stopped(Death),
    Failed(String),
}

impl Supervised {
    pub(super) fn new(host: Host, plan: &Plan) -> Self {
        Self::with_properties(host, plan, &[])
    }

    /// A node with more properties than those of every plan.
    pub(super) fn with_properties(
        host: Host,
        plan: &Plan,
        more: &[(&'static str, String)],
    ) -> Self {
        let ip = host.id().ip();
        let listeners = format!("PLAINTEXT://{ip}:{PORT},CONTROLLER://{ip}:{CONTROLLER_PORT}");
        let properties: Properties = [
            ("listeners", listeners),
            ("log.dirs", "data".to_owned()),
            ("auto.create.topics.enable", "false".to_owned()),
            ("internal.segment.bytes", plan.segment_bytes.to_string()),
            ("log.index.interval.bytes", plan.index_interval_bytes.to_string()),
            ("internal.checkpoint.interval.ms", plan.checkpoints.0.to_string()),
            ("log.flush.offset.checkpoint.interval.ms", plan.checkpoints.1.to_string()),
            ("internal.uncheckpointed.bytes", plan.checkpoints.2.to_string()),
            ("max.incremental.fetch.session.cache.slots", plan.session_slots.to_string()),
            ("log.retention.check.interval.ms", plan.retention_check_ms.0.to_string()),
            ("log.initial.task.delay.ms", plan.retention_check_ms.1.to_string()),
        ]
        .into_iter()
        .chain(more.iter().cloned())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let config = NodeConfig::parse(&properties, None).expect("these can be");
        Self {
            host,
            loops: plan.loops,
            config,
            status: RefCell::new(Status::Starting),
            stop: RefCell::new(mailbox(1).0),
            excused: Cell::new(false),
            excused_from_starting: Cell::new(0),
            checkpoints: Cell::new(0),
            stopped: Cell::new(false),
            vandalism: RefCell::default(),
            deaths: RefCell::default(),
        }
    }

    /// Asks the present life to stop in peace.
    pub(super) fn stop(&self, death: Death) {
        // Told twice, or dead already: there is nothing to stop.
        drop(self.stop.borrow().try_send(death));
    }

    /// From here on the node has a reason to halt, or not to start.
    pub(super) fn excuse(&self) {
        self.excused.set(true);
    }

    /// Begins, or ends, a reason not to start.
    pub(super) fn excuse_starting(&self, begins: bool) {
        let reasons = self.excused_from_starting.get();
        self.excused_from_starting.set(if begins { reasons + 1 } else { reasons - 1 });
    }

    /// Before the next start, files are harmed.
    pub(super) fn vandalise(&self, vandalism: Vandalism) {
        self.vandalism.borrow_mut().push_back(vandalism);
    }

    /// The next life ends early.
    pub(super) fn die_again(&self, calls: u32, death: Death) {
        self.deaths.borrow_mut().push_back((calls, death));
    }

    /// Nothing more happens to it than what has begun.
    pub(super) fn heal(&self) {
        self.vandalism.borrow_mut().clear();
        self.deaths.borrow_mut().clear();
    }

    /// Starts the node whenever it is down, after a while.
    pub(super) async fn supervise(self: Rc<Self>, env: Env, shared: Rc<Shared>, seed: u64) {
        let draws = Draws::new(seed, 0, "supervisor");
        loop {
            self.look(&shared);
            if !self.host.is_alive() {
                let down =
                    if shared.phase.get() == Phase::Trouble { draws.below(3_000) } else { 1 };
                env.clock.sleep(Duration::from_millis(down)).await;
                self.while_down(&shared);
                Rc::clone(&self).start();
            }
            env.clock.sleep(Duration::from_millis(5)).await;
        }
    }

    /// What happens between two lives.
    fn while_down(&self, shared: &Shared) {
        let checkpoints = sometimes::count_of(Event::CheckpointWritten);
        if self.checkpoints.replace(checkpoints) < checkpoints && !self.stopped.replace(false) {
            sometimes::happens(Event::DiedBehindCheckpoint);
        }
        for damaged in self.host.take_damaged() {
            sometimes::happens(Event::LieShown);
            shared.history.borrow_mut().write_off(vandal::partition_of(&damaged.path));
        }
        for vandalism in self.vandalism.borrow_mut().drain(..) {
            if vandalism.happen(&self.host) > 0 {
                sometimes::happens(Event::DerivedFilesHarmed);
            }
        }
        shared.history.borrow_mut().on_life(self.host.lives() + 1);
        if let Some((calls, death)) = self.deaths.borrow_mut().pop_front() {
            self.host.disk_fault(DiskFault::DeathAfter { calls, death });
        }
    }

    fn look(&self, shared: &Shared) {
        let mut history = shared.history.borrow_mut();
        if sometimes::count_of(Event::Quarantine) > 0 {
            history.on_quarantine();
        }
        let starting = *self.status.borrow() == Status::Starting;
        for why in self.host.take_halts() {
            history.on_power_loss();
            // The log directory has failed if a log cannot be opened, at the start or later.
            let opening = starting || why.starts_with("cannot open");
            let excused = self.excused.get() || (opening && self.excused_from_starting.get() > 0);
            if !excused {
                history.violate(format!("the node halted for no reason: {why}"));
            }
        }
        if !self.host.is_alive() {
            // Whatever it still said, it said while it died.
            if *self.status.borrow() == Status::Starting && self.host.lives() > 0 {
                sometimes::happens(Event::DiedStarting);
            }
            return;
        }
        let status = self.status.borrow().clone();
        match status {
            Status::Starting | Status::Serving => {}
            Status::Stopped(death) => {
                self.stopped.set(true);
                self.end(death);
            }
            Status::Failed(why) => {
                if !self.excused.get() && self.excused_from_starting.get() == 0 {
                    history.violate(format!("the node does not start: {why}"));
                }
                drop(history);
                self.end(Death::Kill);
            }
        }
    }

    fn end(&self, death: Death) {
        *self.status.borrow_mut() = Status::Starting;
        self.host.end(death);
    }

    fn start(self: Rc<Self>) {
        *self.status.borrow_mut() = Status::Starting;
        let (stop, stopping) = mailbox(1);
        *self.stop.borrow_mut() = stop;
        let (loops, host) = (self.loops, self.host.clone());
        host.start(loops, |env| Box::pin(async move { self.live(env, stopping).await }));
    }

    async fn live(&self, env: Env, mut stopping: Mailbox<Death>) {
        let node = match Node::start(env, self.config.clone()).await {
            Ok(node) => node,
            Err(error) => {
                *self.status.borrow_mut() = Status::Failed(error.to_string());
                return;
            }
        };
        *self.status.borrow_mut() = Status::Serving;
        let Some(death) = stopping.next().await else { return };
        node.stop().await;
        *self.status.borrow_mut() = Status::Stopped(death);
    }
}
