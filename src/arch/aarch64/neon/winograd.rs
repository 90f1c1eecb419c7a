//! Winograd convolution: see [`crate::kernel::winograd`]. Products are those of the implicit GEMM and transforms those of
//! [`super::winograd_tile`], both in assembly.

use super::igemm_nhwc::PRODUCTS;
use super::vector::F32x4;
use super::winograd_tile::{input, output};
use crate::arch::winograds;
use crate::kernel::winograd::{Transform, Winograd};
use crate::kernel::winograd_nchw::{self, StageIn, StageOut};
use crate::tensor::Layout::{Nchw, Nhwc};

/// # Safety
/// As [`winograd_nchw::stage_in`].
#[target_feature(enable = "neon")]
unsafe fn stage_in(s: &StageIn) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_nchw::stage_in::<F32x4>(s) }
}

/// # Safety
/// As [`winograd_nchw::stage_out`].
#[target_feature(enable = "neon")]
unsafe fn stage_out(s: &StageOut) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_nchw::stage_out::<F32x4>(s) }
}

winograds!(4;
    F2_NHWC: 2 Nhwc, F4_NHWC: 4 Nhwc, F6_NHWC: 6 Nhwc,
    F2_NCHW: 2 Nchw, F4_NCHW: 4 Nchw, F6_NCHW: 6 Nchw);
