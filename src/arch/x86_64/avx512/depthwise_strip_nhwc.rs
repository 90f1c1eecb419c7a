//! Depthwise down strips, NHWC: see [`crate::kernel::depthwise_strip_nhwc`].

use super::vector::F32x16;
use crate::arch::strips;
use crate::kernel::depthwise_strip_nhwc::{self, DepthwiseStripNhwc, Strip, Width};

/// # Safety
/// As [`depthwise_strip_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
#[rustfmt::skip]
unsafe fn micro<
    const K: usize, const S: usize, const M: usize, const P: usize, const N: usize, const EDGE: bool,
>(
    t: &Strip,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_strip_nhwc::micro::<F32x16, K, S, M, P, N, EDGE>(t) }
}

/// 3x3, stride 1: strips of 7 pixels and a line of channels.
pub(super) static K3S1: DepthwiseStripNhwc = DepthwiseStripNhwc {
    lanes: 16,
    k: 3,
    stride: 1,
    widths: strips!(micro; 3 1 3; 1; 7 6 5 4 3 2 1),
    crowded: strips!(micro; 3 1 3; 2; 4 3 2 1),
    cost: [0.9, 0.9],
    long: Some([1.03, 1.15]),
};

/// 3x3, stride 2: strips of 4 pixels and two lines of channels.
pub(super) static K3S2: DepthwiseStripNhwc = DepthwiseStripNhwc {
    lanes: 16,
    k: 3,
    stride: 2,
    widths: strips!(micro; 3 2 2; 2; 5 4 3 2 1),
    crowded: strips!(micro; 3 2 2; 3; 4 3 2 1),
    cost: [0.8, 0.7],
    long: Some([1.22, 1.2]),
};

/// 5x5, stride 2: strips of 4 pixels and a line of channels.
pub(super) static K5S2: DepthwiseStripNhwc = DepthwiseStripNhwc {
    lanes: 16,
    k: 5,
    stride: 2,
    widths: strips!(micro; 5 2 3; 1; 4 3 2 1),
    crowded: strips!(micro; 5 2 3; 2; 2 1),
    cost: [0.97, 0.8],
    long: None,
};
