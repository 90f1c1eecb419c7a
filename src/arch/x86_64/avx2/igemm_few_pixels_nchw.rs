//! Implicit GEMM for few pixels, NCHW: see [`crate::kernel::igemm_few_pixels_nchw`].

use super::igemm_nhwc;
use crate::kernel::igemm_few_pixels_nchw::IgemmFewPixelsNchw;

/// 2 pixels x 40 channels, the best for one pixel; maps of more have faster kernels.
pub(super) static R2C40: IgemmFewPixelsNchw = IgemmFewPixelsNchw { inner: &igemm_nhwc::R2C40 };
