//! Direct, NCHW: see [`crate::kernel::direct_nchw`].

use super::vector::F32x8;
use crate::kernel::direct_nchw::{self, DirectNchw, Tile};
use crate::kernel::staged_nchw;

/// # Safety
/// As [`direct_nchw::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nchw::micro::<F32x8, K, S, MR, R, NV>(t) }
}

/// # Safety
/// As [`staged_nchw::any`].
#[target_feature(enable = "avx2,fma")]
unsafe fn any<const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { staged_nchw::any::<F32x8, MR, R, NV>(t) }
}

/// Groups of few channels, 3x3, stride 1: 4 channels x 1 row x 16 pixels. Two rows would take all registers for sums.
pub(super) static GROUP_K3S1: DirectNchw = DirectNchw {
    lanes: 8,
    k: 3,
    stride: 1,
    rows: 1,
    micros: &[(4, micro::<3, 1, 4, 1, 2>), (2, micro::<3, 1, 2, 1, 2>), (1, micro::<3, 1, 1, 1, 2>)],
    cost: 1.2,
    single: 3.0,
    ..DirectNchw::COMMON
};

/// Groups of few channels, 3x3, stride 2: 4 channels x 1 row x 16 pixels.
pub(super) static GROUP_K3S2: DirectNchw = DirectNchw {
    lanes: 8,
    k: 3,
    stride: 2,
    rows: 1,
    micros: &[(4, micro::<3, 2, 4, 1, 2>), (2, micro::<3, 2, 2, 1, 2>), (1, micro::<3, 2, 1, 1, 2>)],
    cost: 1.3,
    single: 3.0,
    ..DirectNchw::COMMON
};

/// Any kernel: 2 channels x 4 rows x 8 pixels.
pub(super) static ANY: DirectNchw = DirectNchw {
    lanes: 8,
    k: 0,
    stride: 0,
    rows: 4,
    micros: &[(2, any::<2, 4, 1>), (1, any::<1, 4, 2>)],
    cost: 6.0,
    ..DirectNchw::COMMON
};
