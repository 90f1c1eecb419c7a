//! NCHW by way of channels last: see [`crate::kernel::transposed_nchw`].

use super::vector::F32x8;
use super::{depthwise_carry_nhwc, depthwise_nhwc, grouped_nhwc, igemm_nhwc};
use crate::kernel::Algorithm;
use crate::kernel::transposed_nchw::{self, Matrix, TransposedNchw};

/// # Safety
/// As [`transposed_nchw::transpose`].
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose(m: &Matrix) {
    // SAFETY: the caller's promise is the same.
    unsafe { transposed_nchw::transpose(m, |x| F32x8::transpose(x)) }
}

const fn over(inner: &'static dyn Algorithm) -> TransposedNchw {
    TransposedNchw { inner, transpose, cost: 0.6 }
}

/// Implicit GEMM, 6 pixels x 16 channels.
pub(super) static R6C16: TransposedNchw = over(&igemm_nhwc::R6C16);

/// Implicit GEMM, 4 pixels x 24 channels.
pub(super) static R4C24: TransposedNchw = over(&igemm_nhwc::R4C24);

/// 3x3, stride 1, groups of 8 output channels: 10 pixels.
pub(super) static G8_K3S1: TransposedNchw = over(&grouped_nhwc::WHOLE_K3S1);

/// 3x3, stride 2, groups of 8 output channels: 8 pixels.
pub(super) static G8_K3S2: TransposedNchw = over(&grouped_nhwc::WHOLE_K3S2);

/// Depthwise 3x3, stride 1: 2 rows x 4 pixels. For maps of up to 4 columns, whose rows leave vectors along them half empty; vectors of 4
/// lanes have no twin of this, nor of what follows, since they are full there.
pub(super) static K3S1: TransposedNchw = over(&depthwise_nhwc::K3S1);

/// Depthwise 3x3, stride 2: 4 pixels. For outputs of up to 4 columns.
pub(super) static K3S2: TransposedNchw = over(&depthwise_carry_nhwc::K3S2);

/// Depthwise 5x5, stride 1: 8 pixels. For maps of up to 12 columns.
pub(super) static K5S1: TransposedNchw = over(&depthwise_nhwc::K5S1);

/// Depthwise 5x5, stride 2: 8 pixels. For outputs of up to 7 columns.
pub(super) static K5S2: TransposedNchw = over(&depthwise_nhwc::K5S2);

/// Depthwise of any size: 8 pixels x 8 channels.
pub(super) static ANY: TransposedNchw = over(&depthwise_nhwc::ANY);
