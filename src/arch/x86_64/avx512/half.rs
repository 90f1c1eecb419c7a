//! Eight lanes in a `ymm` register, with the masks and the 32 registers of AVX-512VL.

use super::super::avx2::vector::{deinterleave, interleave};
use crate::vector::Vector;
use core::arch::asm;
use core::arch::x86_64::*;

/// A `ymm` register of eight lanes, half of the tier's full width.
#[derive(Clone, Copy)]
pub(crate) struct Half(__m256);

impl From<__m256> for Half {
    #[inline(always)]
    fn from(x: __m256) -> Self {
        Half(x)
    }
}

/// Lanes `lo..hi`.
#[inline(always)]
fn mask(lo: usize, hi: usize) -> __mmask8 {
    (((1u32 << hi) - 1) & !((1u32 << lo) - 1)) as __mmask8
}

/// Lanes `N..` of `a`, then the first `N` of `b`: see [`super::vector`].
///
/// # Safety
/// The CPU has AVX-512VL.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn align<const N: i32>(a: __m256, b: __m256) -> __m256 {
    let r;
    // SAFETY: registers only.
    unsafe {
        asm!("valignd {r}, {b}, {a}, {n}", r = lateout(ymm_reg) r, a = in(ymm_reg) a, b = in(ymm_reg) b, n = const N,
            options(pure, nomem, nostack, preserves_flags));
    }
    r
}

// SAFETY: loads and stores are of eight lanes, or masked to those that are asked for; masked lanes are not accessed.
unsafe impl Vector for Half {
    const LANES: usize = 8;

    const TAKES_LANES: bool = false;

    type Quad = *const f32;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: eight floats are readable, by contract.
        unsafe { Half(_mm256_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        // SAFETY: only lanes `lo..hi` are accessed; masked lanes do not fault.
        unsafe { Half(_mm256_maskz_loadu_ps(mask(lo, hi), p)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: eight floats are writable, by contract.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: only `n` lanes are written.
        unsafe { _mm256_mask_storeu_ps(p, mask(0, n), self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the CPU has FMA.
        unsafe { Half(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_add_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_sub_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_mul_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_div_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand.
        unsafe { Half(_mm256_max_ps(lo.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand.
        unsafe { Half(_mm256_min_ps(hi.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand; one in `self` is put back.
        unsafe {
            let greater = _mm256_max_ps(self.0, b.0);
            Half(_mm256_blendv_ps(greater, self.0, _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0)))
        }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // SAFETY: the CPU has AVX2. The exponent field of 2^n is n + 127.
        unsafe {
            let e = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
            Half(_mm256_mul_ps(self.0, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(e))))
        }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX2.
        let (even, odd) = unsafe { deinterleave(self.0, high.0) };
        (Half(even), Half(odd))
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX2.
        let (low, high) = unsafe { interleave(self.0, other.0) };
        (Half(low), Half(high))
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        // SAFETY: the CPU has AVX-512VL.
        unsafe { Half(align::<N>(self.0, next.0)) }
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { Half(_mm256_permutevar8x32_ps(self.0, _mm256_castps_si256(index.0))) }
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: eight integers are readable, by contract.
        unsafe { Half(_mm256_castsi256_ps(_mm256_loadu_si256(p.cast()))) }
    }

    #[inline(always)]
    unsafe fn quad(p: *const f32) -> *const f32 {
        p
    }

    #[inline(always)]
    unsafe fn mul_add_lane<const I: i32>(self, b: Self, q: *const f32) -> Self {
        // SAFETY: four floats are readable at `q`, by contract of `quad`.
        unsafe { self.mul_add(b, Self::splat(*q.add(I as usize))) }
    }
}
