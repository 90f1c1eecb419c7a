//! Implicit GEMM for few pixels, NCHW: see [`crate::kernel::igemm_few_pixels_nchw`].

use super::igemm_nhwc;
use crate::kernel::igemm_few_pixels_nchw::IgemmFewPixelsNchw;

/// 14 pixels x 32 channels.
pub(super) static R14C32: IgemmFewPixelsNchw = IgemmFewPixelsNchw { inner: &igemm_nhwc::R14C32 };

/// 8 pixels x 48 channels.
pub(super) static R8C48: IgemmFewPixelsNchw = IgemmFewPixelsNchw { inner: &igemm_nhwc::R8C48 };
