//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x8;
use crate::arch::{any_widths, lines, widths};
use crate::kernel::depthwise_nhwc::{self, DepthwiseNhwc, Line, Tile, Width};
use crate::kernel::{depthwise_any_nhwc, depthwise_line_nhwc};

/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x8, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_line_nhwc::line`].
#[target_feature(enable = "avx2,fma")]
unsafe fn line<const K: usize, const S: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_line_nhwc::line::<F32x8, K, S, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_any_nhwc::any`].
#[target_feature(enable = "avx2,fma")]
unsafe fn any<const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_any_nhwc::any::<F32x8, R, P>(t) }
}

/// 3x3, stride 1: 2 rows x 4 pixels. As many sums as in 1 row x 8 pixels, and four input rows for two rows of outputs in place of
/// six. Rows come from the second cache, whose bandwidth binds: maps of 14 pixels a row and more take 6 to 25 % less time (Zen 3).
pub(super) static K3S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 1,
    rows: 2,
    widths: widths!(micro; 3 1 2; 4 2 1),
    cost: [0.85, 1.0],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 1: 1 row x 8 pixels.
pub(super) static K5S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 1,
    widths: widths!(micro; 5 1 1; 8 7 6 5 4 1),
    cost: [1.0, 1.05],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 2: 1 row x 8 pixels, for maps of few columns.
pub(super) static K5S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 2,
    widths: widths!(micro; 5 2 1; 8 7 6 5 4 1),
    cost: [1.0, 2.0],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: a line of 8 or 4 pixels, or 2 rows x 4 pixels.
pub(super) static ANY: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    widths: any_widths!(any; 2; 4 1),
    lines: lines!(line;
        3 1: 8 7 6 5 4 1;
        5 1: 8 7 6 5 4 1;
        7 1: 8 7 6 5 4 1;
        9 1: 4 3 1;
        11 1: 4 3 1;
        5 2: 8 7 6 5 4 1;
        7 2: 8 7 6 5 4 1;
        9 2: 4 3 1;
        3 3: 8 7 6 5 4 1),
    rows: 2,
    cost: [2.0, 3.2],
    ..DepthwiseNhwc::COMMON
};
