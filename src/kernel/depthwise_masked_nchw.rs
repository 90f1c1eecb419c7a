//! Depthwise convolution, channels before rows, multiplier 1, stride 1, any padding, any dilation: every tap is a load from the image.
//!
//! Vectors run along a row of the image, weights are scalars. What is under a tap is loaded where it lies, by a mask that leaves
//! zeros for the columns outside of the image, so that neither padding nor dilation needs a copy of the plane or shifts in registers:
//!
//! ```text
//! for each plane, for each of the images that a dilated kernel sees, for each block of R of its output rows  (micro-kernel)
//!     for each NV vectors of the row                                                                      (tile)
//!         acc[R][NV] = bias
//!         for each kernel column that is inside the image somewhere
//!             w[K] = the column's weights, one lane to all
//!             for each input row y of the block's windows that is inside the image
//!                 x[NV] = input[y][column..], by mask
//!                 acc[r][v] += x[v] * w[y - r]   for all r that meet there
//!         clamp, store
//! ```
//!
//! Dilated rows are those of `dilation` images one in another, of which a block takes one; dilated columns lie further apart.
//!
//! Tile: R = 4 to 8 rows of NV = 1 or 2 vectors, the height that wastes least. Registers on AVX-512: 16 accumulators, K = 3 to 7 weights,
//! 2 inputs: 25 at most, and a mask for each vector. Loads per multiply-add, 3x3 with R = 8: 10 for 24, of which most cross a cache line
//! and count twice, where two aligned ones take a cycle as two multiply-adds do. Bound by the multiply units if loads of whole vectors
//! are that fast, and by empty lanes: `OW` over whole vectors.
//!
//! 3x3 kernels, whose weights fit in registers, go by rows of the image instead of columns of the kernel: then one test of whether a row
//! is inside serves nine multiply-adds, and masks stay in registers where a row is one tile.
//!
//! The first cache serves two loads a cycle on cores that do not split long vectors, and only for those do the costs choose this; others
//! copy planes with their padding, in half vectors ([`super::depthwise_padded_nchw`]). Dense kernels padded by half their size shift rows
//! in registers ([`super::depthwise_nchw`]), with fewer instructions.
//!
//! Measured 2026-11-30, one Zen 5 core (143 GMAC/s), AVX-512, percent of peak: 3x3 dilated by 2 on maps 56, 28 and 14 wide 38, 58, 55; by
//! 4 on 28 64; by 12 on 65 61; 5x5 dilated by 2 on 28 and 14 75, 69; 7x7 on 56, 28 and 14 81, 83, 74.

use super::depthwise_padded_nchw::differs_from;
use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::vector::{Masked, Vector};
use core::ops::Range;

/// Planes for the micro-kernel, of one image.
pub(crate) struct Planes {
    /// Element (0, 0) of the first plane, and the distances between rows and planes.
    pub input: *const f32,
    pub in_row: usize,
    pub in_plane: usize,
    /// Rows and columns of the input, and of padding above and to the left.
    pub h: usize,
    pub w: usize,
    pub top: usize,
    pub left: usize,
    /// Columns of the kernel, and distances between its rows and columns.
    pub kw: usize,
    pub dilation: [usize; 2],
    /// Element (0, 0) of the first output plane, and the distances between rows and planes.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_plane: usize,
    /// The output rows to compute, and all columns.
    pub rows: Range<usize>,
    pub ow: usize,
    pub planes: usize,
    /// `[bias][kw][K]` of each plane.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one kernel height and tile.
pub(crate) type Micro = unsafe fn(&Planes);

/// Some rows of one of the images that a dilated kernel sees.
#[derive(Clone, Copy)]
struct Block {
    /// From the plane to column 0 of the first input row of the window, which may be outside the image, and of the first output row.
    input: isize,
    out: usize,
    /// A bit for each input row of the window that is inside the image.
    inside: u32,
    /// Rows to store.
    count: usize,
}

impl Block {
    const NONE: Block = Block { input: 0, out: 0, inside: 0, count: 0 };

    /// Block `index` of `most` rows at most, for kernels of `k` rows; `None` behind the last.
    fn new(t: &Planes, k: usize, most: usize, index: usize) -> Option<Block> {
        // Each of the images has as many blocks as the first, whose rows are no fewer; the last ones may be left without a row.
        let step = t.dilation[0];
        let images = step.min(t.rows.len());
        let blocks = t.rows.len().div_ceil(step).div_ceil(most);
        let (image, block) = (index / blocks, index % blocks);
        if image >= images {
            return None;
        }
        let first = t.rows.start + image;
        let rows = (t.rows.end - first).div_ceil(step);
        let (each, more) = (rows / blocks, rows % blocks);
        let oy = first + (block * each + block.min(more)) * step;
        let y = oy as isize - t.top as isize;
        // Far dilated kernels may reach beyond any address.
        let below = |row: usize| isize::try_from(row.saturating_mul(step)).ok()?.checked_add(y);
        let inside = |row: usize| below(row).is_some_and(|y| usize::try_from(y).is_ok_and(|y| y < t.h));
        Some(Block {
            input: y.wrapping_mul(t.in_row as isize),
            out: oy.wrapping_mul(t.out_row),
            inside: (0..most + k - 1).map(|row| u32::from(inside(row)) << row).sum(),
            count: each + usize::from(block < more),
        })
    }
}

/// The micro-kernel for kernels of `K` rows, blocks of `R` output rows x `NV` (1 or 2) vectors. `ONE`: a row is one tile.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says; the kernel has three columns if `K` is 3.
#[inline(always)]
#[rustfmt::skip]
pub(crate) unsafe fn micro<V: Masked, const K: usize, const R: usize, const NV: usize, const ONE: bool>(t: &Planes) {
    // What planes have in common is found once: masks and blocks.
    // SAFETY: as the caller promises.
    let edge = unsafe { Edge::<V, NV>::new(t, 0) };
    let mut edges = [edge; 8];
    if K == 3 && !ONE {
        for (i, edge) in edges.iter_mut().enumerate().skip(1).take_while(|(i, _)| i * NV * V::LANES < t.ow) {
            // SAFETY: as the caller promises.
            *edge = unsafe { Edge::new(t, i * NV * V::LANES) };
        }
    }
    let mut blocks = [Block::NONE; 16];
    let mut index = 0;
    loop {
        let mut found = 0;
        while found < blocks.len()
            && let Some(block) = Block::new(t, K, R, index)
        {
            blocks[found] = block;
            found += 1;
            index += 1;
        }
        for plane in 0..t.planes {
            let (input, out) = (t.input.wrapping_add(plane * t.in_plane), t.out.wrapping_add(plane * t.out_plane));
            let weights = t.weights.wrapping_add(plane * (K * t.kw + 1));
            // SAFETY: as the caller promises.
            unsafe {
                if K == 3 {
                    let w = Held::new(weights);
                    for b in &blocks[..found] {
                        let at = At { t, b, input: input.wrapping_offset(b.input), out: out.wrapping_add(b.out) };
                        if ONE {
                            tile_by_rows::<V, R, NV>(&at, &w, 0, &edge);
                        } else {
                            row_by_rows::<V, R, NV>(&at, &w, &edges);
                        }
                    }
                } else {
                    for b in &blocks[..found] {
                        let at = At { t, b, input: input.wrapping_offset(b.input), out: out.wrapping_add(b.out) };
                        row_by_columns::<V, K, R, NV>(&at, weights);
                    }
                }
            }
        }
        if found < blocks.len() {
            break;
        }
    }
}

/// A block of a plane: column 0 of the first input row of its window and of its first output row.
struct At<'a> {
    t: &'a Planes,
    b: &'a Block,
    input: *const f32,
    out: *mut f32,
}

/// The bias and the weights of a 3x3 kernel, by columns.
struct Held<V> {
    bias: V,
    w: [[V; 3]; 3],
}

impl<V: Vector> Held<V> {
    /// # Safety
    /// `weights` points to `[bias][3][3]`.
    #[inline(always)]
    unsafe fn new(weights: *const f32) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            let mut w = [[V::zero(); 3]; 3];
            for (tap, w) in w.as_flattened_mut().iter_mut().enumerate() {
                *w = V::splat(*weights.add(1 + tap));
            }
            Held { bias: V::splat(*weights), w }
        }
    }
}

/// All tiles of a row of blocks, 3x3; `edges` are the masks of the first ones.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn row_by_rows<V: Masked, const R: usize, const NV: usize>(at: &At<'_>, w: &Held<V>, edges: &[Edge<V, NV>; 8]) {
    for i in 0..at.t.ow.div_ceil(NV * V::LANES) {
        let x = i * NV * V::LANES;
        // SAFETY: as the caller promises.
        unsafe {
            let further;
            let edge = match edges.get(i) {
                Some(edge) => edge,
                None => {
                    further = Edge::new(at.t, x);
                    &further
                }
            };
            if NV == 2 && at.t.ow - x <= V::LANES {
                let edge = Edge { inputs: edge.inputs.map(|m| [m[0]]), out: [edge.out[0]] };
                tile_by_rows::<V, R, 1>(at, w, x, &edge);
            } else {
                tile_by_rows::<V, R, NV>(at, w, x, edge);
            }
        }
    }
}

/// All tiles of a row of blocks, other kernels.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn row_by_columns<V: Masked, const K: usize, const R: usize, const NV: usize>(at: &At<'_>, weights: *const f32) {
    let mut x = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while NV == 2 && at.t.ow - x > V::LANES {
            tile_by_columns::<V, K, R, 2>(at, weights, x);
            x += (2 * V::LANES).min(at.t.ow - x);
        }
        while x < at.t.ow {
            tile_by_columns::<V, K, R, 1>(at, weights, x);
            x += V::LANES.min(at.t.ow - x);
        }
    }
}

/// The lanes of a tile of `NV` vectors that are inside the image, of inputs from `column` on.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn lanes_inside<V: Masked, const NV: usize>(t: &Planes, column: isize) -> [V::Mask; NV] {
    let lanes = |at: isize, v: usize| (at - (v * V::LANES) as isize).clamp(0, V::LANES as isize) as usize;
    // SAFETY: as the caller promises.
    core::array::from_fn(|v| unsafe {
        let hi = lanes(t.w as isize - column, v);
        V::mask(lanes(-column, v).min(hi), hi)
    })
}

/// Masks of a tile: of the inputs under the columns of a 3x3 kernel, and of the outputs.
#[derive(Clone, Copy)]
struct Edge<V: Masked, const NV: usize> {
    inputs: [[V::Mask; NV]; 3],
    out: [V::Mask; NV],
}

impl<V: Masked, const NV: usize> Edge<V, NV> {
    /// For the tile at output column `x`.
    ///
    /// # Safety
    /// The CPU has the tier of `V`.
    #[inline(always)]
    unsafe fn new(t: &Planes, x: usize) -> Self {
        // SAFETY: as the caller promises.
        unsafe {
            Edge {
                inputs: core::array::from_fn(|kx| lanes_inside::<V, NV>(t, column(t, x, kx))),
                out: lanes_of_outputs::<V, NV>(t, x),
            }
        }
    }
}

/// The lanes of a tile of `NV` vectors from output column `x` on that are outputs.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn lanes_of_outputs<V: Masked, const NV: usize>(t: &Planes, x: usize) -> [V::Mask; NV] {
    // SAFETY: as the caller promises.
    core::array::from_fn(|v| unsafe { V::mask(0, (t.ow - x).saturating_sub(v * V::LANES).min(V::LANES)) })
}

/// The column of the image under kernel column `kx` at output column `x`.
#[inline(always)]
fn column(t: &Planes, x: usize, kx: usize) -> isize {
    x as isize - t.left as isize + (kx * t.dilation[1]) as isize
}

/// One tile, from output column `x` on, by rows of the image.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn tile_by_rows<V: Masked, const R: usize, const NV: usize>(
    at: &At<'_>,
    w: &Held<V>,
    x: usize,
    edge: &Edge<V, NV>,
) {
    let t = at.t;
    // SAFETY: as the caller promises: rows are inside the image or left out, columns outside are masked.
    unsafe {
        let mut acc = [[w.bias; NV]; R];
        let mut p = at.input.wrapping_offset(column(t, x, 0));
        unroll!(y < R + 2 => {
            if at.b.inside & (1 << y) != 0 {
                add_taps::<V, R, NV>(&mut acc, p, t.dilation[1], &edge.inputs, &w.w, y);
            }
            p = p.wrapping_add(t.in_row.wrapping_mul(t.dilation[0]));
        });
        let _ = p;
        store(at, &mut acc, x, &edge.out);
    }
}

/// Adds the taps of a row of the image, `apart` columns apart from `p` on; `y` is a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_taps<V: Masked, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    p: *const f32,
    apart: usize,
    masks: &[[V::Mask; NV]; 3],
    w: &[[V; 3]; 3],
    y: usize,
) {
    for kx in 0..3 {
        // SAFETY: as the caller promises.
        unsafe { add_row::<V, 3, R, NV>(acc, load(p.wrapping_add(kx * apart), &masks[kx]), &w[kx], y) };
    }
}

/// # Safety
/// As [`micro`]; columns outside of the image are not in the masks.
#[inline(always)]
unsafe fn load<V: Masked, const NV: usize>(p: *const f32, masks: &[V::Mask; NV]) -> [V; NV] {
    // SAFETY: as the caller promises.
    core::array::from_fn(|v| unsafe { V::load_masked(p.wrapping_add(v * V::LANES), masks[v]) })
}

/// Clamps and stores a tile's rows.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn store<V: Masked, const R: usize, const NV: usize>(
    at: &At<'_>,
    acc: &mut [[V; NV]; R],
    x: usize,
    masks: &[V::Mask; NV],
) {
    let t = at.t;
    // SAFETY: as the caller promises.
    unsafe {
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for y in acc.as_flattened_mut() {
                *y = y.at_least(lo).at_most(hi);
            }
        }
        let mut out = at.out.wrapping_add(x);
        unroll!(r < R => {
            if r < at.b.count {
                for v in 0..NV {
                    acc[r][v].store_masked(out.wrapping_add(v * V::LANES), masks[v]);
                }
            }
            out = out.wrapping_add(t.out_row.wrapping_mul(t.dilation[0]));
        });
        let _ = out;
    }
}

/// One tile, from output column `x` on, by columns of the kernel.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn tile_by_columns<V: Masked, const K: usize, const R: usize, const NV: usize>(
    at: &At<'_>,
    weights: *const f32,
    x: usize,
) {
    let t = at.t;
    // SAFETY: as the caller promises: rows are inside the image or left out, columns outside are masked.
    unsafe {
        let mut acc = [[V::splat(*weights); NV]; R];
        for kx in 0..t.kw {
            let column = column(t, x, kx);
            if column > -((NV * V::LANES) as isize) && column < t.w as isize {
                let masks = lanes_inside::<V, NV>(t, column);
                let w = weights.wrapping_add(1 + kx * K);
                add_column::<V, K, R, NV>(&mut acc, at, at.input.wrapping_offset(column), &masks, w);
            }
        }
        store(at, &mut acc, x, &lanes_of_outputs::<V, NV>(t, x));
    }
}

/// Adds one column of the kernel, whose tap of the tile's first pixel in the first row of the window is at `x`.
///
/// # Safety
/// As [`micro`]; columns outside of the image are not in the masks.
#[inline(always)]
unsafe fn add_column<V: Masked, const K: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    at: &At<'_>,
    mut x: *const f32,
    masks: &[V::Mask; NV],
    weights: *const f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut w = [V::zero(); K];
        unroll!(ky < K => { w[ky] = V::splat(*weights.add(ky)); });
        unroll!(y < R + K - 1 => {
            if at.b.inside & (1 << y) != 0 {
                add_row::<V, K, R, NV>(acc, load(x, masks), &w, y);
            }
            x = x.wrapping_add(at.t.in_row.wrapping_mul(at.t.dilation[0]));
        });
        let _ = x;
    }
}

/// Adds a row of inputs to all outputs that it belongs to, by a column of the kernel; `y` is a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_row<V: Masked, const K: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    xs: [V; NV],
    w: &[V; K],
    y: usize,
) {
    unroll!(r < R => {
        if y >= r && y - r < K {
            for v in 0..NV {
                // SAFETY: as the caller promises.
                acc[r][v] = unsafe { acc[r][v].mul_add(xs[v], w[y - r]) };
            }
        }
    });
}

/// The algorithm with a tier's micro-kernels for one kernel height.
pub(crate) struct DepthwiseMasked {
    pub lanes: usize,
    /// Kernel rows.
    pub k: usize,
    /// Micro-kernels for blocks of [`LEAST_ROWS`] rows and more, by the widest row, in outputs, that they are for.
    pub widths: &'static [(usize, &'static [Micro])],
}

/// Rows of the smallest blocks.
const LEAST_ROWS: usize = 4;

impl DepthwiseMasked {
    /// The micro-kernel whose blocks take least time, and their rows.
    fn micro(&self, p: &Problem) -> (Micro, usize) {
        let micros = self.widths.iter().find(|w| p.ow <= w.0).map_or(&[][..], |w| w.1);
        let rows = p.oh.div_ceil(p.shape.dilation[0]);
        // A block's multiply-adds, and the time of some more that it takes beside.
        let cost = |i: &usize| rows.div_ceil(LEAST_ROWS + i) * ((LEAST_ROWS + i) * p.k() + 16);
        let best = (0..micros.len()).min_by_key(cost).unwrap_or(0);
        (micros[best], LEAST_ROWS + best)
    }

    /// Output rows of a unit of work: all, if there are planes enough.
    fn band(&self, p: &Problem) -> usize {
        let s = &p.shape;
        if s.groups >= 16 { p.oh } else { self.micro(p).1.saturating_mul(s.dilation[0]).min(p.oh) }
    }
}

impl Algorithm for DepthwiseMasked {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if let Some(reason) = differs_from(p, self.k) {
            Some(reason)
        } else if self.k == 3 && p.shape.kw != 3 {
            Some("computes another kernel width")
        } else if p.shape.stride != [1, 1] {
            Some("computes stride 1")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        // A fraction or a multiple of the multiply-adds, as `depthwise_padded_nchw` has it, which says why the number of rows must not
        // matter. Going by way of channels last is faster on narrow maps, and for large kernels where more than a quarter of the lanes
        // are empty.
        let lanes = p.ow.div_ceil(self.lanes) * self.lanes;
        let full = match (self.k, p.shape.dilation) {
            (3, [1, 1]) => p.ow >= 8,
            (3, _) => p.ow >= 5,
            _ => 10 * lanes <= 13 * p.ow,
        };
        let cost = if p.long_datapath && full { 0.06 } else { 60.0 };
        cost * (p.shape.n * p.shape.c_out * p.oh * p.ow.div_ceil(self.lanes)) as f64 * p.k() as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        source.depthwise(p.shape.groups, |tap| (tap % p.shape.kh, tap / p.shape.kh))
    }

    fn scratch_len(&self, _: &Problem) -> usize {
        0
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.shape.groups * p.oh.div_ceil(self.band(p))
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        let band = self.band(p);
        let bands = p.oh.div_ceil(band);
        // Outputs are finished while they are in the first cache.
        let plane = p.oh * p.ow * size_of::<f32>();
        let most = if job.finish.is_some() { (p.caches.l1 / 2 / plane).max(1) } else { usize::MAX };
        let units = part.range(s.n * s.groups * bands);
        let mut unit = units.start;
        while unit < units.end {
            let (plane, y) = (unit / bands, unit % bands * band);
            let (image, channel) = (plane / s.groups, plane % s.groups);
            let count = if bands == 1 { (units.end - unit).min(s.groups - channel).min(most) } else { 1 };
            // SAFETY: units are inside the output, and those of this part are its own.
            unsafe { self.planes(job, image, channel..channel + count, y..p.oh.min(y + band)) };
            unit += count;
        }
    }
}

impl DepthwiseMasked {
    /// Computes some rows of some planes.
    ///
    /// # Safety
    /// As [`Algorithm::run`]; the rows and planes are inside the output and belong to the part.
    unsafe fn planes(&self, job: &Job<'_>, image: usize, planes: Range<usize>, rows: Range<usize>) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        // SAFETY: as the caller promises.
        unsafe {
            self.micro(p).0(&Planes {
                input: job.input.wrapping_add(image * i.image + planes.start * i.channel),
                in_row: i.row,
                in_plane: i.channel,
                h: s.h,
                w: s.w,
                top: s.padding.top,
                left: s.padding.left,
                kw: s.kw,
                dilation: s.dilation,
                out: job.output.add(image * o.image + planes.start * o.channel),
                out_row: o.row,
                out_plane: o.channel,
                rows: rows.clone(),
                ow: p.ow,
                planes: planes.len(),
                weights: job.weights.add(planes.start * (p.k() + 1)),
                clamp: job.clamp,
            });
            job.finish_rows(image, planes, rows);
        }
    }
}
