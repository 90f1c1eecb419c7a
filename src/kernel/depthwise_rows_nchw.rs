//! Depthwise 3x3, channels before rows, multiplier 1: blocks of rows of the image itself, from its left to its right.
//!
//! Vectors run along a row. The nine weights of a plane stay in registers, and the driver's only work per plane is to say where it
//! is: nothing is copied, so that the caches are asked for what comes next while there is something to multiply.
//!
//! ```text
//! for each plane                                                     (micro-kernel)
//!     w[3][3] = the weights, one lane to all
//!     for each block of R output rows                                (block)
//!         for each vector of the rows, from left to right            (tile)
//!             acc[R] = bias
//!             for each input row y of the block's windows
//!                 left, middle, right = the vectors of the row under the three kernel columns
//!                 acc[r] += left * w[y - r * S][0] + middle * w[..][1] + right * w[..][2]   for all r that meet there
//!             clamp, store
//! ```
//!
//! Rows above and below the image are a row of zeros. The last vector of a row is moved back to where it ends, over outputs that are
//! computed twice, and so is the last block of a plane if three rows are left; one or two are blocks of their own. A row of less than a
//! vector is stored whole where the next ones are written after it.
//!
//! The columns before and after a row are the neighbouring rows' ends, where rows follow each other: they are loaded and made zero.
//! In the first and the last plane, and where there are gaps, a zero is shifted in, in registers. On maps 14 wide that saves 13 %.
//!
//! With stride 2, even and odd columns of two vectors are parted by one shuffle each, which leaves quarters out of place; all sums
//! are in that order, and it is mended once per output. The left column is the even ones of the same two vectors a column earlier.
//!
//! What an input row adds is summed by itself: three multiply-adds follow each other, where nine for one output would keep more
//! of them waiting than a core can have under way. 3x3 on 112 x 112 took 6.1 cycles per vector in place of 7.8.
//!
//! Registers with AVX2: 9 weights, R sums, two columns, one product: 16 at R = 4. Loads per multiply-add: 18 for 36 with stride 1 and
//! R = 4, where those askew take the time of two; 20 for 18 with stride 2 and R = 2, beside 15 shuffles, which share a port with
//! multiply-adds. Bound by the instructions that are issued, some 80 for a tile of 36 multiply-adds, of which four per cycle are reached;
//! with stride 2 by loads askew.
//!
//! AVX-512 has [`super::depthwise_nchw`], which takes a row's columns from registers, NEON `depthwise_planes_nchw`, which takes them from
//! lanes and reads each row once.
//!
//! Tried without gain: storing each row when it is done (5 to 25 % slower: stores take the turns of multiply-adds), down a plane in
//! strips of one vector (weights do not fit beside the sums of three rows), with stride 2 the left column from sums shifted once per output,
//! 5x5 and 7x7 a kernel column at a time (5x5 4 to 7 % faster than with copied planes on maps 14 and 56 wide, slower below, 7x7 level);
//! the bias kept as a vector, one address for all output rows, blocks of three rows beside those of four and two (8 to 15 % slower: the
//! tile takes all registers for addresses, and the compiler finds a worse order).
//!
//! Measured 2026-11-29, one Zen 3 core (51.7 GMAC/s), AVX2, percent of peak: 3x3 stride 1 76, 74, 57, 51 and 37 on maps 112, 56, 28, 14
//! and 7 wide; stride 2 37, 32, 31 and 21 from 112, 56, 28 and 14.

use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Parted;
use core::ops::Range;

/// Rows of some planes for the micro-kernel.
pub(crate) struct Planes {
    pub planes: usize,
    /// The image's first row, rows and columns, the distances between rows and planes.
    pub input: *const f32,
    pub h: usize,
    pub w: usize,
    pub in_row: usize,
    pub in_plane: usize,
    /// The first row of the first output's window; negative in the padding.
    pub first: isize,
    /// A row outside of the image.
    pub zeros: *const f32,
    /// The first output, the distances between rows and planes, rows and columns.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_plane: usize,
    pub rows: usize,
    pub ow: usize,
    /// Outputs after the first one that are this call's own: up to there, more than a row may be written before the next is.
    pub own: usize,
    /// Whether the last output's window reaches a column beyond the image.
    pub beyond: bool,
    /// Whether rows and planes follow each other without gaps, so that what lies before or after a row may be loaded too, and
    /// whether the first plane is the input's first and the last one its last, of which that does not hold.
    pub dense: bool,
    pub begins: bool,
    pub ends: bool,
    /// `[bias][3][3]` of each plane.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one stride and number of rows.
pub(crate) type Micro = unsafe fn(&Planes);

/// A plane's weights, one lane to all, and its bias.
struct Filter<V> {
    taps: [[V; 3]; 3],
    bias: *const f32,
}

/// Where the vectors of a tile are in their rows.
mod at {
    pub(super) const MIDDLE: u8 = 0;
    pub(super) const BEGIN: u8 = 1;
    pub(super) const END: u8 = 2;
    /// A row is one vector.
    pub(super) const BOTH: u8 = BEGIN | END;
    /// A row is less than a vector.
    pub(super) const NARROW: u8 = 4;
}

/// Input rows of the largest block.
const MOST_ROWS: usize = 9;

/// The micro-kernel for stride `S` (1 or 2) and blocks of `R` output rows.
///
/// # Safety
/// The CPU has the tier of `V`. Rows of the image and of zeros are readable, outputs writable.
#[inline(always)]
pub(crate) unsafe fn micro<V: Parted, const S: usize, const R: usize>(t: &Planes) {
    const { assert!((R - 1) * S + 3 <= MOST_ROWS) };
    // SAFETY: as the caller promises.
    unsafe {
        let masks = if S == 1 {
            [V::first(t.w - 1), V::zero()]
        } else {
            [V::first(t.w), V::first(t.w.max(V::LANES) - V::LANES)]
        };
        for plane in 0..t.planes {
            let bias = t.weights.add(plane * 10);
            let mut taps = [[V::zero(); 3]; 3];
            for tap in 0..9 {
                taps[tap / 3][tap % 3] = V::splat(*bias.add(1 + tap));
            }
            let filter = Filter { taps, bias };
            let input = t.input.add(plane * t.in_plane);
            let alone = !t.dense || t.begins && plane == 0 || t.ends && plane + 1 == t.planes;
            if alone {
                blocks::<V, S, R, false>(t, input, &filter, &masks, plane * t.out_plane);
            } else {
                blocks::<V, S, R, true>(t, input, &filter, &masks, plane * t.out_plane);
            }
        }
    }
}

/// The rows of a plane in blocks of `R`, and of two or one where no more are left. Its first output is `out` floats after that of all
/// planes.
///
/// # Safety
/// As [`micro`]; with `AMONG`, what lies before and after each row is readable, a vector of it.
#[inline(always)]
unsafe fn blocks<V: Parted, const S: usize, const R: usize, const AMONG: bool>(
    t: &Planes,
    input: *const f32,
    filter: &Filter<V>,
    masks: &[V; 2],
    out: usize,
) {
    let mut y = 0;
    while y < t.rows {
        let left = t.rows - y;
        // SAFETY: as the caller promises.
        unsafe {
            if left >= R || left > 2 && t.rows >= R {
                block::<V, S, R, AMONG>(t, input, y.min(t.rows - R), filter, masks, out);
                y += R;
            } else if R > 2 && left >= 2 {
                block::<V, S, 2, AMONG>(t, input, y, filter, masks, out);
                y += 2;
            } else {
                block::<V, S, 1, AMONG>(t, input, y, filter, masks, out);
                y += 1;
            }
        }
    }
}

/// `R` output rows from row `y` on.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn block<V: Parted, const S: usize, const R: usize, const AMONG: bool>(
    t: &Planes,
    input: *const f32,
    y: usize,
    filter: &Filter<V>,
    masks: &[V; 2],
    out: usize,
) {
    let mut rows = [t.zeros; MOST_ROWS];
    for (r, row) in rows.iter_mut().enumerate().take((R - 1) * S + 3) {
        // Negative ones are beyond all rows.
        let at = t.first.wrapping_add((y * S + r) as isize) as usize;
        if at < t.h {
            *row = input.wrapping_add(at * t.in_row);
        }
    }
    let out = out + y * t.out_row;
    // SAFETY: as the caller promises; all vectors are inside the rows.
    unsafe {
        let ends = S == 1 || t.beyond;
        let Some(last) = t.ow.checked_sub(V::LANES) else {
            return if ends {
                tile::<V, S, R, AMONG, { at::NARROW | at::END }>(t, &rows, filter, masks, 0, out);
            } else {
                tile::<V, S, R, AMONG, { at::NARROW }>(t, &rows, filter, masks, 0, out);
            };
        };
        if last == 0 && ends {
            return tile::<V, S, R, AMONG, { at::BOTH }>(t, &rows, filter, masks, 0, out);
        }
        tile::<V, S, R, AMONG, { at::BEGIN }>(t, &rows, filter, masks, 0, out);
        let mut x = V::LANES;
        while x < last {
            tile::<V, S, R, AMONG, { at::MIDDLE }>(t, &rows, filter, masks, x, out);
            x += V::LANES;
        }
        if ends {
            tile::<V, S, R, AMONG, { at::END }>(t, &rows, filter, masks, last, out);
        } else if last > 0 {
            tile::<V, S, R, AMONG, { at::MIDDLE }>(t, &rows, filter, masks, last, out);
        }
    }
}

/// A vector of each of `R` rows, from column `x` on, `AT` the beginning, the end or the middle of them.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn tile<V: Parted, const S: usize, const R: usize, const AMONG: bool, const AT: u8>(
    t: &Planes,
    rows: &[*const f32; MOST_ROWS],
    filter: &Filter<V>,
    masks: &[V; 2],
    x: usize,
    mut out: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [V::splat(*filter.bias); R];
        unroll!(y < (R - 1) * S + 3 => {
            let row = (*rows.as_ptr().add(y)).wrapping_add(x * S);
            let columns = if AT & at::NARROW > 0 {
                narrow::<V, S, AMONG, AT>(t.w, row, masks)
            } else {
                columns::<V, S, AMONG, AT>(row)
            };
            add_row::<V, S, R>(&mut acc, &columns, &filter.taps, y);
        });
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for y in &mut acc {
                *y = y.at_least(lo).at_most(hi);
            }
        }
        for y in acc {
            let y = if S == 1 { y } else { y.settle() };
            if AT & at::NARROW > 0 && out + V::LANES > t.own {
                y.store_first(t.out.add(out), t.ow);
            } else {
                y.store(t.out.add(out + x));
            }
            out += t.out_row;
        }
    }
}

/// The inputs under the three kernel columns, of which `p` points to the first one's middle.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn columns<V: Parted, const S: usize, const AMONG: bool, const AT: u8>(p: *const f32) -> [V; 3] {
    // SAFETY: as the caller promises; a column before the first or after the last one is loaded only among other inputs.
    unsafe {
        // The vector a column before one, and that a column after one.
        let before = |x: V, p: *const f32| match (AT & at::BEGIN > 0, AMONG) {
            (false, _) => V::load(p.sub(1)),
            (true, false) => x.after_zero(),
            (true, true) => V::load_but_first(p.sub(1)),
        };
        let after = |x: V, p: *const f32| match (AT & at::END > 0, AMONG) {
            (false, _) => V::load(p.add(1)),
            (true, false) => x.before_zero(),
            (true, true) => V::load_but_last(p.add(1)),
        };
        if S == 1 {
            let middle = V::load(p);
            [before(middle, p), middle, after(middle, p)]
        } else {
            let (low, high_left) = (V::load(p), V::load(p.add(V::LANES - 1)));
            let high = after(high_left, p.add(V::LANES - 1));
            let ((left, _), (middle, right)) = (before(low, p).part(high_left), low.part(high));
            [left, middle, right]
        }
    }
}

/// The same of rows of `w` columns and less than a vector of outputs, whose lanes beyond may be anything.
///
/// # Safety
/// As [`blocks`].
#[inline(always)]
unsafe fn narrow<V: Parted, const S: usize, const AMONG: bool, const AT: u8>(
    w: usize,
    p: *const f32,
    masks: &[V; 2],
) -> [V; 3] {
    // SAFETY: as the caller promises; columns before the first or after the last one are loaded only among other inputs.
    unsafe {
        // Those from column `from` on; if the last window reaches beyond the image, only those that are inside.
        let some = |from: usize, mask: V| match (AMONG, AT & at::END > 0) {
            (true, false) => V::load(p.wrapping_add(from)),
            (true, true) => V::load(p.wrapping_add(from)).and(mask),
            (false, _) => V::load_range(p.wrapping_add(from), 0, w.saturating_sub(from).min(V::LANES)),
        };
        // Those from column `from` on that only lanes beyond use otherwise.
        let any = |from: usize| {
            if AMONG { V::load(p.wrapping_add(from)) } else { some(from, V::zero()) }
        };
        let before = |x: V| if AMONG { V::load_but_first(p.sub(1)) } else { x.after_zero() };
        if S == 1 {
            let middle = any(0);
            let right = if AMONG { some(1, masks[0]) } else { middle.before_zero() };
            [before(middle), middle, right]
        } else {
            let (low, high) = (some(0, masks[0]), some(V::LANES, masks[1]));
            let ((left, _), (middle, right)) = (before(low).part(any(V::LANES - 1)), low.part(high));
            [left, middle, right]
        }
    }
}

/// Adds a row of inputs to all outputs that it belongs to; `y` is a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_row<V: Parted, const S: usize, const R: usize>(
    acc: &mut [V; R],
    [left, middle, right]: &[V; 3],
    taps: &[[V; 3]; 3],
    y: usize,
) {
    unroll!(r < R => {
        if y >= r * S && y - r * S < 3 {
            let w = &taps[y - r * S];
            // SAFETY: as the caller promises.
            acc[r] = unsafe {
                if y == r * S {
                    acc[r].mul_add(*left, w[0]).mul_add(*middle, w[1]).mul_add(*right, w[2])
                } else {
                    acc[r].add(left.mul(w[0]).mul_add(*middle, w[1]).mul_add(*right, w[2]))
                }
            };
        }
    });
}

/// The algorithm with a tier's micro-kernels for one stride.
pub(crate) struct DepthwiseRows {
    pub lanes: usize,
    pub stride: usize,
    /// Columns from which on it is better than what copies planes or goes by way of channels last.
    pub least_columns: usize,
    pub micro: Micro,
    /// A micro-kernel with blocks of more rows, which takes whole planes of so many rows at once.
    pub tall: Option<(usize, Micro)>,
}

impl DepthwiseRows {
    /// Columns that the last output's window reaches beyond the image.
    fn beyond(&self, p: &Problem) -> isize {
        ((p.ow - 1) * self.stride + 3) as isize - (p.shape.padding.left + p.shape.w) as isize
    }

    /// Fewest outputs of a row: from there on a row of inputs fills a vector, but for one column.
    fn least(&self) -> usize {
        self.lanes / 2
    }

    /// Floats of a row of zeros, of which the last tile reads whole vectors.
    fn zeros(&self, p: &Problem) -> usize {
        p.shape.w + 3 * self.lanes
    }

    /// The micro-kernel for so many rows.
    fn micro(&self, rows: usize) -> Micro {
        match &self.tall {
            Some((tall, micro)) if *tall == rows => *micro,
            _ => self.micro,
        }
    }
}

impl Algorithm for DepthwiseRows {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else if p.ow < self.least() {
            Some("computes rows of half a vector or more")
        } else if p.shape.padding.left != 1 || self.beyond(p) > 1 || self.stride == 1 && self.beyond(p) < 1 {
            Some("computes windows that reach a column beyond the image")
        } else {
            p.differs_from(3, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        // The least of all that can compute a shape, or the most, however many rows of it: as `depthwise_padded_nchw` says.
        let cost = if p.ow < self.least_columns { 60.0 } else { 0.04 };
        cost * (p.shape.n * p.shape.c_out * p.oh * p.ow.div_ceil(self.lanes)) as f64 * p.k() as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        source.depthwise(p.shape.groups, |tap| (tap / 3, tap % 3))
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        self.zeros(p)
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.shape.groups * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        // SAFETY: scratch has so many floats. All units are inside the output; those of this part are its own.
        unsafe {
            job.scratch.write_bytes(0, self.zeros(p));
            let mut own = part.range(s.n * s.groups * p.oh);
            while !own.is_empty() {
                let (plane, y) = (own.start / p.oh, own.start % p.oh);
                let (image, channel) = (plane / s.groups, plane % s.groups);
                // Whole planes by one call; but outputs are finished while they are in the first cache.
                let most = if job.finish.is_some() { p.caches.l1 / 4 / size_of::<f32>() / p.ow } else { usize::MAX };
                let (planes, rows) = if y == 0 && own.len() >= p.oh && most >= p.oh {
                    ((own.len() / p.oh).min(s.groups - channel).min(most / p.oh), p.oh)
                } else {
                    (1, own.len().min(p.oh - y).min(most.max(MOST_ROWS)))
                };
                self.rows(job, image, channel..channel + planes, y..y + rows);
                own.start += planes * rows;
            }
        }
    }
}

impl DepthwiseRows {
    /// Computes rows of some planes of an image: all of them, if there are several.
    ///
    /// # Safety
    /// As [`Algorithm::run`]; the rows belong to the part, and scratch is a row of zeros.
    unsafe fn rows(&self, job: &Job<'_>, image: usize, planes: Range<usize>, rows: Range<usize>) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let dense_inputs = i.row == s.w && i.channel == s.h * s.w && (s.n == 1 || i.image == s.groups * i.channel);
        let dense_outputs = o.row == p.ow && (planes.len() == 1 || o.channel == p.oh * p.ow);
        // SAFETY: as the caller promises. Columns of tiles are counted from the middle of a window, which is inside the image; the
        // row of zeros begins with one before it.
        unsafe {
            (self.micro(rows.len()))(&Planes {
                planes: planes.len(),
                input: job.input.add(image * i.image + planes.start * i.channel),
                h: s.h,
                w: s.w,
                in_row: i.row,
                in_plane: i.channel,
                first: p.origin(rows.start, 0).0,
                zeros: job.scratch.add(1),
                out: job.output.add(image * o.image + planes.start * o.channel + rows.start * o.row),
                out_row: o.row,
                out_plane: o.channel,
                rows: rows.len(),
                ow: p.ow,
                own: if dense_outputs { planes.len() * rows.len() * p.ow } else { 0 },
                beyond: self.beyond(p) > 0,
                dense: dense_inputs && s.h * s.w >= 2 * self.lanes,
                begins: planes.start == 0 && image == 0,
                ends: planes.end == s.groups && image + 1 == s.n,
                weights: job.weights.add(planes.start * (p.k() + 1)),
                clamp: job.clamp,
            });
            job.finish_rows(image, planes, rows);
        }
    }
}
