//! Implicit GEMM, NCHW: see [`crate::kernel::igemm_nchw`].

use super::vector::F32x8;
use crate::arch::micros;
use crate::kernel::igemm_nchw::{self, Gather, IgemmNchw, Tile};

/// # Safety
/// As [`igemm_nchw::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::micro::<F32x8, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_nchw::gather`].
#[target_feature(enable = "avx2,fma")]
unsafe fn gather(g: &Gather) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::gather::<F32x8>(g) }
}

/// 6 channels x 16 pixels.
pub(super) static R6V2: IgemmNchw = IgemmNchw {
    lanes: 8,
    micros: &[micros!(micro; 1; 1 2 3 4 5 6), micros!(micro; 2; 1 2 3 4 5 6)],
    gather,
    together: true,
    many_panels: 20,
    width: 1.0,
};

/// 4 channels x 24 pixels, for [`super::igemm_rows_nchw`]; by itself it is no faster than 6 x 16.
pub(super) static R4V3: IgemmNchw = IgemmNchw {
    lanes: 8,
    micros: &[micros!(micro; 1; 1 2 3 4), micros!(micro; 2; 1 2 3 4), micros!(micro; 3; 1 2 3 4)],
    gather,
    together: true,
    many_panels: 20,
    width: 1.0,
};
