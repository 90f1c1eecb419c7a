//! 3x3 convolution, channels last, where multiply-adds take lanes (NEON): standard, and grouped with a few quads of channels.
//!
//! Four output channels are a vector, and four input channels of a pixel another, whose lanes are the scalars: one load
//! serves four multiply-adds per tap, and in groups of few channels no lane is lost. The twelve vectors of weights that a
//! kernel row has for four input channels stay in registers while a row of inputs passes over them:
//!
//! ```text
//! for each output row, for each tile of P pixels                         (driver)
//!     for each group, for each four of its output channels               (micro-kernel)
//!         acc[P] = bias
//!         for each kernel row inside the image, for each four input channels
//!             w[3][4] = next twelve vectors
//!             for each column j of the window that is inside the image
//!                 x = input[row][j]
//!                 acc[p] += x.lane[i] * w[kx][i]   for all (p, kx) that meet there, for i in 0..4
//!         clamp, store
//! ```
//!
//! No table of pixels is needed. Windows may stick out by one column at each side, which are left out, and so are kernel
//! rows outside the image.
//!
//! Registers: `P` accumulators, 12 weights, six inputs. Loads per multiply-add with P = 14 and stride 1:
//! `(16 + 12) / 168 = 0.17`. Bound by the FMA ports.
//!
//! Counted 2026-11-24 under emulation of a Cortex-A76: 0.28 instructions per multiply with 64 channels on 56 x 56 pixels,
//! 0.31 with 4 per group, 0.26 with 256 on 14 x 14, where taps in the padding count and are left out. Estimated: all
//! of the multiply units' peak on A76 and X1, 57 to 75 % on A55.

use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;

/// Kernel rows and columns.
const K: usize = 3;

/// Channels of a vector.
const LANES: usize = 4;

/// Instructions of the implicit GEMM per multiply-add.
const GEMM: f64 = 1.17;

/// A row of pixels for a micro-kernel.
pub(crate) struct Tile {
    /// First kernel row inside the image, how many there are, and the floats between them.
    pub first_row: usize,
    pub rows: usize,
    pub row: usize,
    /// The first column of the window that is inside the image, in the first row inside; floats between pixels.
    pub input: *const f32,
    pub pixel: usize,
    /// Bit 0: the first column of the window is inside the image; bit 1: the last one is.
    pub ends: u32,
    pub output: *mut f32,
    pub out_pixel: usize,
    pub groups: usize,
    /// Vectors of input channels, and output channels of a group. The last vector of these is moved back over the one before
    /// so that it is a full one.
    pub quads: usize,
    pub channels: usize,
    /// Floats from a group's first output channel to the next one's.
    pub out_group: usize,
    /// Per group and vector of output channels: bias, then per kernel row and vector of input channels `[kx][i]` vectors.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

impl Tile {
    /// Floats of the weights of a kernel row for a vector of output channels.
    pub(crate) fn row_len(&self) -> usize {
        self.quads * LANES * K * LANES
    }
}

/// A micro-kernel for one stride and `P`.
///
/// # Safety
/// The CPU has the tier's instructions. The window is readable where it is inside the image, the outputs are writable,
/// weights are packed as [`Tile::weights`] says.
pub(crate) type Micro = unsafe fn(&Tile);

/// The algorithm with a tier's micro-kernels for one stride.
pub(crate) struct LanesNhwc {
    pub stride: usize,
    /// `P` and its micro-kernel, the largest first; the last is 1.
    pub widths: &'static [(usize, Micro)],
}

impl LanesNhwc {
    /// The width for rows of `ow` pixels. A tile costs its pixels and about two more for what is around them.
    fn width(&self, ow: usize) -> (usize, Micro) {
        let fits = self.widths.iter().filter(|w| w.0 <= ow);
        *fits.min_by_key(|w| ow.div_ceil(w.0) * (w.0 + 2)).unwrap_or(&self.widths[self.widths.len() - 1])
    }

    /// Packed floats of a vector of output channels.
    fn vector_len(p: &Problem) -> usize {
        (p.k() + 1) * LANES
    }
}

impl Algorithm for LanesNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if !p.cg_in.is_multiple_of(LANES) || p.cg_out < LANES {
            Some("computes groups of a multiple of four input channels, and four output channels and up")
        } else if s.padding.left > 1 || (p.ow - 1) * self.stride + K > s.w + s.padding.left + 1 {
            Some("computes windows that stick out by one column at most")
        } else {
            p.differs_from(K, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let w = self.width(p.ow).0;
        let tiles = p.ow.div_ceil(w);
        let vectors = s.n * p.oh * s.groups * p.cg_out.div_ceil(LANES);
        // Instructions: of a vector of a tile; of a kernel row and four input channels; of a column outside, which are none.
        let steps = K * p.cg_in / LANES;
        let overhang = ((p.ow - 1) * self.stride + K).saturating_sub(s.w + s.padding.left);
        let outside = s.padding.left + overhang;
        let count = tiles * (35 + 2 * w + steps * ((3 * LANES + self.stride) * w + 14)) - steps * 5 * outside;
        // Short tiles wait for the latency of the multiply-add.
        vectors as f64 * count as f64 / GEMM * (8.0 / w as f64).max(1.0)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let mut packed = Aligned::new(s.groups * p.cg_out.div_ceil(LANES) * Self::vector_len(p));
        let mut out = packed.writer();
        for (g, first) in (0..s.groups).flat_map(|g| (0..p.cg_out).step_by(LANES).map(move |first| (g, first))) {
            let first = g * p.cg_out + first.min(p.cg_out - LANES);
            let channels = first..first + LANES;
            channels.clone().for_each(|o| out.put(source.bias(o)));
            for ky in 0..K {
                for quad in (0..p.cg_in).step_by(LANES) {
                    for kx in 0..K {
                        for i in quad..quad + LANES {
                            channels.clone().for_each(|o| out.put(source.weight(o, i, ky, kx)));
                        }
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, _: &Problem) -> usize {
        0
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        // Weights of half the second cache at a time: of several groups, or of some vectors of one.
        let (vector, per_group) = (Self::vector_len(p), p.cg_out.div_ceil(LANES));
        let most = (p.caches.l2 / 2 / size_of::<f32>() / vector).max(1);
        let (groups, vectors) = ((most / per_group).max(1), most.min(per_group));
        let rows = part.range(s.n * p.oh);
        for g in (0..s.groups).step_by(groups) {
            for first in (0..per_group).step_by(vectors) {
                let channel = (first * LANES).min(p.cg_out - LANES);
                let chunk = Chunk {
                    group: g,
                    groups: groups.min(s.groups - g),
                    channel,
                    channels: (p.cg_out - channel).min(vectors * LANES),
                    weights: job.weights.wrapping_add((g * per_group + first) * vector),
                };
                for row in rows.clone() {
                    // SAFETY: the row is inside the output, and so are the channels.
                    unsafe { self.row(job, row / p.oh, row % p.oh, &chunk) };
                }
            }
        }
    }
}

/// Some output channels of one group from `channel` on, or all of several groups.
struct Chunk {
    group: usize,
    groups: usize,
    channel: usize,
    channels: usize,
    weights: *const f32,
}

impl LanesNhwc {
    /// Computes a row of some output channels.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn row(&self, job: &Job<'_>, image: usize, y: usize, chunk: &Chunk) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (width, micro) = self.width(p.ow);
        let span = (width - 1) * self.stride + K;
        let (y0, _) = p.origin(y, 0);
        let first_row = y0.min(0).unsigned_abs().min(K);
        let rows = (s.h as isize - y0).clamp(first_row as isize, K as isize) as usize - first_row;
        let line = job.input.wrapping_add(image * i.image + chunk.group * p.cg_in);
        let line = line.wrapping_offset((y0 + first_row as isize).wrapping_mul(i.row as isize));
        let c = chunk.group * p.cg_out + chunk.channel;
        for x in (0..p.ow).step_by(width) {
            // The last tile is moved back over pixels already done, so that it is a full one.
            let x = x.min(p.ow - width);
            let (_, x0) = p.origin(y, x);
            let ends = u32::from(x0 >= 0) | u32::from(x0 + span as isize <= s.w as isize) << 1;
            // SAFETY: the tile is inside the output, since a width above `ow` is never chosen; rows outside are left
            // out, and so are columns, of which windows have one at each end, or the row is refused.
            unsafe {
                let out = job.output.add(image * o.image + y * o.row + x * o.pixel + c);
                micro(&Tile {
                    first_row,
                    rows,
                    row: i.row,
                    input: line.wrapping_offset(x0.max(0).wrapping_mul(i.pixel as isize)),
                    pixel: i.pixel,
                    ends,
                    output: out,
                    out_pixel: o.pixel,
                    groups: chunk.groups,
                    quads: p.cg_in / LANES,
                    channels: chunk.channels,
                    out_group: p.cg_out,
                    weights: chunk.weights,
                    clamp: job.clamp,
                });
                if let Some(f) = &job.finish {
                    // Pixels that the moved back tile has finished before are finished anew from their sums.
                    for n in 0..width {
                        // Of one group, or all of several, which lie side by side.
                        f.apply(out.add(n * o.pixel), [image, y, x + n, c], chunk.groups * chunk.channels);
                    }
                }
            }
        }
    }
}
