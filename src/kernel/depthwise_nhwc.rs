//! Depthwise convolution, channels last, multiplier 1; and the driver of [`super::grouped_nhwc`].
//!
//! Each channel is a filter of its own, so nothing is shared between channels and a vector of channels is a vector of
//! independent filters. What can be shared is the loads: neighbouring output pixels read mostly the same inputs. A tile
//! of `R` rows by `P` pixels keeps its `R * P` accumulators in registers while every input of its window is loaded once:
//!
//! ```text
//! for each block of R output rows, for each tile of P pixels     (driver)
//!     for each vector of channels                                (micro-kernel)
//!         acc[R][P] = bias
//!         for each input row of the window that is inside the image
//!             w[..] = the weights of the kernel rows that use it
//!             for each input column j of the window that is inside the image
//!                 x = input[row][j]
//!                 acc[r][p] += x * w[ky][kx]   for all (r, ky), (p, kx) that meet there
//!         clamp, store R rows of P vectors
//! ```
//!
//! A dilated kernel with stride 1 runs on each of the [`super::phases`] of the image.
//!
//! Padding is left out instead of multiplied: rows outside are null pointers, columns outside a range. Channels are the
//! inner loop, since pixels of a wide layer lie a multiple of 2 or 4 KiB apart and would fall into the same sets of the
//! first cache if a channel block walked over them; a tile touches each line once per window instead.
//!
//! Registers: `R * P` accumulators, the weights of a kernel row per output row that uses it (`R * KW`), one input.
//! Loads per multiply-add for 3x3, stride 1, R = 2, P = 8: `(4 * 10 + 18) / 144 = 0.4`; 5x5, R = 1, P = 8:
//! `(5 * 12 + 25) / 200 = 0.43`. Bound by the FMA ports in the first cache, by its bandwidth towards the next beyond.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: 3x3 stride 1 on maps 112, 56, 28, 14 and 7 wide 78, 85,
//! 86, 78 and 57 % of peak; 5x5 on 28 and 14 wide maps 97 and 111 % (taps in the padding count and cost nothing); 3x3
//! stride 2 48 % at 112, bound by the bandwidth of the third cache, and 33 % at 14, where 512 channels put all pixels
//! into two sets of the first. AVX2, one Zen 3 core (49.8 GMAC/s), 2026-11-27: 3x3 with
//! stride 1 on maps 112, 56, 28, 14 and 7 wide of 32, 128, 256, 384 and 960 channels 70, 68, 57, 64 and 71 %, 5x5 79, 85 %.
//!
//! Kernels of any other size and stride take the micro-kernels of [`super::depthwise_line_nhwc`], if they have as many columns as
//! one of them, or that of [`super::depthwise_any_nhwc`].

use super::phases::Phase;
use super::window::{AS_THEY_ARE, finish_tile, window_row};
use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::shape::valid_outputs;
use crate::tensor::Layout;
use crate::vector::Vector;

/// One tile for a micro-kernel.
pub(crate) struct Tile {
    /// Pointers to the first column of the window in each of its input rows; null outside.
    pub rows: *const *const f32,
    /// Columns of the window inside the image.
    pub columns: (usize, usize),
    pub pixel: usize,
    pub out: *mut f32,
    pub out_row: usize,
    pub out_pixel: usize,
    /// Per vector of channels: bias, then a vector per kernel row, input channel of a group, and kernel column.
    pub weights: *const f32,
    /// Output channels.
    pub channels: usize,
    /// For [`super::grouped_nhwc`]: output channels of a vector, channels of a group, and the permutation per input
    /// channel of a group, `LANES` lane numbers each.
    pub block_out: usize,
    pub group_in: usize,
    pub group_out: usize,
    pub permutations: *const u32,
    pub clamp: (f32, f32),
    /// For kernels of any size: their rows and columns, the stride of rows, stride and dilation of columns in pixels.
    pub kernel: [usize; 2],
    pub down: usize,
    pub stride: usize,
    pub dilation: usize,
    /// For those, per kernel column: the pixels whose tap is inside.
    pub valid: *const (usize, usize),
}

impl Tile {
    /// Nothing, for what a micro-kernel does not need.
    pub(super) const NONE: Tile = Tile {
        rows: core::ptr::null(),
        columns: (0, 0),
        pixel: 0,
        out: core::ptr::null_mut(),
        out_row: 0,
        out_pixel: 0,
        weights: core::ptr::null(),
        channels: 0,
        block_out: 0,
        group_in: 0,
        group_out: 0,
        permutations: core::ptr::null(),
        clamp: NO_CLAMP,
        kernel: [0, 0],
        down: 0,
        stride: 0,
        dilation: 0,
        valid: core::ptr::null(),
    };
}

/// A micro-kernel for one kernel size, stride and tile.
pub(crate) type Micro = unsafe fn(&Tile);

/// The micro-kernel for a `K` x `K` kernel with stride `S` and no dilation.
///
/// `EDGE`: some columns of the window may be outside.
///
/// # Safety
/// The CPU has the tier of `V`. Rows that are not null are readable for the columns inside, `channels` floats each; the
/// outputs are writable; weights are packed for `V::LANES`.
#[inline(always)]
#[rustfmt::skip]
pub(crate) unsafe fn micro<
    V: Vector, const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool,
>(
    t: &Tile,
) {
    // SAFETY: blocks begin and end inside the channels.
    unsafe {
        if t.channels < V::LANES {
            for c in (0..t.channels).step_by(V::Rest::LANES) {
                let lanes = (t.channels - c).min(V::Rest::LANES);
                block::<V::Rest, K, S, R, P, EDGE, true>(t, c, lanes, t.weights.add(c), V::LANES);
            }
            return;
        }
        let Vectors { count, half } = Vectors::new::<V>(t.channels);
        let mut weights = t.weights;
        for vector in 0..count {
            // The last one begins where it ends with the last channel, and computes some again.
            let c = (vector * V::LANES).min(t.channels - V::LANES);
            block::<V, K, S, R, P, EDGE, false>(t, c, V::LANES, weights, V::LANES);
            weights = weights.wrapping_add((K * K + 1) * V::LANES);
        }
        if half {
            let c = t.channels - V::Rest::LANES;
            let weights = weights.add(V::LANES - V::Rest::LANES);
            block::<V::Rest, K, S, R, P, EDGE, false>(t, c, V::Rest::LANES, weights, V::LANES);
        }
    }
}

/// How channels, a vector or more, are cut.
pub(super) struct Vectors {
    /// Whole vectors.
    pub count: usize,
    /// Whether a half one follows: the upper half of a packed vector, where no more channels are left.
    pub half: bool,
}

impl Vectors {
    #[inline(always)]
    pub(super) fn new<V: Vector>(channels: usize) -> Self {
        let left = channels % V::LANES;
        let half = V::Rest::LANES < V::LANES && left > 0 && left <= V::Rest::LANES;
        Vectors { count: channels.div_ceil(V::LANES) - usize::from(half), half }
    }
}

/// The vector of channels of a tile from channel `c` on, which has `lanes`, fewer than a vector if `TAIL`. Its `weights` are
/// bias and taps, `pitch` floats apart.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn block<
    V: Vector, const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool, const TAIL: bool,
>(
    t: &Tile,
    c: usize,
    lanes: usize,
    weights: *const f32,
    pitch: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [[V::load(weights); P]; R];
        let weights = weights.add(pitch);
        unroll!(y < (R - 1) * S + K => {
            let row = *t.rows.add(y);
            if !row.is_null() {
                acc = window_row::<V, K, S, R, P, EDGE, TAIL, AS_THEY_ARE>(
                    t, acc, y, row.wrapping_add(c), lanes, weights, [K * pitch, pitch], V::zero(),
                );
            }
        });
        finish_tile::<V, R, P>(t, acc, t.out.add(c), lanes);
    }
}

/// Micro-kernels of one width: inner and at the edge, `R` rows and one.
pub(crate) struct Width {
    /// `P`.
    pub pixels: usize,
    /// `micros[edge][single row]`
    pub micros: [[Micro; 2]; 2],
}

/// Micro-kernels for kernels of a number of columns and any number of rows.
pub(crate) struct Line {
    pub k: usize,
    /// That of columns.
    pub stride: usize,
    /// As [`DepthwiseNhwc::widths`].
    pub widths: &'static [Width],
}

impl Line {
    /// Cost of a multiply-add beside that of a tile that is made for the kernel's size: much of a line of few columns is loads.
    fn cost(&self) -> f64 {
        if self.k < 7 { 1.1 } else { 1.0 }
    }
}

/// Groups that there are micro-kernels for.
#[derive(Clone, Copy, PartialEq)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(crate) enum Groups {
    /// One channel each: depthwise.
    Channels,
    /// Any that fit into a vector, by those of [`super::grouped_nhwc`].
    Any,
    /// Those that leave room for another in a vector, likewise.
    Narrow,
    /// Those whose outputs fill more than half of a vector: [`super::grouped_nhwc::whole`].
    Whole,
}

/// The algorithm with a tier's micro-kernels for one kernel size and stride.
pub(crate) struct DepthwiseNhwc {
    pub lanes: usize,
    /// Which groups the micro-kernels are for.
    pub groups: Groups,
    /// Whether the last vector of channels begins where it ends with the last channel, if there is a whole one.
    pub overlaps: bool,
    /// Whether a row has the same bits by itself as in a block, so that threads may share rows; else they share blocks.
    pub shares_rows: bool,
    /// Whether rows may lie anywhere; else all are the same distance from the one before.
    pub rings: bool,
    /// Kernel rows and columns, and stride; 0 for any.
    pub k: usize,
    pub stride: usize,
    /// `R`, the rows of a block.
    pub rows: usize,
    /// Widths, the largest first; the last is 1.
    pub widths: &'static [Width],
    /// For kernels of any size: those of some numbers of columns.
    pub lines: &'static [Line],
    /// Cost of one vector multiply-add beside that of a full vector and of loads that the registers can share: where pixels
    /// lie in all sets of the first cache, and where they crowd in a few.
    pub cost: [f64; 2],
    /// The same on cores that do not split long vectors, if it differs.
    pub long: Option<[f64; 2]>,
    /// Cost on narrow phases beside that on wider ones.
    pub narrow: f64,
}

impl DepthwiseNhwc {
    /// What most kernels have in common: those for any kernel size, one row at a time.
    pub(crate) const COMMON: DepthwiseNhwc = DepthwiseNhwc {
        lanes: 1,
        groups: Groups::Channels,
        overlaps: true,
        shares_rows: true,
        rings: true,
        k: 0,
        stride: 0,
        rows: 1,
        widths: &[],
        lines: &[],
        cost: [1.0; 2],
        long: None,
        narrow: 1.0,
    };

    /// The micro-kernels of [`super::depthwise_line_nhwc`] for a kernel, if it has some: for one that is dense, or on the phases of
    /// an image, where they are not too narrow.
    #[inline(always)]
    fn line(&self, p: &Problem) -> Option<&Line> {
        // Blocks run a few rows at a time: what is the same for all of them shows.
        if self.lines.is_empty() { None } else { self.find_line(p) }
    }

    #[inline(never)]
    fn find_line(&self, p: &Problem) -> Option<&Line> {
        let s = &p.shape;
        let dense = s.dilation == [1, 1] || s.stride == [1, 1] && !Phase::is_narrow(p, s.dilation);
        self.lines.iter().find(|line| dense && line.k == s.kw && line.stride == s.stride[1])
    }

    /// Whether the micro-kernels are those of [`super::depthwise_any_nhwc`].
    #[inline(always)]
    fn is_any(&self, p: &Problem) -> bool {
        self.k == 0 && self.line(p).is_none()
    }

    /// How far apart the pixels of an image are that is computed as a dense one.
    fn dilation(&self, p: &Problem) -> [usize; 2] {
        if self.is_any(p) { [1, 1] } else { p.shape.dilation }
    }

    /// Rows of a block; with kernels of any size one where the rows of their windows are not the same.
    fn rows(&self, p: &Problem) -> usize {
        let s = &p.shape;
        if self.k != 0 {
            return self.rows;
        }
        let apart = s.dilation[0] > 1 || s.kh <= s.stride[0];
        if apart || self.line(p).is_some() { 1 } else { self.rows }
    }

    /// Rows of what threads share, and how many of those the first phase has; others may have one less.
    fn shares(&self, p: &Problem) -> (usize, usize) {
        let rows = if self.shares_rows { 1 } else { self.rows(p) };
        (rows, p.oh.div_ceil(self.dilation(p)[0]).div_ceil(rows))
    }

    /// The width for rows of `ow` outputs. A tile costs its pixels and about two more for the inputs at its ends. Pixels of
    /// many channels share few sets of the first cache, so that tiles of them are not to be wide.
    #[inline]
    fn width(&self, p: &Problem, ow: usize) -> &Width {
        let widest = match p.shape.c_out {
            0..=32 => usize::MAX,
            33..=128 => 28,
            _ => 14,
        };
        let most = ow.min(widest);
        let widths = self.line(p).map_or(self.widths, |line| line.widths);
        let mut best = (usize::MAX, &widths[widths.len() - 1]);
        for width in widths.iter().skip_while(|w| w.pixels > most) {
            let tiles = ow.div_ceil(width.pixels);
            // Narrower ones are no fewer tiles.
            if 2 * ow + 4 * tiles >= best.0 {
                break;
            }
            let cost = tiles * (4 + self.half_pixels(width));
            if cost < best.0 {
                best = (cost, width);
            }
        }
        best.1
    }

    /// The time of a tile's row, in halves of a pixel's. Up to eight sums that take one scalar each wait for themselves.
    fn half_pixels(&self, width: &Width) -> usize {
        let waits = if self.groups == Groups::Whole && self.rows == 1 { width.pixels + 9 } else { 0 };
        waits.max(2 * width.pixels)
    }

    /// Whether the micro-kernels are those of [`super::grouped_nhwc`].
    fn grouped(&self) -> bool {
        self.groups != Groups::Channels
    }

    /// Groups that lie side by side in a vector.
    fn side_by_side(&self, p: &Problem) -> usize {
        self.lanes / if self.groups == Groups::Whole { p.cg_out } else { p.cg_in.max(p.cg_out) }
    }

    /// Output channels of a vector, and vectors of a pixel.
    fn vectors(&self, p: &Problem) -> (usize, usize) {
        let block_out = self.side_by_side(p) * p.cg_out;
        (block_out, p.shape.c_out.div_ceil(block_out))
    }

    /// Length of the packed weights, before the permutations.
    fn weights_len(&self, p: &Problem) -> usize {
        self.vectors(p).1 * (p.k() + 1) * self.lanes
    }

    fn window_rows(&self, p: &Problem) -> usize {
        (self.rows(p) - 1) * p.shape.stride[0] + p.shape.kh
    }
}

/// Writes the outputs of a row whose tap is inside, for each kernel column, behind those of a tile. They take divisions, too many
/// for every tile.
///
/// # Safety
/// `valid` has two pairs of words per kernel column.
#[inline(never)]
unsafe fn valid_in_row(p: &Problem, valid: *mut (usize, usize)) {
    let s = &p.shape;
    for kx in 0..s.kw {
        let outputs = valid_outputs(kx, s.w, p.ow, s.stride[1], s.dilation[1], s.padding.left);
        // SAFETY: as the caller promises.
        unsafe { *valid.add(s.kw + kx) = outputs };
    }
}

/// Writes those of a tile from output `x` on.
///
/// # Safety
/// As [`valid_in_row`], which has been called.
#[inline(never)]
unsafe fn valid_in_tile(kw: usize, valid: *mut (usize, usize), x: usize) {
    for kx in 0..kw {
        // SAFETY: as the caller promises.
        unsafe {
            let (first, end) = *valid.add(kw + kx);
            *valid.add(kx) = (first.max(x) - x, end.max(x) - x);
        }
    }
}

impl Algorithm for DepthwiseNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if !self.grouped() && (p.cg_in != 1 || p.cg_out != 1) {
            Some("computes depthwise convolution with multiplier 1")
        } else if self.side_by_side(p) == 0 {
            Some("computes groups that fit into a vector")
        } else if self.groups == Groups::Whole && self.side_by_side(p) > 1 {
            Some("computes groups whose outputs fill more than half of a vector")
        } else if self.groups == Groups::Narrow && p.cg_out == self.lanes {
            Some("computes groups of fewer output channels than a vector has lanes")
        } else if self.k == 0 {
            None
        } else {
            p.differs_in_phases_from(self.k, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let dilation = self.dilation(p);
        let (phases, columns) = (Phase::count(p, dilation), p.ow.div_ceil(dilation[1]));
        let width = self.width(p, columns);
        let columns = (phases[1] * columns.div_ceil(width.pixels) * self.half_pixels(width)) as f64 / 2.0;
        // Tiles of several rows are narrow and lose more at both ends of a row. The number of rows must not matter: a choice
        // that depended on how an image is cut into strips could sum in another order.
        let pixels = (p.shape.n * p.oh) as f64 * (columns + (phases[1] * (self.rows(p) - 1)) as f64 * 0.35);
        let [spread, crowd] = p.costs(self.cost, self.long);
        let cost = if Phase::crowds(p, dilation[1]) { crowd } else { spread };
        let cost = self.line(p).map_or(cost, |line| cost / spread * line.cost());
        let cost = if dilation == [1, 1] { cost } else { 1.2 * cost };
        let cost = if Phase::is_narrow(p, dilation) { cost * self.narrow } else { cost };
        let cost = if self.groups == Groups::Whole { cost * p.columns_seen() } else { cost };
        // Rows that leave the first cache before the next block reads them again: measured where strips are the other choice.
        let again = p.long_datapath && !self.grouped() && p.differs_from(3, 1).is_none();
        let cost =
            if again && p.shape.w.saturating_mul(p.shape.c_in) > p.caches.l1 / 32 * 3 { 1.25 * cost } else { cost };
        // Permutations for nothing where every channel is a group.
        let cost = if self.grouped() && p.cg_in.max(p.cg_out) == 1 { 2.0 * cost } else { cost };
        pixels * self.vectors(p).1 as f64 * (p.k() + 1) as f64 * cost
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let (block_out, vectors) = self.vectors(p);
        let mut packed = Aligned::new(self.weights_len(p) + if self.grouped() { p.cg_in * self.lanes } else { 0 });
        let (weights, permutations) = packed.as_mut_slice().split_at_mut(self.weights_len(p));
        let overlaps = self.overlaps && !self.grouped() && s.c_out >= self.lanes;
        for vector in 0..vectors {
            let first = (vector * block_out).min(if overlaps { s.c_out - self.lanes } else { s.c_out });
            for lane in 0..block_out.min(s.c_out - first) {
                let (o, at) = (first + lane, vector * (p.k() + 1) * self.lanes + lane);
                weights[at] = source.bias(o);
                for ky in 0..s.kh {
                    for i in 0..p.cg_in {
                        for kx in 0..s.kw {
                            let tap = (ky * p.cg_in + i) * s.kw + kx;
                            weights[at + (1 + tap) * self.lanes] = source.weight(o, i, ky, kx);
                        }
                    }
                }
            }
        }
        // Lane numbers travel as the bits of floats.
        for (i, lanes) in permutations.chunks_mut(self.lanes).enumerate() {
            for (l, lane) in lanes.iter_mut().enumerate().take(block_out) {
                *lane = f32::from_bits((l / p.cg_out * p.cg_in + i) as u32);
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let words = self.window_rows(p) + if self.is_any(p) { 4 * p.shape.kw } else { 0 };
        (words + 1) * size_of::<usize>() / size_of::<f32>()
    }

    fn units(&self, p: &Problem) -> usize {
        let [py, px] = Phase::count(p, self.dilation(p));
        p.shape.n * py * px * self.shares(p).1
    }

    fn reads_rings(&self, p: &Problem) -> bool {
        self.rings && self.dilation(p)[0] == 1
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let window = self.window_rows(p);
        let rows = job.scratch.wrapping_add(job.scratch.align_offset(align_of::<usize>())).cast::<*const f32>();
        let valid = rows.wrapping_add(window).cast::<(usize, usize)>();
        let any = self.is_any(p);
        if any {
            // SAFETY: scratch has four words per kernel column.
            unsafe { valid_in_row(p, valid) };
        }
        let (dilation, of_block) = (self.dilation(p), self.rows(p));
        let (of_share, shares) = self.shares(p);
        let phases = Phase::count(p, dilation);
        // The distance of kernel rows, where those of a phase are not next to each other.
        let apart = if any { s.dilation[0] } else { 1 };
        let (block_out, permutations) = if self.grouped() {
            (self.vectors(p).0, job.weights.wrapping_add(self.weights_len(p)).cast())
        } else {
            (0, core::ptr::null())
        };
        let mut number = 0;
        let mut phase = Phase::new(p, &i, &o, dilation, [0, 0]);
        let mut width = self.width(p, phase.outputs[1]);
        let mut tile = Tile {
            rows,
            weights: job.weights,
            channels: s.c_out,
            block_out,
            group_in: p.cg_in,
            group_out: p.cg_out,
            permutations,
            clamp: job.clamp,
            kernel: [s.kh, s.kw],
            down: s.stride[0],
            stride: s.stride[1],
            dilation: s.dilation[1],
            valid,
            ..Tile::NONE
        };
        // A part is rows where it can be, not blocks, of which 14 rows have seven: the last of a part may be a single row.
        let mut own = part.range(s.n * phases[0] * phases[1] * shares);
        while !own.is_empty() {
            let (unit, first) = (own.start / shares, own.start % shares);
            let y = first * of_share;
            let taken = if of_share == 1 { of_block.min(shares - first).min(own.len()) } else { 1 };
            own.start += taken;
            let of_block = taken * of_share;
            let (image, at) = (unit / (phases[0] * phases[1]), unit % (phases[0] * phases[1]));
            if at != number {
                number = at;
                phase = Phase::new(p, &i, &o, dilation, [at / phases[1], at % phases[1]]);
                width = self.width(p, phase.outputs[1]);
            }
            let Phase { inputs: [_, w], outputs: [oh, ow], .. } = phase;
            (tile.pixel, tile.out_row, tile.out_pixel) =
                (phase.input_step[1], phase.output_step[0], phase.output_step[1]);
            // The last phases may have a row less.
            let count = of_block.min(oh.saturating_sub(y));
            let base = job.input.wrapping_add(image * i.image).wrapping_add(phase.input_at);
            // SAFETY: the first output of the phase is inside.
            let out = unsafe { job.output.add(image * o.image + phase.output_at) };
            let single = usize::from(count < self.rows);
            let span = (width.pixels - 1) * s.stride[1] + s.kw;
            // The window of the first tile; those of the others are so many pixels further.
            let y0 = phase.origin[0] + (y * s.stride[0]) as isize;
            let left = base.wrapping_offset(phase.origin[1].wrapping_mul(tile.pixel as isize));
            for r in 0..window {
                // SAFETY: scratch has a word per row of the window.
                unsafe { *rows.add(r) = phase.line(left, job.ring, y0 + (r * apart) as isize) };
            }
            let (mut x, mut before) = (0, 0);
            while count > 0 && x < ow {
                // The last tile is moved back over pixels already done, so that it is a full one.
                let x_tile = x.min(ow - width.pixels.min(ow));
                let further = ((x_tile - before) * s.stride[1]).wrapping_mul(tile.pixel);
                before = x_tile;
                let x0 = phase.origin[1] + (x_tile * s.stride[1]) as isize;
                for r in 0..window {
                    // SAFETY: as above.
                    unsafe {
                        let line = *rows.add(r);
                        *rows.add(r) = if line.is_null() { line } else { line.wrapping_add(further) };
                    }
                }
                if any {
                    // SAFETY: those of the row have been written.
                    unsafe { valid_in_tile(s.kw, valid, x_tile) };
                }
                tile.columns = ((-x0).max(0) as usize, (w as isize - x0).clamp(0, span as isize) as usize);
                let edge = tile.columns.0 > 0 || tile.columns.1 < span;
                // SAFETY: the tile is inside the output, since a width above `ow` is never chosen but for 1; rows are
                // null outside the image and `columns` or `valid` exclude what is outside of a row.
                unsafe {
                    tile.out = out.add(y * tile.out_row + x_tile * tile.out_pixel);
                    width.micros[usize::from(edge)][single](&tile);
                }
                x += width.pixels;
            }
            // SAFETY: the rows have just been written.
            unsafe { phase.finish(job, image, out, y..y + count, 0..ow, 0..s.c_out) };
        }
    }
}
