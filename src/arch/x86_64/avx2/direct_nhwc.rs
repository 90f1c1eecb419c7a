//! Direct, NHWC: see [`crate::kernel::direct_nhwc`].

use super::vector::F32x8;
use crate::arch::direct_widths;
use crate::kernel::direct_nhwc::{self, DirectNhwc, Tile, Width};

/// # Safety
/// As [`direct_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nhwc::micro::<F32x8, STEP, P, NV>(t) }
}

/// A kernel for three channels.
const fn kernel(stride: usize, widths: &'static [Width]) -> DirectNhwc {
    DirectNhwc { lanes: 8, c_in: 3, stride, widths, one_vector: &[], beyond: 0, width: 1.0 }
}

/// Stride 1: 6 pixels x 16 channels.
pub(super) static C3S1: DirectNhwc = kernel(1, direct_widths!(micro; 3; [1 2]; 6 5 4 1));

/// Stride 2: the same.
pub(super) static C3S2: DirectNhwc = kernel(2, direct_widths!(micro; 6; [1 2]; 6 5 4 1));

/// Stride 4: the same.
pub(super) static C3S4: DirectNhwc = kernel(4, direct_widths!(micro; 12; [1 2]; 6 5 4 1));

/// Stride 1: 3 pixels x 24 channels, for channel counts that leave 16 a narrow rest.
pub(super) static C3S1W: DirectNhwc = kernel(1, direct_widths!(micro; 3; [1 2 3]; 3 1));

/// Stride 2: the same.
pub(super) static C3S2W: DirectNhwc = kernel(2, direct_widths!(micro; 6; [1 2 3]; 3 1));

/// Stride 4: the same.
pub(super) static C3S4W: DirectNhwc = kernel(4, direct_widths!(micro; 12; [1 2 3]; 3 1));
