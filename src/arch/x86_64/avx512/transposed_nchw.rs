//! NCHW by way of channels last: see [`crate::kernel::transposed_nchw`].

use super::vector::F32x16;
use super::{depthwise_nhwc, igemm_nhwc};
use crate::kernel::Algorithm;
use crate::kernel::transposed_nchw::{self, Matrix, TransposedNchw};
use crate::vector::Vector;

/// Transposes a block.
///
/// # Safety
/// The CPU has AVX-512; 16 floats are readable and writable at each of 16 steps.
#[inline(always)]
unsafe fn block(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [F32x16::zero(); 16];
        for i in 0..16 {
            x[i] = F32x16::load(from.add(i * from_step));
        }
        x = F32x16::transpose(x);
        for i in 0..16 {
            x[i].store(to.add(i * to_step));
        }
    }
}

/// # Safety
/// As [`transposed_nchw::transpose`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn transpose(m: &Matrix) {
    // SAFETY: the caller's promise is the same; blocks are inside the matrix.
    unsafe {
        transposed_nchw::transpose(
            m,
            |from, step, to, to_step| block(from, step, to, to_step),
            |x| F32x16::transpose(x),
        )
    }
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
