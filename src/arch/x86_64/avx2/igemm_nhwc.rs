//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].

use super::vector::F32x8;
use crate::arch::micros;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Tile};

/// # Safety
/// As [`igemm_nhwc::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<F32x8, MR, NV>(t) }
}

/// 6 pixels x 16 channels.
pub(super) static R6C16: IgemmNhwc = IgemmNhwc {
    lanes: 8,
    micros: &[micros!(micro; 1; 1 2 3 4 5 6), micros!(micro; 2; 1 2 3 4 5 6)],
    narrow: &[],
    shares: false,
    width: 1.0,
    skips: true,
};

/// 4 pixels x 24 channels: all 16 registers, three of them for weights and one for the scalar.
pub(super) static R4C24: IgemmNhwc = IgemmNhwc {
    micros: &[micros!(micro; 1; 1 2 3 4), micros!(micro; 2; 1 2 3 4), micros!(micro; 3; 1 2 3 4)],
    ..R6C16
};

/// 2 pixels x 40 channels: 10 accumulators, 0.7 loads per multiply-add. Groups of 40 channels have no narrower last panel: on
/// 28 x 28 pixels and more 3 to 10 % less time than 6 pixels x 16 channels, and 93 % of peak for 120 to 40 channels (Zen 3,
/// 2026-11-27); with several taps up to 10 % more. A single pixel, a fully connected layer, has five accumulators instead of
/// three: 5 to 9 % less time than a panel of 24 channels for 1024 to 1000.
pub(super) static R2C40: IgemmNhwc = IgemmNhwc {
    micros: &[
        micros!(micro; 1; 1 2),
        micros!(micro; 2; 1 2),
        micros!(micro; 3; 1 2),
        micros!(micro; 4; 1 2),
        micros!(micro; 5; 1 2),
    ],
    width: 1.02,
    skips: false,
    ..R6C16
};
