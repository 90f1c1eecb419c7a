//! AVX2 and FMA: eight lanes, 16 registers.

use crate::isa::Isa;
use crate::kernel::ops::{Ops, ops};
use crate::kernel::{Algorithm, Kernel};
use crate::tensor::Layout::{self, Nchw, Nhwc};

mod depthwise_carry_nhwc;
mod depthwise_nhwc;
mod depthwise_padded_nchw;
mod depthwise_strip_nchw;
mod direct_nchw;
mod direct_nhwc;
mod elementwise;
mod finish;
mod gemv;
mod grouped_nhwc;
mod igemm_few_pixels_nchw;
mod igemm_nchw;
mod igemm_nhwc;
mod igemm_rows_nchw;
mod pool;
pub(super) mod shuffle;
mod transposed_nchw;
pub(super) mod vector;
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
    Kernel { name, isa: Isa::Avx2, op, layout, tile, lanes, tuning: None, algorithm, finish: finish::run }
}

/// The registry rows of this tier.
#[rustfmt::skip]
pub(crate) static KERNELS: &[Kernel] = &[
    row("igemm_f32_nhwc_r6c16_avx2", "igemm", Nhwc, "6 pixels x 16 channels", 8, &igemm_nhwc::R6C16),
    row("igemm_f32_nhwc_r4c24_avx2", "igemm", Nhwc, "4 pixels x 24 channels", 8, &igemm_nhwc::R4C24),
    row("igemm_f32_nhwc_r2c40_avx2", "igemm", Nhwc, "2 pixels x 40 channels", 8, &igemm_nhwc::R2C40),
    row("direct_f32_nhwc_i3s1r6c16_avx2", "direct", Nhwc, "6 pixels x 16 channels", 8, &direct_nhwc::C3S1),
    row("direct_f32_nhwc_i3s2r6c16_avx2", "direct", Nhwc, "6 pixels x 16 channels", 8, &direct_nhwc::C3S2),
    row("direct_f32_nhwc_i3s4r6c16_avx2", "direct", Nhwc, "6 pixels x 16 channels", 8, &direct_nhwc::C3S4),
    row("direct_f32_nhwc_i3s1r3c24_avx2", "direct", Nhwc, "3 pixels x 24 channels", 8, &direct_nhwc::C3S1W),
    row("direct_f32_nhwc_i3s2r3c24_avx2", "direct", Nhwc, "3 pixels x 24 channels", 8, &direct_nhwc::C3S2W),
    row("direct_f32_nhwc_i3s4r3c24_avx2", "direct", Nhwc, "3 pixels x 24 channels", 8, &direct_nhwc::C3S4W),
    row("gemv_f32_nhwc_c32_avx2", "gemv", Nhwc, "32 channels", 8, &gemv::NHWC),
    row("dw_f32_nhwc_k3s1r2p4c8_avx2", "dw", Nhwc, "2 rows x 4 pixels x 8 channels", 8, &depthwise_nhwc::K3S1),
    row("dw_f32_nhwc_k5s1r1p8c8_avx2", "dw", Nhwc, "1 row x 8 pixels x 8 channels", 8, &depthwise_nhwc::K5S1),
    row("dw_f32_nhwc_k5s2r1p8c8_avx2", "dw", Nhwc, "1 row x 8 pixels x 8 channels", 8, &depthwise_nhwc::K5S2),
    row("dwcarry_f32_nhwc_k3s1p5c8_avx2", "dwcarry", Nhwc, "rows of 5 pixels x 8 channels", 8, &depthwise_carry_nhwc::K3S1),
    row("dwcarry_f32_nhwc_k3s2p4c8_avx2", "dwcarry", Nhwc, "rows of 4 pixels x 8 channels", 8, &depthwise_carry_nhwc::K3S2),
    row("dwcarry_f32_nhwc_k5s1p4c8_avx2", "dwcarry", Nhwc, "rows of 4 pixels x 8 channels", 8, &depthwise_carry_nhwc::K5S1),
    row("dwcarry_f32_nhwc_k5s2p4c8_avx2", "dwcarry", Nhwc, "rows of 4 pixels x 8 channels", 8, &depthwise_carry_nhwc::K5S2),
    row("dwcarry_f32_nhwc_k7s1p4c8_avx2", "dwcarry", Nhwc, "rows of 4 pixels x 8 channels", 8, &depthwise_carry_nhwc::K7S1),
    row("dw_f32_nhwc_anyr2p4c8_avx2", "dw", Nhwc, "2 rows x 4 pixels x 8 channels", 8, &depthwise_nhwc::ANY),
    row("igemm_f32_nchw_r6p16_avx2", "igemm", Nchw, "6 channels x 16 pixels", 8, &igemm_nchw::R6V2),
    row("rows_f32_nchw_r4p24_avx2", "rows", Nchw, "4 channels x 24 pixels", 8, &igemm_rows_nchw::R4V3),
    row("rows_f32_nchw_r6p16_avx2", "rows", Nchw, "6 channels x 16 pixels", 8, &igemm_rows_nchw::R6V2),
    row("gemv_f32_nchw_c32_avx2", "gemv", Nchw, "32 channels", 8, &gemv::NCHW),
    row("fewpixels_f32_nchw_r2c40_avx2", "fewpixels", Nchw, "2 pixels x 40 channels", 8, &igemm_few_pixels_nchw::R2C40),
    row("dwstrip_f32_nchw_k3s1p8_avx2", "dwstrip", Nchw, "strip of 8 pixels", 8, &depthwise_strip_nchw::K3S1),
    row("dwstrip_f32_nchw_k3s2p8_avx2", "dwstrip", Nchw, "strip of 8 pixels", 8, &depthwise_strip_nchw::K3S2),
    row("dwpadded_f32_nchw_k3s1r6p16_avx2", "dwpadded", Nchw, "4 to 6 rows x 16 pixels, 4 to 8 x 8", 8, &depthwise_padded_nchw::K3S1),
    row("dwpadded_f32_nchw_k3s2r5p16_avx2", "dwpadded", Nchw, "4 or 5 rows x 16 pixels, 4 to 8 x 8", 8, &depthwise_padded_nchw::K3S2),
    row("dwpadded_f32_nchw_k5s1r5p16_avx2", "dwpadded", Nchw, "4 or 5 rows x 16 pixels, 4 to 8 x 8", 8, &depthwise_padded_nchw::K5S1),
    row("dwpadded_f32_nchw_k5s2r5p16_avx2", "dwpadded", Nchw, "4 or 5 rows x 16 pixels, 4 to 8 x 8", 8, &depthwise_padded_nchw::K5S2),
    row("dwpadded_f32_nchw_k7s1r8p8_avx2", "dwpadded", Nchw, "4 to 8 rows x 8 pixels", 8, &depthwise_padded_nchw::K7S1),
    row("transposed_f32_nchw_r6c16_avx2", "transposed", Nchw, "6 pixels x 16 channels", 8, &transposed_nchw::R6C16),
    row("transposed_f32_nchw_r4c24_avx2", "transposed", Nchw, "4 pixels x 24 channels", 8, &transposed_nchw::R4C24),
    row("transposed_f32_nchw_k3s1r1p10g8_avx2", "transposed", Nchw, "1 row x 10 pixels x a group of 8 channels", 8, &transposed_nchw::G8_K3S1),
    row("transposed_f32_nchw_k3s2r1p8g8_avx2", "transposed", Nchw, "1 row x 8 pixels x a group of 8 channels", 8, &transposed_nchw::G8_K3S2),
    row("transposed_f32_nchw_k3s1r2p4c8_avx2", "transposed", Nchw, "2 rows x 4 pixels x 8 channels", 8, &transposed_nchw::K3S1),
    row("transposed_f32_nchw_k3s2p4c8_avx2", "transposed", Nchw, "rows of 4 pixels x 8 channels", 8, &transposed_nchw::K3S2),
    row("transposed_f32_nchw_k5s1r1p8c8_avx2", "transposed", Nchw, "1 row x 8 pixels x 8 channels", 8, &transposed_nchw::K5S1),
    row("transposed_f32_nchw_k5s2r1p8c8_avx2", "transposed", Nchw, "1 row x 8 pixels x 8 channels", 8, &transposed_nchw::K5S2),
    row("transposed_f32_nchw_anyr2p4c8_avx2", "transposed", Nchw, "2 rows x 4 pixels x 8 channels", 8, &transposed_nchw::ANY),
    row("direct_f32_nchw_k3s1c4r1p16_avx2", "direct", Nchw, "4 channels x 1 row x 16 pixels", 8, &direct_nchw::GROUP_K3S1),
    row("direct_f32_nchw_k3s2c4r1p16_avx2", "direct", Nchw, "4 channels x 1 row x 16 pixels", 8, &direct_nchw::GROUP_K3S2),
    row("direct_f32_nchw_anyc2r4p8_avx2", "direct", Nchw, "2 channels x 4 rows x 8 pixels", 8, &direct_nchw::ANY),
    row("grouped_f32_nhwc_k3s1r1p8c8_avx2", "grouped", Nhwc, "1 row x 8 pixels x 8 channels", 8, &grouped_nhwc::K3S1),
    row("grouped_f32_nhwc_k3s2r1p8c8_avx2", "grouped", Nhwc, "1 row x 8 pixels x 8 channels", 8, &grouped_nhwc::K3S2),
    row("grouped_f32_nhwc_k3s1r1p10g8_avx2", "grouped", Nhwc, "1 row x 10 pixels x a group of 8 channels", 8, &grouped_nhwc::WHOLE_K3S1),
    row("grouped_f32_nhwc_k3s2r1p8g8_avx2", "grouped", Nhwc, "1 row x 8 pixels x a group of 8 channels", 8, &grouped_nhwc::WHOLE_K3S2),
    row("grouped_f32_nhwc_anyp8c8_avx2", "grouped", Nhwc, "8 pixels x 8 channels", 8, &grouped_nhwc::ANY),
    row("winograd_f32_nhwc_f2r6c16_avx2", "winograd", Nhwc, "2 x 2 outputs, 6 tiles x 16 channels", 8, &winograd::F2_NHWC),
    row("winograd_f32_nhwc_f4r6c16_avx2", "winograd", Nhwc, "4 x 4 outputs, 6 tiles x 16 channels", 8, &winograd::F4_NHWC),
    row("winograd_f32_nhwc_f6r6c16_avx2", "winograd", Nhwc, "6 x 6 outputs, 6 tiles x 16 channels", 8, &winograd::F6_NHWC),
    row("winograd_f32_nchw_f2r6c16_avx2", "winograd", Nchw, "2 x 2 outputs, 6 tiles x 16 channels", 8, &winograd::F2_NCHW),
    row("winograd_f32_nchw_f4r6c16_avx2", "winograd", Nchw, "4 x 4 outputs, 6 tiles x 16 channels", 8, &winograd::F4_NCHW),
    row("winograd_f32_nchw_f6r6c16_avx2", "winograd", Nchw, "6 x 6 outputs, 6 tiles x 16 channels", 8, &winograd::F6_NCHW),
];

/// What the blocks need beside convolution, on this tier.
pub(crate) static OPS: Ops = ops!();
