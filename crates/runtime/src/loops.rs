//! Event loops: one current-thread runtime each, and how a task gets onto another one.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_env::{Env, LoopId, Spawn, Task};
use tokio::runtime::{Builder, Runtime, RuntimeMetrics};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::clock::RealClock;
use crate::disk::RealDisk;
use crate::net::RealNet;
use crate::pool::{Job, Pool};
use crate::process::{RealProcess, raise_file_limit};
use crate::rng::RealRng;

/// Tasks that may wait to start on a loop. Each is a boxed closure of about 100 bytes: 400 KiB.
const STARTING_MAX: usize = 4_096;

/// Reserved, not used: only what is touched costs memory. Unoptimised builds need the room.
const STACK_BYTES: usize = 1024 * 1024;

thread_local! {
    static CURRENT: Cell<Option<LoopId>> = const { Cell::new(None) };
}

/// The real world of one node.
#[derive(Debug)]
pub struct RealEnv;

impl RealEnv {
    /// Runs `main` on loop 0, which is the calling thread, of a world with `loops` loops, and
    /// returns what it returns; every other task of the world is dropped then.
    ///
    /// The other loops' threads start with their first task. A task that panics ends the process,
    /// in every build: nobody could vouch for what it left behind.
    ///
    /// # Errors
    /// When the system refuses a poller.
    ///
    /// # Panics
    /// If called from a loop, or as `main` does.
    pub fn start<T, F>(loops: NonZeroUsize, main: impl FnOnce(Env) -> F) -> io::Result<T>
    where
        F: Future<Output = T>,
    {
        raise_file_limit();
        let runtime = new_runtime()?;
        let loops = Arc::new(Loops {
            inboxes: (0..loops.get()).map(|_| Arc::default()).collect(),
            metrics: (0..loops.get()).map(|_| OnceLock::new()).collect(),
            threads: Mutex::default(),
            workers: Pool::background("work"),
        });
        loops.metrics[0].get_or_init(|| runtime.metrics());
        let ending = EndLoops(Arc::clone(&loops));
        let env = Env {
            clock: Arc::new(RealClock::new()),
            disk: Arc::new(RealDisk::new()),
            net: Arc::new(RealNet),
            spawn: loops,
            rng: Arc::new(RealRng),
            process: Arc::new(RealProcess),
        };
        let inbox = Arc::clone(&ending.0.inboxes[0]);
        let result = run_loop(&runtime, LoopId(0), async {
            let starting = tokio::task::spawn_local(async move { inbox.start_tasks().await });
            let result = main(env).await;
            starting.abort();
            result
        });
        drop(ending);
        Ok(result)
    }
}

fn new_runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build()
}

/// Drives one loop until `until` ends, then drops the loop's tasks, on this thread still.
fn run_loop<F: Future>(runtime: &Runtime, id: LoopId, until: F) -> F::Output {
    assert!(CURRENT.get().is_none(), "a loop inside a loop would never run");
    let _leave = Enter::new(id);
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(until))
}

/// The thread is a loop's for as long as this lives.
struct Enter;

impl Enter {
    fn new(id: LoopId) -> Self {
        CURRENT.set(Some(id));
        Self
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

type MakeTask = Box<dyn FnOnce() -> Task + Send>;

struct Loops {
    inboxes: Vec<Arc<Inbox>>,
    /// Of the loops that have been started.
    metrics: Vec<OnceLock<RuntimeMetrics>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// For what is in no hurry.
    workers: Pool,
}

impl Loops {
    /// Starts the thread of a loop other than the first.
    fn start_thread(&self, on: LoopId) {
        let inbox = Arc::clone(&self.inboxes[on.0]);
        let runtime = new_runtime().expect("the system gives a poller for every loop");
        self.metrics[on.0].get_or_init(|| runtime.metrics());
        let start = move || run_loop(&runtime, on, async move { inbox.start_tasks().await });
        let thread = std::thread::Builder::new()
            .name(format!("loop-{}", on.0))
            .stack_size(STACK_BYTES)
            .spawn(start)
            .expect("the system gives a thread for every loop");
        self.threads.lock().expect("nothing panics under the lock").push(thread);
    }
}

impl Spawn for Loops {
    fn loops(&self) -> usize {
        self.inboxes.len()
    }

    fn current(&self) -> LoopId {
        CURRENT.get().expect("only a loop's tasks ask for their loop")
    }

    fn busy(&self, on: LoopId) -> Duration {
        // A loop's runtime has one worker, its thread.
        let started = self.metrics[on.0].get();
        started.map_or(Duration::ZERO, |metrics| metrics.worker_total_busy_duration(0))
    }

    fn spawn_on(&self, on: LoopId, name: &'static str, make: MakeTask) {
        if CURRENT.get() == Some(on) {
            return self.spawn(name, make());
        }
        let mut make = make;
        loop {
            match self.inboxes[on.0].push(make) {
                Pushed::Queued => return,
                Pushed::First => {
                    if on != LoopId(0) {
                        self.start_thread(on);
                    }
                    return;
                }
                Pushed::Full(back) => {
                    make = back;
                    // Two loops may be waiting for each other's room, so this one makes some.
                    if let Some(current) = CURRENT.get() {
                        self.inboxes[current.0].drain();
                    }
                    std::thread::yield_now();
                }
            }
        }
    }

    fn spawn(&self, _: &'static str, task: Task) {
        drop(tokio::task::spawn_local(Whole(task)));
    }

    fn work(&self, job: Box<dyn FnOnce() + Send>) {
        // As a task's: nobody could vouch for what a panic left behind.
        let whole = move || {
            let armed = AbortOnUnwind;
            job();
            std::mem::forget(armed);
        };
        self.workers.submit(Job::Once(Box::new(whole)));
    }

    fn wake_after_pass(&self, waker: &Waker) {
        // Its first poll lists the waker behind the poller's turn; there is no need for a second.
        let listed = pin!(tokio::task::yield_now()).poll(&mut Context::from_waker(waker));
        assert!(listed.is_pending(), "whoever yields is not ready yet");
    }
}

impl fmt::Debug for Loops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loops", self.inboxes.len())
    }
}

/// Ends the process when it is dropped.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// A task that takes the process with it when it panics.
struct Whole(Task);

impl Future for Whole {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let armed = AbortOnUnwind;
        let polled = self.0.as_mut().poll(cx);
        std::mem::forget(armed);
        polled
    }
}

/// Ends the loops and waits for their threads.
struct EndLoops(Arc<Loops>);

impl Drop for EndLoops {
    fn drop(&mut self) {
        for inbox in &self.0.inboxes {
            inbox.close();
        }
        let mut threads = self.0.threads.lock().expect("nothing panics under the lock");
        for thread in threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Tasks on their way to a loop.
#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    changed: Notify,
}

#[derive(Default)]
struct InboxState {
    starting: VecDeque<MakeTask>,
    used: bool,
    closed: bool,
}

/// What became of a task pushed into an inbox.
enum Pushed {
    /// It is the first one ever: the loop may have no thread yet.
    First,
    Queued,
    Full(MakeTask),
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().expect("nothing panics under the lock")
    }

    fn push(&self, make: MakeTask) -> Pushed {
        let mut state = self.lock();
        if state.closed {
            // The world is ending; the task would be dropped right after its start.
            return Pushed::Queued;
        }
        if state.starting.len() >= STARTING_MAX {
            return Pushed::Full(make);
        }
        state.starting.push_back(make);
        let first = !std::mem::replace(&mut state.used, true);
        drop(state);
        self.changed.notify_one();
        if first { Pushed::First } else { Pushed::Queued }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.starting);
        drop(state);
        drop(dropped);
        self.changed.notify_one();
    }

    /// Starts what waits, on the calling thread's loop; says whether more may come.
    fn drain(&self) -> bool {
        loop {
            let mut state = self.lock();
            let next = state.starting.pop_front();
            let closed = state.closed;
            drop(state);
            match next {
                Some(make) => drop(tokio::task::spawn_local(Whole(make()))),
                None => return !closed,
            }
        }
    }

    async fn start_tasks(&self) {
        while self.drain() {
            self.changed.notified().await;
        }
    }
}
