//! AVX-512F and AVX-512VL: sixteen lanes, 32 registers.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::tensor::Layout;

mod finish;
mod igemm_nhwc;
mod vector;

/// The registry rows of this tier.
pub(crate) static KERNELS: &[Kernel] = &[
    Kernel {
        name: "igemm_f32_nhwc_r14c32_avx512",
        isa: Isa::Avx512,
        op: "igemm",
        layout: Layout::Nhwc,
        tile: "14 pixels x 32 channels",
        lanes: 16,
        algorithm: &igemm_nhwc::R14C32,
        finish: finish::run,
    },
    Kernel {
        name: "igemm_f32_nhwc_r7c64_avx512",
        isa: Isa::Avx512,
        op: "igemm",
        layout: Layout::Nhwc,
        tile: "7 pixels x 64 channels",
        lanes: 16,
        algorithm: &igemm_nhwc::R7C64,
        finish: finish::run,
    },
    Kernel {
        name: "igemm_f32_nhwc_r8c24_avx512",
        isa: Isa::Avx512,
        op: "igemm",
        layout: Layout::Nhwc,
        tile: "8 pixels x 24 channels",
        lanes: 8,
        algorithm: &igemm_nhwc::R8C24,
        finish: finish::run,
    },
];
