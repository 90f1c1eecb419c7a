//! Channel shuffle: see [`crate::kernel::shuffle`].

use super::vector::F32x4;
use crate::kernel::shuffle::{self, Pairs, Pixels};

/// # Safety
/// As [`shuffle::pixels`].
pub(super) unsafe fn pixels(p: &Pixels) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pixels::<F32x4>(p) }
}

/// # Safety
/// As [`shuffle::pairs`].
pub(super) unsafe fn pairs(p: &Pairs) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pairs::<F32x4>(p) }
}
