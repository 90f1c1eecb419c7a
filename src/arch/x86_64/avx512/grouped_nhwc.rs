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

/// # Safety
/// As [`grouped_nhwc::whole`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn whole<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { grouped_nhwc::whole::<F32x16, K, S, R, P, EDGE>(t) }
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

/// 3x3, stride 1, groups of 9 to 16 output channels: 14 pixels.
pub(super) static WHOLE_K3S1: DepthwiseNhwc = DepthwiseNhwc {
    groups: Groups::Whole,
    rows: 1,
    widths: widths!(whole; 3 1 1; 14 12 10 9 8 7 5 4 1),
    cost: [1.0; 2],
    ..K3S1
};

/// The same for narrow maps: 2 rows x 10 pixels.
pub(super) static WHOLE_K3S1_NARROW: DepthwiseNhwc =
    DepthwiseNhwc { rows: 2, widths: widths!(whole; 3 1 2; 10 8 7 5 4 1), cost: [1.03; 2], ..WHOLE_K3S1 };

/// 3x3, stride 2, groups of 9 to 16 output channels: 2 rows x 10 pixels.
pub(super) static WHOLE_K3S2: DepthwiseNhwc =
    DepthwiseNhwc { stride: 2, widths: widths!(whole; 3 2 2; 10 8 7 5 4 1), cost: [0.95; 2], ..WHOLE_K3S1_NARROW };
