//! Grouped, NHWC: see [`crate::kernel::grouped_nhwc`].

use super::vector::F32x8;
use crate::arch::{any_widths, widths};
use crate::kernel::depthwise_nhwc::{DepthwiseNhwc, Groups, Tile, Width};
use crate::kernel::grouped_nhwc;

/// # Safety
/// As [`grouped_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::micro::<F32x8, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`grouped_nhwc::whole`].
#[target_feature(enable = "avx2,fma")]
unsafe fn whole<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::whole::<F32x8, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`grouped_nhwc::any`].
#[target_feature(enable = "avx2,fma")]
unsafe fn any<const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::any::<F32x8, P>(t) }
}

/// 3x3, stride 1: 1 row x 8 pixels.
pub(super) static K3S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    groups: Groups::Narrow,
    k: 3,
    stride: 1,
    widths: widths!(micro; 3 1 1; 8 7 4 1),
    cost: [1.2; 2],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 2: 1 row x 8 pixels.
pub(super) static K3S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    groups: Groups::Narrow,
    k: 3,
    stride: 2,
    widths: widths!(micro; 3 2 1; 8 7 4 1),
    cost: [1.2; 2],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 1, groups of 5 to 8 output channels: 10 pixels.
pub(super) static WHOLE_K3S1: DepthwiseNhwc =
    DepthwiseNhwc { groups: Groups::Whole, widths: widths!(whole; 3 1 1; 10 9 8 7 5 4 1), cost: [0.97; 2], ..K3S1 };

/// 3x3, stride 2, groups of 5 to 8 output channels: 8 pixels.
pub(super) static WHOLE_K3S2: DepthwiseNhwc =
    DepthwiseNhwc { groups: Groups::Whole, widths: widths!(whole; 3 2 1; 8 7 5 4 1), cost: [0.95; 2], ..K3S2 };

/// Any kernel: 8 pixels.
pub(super) static ANY: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    groups: Groups::Any,
    widths: any_widths!(any; 8 4 1),
    cost: [2.5; 2],
    ..DepthwiseNhwc::COMMON
};
