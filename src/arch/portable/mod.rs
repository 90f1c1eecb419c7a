//! Four lanes by the `wide` crate.

use crate::isa::Isa;
use crate::kernel::ops::{Ops, ops};
use crate::kernel::{Algorithm, Kernel};
use crate::tensor::Layout::{self, Nchw, Nhwc};

mod depthwise_nhwc;
mod direct_nchw;
mod elementwise;
mod finish;
mod grouped_nhwc;
mod igemm_nchw;
mod igemm_nhwc;
mod pool;
mod shuffle;
mod vector;
mod winograd;

/// A row of this tier: name, operation, layout, tile, lanes, algorithm.
const fn row(
    name: &'static str,
    op: &'static str,
    layout: Layout,
    tile: &'static str,
    lanes: usize,
    algorithm: &'static dyn Algorithm,
) -> Kernel {
    Kernel { name, isa: Isa::Portable, op, layout, tile, lanes, tuning: None, algorithm, finish: finish::run }
}

/// The registry rows of this tier.
#[rustfmt::skip]
pub(crate) static KERNELS: &[Kernel] = &[
    row("igemm_f32_nhwc_r4c8_portable", "igemm", Nhwc, "4 pixels x 8 channels", 4, &igemm_nhwc::R4C8),
    row("dw_f32_nhwc_k3s1r1p8c4_portable", "dw", Nhwc, "1 row x 8 pixels x 4 channels", 4, &depthwise_nhwc::K3S1),
    row("dw_f32_nhwc_k3s2r1p8c4_portable", "dw", Nhwc, "1 row x 8 pixels x 4 channels", 4, &depthwise_nhwc::K3S2),
    row("dw_f32_nhwc_anyp8c4_portable", "dw", Nhwc, "8 pixels x 4 channels", 4, &depthwise_nhwc::ANY),
    row("igemm_f32_nchw_r4p8_portable", "igemm", Nchw, "4 channels x 8 pixels", 4, &igemm_nchw::R4V2),
    row("dw_f32_nchw_k3s1r4p4_portable", "dw", Nchw, "4 rows x 4 pixels", 4, &direct_nchw::K3S1),
    row("dw_f32_nchw_k3s2r2p4_portable", "dw", Nchw, "2 rows x 4 pixels", 4, &direct_nchw::K3S2),
    row("direct_f32_nchw_k3s1c4r2p4_portable", "direct", Nchw, "4 channels x 2 rows x 4 pixels", 4, &direct_nchw::GROUP_K3S1),
    row("direct_f32_nchw_anyc2r4p4_portable", "direct", Nchw, "2 channels x 4 rows x 4 pixels", 4, &direct_nchw::ANY),
    row("grouped_f32_nhwc_k3s1r1p8c4_portable", "grouped", Nhwc, "1 row x 8 pixels x 4 channels", 4, &grouped_nhwc::K3S1),
    row("grouped_f32_nhwc_anyp8c4_portable", "grouped", Nhwc, "8 pixels x 4 channels", 4, &grouped_nhwc::ANY),
    row("winograd_f32_nhwc_f2r4c8_portable", "winograd", Nhwc, "2 x 2 outputs, 4 tiles x 8 channels", 4, &winograd::F2_NHWC),
    row("winograd_f32_nhwc_f4r4c8_portable", "winograd", Nhwc, "4 x 4 outputs, 4 tiles x 8 channels", 4, &winograd::F4_NHWC),
    row("winograd_f32_nhwc_f6r4c8_portable", "winograd", Nhwc, "6 x 6 outputs, 4 tiles x 8 channels", 4, &winograd::F6_NHWC),
    row("winograd_f32_nchw_f2r4c8_portable", "winograd", Nchw, "2 x 2 outputs, 4 tiles x 8 channels", 4, &winograd::F2_NCHW),
    row("winograd_f32_nchw_f4r4c8_portable", "winograd", Nchw, "4 x 4 outputs, 4 tiles x 8 channels", 4, &winograd::F4_NCHW),
    row("winograd_f32_nchw_f6r4c8_portable", "winograd", Nchw, "6 x 6 outputs, 4 tiles x 8 channels", 4, &winograd::F6_NCHW),
];

/// What the blocks need beside convolution, on this tier.
pub(crate) static OPS: Ops = ops!();
