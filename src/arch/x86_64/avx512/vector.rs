//! Sixteen lanes in a `zmm` register.

use crate::vector::{Masked, Vector};
use core::arch::asm;
use core::arch::x86_64::*;

/// A `zmm` register of sixteen lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// Lanes `lo..hi`.
#[inline(always)]
fn mask(lo: usize, hi: usize) -> __mmask16 {
    (((1u32 << hi) - 1) & !((1u32 << lo) - 1)) as __mmask16
}

/// Lanes `N..` of `a`, then the first `N` of `b`. From the intrinsic the compiler makes two-source permutations, which overwrite
/// an operand, and expansions, which take two slots; `valignd` takes one and copies nothing.
///
/// # Safety
/// The CPU has AVX-512F.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn align<const N: i32>(a: __m512, b: __m512) -> __m512 {
    let r;
    // SAFETY: registers only.
    unsafe {
        asm!("valignd {r}, {b}, {a}, {n}", r = lateout(zmm_reg) r, a = in(zmm_reg) a, b = in(zmm_reg) b, n = const N,
            options(pure, nomem, nostack, preserves_flags));
    }
    r
}

impl From<__m512> for F32x16 {
    #[inline(always)]
    fn from(x: __m512) -> Self {
        F32x16(x)
    }
}

impl From<F32x16> for __m512 {
    #[inline(always)]
    fn from(x: F32x16) -> Self {
        x.0
    }
}

// SAFETY: loads and stores are of sixteen lanes, or masked to those that are asked for; masked lanes are not accessed.
unsafe impl Vector for F32x16 {
    const LANES: usize = 16;

    const TAKES_LANES: bool = false;

    const SPREADS_STORES: bool = true;

    type Quad = *const f32;

    type Rest = super::half::Half;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: sixteen floats are readable, by contract.
        unsafe { F32x16(_mm512_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        // SAFETY: only lanes `lo..hi` are accessed; masked lanes do not fault.
        unsafe { F32x16(_mm512_maskz_loadu_ps(mask(lo, hi), p)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: sixteen floats are writable, by contract.
        unsafe { _mm512_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: only `n` lanes are written.
        unsafe { _mm512_mask_storeu_ps(p, mask(0, n), self.0) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_add_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_sub_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_mul_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_div_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // SAFETY: the CPU has AVX-512F. With a NaN the instruction gives its second operand.
        unsafe { F32x16(_mm512_max_ps(lo.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        // SAFETY: the CPU has AVX-512F. With a NaN the instruction gives its second operand.
        unsafe { F32x16(_mm512_min_ps(hi.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX-512F. With a NaN the instruction gives its second operand; one in `self` is put back.
        unsafe {
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            F32x16(_mm512_mask_mov_ps(_mm512_max_ps(self.0, b.0), nan, self.0))
        }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // SAFETY: the CPU has AVX-512F. The exponent field of 2^n is n + 127.
        unsafe {
            let e = _mm512_add_epi32(_mm512_cvtps_epi32(n.0), _mm512_set1_epi32(127));
            F32x16(_mm512_mul_ps(self.0, _mm512_castsi512_ps(_mm512_slli_epi32::<23>(e))))
        }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_roundscale_ps::<0>(self.0)) }
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX-512F.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            let pick = |index| F32x16(_mm512_permutex2var_ps(self.0, index, high.0));
            (pick(even), pick(odd))
        }
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX-512F.
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            let pick = |index| F32x16(_mm512_permutex2var_ps(self.0, index, other.0));
            (pick(low), pick(high))
        }
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(align::<N>(self.0, next.0)) }
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        // SAFETY: the CPU has AVX-512F.
        unsafe { F32x16(_mm512_permutexvar_ps(_mm512_castps_si512(index.0), self.0)) }
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: sixteen integers are readable, by contract.
        unsafe { F32x16(_mm512_castsi512_ps(_mm512_loadu_si512(p.cast()))) }
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

// SAFETY: masked lanes are not accessed.
unsafe impl Masked for F32x16 {
    type Mask = __mmask16;

    #[inline(always)]
    unsafe fn mask(lo: usize, hi: usize) -> __mmask16 {
        mask(lo, hi)
    }

    #[inline(always)]
    unsafe fn load_masked(p: *const f32, mask: __mmask16) -> Self {
        // SAFETY: the CPU has AVX-512F; masked lanes do not fault.
        unsafe { F32x16(_mm512_maskz_loadu_ps(mask, p)) }
    }

    #[inline(always)]
    unsafe fn store_masked(self, p: *mut f32, mask: __mmask16) {
        // SAFETY: only lanes of the mask are written.
        unsafe { _mm512_mask_storeu_ps(p, mask, self.0) }
    }
}

impl F32x16 {
    /// Sixteen rows of sixteen, transposed: the 4 x 4 elements in quarters of vectors by two rounds of unpacking, then quarters by two rounds
    /// more. As many shuffles as by permutations of two sources, but they need no registers for indices, and take a fifth less time.
    ///
    /// # Safety
    /// The CPU has AVX-512F.
    #[inline(always)]
    pub(super) unsafe fn transpose(mut x: [Self; 16]) -> [Self; 16] {
        // SAFETY: as the caller promises.
        unsafe {
            // Vector 4 i + j becomes element j of each quarter of rows 4 i to 4 i + 3.
            for i in 0..4 {
                let (a, b, c, d) = (x[4 * i].0, x[4 * i + 1].0, x[4 * i + 2].0, x[4 * i + 3].0);
                let (ab, cd) = (_mm512_castps_pd(_mm512_unpacklo_ps(a, b)), _mm512_castps_pd(_mm512_unpacklo_ps(c, d)));
                x[4 * i] = F32x16(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)));
                x[4 * i + 1] = F32x16(_mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
                let (ab, cd) = (_mm512_castps_pd(_mm512_unpackhi_ps(a, b)), _mm512_castps_pd(_mm512_unpackhi_ps(c, d)));
                x[4 * i + 2] = F32x16(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)));
                x[4 * i + 3] = F32x16(_mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
            }
            let mut y = x;
            for j in 0..4 {
                let (a, b, c, d) = (x[j].0, x[4 + j].0, x[8 + j].0, x[12 + j].0);
                let (ab, cd) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0x44>(c, d));
                y[j] = F32x16(_mm512_shuffle_f32x4::<0x88>(ab, cd));
                y[4 + j] = F32x16(_mm512_shuffle_f32x4::<0xdd>(ab, cd));
                let (ab, cd) = (_mm512_shuffle_f32x4::<0xee>(a, b), _mm512_shuffle_f32x4::<0xee>(c, d));
                y[8 + j] = F32x16(_mm512_shuffle_f32x4::<0x88>(ab, cd));
                y[12 + j] = F32x16(_mm512_shuffle_f32x4::<0xdd>(ab, cd));
            }
            y
        }
    }
}
