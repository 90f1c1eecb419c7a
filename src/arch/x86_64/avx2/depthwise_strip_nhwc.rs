//! Depthwise down strips, NHWC: see [`crate::kernel::depthwise_strip_nhwc`].
//!
//! Two vectors make a line. With stride 1 three rows of sums do not fit into 16 registers beside the weights, and with stride 2
//! strips are as fast as tiles; where lines crowd, four vectors at a time are twice as fast.

use super::vector::F32x8;
use crate::arch::strips;
use crate::kernel::depthwise_strip_nhwc::{self, DepthwiseStripNhwc, Strip, Width};

/// # Safety
/// As [`depthwise_strip_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
#[rustfmt::skip]
unsafe fn micro<
    const K: usize, const S: usize, const M: usize, const P: usize, const N: usize, const EDGE: bool,
>(
    t: &Strip,
) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_strip_nhwc::micro::<F32x8, K, S, M, P, N, EDGE>(t) }
}

/// 3x3, stride 2: strips of 3 pixels and a line of channels.
pub(super) static K3S2: DepthwiseStripNhwc = DepthwiseStripNhwc {
    lanes: 8,
    k: 3,
    stride: 2,
    widths: strips!(micro; 3 2 2; 2; 3 2 1),
    crowded: strips!(micro; 3 2 2; 4; 1),
    cost: [1.1, 0.6],
};
