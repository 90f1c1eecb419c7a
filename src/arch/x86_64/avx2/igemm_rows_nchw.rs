//! Implicit GEMM of few input channels, NCHW: see [`crate::kernel::igemm_rows_nchw`].

use super::igemm_nchw;
use super::vector::F32x8;
use crate::arch::micros;
use crate::kernel::igemm_rows_nchw::{self, IgemmRowsNchw, Split, Tile};

/// # Safety
/// As [`igemm_rows_nchw::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_rows_nchw::micro::<F32x8, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_rows_nchw::split`].
#[target_feature(enable = "avx2,fma")]
unsafe fn split(t: &Split) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_rows_nchw::split::<F32x8>(t) }
}

/// 6 channels x 16 pixels.
pub(super) static R6V2: IgemmRowsNchw = IgemmRowsNchw {
    inner: &igemm_nchw::R6V2,
    micros: &[micros!(micro; 1; 1 2 3 4 5 6), micros!(micro; 2; 1 2 3 4 5 6)],
    split,
};

/// 4 channels x 24 pixels: whole panels of 16 and 32 channels. 3 to 16 and 32 channels with stride 2 on 224 x 224 pixels take 9 and 4 %
/// less time than with 6 x 16 (Zen 3, 2026-11-29).
pub(super) static R4V3: IgemmRowsNchw = IgemmRowsNchw {
    inner: &igemm_nchw::R4V3,
    micros: &[micros!(micro; 1; 1 2 3 4), micros!(micro; 2; 1 2 3 4), micros!(micro; 3; 1 2 3 4)],
    split,
};
