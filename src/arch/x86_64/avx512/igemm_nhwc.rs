//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].

use super::half::Half;
use super::igemm_shared_nhwc;
use super::vector::F32x16;
use crate::arch::micros;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Narrow, Tile};

/// # Safety
/// As [`igemm_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<F32x16, MR, NV>(t) }
}

/// Half vectors, with the registers of AVX-512VL.
///
/// # Safety
/// As [`igemm_nhwc::micro`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn half<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<Half, MR, NV>(t) }
}

/// Last panels of up to half a vector.
static HALF: &[Narrow] =
    &[Narrow { channels: 1..=8, cost: 0.8, micros: micros!(half; 1; 1 2 3 4 5 6 7 8 9 10 11 12 13 14) }];

/// Last panels whose pixels share vectors.
static SHARED: &[Narrow] = &[
    Narrow { channels: 1..=4, cost: 0.4, micros: &igemm_shared_nhwc::FOUR },
    Narrow { channels: 5..=8, cost: 0.56, micros: &igemm_shared_nhwc::EIGHT },
    Narrow { channels: 9..=16, cost: 1.05, micros: &igemm_shared_nhwc::SIXTEEN },
    Narrow { channels: 17..=20, cost: 1.4, micros: &igemm_shared_nhwc::TWENTY },
    Narrow { channels: 21..=24, cost: 1.56, micros: &igemm_shared_nhwc::TWENTY_FOUR },
];

/// 14 pixels x 32 channels.
pub(super) static R14C32: IgemmNhwc = IgemmNhwc {
    lanes: 16,
    micros: &[micros!(micro; 1; 1 2 3 4 5 6 7 8 9 10 11 12 13 14), micros!(micro; 2; 1 2 3 4 5 6 7 8 9 10 11 12 13 14)],
    narrow: HALF,
    shares: false,
    width: 1.0,
    skips: true,
};

/// The same, for channel counts that leave a panel of up to 24.
pub(super) static R14C32_SHARED: IgemmNhwc = IgemmNhwc { narrow: SHARED, shares: true, ..R14C32 };

/// 8 pixels x 48 channels: counts like 48 and 80 leave no panel of one vector, and more of a single pixel's sums run side by side.
pub(super) static R8C48: IgemmNhwc = IgemmNhwc {
    micros: &[
        micros!(micro; 1; 1 2 3 4 5 6 7 8),
        micros!(micro; 2; 1 2 3 4 5 6 7 8),
        micros!(micro; 3; 1 2 3 4 5 6 7 8),
    ],
    ..R14C32
};

/// 8 pixels x 24 channels in half vectors, for channel counts that would leave many lanes of full ones empty.
pub(super) static R8C24: IgemmNhwc = IgemmNhwc {
    lanes: 8,
    micros: &[micros!(half; 1; 1 2 3 4 5 6 7 8), micros!(half; 2; 1 2 3 4 5 6 7 8), micros!(half; 3; 1 2 3 4 5 6 7 8)],
    narrow: &[],
    shares: false,
    // Between a half (cores that split 512-bit operations in two) and one.
    width: 0.55,
    skips: true,
};

/// 5 pixels x 40 channels in half vectors, for the same where 24 leave a narrow rest.
pub(super) static R5C40: IgemmNhwc = IgemmNhwc {
    micros: &[
        micros!(half; 1; 1 2 3 4 5),
        micros!(half; 2; 1 2 3 4 5),
        micros!(half; 3; 1 2 3 4 5),
        micros!(half; 4; 1 2 3 4 5),
        micros!(half; 5; 1 2 3 4 5),
    ],
    ..R8C24
};
