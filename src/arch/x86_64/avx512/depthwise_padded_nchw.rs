//! Depthwise, NCHW, planes copied with their padding: see [`crate::kernel::depthwise_padded_nchw`].

use super::half::Half;
use crate::kernel::depthwise_padded_nchw::{self, DepthwisePadded, Micro, Planes};

/// # Safety
/// As [`depthwise_padded_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const NV: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_padded_nchw::micro::<Half, K, S, R, NV>(t) }
}

/// # Safety
/// As [`depthwise_padded_nchw::stage`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn stage<const S: usize>(t: &Planes, from: *const f32, to: *mut f32, rows: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_padded_nchw::stage::<Half, S>(t, from, to, rows) }
}

/// For kernels of `K` rows: blocks of 4 to 8 rows x 16 pixels, of 8 on maps as narrow. With fewer than `least_columns` outputs in a row
/// going by way of channels last leaves out rows and columns in the padding, and takes a tenth to a fifth less.
const fn rows<const K: usize, const S: usize>(least_columns: usize) -> DepthwisePadded {
    let (narrow, wide) = (blocks::<K, S, 1>(), blocks::<K, S, 2>());
    DepthwisePadded { lanes: 8, halves: true, k: K, stride: S, least_columns, narrow, wide, stage: stage::<S> }
}

/// Blocks of 4 to 8 rows of `NV` vectors.
const fn blocks<const K: usize, const S: usize, const NV: usize>() -> &'static [Micro] {
    const { &[micro::<K, S, 4, NV>, micro::<K, S, 5, NV>, micro::<K, S, 6, NV>, micro::<K, S, 7, NV>, micro::<K, S, 8, NV>] }
}

/// Three rows, stride 1.
pub(super) static K3S1: DepthwisePadded = rows::<3, 1>(5);

/// Three rows, stride 2.
pub(super) static K3S2: DepthwisePadded = rows::<3, 2>(5);

/// Five rows, stride 1.
pub(super) static K5S1: DepthwisePadded = rows::<5, 1>(21);

/// Five rows, stride 2.
pub(super) static K5S2: DepthwisePadded = rows::<5, 2>(21);

/// Seven rows, stride 1.
pub(super) static K7S1: DepthwisePadded = rows::<7, 1>(32);
