//! Second pass over stored outputs: see [`crate::kernel::finish`].

use super::vector::F32x4;
use crate::epilogue::Epilogue;
use crate::kernel::finish;

/// # Safety
/// As [`finish::finish`].
pub(super) unsafe fn run(out: *mut f32, residual: *const f32, n: usize, epilogue: &Epilogue) {
    // SAFETY: the caller's promise is the same.
    unsafe { finish::finish::<F32x4>(out, residual, n, epilogue) }
}
