//! NEON: four lanes, 32 registers.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::tensor::Layout;

mod finish;
mod igemm_nhwc;
mod vector;

/// The registry rows of this tier.
pub(crate) static KERNELS: &[Kernel] = &[Kernel {
    name: "igemm_f32_nhwc_r6c16_neon",
    isa: Isa::Neon,
    op: "igemm",
    layout: Layout::Nhwc,
    tile: "6 pixels x 16 channels",
    lanes: 4,
    algorithm: &igemm_nhwc::R6C16,
    finish: finish::run,
}];
