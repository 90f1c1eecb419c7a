//! Depthwise 3x3, and 5x5 with stride 2, channels last, multiplier 1: down strips of pixels, every input loaded once.
//!
//! The tiles of [`super::depthwise_nhwc`] load the rows that two of them share twice, and jump through an image in an
//! order that no prefetcher follows. This kernel walks down a strip of `P` output pixels with `N` vectors of channels. The
//! sums of the `M` output rows that the current input row belongs to stay in registers (`M = 3` for 3x3 with stride 1 and
//! 5x5 with stride 2, 2 for 3x3 with stride 2); a row's sums are stored when its last input row has been added.
//!
//! ```text
//! for each band of output rows, for each strip of P pixels, for each chunk of channels     (driver)
//!     for N vectors of channels at a time                                                  (micro-kernel)
//!         for each input row that is inside the image
//!             for each input column j of the window that is inside the image
//!                 x = input[row][j]
//!                 acc[m][p] += x * w[ky of m][kx]   for all (m, p, kx) that meet there
//!             clamp, store the sums that are complete; move the others up; begin new ones with the bias
//! ```
//!
//! The first and the last input rows of a band belong to fewer output rows than there are sums; they are added to those alone,
//! by code that loads inputs anew for each, or a band of ten rows would cost twelve.
//!
//! Registers: one input, `M * P * N` sums, and 9 weights where `N` is 1 and the kernel 3x3, else the weights of one row and
//! one vector at a time. Loads per multiply-add: stride 1 with P = 7, `9 / 63 = 0.14`; stride 2 with P = 4, `N = 2`,
//! `27 / 36 = 0.75`; 5x5 with P = 4, `47 / 100`. Bound by the FMA ports in the first caches; beyond, with stride 2, by the
//! lines that a core can have under way.
//!
//! A dilated kernel with stride 1 sees every `d`th row and column: it is `d * d` dense ones, each on a phase of the image.
//!
//! Pixels of a multiple of 512 channels lie 2 KiB apart: all pixels of one vector of channels share two sets of the first
//! cache. A line that the cache fetches ahead beside one that was asked for, and a line that waits for its sums, are thrown
//! out before they are used. Several neighbouring vectors at a time use such lines at once; that costs loads of weights, so
//! it is done where lines crowd.
//!
//! Of 24 channels, with stride 2, three vectors of eight lanes are walked down at once: every other pixel begins in the middle of a
//! line, which vectors of sixteen would cross at every load.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512. Stride 1: 14 and 28 wide maps of 384 and 192 channels 102 and
//! 97 % of peak (taps in the padding are left out), 112 and 56 wide ones, from the third cache, 92 and 95 %; 14 wide with
//! 512 channels 92 %, or 65 % where the sums share the sets of the inputs. Stride 2: 28 wide maps of 128 and 192 channels
//! 70 %, 112 and 56 wide ones 57 and 59 %, 14 wide with 512 channels 54 or 43 %; 56 wide with 24 64 %. 5x5 with stride 2: 56 wide, 72 channels, 90 %.

use super::depthwise_nhwc::DepthwiseNhwc;
use super::phases::Phase;
use super::window::{add_to_row, load_all};
use super::{Algorithm, Job, NO_CLAMP, Part, Problem, Shares};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// One strip for a micro-kernel.
pub(crate) struct Strip {
    /// The first column of the window in its first input row; outside the image where the ranges say so.
    pub input: *const f32,
    pub row: usize,
    pub pixel: usize,
    /// The row of the window that lies `back` floats before the place that strides tell, with those after it; none if 0.
    pub again: usize,
    pub back: usize,
    /// Input rows and columns of the window that are inside the image.
    pub rows: (usize, usize),
    pub columns: (usize, usize),
    pub out: *mut f32,
    pub out_row: usize,
    pub out_pixel: usize,
    /// Output rows.
    pub out_rows: usize,
    /// Per vector of channels: bias, then a vector per tap.
    pub weights: *const f32,
    pub channels: usize,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one kernel size, stride, `P` and `N`.
pub(crate) type Micro = unsafe fn(&Strip);

/// Pixels of the widest strips that are walked down with three vectors of channels at once: registers hold no more sums.
const THREE: usize = 4;

/// The micro-kernel: `N` vectors of channels at a time as long as there are so many, up to four. `EDGE`: some columns of the
/// window may be outside.
///
/// # Safety
/// The CPU has the tier of `V`. The window is readable where it is inside the image, `channels` floats per pixel; the
/// outputs are writable; weights are packed for `V::LANES`.
#[inline(always)]
#[rustfmt::skip]
pub(crate) unsafe fn micro<
    V: Vector, const K: usize, const S: usize, const M: usize, const P: usize, const N: usize, const EDGE: bool,
>(
    t: &Strip,
) {
    let three = N > 1 && S == 2 && P <= THREE;
    let mut c = 0;
    while c < t.channels {
        let left = t.channels - c;
        let vectors = left / V::LANES;
        // SAFETY: whole vectors only where as many channels are left.
        c += unsafe {
            if N == 4 && vectors >= 4 {
                walk::<V, K, S, M, P, 4, EDGE, false>(t, c, V::LANES, V::LANES);
                4 * V::LANES
            } else if three && c == 0 && vectors == 2 && left > 2 * V::LANES {
                // All channels at once, the last vector in part.
                walk::<V, K, S, M, P, 3, EDGE, true>(t, c, left - 2 * V::LANES, V::LANES);
                left
            } else if three && vectors >= 3 && (N > 2 || vectors == 3) {
                walk::<V, K, S, M, P, 3, EDGE, false>(t, c, V::LANES, V::LANES);
                3 * V::LANES
            } else if N > 1 && vectors >= 2 {
                walk::<V, K, S, M, P, 2, EDGE, false>(t, c, V::LANES, V::LANES);
                2 * V::LANES
            } else if three && V::Rest::LANES < V::LANES && left == 3 * V::Rest::LANES {
                walk::<V::Rest, K, S, M, P, 3, EDGE, false>(t, c, V::Rest::LANES, V::LANES);
                left
            } else if three && V::Rest::LANES < V::LANES && left > V::LANES && left < 3 * V::Rest::LANES {
                walk::<V::Rest, K, S, M, P, 3, EDGE, true>(t, c, left - V::LANES, V::LANES);
                left
            } else if N > 1 && S == 2 && vectors >= 1 && left > V::LANES {
                // The second vector in part.
                walk::<V, K, S, M, P, 2, EDGE, true>(t, c, left - V::LANES, V::LANES);
                left
            } else if vectors >= 1 {
                walk::<V, K, S, M, P, 1, EDGE, false>(t, c, V::LANES, V::LANES);
                V::LANES
            } else if left > V::Rest::LANES {
                walk::<V, K, S, M, P, 1, EDGE, true>(t, c, left, V::LANES);
                left
            } else if left == V::Rest::LANES {
                walk::<V::Rest, K, S, M, P, 1, EDGE, false>(t, c, left, V::LANES);
                left
            } else {
                walk::<V::Rest, K, S, M, P, 1, EDGE, true>(t, c, left, V::LANES);
                left
            }
        };
    }
}

/// Walks down the strip with the `N` vectors of channels that begin at channel `c`, of which the last has `lanes`, fewer than
/// a vector if `TAIL`. The packed weights of a tap have `pitch` floats.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn walk<
    V: Vector, const K: usize, const S: usize, const M: usize, const P: usize, const N: usize, const EDGE: bool,
    const TAIL: bool,
>(
    t: &Strip,
    c: usize,
    lanes: usize,
    pitch: usize,
) {
    // SAFETY: as the caller promises; rows outside are not read.
    unsafe {
        let inside = |y: usize| y >= t.rows.0 && y < t.rows.1;
        let weights = |n: usize| {
            let c = c + n * V::LANES;
            t.weights.add((c - c % pitch) * (K * K + 1) + c % pitch)
        };
        // The lanes of a vector that are not all.
        let part = |n: usize| (TAIL && n + 1 == N).then_some(lanes);
        let bias = |n: usize| [V::load(weights(n)); P];
        let mut row = t.input.wrapping_add(c);
        let mut out = t.out.add(c);
        // Sums of the output rows that the current input row belongs to, the first to end first.
        let mut acc = [[[V::zero(); P]; M]; N];
        // Sums that belong to output rows, and whether all do.
        let some = |r: usize| ((M - 1).saturating_sub(r), (t.out_rows + M - 1 - r).min(M));
        let whole = |r: usize| r >= M - 1 && r < t.out_rows;
        // The row after this one.
        let next = |row: *const f32, r: usize| {
            row.wrapping_add(t.row).wrapping_sub(if r + 1 == t.again { t.back } else { 0 })
        };
        for r in 0..t.out_rows + M - 1 {
            unroll!(n < N => { acc[n][M - 1] = bias(n); });
            if inside(r * S) {
                if whole(r) {
                    unroll!(n < N => {
                        let x = row.wrapping_add(n * V::LANES);
                        acc[n] = add_row::<V, K, S, M, P, EDGE>(t, x, part(n), acc[n], weights(n), pitch, K - 1);
                    });
                } else {
                    unroll!(n < N => {
                        let x = row.wrapping_add(n * V::LANES);
                        acc[n] = add_some::<V, K, S, M, P, EDGE>(t, x, part(n), acc[n], weights(n), pitch, K - 1, some(r));
                    });
                }
            }
            row = next(row, r * S);
            if r >= M - 1 {
                unroll!(n < N => { store_row::<V, P>(t, acc[n][0], out.add(n * V::LANES), part(n)); });
                out = out.wrapping_add(t.out_row);
            }
            unroll!(n < N => {
                for m in 1..M {
                    acc[n][m - 1] = acc[n][m];
                }
            });
            if S == 2 {
                // The rows between belong to those that go on.
                if inside(r * S + 1) {
                    unroll!(n < N => {
                        let x = row.wrapping_add(n * V::LANES);
                        acc[n] = add_row::<V, K, S, M, P, EDGE>(t, x, part(n), acc[n], weights(n), pitch, K - 2);
                    });
                }
                row = next(row, r * S + 1);
            }
        }
    }
}

/// Adds an input row to the sums of the output rows that it belongs to: to the first with kernel row `last`, to each further
/// one with the kernel row `S` before. With one vector at a time the compiler keeps the weights of a 3x3 kernel in registers;
/// otherwise it loads a row's anew.
///
/// # Safety
/// As [`micro`]; the row is inside the image.
#[inline(always)]
#[rustfmt::skip]
#[allow(clippy::too_many_arguments)]
unsafe fn add_row<
    V: Vector, const K: usize, const S: usize, const M: usize, const P: usize, const EDGE: bool,
>(
    t: &Strip,
    row: *const f32,
    part: Option<usize>,
    mut acc: [[V; P]; M],
    weights: *const f32,
    pitch: usize,
    last: usize,
) -> [[V; P]; M] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut w = [[V::zero(); K]; M];
        unroll!(m < M => {
            if last >= m * S {
                w[m] = load_all(weights.wrapping_add((1 + (last - m * S) * K) * pitch), pitch);
            }
        });
        unroll!(j < (P - 1) * S + K => {
            if !EDGE || (j >= t.columns.0 && j < t.columns.1) {
                let from = row.wrapping_add(j * t.pixel);
                let x = if let Some(lanes) = part { V::load_range(from, 0, lanes) } else { V::load(from) };
                for m in 0..M {
                    add_to_row::<V, K, S, P>(&mut acc[m], &w[m], x, j);
                }
            }
        });
        acc
    }
}

/// As [`add_row`], but only to the sums `some.0..some.1`: where an input row belongs to fewer output rows than there are
/// sums, at the first and the last ones.
///
/// # Safety
/// As [`add_row`].
#[inline(always)]
#[rustfmt::skip]
#[allow(clippy::too_many_arguments)]
unsafe fn add_some<
    V: Vector, const K: usize, const S: usize, const M: usize, const P: usize, const EDGE: bool,
>(
    t: &Strip,
    row: *const f32,
    part: Option<usize>,
    mut acc: [[V; P]; M],
    weights: *const f32,
    pitch: usize,
    last: usize,
    some: (usize, usize),
) -> [[V; P]; M] {
    unroll!(m < M => {
        if last >= m * S && m >= some.0 && m < some.1 {
            // SAFETY: as the caller promises.
            [acc[m]] = unsafe { add_row::<V, K, S, 1, P, EDGE>(t, row, part, [acc[m]], weights, pitch, last - m * S) };
        }
    });
    acc
}

/// Clamps and stores a row of sums.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn store_row<V: Vector, const P: usize>(t: &Strip, mut acc: [V; P], out: *mut f32, part: Option<usize>) {
    // SAFETY: as the caller promises.
    unsafe {
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for y in &mut acc {
                *y = y.at_least(lo).at_most(hi);
            }
        }
        for p in 0..P {
            let out = out.add(p * t.out_pixel);
            if let Some(lanes) = part {
                acc[p].store_first(out, lanes);
            } else {
                acc[p].store(out);
            }
        }
    }
}

/// Micro-kernels of one width: inner and at the edge.
pub(crate) struct Width {
    /// `P`.
    pub pixels: usize,
    pub micros: [Micro; 2],
}

/// The algorithm with a tier's micro-kernels for one stride.
pub(crate) struct DepthwiseStripNhwc {
    pub lanes: usize,
    /// Kernel rows and columns, and stride.
    pub k: usize,
    pub stride: usize,
    /// Widths, the largest first; the last is 1.
    pub widths: &'static [Width],
    /// Narrower ones of more vectors of channels, for pixels that lie in few sets of the first cache.
    pub crowded: &'static [Width],
    /// Cost of a multiply-add beside one in tiles, where every input is loaded two or two and a half times: where pixels lie
    /// in all sets, and where they crowd.
    pub cost: [f64; 2],
    /// The same on cores that do not split long vectors, if it differs.
    pub long: Option<[f64; 2]>,
}

/// Output rows of a band. A band loads up to two rows more than its share.
const BAND: usize = 56;

/// Vectors of channels in a unit of work: enough that a unit is worth a call, and that the threads get their share of a
/// small map with many channels.
const VECTORS: usize = 16;

/// Bytes after which the sets of a first cache repeat, on every x86 core until now.
const WAY: usize = 4096;

/// What an image is cut into.
struct Pieces {
    phases: [usize; 2],
    bands: usize,
    strips: usize,
    chunks: usize,
}

impl Pieces {
    fn units(&self) -> usize {
        self.phases[0] * self.phases[1] * self.bands * self.strips * self.chunks
    }
}

impl DepthwiseStripNhwc {
    /// The width for the rows of a phase. A strip costs its pixels and about two more for the inputs at its ends.
    fn width(&self, p: &Problem) -> usize {
        let ow = p.ow.div_ceil(p.shape.dilation[1]);
        // With stride 2, so many channels are best walked down all at once.
        let three = self.stride == 2 && p.shape.c_out < 4 * self.lanes;
        let most = if three { ow.min(THREE) } else { ow };
        let fits = self.widths.iter().map(|w| w.pixels).filter(|&w| w <= most);
        // One of few strips, and of those one that computes few pixels twice.
        fits.min_by_key(|w| (ow.div_ceil(*w) * (w + 2), ow.next_multiple_of(*w))).unwrap_or(1)
    }

    /// Phases of an image in rows and columns, bands of the first phase, strips of a band, chunks of a strip's channels.
    fn pieces(&self, p: &Problem) -> Pieces {
        let [dy, dx] = p.shape.dilation;
        Pieces {
            phases: Phase::count(p, p.shape.dilation),
            bands: p.oh.div_ceil(dy).div_ceil(BAND),
            strips: p.ow.div_ceil(dx).div_ceil(self.width(p)),
            chunks: p.shape.c_out.div_ceil(VECTORS * self.lanes),
        }
    }

    /// Whether the lines of one vector of channels crowd in few sets. In an image with a multiple of 512 channels they all
    /// lie in two. Lines that the cache fetches ahead, and lines of sums that wait to be stored, are then thrown out before
    /// they are used, unless neighbouring vectors are computed together. With stride 1 this is the lesser evil only where the
    /// sums lie in the same sets as the inputs.
    fn crowds(&self, job: &Job<'_>) -> bool {
        let pixel = job.input_strides.pixel.wrapping_mul(job.problem.shape.dilation[1] * size_of::<f32>());
        if self.stride == 2 {
            return pixel.is_multiple_of(WAY / 2);
        }
        let apart = (job.output as usize).wrapping_sub(job.input as usize) % (WAY / 4);
        pixel.is_multiple_of(WAY / 4) && !(64..=WAY / 4 - 64).contains(&apart)
    }
}

impl Algorithm for DepthwiseStripNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else {
            p.differs_in_phases_from(self.k, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let [dy, dx] = s.dilation;
        // Of a dense image; a plan does not know the strides that it will meet.
        let apart = s.c_in.wrapping_mul(dx * size_of::<f32>());
        // On cores that do not split long vectors, eight pixels in a way are too many already.
        let divides = apart >= WAY / 8 && WAY.is_multiple_of(apart);
        let crowded = apart.is_multiple_of(WAY / 2) || p.long_datapath && divides;
        let width = self.width(p);
        let row = if crowded {
            p.ow as f64
        } else if p.long_datapath && [self.stride, dy, dx] == [1; 3] {
            // As measured on maps as high as wide: each strip's ends cost three pixels, and its beginning and its end the more the lower it is.
            (p.ow.div_ceil(width) * (width + 3)) as f64 * (0.78 - 0.007 * p.ow.min(24) as f64)
        } else {
            (dx.min(p.ow) * p.ow.div_ceil(dx).next_multiple_of(width)) as f64
        };
        let phases = match dy * dx {
            1 => 1.0,
            _ if p.long_datapath => 1.27,
            _ => 1.2,
        };
        // A strip begins and ends for few multiply-adds.
        let narrow = if dx > 1 && p.ow.div_ceil(dx) <= 2 { 1.7 } else { 1.0 };
        let cost = p.costs(self.cost, self.long)[usize::from(crowded)] * phases * narrow;
        row * (s.n * p.oh * s.c_in.div_ceil(self.lanes) * (p.k() + 1)) as f64 * cost
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        DepthwiseNhwc { lanes: self.lanes, overlaps: false, ..DepthwiseNhwc::COMMON }.pack(p, source)
    }

    fn scratch_len(&self, _: &Problem) -> usize {
        0
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
        let Pieces { phases, bands, strips, chunks } = pieces;
        let width = self.width(p);
        let widths = if self.crowds(job) { self.crowded } else { self.widths };
        for unit in part.range(s.n * pieces.units()) {
            let (unit, chunk) = (unit / chunks, unit % chunks);
            let (unit, strip) = (unit / strips, unit % strips);
            let (unit, band) = (unit / bands, unit % bands);
            let (unit, px) = (unit / phases[1], unit % phases[1]);
            let (image, py) = (unit / phases[0], unit % phases[0]);
            let phase = Phase::new(p, &i, &o, s.dilation, [py, px]);
            let Phase { inputs: [h, w], outputs: [oh, ow], .. } = phase;
            let ([row, pixel], [out_row, out_pixel]) = (phase.input_step, phase.output_step);
            let c = chunk * VECTORS * self.lanes;
            let channels = (s.c_out - c).min(VECTORS * self.lanes);
            let input = job.input.wrapping_add(image * i.image).wrapping_add(phase.input_at).wrapping_add(c);
            // SAFETY: the first output of the phase is inside.
            let out = unsafe { job.output.add(image * o.image + phase.output_at + c) };
            let rows = Shares::new(oh, bands).range(band);
            // A narrower last strip is made of narrower ones, not moved back: another thread may compute its neighbour.
            let x = strip * width;
            let pixels = width.min(ow.saturating_sub(x));
            let mut done = 0;
            while done < pixels {
                let left = pixels - done;
                let width = widths.iter().find(|w| w.pixels <= left).unwrap_or(&widths[widths.len() - 1]);
                let column = x + done;
                let y = phase.origin[0] + (rows.start * self.stride) as isize;
                let x = phase.origin[1] + (column * self.stride) as isize;
                let reach = |outputs: usize| (outputs - 1) * self.stride + self.k;
                let range = |first: isize, len: usize, reach: usize| {
                    let end = (len as isize - first).clamp(0, reach as isize) as usize;
                    ((-first).clamp(0, reach as isize) as usize, end)
                };
                let columns = range(x, w, reach(width.pixels));
                let edge = columns != (0, reach(width.pixels));
                let first = input.wrapping_offset(y.wrapping_mul(row as isize));
                let again = job.ring.map_or(0, |ring| ring.row as isize - y);
                let back = job.ring.map_or(0, |ring| ring.back);
                let first = if again <= 0 { first.wrapping_sub(back) } else { first };
                // SAFETY: the strip is inside the output; the ranges leave out what is outside of the image.
                unsafe {
                    width.micros[usize::from(edge)](&Strip {
                        input: first.wrapping_offset(x.wrapping_mul(pixel as isize)),
                        row,
                        pixel,
                        again: again.max(0) as usize,
                        back,
                        rows: range(y, h, reach(rows.len())),
                        columns,
                        out: out.add(rows.start * out_row + column * out_pixel),
                        out_row,
                        out_pixel,
                        out_rows: rows.len(),
                        weights: job.weights.add(c * (p.k() + 1)),
                        channels,
                        clamp: job.clamp,
                    });
                }
                done += width.pixels;
            }
            // SAFETY: the strip has just been written.
            unsafe { phase.finish(job, image, out, rows, x..x + pixels, c..c + channels) };
        }
    }
}
