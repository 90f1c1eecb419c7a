//! Element-wise operations: see [`crate::kernel::elementwise`].

use super::vector::F32x16;
use crate::kernel::elementwise::{self, Lines, Product, Sum};

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn add(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x16, Sum, false>(l) }
}

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn multiply(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x16, Product, false>(l) }
}

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn scale(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x16, Product, true>(l) }
}
