//! Depthwise down strips, NHWC: see [`crate::kernel::depthwise_strip_nhwc`].

use super::vector::F32x16;
use crate::kernel::depthwise_strip_nhwc::{self, DepthwiseStripNhwc, Strip, Width};

/// # Safety
/// As [`depthwise_strip_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const S: usize, const P: usize, const EDGE: bool>(t: &Strip) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_strip_nhwc::micro::<F32x16, S, P, EDGE>(t) }
}

/// Micro-kernels of some widths: `strips!(S; 7 1)`.
macro_rules! strips {
    ($s:literal; $($p:literal)*) => {
        &[$(Width { pixels: $p, micros: [micro::<$s, $p, false>, micro::<$s, $p, true>] }),*]
    };
}

/// 3x3, stride 1: strips of 7 pixels.
pub(super) static K3S1: DepthwiseStripNhwc = DepthwiseStripNhwc { lanes: 16, stride: 1, widths: strips!(1; 7 4 2 1) };

/// 3x3, stride 2: strips of 7 pixels.
pub(super) static K3S2: DepthwiseStripNhwc = DepthwiseStripNhwc { lanes: 16, stride: 2, widths: strips!(2; 7 4 2 1) };
