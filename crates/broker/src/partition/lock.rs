//! The house's one lock, and the count of those who had to wait for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// Waits for partitions' locks since the start. The thread model rests on their absence: two loops
/// that append to one partition meet here, and nowhere else.
static WAITS: AtomicU64 = AtomicU64::new(0);

/// A mutex around one partition's core.
#[derive(Debug)]
pub(crate) struct CountedLock<T>(Mutex<T>);

impl<T> CountedLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    /// Takes the lock. To be held over a step and Now calls of the disk, and over nothing else.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                WAITS.fetch_add(1, Ordering::Relaxed);
                self.0.lock().unwrap_or_else(PoisonError::into_inner)
            }
        }
    }
}

/// How often a loop had to wait for a partition's lock since the process started.
#[must_use]
pub fn partition_lock_waits_total() -> u64 {
    WAITS.load(Ordering::Relaxed)
}
