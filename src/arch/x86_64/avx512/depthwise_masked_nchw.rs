//! Depthwise, NCHW, taps loaded by mask: see [`crate::kernel::depthwise_masked_nchw`].

use super::vector::F32x16;
use crate::kernel::depthwise_masked_nchw::{self, DepthwiseMasked, Micro, Planes};

/// # Safety
/// As [`depthwise_masked_nchw::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const K: usize, const R: usize, const NV: usize, const ONE: bool>(t: &Planes) {
    // SAFETY: the caller's promise is the same.
    unsafe { depthwise_masked_nchw::micro::<F32x16, K, R, NV, ONE>(t) }
}

/// For kernels of `K` rows: blocks of 4 to 8 rows x 32 pixels, x 16 on maps as narrow.
const fn rows<const K: usize>() -> DepthwiseMasked {
    let widths =
        const { &[(16, blocks::<K, 1, true>()), (32, blocks::<K, 2, true>()), (usize::MAX, blocks::<K, 2, false>())] };
    DepthwiseMasked { lanes: 16, k: K, widths }
}

/// Blocks of 4 to 8 rows of `NV` vectors.
#[rustfmt::skip]
const fn blocks<const K: usize, const NV: usize, const ONE: bool>() -> &'static [Micro] {
    const { &[micro::<K, 4, NV, ONE>, micro::<K, 5, NV, ONE>, micro::<K, 6, NV, ONE>, micro::<K, 7, NV, ONE>, micro::<K, 8, NV, ONE>] }
}

/// 3x3.
pub(super) static K3S1: DepthwiseMasked = rows::<3>();

/// Five rows.
pub(super) static K5S1: DepthwiseMasked = rows::<5>();

/// Seven rows.
pub(super) static K7S1: DepthwiseMasked = rows::<7>();
