//! The executor: every task of the world, and the loop that drives them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use ottla_env::{Env, LoopId, Mono, Task};

use crate::draws::Draws;
use crate::host::{Host, HostId, Life, Machine};
use crate::kernel::{Event, Kernel, TaskWaker};
use crate::net::Network;

/// What one poll costs at most: time passes for whoever never waits.
const POLL_NANOS_MAX: u64 = 2_000;

/// Polls after which a run that has not ended is taken for one that never will.
const POLLS_MAX: u64 = 20_000_000;

thread_local! {
    static CURRENT: Cell<Option<LoopId>> = const { Cell::new(None) };
    /// Tasks are not `Send` and the ports are: this is how a task gets from one to the other.
    static STARTING: RefCell<Vec<Starting>> = const { RefCell::new(Vec::new()) };
}

/// A task on its way into the executor.
pub(crate) struct Starting {
    pub(crate) life: Arc<Life>,
    pub(crate) on: LoopId,
    pub(crate) name: &'static str,
    pub(crate) make: MakeTask,
}

/// A task, or how to make it on its own loop.
pub(crate) enum MakeTask {
    Made(Task),
    Make(Box<dyn FnOnce() -> Task + Send>),
}

/// The loop of the task that is being polled.
pub(crate) fn current_loop() -> LoopId {
    CURRENT.get().expect("only tasks ask for their loop")
}

/// Puts a task into the executor that runs on this thread.
pub(crate) fn start_task(starting: Starting) {
    STARTING.with_borrow_mut(|queue| queue.push(starting));
}

struct Slot {
    life: Arc<Life>,
    on: LoopId,
    task: Task,
    wake: Arc<TaskWaker>,
    waker: Waker,
}

/// A world of machines, driven by one seed.
pub struct Sim {
    kernel: Arc<Kernel>,
    network: Arc<Network>,
    schedule: Draws,
    tasks: BTreeMap<u64, Slot>,
    tasks_made: u64,
    polls: u64,
    hosts: u32,
}

impl Sim {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_kernel(Kernel::new(seed, false))
    }

    /// An empty world that prints its trace to stderr.
    #[must_use]
    pub fn printing(seed: u64) -> Self {
        Self::with_kernel(Kernel::new(seed, true))
    }

    fn with_kernel(kernel: Kernel) -> Self {
        let kernel = Arc::new(kernel);
        Self {
            network: Arc::new(Network::new(Arc::clone(&kernel))),
            schedule: Draws::new(kernel.seed, 0, "schedule"),
            kernel,
            tasks: BTreeMap::new(),
            tasks_made: 0,
            polls: 0,
            hosts: 0,
        }
    }

    /// A new machine, with an empty disk, on which nothing runs yet.
    pub fn host(&mut self) -> Host {
        self.hosts += 1;
        let id = HostId(self.hosts);
        let machine = Machine::new(id, Arc::clone(&self.kernel), Arc::clone(&self.network));
        Host::new(Arc::new(machine))
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Mono {
        self.kernel.now()
    }

    /// A hash over everything that happened so far.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.kernel.trace_hash()
    }

    /// How often a task was polled so far.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Runs `main` on a machine with one loop, and everything else beside it, until `main` ends.
    ///
    /// # Panics
    /// When a task panics; when nothing can happen any more; when `main` does not come to its end
    /// in a very long time.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        on: &Host,
        main: impl FnOnce(Env) -> F,
    ) -> T {
        let result = Rc::new(Cell::new(None));
        let into = Rc::clone(&result);
        on.start(1, |env| {
            let main = main(env);
            Box::pin(async move { into.set(Some(main.await)) })
        });
        loop {
            self.bury_the_dead();
            self.take_starting();
            if let Some(result) = result.take() {
                return result;
            }
            self.step();
        }
    }

    fn step(&mut self) {
        if let Some(event) = self.kernel.next_event(false) {
            happen(event);
        } else if let Some(task) = self.kernel.pick_ready(&self.schedule) {
            self.poll(task);
        } else {
            let event = self.kernel.next_event(true);
            happen(event.expect("nothing is ready and nothing will happen: a deadlock"));
        }
    }

    fn poll(&mut self, id: u64) {
        // Woken after its end, or dropped with its machine.
        let Some(slot) = self.tasks.get_mut(&id) else { return };
        self.polls += 1;
        assert!(self.polls < POLLS_MAX, "the run does not come to its end");
        self.kernel.note("poll", id, 0);
        self.kernel.advance(Duration::from_nanos(self.schedule.below(POLL_NANOS_MAX)));
        slot.wake.taken();
        CURRENT.set(Some(slot.on));
        let polled = slot.task.as_mut().poll(&mut Context::from_waker(&slot.waker));
        if polled.is_ready() {
            drop(self.tasks.remove(&id));
        }
        CURRENT.set(None);
    }

    fn take_starting(&mut self) {
        loop {
            let starting = STARTING.with_borrow_mut(std::mem::take);
            if starting.is_empty() {
                return;
            }
            starting.into_iter().for_each(|task| self.admit(task));
        }
    }

    fn admit(&mut self, starting: Starting) {
        let Starting { life, on, name, make } = starting;
        if life.is_over() {
            return;
        }
        CURRENT.set(Some(on));
        let task = match make {
            MakeTask::Made(task) => task,
            MakeTask::Make(make) => make(),
        };
        CURRENT.set(None);
        self.tasks_made += 1;
        let id = self.tasks_made;
        self.kernel.note("task", id, u64::from(life.host().0));
        self.kernel.print(format_args!("task {id} is {name} of host {}", life.host().0));
        let wake = Arc::new(TaskWaker::new(id, Arc::clone(&self.kernel)));
        let waker = Waker::from(Arc::clone(&wake));
        waker.wake_by_ref();
        self.tasks.insert(id, Slot { life, on, task, wake, waker });
    }

    /// Drops the tasks of lives that ended. Their ports are dead already, so nothing leaves them.
    fn bury_the_dead(&mut self) {
        while let Some(dead) = self.kernel.next_death() {
            let of_the_dead = |slot: &Slot| Arc::ptr_eq(&slot.life, &dead);
            let ids: Vec<u64> = self
                .tasks
                .iter()
                .filter(|(_, slot)| of_the_dead(slot))
                .map(|(id, _)| *id)
                .collect();
            for id in ids {
                let slot = self.tasks.remove(&id);
                CURRENT.set(slot.as_ref().map(|slot| slot.on));
                drop(slot);
                CURRENT.set(None);
            }
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // What starts while tasks are dropped belongs to nobody.
        CURRENT.set(None);
        self.tasks.clear();
        STARTING.with_borrow_mut(Vec::clear);
        self.kernel.end();
    }
}

fn happen(event: Event) {
    match event {
        Event::Wake(waker) => waker.wake(),
        Event::Run(run) => run(),
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.kernel.seed)
            .field("now", &self.now())
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}
