//! Depthwise along rows, NHWC: see [`crate::kernel::depthwise_carry_nhwc`].

use super::vector::F32x8;
use crate::arch::carries;
use crate::kernel::depthwise_carry_nhwc::{self, DepthwiseCarryNhwc, Run, Width};

/// # Safety
/// As [`depthwise_carry_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
#[rustfmt::skip]
unsafe fn micro<
    const K: usize, const S: usize, const O: usize, const P: usize, const BEGIN: bool, const EDGE: bool,
>(
    run: &Run,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_carry_nhwc::micro::<F32x8, K, S, O, P, BEGIN, EDGE>(run) }
}

/// 3x3, stride 1: 5 pixels, where pixels crowd in few sets of the first cache.
pub(super) static K3S1: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 8,
    k: 3,
    stride: 1,
    carried: 2,
    widths: carries!(micro; 3 1 3; 5 4 3 2 1),
    cost: [1.05, 0.75],
    long: None,
};

/// 3x3, stride 2: 4 pixels, whatever the map.
pub(super) static K3S2: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 8,
    k: 3,
    stride: 2,
    carried: 1,
    widths: carries!(micro; 3 2 2; 4 3 2 1),
    cost: [0.6, 0.6],
    long: None,
};

/// 5x5, stride 1: 4 pixels, where pixels crowd, and on maps of more than 56 pixels a row.
pub(super) static K5S1: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 8,
    k: 5,
    stride: 1,
    carried: 4,
    widths: carries!(micro; 5 1 5; 4 3 2 1),
    cost: [0.92, 0.55],
    long: None,
};

/// 5x5, stride 2: 4 pixels, where pixels crowd, and on maps of more than 14 outputs a row.
pub(super) static K5S2: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 8,
    k: 5,
    stride: 2,
    carried: 2,
    widths: carries!(micro; 5 2 3; 4 3 2 1),
    cost: [0.88, 0.7],
    long: None,
};

/// 7x7, stride 1: 4 pixels, on maps of more than 14 pixels a row.
pub(super) static K7S1: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 8,
    k: 7,
    stride: 1,
    carried: 6,
    widths: carries!(micro; 7 1 7; 4 3 2 1),
    cost: [0.75, 0.7],
    long: None,
};
