//! Implicit GEMM, NCHW: see [`crate::kernel::igemm_nchw`].

use super::vector::F32x4;
use crate::arch::micros;
use crate::kernel::igemm_nchw::{self, Gather, IgemmNchw, Tile};

/// # Safety
/// As [`igemm_nchw::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::micro::<F32x4, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_nchw::gather`].
#[target_feature(enable = "neon")]
unsafe fn gather(g: &Gather) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::gather::<F32x4>(g) }
}

/// 8 channels x 12 pixels.
pub(super) static R8V3: IgemmNchw = IgemmNchw {
    lanes: 4,
    micros: &[
        micros!(micro; 1; 1 2 3 4 5 6 7 8),
        micros!(micro; 2; 1 2 3 4 5 6 7 8),
        micros!(micro; 3; 1 2 3 4 5 6 7 8),
    ],
    gather,
    width: 1.0,
};
