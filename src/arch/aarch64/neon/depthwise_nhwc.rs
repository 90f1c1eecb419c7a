//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x4;
use crate::arch::{any_widths, lines, widths};
use crate::kernel::depthwise_nhwc::{self, DepthwiseNhwc, Line, Tile, Width};
use crate::kernel::{depthwise_any_nhwc, depthwise_line_nhwc};

/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x4, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_line_nhwc::line`].
#[target_feature(enable = "neon")]
unsafe fn line<const K: usize, const S: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_line_nhwc::line::<F32x4, K, S, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_any_nhwc::any`].
#[target_feature(enable = "neon")]
unsafe fn any<const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_any_nhwc::any::<F32x4, R, P>(t) }
}

/// 7x7, stride 1: 1 row x 8 pixels. It has a quarter fewer instructions than a line, of which the compiler works the addresses of all
/// pixels out in every row.
pub(super) static K7S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 4,
    k: 7,
    stride: 1,
    widths: widths!(micro; 7 1 1; 8 7 6 5 4 1),
    cost: [1.0; 2],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: a line of 8 pixels, or 2 rows x 8 pixels.
pub(super) static ANY: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 4,
    widths: any_widths!(any; 2; 8 7 4 1),
    lines: lines!(line;
        3 1: 8 7 6 5 4 1;
        5 1: 8 7 6 5 4 1;
        7 1: 8 7 6 5 4 1;
        9 1: 8 7 6 5 4 1;
        11 1: 8 7 6 5 4 1;
        7 2: 8 7 6 5 4 1;
        9 2: 8 7 6 5 4 1;
        3 3: 8 7 6 5 4 1),
    rows: 2,
    cost: [1.5; 2],
    ..DepthwiseNhwc::COMMON
};
