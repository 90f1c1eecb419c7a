//! Plain Rust, one lane.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::tensor::Layout;

mod finish;
mod igemm_nhwc;
mod vector;

/// The registry rows of this tier.
pub(crate) static KERNELS: &[Kernel] = &[Kernel {
    name: "igemm_f32_nhwc_r4c4_scalar",
    isa: Isa::Scalar,
    op: "igemm",
    layout: Layout::Nhwc,
    tile: "4 pixels x 4 channels",
    lanes: 1,
    algorithm: &igemm_nhwc::R4C4,
    finish: finish::run,
}];
