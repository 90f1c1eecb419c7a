//! Slices that lie flush against inaccessible pages, and a word of what ran when one is touched. Unix only.
#![allow(dead_code)] // every test binary uses a part of it

use std::cell::Cell;

/// Which end of a slice touches the inaccessible pages.
#[derive(Clone, Copy, Debug)]
pub enum Flush {
    End,
    Start,
}

pub fn page() -> usize {
    // SAFETY: no arguments that could be wrong.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("a page size")
}

/// Maps `bytes`, rounded up to pages, between two inaccessible pages. Gives the first accessible byte and their number;
/// null if there is no memory.
pub fn map_guarded(bytes: usize) -> (*mut u8, usize) {
    let page = page();
    let inner = bytes.next_multiple_of(page).max(page);
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // SAFETY: a fresh anonymous mapping touches no other memory.
    let all = unsafe { libc::mmap(std::ptr::null_mut(), inner + 2 * page, libc::PROT_NONE, flags, -1, 0) };
    if all == libc::MAP_FAILED {
        return (std::ptr::null_mut(), 0);
    }
    let first = all.cast::<u8>().wrapping_add(page);
    // SAFETY: these pages are inside the mapping just made.
    if unsafe { libc::mprotect(first.cast(), inner, access) } != 0 {
        // SAFETY: the mapping just made.
        unsafe { libc::munmap(all, inner + 2 * page) };
        return (std::ptr::null_mut(), 0);
    }
    (first, inner)
}

/// Memory for one slice at a time.
pub struct Arena {
    first: *mut u8,
    bytes: usize,
}

impl Arena {
    /// 16 MiB, for the rest of the process.
    pub fn new() -> Self {
        let (first, bytes) = map_guarded(16 << 20);
        assert!(!first.is_null(), "no memory");
        Arena { first, bytes }
    }

    /// Writes `data` flush against one end and gives the slice.
    pub fn place(&mut self, data: &[f32], flush: Flush) -> &mut [f32] {
        let bytes = size_of_val(data);
        assert!(bytes <= self.bytes, "{bytes} bytes do not fit the arena");
        let at = match flush {
            Flush::End => self.bytes - bytes,
            Flush::Start => 0,
        };
        // SAFETY: inside the mapping, which lives as long as the process, is borrowed as long as the slice, and is
        // aligned: pages and `f32`s are multiples of four bytes.
        let slice = unsafe { std::slice::from_raw_parts_mut(self.first.add(at).cast::<f32>(), data.len()) };
        slice.copy_from_slice(data);
        slice
    }
}

thread_local! {
    /// What this thread runs at the moment, for the signal handler, which runs on the thread that faults: text and length.
    static TEXT: Cell<(*const u8, usize)> = const { Cell::new((std::ptr::null(), 0)) };
}

/// Says what ran, and lets the fault happen again, now fatal.
extern "C" fn on_fault(signal: libc::c_int) {
    let (text, length) = TEXT.get();
    // SAFETY: the text is alive while it is announced, and these two calls are allowed in a signal handler.
    unsafe {
        libc::write(2, text.cast(), length);
        libc::signal(signal, libc::SIG_DFL);
    }
}

/// From now on, a fault says what was announced.
pub fn explain_faults() {
    let handler = on_fault as extern "C" fn(libc::c_int);
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the handler keeps to what handlers may do.
        let before = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        assert_ne!(before, libc::SIG_ERR);
    }
}

/// Runs `f`; a fault in it says `text`.
pub fn announced<R>(text: &str, f: impl FnOnce() -> R) -> R {
    TEXT.set((text.as_ptr(), text.len()));
    let result = f();
    TEXT.set((std::ptr::null(), 0));
    result
}
