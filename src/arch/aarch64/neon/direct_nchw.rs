//! Direct, NCHW: see [`crate::kernel::direct_nchw`].

use super::staged_nchw as staged;
use super::vector::F32x4;
use crate::kernel::direct_nchw::{self, DirectNchw, Tile};
use crate::kernel::staged_nchw;

/// # Safety
/// As [`direct_nchw::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nchw::micro::<F32x4, K, S, MR, R, NV>(t) }
}

/// # Safety
/// As [`staged_nchw::any`].
#[target_feature(enable = "neon")]
unsafe fn any<const MR: usize, const NV: usize>(t: &Tile) {
    // A block has more rows than there are registers for sums.
    const ROWS: usize = 4;
    for r in (0..t.count).step_by(ROWS) {
        let (out, staged) = (t.out.wrapping_add(r * t.out_row), t.staged.wrapping_add(r * t.stage_row));
        // SAFETY: the caller's promise is the same, for rows of this block.
        unsafe {
            staged_nchw::any::<F32x4, MR, ROWS, NV>(&Tile { out, staged, count: ROWS.min(t.count - r), ..*t });
        }
    }
}

/// Groups of few channels, 3x3, stride 1: 4 channels x 2 rows x 8 pixels.
pub(super) static GROUP_K3S1: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 1,
    rows: 2,
    micros: &[(4, micro::<3, 1, 4, 2, 2>), (2, micro::<3, 1, 2, 2, 2>), (1, micro::<3, 1, 1, 2, 2>)],
    cost: 3.0,
    ..DirectNchw::COMMON
};

/// Groups of few channels, 3x3, stride 2: 4 channels x 1 row x 8 pixels.
pub(super) static GROUP_K3S2: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 2,
    rows: 1,
    micros: &[(4, micro::<3, 2, 4, 1, 2>), (2, micro::<3, 2, 2, 1, 2>), (1, micro::<3, 2, 1, 1, 2>)],
    cost: 2.4,
    ..DirectNchw::COMMON
};

/// Any kernel: 4 channels x 28 pixels.
pub(super) static ANY: DirectNchw = DirectNchw {
    lanes: 4,
    k: 0,
    stride: 0,
    rows: 16,
    micros: &[(4, staged::four), (2, any::<2, 2>), (1, any::<1, 2>)],
    copy: staged::copy,
    cost: 1.1,
    rest: 2.0 / 1.1,
    single: 1.0,
    many: 256,
};
