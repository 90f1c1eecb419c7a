//! Depthwise 3x3, channels last, multiplier 1: down strips of pixels, every input loaded once.
//!
//! The tiles of [`super::depthwise_nhwc`] load the rows that two of them share twice, and jump through an image in an
//! order that no prefetcher follows. That is hidden while the image lies in the second cache; beyond, and with stride 2,
//! where every load serves few multiply-adds, it is what the time goes to. This kernel walks down a strip of `P` output
//! pixels with one vector of channels. All nine weights stay in registers, and so do the sums of the output rows that the
//! current input row belongs to; a row's sums are stored when its last input row has been added.
//!
//! ```text
//! for each band of output rows, for each strip of P pixels       (driver)
//!     for each vector of channels                                (micro-kernel)
//!         w[3][3] = weights
//!         for each input row that is inside the image
//!             for each input column j of the window that is inside the image
//!                 x = input[row][j]
//!                 acc[n][p] += x * w[ky of n][kx]   for all (n, p, kx) that meet there
//!             clamp, store the sums that are complete; move the others up; begin new ones with the bias
//! ```
//!
//! Registers: 9 weights, one input, `3 * P` accumulators with stride 1, `2 * P` with stride 2. Loads per multiply-add with
//! P = 7: `9 / 63 = 0.14` with stride 1, `2 * 15 / 63 = 0.48` with stride 2. Bound by the FMA ports with stride 1, by the
//! bandwidth of the cache that holds the image with stride 2.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: stride 1 on maps 112, 56, 28, 14 and 7 wide 89, 90, 85, 75
//! and 60 % of peak, the first two from the third cache; stride 2 on 112 and 56 wide maps 56 and 58 %. Maps of 512 channels
//! and up lose to the first cache: their pixels lie a multiple of 2 KiB apart, in one or two of its sets, where prefetched
//! lines push each other out (stride 2 at 14 x 14 x 512: 35 %, with pixels 64 bytes further apart 58 %).

use super::{Algorithm, Job, NO_CLAMP, Part, Problem, Shares};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// Kernel rows and columns.
const K: usize = 3;

/// One strip for a micro-kernel.
pub(crate) struct Strip {
    /// The first column of the window in its first input row; outside the image where the ranges say so.
    pub input: *const f32,
    pub row: usize,
    pub pixel: usize,
    /// Input rows and columns of the window that are inside the image.
    pub rows: (usize, usize),
    pub columns: (usize, usize),
    pub out: *mut f32,
    pub out_row: usize,
    pub out_pixel: usize,
    /// Output rows.
    pub out_rows: usize,
    /// Per vector of channels: bias, then nine vectors.
    pub weights: *const f32,
    pub channels: usize,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one stride and `P`.
pub(crate) type Micro = unsafe fn(&Strip);

/// The micro-kernel. `EDGE`: some columns of the window may be outside.
///
/// # Safety
/// The CPU has the tier of `V`. The window is readable where it is inside the image, `channels` floats per pixel; the
/// outputs are writable; weights are packed for `V::LANES`.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const S: usize, const P: usize, const EDGE: bool>(t: &Strip) {
    let mut c = 0;
    let mut weights = t.weights;
    while c < t.channels {
        let lanes = (t.channels - c).min(V::LANES);
        // SAFETY: `c + lanes <= channels`; whole vectors only where a whole vector of channels is left.
        unsafe {
            if lanes == V::LANES {
                walk::<V, S, P, EDGE, false>(t, c, lanes, weights);
            } else {
                walk::<V, S, P, EDGE, true>(t, c, lanes, weights);
            }
            weights = weights.add((K * K + 1) * V::LANES);
        }
        c += lanes;
    }
}

/// Walks down the strip with one vector of channels.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn walk<V: Vector, const S: usize, const P: usize, const EDGE: bool, const TAIL: bool>(
    t: &Strip,
    c: usize,
    lanes: usize,
    weights: *const f32,
) {
    // SAFETY: as the caller promises; rows outside are not read.
    unsafe {
        let bias = V::load(weights);
        let mut w = [[V::zero(); K]; K];
        for ky in 0..K {
            for kx in 0..K {
                w[ky][kx] = V::load(weights.add((1 + ky * K + kx) * V::LANES));
            }
        }
        let inside = |y: usize| y >= t.rows.0 && y < t.rows.1;
        let mut row = t.input.wrapping_add(c);
        let mut out = t.out.add(c);
        if S == 1 {
            // Sums of the output rows that end, go on and begin at input row `y`.
            let mut acc = [[bias; P]; K];
            for y in 0..t.out_rows + K - 1 {
                if inside(y) {
                    acc = add_row::<V, S, P, K, EDGE, TAIL>(t, row, lanes, acc, [w[2], w[1], w[0]]);
                }
                row = row.wrapping_add(t.row);
                if y >= K - 1 {
                    store_row::<V, P>(t, acc[0], out, lanes);
                    out = out.wrapping_add(t.out_row);
                }
                acc = [acc[1], acc[2], [bias; P]];
            }
        } else {
            // Input rows `2 r` end one output row and begin the next, those between are the middle of one.
            let mut acc = [[bias; P]; 2];
            if inside(0) {
                [acc[0]] = add_row::<V, S, P, 1, EDGE, TAIL>(t, row, lanes, [acc[0]], [w[0]]);
            }
            for r in 0..t.out_rows {
                row = row.wrapping_add(t.row);
                if inside(2 * r + 1) {
                    [acc[0]] = add_row::<V, S, P, 1, EDGE, TAIL>(t, row, lanes, [acc[0]], [w[1]]);
                }
                row = row.wrapping_add(t.row);
                if inside(2 * r + 2) {
                    acc = add_row::<V, S, P, 2, EDGE, TAIL>(t, row, lanes, acc, [w[2], w[0]]);
                }
                store_row::<V, P>(t, acc[0], out, lanes);
                out = out.wrapping_add(t.out_row);
                acc = [acc[1], [bias; P]];
            }
        }
    }
}

/// Adds an input row to the sums of `N` output rows, each with its kernel row.
///
/// # Safety
/// As [`micro`]; the row is inside the image.
#[inline(always)]
unsafe fn add_row<V: Vector, const S: usize, const P: usize, const N: usize, const EDGE: bool, const TAIL: bool>(
    t: &Strip,
    row: *const f32,
    lanes: usize,
    mut acc: [[V; P]; N],
    w: [[V; K]; N],
) -> [[V; P]; N] {
    // SAFETY: as the caller promises.
    unsafe {
        unroll!(j < (P - 1) * S + K => {
            if !EDGE || (j >= t.columns.0 && j < t.columns.1) {
                let from = row.wrapping_add(j * t.pixel);
                let x = if TAIL { V::load_range(from, 0, lanes) } else { V::load(from) };
                for n in 0..N {
                    for kx in 0..K {
                        if j >= kx && (j - kx).is_multiple_of(S) && (j - kx) / S < P {
                            acc[n][(j - kx) / S] = acc[n][(j - kx) / S].mul_add(x, w[n][kx]);
                        }
                    }
                }
            }
        });
        acc
    }
}

/// Clamps and stores a row of sums.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn store_row<V: Vector, const P: usize>(t: &Strip, mut acc: [V; P], out: *mut f32, lanes: usize) {
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
            if lanes == V::LANES {
                acc[p].store(out);
            } else {
                acc[p].store_first(out, lanes);
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
    pub stride: usize,
    /// Widths, the largest first; the last is 1.
    pub widths: &'static [Width],
}

/// Output rows of a band. A band loads up to two rows more than its share.
const BAND: usize = 56;

impl DepthwiseStripNhwc {
    /// The width for rows of `ow` pixels. A strip costs its pixels and about two more for the inputs at its ends.
    fn width(&self, ow: usize) -> &Width {
        let fits = self.widths.iter().filter(|w| w.pixels <= ow);
        fits.min_by_key(|w| ow.div_ceil(w.pixels) * (w.pixels + 2)).unwrap_or(&self.widths[self.widths.len() - 1])
    }

    /// Bands of an image, and strips of a band.
    fn pieces(&self, p: &Problem) -> (usize, usize) {
        (p.oh.div_ceil(BAND), p.ow.div_ceil(self.width(p.ow).pixels))
    }
}

impl Algorithm for DepthwiseStripNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else {
            p.differs_from(K, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let pixels = (s.n * p.oh) as f64 * p.ow.next_multiple_of(self.width(p.ow).pixels) as f64;
        // Beside the tiles of two rows: every input is loaded once, not two or two and a half times. With stride 1 that pays
        // where the image is larger than the second cache, and where a strip is a whole row.
        let large = s.h * s.w * s.c_in * size_of::<f32>() > p.caches.l2;
        let cost = match self.stride {
            2 => 0.8,
            _ if large || self.pieces(p).1 == 1 => 0.9,
            _ => 1.1,
        };
        pixels * s.c_in.div_ceil(self.lanes) as f64 * (K * K + 1) as f64 * cost
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let channels = p.shape.c_out;
        let mut packed = Aligned::new(channels.next_multiple_of(self.lanes) * (K * K + 1));
        let weights = packed.as_mut_slice();
        for o in 0..channels {
            let at = o / self.lanes * (K * K + 1) * self.lanes + o % self.lanes;
            weights[at] = source.bias(o);
            for tap in 0..K * K {
                weights[at + (1 + tap) * self.lanes] = source.weight(o, 0, tap / K, tap % K);
            }
        }
        packed
    }

    fn scratch_len(&self, _: &Problem) -> usize {
        0
    }

    fn units(&self, p: &Problem) -> usize {
        let (bands, strips) = self.pieces(p);
        p.shape.n * bands * strips
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (bands, strips) = self.pieces(p);
        let width = self.width(p.ow);
        let rows_of = Shares::new(p.oh, bands);
        for unit in part.range(s.n * bands * strips) {
            let (image, band, strip) = (unit / strips / bands, unit / strips % bands, unit % strips);
            let rows = rows_of.range(band);
            // A narrower last strip is made of narrower ones, not moved back: another thread may compute its neighbour.
            let x = strip * width.pixels;
            let pixels = width.pixels.min(p.ow - x);
            let mut done = 0;
            while done < pixels {
                let left = pixels - done;
                let width = self.widths.iter().find(|w| w.pixels <= left).unwrap_or(width);
                let (y0, x0) = p.origin(rows.start, x + done);
                let reach = |outputs: usize| (outputs - 1) * self.stride + K;
                let range = |first: isize, len: usize, reach: usize| {
                    let end = (len as isize - first).clamp(0, reach as isize) as usize;
                    ((-first).clamp(0, reach as isize) as usize, end)
                };
                let columns = range(x0, s.w, reach(width.pixels));
                let edge = columns != (0, reach(width.pixels));
                let start = job.input.wrapping_add(image * i.image);
                let start = start.wrapping_offset(y0.wrapping_mul(i.row as isize));
                // SAFETY: the strip is inside the output; the ranges leave out what is outside of the image.
                unsafe {
                    width.micros[usize::from(edge)](&Strip {
                        input: start.wrapping_offset(x0.wrapping_mul(i.pixel as isize)),
                        row: i.row,
                        pixel: i.pixel,
                        rows: range(y0, s.h, reach(rows.len())),
                        columns,
                        out: job.output.add(image * o.image + rows.start * o.row + (x + done) * o.pixel),
                        out_row: o.row,
                        out_pixel: o.pixel,
                        out_rows: rows.len(),
                        weights: job.weights,
                        channels: s.c_out,
                        clamp: job.clamp,
                    });
                }
                done += width.pixels;
            }
            if let Some(f) = &job.finish {
                for (row, x) in rows.flat_map(|row| (x..x + pixels).map(move |x| (row, x))) {
                    // SAFETY: the strip has just been written.
                    unsafe {
                        let out = job.output.add(image * o.image + row * o.row + x * o.pixel);
                        f.apply(out, [image, row, x, 0], s.c_out);
                    }
                }
            }
        }
    }
}
