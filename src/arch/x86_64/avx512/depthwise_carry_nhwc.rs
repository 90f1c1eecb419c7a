//! Depthwise along rows, NHWC: see [`crate::kernel::depthwise_carry_nhwc`]. For cores that do not split long vectors, whose sums outrun
//! the second cache; for others, where it was not measured, the costs leave it out.

use super::vector::F32x16;
use crate::arch::carries;
use crate::kernel::depthwise_carry_nhwc::{self, DepthwiseCarryNhwc, Run, Width};

/// # Safety
/// As [`depthwise_carry_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
#[rustfmt::skip]
unsafe fn micro<
    const K: usize, const S: usize, const O: usize, const P: usize, const BEGIN: bool, const EDGE: bool,
>(
    run: &Run,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_carry_nhwc::micro::<F32x16, K, S, O, P, BEGIN, EDGE>(run) }
}

/// 3x3, stride 2: 4 pixels, where pixels crowd in few sets of the first cache, and on narrow maps.
pub(super) static K3S2: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 16,
    k: 3,
    stride: 2,
    carried: 1,
    widths: carries!(micro; 3 2 2; 4 3 2 1),
    cost: [2.0; 2],
    long: Some([1.2, 1.0]),
};

/// 5x5, stride 2: 7 pixels, on wide maps, and where pixels crowd in few sets of the first cache: each pass over a tile streams all weights, which
/// fill half of that cache from 256 channels on.
pub(super) static K5S2: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 16,
    k: 5,
    stride: 2,
    carried: 2,
    widths: carries!(micro; 5 2 3; 7 6 5 4 3 2 1),
    cost: [2.0; 2],
    long: Some([0.88, 0.5]),
};

/// 7x7, stride 1: 4 pixels, on maps of more than 14 pixels a row.
pub(super) static K7S1: DepthwiseCarryNhwc = DepthwiseCarryNhwc {
    lanes: 16,
    k: 7,
    stride: 1,
    carried: 6,
    widths: carries!(micro; 7 1 7; 4 3 2 1),
    cost: [3.0; 2],
    long: Some([0.75, 0.7]),
};
