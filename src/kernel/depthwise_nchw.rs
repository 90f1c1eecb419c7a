//! Depthwise convolution, channels before rows, multiplier 1.
//!
//! Vectors run along a row of the image, weights are scalars. A load that crosses a cache line takes the time of three here,
//! and of the taps of a row all but one lie askew; so a row is loaded once, where it lies, and its taps are shifts in
//! registers, which a third unit does beside the two that multiply. All output rows of a block take them from there.
//!
//! ```text
//! for each plane, for each block of R output rows                          (micro-kernel)
//!     for each tile of NV vectors of the row
//!         acc[R][NV] = bias
//!         for each input row of the window that is inside the image
//!             x[NV] = the row, by phase of the stride; and its neighbours to both sides
//!             for each kernel column kx
//!                 s[NV] = x shifted by the tap
//!                 acc[r][v] += s[v] * w[ky][kx]   for all (r, ky) that meet there
//!         clamp, store
//! ```
//!
//! Blocks have R or R - 1 rows, so that any height above five divides without rest. The end of a row that is at most half a vector
//! wide is computed in half vectors. Only tiles at its end load by mask, and beyond both ends vectors are zero without a load.
//!
//! Registers of 3x3 on AVX-512, R = 4, NV = 2: 8 accumulators, 9 weights, 2 inputs with their neighbours, 2 shifted. Per input row, 18
//! multiply-adds on average, 3 to 4 loads, 4 shifts. Bound by the multiply units, and by empty lanes: `OW` over whole half
//! vectors.
//!
//! Measured 2026-11-28, one Zen 4 core (59.1 GMAC/s), AVX-512, maps 112, 56, 28, 14 wide: 3x3 stride 1 86, 79, 84, 83 % of peak;
//! stride 2 43, 53, 53 % from 112 to 28; 2026-11-30, one Zen 5 core (143 GMAC/s), maps 56, 28, 14 wide: 3x3 stride 1 57 (from the
//! third cache), 71, 67 %, 5x5 63, 77, 66 %. Rows of up to eight outputs have a micro-kernel of their own.
//!
//! Other padding, dilated kernels, and AVX2, which has half the registers, no half vectors and shifts of two instructions, go by
//! [`super::depthwise_padded_nchw`].

use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::{Masked, Vector};

/// Planes for the micro-kernel, of one image.
pub(crate) struct Planes {
    /// Element (0, 0) of the first plane, and the distances between rows and planes.
    pub input: *const f32,
    pub in_row: usize,
    pub in_plane: usize,
    /// Rows and columns of the input, and rows of padding above it.
    pub h: usize,
    pub w: usize,
    pub top: usize,
    /// Element (0, 0) of the first output plane, and the distances between rows and planes.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_plane: usize,
    /// The output rows to compute, and all columns.
    pub rows: core::ops::Range<usize>,
    pub ow: usize,
    pub planes: usize,
    /// `[bias][K][K]` of each plane.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

/// A bit for each row of a window that begins at row `y` of an image of `h` rows, if it is inside.
#[inline(always)]
pub(crate) fn rows_inside(h: isize, y: isize) -> u32 {
    (u32::MAX << (-y).clamp(0, 31)) & !(u32::MAX.checked_shl((h - y).clamp(0, 32) as u32).unwrap_or(0))
}

/// A micro-kernel for one kernel size, stride and tile.
pub(crate) type Micro = unsafe fn(&Planes);

/// Where a tile is in the row: somewhere inside, at its start, at its end, or both.
const FIRST: u8 = 1;
const LAST: u8 = 2;

/// One block of rows of one plane.
struct Block {
    /// Column 0 of the first input row of the window; it may be outside the image.
    input: *const f32,
    in_row: usize,
    /// [`rows_inside`] of the window.
    inside: u32,
    out: *mut f32,
    out_row: usize,
    /// Rows to store.
    count: usize,
    clamp: (f32, f32),
}

/// A plane's filter. The weights of a 3x3 are in registers, others at an address.
#[derive(Clone, Copy)]
struct Filter<V: Masked, const K: usize> {
    bias: V,
    held: [[V; K]; K],
    weights: *const f32,
}

impl<V: Masked, const K: usize> Filter<V, K> {
    /// # Safety
    /// `p` points to `[bias][K][K]`.
    #[inline(always)]
    unsafe fn new(p: *const f32) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let weights = p.add(1);
            let mut held = [[V::zero(); K]; K];
            if K == 3 {
                for ky in 0..K {
                    for kx in 0..K {
                        held[ky][kx] = V::splat(*weights.add(ky * K + kx));
                    }
                }
            }
            Filter { bias: V::splat(*p), held, weights }
        }
    }

    #[inline(always)]
    unsafe fn weight(&self, ky: usize, kx: usize) -> V {
        // SAFETY: inside the filter.
        if K == 3 { self.held[ky][kx] } else { unsafe { V::splat(*self.weights.add(ky * K + kx)) } }
    }

    /// The same in half vectors.
    #[inline(always)]
    unsafe fn half(&self) -> Filter<V::Half, K> {
        // SAFETY: the CPU has the tier of `V`.
        unsafe {
            let mut held = [[V::Half::zero(); K]; K];
            for ky in 0..K {
                for kx in 0..K {
                    held[ky][kx] = self.held[ky][kx].half();
                }
            }
            Filter { bias: self.bias.half(), held, weights: self.weights }
        }
    }
}

/// The micro-kernel for a `K` x `K` kernel with stride `S` (1 or 2), padded by `(K - 1) / 2` columns to the left and to the right
/// so that outputs are inputs over stride, rounded up. Blocks have `R` rows or at most `R1`. `NARROW`: a row is one tile, of more
/// than `NV - 1` vectors.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
#[rustfmt::skip]
pub(crate) unsafe fn micro<
    V: Masked, const K: usize, const S: usize, const R: usize, const R1: usize, const NV: usize, const NARROW: bool,
>(
    t: &Planes,
) {
    // SAFETY: as the caller promises. The masks of a row of one tile are those of all planes.
    let edge = unsafe { Edge::<V, S>::new(t, if NARROW { (NV - 1) * V::LANES } else { 0 }) };
    let blocks = t.rows.len().div_ceil(R);
    let (each, more) = (t.rows.len() / blocks, t.rows.len() % blocks);
    let (h, in_row, top) = (t.h as isize, t.in_row, t.top);
    for plane in 0..t.planes {
        // SAFETY: as the caller promises.
        let filter = unsafe { Filter::<V, K>::new(t.weights.add(plane * (K * K + 1))) };
        let input = t.input.wrapping_add(plane * t.in_plane);
        let out = t.out.wrapping_add(plane * t.out_plane);
        let mut oy = t.rows.start;
        for b in 0..blocks {
            let count = each + usize::from(b < more);
            let y = (oy * S) as isize - top as isize;
            let block = Block {
                input: input.wrapping_offset(y * in_row as isize),
                in_row,
                inside: rows_inside(h, y),
                out: out.wrapping_add(oy * t.out_row),
                out_row: t.out_row,
                count,
                clamp: t.clamp,
            };
            // SAFETY: as the caller promises.
            unsafe {
                match (NARROW, R == R1 || count == R) {
                    (true, true) => tile::<V, K, S, R, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    (true, false) => tile::<V, K, S, R1, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    (false, true) => row::<V, K, S, R, NV>(t, &block, &filter),
                    (false, false) => row::<V, K, S, R1, NV>(t, &block, &filter),
                }
            }
            oy += count;
        }
    }
}

/// All tiles of a block.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn row<V: Masked, const K: usize, const S: usize, const R: usize, const NV: usize>(
    t: &Planes,
    b: &Block,
    f: &Filter<V, K>,
) {
    let (wide, half) = (NV * V::LANES, V::Half::LANES);
    let has_half = half < V::LANES;
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = 0;
        while t.ow - x > wide {
            let edge = Edge::new(t, x + wide - V::LANES);
            if x == 0 {
                tile::<V, K, S, R, NV, FIRST>(b, f, x, &edge);
            } else {
                tile::<V, K, S, R, NV, 0>(b, f, x, &edge);
            }
            x += wide;
        }
        if NV > 1 && has_half && t.ow - x > V::LANES && t.ow - x <= V::LANES + half {
            let edge = Edge::new(t, x);
            if x == 0 {
                tile::<V, K, S, R, 1, FIRST>(b, f, x, &edge);
            } else {
                tile::<V, K, S, R, 1, 0>(b, f, x, &edge);
            }
            x += V::LANES;
        }
        let left = t.ow - x;
        if has_half && left <= half {
            tile::<V::Half, K, S, R, 1, LAST>(b, &f.half(), x, &Edge::new(t, x));
        } else if NV > 1 && left <= V::LANES {
            tile::<V, K, S, R, 1, LAST>(b, f, x, &Edge::new(t, x));
        } else {
            let edge = Edge::new(t, x + wide - V::LANES);
            if x == 0 {
                tile::<V, K, S, R, NV, { FIRST | LAST }>(b, f, x, &edge);
            } else {
                tile::<V, K, S, R, NV, LAST>(b, f, x, &edge);
            }
        }
    }
}

/// One tile, from output column `x` on.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn tile<V: Masked, const K: usize, const S: usize, const R: usize, const NV: usize, const EDGE: u8>(
    t: &Block,
    f: &Filter<V, K>,
    x: usize,
    edge: &Edge<V, S>,
) {
    // SAFETY: as the caller promises: rows are inside the image or left out, columns outside are masked or zero.
    unsafe {
        let mut acc = [[f.bias; NV]; R];
        let mut p = t.input.wrapping_add(x * S);
        unroll!(y < (R - 1) * S + K => {
            if t.inside & (1 << y) != 0 {
                let xs = vectors::<V, K, S, NV, EDGE>(p, edge);
                add_row(&mut acc, f, &xs, y);
            }
            p = p.wrapping_add(t.in_row);
        });
        let _ = p;
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for y in acc.as_flattened_mut() {
                *y = y.at_least(lo).at_most(hi);
            }
        }
        let mut out = t.out.wrapping_add(x);
        unroll!(r < R => {
            if r < t.count {
                for v in 0..NV {
                    let out = out.wrapping_add(v * V::LANES);
                    if EDGE & LAST == 0 || v + 1 < NV {
                        acc[r][v].store(out);
                    } else {
                        acc[r][v].store_masked(out, edge.out);
                    }
                }
            }
            out = out.wrapping_add(t.out_row);
        });
        let _ = out;
    }
}

/// Adds row `y` of the window, a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_row<V: Masked, const K: usize, const S: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    f: &Filter<V, K>,
    row: &Vectors<V, S, NV>,
    y: usize,
) {
    // SAFETY: as the caller promises.
    unroll!(kx < K => { unsafe { add_column::<V, K, S, R, NV>(acc, f, taps::<V, K, S, NV>(row, kx), y, kx) } });
}

/// Adds the inputs `x` of a row of outputs under column `kx` of the kernel.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_column<V: Masked, const K: usize, const S: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    f: &Filter<V, K>,
    x: [V; NV],
    y: usize,
    kx: usize,
) {
    unroll!(r < R => {
        if y >= r * S && y - r * S < K {
            let ky = y - r * S;
            // SAFETY: as the caller promises.
            acc[r] = unsafe { mul_add_all(acc[r], x, f.weight(ky, kx)) };
        }
    });
}

/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn mul_add_all<V: Masked, const NV: usize>(mut acc: [V; NV], x: [V; NV], w: V) -> [V; NV] {
    // SAFETY: as the caller promises.
    unroll!(v < NV => { acc[v] = unsafe { acc[v].mul_add(x[v], w) }; });
    acc
}

/// A row under a tile, by phase of the stride: the vector before it, those of the tile, the one after it.
struct Vectors<V: Masked, const S: usize, const NV: usize> {
    before: [V; S],
    xs: [[V; NV]; S],
    after: [V; S],
}

/// Masks of a tile's last vector: of the outputs, and of its inputs and of those after them.
struct Edge<V: Masked, const S: usize> {
    out: V::Mask,
    last: [V::Mask; S],
    after: V::Mask,
}

impl<V: Masked, const S: usize> Edge<V, S> {
    /// For the vector at output column `x`.
    ///
    /// # Safety
    /// The CPU has the tier of `V`.
    #[inline(always)]
    unsafe fn new(t: &Planes, x: usize) -> Self {
        let from = |column: usize| t.w.saturating_sub(column).min(V::LANES);
        // SAFETY: as the caller promises.
        unsafe {
            Edge {
                out: V::mask(0, (t.ow - x).min(V::LANES)),
                last: core::array::from_fn(|i| V::mask(0, from(x * S + i * V::LANES))),
                after: V::mask(0, from((x + V::LANES) * S)),
            }
        }
    }
}

/// Loads the row from `p` on.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn vectors<V: Masked, const K: usize, const S: usize, const NV: usize, const EDGE: u8>(
    p: *const f32,
    edge: &Edge<V, S>,
) -> Vectors<V, S, NV> {
    // SAFETY: columns outside are masked at the end, and not read before the start.
    unsafe {
        let load = |v: usize| {
            let p = p.wrapping_add(v * V::LANES);
            if v == NV * S {
                V::load_masked(p, edge.after)
            } else if EDGE & LAST != 0 && v >= (NV - 1) * S {
                V::load_masked(p, edge.last[v - (NV - 1) * S])
            } else {
                V::load(p)
            }
        };
        let zero = V::zero();
        let mut r = Vectors { before: [zero; S], xs: [[zero; NV]; S], after: [zero; S] };
        unroll!(v < NV => {
            r.xs[0][v] = load(v * S);
            if S == 2 {
                (r.xs[0][v], r.xs[S - 1][v]) = r.xs[0][v].deinterleave(load(v * S + 1));
            }
        });
        if EDGE & FIRST == 0 {
            r.before[S - 1] = V::load(p.wrapping_sub(V::LANES));
            if S == 2 {
                (r.before[0], r.before[S - 1]) = zero.deinterleave(r.before[S - 1]);
            }
        }
        // With stride 2 and a 3x3 kernel no tap is right of its pixel's pair of columns.
        if (K - 1) / 2 >= S && EDGE & LAST == 0 {
            r.after[0] = load(NV * S);
            if S == 2 {
                (r.after[0], r.after[S - 1]) = r.after[0].deinterleave(zero);
            }
        }
        r
    }
}

/// The inputs under kernel column `kx`, a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn taps<V: Masked, const K: usize, const S: usize, const NV: usize>(
    t: &Vectors<V, S, NV>,
    kx: usize,
) -> [V; NV] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [V::zero(); NV];
        unroll!(v < NV => { x[v] = tap::<V, K, S, NV>(t, v, kx); });
        x
    }
}

/// The inputs of vector `v` under kernel column `kx`, both constants where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn tap<V: Masked, const K: usize, const S: usize, const NV: usize>(
    t: &Vectors<V, S, NV>,
    v: usize,
    kx: usize,
) -> V {
    // Columns from the tile's first one on, counted from the phases of the vector before it.
    let column = kx + 4 * S - (K - 1) / 2;
    let (shift, phase) = (column / S, column % S);
    let xs = &t.xs[phase];
    // SAFETY: as the caller promises.
    unsafe {
        if shift < 4 {
            shifted(if v == 0 { t.before[phase] } else { xs[v - 1] }, xs[v], V::LANES - (4 - shift))
        } else {
            shifted(xs[v], if v + 1 < NV { xs[v + 1] } else { t.after[phase] }, shift - 4)
        }
    }
}

/// Lanes `n..` of `x`, then those of `next`; `n` is a constant where this is inlined.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn shifted<V: Masked>(x: V, next: V, n: usize) -> V {
    // SAFETY: as the caller promises.
    unsafe {
        match n {
            0 => x,
            1 => x.shift_in::<1>(next),
            2 => x.shift_in::<2>(next),
            3 => x.shift_in::<3>(next),
            5 => x.shift_in::<5>(next),
            6 => x.shift_in::<6>(next),
            7 => x.shift_in::<7>(next),
            13 => x.shift_in::<13>(next),
            14 => x.shift_in::<14>(next),
            _ => x.shift_in::<15>(next),
        }
    }
}

/// The algorithm with a tier's micro-kernels for one kernel size and stride.
pub(crate) struct DepthwiseNchw {
    pub lanes: usize,
    /// Kernel rows and columns, and stride.
    pub k: usize,
    pub stride: usize,
    /// Micro-kernels by the widest row, in outputs, that they are for.
    pub widths: &'static [(usize, Micro)],
    /// Output rows of a block, where parts are rows.
    pub rows: usize,
}

impl DepthwiseNchw {
    /// Blocks of output rows of an image, where parts are rows.
    fn blocks(&self, p: &Problem) -> usize {
        p.oh.div_ceil(self.rows)
    }

    /// Whether parts are planes rather than rows.
    fn splits_planes(&self, p: &Problem) -> bool {
        p.shape.groups >= 16
    }
}

impl Algorithm for DepthwiseNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else if let Some(reason) = p.differs_from(self.k, self.stride) {
            Some(reason)
        } else if s.padding.left != (self.k - 1) / 2 || p.ow != s.w.div_ceil(self.stride) {
            Some("computes padding of half the kernel on both sides")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        // Less than all others, `depthwise_padded_nchw` included, which says why the number of rows must not matter; or the most, where
        // so many lanes are empty that going by way of channels last is faster. Rows end in half vectors.
        let vectors = p.ow.div_ceil(self.lanes / 2) as f64 / 2.0;
        let empty = match [self.k, self.stride] {
            [3, s] => p.ow <= 5 - s,
            [_, 1] => matches!(p.ow, 0..=7 | 9..=12 | 17..=20),
            _ => matches!(p.ow, 0..=5 | 17..=20),
        };
        (if empty { 50.0 } else { 0.05 }) * (s.n * s.c_out * p.oh * (p.k() + 1)) as f64 * vectors
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        source.depthwise(p.shape.groups, |tap| (tap / p.shape.kw, tap % p.shape.kw))
    }

    fn scratch_len(&self, _: &Problem) -> usize {
        0
    }

    fn units(&self, p: &Problem) -> usize {
        if self.splits_planes(p) { p.shape.groups } else { p.shape.n * self.blocks(p) }
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        if self.splits_planes(p) {
            let planes = part.range(s.groups);
            // Outputs are finished while they are in the first cache.
            let plane = p.oh * p.ow * size_of::<f32>();
            let most = if job.finish.is_some() { (p.caches.l1 / 2 / plane).max(1) } else { planes.len().max(1) };
            for image in 0..s.n {
                for first in planes.clone().step_by(most) {
                    // SAFETY: all rows of planes of this part.
                    unsafe { self.planes(job, image, first, most.min(planes.end - first), 0..p.oh) };
                }
            }
        } else {
            for unit in part.range(s.n * self.blocks(p)) {
                let (image, y) = (unit / self.blocks(p), unit % self.blocks(p) * self.rows);
                // SAFETY: rows of this part, inside the output.
                unsafe { self.planes(job, image, 0, s.groups, y..p.oh.min(y + self.rows)) };
            }
        }
    }
}

impl DepthwiseNchw {
    /// Computes some rows of some planes.
    ///
    /// # Safety
    /// As [`Algorithm::run`]; the rows and planes are inside the output and belong to the part.
    unsafe fn planes(&self, job: &Job<'_>, image: usize, first: usize, planes: usize, rows: core::ops::Range<usize>) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let Some(&(_, micro)) = self.widths.iter().find(|w| p.ow <= w.0) else { return };
        // SAFETY: as the caller promises.
        unsafe {
            let out = job.output.add(image * o.image + first * o.channel);
            micro(&Planes {
                input: job.input.wrapping_add(image * i.image + first * i.channel),
                in_row: i.row,
                in_plane: i.channel,
                h: s.h,
                w: s.w,
                top: s.padding.top,
                out,
                out_row: o.row,
                out_plane: o.channel,
                rows: rows.clone(),
                ow: p.ow,
                planes,
                weights: job.weights.add(first * (p.k() + 1)),
                clamp: job.clamp,
            });
            job.finish_rows(image, first..first + planes, rows);
        }
    }
}
