//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].

use super::vector::F32x16;
use crate::arch::micros;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Tile};

/// # Safety
/// As [`igemm_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<F32x16, MR, NV>(t) }
}

/// 14 pixels x 32 channels.
pub(super) static R14C32: IgemmNhwc = IgemmNhwc {
    lanes: 16,
    micros: &[micros!(micro; 1; 1 2 3 4 5 6 7 8 9 10 11 12 13 14), micros!(micro; 2; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)],
    width: 1.0,
};
