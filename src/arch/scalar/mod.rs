//! Plain Rust, one lane.

use crate::isa::Isa;
use crate::kernel::ops::{Ops, ops};
use crate::kernel::{Algorithm, Kernel};
use crate::tensor::Layout::{self, Nchw, Nhwc};

mod depthwise_nhwc;
mod direct_nchw;
mod elementwise;
mod finish;
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
    Kernel { name, isa: Isa::Scalar, op, layout, tile, lanes, tuning: None, algorithm, finish: finish::run }
}

/// The registry rows of this tier.
#[rustfmt::skip]
pub(crate) static KERNELS: &[Kernel] = &[
    row("igemm_f32_nhwc_r4c4_scalar", "igemm", Nhwc, "4 pixels x 4 channels", 1, &igemm_nhwc::R4C4),
    row("dw_f32_nhwc_anyp4c1_scalar", "dw", Nhwc, "4 pixels x 1 channels", 1, &depthwise_nhwc::ANY),
    row("igemm_f32_nchw_r4p4_scalar", "igemm", Nchw, "4 channels x 4 pixels", 1, &igemm_nchw::R4V4),
    row("direct_f32_nchw_anyc2r4p1_scalar", "direct", Nchw, "2 channels x 4 rows x 1 pixels", 1, &direct_nchw::ANY),
    row("winograd_f32_nhwc_f2r4c4_scalar", "winograd", Nhwc, "2 x 2 outputs, 4 tiles x 4 channels", 1, &winograd::F2_NHWC),
    row("winograd_f32_nhwc_f4r4c4_scalar", "winograd", Nhwc, "4 x 4 outputs, 4 tiles x 4 channels", 1, &winograd::F4_NHWC),
    row("winograd_f32_nhwc_f6r4c4_scalar", "winograd", Nhwc, "6 x 6 outputs, 4 tiles x 4 channels", 1, &winograd::F6_NHWC),
    row("winograd_f32_nchw_f2r4c4_scalar", "winograd", Nchw, "2 x 2 outputs, 4 tiles x 4 channels", 1, &winograd::F2_NCHW),
    row("winograd_f32_nchw_f4r4c4_scalar", "winograd", Nchw, "4 x 4 outputs, 4 tiles x 4 channels", 1, &winograd::F4_NCHW),
    row("winograd_f32_nchw_f6r4c4_scalar", "winograd", Nchw, "6 x 6 outputs, 4 tiles x 4 channels", 1, &winograd::F6_NCHW),
];

/// What the blocks need beside convolution, on this tier.
pub(crate) static OPS: Ops = ops!();
