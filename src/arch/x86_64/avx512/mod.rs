//! AVX-512F and AVX-512VL: sixteen lanes, 32 registers.

use crate::isa::Isa;
use crate::kernel::ops::{Ops, ops};
use crate::kernel::{Algorithm, Kernel};
use crate::tensor::Layout::{self, Nchw, Nhwc};

mod depthwise_carry_nhwc;
mod depthwise_masked_nchw;
mod depthwise_nchw;
mod depthwise_nhwc;
mod depthwise_padded_nchw;
mod depthwise_pairs_nchw;
mod depthwise_strip_nhwc;
mod direct_nchw;
mod direct_nhwc;
mod elementwise;
mod finish;
mod gemv;
mod grouped_nhwc;
mod half;
mod igemm_few_pixels_nchw;
mod igemm_nchw;
mod igemm_nhwc;
mod igemm_rows_nchw;
mod igemm_shared_nhwc;
mod pool;
mod shuffle;
mod transposed_nchw;
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
    Kernel { name, isa: Isa::Avx512, op, layout, tile, lanes, tuning: None, algorithm, finish: finish::run }
}

/// The registry rows of this tier.
#[rustfmt::skip]
pub(crate) static KERNELS: &[Kernel] = &[
    row("igemm_f32_nhwc_r14c32_avx512", "igemm", Nhwc, "14 pixels x 32 channels", 16, &igemm_nhwc::R14C32),
    row("igemm_f32_nhwc_r8c48_avx512", "igemm", Nhwc, "8 pixels x 48 channels", 16, &igemm_nhwc::R8C48),
    row("shared_f32_nhwc_r14c32_avx512", "shared", Nhwc, "14 pixels x 32 channels", 16, &igemm_nhwc::R14C32_SHARED),
    row("igemm_f32_nhwc_r8c24_avx512", "igemm", Nhwc, "8 pixels x 24 channels", 8, &igemm_nhwc::R8C24),
    row("igemm_f32_nhwc_r5c40_avx512", "igemm", Nhwc, "5 pixels x 40 channels", 8, &igemm_nhwc::R5C40),
    row("direct_f32_nhwc_i3s1r8c32_avx512", "direct", Nhwc, "8 pixels x 32 channels", 16, &direct_nhwc::C3S1),
    row("direct_f32_nhwc_i3s2r8c32_avx512", "direct", Nhwc, "8 pixels x 32 channels", 16, &direct_nhwc::C3S2),
    row("direct_f32_nhwc_i3s4r8c32_avx512", "direct", Nhwc, "8 pixels x 32 channels", 16, &direct_nhwc::C3S4),
    row("direct_f32_nhwc_i3s1r8c24_avx512", "direct", Nhwc, "8 pixels x 24 channels", 8, &direct_nhwc::C3S1H),
    row("direct_f32_nhwc_i3s2r8c24_avx512", "direct", Nhwc, "8 pixels x 24 channels", 8, &direct_nhwc::C3S2H),
    row("direct_f32_nhwc_i3s4r8c24_avx512", "direct", Nhwc, "8 pixels x 24 channels", 8, &direct_nhwc::C3S4H),
    row("gemv_f32_nhwc_c64_avx512", "gemv", Nhwc, "64 channels", 16, &gemv::NHWC),
    row("dw_f32_nhwc_k3s1r2p8c16_avx512", "dw", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &depthwise_nhwc::K3S1),
    row("dw_f32_nhwc_k3s2r2p8c16_avx512", "dw", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &depthwise_nhwc::K3S2),
    row("dw_f32_nhwc_k5s1r2p8c16_avx512", "dw", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &depthwise_nhwc::K5S1),
    row("dw_f32_nhwc_k5s2r2p8c16_avx512", "dw", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &depthwise_nhwc::K5S2),
    row("dw_f32_nhwc_anyr2p8c16_avx512", "dw", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &depthwise_nhwc::ANY),
    row("dwstrip_f32_nhwc_k3s1p7c16_avx512", "dwstrip", Nhwc, "strip of 7 pixels x 16 channels", 16, &depthwise_strip_nhwc::K3S1),
    row("dwstrip_f32_nhwc_k3s2p4c32_avx512", "dwstrip", Nhwc, "strip of 4 pixels x 32 channels", 16, &depthwise_strip_nhwc::K3S2),
    row("dwstrip_f32_nhwc_k5s2p4c16_avx512", "dwstrip", Nhwc, "strip of 4 pixels x 16 channels", 16, &depthwise_strip_nhwc::K5S2),
    row("dwcarry_f32_nhwc_k3s2p4c16_avx512", "dwcarry", Nhwc, "rows of 4 pixels x 16 channels", 16, &depthwise_carry_nhwc::K3S2),
    row("dwcarry_f32_nhwc_k5s2p7c16_avx512", "dwcarry", Nhwc, "rows of 7 pixels x 16 channels", 16, &depthwise_carry_nhwc::K5S2),
    row("dwcarry_f32_nhwc_k7s1p4c16_avx512", "dwcarry", Nhwc, "rows of 4 pixels x 16 channels", 16, &depthwise_carry_nhwc::K7S1),
    row("igemm_f32_nchw_r8p48_avx512", "igemm", Nchw, "8 channels x 48 pixels", 16, &igemm_nchw::R8V3),
    row("igemm_f32_nchw_r8p24_avx512", "igemm", Nchw, "8 channels x 24 pixels", 8, &igemm_nchw::R8V3H),
    row("rows_f32_nchw_r8p48_avx512", "rows", Nchw, "8 channels x 48 pixels", 16, &igemm_rows_nchw::R8V3),
    row("gemv_f32_nchw_c64_avx512", "gemv", Nchw, "64 channels", 16, &gemv::NCHW),
    row("fewpixels_f32_nchw_r14c32_avx512", "fewpixels", Nchw, "14 pixels x 32 channels", 16, &igemm_few_pixels_nchw::R14C32),
    row("fewpixels_f32_nchw_r8c48_avx512", "fewpixels", Nchw, "8 pixels x 48 channels", 16, &igemm_few_pixels_nchw::R8C48),
    row("dwshift_f32_nchw_k3s1r4p32_avx512", "dwshift", Nchw, "4 rows x 32 pixels", 16, &depthwise_nchw::K3S1),
    row("dwshift_f32_nchw_k3s2r4p32_avx512", "dwshift", Nchw, "4 rows x 32 pixels", 16, &depthwise_nchw::K3S2),
    row("dwshift_f32_nchw_k5s1r5p32_avx512", "dwshift", Nchw, "5 rows x 32 pixels", 16, &depthwise_nchw::K5S1),
    row("dwshift_f32_nchw_k5s2r5p32_avx512", "dwshift", Nchw, "5 rows x 32 pixels", 16, &depthwise_nchw::K5S2),
    row("dwpadded_f32_nchw_k3s1r8p16_avx512", "dwpadded", Nchw, "4 to 8 rows x 16 pixels", 8, &depthwise_padded_nchw::K3S1),
    row("dwpadded_f32_nchw_k3s2r8p16_avx512", "dwpadded", Nchw, "4 to 8 rows x 16 pixels", 8, &depthwise_padded_nchw::K3S2),
    row("dwpadded_f32_nchw_k5s1r8p16_avx512", "dwpadded", Nchw, "4 to 8 rows x 16 pixels", 8, &depthwise_padded_nchw::K5S1),
    row("dwpadded_f32_nchw_k5s2r8p16_avx512", "dwpadded", Nchw, "4 to 8 rows x 16 pixels", 8, &depthwise_padded_nchw::K5S2),
    row("dwpadded_f32_nchw_k7s1r8p16_avx512", "dwpadded", Nchw, "4 to 8 rows x 16 pixels", 8, &depthwise_padded_nchw::K7S1),
    row("dwmasked_f32_nchw_k3s1r8p32_avx512", "dwmasked", Nchw, "4 to 8 rows x 32 pixels", 16, &depthwise_masked_nchw::K3S1),
    row("dwmasked_f32_nchw_k5s1r8p32_avx512", "dwmasked", Nchw, "4 to 8 rows x 32 pixels", 16, &depthwise_masked_nchw::K5S1),
    row("dwmasked_f32_nchw_k7s1r8p32_avx512", "dwmasked", Nchw, "4 to 8 rows x 32 pixels", 16, &depthwise_masked_nchw::K7S1),
    row("transposed_f32_nchw_r14c32_avx512", "transposed", Nchw, "14 pixels x 32 channels", 16, &transposed_nchw::R14C32),
    row("transposed_f32_nchw_r14c32shared_avx512", "transposed", Nchw, "14 pixels x 32 channels", 16, &transposed_nchw::R14C32_SHARED),
    row("transposed_f32_nchw_r8c48_avx512", "transposed", Nchw, "8 pixels x 48 channels", 16, &transposed_nchw::R8C48),
    row("transposed_f32_nchw_r8c24_avx512", "transposed", Nchw, "8 pixels x 24 channels", 8, &transposed_nchw::R8C24),
    row("transposed_f32_nchw_i3s4r8c32_avx512", "transposed", Nchw, "8 pixels x 32 channels", 16, &transposed_nchw::C3S4),
    row("transposed_f32_nchw_g3s1r2p8c16_avx512", "transposed", Nchw, "2 rows x 8 pixels x 16 channels", 16, &transposed_nchw::GROUP_K3S1),
    row("transposed_f32_nchw_g3s2r2p8c16_avx512", "transposed", Nchw, "2 rows x 8 pixels x 16 channels", 16, &transposed_nchw::GROUP_K3S2),
    row("transposed_f32_nchw_g16s1r1p14_avx512", "transposed", Nchw, "1 row x 14 pixels x a group of 16 channels", 16, &transposed_nchw::G16_K3S1),
    row("transposed_f32_nchw_g16s1r2p10_avx512", "transposed", Nchw, "2 rows x 10 pixels x a group of 16 channels", 16, &transposed_nchw::G16_K3S1_NARROW),
    row("transposed_f32_nchw_g16s2r2p10_avx512", "transposed", Nchw, "2 rows x 10 pixels x a group of 16 channels", 16, &transposed_nchw::G16_K3S2),
    row("transposed_f32_nchw_k3s1p7c16_avx512", "transposed", Nchw, "strip of 7 pixels x 16 channels", 16, &transposed_nchw::K3S1),
    row("transposed_f32_nchw_k3s2p4c32_avx512", "transposed", Nchw, "strip of 4 pixels x 32 channels", 16, &transposed_nchw::K3S2),
    row("transposed_f32_nchw_k5s1r2p8c16_avx512", "transposed", Nchw, "2 rows x 8 pixels x 16 channels", 16, &transposed_nchw::K5S1),
    row("transposed_f32_nchw_k5s2r2p8c16_avx512", "transposed", Nchw, "2 rows x 8 pixels x 16 channels", 16, &transposed_nchw::K5S2),
    row("transposed_f32_nchw_anyr2p8c16_avx512", "transposed", Nchw, "2 rows x 8 pixels x 16 channels", 16, &transposed_nchw::ANY),
    row("direct_f32_nchw_k3s1c4r2p32_avx512", "direct", Nchw, "4 channels x 2 rows x 32 pixels", 16, &direct_nchw::GROUP_K3S1),
    row("direct_f32_nchw_k3s2c4r2p32_avx512", "direct", Nchw, "4 channels x 2 rows x 32 pixels", 16, &direct_nchw::GROUP_K3S2),
    row("direct_f32_nchw_anyc4r4p16_avx512", "direct", Nchw, "4 channels x 4 rows x 16 pixels", 16, &direct_nchw::ANY),
    row("grouped_f32_nhwc_k3s1r2p8c16_avx512", "grouped", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &grouped_nhwc::K3S1),
    row("grouped_f32_nhwc_k3s2r2p8c16_avx512", "grouped", Nhwc, "2 rows x 8 pixels x 16 channels", 16, &grouped_nhwc::K3S2),
    row("grouped_f32_nhwc_k3s1r1p14g16_avx512", "grouped", Nhwc, "1 row x 14 pixels x a group of 16 channels", 16, &grouped_nhwc::WHOLE_K3S1),
    row("grouped_f32_nhwc_k3s1r2p10g16_avx512", "grouped", Nhwc, "2 rows x 10 pixels x a group of 16 channels", 16, &grouped_nhwc::WHOLE_K3S1_NARROW),
    row("grouped_f32_nhwc_k3s2r2p10g16_avx512", "grouped", Nhwc, "2 rows x 10 pixels x a group of 16 channels", 16, &grouped_nhwc::WHOLE_K3S2),
    row("grouped_f32_nhwc_anyp8c16_avx512", "grouped", Nhwc, "8 pixels x 16 channels", 16, &grouped_nhwc::ANY),
    row("winograd_f32_nhwc_f2r14c32_avx512", "winograd", Nhwc, "2 x 2 outputs, 14 tiles x 32 channels", 16, &winograd::F2_NHWC),
    row("winograd_f32_nhwc_f4r14c32_avx512", "winograd", Nhwc, "4 x 4 outputs, 14 tiles x 32 channels", 16, &winograd::F4_NHWC),
    row("winograd_f32_nhwc_f6r14c32_avx512", "winograd", Nhwc, "6 x 6 outputs, 14 tiles x 32 channels", 16, &winograd::F6_NHWC),
    row("winograd_f32_nchw_f2r14c32_avx512", "winograd", Nchw, "2 x 2 outputs, 14 tiles x 32 channels", 16, &winograd::F2_NCHW),
    row("winograd_f32_nchw_f4r14c32_avx512", "winograd", Nchw, "4 x 4 outputs, 14 tiles x 32 channels", 16, &winograd::F4_NCHW),
    row("winograd_f32_nchw_f6r14c32_avx512", "winograd", Nchw, "6 x 6 outputs, 14 tiles x 32 channels", 16, &winograd::F6_NCHW),
];

/// What the blocks need beside convolution, on this tier.
pub(crate) static OPS: Ops = ops!();
