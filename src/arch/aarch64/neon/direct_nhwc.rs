//! Direct, NHWC: see [`crate::kernel::direct_nhwc`].

use super::vector::F32x4;
use crate::arch::direct_widths;
use crate::kernel::direct_nhwc::{self, DirectNhwc, Tile, Width};

/// # Safety
/// As [`direct_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nhwc::micro::<F32x4, STEP, P, NV>(t) }
}

/// Three channels, stride 1: 5 pixels x 16 channels.
pub(super) static C3S1: DirectNhwc =
    DirectNhwc { lanes: 4, c_in: 3, stride: 1, widths: direct_widths!(micro; 3; [1 2 3 4]; 5 4 3 2 1), cost: 0.9 };

/// Three channels, stride 2: 5 pixels x 16 channels.
pub(super) static C3S2: DirectNhwc =
    DirectNhwc { lanes: 4, c_in: 3, stride: 2, widths: direct_widths!(micro; 6; [1 2 3 4]; 5 4 3 2 1), cost: 0.9 };
