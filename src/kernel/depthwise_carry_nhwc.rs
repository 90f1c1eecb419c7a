//! Depthwise convolution, channels last, multiplier 1: along rows, with unfinished sums carried to the next.
//!
//! The tiles of [`super::depthwise_nhwc`] read the rows that two of them share twice, and with stride 2 five rows at once. This
//! kernel reads each row of an image once, `S` rows at a time from the first pixel to the last, in the order in which they lie in
//! memory: what prefetchers follow best. An input row belongs to up to `O` output rows. The sums of the one that ends with it are
//! stored; those of the `O - 1` that go on are carried to the next rows in a buffer.
//!
//! ```text
//! for each strip of columns, for each output row: its last S input rows, for each tile of P pixels    (driver)
//!     for each vector of channels                                                               (micro-kernel)
//!         acc[0..O - 1][P] = carried sums, acc[O - 1][P] = bias
//!         for each of the S input rows that is inside the image
//!             for each input column j of the window that is inside the image
//!                 x = input[row][j]
//!                 acc[o][p] += x * w[ky of o][kx]   for all (o, p, kx) that meet there
//!         clamp, store acc[0]; carry acc[1..O]
//! ```
//!
//! The first `K - S` rows of an image, or of what a thread computes of it, only begin sums. A sum takes its products in the same
//! order whoever carries it.
//!
//! The buffer holds a tile's sums side by side, in the order in which they are used, whatever the distance of pixels: where that
//! is a multiple of 1 KiB, tiles would throw their own lines out of the few sets of the first cache that they share. A strip is
//! as wide as lets its sums stay in the first cache, and a tile at least: scratch is half of that cache, or what a tile
//! carries if that is more, `(O - 1) * P` sums for each channel.
//!
//! Registers: for 3x3 with stride 2, all `2 * P` accumulators, the weights of a row and one input. Otherwise the window's pixels
//! of one input row are kept, and the sums of each output row, `P` of them, pass by with `K` weights or one ([`pass_by`]): 7, 5
//! and 3 for 3x3 with stride 1 and P = 5. Loads per multiply-add: 3x3 with stride 2, P = 4, `(18 + 9 + 4) / 36 = 0.86`; with
//! stride 1, P = 5, `(7 + 9 + 10) / 45 = 0.58`, and a store for every 3; 5x5, P = 4, `(8 + 25 + 16) / 100`, with stride 2
//! `(22 + 25 + 12) / 100`. Bound by the FMA ports in the first caches, by the cache that holds the image beyond.
//!
//! Measured 2026-11-27, one Zen 3 core (49.8 GMAC/s), AVX2, fraction of peak: 3x3 with stride 2 on maps 112, 56, 28 and 14 wide
//! of 64, 128, 192 and 384 channels 47, 45, 43 and 41 % (tiles 40, 40, 41, 36); with 512 channels, 14 wide, 34 (26); stride 1 with
//! 512 channels on 14, 1024 on 7 wide 53, 49 (49, 38); 5x5 with 256 on 28 wide 69 (54), with stride 2 47 (42). 2026-11-30, one Zen 5 core
//! (143 GMAC/s), AVX-512: 3x3 with stride 2 56 wide with 128 channels 31 (strips 27), 28 wide with 256 34 (28).

use super::depthwise_nhwc::{DepthwiseNhwc, Tile, Vectors};
use super::phases::Phase;
use super::window::{AS_THEY_ARE, Columns, add_to_row, finish_tile, inside, load_all, window_row};
use super::{Algorithm, Job, LINE, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;
use core::ops::Range;

/// Tiles that follow each other, for a micro-kernel.
pub(crate) struct Run {
    /// The first.
    pub tile: Tile,
    pub tiles: usize,
    /// Their unfinished sums, tile by tile; in a tile, vector by vector of channels.
    pub carried: *mut f32,
}

/// A micro-kernel for one kernel size, stride and tile.
pub(crate) type Micro = unsafe fn(&Run);

/// The micro-kernel for a `K` x `K` kernel with stride `S`, of whose output rows an input row belongs to `O` at most: tiles of a row
/// with a vector of channels or more; if `BEGIN`, the sums carried to it. `EDGE`: some columns of the window may be outside.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`], for the last `S` rows of the window, or for those before them if `BEGIN`; `carried` has
/// `O - 1` vectors for each pixel and each vector of channels, the last included.
#[inline(always)]
#[rustfmt::skip]
pub(crate) unsafe fn micro<
    V: Vector, const K: usize, const S: usize, const O: usize, const P: usize, const BEGIN: bool, const EDGE: bool,
>(
    run: &Run,
) {
    let t = &run.tile;
    // SAFETY: blocks begin and end inside the channels.
    unsafe {
        let mut at = At::new::<S, BEGIN>(run);
        for _ in 0..run.tiles {
            let Vectors { count, half } = Vectors::new::<V>(t.channels);
            let mut sums = (at.weights, at.carried);
            for vector in 0..count {
                // The last one begins where it ends with the last channel, and computes some again.
                let c = (vector * V::LANES).min(t.channels - V::LANES);
                block::<V, K, S, O, P, BEGIN, EDGE>(t, &at.channel(c, sums.0, sums.1), V::LANES);
                sums = (sums.0.wrapping_add((K * K + 1) * V::LANES), sums.1.wrapping_add((O - 1) * P * V::LANES));
            }
            if half {
                let at = at.channel(t.channels - V::Rest::LANES, sums.0.add(V::LANES - V::Rest::LANES), sums.1);
                block::<V::Rest, K, S, O, P, BEGIN, EDGE>(t, &at, V::LANES);
            }
            at = at.next_tile::<V, S, O, P>(t);
        }
    }
}

/// Where a vector of channels of a tile is: the first pixel of each row of the window, null outside; its outputs; its weights
/// and its carried sums.
#[derive(Clone, Copy)]
struct At<const K: usize> {
    rows: [*const f32; K],
    inside: [bool; K],
    out: *mut f32,
    weights: *const f32,
    carried: *mut f32,
}

impl<const K: usize> At<K> {
    /// The first channels of the first tile, for the last `S` rows of the window, or for those before them if `BEGIN`.
    ///
    /// # Safety
    /// As [`micro`].
    #[inline(always)]
    unsafe fn new<const S: usize, const BEGIN: bool>(run: &Run) -> Self {
        let t = &run.tile;
        let wanted = |y: usize| BEGIN == (y < K - S);
        // SAFETY: there is a pointer for each row of the window.
        let row = |y: usize| unsafe { *t.rows.add(y) };
        let rows = core::array::from_fn(|y| if wanted(y) { row(y) } else { core::ptr::null() });
        At {
            rows,
            inside: rows.map(|row: *const f32| !row.is_null()),
            out: t.out,
            weights: t.weights,
            carried: run.carried,
        }
    }

    /// Those from channel `c` on.
    #[inline(always)]
    fn channel(self, c: usize, weights: *const f32, carried: *mut f32) -> Self {
        At { rows: self.rows.map(|row| row.wrapping_add(c)), out: self.out.wrapping_add(c), weights, carried, ..self }
    }

    /// The first channels of the next tile.
    #[inline(always)]
    fn next_tile<V: Vector, const S: usize, const O: usize, const P: usize>(self, t: &Tile) -> Self {
        At {
            rows: self.rows.map(|row| row.wrapping_add((P * S).wrapping_mul(t.pixel))),
            out: self.out.wrapping_add(P * t.out_pixel),
            carried: self.carried.wrapping_add(t.channels.next_multiple_of(V::LANES) * (O - 1) * P),
            ..self
        }
    }
}

/// A vector of channels of a tile. The packed weights of a tap and the carried sums of a pixel have `pitch` floats, of which `V`
/// takes the first.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn block<
    V: Vector, const K: usize, const S: usize, const O: usize, const P: usize, const BEGIN: bool, const EDGE: bool,
>(
    t: &Tile,
    at: &At<K>,
    pitch: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if O > 2 && !BEGIN {
            unroll!(y < K => {
                if y >= K - S {
                    pass_by::<V, K, S, O, P, EDGE>(t, at, y, pitch);
                }
            });
            return;
        }
        let mut acc = [[V::load(at.weights); P]; O];
        if !BEGIN {
            unroll!(o < O - 1 => { acc[o] = load_all(at.carried.add(o * P * pitch), pitch); });
        }
        unroll!(y < K => {
            if BEGIN == (y < K - S) && at.inside[y] {
                acc = window_row::<V, K, S, O, P, EDGE, false, AS_THEY_ARE>(
                    t, acc, y, at.rows[y], V::LANES, at.weights.add(pitch), [K * pitch, pitch], V::zero(),
                );
            }
        });
        if !BEGIN {
            finish_tile::<V, 1, P>(t, [acc[0]], at.out, V::LANES);
        }
        unroll!(o < O - 1 => {
            unroll!(p < P => { acc[if BEGIN { o } else { o + 1 }][p].store(at.carried.add((o * P + p) * pitch)); });
        });
    }
}

/// Adds row `y` of the window, the last or the one before: its pixels stay in registers, and the sums of each output row that it
/// belongs to pass by. The last row moves sums up by an output row.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn pass_by<
    V: Vector, const K: usize, const S: usize, const O: usize, const P: usize, const EDGE: bool,
>(
    t: &Tile,
    at: &At<K>,
    y: usize,
    pitch: usize,
) {
    // The sums that begin in these rows begin in the last.
    const { assert!(K < (O - 1) * S + 2 || S == 1) };
    let last = y == K - 1;
    // SAFETY: as the caller promises.
    unsafe {
        let inside = at.inside[y];
        if !inside && !last {
            return;
        }
        let mut x = [V::zero(); MOST_COLUMNS];
        if inside {
            x = pixels::<V, K, S, P, EDGE>(t, at.rows[y]);
        }
        unroll!(o < O => {
            if last || y >= o * S {
                let mut acc =
                    if o < O - 1 { load_all(at.carried.add(o * P * pitch), pitch) } else { [V::load(at.weights); P] };
                if inside && y >= o * S {
                    let w = load_all(at.weights.add((1 + (y - o * S) * K) * pitch), pitch);
                    acc = add_row::<V, K, S, P, EDGE>(t, acc, &w, &x);
                }
                if last && o == 0 {
                    finish_tile::<V, 1, P>(t, [acc], at.out, V::LANES);
                } else {
                    store_all(acc, at.carried.add((if last { o - 1 } else { o }) * P * pitch), pitch);
                }
            }
        });
    }
}

/// The most columns of a window that are unrolled.
const MOST_COLUMNS: usize = 24;

/// The pixels of an input row of a tile, those inside.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn pixels<V: Vector, const K: usize, const S: usize, const P: usize, const EDGE: bool>(
    t: &Tile,
    row: *const f32,
) -> [V; MOST_COLUMNS] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [V::zero(); MOST_COLUMNS];
        let mut columns = Columns::new(row, t.pixel);
        unroll!(j < (P - 1) * S + K => {
            let from = columns.next(j);
            if !EDGE || inside::<K, S, P>(t, j) {
                x[j] = V::load(from);
            }
        });
        x
    }
}

/// Adds the pixels of an input row to a row of sums, with the weights of a kernel row.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn add_row<V: Vector, const K: usize, const S: usize, const P: usize, const EDGE: bool>(
    t: &Tile,
    mut acc: [V; P],
    w: &[V; K],
    x: &[V; MOST_COLUMNS],
) -> [V; P] {
    unroll!(j < (P - 1) * S + K => {
        if !EDGE || inside::<K, S, P>(t, j) {
            // SAFETY: as the caller promises.
            unsafe { add_to_row::<V, K, S, P>(&mut acc, w, x[j], j) };
        }
    });
    acc
}

/// Stores vectors from `to` on, `pitch` floats apart.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn store_all<V: Vector, const P: usize>(x: [V; P], to: *mut f32, pitch: usize) {
    // SAFETY: as the caller promises.
    unroll!(p < P => { unsafe { x[p].store(to.add(p * pitch)) }; });
}

/// Micro-kernels of one width, `P`.
pub(crate) struct Width {
    /// `micros[begin][edge]`
    pub micros: [[Micro; 2]; 2],
}

/// The algorithm with a tier's micro-kernels for one kernel size and stride.
pub(crate) struct DepthwiseCarryNhwc {
    pub lanes: usize,
    /// Kernel rows and columns, and stride.
    pub k: usize,
    pub stride: usize,
    /// `M`, the output rows whose sums are carried.
    pub carried: usize,
    /// All widths from the largest down to 1.
    pub widths: &'static [Width],
    /// Cost of a multiply-add beside one in tiles: where pixels lie in all sets of the first cache, and where they crowd in few.
    pub cost: [f64; 2],
    /// The same on cores that do not split long vectors, if it differs.
    pub long: Option<[f64; 2]>,
}

/// What an image is cut into.
struct Pieces {
    phases: [usize; 2],
    /// Strips of a phase, and its rows.
    strips: usize,
    rows: usize,
    /// Columns of a strip; the last has fewer.
    columns: usize,
}

impl Pieces {
    fn units(&self) -> usize {
        self.phases[0] * self.phases[1] * self.strips * self.rows
    }
}

impl DepthwiseCarryNhwc {
    fn pieces(&self, p: &Problem) -> Pieces {
        let [dy, dx] = p.shape.dilation;
        let all = p.ow.div_ceil(dx);
        // Sums in a half of the first cache, which has to hold weights and the rows that are read too.
        let sums = p.caches.l1 / 2 / size_of::<f32>();
        let most = (sums / self.carried.saturating_mul(p.shape.c_out)).max(self.widths.len());
        let columns = all.div_ceil(all.div_ceil(most));
        Pieces {
            phases: Phase::count(p, p.shape.dilation),
            strips: all.div_ceil(columns),
            rows: p.oh.div_ceil(dy),
            columns,
        }
    }
}

impl Algorithm for DepthwiseCarryNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else if p.shape.c_out < self.lanes {
            Some("computes a vector of channels or more")
        } else {
            p.differs_in_phases_from(self.k, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let [dy, dx] = s.dilation;
        let cost =
            p.costs(self.cost, self.long)[usize::from(Phase::crowds(p, dx))] * if dy * dx > 1 { 1.2 } else { 1.0 };
        // Of a row, what its ends cost in pixels: there each output row tests its columns anew.
        let ends = 1.3 * (self.carried * dx.min(p.ow)) as f64;
        let pixels = (s.n * p.oh) as f64 * (p.ow as f64 + ends);
        pixels * (s.c_in.div_ceil(self.lanes) * (p.k() + 1)) as f64 * cost
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        DepthwiseNhwc { lanes: self.lanes, ..DepthwiseNhwc::COMMON }.pack(p, source)
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        LINE + self.pieces(p).columns * p.shape.c_out.next_multiple_of(self.lanes) * self.carried
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * self.pieces(p).units()
    }

    fn reads_rings(&self, p: &Problem) -> bool {
        p.shape.dilation[0] == 1
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let pieces = self.pieces(p);
        let Pieces { phases, strips, rows, .. } = pieces;
        let line = LINE * size_of::<f32>();
        let carried = job.scratch.wrapping_add(job.scratch.align_offset(line));
        let units = part.range(s.n * pieces.units());
        let mut number = units.start;
        while number < units.end {
            let (unit, y) = (number / rows, number % rows);
            let (unit, strip) = (unit / strips, unit % strips);
            let (unit, px) = (unit / phases[1], unit % phases[1]);
            let (image, py) = (unit / phases[0], unit % phases[0]);
            let phase = Phase::new(p, &i, &o, s.dilation, [py, px]);
            let count = (rows - y).min(units.end - number);
            number += count;
            let x = strip * pieces.columns;
            // The last phases may have a row and a column less.
            let [oh, ow] = phase.outputs;
            let columns = x..ow.min(x + pieces.columns);
            let base = job.input.wrapping_add(image * i.image).wrapping_add(phase.input_at);
            // SAFETY: the first output of the phase is inside.
            let out = unsafe { job.output.add(image * o.image + phase.output_at) };
            let tiles = Tiles { job, phase: &phase, base, out, columns: columns.clone(), carried };
            for row in y..oh.min(y + count) {
                // SAFETY: as promised to this function; the sums of the row before are carried.
                unsafe {
                    if row == y {
                        self.row(&tiles, row, true);
                    }
                    self.row(&tiles, row, false);
                    phase.finish(job, image, out, row..row + 1, columns.clone(), 0..s.c_out);
                }
            }
        }
    }
}

/// What the tiles of some rows of a phase have in common.
struct Tiles<'a> {
    job: &'a Job<'a>,
    phase: &'a Phase,
    /// Its first input and output.
    base: *const f32,
    out: *mut f32,
    /// Columns of the strip.
    columns: Range<usize>,
    carried: *mut f32,
}

impl DepthwiseCarryNhwc {
    /// The last input rows of output row `y`, or, if `begin`, those before them.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn row(&self, t: &Tiles<'_>, y: usize, begin: bool) {
        let (job, phase) = (t.job, t.phase);
        let mut lines = [core::ptr::null(); MOST_ROWS];
        for (r, line) in lines.iter_mut().enumerate().take(self.k) {
            let row = phase.origin[0] + (y * self.stride + r) as isize;
            if begin == (r < self.k - self.stride) {
                *line = phase.line(t.base, job.ring, row);
            }
        }
        let ([_, w], channels) = (phase.inputs, job.problem.shape.c_out);
        let padded = channels.next_multiple_of(self.lanes);
        let tile = Tile {
            pixel: phase.input_step[1],
            out_pixel: phase.output_step[1],
            weights: job.weights,
            channels,
            clamp: job.clamp,
            ..Tile::NONE
        };
        let mut run = Run { tile, tiles: 1, carried: t.carried };
        let mut x = t.columns.start;
        while x < t.columns.end {
            // As few tiles as can be, of widths that differ by one at most, the wider ones first.
            let left = t.columns.end - x;
            let pixels = left.div_ceil(left.div_ceil(self.widths.len()));
            let alike = left - left.div_ceil(pixels) * (pixels - 1);
            let width = &self.widths[self.widths.len() - pixels];
            let span = (pixels - 1) * self.stride + self.k;
            let x0 = phase.origin[1] + (x * self.stride) as isize;
            run.tile.columns =
                ((-x0).clamp(0, span as isize) as usize, (w as isize - x0).clamp(0, span as isize) as usize);
            let edge = run.tile.columns != (0, span);
            // Those inside follow each other as long as there are inputs.
            let inside = if edge { 1 } else { 1 + ((w as isize - x0) as usize - span) / (pixels * self.stride) };
            run.tiles = alike.min(inside);
            let at = x0.wrapping_mul(phase.input_step[1] as isize);
            let rows = lines.map(|line: *const f32| if line.is_null() { line } else { line.wrapping_offset(at) });
            run.tile.rows = rows.as_ptr();
            run.tile.out = t.out.wrapping_add(y * phase.output_step[0] + x * phase.output_step[1]);
            run.carried = t.carried.wrapping_add((x - t.columns.start) * padded * self.carried);
            // SAFETY: the tiles are inside the output; rows are null outside the image and `columns` excludes what is outside
            // of a row. The buffer has place for all sums of a row.
            unsafe {
                width.micros[usize::from(begin)][usize::from(edge)](&run);
            }
            x += run.tiles * pixels;
        }
    }
}

/// The most kernel rows.
const MOST_ROWS: usize = 7;
