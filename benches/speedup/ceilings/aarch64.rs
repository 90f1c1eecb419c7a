//! The loops in NEON.

use super::{multiply_loop, read_loop};
use std::arch::aarch64::*;

/// FMAs of 4 lanes.
#[target_feature(enable = "neon")]
pub fn multiply_neon(steps: u64) {
    multiply_loop!(steps, 24, vdupq_n_f32, |x, y, c| vfmaq_f32(c, x, y));
}

/// Loads of 16 bytes.
#[target_feature(enable = "neon")]
pub fn read_neon(data: &[f32], passes: u64) {
    read_loop!(data, passes, 4, vdupq_n_f32(0.0), vld1q_f32, vmaxq_f32);
}
