//! Channels before rows by way of channels last: for layers that do many multiply-adds per element.
//!
//! Some rows of the image are transposed into scratch, a kernel for channels last computes them there, with its padding that
//! costs nothing and its vectors that no map's width leaves half empty, and its outputs are transposed back. Where there are
//! several groups, some of them are computed at a time, so that most images need not be cut into bands, whose inputs overlap:
//!
//! ```text
//! for each chunk of groups, for each band of output rows  (driver)
//!     input[pixel][channel] = the rows under them         (transpose)
//!     output[pixel][channel] = convolution of the band    (a kernel for channels last)
//!     rows of the output = output[..][channel]            (transpose)
//! ```
//!
//! A block of LANES x LANES elements is transposed in registers, in `log2 LANES` rounds of as many shuffles as there are vectors.
//! That is a quarter of a cycle per element with 16 lanes, 0.25 to 0.4 with its loads and stores, for inputs and outputs alike, beside
//! `K / LANES` for each output and `KH * KW * C_out / LANES` for each input.
//!
//! Scratch: a band's inputs and outputs, at most half of the second cache or twice what one row takes, and the kernel's own.
//!
//! Measured 2026-11-28, one Zen 4 core, AVX-512, beside the same layer in NHWC: standard 3x3, 5x5, 1x7, 7x1, strided and dilated
//! 1.01 to 1.04 times its time, groups of 16 channels and more 1.04 to 1.08, with stride 2 1.11 to 1.22, depthwise 7x7 1.24 to 1.53,
//! with stride 2 1.43 to 1.64, 9x9 and 11x11 1.15.

use super::{Algorithm, Job, Part, Problem};
use crate::pack::{self, Aligned, Source};
use crate::shape::Conv2dShape;
use crate::tensor::{Layout, Strides};
use crate::vector::Vector;
use alloc::vec::Vec;

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

/// Transposes in blocks of `N` x `N`, where `N` is `LANES`, by what transposes one of them. Those at the ends are moved back over
/// elements that are transposed again, where there are as many.
///
/// # Safety
/// The CPU has the tier of `V`. Rows of `from` and of `to` are readable and writable, and do not overlap.
#[inline(always)]
pub(crate) unsafe fn transpose<V: Vector, const N: usize>(m: &Matrix, block: impl Fn([V; N]) -> [V; N]) {
    let (rows, columns) = (m.rows.min(N), m.columns.min(N));
    for r in (0..m.rows).step_by(N) {
        let r = r.min(m.rows - rows);
        for c in (0..m.columns).step_by(N) {
            let c = c.min(m.columns - columns);
            // SAFETY: blocks that are not whole load and store no more than is there.
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

/// Bands of an image of one group, at least: for as many threads, and so that inputs are still in the second cache when they are read.
const BANDS: usize = 4;

/// Where there are several groups, so many channels are transposed at a time, at least: as many as fill [`CHUNK`] floats in a square image
/// of the same width. Fewer, and what a run takes beside shows; more, and the second cache does not hold them with their outputs.
const CHANNELS: core::ops::RangeInclusive<usize> = 16..=128;
const CHUNK: usize = 1 << 14;

/// Floats between pixels in scratch: never a multiple of 4 KiB, where pixels would share a set of the first cache.
fn step(channels: usize) -> usize {
    if channels.is_multiple_of(256) { channels + 16 } else { channels }
}

impl TransposedNchw {
    /// How many groups are computed at a time, and how often. It does not depend on the number of rows: strips of an image have the
    /// same packed weights.
    fn chunks(p: &Problem) -> (usize, usize) {
        let channels = CHUNK / p.shape.w.saturating_mul(p.shape.w).clamp(1, CHUNK);
        let least = channels.clamp(*CHANNELS.start(), *CHANNELS.end()).div_ceil(p.cg_in);
        let whole = |groups: &usize| (groups * p.cg_in).is_multiple_of(16) && (groups * p.cg_out).is_multiple_of(16);
        let groups = (least..least + 16).find(whole).unwrap_or(least);
        // The last one takes what is left.
        (groups, (p.shape.groups / groups).max(1))
    }

    /// A problem of so many groups, channels last.
    fn some_groups(p: &Problem, groups: usize) -> Problem {
        let shape = Conv2dShape { c_in: groups * p.cg_in, c_out: groups * p.cg_out, groups, ..p.shape };
        Problem { shape, layout: Layout::Nhwc, ..p.clone() }
    }

    /// The problems of all chunks but the last, and of that one.
    fn problems(p: &Problem) -> [Problem; 2] {
        let (groups, chunks) = Self::chunks(p);
        let last = p.shape.groups - groups * (chunks - 1);
        [groups.min(p.shape.groups), last].map(|groups| Self::some_groups(p, groups))
    }

    /// Input rows under `rows` output rows, those outside the image included.
    fn reach(p: &Problem, rows: usize) -> usize {
        (rows - 1) * p.shape.stride[0] + (p.shape.kh - 1) * p.shape.dilation[0] + 1
    }

    /// Floats of the inputs and of the outputs of a band of a chunk.
    fn floats(chunk: &Problem, rows: usize) -> (usize, usize) {
        let s = &chunk.shape;
        (Self::reach(chunk, rows).min(s.h) * s.w * step(s.c_in), rows * chunk.ow * step(s.c_out))
    }

    /// How a chunk's output rows are cut; the number of bands, and the rows of the largest.
    fn bands(p: &Problem) -> (usize, usize) {
        let [_, chunk] = Self::problems(p);
        // Where kernels are dilated so far that one row reads more, twice that: bands of few rows would read nearly all of the image.
        let most = (p.caches.l2 / 2 / size_of::<f32>()).max(Self::floats(&chunk, 1).0.saturating_mul(2));
        let fits = |rows: usize| {
            let (i, o) = Self::floats(&chunk, rows);
            i.saturating_add(o) <= most
        };
        // The most rows that fit, or one: halved, because an image may be as tall as its tensor's address allows.
        let least = if p.shape.groups == 1 { BANDS } else { 1 };
        let (mut rows, mut beyond) = (1, p.oh.div_ceil(least) + 1);
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
        } else if s.groups == 1 && p.oh < BANDS {
            // Other kernels cut such layers by output channels, so that each thread streams its own weights.
            Some("computes images of several rows")
        } else if s.padding.top.max(s.padding.bottom) > down || s.padding.left.max(s.padding.right) > across {
            Some("computes outputs that see the image")
        } else if s.dilation[0] > s.h || s.stride[0] > s.h {
            Some("computes strides and dilations that do not reach far beyond the image")
        } else {
            Self::problems(p).iter().find_map(|chunk| self.inner.refuses(chunk))
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        // Blocks at the ends of rows of channels are as dear as whole ones.
        let whole = |c: usize| c.next_multiple_of(16) as f64 / c as f64;
        let moved = |chunk: &Problem| {
            let (i, o) = if s.groups == 1 {
                let (bands, rows) = Self::bands(p);
                let (i, o) = Self::floats(chunk, rows);
                (bands * i, bands * o)
            } else {
                // Without the rows that bands share: the choice must not depend on the number of rows.
                (p.oh * s.stride[0] * s.w * chunk.shape.c_in, p.oh * p.ow * chunk.shape.c_out)
            };
            s.n as f64 * (i as f64 * whole(chunk.shape.c_in) + o as f64 * whole(chunk.shape.c_out))
        };
        let (_, chunks) = Self::chunks(p);
        let [chunk, last] = Self::problems(p);
        let moved = (chunks - 1) as f64 * moved(&chunk) + moved(&last);
        self.inner.estimate(&Self::some_groups(p, s.groups)) + self.cost * moved
    }

    fn multiplies(&self, p: &Problem) -> Option<u64> {
        self.inner.multiplies(&Self::some_groups(p, p.shape.groups))
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let (groups, chunks) = Self::chunks(p);
        let problems = Self::problems(p);
        if chunks == 1 {
            return self.inner.pack(&problems[1], source);
        }
        let pack = |chunk| {
            let problem: &Problem = &problems[usize::from(chunk + 1 == chunks)];
            let first = chunk * groups * p.cg_out;
            self.inner.pack(problem, &source.of_outputs(first..first + problem.shape.c_out))
        };
        pack::join(&(0..chunks).map(pack).collect::<Vec<_>>())
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let problems = Self::problems(p);
        let (i, o) = Self::floats(&problems[1], Self::bands(p).1);
        // Both start on a cache line.
        let inner = problems.iter().map(|chunk| self.inner.scratch_len(chunk)).max().unwrap_or(0);
        i.next_multiple_of(16) + o.next_multiple_of(16) + 16 + inner
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * Self::chunks(p).1 * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (groups, chunks) = Self::chunks(p);
        let problems = Self::problems(p);
        let largest = Self::bands(p).1;
        let (input_len, output_len) = Self::floats(&problems[1], largest);
        let input = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        let output = input.wrapping_add(input_len.next_multiple_of(16));
        let scratch = output.wrapping_add(output_len.next_multiple_of(16));
        let mut own = part.range(s.n * chunks * p.oh);
        while !own.is_empty() {
            // Bands of this part's rows of a chunk of an image, as alike as they can be.
            let (image, chunk, first) = (own.start / p.oh / chunks, own.start / p.oh % chunks, own.start % p.oh);
            let rows = own.len().min(p.oh - first);
            let range = first..first + rows.div_ceil(rows.div_ceil(largest));
            own.start += range.len();
            let read = s.input_rows(range.clone());
            let problem = problems[usize::from(chunk + 1 == chunks)].rows(range.clone());
            let (c_in, c_out) = (problem.shape.c_in, problem.shape.c_out);
            let (first_in, first_out) = (chunk * groups * p.cg_in, chunk * groups * p.cg_out);
            let (in_step, out_step) = (step(c_in), step(c_out));
            // SAFETY: the rows that are read are inside the image, and `range` inside the output; scratch holds both, and what
            // the inner kernel asks for. Rows that lie side by side are one line of pixels.
            unsafe {
                let from = job.input.add(image * i.image + first_in * i.channel + read.start * i.row);
                let (lines, len) = if i.row == s.w { (1, read.len() * s.w) } else { (read.len(), s.w) };
                for line in 0..lines {
                    (self.transpose)(&Matrix {
                        from: from.add(line * i.row),
                        from_step: i.channel,
                        to: input.add(line * s.w * in_step),
                        to_step: in_step,
                        rows: c_in,
                        columns: len,
                    });
                }
                let strides = |step: usize, w: usize| Strides { image: 0, row: w * step, pixel: step, channel: 1 };
                self.inner.run(
                    &Job {
                        problem: &problem,
                        weights: if chunks == 1 { job.weights } else { pack::part(job.weights, chunk) },
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
                let to = job.output.add(image * o.image + first_out * o.channel + range.start * o.row);
                let (lines, len) = if o.row == p.ow { (1, range.len() * p.ow) } else { (range.len(), p.ow) };
                for line in 0..lines {
                    (self.transpose)(&Matrix {
                        from: output.add(line * p.ow * out_step),
                        from_step: out_step,
                        to: to.add(line * o.row),
                        to_step: o.channel,
                        rows: len,
                        columns: c_out,
                    });
                }
                job.finish_rows(image, first_out..first_out + c_out, range);
            }
        }
    }
}
