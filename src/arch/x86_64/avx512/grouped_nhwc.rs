//! Grouped, NHWC: see [`crate::kernel::grouped_nhwc`].

use super::vector::F32x16;
use crate::arch::{any_widths, widths};
use crate::kernel::depthwise_nhwc::{DepthwiseNhwc, Groups, Tile, Width};
use crate::kernel::grouped_nhwc;

/// # Safety
/// As [`grouped_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::micro::<F32x16, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`grouped_nhwc::any`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn any<const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::any::<F32x16, P>(t) }
}

/// 3x3, stride 1: 2 rows x 8 pixels.
pub(super) static K3S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    groups: Groups::Any,
    k: 3,
    stride: 1,
    rows: 2,
    widths: widths!(micro; 3 1 2; 8 7 4 1),
    cost: [1.2; 2],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 2: 2 rows x 8 pixels.
pub(super) static K3S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    groups: Groups::Any,
    k: 3,
    stride: 2,
    rows: 2,
    widths: widths!(micro; 3 2 2; 8 7 4 1),
    cost: [1.2; 2],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: 8 pixels.
pub(super) static ANY: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    groups: Groups::Any,
    widths: any_widths!(any; 8 4 1),
    cost: [2.5; 2],
    ..DepthwiseNhwc::COMMON
};
