//! The threads that may wait for a device.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// More would fight for the device: one thread syncs while the other reads.
const THREADS_MAX: usize = 2;

/// Jobs that may wait. Submitters are few (a syncer per log directory, one cold read per
/// connection, start and roll of partitions); a job is about 100 bytes, so 400 KiB at most.
const JOBS_MAX: usize = 4_096;

/// System calls and path handling only: nothing deep runs here.
const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// A pool that grows to [`THREADS_MAX`] threads as jobs wait, and ends its threads, after the jobs
/// that wait, when it is dropped.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closing: bool,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { shared: Arc::default(), threads: Mutex::default() }
    }

    /// Queues a job. Waits for room where the queue is full: jobs never wait for a loop, so room
    /// comes as fast as the device allows, and nobody should submit more than that.
    pub(crate) fn submit(&self, job: Job) {
        let mut state = self.shared.lock();
        while state.jobs.len() >= JOBS_MAX {
            state = self.shared.room.wait(state).expect("no job panics under the lock");
        }
        state.jobs.push_back(job);
        let grow = state.idle < state.jobs.len() && state.threads < THREADS_MAX;
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
            .name(format!("disk-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || shared.run());
        match thread {
            Ok(thread) => {
                self.threads.lock().expect("nothing panics under the lock").push(thread);
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
        while let Some(job) = self.next() {
            job();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                self.room.notify_one();
                return Some(job);
            }
            if state.closing {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).expect("no job panics under the lock");
            state.idle -= 1;
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}
