//! Direct, NCHW: see [`crate::kernel::direct_nchw`].

use super::vector::F32x16;
use crate::kernel::direct_nchw::{self, DirectNchw, Tile};
use crate::kernel::staged_nchw;

/// # Safety
/// As [`direct_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nchw::micro::<F32x16, K, S, MR, R, NV>(t) }
}

/// # Safety
/// As [`staged_nchw::any`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn any<const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { staged_nchw::any::<F32x16, MR, R, NV>(t) }
}

/// Groups of few channels, 3x3, stride 1: 4 channels x 2 rows x 32 pixels.
pub(super) static GROUP_K3S1: DirectNchw = DirectNchw {
    lanes: 16,
    k: 3,
    stride: 1,
    rows: 2,
    micros: &[(4, micro::<3, 1, 4, 2, 2>), (2, micro::<3, 1, 2, 2, 2>), (1, micro::<3, 1, 1, 2, 2>)],
    cost: 1.25,
    ..DirectNchw::COMMON
};

/// Groups of few channels, 3x3, stride 2: 4 channels x 2 rows x 32 pixels.
pub(super) static GROUP_K3S2: DirectNchw = DirectNchw {
    lanes: 16,
    k: 3,
    stride: 2,
    rows: 2,
    micros: &[(4, micro::<3, 2, 4, 2, 2>), (2, micro::<3, 2, 2, 2, 2>), (1, micro::<3, 2, 1, 2, 2>)],
    cost: 1.25,
    ..DirectNchw::COMMON
};

/// Any kernel: 4 channels x 4 rows x 16 pixels.
pub(super) static ANY: DirectNchw = DirectNchw {
    lanes: 16,
    k: 0,
    stride: 0,
    rows: 4,
    micros: &[(4, any::<4, 4, 1>), (2, any::<2, 4, 2>), (1, any::<1, 4, 2>)],
    cost: 6.0,
    ..DirectNchw::COMMON
};
