//! Fully connected: see [`crate::kernel::gemv`].

use super::vector::F32x8;
use crate::kernel::gemv::{self, Gemv, Micro, Panels};
use crate::tensor::Layout;

/// # Safety
/// As [`gemv::micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const NV: usize, const S: usize>(t: &Panels) {
    // SAFETY: the caller's promise is the same.
    unsafe { gemv::micro::<F32x8, NV, S>(t) }
}

const MICROS: [Micro; 4] = [micro::<1, 8>, micro::<2, 4>, micro::<3, 2>, micro::<4, 2>];

/// 32 outputs.
pub(super) static NHWC: Gemv = Gemv { lanes: 8, layout: Layout::Nhwc, micros: MICROS };

/// The same.
pub(super) static NCHW: Gemv = Gemv { layout: Layout::Nchw, ..NHWC };
