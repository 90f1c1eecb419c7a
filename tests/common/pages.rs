//! Slices that lie flush against inaccessible pages, and a word of what ran when one is touched. Unix only.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Which end of a slice touches the inaccessible pages.
#[derive(Clone, Copy, Debug)]
pub enum Flush {
    End,
    Start,
}

/// Memory for one slice at a time.
pub struct Arena {
    first: *mut u8,
    bytes: usize,
}

impl Arena {
    /// Some 16 MiB between two inaccessible pages, for the rest of the process.
    pub fn new() -> Self {
        // SAFETY: no arguments that could be wrong.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page size");
        let bytes = (16usize << 20).next_multiple_of(page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: a fresh anonymous mapping touches no other memory.
        let all = unsafe { libc::mmap(std::ptr::null_mut(), bytes + 2 * page, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(all, libc::MAP_FAILED, "no memory");
        let first = all.cast::<u8>().wrapping_add(page);
        // SAFETY: these pages are inside the mapping just made.
        let opened = unsafe { libc::mprotect(first.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(opened, 0, "no access to the mapping just made");
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

/// What runs at the moment, for the signal handler: text and length.
static TEXT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Says what ran, and lets the fault happen again, now fatal.
extern "C" fn on_fault(signal: libc::c_int) {
    // SAFETY: the text is alive while it is announced, and these two calls are allowed in a signal handler.
    unsafe {
        libc::write(2, TEXT.load(Ordering::Acquire).cast(), LENGTH.load(Ordering::Acquire));
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
    LENGTH.store(0, Ordering::Release);
    TEXT.store(text.as_ptr().cast_mut(), Ordering::Release);
    LENGTH.store(text.len(), Ordering::Release);
    let result = f();
    LENGTH.store(0, Ordering::Release);
    result
}
