//! Implicit GEMM, NHWC, a last panel of few channels: pixels share vectors.
//!
//! Twenty channels fill a vector and a quarter. Where a quarter of a vector takes as long as a whole one, that is three fifths of the
//! work of 32. So the channels that are left, up to eight or up to four, are those of two or four pixels in one vector. They are a panel by
//! themselves, or follow a whole vector of each pixel. Of 9 to 16 channels nothing is shared, but what is said of scalars below holds too:
//!
//! ```text
//! for each N vectors of P = 16 / C pixels
//!     whole[pixel], shared[N] = the bias, P times where shared
//!     for each tap, for each four input channels k
//!         x[N] = input[pixel][k..k + 4], of P pixels in parts of one vector
//!         for each of the four
//!             whole[pixel] += input[pixel][k] * the next vector of weights
//!             b = the next C weights, P times
//!             shared[n] += (each part's element) * b
//!     clamp, store whole vectors and each part
//! ```
//!
//! An element is spread over its part by a shuffle inside quarters of a vector, of which four start in a cycle beside two multiply-adds.
//! Of pixels with a whole vector, half spread their scalars so too, and half load them: a multiply-add whose scalar comes from memory takes
//! 0.57 cycles, and one with a shuffle of its own shares four units with it. Sums are those of [`crate::kernel::igemm_micro_nhwc`], in the same
//! order.
//!
//! Tile: of pixels in a line, 12 vectors, so 24 pixels x 8 or 48 x 4 channels; beside whole vectors, in rows and where pointers say, as many
//! pixels as the tile has. Registers: 12 accumulators, 12 inputs, a vector of weights, one spread; 10 pixels x 24 channels, 15 accumulators, 5
//! inputs; 10 pixels x 16 or 20 channels, 10 or 13 accumulators, 5 or 8 inputs. Per four shared multiply-adds four spread vectors, and P
//! loads for the inputs; a load for each whole one, or for every second. Bound by the multiply units, with P = 4 by loads, of which two start
//! in a cycle and those to a part of a vector take a third more. Cores that split long vectors have half as many units for shuffles: there
//! the costs never choose this.
//!
//! Measured 2026-12-01, one Zen 5 core (143 GMAC/s), percent of peak: 72 to 24 channels on 56 x 56 pixels 91, to 16 86, to 8 61, three
//! groups of 80 to 20 on 28 x 28 76, 3x3 with 24 channels per group 78, with 20 on 14 x 14 76.

use super::vector::F32x16;
use crate::kernel::igemm_nhwc::{Micro, RowTap, Tile};
use crate::kernel::{NO_CLAMP, in_order, opaque, unroll};
use core::arch::asm;
use core::arch::x86_64::*;

/// Most vectors of a tile.
const MOST: usize = 12;

/// Where the pixels of a tile are.
trait Pixels: Copy {
    /// Element `k` of part `i` of vector `n`: as an address and bytes from there, of which one does not depend on the part, or not on the
    /// vector and the element.
    fn at(&self, n: usize, i: usize, k: usize) -> (*const f32, usize);
}

/// One after the other: the first one, and floats to the next.
#[derive(Clone, Copy)]
struct Line<const P: usize>(*const f32, usize);

impl<const P: usize> Pixels for Line<P> {
    #[inline(always)]
    fn at(&self, n: usize, i: usize, k: usize) -> (*const f32, usize) {
        (self.0.wrapping_add(n * P * self.1 + k), i * self.1 * size_of::<f32>())
    }
}

/// Where pointers say.
///
/// What is left of the last vector is the last pixel once more.
#[derive(Clone, Copy)]
struct Anywhere<const P: usize, const MR: usize>([*const f32; MR]);

impl<const P: usize, const MR: usize> Pixels for Anywhere<P, MR> {
    #[inline(always)]
    fn at(&self, n: usize, i: usize, k: usize) -> (*const f32, usize) {
        (self.0[(n * P + i).min(MR - 1)], k * size_of::<f32>())
    }
}

/// Lanes of part `i` of `P`.
const fn part<const P: usize>(i: usize) -> __mmask16 {
    let lanes = 16 / P;
    (((1u32 << lanes) - 1) << (i * lanes)) as __mmask16
}

/// `16 / P` floats, `P` times.
///
/// # Safety
/// The CPU has AVX-512F; so many are readable.
#[inline(always)]
unsafe fn repeated<const P: usize>(p: *const f32) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        match P {
            1 => _mm512_loadu_ps(p),
            2 => _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(_mm256_loadu_ps(p)))),
            _ => _mm512_broadcast_f32x4(_mm_loadu_ps(p)),
        }
    }
}

/// Four elements, from so many bytes behind an address on, in the quarters of part `i` of `P`, in place of what `x` has there.
///
/// # Safety
/// The CPU has AVX-512F; they are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn with_part<const P: usize>(mut x: __m512, i: usize, (p, bytes): (*const f32, usize)) -> __m512 {
    // SAFETY: as the caller promises. By hand: the compiler makes insertions and permutations of two vectors of this, which need more
    // registers than there are.
    unsafe {
        asm!("vbroadcastf32x4 {x}{{{part}}}, [{p} + {bytes}]", x = inout(zmm_reg) x, part = in(kreg) part::<P>(i), p = in(reg) p,
            bytes = in(reg) bytes,
            options(pure, readonly, nostack, preserves_flags));
    }
    x
}

/// Four elements of each pixel of a vector from `k` on, in all quarters of its part.
///
/// # Safety
/// The CPU has AVX-512F; they are readable.
#[inline(always)]
unsafe fn quads<const P: usize>(a: &impl Pixels, n: usize, k: usize) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let (p, bytes) = a.at(n, 0, k);
        let mut x = _mm512_broadcast_f32x4(_mm_loadu_ps(p.wrapping_byte_add(bytes)));
        for i in 1..P {
            x = with_part::<P>(x, i, a.at(n, i, k));
        }
        x
    }
}

/// Element `J` of each quarter of a vector, in all of its lanes.
///
/// # Safety
/// The CPU has AVX-512F.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn spread<const J: i32>(x: __m512) -> __m512 {
    let r;
    // SAFETY: registers only.
    unsafe {
        asm!("vpermilps {r}, {x}, {j}", r = lateout(zmm_reg) r, x = in(zmm_reg) x, j = const 0x55 * J,
            options(pure, nomem, nostack, preserves_flags));
    }
    r
}

/// One element of each pixel of a vector, in all lanes of its part.
///
/// # Safety
/// The CPU has AVX-512F; they are readable.
#[inline(always)]
unsafe fn singles<const P: usize>(a: &impl Pixels, n: usize, k: usize) -> __m512 {
    // SAFETY: as the caller promises.
    unsafe {
        let one = |i: usize| {
            let (p, bytes) = a.at(n, i, k);
            _mm_load_ss(&*p.wrapping_byte_add(bytes))
        };
        let mut x = _mm512_broadcastss_ps(one(0));
        for i in 1..P {
            x = _mm512_mask_broadcastss_ps(x, part::<P>(i), one(i));
        }
        x
    }
}

/// Whether pixel `i` of those that have a vector of their own each, beside vectors of `P` pixels, spreads its scalars by shuffles, four after
/// one load, and does not load one by one. Half of them keep both the loads and the shuffles below what a cycle has; none beside vectors of
/// two pixels, where there are not the registers.
const fn spreads<const P: usize>(i: usize) -> bool {
    i.is_multiple_of(2) && P != 2
}

/// The sums of a tile: whole vectors of a pixel each, if `MR` is not 0, and vectors that pixels share.
struct Sums<const MR: usize, const N: usize> {
    whole: [__m512; MR],
    shared: [__m512; N],
}

impl<const MR: usize, const N: usize> Sums<MR, N> {
    /// Floats of a panel's step: of whole vectors, and of all.
    const fn widths<const P: usize>() -> (usize, usize) {
        let whole = if MR > 0 { 16 } else { 0 };
        (whole, whole + 16 / P)
    }

    /// The bias, at the start of a panel.
    ///
    /// # Safety
    /// The CPU has AVX-512F; it is readable.
    #[inline(always)]
    unsafe fn new<const P: usize>(panel: *const f32) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let whole = if MR > 0 { _mm512_loadu_ps(panel) } else { _mm512_setzero_ps() };
            let shared = repeated::<P>(panel.wrapping_add(Self::widths::<P>().0));
            Sums { whole: [whole; MR], shared: [shared; N] }
        }
    }

    /// Adds `run` elements of the pixels' runs from `k` on times the weights from `w` on. `each` are the pixels of whole vectors.
    ///
    /// # Safety
    /// The CPU has AVX-512F; they are readable.
    #[inline(always)]
    unsafe fn add_run<const P: usize>(
        &mut self,
        a: &impl Pixels,
        each: &[*const f32; MR],
        mut w: *const f32,
        mut k: usize,
        run: usize,
    ) {
        let (whole, nr) = Self::widths::<P>();
        let end = k + run;
        // SAFETY: as the caller promises.
        unsafe {
            while k + 4 <= end {
                let (mut x, mut y) = ([_mm512_setzero_ps(); N], [_mm512_setzero_ps(); MR]);
                unroll!(n < N => { if P > 1 || spreads::<P>(n) { x[n] = quads::<P>(a, n, k); } });
                unroll!(m < MR => { if spreads::<P>(m) { y[m] = quads::<1>(&Anywhere::<1, MR>(*each), m, k); } });
                macro_rules! step {
                    ($j:literal) => {
                        let w = w.wrapping_add($j * nr);
                        let b = if MR > 0 { _mm512_loadu_ps(w) } else { _mm512_setzero_ps() };
                        for m in 0..MR {
                            let x = if spreads::<P>(m) {
                                spread::<$j>(y[m])
                            } else {
                                _mm512_set1_ps(*each[m].wrapping_add(k + $j))
                            };
                            self.whole[m] = _mm512_fmadd_ps(x, b, self.whole[m]);
                        }
                        let b = repeated::<P>(w.wrapping_add(whole));
                        for n in 0..N {
                            let x =
                                if P > 1 || spreads::<P>(n) { spread::<$j>(x[n]) } else { singles::<P>(a, n, k + $j) };
                            self.shared[n] = _mm512_fmadd_ps(x, b, self.shared[n]);
                        }
                        in_order::<F32x16>();
                    };
                }
                step!(0);
                step!(1);
                step!(2);
                step!(3);
                w = w.wrapping_add(4 * nr);
                k += 4;
            }
            while k < end {
                let b = if MR > 0 { _mm512_loadu_ps(w) } else { _mm512_setzero_ps() };
                unroll!(m < MR => { self.whole[m] = _mm512_fmadd_ps(_mm512_set1_ps(*each[m].wrapping_add(k)), b, self.whole[m]); });
                let b = repeated::<P>(w.wrapping_add(whole));
                unroll!(n < N => { self.shared[n] = _mm512_fmadd_ps(singles::<P>(a, n, k), b, self.shared[n]); });
                w = w.wrapping_add(nr);
                k += 1;
            }
        }
    }

    /// Clamps the sums, and stores those of `count` pixels where `out` says.
    ///
    /// # Safety
    /// The CPU has AVX-512F; there is room for `last` channels of each, those of the whole vector among them.
    #[inline(always)]
    unsafe fn finish<const P: usize>(mut self, t: &Tile, count: usize, out: impl Fn(usize) -> *mut f32) {
        let (lanes, whole) = (16 / P, Self::widths::<P>().0);
        let stored = ((1u32 << (t.last - whole)) - 1) as __mmask16;
        // SAFETY: as the caller promises; other lanes are masked.
        unsafe {
            if t.clamp != NO_CLAMP {
                let (lo, hi) = (_mm512_set1_ps(t.clamp.0), _mm512_set1_ps(t.clamp.1));
                // A sum that is no number stays one: the second operand is what an unordered comparison gives.
                for y in self.whole.iter_mut().chain(&mut self.shared) {
                    *y = _mm512_min_ps(hi, _mm512_max_ps(lo, *y));
                }
            }
            for (m, y) in self.whole.into_iter().enumerate() {
                _mm512_storeu_ps(out(m), y);
            }
            for n in 0..N {
                for i in 0..P {
                    if n * P + i < count {
                        let out = out(n * P + i).wrapping_add(whole).wrapping_sub(i * lanes);
                        _mm512_mask_storeu_ps(out, stored << (i * lanes), self.shared[n]);
                    }
                }
            }
        }
    }
}

/// `N` vectors of pixels that follow each other, from pixel `first` on.
///
/// # Safety
/// As [`micro`]; there are so many pixels.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn line<const P: usize, const N: usize>(t: &Tile, first: usize) {
    let (a, out) = (first * t.input_step, first * t.output_step + t.channel);
    let (a, out) = (Line::<P>(t.input.wrapping_add(a), t.input_step), t.output.wrapping_add(out));
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let mut sums = Sums::<0, N>::new::<P>(t.panel);
        sums.add_run::<P>(&a, &[], t.panel.wrapping_add(16 / P), t.shift, t.run);
        sums.finish::<P>(t, N * P, |m| out.wrapping_add(m * t.output_step));
    }
}

/// A tile of `MR` pixels by itself, `W` of them with whole vectors: all or none.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn tile<const P: usize, const MR: usize, const N: usize, const W: usize>(t: &Tile, index: usize) {
    let nr = Sums::<W, N>::widths::<P>().1;
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let mut sums = Sums::<W, N>::new::<P>(t.panel);
        let w = t.panel.wrapping_add(nr);
        if t.pointers.is_null() {
            let segments = if t.row.is_null() { 1 } else { t.segments };
            for s in 0..segments {
                let line = RowTap { offset: 0, input: t.input, first: 0, last: 0 };
                let tap = if t.row.is_null() { &line } else { &*t.row.add(s) };
                let mut a = [tap.input.wrapping_add(index * t.next[0]); MR];
                for m in 1..MR {
                    a[m] = opaque(a[m - 1].wrapping_add(t.input_step));
                }
                if tap.first + tap.last > 0 {
                    for m in 0..MR {
                        if m < tap.first || m >= MR - tap.last {
                            a[m] = t.zeros;
                        }
                    }
                }
                let each = core::array::from_fn(|m| a[m]);
                sums.add_run::<P>(&Anywhere::<P, MR>(a), &each, w.wrapping_add(tap.offset * nr), t.shift, t.run);
            }
            let first = t.output.wrapping_add(index * t.next[1] + t.channel);
            sums.finish::<P>(t, MR, |m| first.wrapping_add(m * t.output_step));
        } else {
            for s in 0..t.segments {
                let mut a = [t.zeros; MR];
                for (m, a) in a.iter_mut().enumerate() {
                    *a = *t.pointers.add(s * MR + m);
                }
                let each = core::array::from_fn(|m| a[m]);
                let w = w.wrapping_add(*t.offsets.add(s) * nr);
                sums.add_run::<P>(&Anywhere::<P, MR>(a), &each, w, t.shift, t.run);
            }
            sums.finish::<P>(t, MR, |m| (*t.out.add(m)).add(t.channel));
        }
    }
}

/// [`line`] by vectors, from one on.
struct Lines<const P: usize>;

impl<const P: usize> Lines<P> {
    #[rustfmt::skip]
    const ALL: [unsafe fn(&Tile, usize); MOST] = [
        line::<P, 1>, line::<P, 2>, line::<P, 3>, line::<P, 4>, line::<P, 5>, line::<P, 6>,
        line::<P, 7>, line::<P, 8>, line::<P, 9>, line::<P, 10>, line::<P, 11>, line::<P, 12>,
    ];
}

/// The micro-kernel for tiles of `MR` pixels, which share `N` vectors of `P`, `W` of them with a whole vector beside: all or none.
///
/// # Safety
/// As [`crate::kernel::igemm_nhwc::micro`], for one panel.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn micro<const P: usize, const MR: usize, const N: usize, const W: usize>(t: &Tile) {
    const { assert!(MR.div_ceil(P) == N && (W == 0 || W == MR)) };
    let vectors = t.tiles * MR / P;
    // SAFETY: by the contract of `Tile`. Tiles of a line follow each other; what is left behind full vectors is moved back over pixels
    // that are computed twice.
    unsafe {
        if W == 0 && t.pointers.is_null() && t.row.is_null() && vectors > 0 {
            let mut first = 0;
            while first < vectors {
                let count = (vectors - first).div_ceil((vectors - first).div_ceil(MOST));
                Lines::<P>::ALL[count - 1](t, first * P);
                first += count;
            }
            if !(t.tiles * MR).is_multiple_of(P) {
                line::<P, 1>(t, t.tiles * MR - P);
            }
        } else {
            for index in 0..t.tiles {
                tile::<P, MR, N, W>(t, index);
            }
        }
    }
}

/// Up to eight channels: two pixels in a vector.
#[rustfmt::skip]
pub(super) static EIGHT: [Micro; 14] = [
    micro::<2, 1, 1, 0>, micro::<2, 2, 1, 0>, micro::<2, 3, 2, 0>, micro::<2, 4, 2, 0>, micro::<2, 5, 3, 0>,
    micro::<2, 6, 3, 0>, micro::<2, 7, 4, 0>, micro::<2, 8, 4, 0>, micro::<2, 9, 5, 0>, micro::<2, 10, 5, 0>,
    micro::<2, 11, 6, 0>, micro::<2, 12, 6, 0>, micro::<2, 13, 7, 0>, micro::<2, 14, 7, 0>,
];

/// Up to four channels: four pixels in a vector.
#[rustfmt::skip]
pub(super) static FOUR: [Micro; 14] = [
    micro::<4, 1, 1, 0>, micro::<4, 2, 1, 0>, micro::<4, 3, 1, 0>, micro::<4, 4, 1, 0>, micro::<4, 5, 2, 0>,
    micro::<4, 6, 2, 0>, micro::<4, 7, 2, 0>, micro::<4, 8, 2, 0>, micro::<4, 9, 3, 0>, micro::<4, 10, 3, 0>,
    micro::<4, 11, 3, 0>, micro::<4, 12, 3, 0>, micro::<4, 13, 4, 0>, micro::<4, 14, 4, 0>,
];

/// Up to 24 channels: a vector of each pixel, and one of two pixels.
#[rustfmt::skip]
pub(super) static TWENTY_FOUR: [Micro; 14] = [
    micro::<2, 1, 1, 1>, micro::<2, 2, 1, 2>, micro::<2, 3, 2, 3>, micro::<2, 4, 2, 4>, micro::<2, 5, 3, 5>,
    micro::<2, 6, 3, 6>, micro::<2, 7, 4, 7>, micro::<2, 8, 4, 8>, micro::<2, 9, 5, 9>, micro::<2, 10, 5, 10>,
    micro::<2, 11, 6, 11>, micro::<2, 12, 6, 12>, micro::<2, 13, 7, 13>, micro::<2, 14, 7, 14>,
];

/// Up to 20 channels: a vector of each pixel, and one of four pixels; tiles of ten pixels, which leave registers for [`spreads`].
#[rustfmt::skip]
pub(super) static TWENTY: [Micro; 10] = [
    micro::<4, 1, 1, 1>, micro::<4, 2, 1, 2>, micro::<4, 3, 1, 3>, micro::<4, 4, 1, 4>, micro::<4, 5, 2, 5>,
    micro::<4, 6, 2, 6>, micro::<4, 7, 2, 7>, micro::<4, 8, 2, 8>, micro::<4, 9, 3, 9>, micro::<4, 10, 3, 10>,
];

/// Up to 16 channels: a vector of each pixel.
#[rustfmt::skip]
pub(super) static SIXTEEN: [Micro; 14] = [
    micro::<1, 1, 1, 0>, micro::<1, 2, 2, 0>, micro::<1, 3, 3, 0>, micro::<1, 4, 4, 0>, micro::<1, 5, 5, 0>,
    micro::<1, 6, 6, 0>, micro::<1, 7, 7, 0>, micro::<1, 8, 8, 0>, micro::<1, 9, 9, 0>, micro::<1, 10, 10, 0>,
    micro::<1, 11, 11, 0>, micro::<1, 12, 12, 0>, micro::<1, 13, 13, 0>, micro::<1, 14, 14, 0>,
];
