//! What programs for instruction counters have in common: numbers to compute with, and instructions that mark the runs.
//!
//! On AArch64 the runs stand between `hint #0x7e` and `hint #0x7f`, which every core executes as no-operations; elsewhere
//! there are no markers.

/// Small numbers of either sign, never denormal.
pub fn fill(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + 3) % 17) as f32 / 8.0 - 1.0).collect()
}

#[inline(never)]
pub fn start_marker() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a no-operation on every core.
    unsafe {
        core::arch::asm!("hint #0x7e", options(nostack))
    }
}

#[inline(never)]
pub fn stop_marker() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a no-operation on every core.
    unsafe {
        core::arch::asm!("hint #0x7f", options(nostack))
    }
}
