//! Depthwise, NCHW, planes copied with their padding: see [`crate::kernel::depthwise_padded_nchw`].

use super::vector::F32x8;
use crate::kernel::depthwise_padded_nchw::{self, DepthwisePadded, Micro, Planes};

/// # Safety
/// As [`depthwise_padded_nchw::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const NV: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_padded_nchw::micro::<F32x8, K, S, R, NV>(t) }
}

/// # Safety
/// As [`depthwise_padded_nchw::stage`].
#[target_feature(enable = "avx2,fma")]
unsafe fn stage<const S: usize>(t: &Planes, from: *const f32, to: *mut f32, rows: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_padded_nchw::stage::<F32x8, S>(t, from, to, rows) }
}

/// For kernels of `K` rows: blocks of 4 to 8 rows x 8 pixels, or as `wide` has them; for outputs of so many columns and more.
const fn rows<const K: usize, const S: usize>(least_columns: usize, wide: &'static [Micro]) -> DepthwisePadded {
    DepthwisePadded {
        lanes: 8,
        halves: false,
        k: K,
        stride: S,
        least_columns,
        narrow: one::<K, S>(),
        wide,
        stage: stage::<S>,
    }
}

/// Blocks of 4 to 8 rows x 8 pixels.
const fn one<const K: usize, const S: usize>() -> &'static [Micro] {
    const { &[micro::<K, S, 4, 1>, micro::<K, S, 5, 1>, micro::<K, S, 6, 1>, micro::<K, S, 7, 1>, micro::<K, S, 8, 1>] }
}

/// Blocks of 4 and 5 rows x 16 pixels.
const fn two<const K: usize, const S: usize>() -> &'static [Micro] {
    const { &[micro::<K, S, 4, 2>, micro::<K, S, 5, 2>] }
}

/// Three rows, stride 1.
pub(super) static K3S1: DepthwisePadded =
    rows::<3, 1>(7, const { &[micro::<3, 1, 4, 2>, micro::<3, 1, 5, 2>, micro::<3, 1, 6, 2>] });

/// Three rows, stride 2.
pub(super) static K3S2: DepthwisePadded = rows::<3, 2>(5, two::<3, 2>());

/// Five rows, stride 1.
pub(super) static K5S1: DepthwisePadded = rows::<5, 1>(13, two::<5, 1>());

/// Five rows, stride 2.
pub(super) static K5S2: DepthwisePadded = rows::<5, 2>(8, two::<5, 2>());

/// Seven rows, stride 1.
pub(super) static K7S1: DepthwisePadded = rows::<7, 1>(32, one::<7, 1>());
