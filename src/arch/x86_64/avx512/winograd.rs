//! Winograd convolution: see [`crate::kernel::winograd`].

use super::vector::F32x16;
use crate::arch::{micros, winograds};
use crate::kernel::winograd::{Transform, Winograd};
use crate::kernel::winograd_nchw::{self, StageIn, StageOut};
use crate::kernel::winograd_tile::{self, Input, Output, Product, ProductFn};
use crate::tensor::Layout::{Nchw, Nhwc};

/// # Safety
/// As [`winograd_tile::product`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn product<const MR: usize, const NV: usize>(t: &Product) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_tile::product::<F32x16, MR, NV>(t) }
}

/// # Safety
/// As [`winograd_tile::input`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn input<const M: usize, const POINTED: bool>(t: &Input) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_tile::input::<F32x16, M, POINTED>(t) }
}

/// # Safety
/// As [`winograd_tile::output`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn output<const M: usize>(t: &Output) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_tile::output::<F32x16, M>(t) }
}

/// # Safety
/// As [`winograd_nchw::stage_in`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn stage_in(s: &StageIn) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_nchw::stage_in::<F32x16>(s) }
}

/// # Safety
/// As [`winograd_nchw::stage_out`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn stage_out(s: &StageOut) {
    // SAFETY: the caller's promise is the same.
    unsafe { winograd_nchw::stage_out::<F32x16>(s) }
}

/// 14 tiles x 32 channels.
const PRODUCTS: &[&[ProductFn]] =
    &[micros!(product; 1; 1 2 3 4 5 6 7 8 9 10 11 12 13 14), micros!(product; 2; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)];

winograds!(16;
    F2_NHWC: 2 Nhwc, F4_NHWC: 4 Nhwc, F6_NHWC: 6 Nhwc,
    F2_NCHW: 2 Nchw, F4_NCHW: 4 Nchw, F6_NCHW: 6 Nchw);
