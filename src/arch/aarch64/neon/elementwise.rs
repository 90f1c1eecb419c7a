//! Element-wise operations: see [`crate::kernel::elementwise`].

use super::vector::F32x4;
use crate::kernel::elementwise::{self, Lines, Product, Sum};

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn add(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x4, Sum, false>(l) }
}

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x4, Product, false>(l) }
}

/// # Safety
/// As [`elementwise::lines`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn scale(l: &Lines) {
    // SAFETY: the caller's promise is the same.
    unsafe { elementwise::lines::<F32x4, Product, true>(l) }
}
