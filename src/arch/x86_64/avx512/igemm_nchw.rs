//! Implicit GEMM, NCHW: see [`crate::kernel::igemm_nchw`].

use super::half::Half;
use super::vector::F32x16;
use crate::arch::micros;
use crate::kernel::igemm_nchw::{self, Gather, IgemmNchw, Tile};

/// # Safety
/// As [`igemm_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::micro::<F32x16, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_nchw::gather`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn gather(g: &Gather) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::gather::<F32x16>(g) }
}

/// Half vectors.
///
/// # Safety
/// As [`igemm_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn half<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::micro::<Half, MR, NV>(t) }
}

/// # Safety
/// As [`igemm_nchw::gather`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn gather_half(g: &Gather) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nchw::gather::<Half>(g) }
}

/// 8 channels x 48 pixels.
pub(super) static R8V3: IgemmNchw = IgemmNchw {
    lanes: 16,
    micros: &[
        micros!(micro; 1; 1 2 3 4 5 6 7 8),
        micros!(micro; 2; 1 2 3 4 5 6 7 8),
        micros!(micro; 3; 1 2 3 4 5 6 7 8),
    ],
    gather,
    together: true,
    many_panels: usize::MAX,
    width: 1.0,
};

/// 8 channels x 24 pixels, in half vectors.
pub(super) static R8V3H: IgemmNchw = IgemmNchw {
    lanes: 8,
    micros: &[micros!(half; 1; 1 2 3 4 5 6 7 8), micros!(half; 2; 1 2 3 4 5 6 7 8), micros!(half; 3; 1 2 3 4 5 6 7 8)],
    gather: gather_half,
    together: true,
    many_panels: usize::MAX,
    width: 0.55,
};
