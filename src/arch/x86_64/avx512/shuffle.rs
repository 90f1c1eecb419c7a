//! Channel shuffle: see [`crate::kernel::shuffle`].

use super::super::avx2::shuffle::three;
use super::vector::F32x16;
use crate::kernel::shuffle::{self, Pairs, Pixels};

/// Three groups go by the kernel of AVX2: permutations of two registers of sixteen lanes took a fifth longer (Zen 4).
///
/// # Safety
/// As [`shuffle::pixels`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn pixels(p: &Pixels) {
    // SAFETY: the caller's promise is the same.
    unsafe { if p.groups == 3 && p.per_group >= 8 { three(p) } else { shuffle::pixels::<F32x16>(p) } }
}

/// # Safety
/// As [`shuffle::pairs`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn pairs(p: &Pairs) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pairs::<F32x16>(p) }
}
