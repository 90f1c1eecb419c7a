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
//! Rows of up to three vectors are one tile, of 4 to 7 rows of one or two vectors or 3 to 5 of three. Longer ones are tiles of two, the last
//! of two or three; their blocks have R or R - 1 rows, so that any height from R (R - 1) on divides without rest. A tile of one vector has
//! few sums, which wait for each other, and costs nearly as much as one of two: so it is left to rows of one vector, where 5x5 kernels
//! sum every second column apart. Only tiles at the end load by mask, and beyond both ends vectors are zero without a load.
//!
//! Registers of 3x3 on AVX-512, R = 4, NV = 2: 8 accumulators, 9 weights, 2 inputs with their neighbours, 2 shifted. Per input row, 18
//! multiply-adds on average, 3 to 4 loads, 4 shifts. With NV = 3 12 accumulators, and 15 of 5x5 with R = 5, whose weights are loaded for each
//! row. Bound by the multiply units, and by empty lanes: `OW` over whole vectors.
//!
//! Measured 2026-12-01, one Zen 5 core (143 GMAC/s), AVX-512, percent of peak: 3x3 on maps 112, 56, 40, 28, 14 wide 67 (64 from the third
//! cache), 71 (55), 73, 74, 68; stride 2 on 128, 80, 56, 28 wide ones 35, 42, 49, 39; 5x5 on 80, 56, 40, 28, 14 wide ones 82, 65 (third
//! cache), 75, 80, 73. One Zen 4 core (59.1 GMAC/s), 2026-11-28, before the tiles of three vectors, 3x3 on maps 112, 56, 28, 14 wide 86,
//! 79, 84, 83; stride 2 43, 53, 53 from 112 to 28. Rows of up to eight outputs have a micro-kernel of their own.
//!
//! Other padding, dilated kernels, and AVX2, which has half the registers and shifts of two instructions, go by
//! [`super::depthwise_padded_nchw`].

use super::depthwise_taps_nchw::{Edge, Vectors, taps, vectors};
use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Masked;

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
pub(super) const FIRST: u8 = 1;
pub(super) const LAST: u8 = 2;

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
}

impl Planes {
    /// The blocks of a plane, of `most` rows at most, and as alike as they can be.
    #[inline(always)]
    fn blocks(&self, plane: usize, most: usize, stride: usize) -> impl Iterator<Item = Block> {
        let blocks = self.rows.len().div_ceil(most);
        let (each, more) = (self.rows.len() / blocks, self.rows.len() % blocks);
        let input = self.input.wrapping_add(plane * self.in_plane);
        let out = self.out.wrapping_add(plane * self.out_plane);
        let mut oy = self.rows.start;
        (0..blocks).map(move |b| {
            let count = each + usize::from(b < more);
            let y = (oy * stride) as isize - self.top as isize;
            let block = Block {
                input: input.wrapping_offset(y * self.in_row as isize),
                in_row: self.in_row,
                inside: rows_inside(self.h as isize, y),
                out: out.wrapping_add(oy * self.out_row),
                out_row: self.out_row,
                count,
                clamp: self.clamp,
            };
            oy += count;
            block
        })
    }
}

/// The micro-kernel for a `K` x `K` kernel with stride `S` (1 or 2), padded by `(K - 1) / 2` columns to the left and to the right
/// so that outputs are inputs over stride, rounded up: for rows of more than three vectors. Blocks have `R` rows or at most `R1`.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn micro<V: Masked, const K: usize, const S: usize, const R: usize, const R1: usize>(t: &Planes) {
    // SAFETY: as the caller promises. Masks are those of all planes.
    unsafe {
        let edge = Edge::<V, S>::new(t, (t.ow - 1) / V::LANES * V::LANES);
        for plane in 0..t.planes {
            let filter = Filter::<V, K>::new(t.weights.add(plane * (K * K + 1)));
            for block in t.blocks(plane, R, S) {
                if block.count == R {
                    row::<V, K, S, R>(t.ow, &block, &filter, &edge);
                } else {
                    row::<V, K, S, R1>(t.ow, &block, &filter, &edge);
                }
            }
        }
    }
}

/// The same where a row is one tile, of one or two vectors: 4 to 7 rows.
///
/// # Safety
/// As [`micro`]; rows have more than `NV - 1` vectors, and `NV` at most.
#[inline(always)]
pub(crate) unsafe fn narrow<V: Masked, const K: usize, const S: usize, const NV: usize>(t: &Planes) {
    // SAFETY: as the caller promises. The masks of a row of one tile are those of all planes.
    unsafe {
        let edge = Edge::<V, S>::new(t, (NV - 1) * V::LANES);
        for plane in 0..t.planes {
            let filter = Filter::<V, K>::new(t.weights.add(plane * (K * K + 1)));
            for block in t.blocks(plane, 7, S) {
                match block.count {
                    7 => tile::<V, K, S, 7, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    6 => tile::<V, K, S, 6, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    5 => tile::<V, K, S, 5, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    _ => tile::<V, K, S, 4, NV, { FIRST | LAST }>(&block, &filter, 0, &edge),
                }
            }
        }
    }
}

/// The same with three vectors: 3 to 5 rows.
///
/// # Safety
/// As [`narrow`].
#[inline(always)]
pub(crate) unsafe fn three<V: Masked, const K: usize, const S: usize>(t: &Planes) {
    // SAFETY: as the caller promises. The masks of a row of one tile are those of all planes.
    unsafe {
        let edge = Edge::<V, S>::new(t, 2 * V::LANES);
        for plane in 0..t.planes {
            let filter = Filter::<V, K>::new(t.weights.add(plane * (K * K + 1)));
            for block in t.blocks(plane, 5, S) {
                match block.count {
                    5 => tile::<V, K, S, 5, 3, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    4 => tile::<V, K, S, 4, 3, { FIRST | LAST }>(&block, &filter, 0, &edge),
                    _ => tile::<V, K, S, 3, 3, { FIRST | LAST }>(&block, &filter, 0, &edge),
                }
            }
        }
    }
}

/// All tiles of a block: of two vectors, the last one of three if fewer would be left for another.
///
/// # Safety
/// As [`micro`]; `edge` is that of the last vector.
#[inline(always)]
#[rustfmt::skip]
unsafe fn row<V: Masked, const K: usize, const S: usize, const R: usize>(
    ow: usize,
    b: &Block,
    f: &Filter<V, K>,
    edge: &Edge<V, S>,
) {
    let wide = 2 * V::LANES;
    // SAFETY: as the caller promises.
    unsafe {
        tile::<V, K, S, R, 2, FIRST>(b, f, 0, edge);
        let mut x = wide;
        while ow - x > wide + V::LANES {
            tile::<V, K, S, R, 2, 0>(b, f, x, edge);
            x += wide;
        }
        if ow - x > wide {
            tile::<V, K, S, R, 3, LAST>(b, f, x, edge);
        } else {
            tile::<V, K, S, R, 2, LAST>(b, f, x, edge);
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
        // Of one vector, those under every second column of the kernel are summed apart: a row has too few sums to wait for each other.
        let mut acc = [[[f.bias; NV]; R], [[V::zero(); NV]; R]];
        let mut p = t.input.wrapping_add(x * S);
        unroll!(y < (R - 1) * S + K => {
            if t.inside & (1 << y) != 0 {
                let xs = vectors::<V, K, S, NV, EDGE>(p, edge);
                add_row(&mut acc, f, &xs, y);
            }
            p = p.wrapping_add(t.in_row);
        });
        let _ = p;
        let [mut acc, odd] = acc;
        if apart(K, NV) {
            unroll!(r < R => {
                for v in 0..NV {
                    acc[r][v] = acc[r][v].add(odd[r][v]);
                }
            });
        }
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
    acc: &mut [[[V; NV]; R]; 2],
    f: &Filter<V, K>,
    row: &Vectors<V, S, NV>,
    y: usize,
) {
    unroll!(kx < K => {
        let acc = &mut acc[if apart(K, NV) { kx % 2 } else { 0 }];
        // SAFETY: as the caller promises.
        unsafe { add_column::<V, K, S, R, NV>(acc, f, taps::<V, K, S, NV>(row, kx), y, kx) }
    });
}

/// Whether tiles of `NV` vectors sum every second column of the kernel apart.
const fn apart(k: usize, nv: usize) -> bool {
    k > 3 && nv == 1
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
        // so many lanes are empty that going by way of channels last is faster.
        let vectors = p.ow.div_ceil(self.lanes) as f64;
        let empty = match [self.k, self.stride] {
            [3, s] => p.ow <= 5 - s,
            [_, 1] => matches!(p.ow, 0..=6 | 9..=12 | 17..=20),
            _ => p.ow <= 5,
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
