//! Implicit GEMM, NCHW: see [`crate::kernel::igemm_nchw`].

use super::vector::F32x4;
use crate::arch::micros;
use crate::kernel::igemm_nchw::{self, Gather, IgemmNchw, Tile};

/// # Safety
/// As [`igemm_nchw::micro`].
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::micro::<F32x4, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_nchw::gather`].
unsafe fn gather(g: &Gather) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::gather::<F32x4>(g) }
}

/// 4 channels x 8 pixels.
pub(super) static R4V2: IgemmNchw = IgemmNchw {
    lanes: 4,
    micros: &[micros!(micro; 1; 1 2 3 4), micros!(micro; 2; 1 2 3 4)],
    gather,
    together: false,
    many_panels: usize::MAX,
    width: 1.0,
};
