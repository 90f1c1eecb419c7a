//! NEON: four lanes, 32 registers.

use crate::isa::{Isa, Tuning};
use crate::kernel::ops::{Ops, ops};
use crate::kernel::{Algorithm, Kernel};
use crate::tensor::Layout::{self, Nchw, Nhwc};

mod depthwise_columns;
mod depthwise_nhwc;
mod depthwise_planes;
mod depthwise_planes5;
mod depthwise_slide;
mod direct_nchw;
mod direct_nhwc;
mod elementwise;
mod finish;
mod grouped_nhwc;
mod igemm_few_pixels_nchw;
mod igemm_nchw;
mod igemm_nhwc;
mod lanes_nhwc;
mod pool;
mod shuffle;
mod staged_nchw;
mod vector;
mod winograd;
mod winograd_tile;

/// A row of this tier: name, operation, layout, tile, lanes, algorithm.
const fn row(
    name: &'static str,
    op: &'static str,
    layout: Layout,
    tile: &'static str,
    lanes: usize,
    algorithm: &'static dyn Algorithm,
) -> Kernel {
    Kernel { name, isa: Isa::Neon, op, layout, tile, lanes, tuning: None, algorithm, finish: finish::run }
}

/// The row, as one for in-order cores.
const fn in_order(row: Kernel) -> Kernel {
    Kernel { tuning: Some(Tuning::InOrder), ..row }
}

/// The registry rows of this tier.
#[rustfmt::skip]
pub(crate) static KERNELS: &[Kernel] = &[
    row("igemm_f32_nhwc_r5c16_neon", "igemm", Nhwc, "5 pixels x 16 channels", 4, &igemm_nhwc::R5C16),
    in_order(row("igemm_f32_nhwc_r5c16inorder_neon", "igemm", Nhwc, "5 pixels x 16 channels, in order", 4, &igemm_nhwc::R5C16_IN_ORDER)),
    row("igemm_f32_nhwc_r4c20_neon", "igemm", Nhwc, "4 pixels x 20 channels", 4, &igemm_nhwc::R4C20),
    row("direct_f32_nhwc_i3s1r8c8_neon", "direct", Nhwc, "8 pixels x 8 channels", 4, &direct_nhwc::C3S1),
    row("direct_f32_nhwc_i3s2r8c8_neon", "direct", Nhwc, "8 pixels x 8 channels", 4, &direct_nhwc::C3S2),
    row("dw_f32_nhwc_k3s1r2p56c8_neon", "dw", Nhwc, "2 rows x 56 pixels x 8 channels", 8, &depthwise_slide::K3S1),
    in_order(row("dw_f32_nhwc_k3s1r2p56c8inorder_neon", "dw", Nhwc, "2 rows x 56 pixels x 8 channels, in order", 8, &depthwise_slide::K3S1_IN_ORDER)),
    row("dw_f32_nhwc_k3s2r2p56c8_neon", "dw", Nhwc, "2 rows x 56 pixels x 8 channels", 8, &depthwise_slide::K3S2),
    in_order(row("dw_f32_nhwc_k3s2r2p56c8inorder_neon", "dw", Nhwc, "2 rows x 56 pixels x 8 channels, in order", 8, &depthwise_slide::K3S2_IN_ORDER)),
    row("dw_f32_nhwc_k5s1r1p8c8_neon", "dw", Nhwc, "1 row x 8 pixels x 8 channels", 8, &depthwise_columns::K5S1),
    in_order(row("dw_f32_nhwc_k5s1r1p8c8inorder_neon", "dw", Nhwc, "1 row x 8 pixels x 8 channels, in order", 8, &depthwise_columns::K5S1_IN_ORDER)),
    row("dw_f32_nhwc_k5s2r1p8c8_neon", "dw", Nhwc, "1 row x 8 pixels x 8 channels", 8, &depthwise_columns::K5S2),
    in_order(row("dw_f32_nhwc_k5s2r1p8c8inorder_neon", "dw", Nhwc, "1 row x 8 pixels x 8 channels, in order", 8, &depthwise_columns::K5S2_IN_ORDER)),
    row("dw_f32_nhwc_k7s1r1p8c4_neon", "dw", Nhwc, "1 row x 8 pixels x 4 channels", 4, &depthwise_nhwc::K7S1),
    row("dw_f32_nhwc_anyr2p8c4_neon", "dw", Nhwc, "2 rows x 8 pixels x 4 channels", 4, &depthwise_nhwc::ANY),
    row("igemm_f32_nchw_r8p12_neon", "igemm", Nchw, "8 channels x 12 pixels", 4, &igemm_nchw::R8V3),
    row("fewpixels_f32_nchw_r5c16_neon", "fewpixels", Nchw, "5 pixels x 16 channels", 4, &igemm_few_pixels_nchw::R5C16),
    row("dw_f32_nchw_k3s1p28_neon", "dw", Nchw, "28 pixels, all rows", 4, &depthwise_planes::K3S1),
    row("dw_f32_nchw_k3s2p28_neon", "dw", Nchw, "28 pixels, all rows", 4, &depthwise_planes::K3S2),
    row("dw_f32_nchw_k5s1p16_neon", "dw", Nchw, "16 pixels, all rows", 4, &depthwise_planes5::K5S1),
    row("dw_f32_nchw_k5s2p20_neon", "dw", Nchw, "20 pixels, all rows", 4, &depthwise_planes5::K5S2),
    row("direct_f32_nchw_k3s1c4r2p8_neon", "direct", Nchw, "4 channels x 2 rows x 8 pixels", 4, &direct_nchw::GROUP_K3S1),
    row("direct_f32_nchw_k3s2c4r1p8_neon", "direct", Nchw, "4 channels x 1 row x 8 pixels", 4, &direct_nchw::GROUP_K3S2),
    row("direct_f32_nchw_anyc4p28_neon", "direct", Nchw, "4 channels x 28 pixels", 4, &direct_nchw::ANY),
    row("lanes_f32_nhwc_k3s1p14c4_neon", "lanes", Nhwc, "14 pixels x 4 channels", 4, &lanes_nhwc::K3S1),
    row("lanes_f32_nhwc_k3s2p14c4_neon", "lanes", Nhwc, "14 pixels x 4 channels", 4, &lanes_nhwc::K3S2),
    row("grouped_f32_nhwc_k3s1r2p8c4_neon", "grouped", Nhwc, "2 rows x 8 pixels x 4 channels", 4, &grouped_nhwc::K3S1),
    row("grouped_f32_nhwc_k3s2r1p8c4_neon", "grouped", Nhwc, "1 row x 8 pixels x 4 channels", 4, &grouped_nhwc::K3S2),
    row("grouped_f32_nhwc_anyp8c4_neon", "grouped", Nhwc, "8 pixels x 4 channels", 4, &grouped_nhwc::ANY),
    row("winograd_f32_nhwc_f2r5c16_neon", "winograd", Nhwc, "2 x 2 outputs, 5 tiles x 16 channels", 4, &winograd::F2_NHWC),
    row("winograd_f32_nhwc_f4r5c16_neon", "winograd", Nhwc, "4 x 4 outputs, 5 tiles x 16 channels", 4, &winograd::F4_NHWC),
    row("winograd_f32_nhwc_f6r5c16_neon", "winograd", Nhwc, "6 x 6 outputs, 5 tiles x 16 channels", 4, &winograd::F6_NHWC),
    row("winograd_f32_nchw_f2r5c16_neon", "winograd", Nchw, "2 x 2 outputs, 5 tiles x 16 channels", 4, &winograd::F2_NCHW),
    row("winograd_f32_nchw_f4r5c16_neon", "winograd", Nchw, "4 x 4 outputs, 5 tiles x 16 channels", 4, &winograd::F4_NCHW),
    row("winograd_f32_nchw_f6r5c16_neon", "winograd", Nchw, "6 x 6 outputs, 5 tiles x 16 channels", 4, &winograd::F6_NCHW),
];

/// What the blocks need beside convolution, on this tier.
pub(crate) static OPS: Ops = ops!();
