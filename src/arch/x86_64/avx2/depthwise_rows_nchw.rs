//! Depthwise 3x3, NCHW, rows of the image itself: see [`crate::kernel::depthwise_rows_nchw`].

use super::vector::F32x8;
use crate::kernel::depthwise_rows_nchw::{self, DepthwiseRows, Planes};

/// # Safety
/// As [`depthwise_rows_nchw::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const S: usize, const R: usize>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_rows_nchw::micro::<F32x8, S, R>(t) }
}

/// Stride 1: 4 rows x 8 pixels, and 7 of planes that have no more: there a block takes more time than that some weights are in memory.
pub(super) static K3S1: DepthwiseRows =
    DepthwiseRows { lanes: 8, stride: 1, least_columns: 7, micro: micro::<1, 4>, tall: Some((7, micro::<1, 7>)) };

/// Stride 2: 2 rows x 8 pixels.
pub(super) static K3S2: DepthwiseRows =
    DepthwiseRows { lanes: 8, stride: 2, least_columns: 4, micro: micro::<2, 2>, tall: None };
