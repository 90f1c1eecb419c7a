//! x86-64.

pub(super) mod avx2;
#[cfg(feature = "avx512")]
pub(super) mod avx512;
