//! Four lanes by the `wide` crate.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::tensor::Layout;

mod finish;
mod igemm_nhwc;
mod vector;

/// The registry rows of this tier.
pub(crate) static KERNELS: &[Kernel] = &[Kernel {
    name: "igemm_f32_nhwc_r4c8_portable",
    isa: Isa::Portable,
    op: "igemm",
    layout: Layout::Nhwc,
    tile: "4 pixels x 8 channels",
    lanes: 4,
    algorithm: &igemm_nhwc::R4C8,
    finish: finish::run,
}];
