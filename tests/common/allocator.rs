//! The system's allocator, counting the calls of each thread. A test program has at most one, so that it is declared at its
//! root; what it counts is asked here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

pub struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // At the end of a thread there is no counter any more, and no test either.
    let _ = CALLS.try_with(|c| c.set(c.get() + 1));
}

// SAFETY: everything is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(p, layout, size) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}

/// Calls of this thread to the allocator while `f` runs.
pub fn calls<R>(f: impl FnOnce() -> R) -> (usize, R) {
    let before = CALLS.get();
    let result = f();
    (CALLS.get() - before, result)
}
