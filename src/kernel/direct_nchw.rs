//! Direct convolution, channels before rows: depthwise with any multiplier and grouped with few channels in NCHW.
//!
//! Vectors run along a row of the image and weights are scalars, as in [`super::igemm_nchw`], but a group has too few
//! output channels to pay for gathering its inputs: they are loaded where they lie, shifted by the tap. What is shared
//! is again the loads: a vector of inputs serves `R` output rows and `MR` output channels.
//!
//! ```text
//! for each block of R output rows, for each MR output channels of a group      (driver)
//!     for each group, for each tile of NV vectors of the row                   (micro-kernel)
//!         acc[MR][R][NV] = bias
//!         for each input channel of the group, for each input row of the window that is inside the image
//!             for each kernel column kx
//!                 x[NV] = row[kx..], lanes outside the row zero
//!                 acc[m][r][v] += x[v] * w[m][ky][kx]   for all (r, ky) that meet there
//!         clamp, store
//! ```
//!
//! With stride 2 two loads are split into even and odd columns; taps further on are shifts of these, in registers.
//! Rows outside the image are null pointers and left out; vectors that stick out left or right are loaded by mask, and
//! only those. Groups are the inner loop, so that the addresses are found once for all of them.
//!
//! Registers: `MR * R * NV` accumulators, `NV` inputs, and for a depthwise 3x3 the nine weights; else one broadcast.
//! Loads per multiply-add of 3x3 with MR = 4, R = 2, NV = 2: `4 * 3 * 2 / 144 = 0.17` of inputs, which lie askew and touch
//! two cache lines where a full vector of AVX-512 does, and 0.25 to 0.5 of weights.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: four channels per group 79 % of peak, eight 83 %. Depthwise
//! layers with multiplier 1 have `depthwise_nchw` and `depthwise_padded_nchw` on x86.
//!
//! [`super::staged_nchw`] takes any kernel size, stride and dilation.

use super::staged_nchw::{self, CopyFn, Stage};
use super::{Algorithm, Job, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// Most input rows of a block: `(R - 1) * S + K` for the largest of the instantiations, 5x5 with stride 1 and R = 4.
const MOST_ROWS: usize = 8;

/// A block of output rows, for all groups.
pub(crate) struct Tile {
    /// Column 0 of the input rows of the window, in the first group's first channel; null outside. For
    /// [`super::staged_nchw`], unused.
    pub rows: *const *const f32,
    pub groups: usize,
    /// Input channels of a group.
    pub channels: usize,
    pub in_channel: usize,
    /// Columns of input and output, and columns of padding to the left.
    pub w: usize,
    pub ow: usize,
    pub left: usize,
    /// Column 0 of the first output row of the first group's first channel of the chunk.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_channel: usize,
    pub out_group: usize,
    /// Output rows to store.
    pub count: usize,
    /// `[bias MR][channels][K][K][MR]`, and the distance to the next group's.
    pub weights: *const f32,
    pub weights_group: usize,
    pub clamp: (f32, f32),
    /// For [`super::staged_nchw`]: the staged rows; the distances between channels, and from an output row's first to the
    /// next one's; [`super::staged_nchw::Stage::taps`] and their number.
    pub staged: *const f32,
    pub stage_channel: usize,
    pub stage_row: usize,
    pub taps: *const u32,
    pub taps_len: usize,
}

/// A micro-kernel for one kernel size, stride and tile.
pub(crate) type Micro = unsafe fn(&Tile);

/// Where a tile may stick out of the row: nowhere, to the left, or anywhere.
const INNER: u8 = 0;
const LEFT: u8 = 1;
const ANYWHERE: u8 = 2;

/// Loads the vector at column `column` of a row of `w`. `masked`: lanes outside are zero; else there must be none.
///
/// # Safety
/// The CPU has the tier of `V`; `row` points to column 0.
#[inline(always)]
unsafe fn load<V: Vector>(row: *const f32, column: isize, w: usize, masked: bool) -> V {
    let p = row.wrapping_offset(column);
    // SAFETY: only columns of the row are read.
    unsafe {
        if masked {
            let lanes = V::LANES as isize;
            let lo = (-column).clamp(0, lanes);
            let hi = (w as isize - column).clamp(lo, lanes);
            V::load_range(p, lo as usize, hi as usize)
        } else {
            V::load(p)
        }
    }
}

/// The micro-kernel for a `K` x `K` kernel with stride `S` (1 or 2) and no dilation.
///
/// # Safety
/// The CPU has the tier of `V`; the tile's pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn micro<
    V: Vector,
    const K: usize,
    const S: usize,
    const MR: usize,
    const R: usize,
    const NV: usize,
>(
    t: &Tile,
) {
    const { assert!((R - 1) * S + K <= MOST_ROWS) };
    let mut x = 0;
    while x < t.ow {
        let column = (x * S) as isize - t.left as isize;
        let wide = NV * V::LANES;
        // Columns that a tile loads: with stride 2 the odd ones too.
        let reach = wide * S + K - S;
        // SAFETY: as the caller promises; the whole window of inner tiles is inside the row.
        unsafe {
            if column >= 0 && column as usize + reach <= t.w && x + wide <= t.ow {
                tile::<V, K, S, MR, R, NV, INNER>(t, x);
                x += wide;
                continue;
            }
            if column + reach as isize <= t.w as isize && x + wide <= t.ow {
                tile::<V, K, S, MR, R, NV, LEFT>(t, x);
                x += wide;
                continue;
            }
            // The narrowest tile that reaches the end of the row.
            let vectors = (t.ow - x).div_ceil(V::LANES).min(NV);
            match vectors {
                2 if NV >= 2 => tile::<V, K, S, MR, R, 2, ANYWHERE>(t, x),
                _ => tile::<V, K, S, MR, R, 1, ANYWHERE>(t, x),
            }
            x += vectors * V::LANES;
        }
    }
}

/// One tile of all groups, from output column `x` on. What depends on the column only, masks above all, is computed
/// once.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn tile<
    V: Vector, const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize, const EDGE: u8,
>(
    t: &Tile,
    x: usize,
) {
    for g in 0..t.groups {
        // SAFETY: as the caller promises.
        unsafe { block::<V, K, S, MR, R, NV, EDGE>(t, g, x) };
    }
}

/// One tile of one group, from output column `x` on.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn block<
    V: Vector, const K: usize, const S: usize, const MR: usize, const R: usize, const NV: usize, const EDGE: u8,
>(
    t: &Tile,
    g: usize,
    x: usize,
) {
    // SAFETY: as the caller promises: rows are null or inside the image, columns outside are masked at the edge.
    unsafe {
        let weights = t.weights.add(g * t.weights_group);
        let mut acc = [[[V::zero(); NV]; R]; MR];
        for m in 0..MR {
            acc[m] = [[V::splat(*weights.add(m)); NV]; R];
        }
        let mut weights = weights.add(MR);
        let start = (x * S) as isize - t.left as isize;
        for c in 0..t.channels {
            let channel = (g * t.channels + c) * t.in_channel;
            // The weights of a depthwise 3x3 stay in registers.
            let hold = MR == 1 && K == 3;
            let mut held = [[V::zero(); K]; K];
            if hold {
                for ky in 0..K {
                    for kx in 0..K {
                        held[ky][kx] = V::splat(*weights.add(ky * K + kx));
                    }
                }
            }
            unroll!(y < (R - 1) * S + K => {
                let row = *t.rows.add(y);
                if !row.is_null() {
                    let row = row.wrapping_add(channel);
                    let (xs, ends) = row_vectors::<V, K, S, NV, EDGE>(row, start, t.w);
                    for kx in 0..K {
                        for r in 0..R {
                            if y >= r * S && y - r * S < K {
                                let ky = y - r * S;
                                for m in 0..MR {
                                    let w = if hold {
                                        held[ky][kx]
                                    } else {
                                        V::splat(*weights.add((ky * K + kx) * MR + m))
                                    };
                                    for v in 0..NV {
                                        let x = if S == 1 {
                                            // Columns of a vector end before those of the first output of the next one but for
                                            // their last taps; of the last two vectors some may be outside.
                                            let last = v + 1 == NV || (v + 2 == NV && kx + 1 == K);
                                            let masked = (EDGE != INNER && v == 0) || (EDGE == ANYWHERE && last);
                                            load(row, start + (kx + v * V::LANES) as isize, t.w, masked)
                                        } else {
                                            let next = if v + 1 < NV { xs[kx % S][v + 1] } else { ends[kx % S] };
                                            shift(xs[kx % S][v], next, kx / S)
                                        };
                                        acc[m][r][v] = acc[m][r][v].mul_add(x, w);
                                    }
                                }
                            }
                        }
                    }
                }
            });
            weights = weights.add(K * K * MR);
        }
        let _ = weights;
        store(t, acc, g, x);
    }
}

/// The inputs of `NV` vectors of outputs from column `start` on, by phase of the stride, and of the vector after them
/// as many lanes as taps reach.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn row_vectors<V: Vector, const K: usize, const S: usize, const NV: usize, const EDGE: u8>(
    row: *const f32,
    start: isize,
    w: usize,
) -> ([[V; NV]; S], [V; S]) {
    // SAFETY: columns outside are masked at the edge, and not reached elsewhere.
    unsafe {
        let mut xs = [[V::zero(); NV]; S];
        let mut ends = [V::zero(); S];
        for v in 0..NV {
            let column = start + (v * V::LANES * S) as isize;
            let masked = (EDGE != INNER && v == 0) || (EDGE == ANYWHERE && v + 1 == NV);
            xs[0][v] = load(row, column, w, masked);
            if S == 2 {
                let high = load(row, column + V::LANES as isize, w, masked);
                (xs[0][v], xs[S - 1][v]) = xs[0][v].deinterleave(high);
            }
        }
        let column = start + (NV * V::LANES * S) as isize;
        let rest = if EDGE == ANYWHERE {
            load::<V>(row, column, w, true)
        } else {
            V::load_range(row.wrapping_offset(column), 0, K - S)
        };
        ends[0] = rest;
        if S == 2 {
            (ends[0], ends[S - 1]) = rest.deinterleave(V::zero());
        }
        (xs, ends)
    }
}

/// Lanes `n..` of `x`, then those of `next`; `n` is at most 2, and a constant where this is inlined.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn shift<V: Vector>(x: V, next: V, n: usize) -> V {
    // SAFETY: as the caller promises.
    unsafe {
        match n {
            0 => x,
            1 => x.shift_in::<1>(next),
            _ => x.shift_in::<2>(next),
        }
    }
}

/// Clamps and stores a tile.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
pub(super) unsafe fn store<V: Vector, const MR: usize, const R: usize, const NV: usize>(
    t: &Tile,
    mut acc: [[[V; NV]; R]; MR],
    g: usize,
    x: usize,
) {
    // SAFETY: as the caller promises: `count` rows of `ow` columns.
    unsafe {
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for m in 0..MR {
                for r in 0..R {
                    for v in 0..NV {
                        acc[m][r][v] = acc[m][r][v].at_least(lo).at_most(hi);
                    }
                }
            }
        }
        for m in 0..MR {
            for r in 0..R {
                if r < t.count {
                    for v in 0..NV {
                        let at = x + v * V::LANES;
                        let out = t.out.add(g * t.out_group + m * t.out_channel + r * t.out_row + at);
                        if at + V::LANES <= t.ow {
                            acc[m][r][v].store(out);
                        } else if at < t.ow {
                            acc[m][r][v].store_first(out, t.ow - at);
                        }
                    }
                }
            }
        }
    }
}

/// The algorithm with a tier's micro-kernels for one kernel size and stride.
pub(crate) struct DirectNchw {
    pub lanes: usize,
    /// Kernel rows and columns, and stride; 0 for any.
    pub k: usize,
    pub stride: usize,
    /// `R`
    pub rows: usize,
    /// Micro-kernels for 4, 2 and 1 output channels; those of a depthwise row have 1 only.
    pub micros: &'static [(usize, Micro)],
    /// Copies into staged rows.
    pub copy: CopyFn,
    /// Cost of one vector multiply-add beside that of the tier's widest vector in a kernel bound by it.
    pub cost: f64,
    /// How many times that the channels cost that are too few for the first micro-kernel.
    pub rest: f64,
    /// How many times that a group of one channel costs, whose inputs no other channel shares.
    pub single: f64,
    /// Output channels of a group from which on it is refused, if gathering inputs always pays then.
    pub many: usize,
}

impl DirectNchw {
    /// What most kernels have in common. From 16 output channels of a group on gathering inputs pays: see
    /// [`super::igemm_nchw`].
    pub(crate) const COMMON: DirectNchw = DirectNchw {
        lanes: 1,
        k: 0,
        stride: 0,
        rows: 1,
        micros: &[],
        copy: staged_nchw::copy,
        cost: 1.0,
        rest: 1.0,
        single: 1.0,
        many: 16,
    };

    fn is_any(&self) -> bool {
        self.k == 0
    }

    fn blocks(&self, p: &Problem) -> usize {
        p.oh.div_ceil(self.rows)
    }

    /// Chunks of a group's output channels: first channel, micro-kernel's channels and function.
    fn chunks(&self, p: &Problem) -> impl Iterator<Item = (usize, usize, Micro)> {
        let (total, micros) = (p.cg_out, self.micros);
        let mut first = 0;
        core::iter::from_fn(move || {
            let &(mr, micro) = micros.iter().find(|m| first + m.0 <= total)?;
            first += mr;
            Some((first - mr, mr, micro))
        })
    }

    fn group_len(&self, p: &Problem) -> usize {
        p.cg_out * (p.k() + 1)
    }
}

impl Algorithm for DirectNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if self.micros.len() == 1 && (p.cg_in != 1 || p.cg_out != 1) {
            Some("computes depthwise convolution with multiplier 1")
        } else if p.cg_out >= self.many {
            Some("computes groups of few output channels")
        } else if self.is_any() {
            self.stage(p).is_none().then_some("computes strides and dilations that do not reach far beyond the image")
        } else {
            p.differs_from(self.k, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let blocks = (s.n * self.blocks(p)) as f64;
        let rows = blocks * self.rows as f64;
        let rest = p.cg_out % self.micros[0].0;
        let single = if p.cg_out == 1 { self.single } else { 1.0 };
        let channels = ((p.cg_out - rest) as f64 + rest as f64 * self.rest) * self.cost * single;
        let sums = rows * p.ow.div_ceil(self.lanes) as f64 * s.groups as f64 * channels * (p.k() + 1) as f64;
        // In floating point: rows that lie far apart may be staged more often than an address counts.
        let staged = self.stage(p).map_or(0.0, |stage| blocks * (stage.len() / self.lanes) as f64);
        sums + staged * s.groups as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let mut packed = Aligned::new(s.groups * self.group_len(p));
        let mut out = packed.writer();
        for g in 0..s.groups {
            for (first, mr, _) in self.chunks(p) {
                let channels = g * p.cg_out + first..g * p.cg_out + first + mr;
                channels.clone().for_each(|o| out.put(source.bias(o)));
                for c in 0..p.cg_in {
                    for ky in 0..s.kh {
                        for kx in 0..s.kw {
                            channels.clone().for_each(|o| out.put(source.weight(o, c, ky, kx)));
                        }
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        self.stage(p).map_or(0, |stage| stage.len() + p.shape.kh * p.shape.kw)
    }

    fn units(&self, p: &Problem) -> usize {
        if self.splits_groups(p) { p.shape.groups } else { p.shape.n * self.blocks(p) }
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        let blocks = s.n * self.blocks(p);
        let (groups, range) =
            if self.splits_groups(p) { (part.range(s.groups), 0..blocks) } else { (0..s.groups, part.range(blocks)) };
        // Some groups at a time, so that the rows that one block shares with the next are still in the second cache.
        let plane = s.h * s.w * p.cg_in * size_of::<f32>();
        // Staging is done for one group at a time.
        let most = if self.is_any() { 1 } else { (p.caches.l2 / 4 / plane).clamp(1, s.groups) };
        if let Some(stage) = self.stage(p) {
            // SAFETY: scratch has room for the staged rows and the taps.
            unsafe {
                stage.clear(job.scratch);
                stage.taps(p, job.scratch.add(stage.len()).cast());
            }
        }
        let mut first = groups.start;
        while first < groups.end {
            let count = most.min(groups.end - first);
            for unit in range.clone() {
                let (image, y) = (unit / self.blocks(p), unit % self.blocks(p) * self.rows);
                // SAFETY: the block is inside the output, and so are the groups.
                unsafe { self.block(job, image, y, first, count) };
            }
            first += count;
        }
    }
}

impl DirectNchw {
    /// Staged rows, of the row for any shape only.
    fn stage(&self, p: &Problem) -> Option<Stage> {
        if self.is_any() { Stage::new(p, self.rows, self.lanes) } else { None }
    }

    /// Whether parts are groups rather than rows: fewer rows that two parts read, but the groups must be many.
    fn splits_groups(&self, p: &Problem) -> bool {
        p.shape.groups >= 16
    }

    /// Computes a block of rows of some groups.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn block(&self, job: &Job<'_>, image: usize, y: usize, first: usize, groups: usize) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let count = self.rows.min(p.oh - y);
        let (y0, _) = p.origin(y, 0);
        let input = job.input.wrapping_add(image * i.image + first * p.cg_in * i.channel);
        let mut rows = [core::ptr::null(); MOST_ROWS];
        let stage = self.stage(p);
        if let Some(stage) = &stage {
            // SAFETY: the group is inside the input.
            unsafe { stage.fill(job, input, y, (self.rows - count) * s.stride[0], self.copy) };
        } else {
            let window = (count - 1) * self.stride + self.k;
            for (r, row) in rows.iter_mut().enumerate().take(window) {
                let y = y0 + r as isize;
                if (0..s.h as isize).contains(&y) {
                    *row = input.wrapping_add(y as usize * i.row);
                }
            }
        }
        let mut at = 0;
        for (channel, mr, micro) in self.chunks(p) {
            let c = first * p.cg_out + channel;
            // SAFETY: rows are inside the image, the weights are packed in this order, the outputs belong to this part.
            unsafe {
                micro(&Tile {
                    rows: rows.as_ptr(),
                    groups,
                    channels: p.cg_in,
                    in_channel: i.channel,
                    w: s.w,
                    ow: p.ow,
                    left: s.padding.left,
                    out: job.output.add(image * o.image + c * o.channel + y * o.row),
                    out_row: o.row,
                    out_channel: o.channel,
                    out_group: p.cg_out * o.channel,
                    count,
                    weights: job.weights.add(first * self.group_len(p) + at),
                    weights_group: self.group_len(p),
                    clamp: job.clamp,
                    staged: job.scratch,
                    stage_channel: stage.map_or(0, |s| s.rows * s.row),
                    stage_row: stage.map_or(0, |stage| s.stride[0] * stage.row),
                    taps: job.scratch.wrapping_add(stage.map_or(0, |s| s.len())).cast(),
                    taps_len: s.kh * s.kw,
                });
            }
            at += mr * (p.k() + 1);
        }
        let channels = first * p.cg_out..(first + groups) * p.cg_out;
        // SAFETY: the rows have just been written.
        unsafe { job.finish_rows(image, channels, y..y + count) };
    }
}
