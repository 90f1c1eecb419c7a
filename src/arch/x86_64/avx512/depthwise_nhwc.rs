//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x16;
use crate::arch::{any_widths, lines, widths};
use crate::kernel::depthwise_nhwc::{self, DepthwiseNhwc, Line, Tile, Width};
use crate::kernel::{depthwise_any_nhwc, depthwise_line_nhwc};

/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x16, K, S, R, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_line_nhwc::line`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn line<const K: usize, const S: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_line_nhwc::line::<F32x16, K, S, P, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_any_nhwc::any`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn any<const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_any_nhwc::any::<F32x16, R, P>(t) }
}

/// 3x3, stride 1: 2 rows x 8 pixels.
pub(super) static K3S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    k: 3,
    stride: 1,
    rows: 2,
    widths: widths!(micro; 3 1 2; 8 7 6 5 4 1),
    cost: [1.0; 2],
    narrow: 1.5,
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 2: 2 rows x 8 pixels.
pub(super) static K3S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    k: 3,
    stride: 2,
    rows: 2,
    widths: widths!(micro; 3 2 2; 8 7 6 5 4 1),
    cost: [1.0; 2],
    long: Some([1.0, 1.5]),
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 1: 2 rows x 8 pixels.
pub(super) static K5S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    k: 5,
    stride: 1,
    rows: 2,
    widths: widths!(micro; 5 1 2; 8 7 6 5 4 1),
    cost: [1.0; 2],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 2: 2 rows x 8 pixels.
pub(super) static K5S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    k: 5,
    stride: 2,
    rows: 2,
    widths: widths!(micro; 5 2 2; 8 7 6 5 4 1),
    cost: [1.0; 2],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: a line of 8 or 4 pixels, or 2 rows x 8 pixels.
pub(super) static ANY: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 16,
    widths: any_widths!(any; 2; 8 7 4 1),
    lines: lines!(line;
        3 1: 8 7 6 5 4 1;
        5 1: 8 7 6 5 4 1;
        7 1: 8 7 6 5 4 1;
        9 1: 8 7 6 5 4 1;
        11 1: 8 7 6 5 4 1;
        5 2: 8 7 6 5 4 1;
        7 2: 8 7 6 5 4 1;
        9 2: 8 7 6 5 4 1;
        3 3: 8 7 6 5 4 1),
    rows: 2,
    cost: [1.5; 2],
    ..DepthwiseNhwc::COMMON
};
