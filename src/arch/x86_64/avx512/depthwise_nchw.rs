//! Depthwise, NCHW, rows shifted in registers: see [`crate::kernel::depthwise_nchw`].

use super::depthwise_pairs_nchw;
use super::vector::F32x16;
use crate::kernel::depthwise_nchw::{self, DepthwiseNchw, Planes};

/// Rows of more than three vectors.
///
/// # Safety
/// As [`depthwise_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn wide<const K: usize, const S: usize, const R: usize, const R1: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nchw::micro::<F32x16, K, S, R, R1>(t) }
}

/// Rows of three vectors.
///
/// # Safety
/// As [`depthwise_nchw::three`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn three<const K: usize, const S: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nchw::three::<F32x16, K, S>(t) }
}

/// Rows of two vectors.
///
/// # Safety
/// As [`depthwise_nchw::narrow`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn two<const K: usize, const S: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nchw::narrow::<F32x16, K, S, 2>(t) }
}

/// Rows of one vector.
///
/// # Safety
/// As [`depthwise_nchw::narrow`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn one<const K: usize, const S: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nchw::narrow::<F32x16, K, S, 1>(t) }
}

/// 3x3, stride 1: 4 rows x 32 pixels.
pub(super) static K3S1: DepthwiseNchw = DepthwiseNchw {
    lanes: 16,
    k: 3,
    stride: 1,
    widths: &[
        (8, depthwise_pairs_nchw::micro::<3, 1>),
        (16, one::<3, 1>),
        (32, two::<3, 1>),
        (48, three::<3, 1>),
        (usize::MAX, wide::<3, 1, 4, 3>),
    ],
    rows: 4,
};

/// 3x3, stride 2: 4 rows x 32 pixels.
pub(super) static K3S2: DepthwiseNchw = DepthwiseNchw {
    lanes: 16,
    k: 3,
    stride: 2,
    widths: &[
        (8, depthwise_pairs_nchw::micro::<3, 2>),
        (16, one::<3, 2>),
        (32, two::<3, 2>),
        (48, three::<3, 2>),
        (usize::MAX, wide::<3, 2, 4, 3>),
    ],
    rows: 4,
};

/// 5x5, stride 1: 5 rows x 32 pixels.
pub(super) static K5S1: DepthwiseNchw = DepthwiseNchw {
    lanes: 16,
    k: 5,
    stride: 1,
    widths: &[
        (8, depthwise_pairs_nchw::micro::<5, 1>),
        (16, one::<5, 1>),
        (32, two::<5, 1>),
        (48, three::<5, 1>),
        (usize::MAX, wide::<5, 1, 5, 4>),
    ],
    rows: 5,
};

/// 5x5, stride 2: 5 rows x 32 pixels.
pub(super) static K5S2: DepthwiseNchw = DepthwiseNchw {
    lanes: 16,
    k: 5,
    stride: 2,
    widths: &[
        (8, depthwise_pairs_nchw::micro::<5, 2>),
        (16, one::<5, 2>),
        (32, two::<5, 2>),
        (48, three::<5, 2>),
        (usize::MAX, wide::<5, 2, 5, 4>),
    ],
    rows: 5,
};
