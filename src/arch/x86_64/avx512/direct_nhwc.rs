//! Direct, NHWC: see [`crate::kernel::direct_nhwc`].

use super::half::Half;
use super::vector::F32x16;
use crate::arch::direct_widths;
use crate::kernel::direct_nhwc::{self, DirectNhwc, Tile, Width};

/// # Safety
/// As [`direct_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nhwc::micro::<F32x16, STEP, P, NV>(t) }
}

/// A kernel of full vectors.
const fn full(stride: usize, widths: &'static [Width], one_vector: &'static [Width]) -> DirectNhwc {
    DirectNhwc { lanes: 16, c_in: 3, stride, widths, one_vector, beyond: 0, width: 1.0 }
}

/// Three channels, stride 1: 8 pixels x 32 channels, or 16 pixels x 16 channels.
pub(super) static C3S1: DirectNhwc =
    full(1, direct_widths!(micro; 3; [1 2]; 8 7 4 1), direct_widths!(micro; 3; [1]; 16 14 12 8 7 4 1));

/// Three channels, stride 2: the same.
pub(super) static C3S2: DirectNhwc =
    full(2, direct_widths!(micro; 6; [1 2]; 8 7 4 1), direct_widths!(micro; 6; [1]; 16 14 12 8 7 4 1));

/// Three channels, stride 4: the same.
pub(super) static C3S4: DirectNhwc =
    full(4, direct_widths!(micro; 12; [1 2]; 8 7 4 1), direct_widths!(micro; 12; [1]; 16 14 12 8 7 4 1));

/// Half vectors, with the registers of AVX-512VL.
///
/// # Safety
/// As [`direct_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn half<const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nhwc::micro::<Half, STEP, P, NV>(t) }
}

/// A kernel of half vectors.
const fn halves(stride: usize, widths: &'static [Width]) -> DirectNhwc {
    DirectNhwc { lanes: 8, c_in: 3, stride, widths, one_vector: &[], beyond: 0, width: 0.55 }
}

/// Three channels, stride 1: 8 pixels x 24 channels, for channel counts that would leave half of a full vector empty.
pub(super) static C3S1H: DirectNhwc = halves(1, direct_widths!(half; 3; [1 2 3]; 8 7 4 1));

/// Three channels, stride 2: the same.
pub(super) static C3S2H: DirectNhwc = halves(2, direct_widths!(half; 6; [1 2 3]; 8 7 4 1));

/// Three channels, stride 4: the same.
pub(super) static C3S4H: DirectNhwc = halves(4, direct_widths!(half; 12; [1 2 3]; 8 7 4 1));
