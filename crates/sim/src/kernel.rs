//! What all parts of the world share: the time, the events to come, the trace, who is ready.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Wake, Waker};
use std::time::Duration;

use ottla_env::Mono;

use crate::draws::{Draws, mix};
use crate::host::Life;

/// Something that happens at a point of time.
pub(crate) enum Event {
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

/// When an event happens, and its number: events of one moment happen in the order of their making.
pub(crate) type EventKey = (Mono, u64);

pub(crate) struct Kernel {
    pub(crate) seed: u64,
    now: AtomicU64,
    hash: AtomicU64,
    prints: bool,
    agenda: Mutex<Agenda>,
    ready: Mutex<Vec<u64>>,
    deaths: Mutex<Vec<Arc<Life>>>,
    unanswered: Mutex<Vec<Box<dyn Any + Send>>>,
}

#[derive(Default)]
struct Agenda {
    made: u64,
    events: BTreeMap<EventKey, Event>,
}

/// A lock of this single-threaded world, which nobody else can hold.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a panic ends the run")
}

impl Kernel {
    pub(crate) fn new(seed: u64, prints: bool) -> Self {
        Self {
            seed,
            now: AtomicU64::new(0),
            hash: AtomicU64::new(seed),
            prints,
            agenda: Mutex::default(),
            ready: Mutex::default(),
            deaths: Mutex::default(),
            unanswered: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Mono {
        Mono::from_nanos(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.store(self.now().after(by).nanos(), Ordering::Relaxed);
    }

    pub(crate) fn at(&self, at: Mono, event: Event) -> EventKey {
        let mut agenda = lock(&self.agenda);
        agenda.made += 1;
        let key = (at, agenda.made);
        agenda.events.insert(key, event);
        key
    }

    pub(crate) fn run_at(&self, at: Mono, run: impl FnOnce() + Send + 'static) {
        self.at(at, Event::Run(Box::new(run)));
    }

    pub(crate) fn cancel(&self, key: EventKey) {
        let event = lock(&self.agenda).events.remove(&key);
        drop(event);
    }

    /// The next event that is due, or, if `jump`, the next one at all; time moves to it.
    pub(crate) fn next_event(&self, jump: bool) -> Option<Event> {
        let mut agenda = lock(&self.agenda);
        let first = agenda.events.first_entry()?;
        let (at, number) = *first.key();
        if at > self.now() {
            if !jump {
                return None;
            }
            self.now.store(at.nanos(), Ordering::Relaxed);
        }
        let event = first.remove();
        drop(agenda);
        self.note("event", number, at.nanos());
        Some(event)
    }

    /// Adds a line to the trace: to its hash always, to the output if somebody wants to read it.
    pub(crate) fn note(&self, what: &'static str, a: u64, b: u64) {
        let what_bits = what.len() as u64 ^ (u64::from(what.as_bytes()[0]) << 32);
        let hash = self.hash.load(Ordering::Relaxed);
        let now = self.now().nanos();
        self.hash.store(mix(hash ^ mix(now ^ mix(what_bits ^ mix(a ^ mix(b))))), Ordering::Relaxed);
        if self.prints {
            self.print(format_args!("{what} {a} {b}"));
        }
    }

    /// A line of the trace for readers only.
    pub(crate) fn print(&self, line: fmt::Arguments<'_>) {
        if self.prints {
            let now = self.now().nanos();
            eprintln!("{:>6}.{:06} {line}", now / 1_000_000_000, now / 1_000 % 1_000_000);
        }
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.hash.load(Ordering::Relaxed)
    }

    /// One of the ready tasks.
    pub(crate) fn pick_ready(&self, draws: &Draws) -> Option<u64> {
        let mut ready = lock(&self.ready);
        if ready.is_empty() {
            return None;
        }
        let index = draws.index(ready.len());
        Some(ready.swap_remove(index))
    }

    /// A life that has ended, whose tasks must be dropped as soon as none of them is being polled.
    pub(crate) fn bury(&self, life: Arc<Life>) {
        lock(&self.deaths).push(life);
    }

    /// Keeps what must neither be answered nor be dropped: whoever waits for it is dead, and must
    /// not learn of it before it is buried.
    pub(crate) fn never_answer(&self, reply: impl Any + Send) {
        lock(&self.unanswered).push(Box::new(reply));
    }

    /// Forgets what was to come: the events hold parts of the world that hold the kernel.
    pub(crate) fn end(&self) {
        let events = std::mem::take(&mut lock(&self.agenda).events);
        drop(events);
        let unanswered = std::mem::take(&mut *lock(&self.unanswered));
        drop(unanswered);
    }

    pub(crate) fn next_death(&self) -> Option<Arc<Life>> {
        lock(&self.deaths).pop()
    }
}

/// Makes one task ready.
pub(crate) struct TaskWaker {
    task: u64,
    queued: AtomicBool,
    kernel: Arc<Kernel>,
}

impl TaskWaker {
    pub(crate) fn new(task: u64, kernel: Arc<Kernel>) -> Self {
        Self { task, queued: AtomicBool::new(false), kernel }
    }

    /// The task is about to be polled: from here on a wake counts again.
    pub(crate) fn taken(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.kernel.ready).push(self.task);
        }
    }
}
