//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].

use super::vector::F32x1;
use crate::arch::micros;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Tile};

/// # Safety
/// As [`igemm_nhwc::micro`].
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<F32x1, MR, NV>(t) }
}

/// 4 pixels x 4 channels.
pub(super) static R4C4: IgemmNhwc = IgemmNhwc {
    lanes: 1,
    micros: &[
        micros!(micro; 1; 1 2 3 4),
        micros!(micro; 2; 1 2 3 4),
        micros!(micro; 3; 1 2 3 4),
        micros!(micro; 4; 1 2 3 4),
    ],
    narrow: &[],
    shares: false,
    width: 1.0,
    skips: true,
};
