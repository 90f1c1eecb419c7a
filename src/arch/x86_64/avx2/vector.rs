//! Eight lanes in a `ymm` register.

use crate::vector::Vector;
use core::arch::x86_64::*;

/// A `ymm` register of eight lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

/// Sign bits set in lanes `lo..hi`, for `vmaskmov`.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn mask(lo: usize, hi: usize) -> __m256i {
    // SAFETY: the CPU has AVX2.
    unsafe {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let from = _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(lo as i32 - 1));
        _mm256_and_si256(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi as i32), lane))
    }
}

/// [`Vector::mul_add_row`] of three vectors. Tiles of 4 x 3 vectors leave one register for the scalar, and the compiler, left to itself,
/// loads the next one before it has done with this one.
///
/// # Safety
/// The CPU has AVX2 and FMA; `q[I]` is readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn three<const I: i32>(row: [__m256; 3], b: [__m256; 3], q: *const f32) -> [__m256; 3] {
    let [mut r0, mut r1, mut r2] = row;
    // SAFETY: one load of what is readable.
    unsafe {
        core::arch::asm!(
            "vbroadcastss {x}, dword ptr [{q} + 4 * {i}]",
            "vfmadd231ps {r0}, {x}, {b0}",
            "vfmadd231ps {r1}, {x}, {b1}",
            "vfmadd231ps {r2}, {x}, {b2}",
            i = const I,
            q = in(reg) q,
            x = out(ymm_reg) _,
            b0 = in(ymm_reg) b[0],
            b1 = in(ymm_reg) b[1],
            b2 = in(ymm_reg) b[2],
            r0 = inout(ymm_reg) r0,
            r1 = inout(ymm_reg) r1,
            r2 = inout(ymm_reg) r2,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [r0, r1, r2]
}

/// [`Vector::deinterleave`] of `ymm` registers: within halves first, then the middle quarters change places.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
pub(in crate::arch::x86_64) unsafe fn deinterleave(low: __m256, high: __m256) -> (__m256, __m256) {
    // SAFETY: as the caller promises.
    unsafe {
        let (even, odd) = deinterleave_halves(low, high);
        (exchange_middle(even), exchange_middle(odd))
    }
}

/// The even and the odd lanes of the halves of `low` and `high` in turn.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn deinterleave_halves(low: __m256, high: __m256) -> (__m256, __m256) {
    // SAFETY: as the caller promises.
    unsafe { (_mm256_shuffle_ps::<0b10_00_10_00>(low, high), _mm256_shuffle_ps::<0b11_01_11_01>(low, high)) }
}

/// The second and the third quarter change places.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn exchange_middle(x: __m256) -> __m256 {
    // SAFETY: as the caller promises.
    unsafe { _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(x))) }
}

/// [`Vector::interleave`] of `ymm` registers: within halves first.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
pub(in crate::arch::x86_64) unsafe fn interleave(a: __m256, b: __m256) -> (__m256, __m256) {
    // SAFETY: as the caller promises.
    unsafe {
        let (low, high) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
    }
}

// SAFETY: loads and stores are of eight lanes, or masked to those that are asked for; masked lanes are not accessed.
unsafe impl Vector for F32x8 {
    const LANES: usize = 8;

    const FEW_REGISTERS: bool = true;

    const TAKES_LANES: bool = false;

    // Measured on Zen 3.
    const SPREADS_STORES: bool = true;

    // One operation on either of two ports, where a permutation across halves is one or two on one port.
    const PERMUTES_DEARLY: bool = true;

    type Quad = *const f32;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_set1_ps(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: eight floats are readable, by contract.
        unsafe { F32x8(_mm256_loadu_ps(p)) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        // SAFETY: only lanes `lo..hi` are accessed; masked lanes do not fault.
        unsafe { F32x8(_mm256_maskload_ps(p, mask(lo, hi))) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: eight floats are writable, by contract.
        unsafe { _mm256_storeu_ps(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: only `n` lanes are written. Halves instead of `vmaskmovps`, whose store is microcode on AMD.
        unsafe {
            let mut p = p;
            let mut x = _mm256_castps256_ps128(self.0);
            if n >= 8 {
                return _mm256_storeu_ps(p, self.0);
            }
            if n & 4 != 0 {
                _mm_storeu_ps(p, x);
                x = _mm256_extractf128_ps::<1>(self.0);
                p = p.add(4);
            }
            if n & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(x));
                x = _mm_movehl_ps(x, x);
                p = p.add(2);
            }
            if n & 1 != 0 {
                _mm_store_ss(p, x);
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the CPU has FMA.
        unsafe { F32x8(_mm256_fmadd_ps(a.0, b.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_add_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_sub_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_mul_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_div_ps(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand.
        unsafe { F32x8(_mm256_max_ps(lo.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand.
        unsafe { F32x8(_mm256_min_ps(hi.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // SAFETY: the CPU has AVX2. With a NaN the instruction gives its second operand; one in `self` is put back.
        unsafe {
            let greater = _mm256_max_ps(self.0, b.0);
            F32x8(_mm256_blendv_ps(greater, self.0, _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0)))
        }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // SAFETY: the CPU has AVX2. The exponent field of 2^n is n + 127.
        unsafe {
            let e = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
            F32x8(_mm256_mul_ps(self.0, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(e))))
        }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)) }
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX2.
        let (even, odd) = unsafe { deinterleave(self.0, high.0) };
        (F32x8(even), F32x8(odd))
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        // SAFETY: the CPU has AVX2.
        let (low, high) = unsafe { interleave(self.0, other.0) };
        (F32x8(low), F32x8(high))
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        // SAFETY: the CPU has AVX2. The halves between which lanes move, then within pairs of halves.
        unsafe {
            let (a, b) = (_mm256_castps_si256(self.0), _mm256_castps_si256(next.0));
            let middle = _mm256_permute2x128_si256::<0x21>(a, b);
            F32x8(_mm256_castsi256_ps(match N {
                1 => _mm256_alignr_epi8::<4>(middle, a),
                2 => _mm256_alignr_epi8::<8>(middle, a),
                3 => _mm256_alignr_epi8::<12>(middle, a),
                4 => middle,
                5 => _mm256_alignr_epi8::<4>(b, middle),
                6 => _mm256_alignr_epi8::<8>(b, middle),
                7 => _mm256_alignr_epi8::<12>(b, middle),
                _ => a,
            }))
        }
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        // SAFETY: the CPU has AVX2.
        unsafe { F32x8(_mm256_permutevar8x32_ps(self.0, _mm256_castps_si256(index.0))) }
    }

    #[inline(always)]
    unsafe fn permute_in_quads(self, index: Self) -> Self {
        // SAFETY: the CPU has AVX2. The instruction reads the lowest two bits of an index: the lane within its four.
        unsafe { F32x8(_mm256_permutevar_ps(self.0, _mm256_castps_si256(index.0))) }
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: eight integers are readable, by contract.
        unsafe { F32x8(_mm256_castsi256_ps(_mm256_loadu_si256(p.cast()))) }
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

    #[inline(always)]
    unsafe fn mul_add_row<const I: i32, const NV: usize>(row: &mut [Self; NV], b: &[Self; NV], q: *const f32) {
        // SAFETY: as above.
        unsafe {
            if NV == 3 {
                let sums = [row[0].0, row[1].0, row[2].0];
                let sums = three::<I>(sums, [b[0].0, b[1].0, b[2].0], q);
                for v in 0..NV {
                    row[v] = F32x8(sums[v]);
                }
            } else {
                for v in 0..NV {
                    row[v] = row[v].mul_add_lane::<I>(b[v], q);
                }
            }
        }
    }
}

impl F32x8 {
    /// Transposes a block. Lanes cross halves once only; three rounds of [`Vector::deinterleave`] would take twice as many shuffles.
    ///
    /// # Safety
    /// The CPU has AVX2.
    #[inline(always)]
    pub(super) unsafe fn transpose(rows: [Self; 8]) -> [Self; 8] {
        // SAFETY: the CPU has AVX2.
        unsafe {
            // Halves of rows four apart, then elements of two rows, then of four.
            let mut out = rows;
            for i in 0..4 {
                out[i] = F32x8(_mm256_permute2f128_ps::<0x20>(rows[i].0, rows[i + 4].0));
                out[i + 4] = F32x8(_mm256_permute2f128_ps::<0x31>(rows[i].0, rows[i + 4].0));
            }
            for i in [0, 4] {
                let (a, b) =
                    (_mm256_unpacklo_ps(out[i].0, out[i + 1].0), _mm256_unpacklo_ps(out[i + 2].0, out[i + 3].0));
                let (c, d) =
                    (_mm256_unpackhi_ps(out[i].0, out[i + 1].0), _mm256_unpackhi_ps(out[i + 2].0, out[i + 3].0));
                out[i] = F32x8(_mm256_shuffle_ps::<0b01_00_01_00>(a, b));
                out[i + 1] = F32x8(_mm256_shuffle_ps::<0b11_10_11_10>(a, b));
                out[i + 2] = F32x8(_mm256_shuffle_ps::<0b01_00_01_00>(c, d));
                out[i + 3] = F32x8(_mm256_shuffle_ps::<0b11_10_11_10>(c, d));
            }
            out
        }
    }
}
