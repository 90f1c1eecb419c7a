//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x8;
use crate::arch::{any_widths, widths};
use crate::kernel::depthwise_nhwc::{self, DepthwiseNhwc, Tile, Width};

/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x8, K, S, R, P, 1, EDGE>(t) }
}

/// Two vectors of channels at a time: a whole line of the first cache.
///
/// # Safety
/// As [`depthwise_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn line<const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::micro::<F32x8, K, S, R, P, 2, EDGE>(t) }
}

/// # Safety
/// As [`depthwise_nhwc::any`].
#[target_feature(enable = "avx2,fma")]
unsafe fn any<const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_nhwc::any::<F32x8, P>(t) }
}

/// 3x3, stride 1: 1 row x 8 pixels, for maps of few rows and columns.
pub(super) static K3S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 1,
    widths: widths!(micro; 3 1 1; 8 7 4 1),
    cost: [1.0, 1.2],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 1: 2 rows x 4 pixels. As many sums, and four input rows for two rows of outputs in place of six. Rows come from
/// the second cache, whose bandwidth binds: maps of 14 pixels a row and more take 6 to 25 % less time (Zen 3).
pub(super) static K3S1R2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 1,
    rows: 2,
    widths: widths!(micro; 3 1 2; 4 2 1),
    cost: [0.85, 1.0],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 1: 2 rows x 2 pixels x a line of channels. Where pixels crowd in few sets of the first cache, half a line is
/// thrown out before the other half is read; 14 x 14 x 512 takes 37 us instead of 53, 7 x 7 x 1024 23 instead of 31.
pub(super) static K3S1C16: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 1,
    rows: 2,
    widths: widths!(line; 3 1 2; 2 1),
    cost: [0.98, 0.8],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 2: 2 rows x 4 pixels: 5 to 20 % less time than 1 row x 8 pixels.
pub(super) static K3S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 2,
    rows: 2,
    widths: widths!(micro; 3 2 2; 4 2 1),
    cost: [0.75, 1.0],
    ..DepthwiseNhwc::COMMON
};

/// 3x3, stride 2: 2 rows x 2 pixels x a line of channels; 28 x 28 x 256 28 us instead of 45, 56 x 56 x 128 46 instead of 59.
pub(super) static K3S2C16: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 3,
    stride: 2,
    rows: 2,
    widths: widths!(line; 3 2 2; 2 1),
    cost: [0.8, 0.65],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 1: 1 row x 8 pixels.
pub(super) static K5S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 1,
    widths: widths!(micro; 5 1 1; 8 7 4 1),
    cost: [1.0, 1.0],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 1: 2 rows x 2 pixels x a line of channels, where pixels crowd; 28 x 28 x 256 178 us instead of 220.
pub(super) static K5S1C16: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 1,
    rows: 2,
    widths: widths!(line; 5 1 2; 2 1),
    cost: [1.2, 0.8],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 2: 1 row x 8 pixels, for maps of few rows and columns.
pub(super) static K5S2: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 2,
    widths: widths!(micro; 5 2 1; 8 7 4 1),
    cost: [1.0, 1.2],
    ..DepthwiseNhwc::COMMON
};

/// 5x5, stride 2: 2 rows x 2 pixels x a line of channels: 10 to 14 % less time.
pub(super) static K5S2C16: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 5,
    stride: 2,
    rows: 2,
    widths: widths!(line; 5 2 2; 2 1),
    cost: [0.85, 0.8],
    ..DepthwiseNhwc::COMMON
};

/// 7x7, stride 1: 1 row x 8 pixels.
pub(super) static K7S1: DepthwiseNhwc = DepthwiseNhwc {
    lanes: 8,
    k: 7,
    stride: 1,
    widths: widths!(micro; 7 1 1; 8 7 4 1),
    cost: [1.0; 2],
    ..DepthwiseNhwc::COMMON
};

/// Any kernel: 8 pixels.
pub(super) static ANY: DepthwiseNhwc =
    DepthwiseNhwc { lanes: 8, widths: any_widths!(any; 8 7 4 1), cost: [1.5; 2], ..DepthwiseNhwc::COMMON };
