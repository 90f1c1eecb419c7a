//! NCHW by way of channels last: see [`crate::kernel::transposed_nchw`].

use super::vector::F32x16;
use super::{depthwise_nhwc, igemm_nhwc};
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

/// Implicit GEMM, 8 pixels x 24 channels.
pub(super) static R8C24: TransposedNchw = over(&igemm_nhwc::R8C24);

/// Depthwise of any size: 8 pixels x 16 channels.
pub(super) static ANY: TransposedNchw = over(&depthwise_nhwc::ANY);
