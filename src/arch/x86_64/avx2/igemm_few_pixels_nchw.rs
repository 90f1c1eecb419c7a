//! Implicit GEMM for few pixels, NCHW: see [`crate::kernel::igemm_few_pixels_nchw`].

use super::igemm_nhwc;
use crate::kernel::igemm_few_pixels_nchw::IgemmFewPixelsNchw;

/// 6 pixels x 16 channels.
pub(super) static R6C16: IgemmFewPixelsNchw = IgemmFewPixelsNchw { inner: &igemm_nhwc::R6C16 };
