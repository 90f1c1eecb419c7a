//! Channels before rows by way of channels last: for layers that do many multiply-adds per element.
//!
//! Some rows of the image are transposed into scratch, a kernel for channels last computes them there, with its padding that
//! costs nothing and its vectors that no map's width leaves half empty, and its outputs are transposed back:
//!
//! ```text
//! for each band of output rows                            (driver)
//!     input[pixel][channel] = the rows under them         (transpose)
//!     output[pixel][channel] = convolution of the band    (a kernel for channels last)
//!     rows of the output = output[..][channel]            (transpose)
//! ```
//!
//! A block of LANES x LANES elements is transposed in registers, by `log2 LANES` rounds over pairs: each round moves one bit of
//! an element's number from lane to register, in as many shuffles as there are vectors. That is half a cycle per element with 16
//! lanes, beside `K / LANES` for each output and `KH * KW * C_out / LANES` for each input.
//!
//! Scratch: a band's inputs and outputs, at most half of the second cache unless one row takes more, and the kernel's own.
//!
//! Measured 2026-11-24, one Zen 4 core, AVX-512, beside the same layer in NHWC: standard 3x3, 5x5, 1x7, 7x1, strided and dilated
//! 1.00 to 1.06 times its time, groups of 16 channels and more 1.05 to 1.11, depthwise 7x7 1.24 to 1.9.

use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::{Layout, Strides};
use crate::vector::Vector;

/// A matrix to transpose: `to[c][r] = from[r][c]`.
pub(crate) struct Matrix {
    pub from: *const f32,
    pub from_step: usize,
    pub to: *mut f32,
    pub to_step: usize,
    pub rows: usize,
    pub columns: usize,
}

/// A tier's transposition.
pub(crate) type TransposeFn = unsafe fn(&Matrix);

/// Transposes a block in registers by parting even from odd lanes, where the tier has one shuffle for each.
///
/// # Safety
/// The CPU has the tier of `V`.
#[cfg(feature = "avx512")]
#[inline(always)]
pub(crate) unsafe fn block<V: Vector, const N: usize>(mut x: [V; N]) -> [V; N] {
    let mut bit = 1;
    while bit < N {
        let pairs = x;
        // SAFETY: as the caller promises.
        unroll!(i < N / 2 => { (x[i], x[i + N / 2]) = unsafe { pairs[2 * i].deinterleave(pairs[2 * i + 1]) }; });
        bit *= 2;
    }
    x
}

/// Transposes in blocks of `N` x `N`, where `N` is `LANES`, by what transposes one of them.
///
/// # Safety
/// The CPU has the tier of `V`. Rows of `from` and of `to` are readable and writable, and do not overlap.
#[inline(always)]
pub(crate) unsafe fn transpose<V: Vector, const N: usize>(m: &Matrix, block: impl Fn([V; N]) -> [V; N]) {
    for r in (0..m.rows).step_by(N) {
        let rows = (m.rows - r).min(N);
        for c in (0..m.columns).step_by(N) {
            let columns = (m.columns - c).min(N);
            // SAFETY: blocks at the ends load and store no more than is there.
            unsafe {
                let from = m.from.add(r * m.from_step + c);
                let to = m.to.add(c * m.to_step + r);
                let mut x = [V::zero(); N];
                if rows == N && columns == N {
                    unroll!(i < N => { x[i] = V::load(from.add(i * m.from_step)); });
                } else {
                    unroll!(i < N => {
                        if i < rows {
                            x[i] = V::load_range(from.add(i * m.from_step), 0, columns);
                        }
                    });
                }
                x = block(x);
                if rows == N && columns == N {
                    unroll!(i < N => { x[i].store(to.add(i * m.to_step)); });
                } else {
                    unroll!(i < N => {
                        if i < columns {
                            x[i].store_first(to.add(i * m.to_step), rows);
                        }
                    });
                }
            }
        }
    }
}

/// The algorithm over one for channels last, whose packing and scratch do not depend on the height of the image.
pub(crate) struct TransposedNchw {
    pub inner: &'static dyn Algorithm,
    pub transpose: TransposeFn,
    /// Cost of transposing an element, in multiply-adds of a vector.
    pub cost: f64,
}

/// Bands of an image, at least: for as many threads, and so that inputs are still in the second cache when they are read.
const BANDS: usize = 4;

/// Floats between pixels in scratch: never a multiple of 4 KiB, where pixels would share a set of the first cache.
fn step(channels: usize) -> usize {
    if channels.is_multiple_of(256) { channels + 16 } else { channels }
}

impl TransposedNchw {
    fn inner_problem(p: &Problem) -> Problem {
        Problem { layout: Layout::Nhwc, ..p.clone() }
    }

    /// Input rows under `rows` output rows, those outside the image included.
    fn reach(p: &Problem, rows: usize) -> usize {
        (rows - 1) * p.shape.stride[0] + (p.shape.kh - 1) * p.shape.dilation[0] + 1
    }

    /// Floats of the inputs and of the outputs of a band.
    fn floats(p: &Problem, rows: usize) -> (usize, usize) {
        let s = &p.shape;
        (Self::reach(p, rows).min(s.h) * s.w * step(s.c_in), rows * p.ow * step(s.c_out))
    }

    /// How an image's output rows are cut; the number of bands, and the rows of the largest.
    fn bands(&self, p: &Problem) -> (usize, usize) {
        let fits = |rows: usize| {
            let (i, o) = Self::floats(p, rows);
            i.saturating_add(o).saturating_mul(size_of::<f32>()) <= p.caches.l2 / 2
        };
        // The most rows that fit, or one: halved, because an image may be as tall as its tensor's address allows.
        let (mut rows, mut beyond) = (1, p.oh.div_ceil(BANDS) + 1);
        while beyond - rows > 1 {
            let middle = rows.midpoint(beyond);
            *if fits(middle) { &mut rows } else { &mut beyond } = middle;
        }
        let bands = p.oh.div_ceil(rows);
        (bands, p.oh.div_ceil(bands))
    }
}

impl Algorithm for TransposedNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        let (down, across) = ((s.kh - 1) * s.dilation[0], (s.kw - 1) * s.dilation[1]);
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if p.oh < BANDS {
            // Other kernels cut such layers by output channels, so that each thread streams its own weights.
            Some("computes images of several rows")
        } else if s.padding.top.max(s.padding.bottom) > down || s.padding.left.max(s.padding.right) > across {
            Some("computes outputs that see the image")
        } else if s.dilation[0] > s.h || s.stride[0] > s.h {
            Some("computes strides and dilations that do not reach far beyond the image")
        } else {
            self.inner.refuses(&Self::inner_problem(p))
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let (bands, rows) = self.bands(p);
        let (i, o) = Self::floats(p, rows);
        // Blocks at the ends of rows of channels are as dear as whole ones.
        let whole = |c: usize| c.next_multiple_of(16) as f64 / c as f64;
        let moved = (s.n * bands) as f64 * (i as f64 * whole(s.c_in) + o as f64 * whole(s.c_out));
        self.inner.estimate(&Self::inner_problem(p)) + self.cost * moved
    }

    fn multiplies(&self, p: &Problem) -> Option<u64> {
        self.inner.multiplies(&Self::inner_problem(p))
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        self.inner.pack(&Self::inner_problem(p), source)
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let (i, o) = Self::floats(p, self.bands(p).1);
        // Both start on a cache line.
        i.next_multiple_of(16) + o.next_multiple_of(16) + 16 + self.inner.scratch_len(&Self::inner_problem(p))
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let largest = self.bands(p).1;
        let (input_len, output_len) = Self::floats(p, largest);
        let input = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        let output = input.wrapping_add(input_len.next_multiple_of(16));
        let scratch = output.wrapping_add(output_len.next_multiple_of(16));
        let (in_step, out_step) = (step(s.c_in), step(s.c_out));
        let mut own = part.range(s.n * p.oh);
        while !own.is_empty() {
            // Bands of this part's rows of an image, as alike as they can be.
            let (image, first) = (own.start / p.oh, own.start % p.oh);
            let rows = own.len().min(p.oh - first);
            let range = first..first + rows.div_ceil(rows.div_ceil(largest));
            own.start += range.len();
            let read = s.input_rows(range.clone());
            let problem = Problem { layout: Layout::Nhwc, ..p.rows(range.clone()) };
            // SAFETY: the rows that are read are inside the image, and `range` inside the output; scratch holds both, and what
            // the inner kernel asks for. Rows that lie side by side are one line of pixels.
            unsafe {
                let from = job.input.add(image * i.image + read.start * i.row);
                let (lines, len) = if i.row == s.w { (1, read.len() * s.w) } else { (read.len(), s.w) };
                for line in 0..lines {
                    (self.transpose)(&Matrix {
                        from: from.add(line * i.row),
                        from_step: i.channel,
                        to: input.add(line * s.w * in_step),
                        to_step: in_step,
                        rows: s.c_in,
                        columns: len,
                    });
                }
                let strides = |step: usize, w: usize| Strides { image: 0, row: w * step, pixel: step, channel: 1 };
                self.inner.run(
                    &Job {
                        problem: &problem,
                        weights: job.weights,
                        input,
                        input_strides: strides(in_step, s.w),
                        output,
                        output_strides: strides(out_step, p.ow),
                        clamp: job.clamp,
                        finish: None,
                        scratch,
                        ring: None,
                    },
                    Part { index: 0, of: 1 },
                );
                let to = job.output.add(image * o.image + range.start * o.row);
                let (lines, len) = if o.row == p.ow { (1, range.len() * p.ow) } else { (range.len(), p.ow) };
                for line in 0..lines {
                    (self.transpose)(&Matrix {
                        from: output.add(line * p.ow * out_step),
                        from_step: out_step,
                        to: to.add(line * o.row),
                        to_step: o.channel,
                        rows: len,
                        columns: s.c_out,
                    });
                }
                job.finish_rows(image, 0..s.c_out, range);
            }
        }
    }
}
