//! Pooling: see [`crate::kernel::pool`].

use super::vector::F32x1;
use crate::kernel::pool::{self, Line, Maximum, Planes, Sum, Windows};

/// # Safety
/// As [`pool::windows`].
pub(super) unsafe fn maximum(w: &Windows) {
    // SAFETY: the caller's promise is the same.
    unsafe { pool::windows::<F32x1, Maximum>(w) }
}

/// # Safety
/// As [`pool::windows`].
pub(super) unsafe fn sum(w: &Windows) {
    // SAFETY: the caller's promise is the same.
    unsafe { pool::windows::<F32x1, Sum>(w) }
}

/// # Safety
/// As [`pool::line`].
pub(super) unsafe fn maximum_line(l: &Line) {
    // SAFETY: the caller's promise is the same.
    unsafe { pool::line::<F32x1, Maximum>(l) }
}

/// # Safety
/// As [`pool::line`].
pub(super) unsafe fn sum_line(l: &Line) {
    // SAFETY: the caller's promise is the same.
    unsafe { pool::line::<F32x1, Sum>(l) }
}

/// # Safety
/// As [`pool::average_planes`].
pub(super) unsafe fn average_planes(p: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { pool::average_planes::<F32x1>(p) }
}
