//! Implicit GEMM, channels before rows: standard, grouped, pointwise convolution and fully connected layers in NCHW.
//!
//! The product of [`super::igemm_nhwc`] with the sides swapped: pixels of a channel lie next to each other, so vectors
//! run over pixels, and the weights are the scalars.
//!
//! ```text
//! for each tile of NV vectors of output pixels           (driver)
//!     x[K][NV] = the inputs under them, one row per tap and channel
//!     for each panel of MR output channels               (driver)
//!         acc[MR][NV] = bias                             (micro-kernel)
//!         for each k
//!             acc[m][v] += weight[m][k] * x[k][v]
//!         clamp, store MR rows of NV vectors
//! ```
//!
//! Of a dense pointwise layer the rows of `x` are in the input already, a channel apart. Where that puts too many of them into the
//! same few sets of the first cache, as on maps of 32 x 32 or 112 x 112 pixels, those of some tiles are copied; with AVX2 also where rows
//! begin anywhere in a line, as on maps of 14 x 14 or 75 x 75, and many panels pass over them, tile by tile. On x86 some tiles side by
//! side go to one call, since a line of outputs per channel and tile would be as many pages in turn.
//!
//! Rows of other layers are gathered once per tile and serve all output channels of the group: `C_out / LANES` multiply-adds for every element copied. K is cut
//! into blocks whose `x` takes a quarter of the second cache; sums wait in the output meanwhile.
//!
//! Registers: `MR * NV` accumulators, `NV` inputs, one broadcast (x86) or `MR / 4` quads (NEON). Loads per multiply-add:
//! `1 / MR + 1 / NV`, the latter broadcasts of one packed stream `[bias MR][K][MR]`. Bound by the FMA ports.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: pointwise 256 to 256 channels on 28 x 28 pixels 98 % of
//! peak, 32 to 64 on 112 x 112 88 %, three groups of 80 to 20 95 %; 3x3 with 64 to 256 channels 86 to 91 %, where
//! gathering takes the rest (on x86 `transposed_nchw` does better); 7 x 7 maps 72 to 76 %, where 49 pixels leave lanes
//! of seven half vectors empty. AVX2, 2026-11-29, one Zen 3 core (51.7 GMAC/s): 256 to 256 on 28 x 28 96 %, 32 to 64 on 112 x 112 81 %, on
//! 28 x 28 92 %, three groups of 80 to 20 88 %.

pub(crate) use super::gather_nchw::{Gather, GatherFn, Run, gather};
pub(crate) use super::igemm_micro_nchw::{Micro, Tile, micro};
use super::igemm_tiling::{Panels, Tiles, pieces};
use super::{Algorithm, Job, LINE, NO_CLAMP, Part, Problem, Shares};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use core::ops::Range;

/// The algorithm with a tier's micro-kernels.
pub(crate) struct IgemmNchw {
    pub lanes: usize,
    /// `micros[nv - 1][mr - 1]`; all inner slices have the same length, the largest `MR`.
    pub micros: &'static [&'static [Micro]],
    pub gather: GatherFn,
    /// Whether several tiles of a pointwise layer go to one call, and inputs that crowd in few sets of the first cache are copied.
    pub together: bool,
    /// Panels from which on it pays to copy inputs whose rows are askew; more than there are where that has not been measured.
    pub many_panels: usize,
    /// Cost of one vector multiply-add beside that of the tier's widest vector.
    pub width: f64,
}

/// A group's channels in panels whose sizes differ by one at most, the larger ones first.
#[derive(Clone, Copy)]
pub(super) struct Cut {
    channels: Shares,
    /// Rows of a packed panel: bias, and the weights of each element of K.
    rows: usize,
}

impl Cut {
    /// First channel of a panel of a group, its channels, and where it is packed within the group.
    pub(super) fn panel(&self, j: usize) -> (usize, usize, usize) {
        let (range, Shares { each, more, .. }) = (self.channels.range(j), self.channels);
        let len = |mr: usize| mr.next_multiple_of(4) * self.rows;
        (range.start, range.len(), j.min(more) * len(each + 1) + j.saturating_sub(more) * len(each))
    }

    /// Panels of a group, from one on, that have as many channels.
    pub(super) fn alike(&self, j: usize) -> usize {
        self.channels.alike(j)
    }
}

impl IgemmNchw {
    fn mr(&self) -> usize {
        self.micros[0].len()
    }

    /// Panels of one group; their sizes differ by one at most.
    pub(super) fn panels(&self, p: &Problem) -> usize {
        p.cg_out.div_ceil(self.mr())
    }

    /// How a group's channels are cut into panels.
    pub(super) fn cut(&self, p: &Problem) -> Cut {
        Cut { channels: Shares::new(p.cg_out, self.panels(p)), rows: p.k() + 1 }
    }

    fn group_len(&self, p: &Problem) -> usize {
        let (_, channels, at) = self.cut(p).panel(self.panels(p) - 1);
        at + channels.next_multiple_of(4) * (p.k() + 1)
    }

    /// Vectors of a line of pixels, and tiles; sizes of tiles in vectors differ by one at most.
    fn tiles(&self, len: usize) -> (usize, usize) {
        let vectors = len.div_ceil(self.lanes);
        (vectors, vectors.div_ceil(self.micros.len()))
    }

    /// Elements of K whose gathered inputs take a quarter of the second cache.
    fn k_block(&self, p: &Problem) -> usize {
        let row = self.micros.len() * self.lanes * size_of::<f32>();
        (p.caches.l2 / 4 / row).max(64).min(p.k())
    }

    fn splits_panels(&self, p: &Problem) -> bool {
        let s = &p.shape;
        let panels = s.groups * self.panels(p);
        panels > 1 && (s.c_out * p.k() > s.n * s.c_in * s.h * s.w || s.n * self.tiles(p.oh * p.ow).1 < 4)
    }

    /// Whether rows of `x` that lie in the input, `step` floats apart, crowd in so few sets of the first cache that they are not
    /// there any more for the next panel.
    fn crowds(&self, p: &Problem, step: usize) -> bool {
        // Sets repeat after a page. The power of two in the step is how far apart they are that rows share.
        const PAGE: usize = 4096 / size_of::<f32>();
        let apart = PAGE.min(1 << step.trailing_zeros().min(10));
        // Copying takes a part of the time of some panels.
        let pays = apart >= PAGE / 4 && self.panels(p) * apart >= 2 * PAGE;
        pays && p.k() * apart / PAGE >= CROWDED
    }

    /// Whether rows of `x` in the input lie in two lines each, most of them, and so many panels pass over them that those of a tile are better
    /// copied into as many lines as there are rows: half as many to load, and side by side, in few pages.
    fn askew(&self, p: &Problem, step: usize) -> bool {
        !step.is_multiple_of(LINE) && p.k() >= MANY_ROWS && self.panels(p) >= self.many_panels
    }

    /// Tiles whose rows are copied together: their rows take at most half of the second cache. 0 if one is too
    /// much.
    fn copied(&self, p: &Problem) -> usize {
        let copies = self.together && self.is_pointwise(p);
        let fits = |tiles: &usize| copies && self.pitch(*tiles) * p.k() * size_of::<f32>() <= p.caches.l2 / 2;
        [MOST_TOGETHER, 4, 2, 1].into_iter().find(fits).unwrap_or(0)
    }

    /// Floats from one copied row to the next: an odd number of lines, so that they spread over the sets of the first cache.
    fn pitch(&self, tiles: usize) -> usize {
        ((tiles * self.micros.len() * self.lanes).div_ceil(LINE) | 1) * LINE
    }

    /// Whether rows of `x` may be the input's own.
    fn is_pointwise(&self, p: &Problem) -> bool {
        let s = &p.shape;
        s.is_pointwise() && s.stride == [1, 1]
    }
}

impl Algorithm for IgemmNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        match p.layout {
            Layout::Nchw => None,
            Layout::Nhwc => Some("computes NCHW"),
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let (vectors, tiles) = self.tiles(p.oh * p.ow);
        // A tile needs eight accumulators to hide the latency of the multiply-add.
        let rows = p.cg_out as f64 / self.panels(p) as f64;
        let per_tile = vectors as f64 / tiles as f64;
        let tile = (rows * per_tile).max(8.0) * self.panels(p) as f64 * p.k() as f64;
        // Gathering a vector of inputs takes the time of some eight multiply-adds: short runs, masks, address arithmetic. With a
        // stride and several taps, each row of a tile that has several takes that of some forty.
        let rows_of_tile = per_tile * self.lanes as f64 / p.ow as f64;
        let dear = s.stride[1] > 1 && !s.is_pointwise() && rows_of_tile > 1.0;
        let gather = if dear { 40.0 * rows_of_tile } else { 8.0 * per_tile };
        let copy = if self.is_pointwise(p) { 0.0 } else { gather * p.k() as f64 };
        (s.n * s.groups * tiles) as f64 * (tile + copy) * p.vector_cost(self.width)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let (group_len, cut) = (self.group_len(p), self.cut(p));
        let mut packed = Aligned::new(s.groups * group_len);
        let out = packed.as_mut_slice();
        for g in 0..s.groups {
            for j in 0..self.panels(p) {
                let (first, channels, at) = cut.panel(j);
                let pitch = channels.next_multiple_of(4);
                for m in 0..channels {
                    let o = g * p.cg_out + first + m;
                    let at = g * group_len + at + m;
                    out[at] = source.bias(o);
                    for ky in 0..s.kh {
                        for kx in 0..s.kw {
                            for c in 0..p.cg_in {
                                let k = (ky * s.kw + kx) * p.cg_in + c;
                                out[at + (k + 1) * pitch] = source.weight(o, c, ky, kx);
                            }
                        }
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let nr = self.micros.len() * self.lanes;
        // A run per output row that a tile touches, at most.
        let runs = (nr.div_ceil(p.ow) + 1).min(nr) * size_of::<Run>() / size_of::<f32>();
        // Both parts start aligned: the runs for words, the inputs for vectors.
        let copied = match self.copied(p) {
            0 => 0,
            tiles => self.pitch(tiles) * p.k(),
        };
        (self.k_block(p) * nr).max(copied) + runs + 2 + 16
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * self.tiles(p.oh * p.ow).1 * p.shape.groups * self.panels(p)
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let panels = Panels { groups: p.shape.groups, vectors: self.panels(p), each: 1 };
        let (lines, len) = lines(job);
        let (vectors, per_line) = self.tiles(len);
        let sizes = Shares::new(vectors, per_line);
        let tiles = Tiles { images: p.shape.n * lines, lines: 1, sizes, down: Shares::NONE };
        for (panels, tiles) in pieces(self.splits_panels(p), &panels, &tiles, part) {
            // SAFETY: as the caller promises; these are this part's own.
            unsafe { self.piece(job, panels, tiles) };
        }
    }
}

/// Tiles side by side that go to one call at most.
const MOST_TOGETHER: usize = 8;

/// Rows of a tile from which on it pays to copy those that are askew: of fewer, stores take most of the time.
const MANY_ROWS: usize = 32;

/// Rows of inputs in the same set of the first cache, of some eight lines, from which on they are copied.
const CROWDED: usize = 4;

/// Lines of output pixels that lie side by side, and their length: the whole map, or a row of a strided view.
fn lines(job: &Job<'_>) -> (usize, usize) {
    let p = job.problem;
    if job.output_strides.row == p.ow { (1, p.oh * p.ow) } else { (p.oh, p.ow) }
}

impl IgemmNchw {
    /// Computes some panels of some tiles.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn piece(&self, job: &Job<'_>, panels: Range<usize>, tile_range: Range<usize>) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (lines, len) = lines(job);
        let direct = self.is_pointwise(p) && (i.row == s.w || lines > 1);
        let (vectors, tiles) = self.tiles(len);
        // Divisions once here and not once per tile.
        let (shares, cut, per_group) = (Shares::new(vectors, tiles), self.cut(p), self.panels(p));
        let group_len = self.group_len(p);
        let nr = self.micros.len() * self.lanes;
        let x = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        // Of no use where rows are copied.
        let runs = x.wrapping_add(self.k_block(p) * nr);
        let runs = runs.wrapping_add(runs.align_offset(align_of::<Run>())).cast::<Run>();
        let askew = self.askew(p, i.channel);
        let copied = direct && (askew || self.crowds(p, i.channel)) && self.copied(p) > 0;
        // Inputs of tiles in one call stay in the first cache, since all panels pass over them, where they are copied in the
        // second; so do outputs that are passed over once more.
        let fit = |channels: usize| (p.caches.l1 / 2 / size_of::<f32>() / (channels * nr)).clamp(1, MOST_TOGETHER);
        let together = match direct {
            true if copied => self.copied(p),
            true if self.together => fit(p.k()),
            _ => 1,
        };
        let together = if job.finish.is_some() { together.min(fit(p.cg_out)) } else { together };
        // Floats from a copied row to the next; and from those of a tile to those of the next, 0 if rows are those of all tiles.
        let (pitch, slot) = if copied && askew { (nr, nr * p.k()) } else { (self.pitch(together), 0) };
        let mut tile = tile_range.start;
        while tile < tile_range.end {
            let (image, line, first) = (tile / tiles / lines, tile / tiles % lines, tile % tiles);
            let block = first..first + together.min(tiles - first).min(tile_range.end - tile);
            tile += block.len();
            let vectors_of = |t: usize| shares.range(t);
            let begin = vectors_of(block.start).start * self.lanes;
            for g in panels.start / per_group..panels.end.div_ceil(per_group) {
                let input = job.input.wrapping_add(image * i.image + g * p.cg_in * i.channel);
                if copied {
                    // SAFETY: lines of pixels have no gaps, and `together` lets them fit.
                    unsafe { self.copy(job, input, line * len, len, block.clone(), x, pitch, slot) };
                }
                let mut t = block.start;
                while t < block.end {
                    let range = vectors_of(t);
                    let nv = range.len();
                    let first = range.start * self.lanes;
                    // Whole tiles of one size go to one call.
                    let alike = |t: &usize| vectors_of(*t).len() == nv && vectors_of(*t).end * self.lanes <= len;
                    let alike = (t..block.end).take_while(alike).count().max(1);
                    let number = t - block.start;
                    t += alike;
                    let count = (alike * nv * self.lanes).min(len - first);
                    let last = count - (alike * nv - 1) * self.lanes;
                    // Its first pixel, counted through the output map.
                    let pixel = line * len + first;
                    let direct = direct && last == self.lanes;
                    let (y0, x0) = (pixel / p.ow, pixel % p.ow);
                    let mut k0 = 0;
                    while k0 < p.k() {
                        let k = if direct || copied { p.k() } else { self.k_block(p).min(p.k() - k0) };
                        let (rows, step) = if copied {
                            let at = if slot > 0 { number * slot } else { first - begin };
                            (x.wrapping_add(at).cast_const(), pitch)
                        } else if direct {
                            (input.wrapping_add(y0 * i.row + x0), i.channel)
                        } else {
                            // SAFETY: scratch holds `k_block` rows of the widest tile, and its runs.
                            unsafe { self.fill(job, input, pixel, count, nv * self.lanes, k0..k0 + k, x, runs) };
                            (x.cast_const(), nv * self.lanes)
                        };
                        let of_group = panels.start.max(g * per_group)..panels.end.min((g + 1) * per_group);
                        let mut panel = of_group.start;
                        while panel < of_group.end {
                            let (channel, mr, at) = cut.panel(panel - g * per_group);
                            // Panels of as many channels go to one call.
                            let same = cut.alike(panel - g * per_group).min(of_group.end - panel);
                            let c = g * p.cg_out + channel;
                            let is_last = k0 + k == p.k();
                            // SAFETY: panels are packed where `panel` says; the output has `count` pixels side by side from
                            // this one on, in each channel; rows of inputs are whole vectors, gathered or inside the input.
                            unsafe {
                                let out = job.output.add(image * o.image + c * o.channel + y0 * o.row + x0);
                                self.micros[nv - 1][mr - 1](&Tile {
                                    tiles: alike,
                                    k,
                                    panel: job.weights.add(g * group_len + at),
                                    panels: same,
                                    panel_len: mr.next_multiple_of(4) * (p.k() + 1),
                                    k0,
                                    x: rows,
                                    x_step: step,
                                    x_tile: if slot > 0 { slot } else { nv * self.lanes },
                                    out,
                                    out_channel: o.channel,
                                    last,
                                    clamp: if is_last { job.clamp } else { NO_CLAMP },
                                });
                                if let (Some(f), true) = (&job.finish, is_last) {
                                    for m in 0..same * mr {
                                        finish_line(f, p, out.add(m * o.channel), [image, y0, x0, c + m], count);
                                    }
                                }
                            }
                            panel += same;
                        }
                        k0 += k;
                    }
                }
            }
        }
    }

    /// Copies the inputs of some tiles of a line of `len` pixels, which begins at pixel `start`, into rows `pitch` floats apart: each tile's by
    /// themselves, `slot` floats apart; or those of all tiles side by side if it is 0.
    ///
    /// # Safety
    /// Lines have no gaps, the tiles are no more than [`MOST_TOGETHER`], and `to` has room for whole vectors of them.
    #[inline(never)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn copy(
        &self,
        job: &Job<'_>,
        input: *const f32,
        start: usize,
        len: usize,
        block: Range<usize>,
        to: *mut f32,
        pitch: usize,
        slot: usize,
    ) {
        let (p, i) = (job.problem, job.input_strides);
        let (vectors, tiles) = self.tiles(len);
        let pixel = |tile: usize| Part { index: tile, of: tiles }.range(vectors).start * self.lanes;
        let begin = pixel(block.start);
        let each = if slot > 0 { 1 } else { block.len() };
        let (mut runs, mut count) = ([Run { to: 0, from: 0, len: 0 }; MOST_TOGETHER], 0);
        for tile in block.step_by(each) {
            let (from, end) = (pixel(tile), pixel(tile + each).min(len));
            runs[count] = Run { to: count * slot, from: from - begin, len: end - from };
            count += 1;
        }
        let (y0, x0) = ((start + begin) / p.ow, (start + begin) % p.ow);
        let last = runs[count - 1];
        // SAFETY: as the caller promises.
        unsafe {
            (self.gather)(&Gather {
                runs: runs.as_ptr(),
                count,
                stride: 1,
                from: input.wrapping_add(y0 * i.row + x0),
                plane: last.from + last.len,
                channel: i.channel,
                channels: p.cg_in,
                to,
                width: pitch,
                padded: false,
            });
        }
    }

    /// Gathers the inputs of `count` pixels for some of K.
    ///
    /// # Safety
    /// `to` has room for `ks.len()` rows of `width` floats, `runs` for a run per output row.
    #[allow(clippy::too_many_arguments)]
    unsafe fn fill(
        &self,
        job: &Job<'_>,
        input: *const f32,
        pixel: usize,
        count: usize,
        width: usize,
        ks: Range<usize>,
        to: *mut f32,
        runs: *mut Run,
    ) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let mut k = ks.start;
        while k < ks.end {
            let (tap, c) = (k / p.cg_in, k % p.cg_in);
            let (ky, kx) = (tap / s.kw, tap % s.kw);
            let channels = (p.cg_in - c).min(ks.end - k);
            let (mut found, mut covered, mut m) = (0, 0, 0);
            while m < count {
                let (oy, ox) = ((pixel + m) / p.ow, (pixel + m) % p.ow);
                let n = (p.ow - ox).min(count - m);
                let (y0, x0) = p.origin(oy, ox);
                let (y, x) = (y0 + (ky * s.dilation[0]) as isize, x0 + (kx * s.dilation[1]) as isize);
                if (0..s.h as isize).contains(&y) {
                    // Pixels of the run whose column is inside: `0 <= x + j * stride < w`.
                    let from = ((-x).max(0) as usize).div_ceil(s.stride[1]).min(n);
                    let end = ((s.w as isize - x).max(0) as usize).div_ceil(s.stride[1]).min(n);
                    if from < end {
                        let column = (x + (from * s.stride[1]) as isize) as usize;
                        let run = Run { to: m + from, from: y as usize * i.row + column, len: end - from };
                        // SAFETY: at most one run per output row.
                        unsafe { *runs.add(found) = run };
                        (found, covered) = (found + 1, covered + run.len);
                    }
                }
                m += n;
            }
            // SAFETY: runs are inside the image; rows inside `to`.
            unsafe {
                (self.gather)(&Gather {
                    runs,
                    count: found,
                    stride: s.stride[1],
                    from: input.wrapping_add(c * i.channel),
                    plane: (s.h - 1) * i.row + s.w,
                    channel: i.channel,
                    channels,
                    to: to.add((k - ks.start) * width),
                    width,
                    padded: covered < width,
                });
            }
            k += channels;
        }
    }
}

/// Finishes `count` pixels of a channel that lie side by side in the output, row by row of the map: those of the
/// residual may not.
///
/// # Safety
/// As [`super::finish::Finish::apply`].
pub(super) unsafe fn finish_line(
    f: &super::finish::Finish,
    p: &Problem,
    out: *mut f32,
    [image, y0, x0, c]: [usize; 4],
    count: usize,
) {
    let (mut y, mut x, mut done) = (y0, x0, 0);
    while done < count {
        let n = (p.ow - x).min(count - done);
        // SAFETY: inside the map.
        unsafe { f.apply(out.add(done), [image, y, x, c], n) };
        (y, x, done) = (y + 1, 0, done + n);
    }
}
