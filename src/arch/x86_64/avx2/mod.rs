//! AVX2 and FMA: eight lanes, 16 registers.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::tensor::Layout;

mod finish;
mod igemm_nhwc;
mod vector;

pub(super) use vector::F32x8;

/// The registry rows of this tier.
pub(crate) static KERNELS: &[Kernel] = &[
    Kernel {
        name: "igemm_f32_nhwc_r6c16_avx2",
        isa: Isa::Avx2,
        op: "igemm",
        layout: Layout::Nhwc,
        tile: "6 pixels x 16 channels",
        lanes: 8,
        algorithm: &igemm_nhwc::R6C16,
        finish: finish::run,
    },
    Kernel {
        name: "igemm_f32_nhwc_r4c24_avx2",
        isa: Isa::Avx2,
        op: "igemm",
        layout: Layout::Nhwc,
        tile: "4 pixels x 24 channels",
        lanes: 8,
        algorithm: &igemm_nhwc::R4C24,
        finish: finish::run,
    },
];
