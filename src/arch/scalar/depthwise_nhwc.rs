//! Depthwise, NHWC: see [`crate::kernel::depthwise_nhwc`].

use super::vector::F32x1;
use crate::arch::any_widths;
use crate::kernel::depthwise_any_nhwc;
use crate::kernel::depthwise_nhwc::{DepthwiseNhwc, Tile, Width};

/// # Safety
/// As [`depthwise_any_nhwc::any`].
unsafe fn any<const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_any_nhwc::any::<F32x1, R, P>(t) }
}

/// Any kernel: 4 pixels.
pub(super) static ANY: DepthwiseNhwc =
    DepthwiseNhwc { lanes: 1, widths: any_widths!(any; 1; 4 1), cost: [1.5; 2], ..DepthwiseNhwc::COMMON };
