//! NCHW by way of channels last: see [`crate::kernel::transposed_nchw`].

use super::vector::F32x16;
use super::{depthwise_nhwc, depthwise_strip_nhwc, direct_nhwc, grouped_nhwc, igemm_nhwc};
use crate::kernel::Algorithm;
use crate::kernel::transposed_nchw::{self, Matrix, TransposedNchw};

/// # Safety
/// As [`transposed_nchw::transpose`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn transpose(m: &Matrix) {
    // SAFETY: the caller's promise is the same.
    unsafe { transposed_nchw::transpose(m, |x| F32x16::transpose(x)) }
}

const fn over(inner: &'static dyn Algorithm) -> TransposedNchw {
    TransposedNchw { inner, transpose, cost: 0.45 }
}

/// Implicit GEMM, 14 pixels x 32 channels.
pub(super) static R14C32: TransposedNchw = over(&igemm_nhwc::R14C32);

/// The same, where pixels share the last vector.
pub(super) static R14C32_SHARED: TransposedNchw = over(&igemm_nhwc::R14C32_SHARED);

/// Implicit GEMM, 8 pixels x 48 channels.
pub(super) static R8C48: TransposedNchw = over(&igemm_nhwc::R8C48);

/// Implicit GEMM, 8 pixels x 24 channels.
pub(super) static R8C24: TransposedNchw = over(&igemm_nhwc::R8C24);

/// Three channels, stride 4: 8 pixels x 32 channels.
pub(super) static C3S4: TransposedNchw = over(&direct_nhwc::C3S4);

/// 3x3, stride 1, groups of few channels: 2 rows x 8 pixels.
pub(super) static GROUP_K3S1: TransposedNchw = over(&grouped_nhwc::K3S1);

/// 3x3, stride 2, groups of few channels: 2 rows x 8 pixels.
pub(super) static GROUP_K3S2: TransposedNchw = over(&grouped_nhwc::K3S2);

/// 3x3, stride 1, groups of 9 to 16 output channels: 14 pixels.
pub(super) static G16_K3S1: TransposedNchw = over(&grouped_nhwc::WHOLE_K3S1);

/// The same for narrow maps: 2 rows x 10 pixels.
pub(super) static G16_K3S1_NARROW: TransposedNchw = over(&grouped_nhwc::WHOLE_K3S1_NARROW);

/// 3x3, stride 2, groups of 9 to 16 output channels: 2 rows x 10 pixels.
pub(super) static G16_K3S2: TransposedNchw = over(&grouped_nhwc::WHOLE_K3S2);

/// Depthwise 3x3, stride 1: strips of 7 pixels.
pub(super) static K3S1: TransposedNchw = over(&depthwise_strip_nhwc::K3S1);

/// Depthwise 3x3, stride 2: strips of 4 pixels.
pub(super) static K3S2: TransposedNchw = over(&depthwise_strip_nhwc::K3S2);

/// Depthwise 5x5, stride 1: 2 rows x 8 pixels.
pub(super) static K5S1: TransposedNchw = over(&depthwise_nhwc::K5S1);

/// Depthwise 5x5, stride 2: 2 rows x 8 pixels.
pub(super) static K5S2: TransposedNchw = over(&depthwise_nhwc::K5S2);

/// Depthwise of any size: 8 pixels x 16 channels.
pub(super) static ANY: TransposedNchw = over(&depthwise_nhwc::ANY);
