//! Channel shuffle: see [`crate::kernel::shuffle`].
//!
//! Three groups, the usual number of ShuffleNet V1, are written by hand: there is an instruction that stores the lanes of three
//! registers in turn, but the compiler does not make it of the general loop.

use super::vector::F32x4;
use crate::kernel::shuffle::{self, Pairs, Pixels};
use core::arch::aarch64::{float32x4x3_t, vld1q_f32, vst3q_f32};

/// # Safety
/// As [`shuffle::pixels`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn pixels(p: &Pixels) {
    // SAFETY: the caller's promise is the same.
    unsafe { if p.groups == 3 && p.per_group >= 4 { three(p) } else { shuffle::pixels::<F32x4>(p) } }
}

/// # Safety
/// As [`shuffle::pixels`], with three groups of at least four channels.
#[target_feature(enable = "neon")]
unsafe fn three(p: &Pixels) {
    for pixel in 0..p.pixels {
        // SAFETY: the four channels end with the group at the latest, the outputs with the pixel.
        unsafe {
            let (from, to) = (p.input.add(pixel * p.input_step), p.output.add(pixel * p.output_step));
            let weave = |at: usize| {
                let row = |g: usize| vld1q_f32(from.add(g * p.per_group + at));
                vst3q_f32(to.add(3 * at), float32x4x3_t(row(0), row(1), row(2)));
            };
            let whole = p.per_group / 4 * 4;
            (0..whole).step_by(4).for_each(weave);
            if whole < p.per_group {
                // Moved back, over channels already done.
                weave(p.per_group - 4);
            }
        }
    }
}

/// # Safety
/// As [`shuffle::pairs`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn pairs(p: &Pairs) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pairs::<F32x4>(p) }
}
