//! Direct, NCHW: see [`crate::kernel::direct_nchw`].

use super::vector::F32x4;
use crate::kernel::direct_nchw::{self, DirectNchw, Tile};
use crate::kernel::staged_nchw;

/// # Safety
/// As [`direct_nchw::micro`].
unsafe fn micro<const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nchw::micro::<F32x4, K, S, MR, R, NV>(t) }
}

/// # Safety
/// As [`staged_nchw::any`].
unsafe fn any<const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { staged_nchw::any::<F32x4, MR, R, NV>(t) }
}

/// Depthwise 3x3, stride 1: 4 rows x 4 pixels.
pub(super) static K3S1: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 1,
    rows: 4,
    micros: &[(1, micro::<3, 1, 1, 4, 1>)],
    cost: 1.0,
    ..DirectNchw::COMMON
};

/// Depthwise 3x3, stride 2: 2 rows x 4 pixels.
pub(super) static K3S2: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 2,
    rows: 2,
    micros: &[(1, micro::<3, 2, 1, 2, 1>)],
    cost: 1.0,
    ..DirectNchw::COMMON
};

/// Groups of few channels, 3x3, stride 1: 4 channels x 2 rows x 4 pixels.
pub(super) static GROUP_K3S1: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 1,
    rows: 2,
    micros: &[(4, micro::<3, 1, 4, 2, 1>), (2, micro::<3, 1, 2, 2, 1>), (1, micro::<3, 1, 1, 2, 1>)],
    cost: 1.1,
    ..DirectNchw::COMMON
};

/// Any kernel: 2 channels x 4 rows x 4 pixels.
pub(super) static ANY: DirectNchw = DirectNchw {
    lanes: 4,
    k: 0,
    stride: 0,
    rows: 4,
    micros: &[(2, any::<2, 4, 1>), (1, any::<1, 4, 2>)],
    cost: 2.0,
    ..DirectNchw::COMMON
};
