//! The loops in NEON.

use super::{multiply_loop, read_loop};
use std::arch::aarch64::*;

/// FMAs of 4 lanes.
#[target_feature(enable = "neon")]
pub fn multiply_neon(steps: u64) {
    multiply_loop!(steps, 24, vdupq_n_f32, |x, y, c| vfmaq_f32(c, x, y));
}

/// Loads of 16 bytes, joined by an operation on bits, which emulators too have for a whole vector.
#[target_feature(enable = "neon")]
pub fn read_neon(data: &[f32], passes: u64) {
    // SAFETY: as the caller of `load`: four elements, which are bits like any others.
    let load = |p: *const f32| unsafe { vld1q_u32(p.cast()) };
    read_loop!(data, passes, 4, vdupq_n_u32(0), load, vorrq_u32);
}
