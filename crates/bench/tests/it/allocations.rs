//! An allocator that counts.

#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator; counts what the calling thread asks for.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// Per thread: tests run beside each other.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// The bytes that `f` allocates on this thread, freed or not.
pub(crate) fn bytes_allocated_by<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = BYTES.get();
    let result = f();
    (BYTES.get() - before, result)
}

// SAFETY: every call is passed on to the system's allocator as it came. The counter allocates
// nothing itself: it is initialised at compile time and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[test]
fn the_counter_counts() {
    let (bytes, kept) = bytes_allocated_by(|| vec![0_u8; 1_000]);
    assert_eq!((bytes, kept.len()), (1_000, 1_000));
    let (bytes, ()) = bytes_allocated_by(|| ());
    assert_eq!(bytes, 0);
}
