//! Depthwise convolution, channels before rows, multiplier 1, any padding, any dilation of stride 1: planes are copied with
//! their padding.
//!
//! Vectors run along a row of the image, weights are scalars. Two things make that slow on small maps: rows end anywhere, so
//! that loads at their ends need masks, and taps outside of the image need tests. So a plane is first copied into scratch,
//! with zeros around it, its even and odd columns apart where the stride is two. Then every tap of every output is a plain
//! load from the first cache, the same for all rows and columns:
//!
//! ```text
//! for each plane, or band of rows of a large one
//!     copy the input rows of the next one                               (stage)
//!     for each block of R output rows, for each NV vectors of the row   (block, tile)
//!         acc[R][NV] = bias
//!         for each kernel column
//!             w[K] = the column's weights, one lane to all
//!             for each input row y of the block's windows
//!                 x[NV] = staged[y][column]
//!                 acc[r][v] += x[v] * w[y - r * S]   for all r that meet there
//!         clamp, store
//! ```
//!
//! The last vector of a row and the last block of a plane are moved back to where they end, over outputs that are computed
//! twice. A small plane is copied while the one before it is computed, from one of two places in turns: loads that lie askew
//! across what has just been stored would wait for the stores to reach the cache. Dilated rows are those of `dilation` images one in
//! another; dilated columns lie further apart, which costs nothing.
//!
//! A large plane is cut into bands, of which each block's rows are copied just before the block ahead of it is computed.
//! Scratch: 16 KiB, or the rows of the largest block if they take more, 256 KiB at most.
//!
//! Registers with AVX2: R x NV accumulators, 4 to 8 rows of one vector on narrow maps and with K = 7, 4 to 6 rows of two otherwise;
//! K = 3 to 7 weights, NV inputs: 16 at most. Loads per multiply-add: 3x3 with stride 1, R = 4, NV = 2, 15 for 24, of which half of
//! the ones askew cross a cache line and count twice. Bound by the multiply units, beside which a vector of the image is copied
//! in one to two cycles, in four with stride 2, whose columns are parted by four shuffles; rows of 7, 14 and 28 leave an eighth of
//! the lanes empty, and what a block and a plane begin and end with is a third of the time on 14 x 14, half on 7 x 7.
//!
//! AVX-512 shifts whole rows in registers where the padding is half the kernel ([`super::depthwise_nchw`]), which takes 0.5 to 1.0
//! times as long. For other padding and dilated kernels it has this one, in vectors of eight lanes: loads of sixteen always lie
//! across two cache lines, of eight every second time, and rows end in fewer empty lanes; with sixteen, 3x3
//! took 0.93 to 1.12 times as long on maps 14 wide and more, half as long again on 7. NEON, whose four lanes leave none empty, goes
//! down planes without a copy (`depthwise_planes_nchw`); what a cache gives does not show in an emulator.
//!
//! With AVX2, 3x3 kernels padded by a column or none take strips of the image itself instead ([`super::depthwise_strip_nchw`]), in 0.5 to
//! 0.75 times the time.
//!
//! Measured 2026-11-28, one Zen 3 core (49.8 GMAC/s), AVX2, percent of peak: 3x3 stride 1 54, 51, 49, 40 and 30 on maps 112, 56, 28,
//! 14 and 7 wide, dilated on 28 45; stride 2 27, 22, 24 and 17 from 112, 56, 28 and 14; 5x5 64, 60 and 49 on 28, 14 and 7, stride 2
//! 44, 43 and 35; 7x7 76, 64 and 62 on 56, 28 and 14. One Zen 4 core (59.1 GMAC/s), AVX-512: 3x3 dilated by 2 63, 57 and 48 on 56,
//! 28 and 14; without padding 59, 59 and 51 on 58, 30 and 16, stride 2 32, 30 and 32 on 113, 57 and 29; 5x5 without padding 76 and 67
//! on 32 and 18; 7x7 89 on 56.

use super::{Algorithm, Job, NO_CLAMP, Part, Problem, opaque};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;
use core::ops::Range;

/// Planes for the micro-kernel, all alike.
pub(crate) struct Planes {
    pub planes: usize,
    /// The first input row to copy, how many there are, the distances between rows and planes, and columns.
    pub input: *const f32,
    pub in_rows: usize,
    pub in_row: usize,
    pub in_plane: usize,
    pub w: usize,
    /// Rows of zeros above those that are copied.
    pub top: usize,
    /// Where the first copied pixel goes, and the distances between rows, from even to odd columns, and between the two places
    /// that planes are copied to in turns.
    pub staged: *mut f32,
    pub pitch: usize,
    pub phase: usize,
    pub other: usize,
    /// The first tap of the first output; the distances from tap to tap of a kernel row, in turns, and between kernel rows.
    pub first: *const f32,
    pub steps: [usize; 2],
    pub row_step: usize,
    pub kw: usize,
    /// The first output, the distances between rows and planes, rows and columns.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_plane: usize,
    pub rows: usize,
    pub ow: usize,
    /// Rows between those of one of the images that a dilated kernel sees.
    pub dilation: usize,
    /// `[bias][kw][K]` of each plane.
    pub weights: *const f32,
    pub clamp: (f32, f32),
    pub stage: Stage,
}

/// A micro-kernel for one kernel height, stride and number of rows.
pub(crate) type Micro = unsafe fn(&Planes);

/// Copies some rows of a plane.
pub(crate) type Stage = unsafe fn(t: &Planes, from: *const f32, to: *mut f32, rows: usize);

/// The micro-kernel for kernels of `K` rows, stride `S` (1 or 2), blocks of `R` output rows x `NV` (1 or 2) vectors.
///
/// # Safety
/// The CPU has the tier of `V`. The input's rows are readable, the outputs writable, and both places hold what all windows of
/// whole blocks and whole vectors read, with zeros wherever nothing is copied to.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const K: usize, const S: usize, const R: usize, const NV: usize>(t: &Planes) {
    // SAFETY: as the caller promises.
    unsafe {
        // A band is copied as it is computed, so that the cache that it comes from is asked for it little by little.
        let at_once = t.other != 0 || t.dilation > 1;
        let mut staged = if at_once { t.in_rows } else { 0 };
        (t.stage)(t, t.input, t.staged, staged);
        let mut at = 0;
        for plane in 0..t.planes {
            let next = t.other - at;
            if plane + 1 < t.planes {
                (t.stage)(t, t.input.add((plane + 1) * t.in_plane), t.staged.add(next), t.in_rows);
            }
            let (first, out) = (t.first.add(at), t.out.add(plane * t.out_plane));
            let weights = t.weights.add(plane * (K * t.kw + 1));
            for image in 0..t.dilation.min(t.rows) {
                let rows = if t.dilation == 1 { t.rows } else { (t.rows - image).div_ceil(t.dilation) };
                let mut y = 0;
                loop {
                    if !at_once {
                        // The rows of this block's windows and of the next one's.
                        let end = ((y + 2 * R).min(rows.max(R)) - 1) * S + K;
                        let end = end.saturating_sub(t.top).min(t.in_rows);
                        let (from, to) = (t.input.add(staged * t.in_row), t.staged.add(staged * t.pitch));
                        (t.stage)(t, from, to, end - staged);
                        staged = end;
                    }
                    let row = image + y * t.dilation;
                    block::<V, K, S, R, NV>(t, first.add(row * S * t.pitch), weights, out.add(row * t.out_row), rows);
                    if y + R >= rows {
                        break;
                    }
                    y = (y + R).min(rows - R);
                }
            }
            at = next;
        }
    }
}

/// [`Stage`] for stride `S`.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
pub(crate) unsafe fn stage<V: Vector, const S: usize>(t: &Planes, mut from: *const f32, mut to: *mut f32, rows: usize) {
    let (whole, rest) = (t.w / (S * V::LANES), t.w % (S * V::LANES));
    for _ in 0..rows {
        // SAFETY: as the caller promises; a row's last vectors are moved back to its end, or load no more than is there.
        unsafe {
            if S == 1 {
                if whole == 0 {
                    V::load_range(from, 0, rest).store(to);
                } else {
                    let last = t.w - V::LANES;
                    let (mut x, mut y, end) = (from, to, from.add(last));
                    while x < end {
                        V::load(x).store(y);
                        // Unrolled, rows of two vectors would take the way through the remainder.
                        x = opaque(x.add(V::LANES));
                        y = y.add(V::LANES);
                    }
                    V::load(end).store(to.add(last));
                }
            } else {
                for v in 0..whole {
                    let from = from.add(2 * v * V::LANES);
                    let (even, odd) = V::load(from).deinterleave(V::load(from.add(V::LANES)));
                    even.store(to.add(v * V::LANES));
                    odd.store(to.add(t.phase + v * V::LANES));
                }
                if rest > 0 {
                    let from = from.add(2 * whole * V::LANES);
                    let low = V::load_range(from, 0, rest.min(V::LANES));
                    let high = V::load_range(from.wrapping_add(V::LANES), 0, rest.saturating_sub(V::LANES));
                    let (even, odd) = low.deinterleave(high);
                    even.store(to.add(whole * V::LANES));
                    odd.store(to.add(t.phase + whole * V::LANES));
                }
            }
        }
        from = from.wrapping_add(t.in_row);
        to = to.wrapping_add(t.pitch);
    }
}

/// A block of `R` output rows, of which `rows` are there if they are fewer. `from` is the first tap of its first output.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn block<V: Vector, const K: usize, const S: usize, const R: usize, const NV: usize>(
    t: &Planes,
    from: *const f32,
    weights: *const f32,
    out: *mut f32,
    rows: usize,
) {
    let last = t.ow.saturating_sub(V::LANES);
    let mut x = 0;
    // SAFETY: as the caller promises.
    unsafe {
        while NV == 2 && x < last {
            // The second vector of a row's end is moved back too.
            tile::<V, K, S, R, 2>(t, from.add(x), weights, out.add(x), rows, (last - x).min(V::LANES));
            x += 2 * V::LANES;
        }
        if NV == 1 || x < t.ow {
            loop {
                let at = x.min(last);
                tile::<V, K, S, R, 1>(t, from.add(at), weights, out.add(at), rows, 0);
                x += V::LANES;
                if x >= t.ow {
                    break;
                }
            }
        }
    }
}

/// `R` rows of `NV` vectors, `pitch` columns apart.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn tile<V: Vector, const K: usize, const S: usize, const R: usize, const NV: usize>(
    t: &Planes,
    mut column: *const f32,
    weights: *const f32,
    out: *mut f32,
    rows: usize,
    pitch: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [[V::splat(*weights); NV]; R];
        let mut w = weights.add(1);
        let [mut step, mut other] = t.steps;
        for _ in 0..t.kw {
            add_column::<V, K, S, R, NV>(&mut acc, column, t.row_step, pitch, w);
            w = w.wrapping_add(K);
            column = column.wrapping_add(step);
            (step, other) = (other, step);
        }
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for y in acc.as_flattened_mut() {
                *y = y.at_least(lo).at_most(hi);
            }
        }
        store(t, &acc, out, rows, pitch);
    }
}

/// Adds one column of the kernel.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_column<V: Vector, const K: usize, const S: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    mut x: *const f32,
    row_step: usize,
    pitch: usize,
    weights: *const f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut w = [V::zero(); K];
        unroll!(ky < K => { w[ky] = V::splat(*weights.add(ky)); });
        unroll!(y < (R - 1) * S + K => {
            let mut xs = [V::zero(); NV];
            for v in 0..NV {
                xs[v] = V::load(x.wrapping_add(v * pitch));
            }
            add_row::<V, K, S, R, NV>(acc, xs, &w, y);
            x = x.wrapping_add(row_step);
        });
        let _ = x;
    }
}

/// Adds a row of inputs to all outputs that it belongs to; `y` is a constant where this is inlined.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn add_row<V: Vector, const K: usize, const S: usize, const R: usize, const NV: usize>(
    acc: &mut [[V; NV]; R],
    xs: [V; NV],
    w: &[V; K],
    y: usize,
) {
    unroll!(r < R => {
        if y >= r * S && y - r * S < K {
            for v in 0..NV {
                // SAFETY: as the caller promises.
                acc[r][v] = unsafe { acc[r][v].mul_add(xs[v], w[y - r * S]) };
            }
        }
    });
}

/// Stores the first `rows` rows of a tile.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn store<V: Vector, const R: usize, const NV: usize>(
    t: &Planes,
    acc: &[[V; NV]; R],
    mut out: *mut f32,
    rows: usize,
    pitch: usize,
) {
    let out_row = t.out_row * t.dilation;
    let whole = t.ow >= V::LANES && rows >= R;
    // Where one row follows another, what is written beyond a narrow one is written over by the next ones.
    let dense = out_row == t.ow && rows >= R;
    unroll!(r < R => {
        // SAFETY: as the caller promises.
        unsafe {
            if whole || dense && (R - r) * t.ow >= V::LANES {
                for v in 0..NV {
                    acc[r][v].store(out.add(v * pitch));
                }
            } else if r < rows {
                for v in 0..NV {
                    acc[r][v].store_first(out.add(v * pitch), t.ow.min(V::LANES));
                }
            }
        }
        out = out.wrapping_add(out_row);
    });
    let _ = out;
}

/// The algorithm with a tier's micro-kernels for one kernel height and stride.
pub(crate) struct DepthwisePadded {
    pub lanes: usize,
    /// Whether its vectors are half of the tier's.
    pub halves: bool,
    /// Kernel rows, and stride.
    pub k: usize,
    pub stride: usize,
    /// Columns from which on it is better than going by way of channels last, which leaves out rows and columns in the padding.
    pub least_columns: usize,
    /// Micro-kernels for blocks of [`LEAST_ROWS`] rows and more: of one vector for narrow maps, of two for others.
    pub narrow: &'static [Micro],
    pub wide: &'static [Micro],
    pub stage: Stage,
}

/// Rows of the smallest and of the largest blocks.
const LEAST_ROWS: usize = 4;
const MOST_ROWS: usize = 8;

/// Most floats of a plane that is copied while the one before it is computed: both are half of a first cache of 32 KiB. Larger
/// ones are cut into bands, each of which has the room of two.
const PLACE: usize = 2048;

/// Most floats of the rows of the largest block, which far dilated kernels of wide images exceed: 256 KiB. Others compute those.
const MOST: usize = 1 << 16;

/// What is copied of a plane, and how it is cut.
struct Staging {
    /// Floats before the first pixel of a row, of a row's even or odd columns, and of a row.
    margin: usize,
    phase: usize,
    pitch: usize,
    /// Output rows of a block and of a band.
    block: usize,
    band: usize,
    /// Floats of a place, and how many there are.
    place: usize,
    places: usize,
}

impl DepthwisePadded {
    fn micros(&self, p: &Problem) -> &'static [Micro] {
        if p.ow <= self.lanes { self.narrow } else { self.wide }
    }

    /// Input rows under `rows` output rows.
    fn reach(&self, p: &Problem, rows: usize) -> usize {
        (rows - 1) * self.stride + (self.k - 1) * p.shape.dilation[0] + 1
    }

    /// Floats before the first pixel, of a phase and of a row, if those of the largest block are no more than [`MOST`]. It does
    /// not depend on the number of rows: all strips of an image are computed by the same kernel.
    fn row(&self, p: &Problem) -> Option<(usize, usize, usize)> {
        let s = &p.shape;
        let across = (s.kw - 1) * s.dilation[1];
        let margin = s.padding.left.div_ceil(self.stride).next_multiple_of(self.lanes);
        // Whole vectors are copied, and read.
        let copied = s.w.div_ceil(self.stride).next_multiple_of(self.lanes);
        let read = p.ow.max(self.lanes).checked_add(across / self.stride + 1)?;
        let phase = copied.max(read).checked_add(margin)?.next_multiple_of(self.lanes);
        let pitch = phase.checked_mul(self.stride)?;
        if s.dilation[0] > MOST {
            return None;
        }
        let rows = self.reach(p, MOST_ROWS * s.dilation[0]);
        (rows.checked_mul(pitch)? <= MOST).then_some((margin, phase, pitch))
    }

    /// How it copies what [`DepthwisePadded::row`] allows.
    fn staging(&self, p: &Problem) -> Option<Staging> {
        let (margin, phase, pitch) = self.row(p)?;
        let dilation = p.shape.dilation[0];
        // Rows of one of the images of a dilated kernel; a block's multiply-adds, and the time of some more that it takes beside.
        let rows = p.oh.div_ceil(dilation);
        let cost = |block: &usize| rows.div_ceil(*block) * (block * p.k() + 16);
        let block = (LEAST_ROWS..LEAST_ROWS + self.micros(p).len()).min_by_key(cost)?;
        let unit = block * dilation;
        let floats = |rows: usize| self.reach(p, rows.max(unit)).saturating_mul(pitch);
        if floats(p.oh) <= PLACE {
            return Some(Staging { margin, phase, pitch, block, band: p.oh, place: floats(p.oh), places: 2 });
        }
        // Bands of whole blocks, as alike as they can be.
        let fit = (2 * PLACE / pitch).saturating_sub(self.reach(p, 1) - self.stride) / self.stride / unit * unit;
        let bands = p.oh.div_ceil(fit.max(unit));
        let band = p.oh.div_ceil(bands).next_multiple_of(unit).min(p.oh);
        Some(Staging { margin, phase, pitch, block, band, place: floats(band), places: 1 })
    }

    /// Computes a band of some planes of an image.
    ///
    /// # Safety
    /// As [`Algorithm::run`]. The rows and planes are inside the output and belong to the part; `places` are two places, zero
    /// wherever the rows of no band are copied to.
    unsafe fn band(
        &self,
        job: &Job<'_>,
        staging: &Staging,
        places: *mut f32,
        image: usize,
        planes: Range<usize>,
        rows: Range<usize>,
    ) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let pitch = staging.pitch;
        let (above, _) = p.origin(rows.start, 0);
        let reach = self.reach(p, rows.len());
        let top = above.min(0).unsigned_abs().min(reach);
        let first = above.max(0) as usize;
        let in_rows = (reach - top).min(s.h - first.min(s.h));
        let copied = top * pitch + staging.margin;
        // From the first pixel of the first copied row back to the first tap.
        let tap = staging.margin * self.stride - s.padding.left;
        let steps = if self.stride == 1 {
            [s.dilation[1]; 2]
        } else {
            let odd = 1usize.wrapping_sub(staging.phase);
            if tap.is_multiple_of(2) { [staging.phase, odd] } else { [odd, staging.phase] }
        };
        // SAFETY: as the caller promises. Rows outside of the image may have been copied to before.
        unsafe {
            let read = self.reach(p, rows.len().max(staging.block * s.dilation[0]));
            for place in (0..staging.places).map(|i| places.add(i * staging.place)) {
                place.write_bytes(0, top * pitch);
                place.add((top + in_rows) * pitch).write_bytes(0, (read - top - in_rows) * pitch);
            }
            self.micros(p)[staging.block - LEAST_ROWS](&Planes {
                planes: planes.len(),
                input: job.input.wrapping_add(image * i.image + planes.start * i.channel + first * i.row),
                in_rows,
                in_row: i.row,
                in_plane: i.channel,
                w: s.w,
                top,
                staged: places.add(copied),
                pitch,
                phase: staging.phase,
                other: staging.place * (staging.places - 1),
                first: places.add(tap % self.stride * staging.phase + tap / self.stride),
                steps,
                row_step: pitch * s.dilation[0],
                kw: s.kw,
                out: job.output.add(image * o.image + planes.start * o.channel + rows.start * o.row),
                out_row: o.row,
                out_plane: o.channel,
                rows: rows.len(),
                ow: p.ow,
                dilation: s.dilation[0],
                weights: job.weights.add(planes.start * (p.k() + 1)),
                clamp: job.clamp,
                stage: self.stage,
            });
            job.finish_rows(image, planes, rows);
        }
    }
}

/// How a layer differs from a depthwise one in NCHW with kernels of `k` rows whose outputs all see the image, if it does.
pub(crate) fn differs_from(p: &Problem, k: usize) -> Option<&'static str> {
    let s = &p.shape;
    let down = (s.kh - 1).saturating_mul(s.dilation[0]);
    let across = (s.kw - 1).saturating_mul(s.dilation[1]);
    if p.layout != Layout::Nchw {
        Some("computes NCHW")
    } else if p.cg_in != 1 || p.cg_out != 1 {
        Some("computes depthwise convolution with multiplier 1")
    } else if s.kh != k {
        Some("computes another kernel height")
    } else if s.padding.top.max(s.padding.bottom) > down || s.padding.left.max(s.padding.right) > across {
        Some("computes outputs that see the image")
    } else {
        None
    }
}

impl Algorithm for DepthwisePadded {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        if let Some(reason) = differs_from(p, self.k) {
            Some(reason)
        } else if s.stride != [self.stride; 2] {
            Some("computes another stride")
        } else if self.stride > 1 && s.dilation != [1, 1] {
            Some("computes dilated kernels with stride 1 only")
        } else if self.row(p).is_none() {
            Some("computes blocks of rows that fit in the second cache with their padding")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        // The least of all that can compute a shape, or the most, however many rows of it: others sum in another order, and whether
        // an image is computed at once or by strips must not show. So it is a fraction of the multiply-adds, of which others
        // estimate them all at least, or a multiple.
        let few = s.dilation[1] > 1 && p.ow.div_ceil(s.dilation[1]) <= 2;
        // Cores that do not split long vectors take whole ones (`depthwise_masked_nchw`).
        let short = self.halves && self.stride == 1 && p.long_datapath;
        let cost = if few || short || p.ow < self.least_columns { 50.0 } else { 0.05 };
        cost * (s.n * s.c_out * p.oh * p.ow.div_ceil(self.lanes)) as f64 * p.k() as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        source.depthwise(p.shape.groups, |tap| (tap % p.shape.kh, tap / p.shape.kh))
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        // From the first cache line on. Strips of an image may be cut otherwise, but take no more.
        self.row(p)
            .map_or(0, |(.., pitch)| (2 * PLACE).max(self.reach(p, MOST_ROWS * p.shape.dilation[0]) * pitch) + 16)
    }

    fn units(&self, p: &Problem) -> usize {
        self.staging(p).map_or(1, |staging| p.shape.n * p.shape.groups * p.oh.div_ceil(staging.band))
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        let Some(staging) = self.staging(p) else { return };
        let bands = p.oh.div_ceil(staging.band);
        let places = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        // Outputs are finished while they are in the first cache.
        let plane = p.oh * p.ow * size_of::<f32>();
        let most = if job.finish.is_some() { (p.caches.l1 / 4 / plane).max(1) } else { usize::MAX };
        // SAFETY: scratch holds both places. All units are inside the output; those of this part are its own.
        unsafe {
            places.write_bytes(0, staging.place * staging.places);
            let units = part.range(s.n * s.groups * bands);
            let mut unit = units.start;
            while unit < units.end {
                let (plane, band) = (unit / bands, unit % bands);
                let (image, channel) = (plane / s.groups, plane % s.groups);
                // Small planes are computed by one call.
                let count = if staging.places == 2 { (units.end - unit).min(s.groups - channel).min(most) } else { 1 };
                let y = band * staging.band;
                let rows = y..p.oh.min(y + staging.band);
                self.band(job, &staging, places, image, channel..channel + count, rows);
                unit += count;
            }
        }
    }
}
