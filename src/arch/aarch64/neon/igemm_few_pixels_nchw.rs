//! Implicit GEMM for few pixels, NCHW: see [`crate::kernel::igemm_few_pixels_nchw`].

use super::igemm_nhwc;
use crate::kernel::igemm_few_pixels_nchw::IgemmFewPixelsNchw;

/// 5 pixels x 16 channels.
pub(super) static R5C16: IgemmFewPixelsNchw = IgemmFewPixelsNchw { inner: &igemm_nhwc::R5C16 };
