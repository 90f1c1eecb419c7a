//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x4;
use crate::arch::{any_widths, widths};
use crate::kernel::depthwise_any_nhwc;
use crate::kernel::depthwise_nhwc::{self, DepthwiseNhwc, Tile, Width};

/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x4, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_any_nhwc::any`].
#[target_feature(enable = "neon")]
unsafe fn any<const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_any_nhwc::any::<F32x4, R, P>(t) }
}

/// 7x7, stride 1: 1 row x 8 pixels.
pub(super) static K7S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 4,
    k: 7,
    stride: 1,
    widths: widths!(micro; 7 1 1; 8 7 4 1),
    cost: [1.0; 2],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: 2 rows x 8 pixels.
pub(super) static ANY: DepthwiseNhwc =
    DepthwiseNhwc { lanes: 4, widths: any_widths!(any; 2; 8 7 4 1), rows: 2, cost: [1.5; 2], ..DepthwiseNhwc::COMMON };
