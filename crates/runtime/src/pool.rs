//! Threads that may wait for a device.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread with nothing to do ends after this long: a sync a second keeps its thread, an idle
/// node has none.
const IDLE: Duration = Duration::from_secs(10);

/// System calls and path handling only: nothing deep runs here.
const STACK_BYTES: usize = 256 * 1024;

/// Where codecs run, in unoptimised builds, too.
const WORK_STACK_BYTES: usize = 2 * 1024 * 1024;

/// How far behind the others those stand who are in no hurry.
const WORK_NICENESS: i32 = 10;

/// What a thread of a pool does.
pub(crate) enum Job {
    Once(Box<dyn FnOnce() + Send>),
    /// Called again and again; between two turns the jobs that wait get theirs.
    Turns(Box<dyn FnMut() -> Turn + Send>),
}

/// What a job in turns says after one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    More,
    Last,
}

/// A pool that grows to so many threads as jobs wait, and ends its threads, after the jobs that
/// wait, when it is dropped.
///
/// The queue has no limit of its own, since a loop that submits must never wait for a device. What
/// bounds it is who submits: a job or two of each connection (cold read) and of each partition
/// (roll, opening), a syncer per log directory. A job is about 100 bytes, so 10,000 connections
/// and 5,000 partitions that all wait at once are 3 MB.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    name: &'static str,
    threads_max: usize,
    kind: Kind,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closing: bool,
}

/// What the threads of a pool are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Waiting for a device.
    Waiting,
    /// Computing, when nobody else does.
    Background,
}

impl Pool {
    pub(crate) fn new(name: &'static str, threads_max: usize) -> Self {
        Self::of(name, threads_max, Kind::Waiting)
    }

    /// A thread of low priority.
    pub(crate) fn background(name: &'static str) -> Self {
        Self::of(name, 1, Kind::Background)
    }

    fn of(name: &'static str, threads_max: usize, kind: Kind) -> Self {
        assert!(threads_max > 0, "somebody must do the work");
        let (state, work) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { name, threads_max, kind, state, work });
        Self { shared, threads: Mutex::default() }
    }

    /// Queues a job, without waiting.
    pub(crate) fn submit(&self, job: Job) {
        let mut state = self.shared.lock();
        state.jobs.push_back(job);
        let grow = state.idle < state.jobs.len() && state.threads < self.shared.threads_max;
        if grow {
            let number = state.threads;
            state.threads += 1;
            drop(state);
            self.grow(number);
        } else {
            drop(state);
        }
        self.shared.work.notify_one();
    }

    fn grow(&self, number: usize) {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(format!("{}-{number}", shared.name))
            .stack_size(self.shared.kind.stack_bytes())
            .spawn(move || shared.run());
        match thread {
            Ok(thread) => {
                let mut threads = self.threads.lock().expect("nothing panics under the lock");
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            // The threads that there are do the work; without any, the node cannot go on.
            Err(error) => {
                let mut state = self.shared.lock();
                state.threads -= 1;
                assert!(state.threads > 0, "the system gives no thread for files: {error}");
            }
        }
    }
}

impl Kind {
    const fn stack_bytes(self) -> usize {
        match self {
            Self::Waiting => STACK_BYTES,
            Self::Background => WORK_STACK_BYTES,
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        let threads = self.threads.get_mut().map(std::mem::take).unwrap_or_default();
        for thread in threads {
            // A job may hold the last reference to the world, and then this is that thread.
            if thread.thread().id() != std::thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no job panics under the lock")
    }

    fn run(&self) {
        if self.kind == Kind::Background {
            // Of this thread alone. If the system refuses, the work is done all the same.
            let refused = rustix::process::setpriority_process(None, WORK_NICENESS).is_err();
            let _ = refused;
        }
        while let Some(job) = self.next() {
            match job {
                Job::Once(work) => work(),
                Job::Turns(mut work) => {
                    if work() == Turn::More {
                        // This thread comes back for it, so nobody need be woken.
                        self.lock().jobs.push_back(Job::Turns(work));
                    }
                }
            }
        }
    }

    /// The next job; `None`: this thread ends.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closing || waited {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) =
                self.work.wait_timeout(state, IDLE).expect("no job panics under the lock");
            state = woken;
            state.idle -= 1;
            waited = timeout.timed_out();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}", self.shared.name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn jobs_in_turns_let_others_through() {
        let pool = Pool::new("turns", 1);
        let (to, from) = mpsc::channel();
        let (started, start) = mpsc::channel::<()>();
        let long = to.clone();
        let mut turn = 0;
        let turns = Box::new(move || {
            if turn == 0 {
                start.recv().unwrap();
            }
            turn += 1;
            long.send(("long", turn)).unwrap();
            if turn == 3 { Turn::Last } else { Turn::More }
        });
        pool.submit(Job::Turns(turns));
        pool.submit(Job::Once(Box::new(move || to.send(("short", 1)).unwrap())));
        started.send(()).unwrap();
        let order: Vec<_> = from.iter().collect();
        assert_eq!(order, [("long", 1), ("short", 1), ("long", 2), ("long", 3)]);
    }

    #[test]
    fn no_number_of_jobs_makes_the_submitter_wait() {
        let pool = Pool::new("many", 2);
        let (to, from) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        let blocked = move || assert!(gate.recv().is_err(), "nobody sends");
        pool.submit(Job::Once(Box::new(blocked)));
        for number in 0..20_000 {
            let to = to.clone();
            pool.submit(Job::Once(Box::new(move || to.send(number).unwrap())));
        }
        drop(to);
        assert_eq!(from.iter().count(), 20_000, "the other thread does them");
        drop(release);
    }

    #[test]
    fn a_pool_that_ends_does_what_it_took() {
        let (to, from) = mpsc::channel();
        let pool = Pool::new("end", 2);
        for number in 0..100 {
            let to = to.clone();
            pool.submit(Job::Once(Box::new(move || to.send(number).unwrap())));
        }
        drop((pool, to));
        assert_eq!(from.iter().count(), 100);
    }
}
