//! What a run has reached, as counters that the compiler put into every edge tell.
//!
//! Built without them (`-Cpasses=sancov-module`), nothing is ever reached, and inputs are drawn
//! blindly.

use std::ptr;
use std::slice;
use std::sync::Mutex;

/// A module's counters: one byte for each edge.
#[derive(Clone, Copy)]
struct Counters {
    first: *mut u8,
    count: usize,
}

// SAFETY: they are statics of the program, and are read and written by one thread at a time.
unsafe impl Send for Counters {}

static MODULES: Mutex<Vec<Counters>> = Mutex::new(Vec::new());

/// Called for each module before `main`.
///
/// # Safety
/// The linker says where the counters of a module begin and end.
#[unsafe(no_mangle)]
unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(first: *mut u8, end: *mut u8) {
    let count = (end as usize).saturating_sub(first as usize);
    let mut modules = MODULES.lock().expect("nothing panics under the lock");
    if count > 0 && modules.iter().all(|module| module.first != first) {
        modules.push(Counters { first, count });
    }
}

/// Which edges were taken how often, over all runs.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// For each edge, the kinds of counts that were seen: a bit each.
    seen: Vec<u8>,
    edges: usize,
}

impl Coverage {
    pub(crate) fn new() -> Self {
        let modules = MODULES.lock().expect("nothing panics under the lock");
        let edges = modules.iter().map(|module| module.count).sum();
        Self { seen: vec![0; edges], edges: 0 }
    }

    /// Whether the program was built with counters.
    pub(crate) fn is_guided(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Edges that were ever taken.
    pub(crate) fn edges(&self) -> usize {
        self.edges
    }

    /// Forgets what was counted since the last look.
    pub(crate) fn reset() {
        for module in &*MODULES.lock().expect("nothing panics under the lock") {
            // SAFETY: as above; no instrumented code runs meanwhile, but for this function's own.
            unsafe { ptr::write_bytes(module.first, 0, module.count) }
        }
    }

    /// Takes what was counted since the last reset; whether any of it is new.
    pub(crate) fn take(&mut self) -> bool {
        let (mut at, mut is_new) = (0, false);
        for module in &*MODULES.lock().expect("nothing panics under the lock") {
            // SAFETY: as above. The counters are only read here.
            let counts = unsafe { slice::from_raw_parts(module.first.cast_const(), module.count) };
            let seen = &mut self.seen[at..at + module.count];
            at += module.count;
            for (count, seen) in counts.iter().zip(seen).filter(|(count, _)| **count != 0) {
                let kind = kind(*count);
                if *seen & kind == 0 {
                    self.edges += usize::from(*seen == 0);
                    *seen |= kind;
                    is_new = true;
                }
            }
        }
        is_new
    }
}

/// Once, twice, three times, ... many times: a bit each.
fn kind(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128..=255 => 128,
    }
}
