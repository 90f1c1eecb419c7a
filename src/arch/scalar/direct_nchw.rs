//! Direct, NCHW: see [`crate::kernel::direct_nchw`].

use super::vector::F32x1;
use crate::kernel::direct_nchw::{DirectNchw, Tile};
use crate::kernel::staged_nchw;

/// # Safety
/// As [`staged_nchw::any`].
unsafe fn any<const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { staged_nchw::any::<F32x1, MR, R, NV>(t) }
}

/// Any kernel: 2 channels x 4 rows x 1 pixels.
pub(super) static ANY: DirectNchw = DirectNchw {
    lanes: 1,
    k: 0,
    stride: 0,
    rows: 4,
    micros: &[(2, any::<2, 4, 1>), (1, any::<1, 4, 2>)],
    cost: 2.0,
    ..DirectNchw::COMMON
};
