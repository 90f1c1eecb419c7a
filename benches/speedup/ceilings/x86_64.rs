//! The loops in AVX2 and AVX-512.

use super::{multiply_loop, read_loop};
use std::arch::x86_64::*;

/// FMAs of 8 lanes; 16 registers hold 12 accumulators.
#[target_feature(enable = "avx2,fma")]
pub fn multiply_avx2(steps: u64) {
    multiply_loop!(steps, 12, _mm256_set1_ps, |x, y, c| _mm256_fmadd_ps(x, y, c));
}

/// FMAs of 16 lanes.
#[target_feature(enable = "avx512f")]
pub fn multiply_avx512(steps: u64) {
    multiply_loop!(steps, 24, _mm512_set1_ps, |x, y, c| _mm512_fmadd_ps(x, y, c));
}

/// Loads of 32 bytes.
#[target_feature(enable = "avx2")]
pub fn read_avx2(data: &[f32], passes: u64) {
    read_loop!(data, passes, 8, _mm256_setzero_ps(), _mm256_loadu_ps, _mm256_max_ps);
}

/// Loads of 64 bytes.
#[target_feature(enable = "avx512f")]
pub fn read_avx512(data: &[f32], passes: u64) {
    read_loop!(data, passes, 16, _mm512_setzero_ps(), _mm512_loadu_ps, _mm512_max_ps);
}
