//! Depthwise, NCHW, maps of up to eight output columns: rows of two planes in one vector.
//!
//! A row of seven pixels fills less than half of a vector. So the lower half of each takes a row of one plane, and the upper half the
//! same row of the next; everything beside, masks and shifts included, is as in [`crate::kernel::depthwise_nchw`], whose driver calls
//! this. A shift leaves out the lanes that came from the other plane.
//!
//! ```text
//! for each two planes: w[K][K] = the weights of one | of the other
//!     for each block of R output rows
//!         acc[R] = bias
//!         for each input row of the window that is inside the image
//!             x = the row of one plane | of the other, by phase of the stride
//!             for each kernel column kx
//!                 acc[r] += (x shifted by the tap) * w[ky][kx]   for all (r, ky) that meet there
//!         clamp, store lanes of one plane, and of the other
//! ```
//!
//! Tile: 4 to 8 rows x 8 pixels x 2 planes. Planes of so many rows, padded as usual, have code of their own that knows which rows are
//! outside; others go in blocks of 7 or 4. Registers of 3x3 with 7 rows: 7 accumulators, 9 weights, the row and a shifted one; the 25
//! weights of 5x5 are operands in memory. Loads per multiply-add, 3x3 with stride 1 and 7 rows: 14 / 57 for inputs, 20 / 57 for weights.
//! Bound by the multiply units, and by those that shift beside them. Empty lanes: one in eight of 7 wide maps.
//!
//! A core waits for nothing here but for instructions to be started, so that few are to be lost on addresses and moves: pointers go from
//! row to row instead of being computed ahead and kept on the stack, a row is used up before the next one is loaded, and weights of two
//! planes meet in a load that leaves one half of a vector as it was.
//!
//! Measured 2026-12-01, one Zen 5 core (143 GMAC/s): 3x3 on 8 and 7 wide maps 68 and 60 % of peak, with stride 2 from 16 and 14 wide ones
//! 45 and 36, 5x5 on 8 wide ones 70, with stride 2 from 16 and 14 wide ones 50 and 43. A pair of 7 x 7 planes takes some 45 cycles for 57
//! multiply-adds.

use super::vector::F32x16;
use crate::kernel::depthwise_nchw::{Planes, rows_inside};
use crate::kernel::{NO_CLAMP, opaque, unroll};
use crate::vector::Vector;
use core::arch::x86_64::*;

/// Columns of a plane in a vector.
const HALF: usize = 8;

/// Of each lane the one `N` to its right, beyond the last the first again, where `mask` says so, else zero: with a mask of those that come
/// from the same half. The compiler would take a shuffle of two vectors, which overwrites an operand that is copied first.
///
/// # Safety
/// The CPU has AVX-512F.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn shifted<const N: i32>(x: __m512, mask: __mmask16) -> __m512 {
    let r;
    // SAFETY: the instruction reads and writes its operands.
    unsafe {
        core::arch::asm!("valignd {r}{{{mask}}}{{z}}, {x}, {x}, {n}", r = lateout(zmm_reg) r, mask = in(kreg) mask, x = in(zmm_reg) x,
            n = const N, options(pure, nomem, nostack, preserves_flags));
    }
    r
}

/// The first lanes of the lower half, and of the upper half if there is a second plane.
#[derive(Clone, Copy)]
struct Lanes {
    lower: __mmask16,
    upper: __mmask16,
}

impl Lanes {
    fn new(count: usize, second: bool) -> Self {
        let lower = ((1u32 << count.min(HALF)) - 1) as __mmask16;
        Lanes { lower, upper: if second { lower << HALF } else { 0 } }
    }
}

/// The same sum, computed before anything is loaded or stored after it: the compiler would load all rows first, more than registers hold.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn before_all_else(mut sum: __m512) -> __m512 {
    // SAFETY: there is no instruction in it.
    unsafe { core::arch::asm!("/* {} */", inout(zmm_reg) sum, options(nostack, preserves_flags)) };
    sum
}

/// One float in all lanes of the lower half, another in those of the upper half. The compiler would take two broadcasts and a shuffle.
///
/// # Safety
/// The CPU has AVX-512F. The floats are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn of_both(lower: *const f32, upper: *const f32) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = _mm512_set1_ps(*lower);
        core::arch::asm!("vbroadcastss {x}{{{half}}}, dword ptr [{p}]", x = inout(zmm_reg) x, half = in(kreg) 0xff00u16, p = in(reg) upper,
            options(pure, readonly, nostack, preserves_flags));
        x
    }
}

/// The micro-kernel for a `K` x `K` kernel with stride `S` (1 or 2), padded by `(K - 1) / 2` columns to the left and to the right, and up
/// to eight outputs in a row.
///
/// # Safety
/// The CPU has AVX-512F; the pointers are valid for what their documentation says.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn micro<const K: usize, const S: usize>(t: &Planes) {
    let padded = t.top == (K - 1) / 2 && t.rows == (0..t.h.div_ceil(S));
    // SAFETY: as the caller promises.
    unsafe {
        match t.rows.len() {
            4 if padded => planes::<K, S, 4, true>(t),
            5 if padded => planes::<K, S, 5, true>(t),
            6 if padded => planes::<K, S, 6, true>(t),
            7 if padded => planes::<K, S, 7, true>(t),
            8 if padded => planes::<K, S, 8, true>(t),
            ..=4 => planes::<K, S, 4, false>(t),
            _ => planes::<K, S, 7, false>(t),
        }
    }
}

/// All planes in blocks of up to `R` rows. `WHOLE`: planes of `R` output rows, padded by `(K - 1) / 2` rows at both ends, so that it is known
/// which rows of a window are inside the image, without a test for each.
///
/// # Safety
/// As [`micro`].
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn planes<const K: usize, const S: usize, const R: usize, const WHOLE: bool>(t: &Planes) {
    let blocks = if WHOLE { 1 } else { t.rows.len().div_ceil(R) };
    let (each, more) = (t.rows.len() / blocks, t.rows.len() % blocks);
    for plane in (0..t.planes).step_by(2) {
        let second = plane + 1 < t.planes;
        let pair = usize::from(second);
        let weights = t.weights.wrapping_add(plane * (K * K + 1));
        // SAFETY: as the caller promises, for these planes and rows.
        unsafe {
            let mut w = [[_mm512_setzero_ps(); K]; K];
            let others = weights.wrapping_add(pair * (K * K + 1));
            unroll!(ky < K => {
                unroll!(kx < K => {
                    let tap = 1 + ky * K + kx;
                    w[ky][kx] = of_both(weights.wrapping_add(tap), others.wrapping_add(tap));
                });
            });
            let bias = of_both(weights, others);
            let mut oy = t.rows.start;
            for b in 0..blocks {
                let count = each + usize::from(b < more);
                let rows = Rows { plane, second, oy, count };
                block::<K, S, R, WHOLE>(t, &rows, &w, bias);
                oy += count;
            }
        }
    }
}

/// Some output rows of two planes, or of one.
struct Rows {
    plane: usize,
    second: bool,
    oy: usize,
    count: usize,
}

/// # Safety
/// As [`planes`]; there are `R` rows at most.
#[inline(always)]
unsafe fn block<const K: usize, const S: usize, const R: usize, const WHOLE: bool>(
    t: &Planes,
    b: &Rows,
    w: &[[__m512; K]; K],
    bias: __m512,
) {
    let y = (b.oy * S) as isize - t.top as isize;
    let mut p = t.input.wrapping_add(b.plane * t.in_plane).wrapping_offset(y * t.in_row as isize);
    let mut second = opaque(p.wrapping_add(t.in_plane));
    let in_row = t.in_row;
    let columns = Lanes::new(t.w, b.second);
    // With stride 2, a row of each plane is a vector before its phases are parted.
    let (wide, other) = (((1u32 << t.w.min(16)) - 1) as __mmask16, if b.second { u16::MAX } else { 0 });
    // SAFETY: as the caller promises: rows outside the image are left out, columns outside are masked.
    unsafe {
        let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        let odds = _mm512_or_si512(evens, _mm512_set1_epi32(1));
        let inside = rows_inside(t.h as isize, y);
        let mut acc = [bias; R];
        unroll!(i < (R - 1) * S + K => {
            // Rows of the image before this one, if it is padded so; those up to the last one's own are inside.
            let (before, own) = (i as isize - (K as isize - 1) / 2, ((R - 1) * S) as isize);
            let outside = WHOLE && (before < 0 || before >= own + S as isize);
            if !outside && (WHOLE && before <= own || inside & (1 << i) != 0) {
                let x = if S == 1 {
                    let x = _mm512_maskz_loadu_ps(columns.lower, p);
                    [_mm512_mask_loadu_ps(x, columns.upper, second.wrapping_sub(HALF)); 2]
                } else {
                    let (a, b) = (_mm512_maskz_loadu_ps(wide, p), _mm512_maskz_loadu_ps(wide & other, second));
                    [_mm512_permutex2var_ps(a, evens, b), _mm512_permutex2var_ps(a, odds, b)]
                };
                add_row::<K, S, R>(&mut acc, x, w, i);
            }
            [p, second] = [p, second].map(|p| opaque(p.wrapping_add(in_row)));
        });
        let _ = (p, second);
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (F32x16::splat(t.clamp.0), F32x16::splat(t.clamp.1));
            for y in &mut acc {
                *y = F32x16::from(*y).at_least(lo).at_most(hi).into();
            }
        }
        // Halves, which cross fewer lines than whole vectors would, even if only half of their lanes are stored.
        let lower = Lanes::new(t.ow, false).lower as __mmask8;
        let upper = if b.second { lower } else { 0 };
        let mut out = t.out.wrapping_add(b.plane * t.out_plane + b.oy * t.out_row);
        let mut other_out = opaque(out.wrapping_add(t.out_plane)).cast_mut();
        unroll!(r < R => {
            if WHOLE || r < b.count {
                let other = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(acc[r]));
                _mm256_mask_storeu_ps(out, lower, _mm512_castps512_ps256(acc[r]));
                _mm256_mask_storeu_ps(other_out, upper, _mm256_castpd_ps(other));
            }
            [out, other_out] = [out, other_out].map(|out| opaque(out.wrapping_add(t.out_row)).cast_mut());
        });
        let _ = (out, other_out);
    }
}

/// Adds row `y` of the window, even and odd columns with stride 2.
///
/// # Safety
/// The CPU has AVX-512F.
#[inline(always)]
unsafe fn add_row<const K: usize, const S: usize, const R: usize>(
    acc: &mut [__m512; R],
    x: [__m512; 2],
    w: &[[__m512; K]; K],
    y: usize,
) {
    unroll!(kx < K => {
        // Columns from the output's own one on, counted from the phases of two to the left, so that they are positive.
        let column = kx + 2 * S - (K - 1) / 2;
        let (by, x) = (column / S, x[column % S]);
        // SAFETY: as the caller promises.
        let x = unsafe {
            match by {
                0 => shifted::<14>(x, 0xfcfc),
                1 => shifted::<15>(x, 0xfefe),
                2 => x,
                3 => shifted::<1>(x, 0x7f7f),
                _ => shifted::<2>(x, 0x3f3f),
            }
        };
        // SAFETY: as the caller promises.
        unsafe { add_column::<K, S, R>(acc, x, w, y, kx) };
    });
    unroll!(r < R => {
        if y >= r * S && y - r * S < K {
            // SAFETY: as the caller promises.
            acc[r] = unsafe { before_all_else(acc[r]) };
        }
    });
}

/// Adds the inputs `x` under column `kx` of the kernel.
///
/// # Safety
/// The CPU has AVX-512F.
#[inline(always)]
unsafe fn add_column<const K: usize, const S: usize, const R: usize>(
    acc: &mut [__m512; R],
    x: __m512,
    w: &[[__m512; K]; K],
    y: usize,
    kx: usize,
) {
    unroll!(r < R => {
        if y >= r * S && y - r * S < K {
            // SAFETY: as the caller promises.
            acc[r] = unsafe { _mm512_fmadd_ps(x, w[y - r * S][kx], acc[r]) };
        }
    });
}
