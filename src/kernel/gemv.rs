//! Fully connected layers of a vector or a few: matrix times vector.
//!
//! Each weight is used once, so that nothing is as fast as the weights come in, and a sum per output would be slower still: it adds one
//! product after another, each four cycles after the one before. So the outputs of a panel have several sums each, over every second,
//! fourth or eighth element of the input, as many as hide that latency:
//!
//! ```text
//! for each image, for each panel of NV vectors of outputs        (driver)
//!     acc[0][NV] = bias, acc[1..S][NV] = 0                       (micro-kernel)
//!     for k in steps of S, for s below S
//!         acc[s][v] += input[k + s] * weights[k + s][v]
//!     add up acc[..][v], clamp, store NV vectors
//! ```
//!
//! Panels have four vectors, or two or one where there are so few that threads would have none: it depends on the number of outputs alone,
//! and so do the bits. An image of one pixel is the same in both layouts if its channels lie next to each other; else they are copied.
//!
//! Registers: `S * NV` = 8 to 12 sums, one input. Loads per multiply-add: `1 + 1 / NV`. Bound by the load units in the first cache, by the
//! bandwidth of what the weights come from beyond.
//!
//! Measured 2026-12-01, one Zen 5 core (143 GMAC/s), AVX-512: 184 to 32 outputs, weights in the first cache, 48 % of peak; from the second cache
//! 512 to 144 and 672 to 184 40 to 44 % (230 to 250 GB/s); from the third 2048 to 1000 130 GB/s.
//!
//! Scratch of a part: the inputs and outputs of an image, for tensors whose channels lie apart.
//!
//! Only images of one pixel: where there are more, of which a part may be a strip of one, [`super::igemm_nhwc`] adds in the order of other strips.

use super::{Algorithm, Job, NO_CLAMP, Part, Problem, opaque};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// Vectors of a panel at most.
const MOST: usize = 4;

/// Panels for a micro-kernel, one after the other.
pub(crate) struct Panels {
    pub panels: usize,
    pub input: *const f32,
    pub k: usize,
    /// Of each panel its bias, then a row per input.
    pub weights: *const f32,
    pub output: *mut f32,
    /// Lanes to store of the last panel's last vector.
    pub last: usize,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one number of vectors.
pub(crate) type Micro = unsafe fn(&Panels);

/// The micro-kernel for `NV` vectors of outputs, of `S` sums each, a power of two.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const NV: usize, const S: usize>(t: &Panels) {
    let nr = NV * V::LANES;
    for panel in 0..t.panels {
        // SAFETY: as the caller promises.
        unsafe {
            let weights = t.weights.add(panel * nr * (t.k + 1));
            let mut acc = [[V::zero(); NV]; S];
            for v in 0..NV {
                acc[0][v] = V::load(weights.add(v * V::LANES));
            }
            let (mut x, mut w) = (t.input, opaque(weights.add(nr)));
            for _ in 0..t.k / S {
                unroll!(s < S => { acc[s] = step::<V, NV>(acc[s], x.add(s), w.add(s * nr)); });
                (x, w) = (x.add(S), w.add(S * nr));
            }
            unroll!(s < S => {
                if s < t.k % S {
                    acc[s] = step::<V, NV>(acc[s], x.add(s), w.add(s * nr));
                }
            });
            // Halves of the sums, until one is left.
            unroll!(round < 3 => { add_half(&mut acc, S >> (round + 1)); });
            let mut sum = acc[0];
            if t.clamp != NO_CLAMP {
                let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
                for y in &mut sum {
                    *y = y.at_least(lo).at_most(hi);
                }
            }
            let output = t.output.add(panel * nr);
            for v in 0..NV - 1 {
                sum[v].store(output.add(v * V::LANES));
            }
            let output = output.add(nr - V::LANES);
            if panel + 1 < t.panels {
                sum[NV - 1].store(output);
            } else {
                sum[NV - 1].store_first(output, t.last);
            }
        }
    }
}

/// Adds to each of the first `half` sums the one so many further.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn add_half<V: Vector, const NV: usize, const S: usize>(acc: &mut [[V; NV]; S], half: usize) {
    unroll!(s < S => {
        if s < half {
            for v in 0..NV {
                // SAFETY: as the caller promises.
                acc[s][v] = unsafe { acc[s][v].add(acc[s + half][v]) };
            }
        }
    });
}

/// Adds the products of one input.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn step<V: Vector, const NV: usize>(mut acc: [V; NV], x: *const f32, w: *const f32) -> [V; NV] {
    // SAFETY: as the caller promises.
    unsafe {
        let x = V::splat(*x);
        for v in 0..NV {
            acc[v] = acc[v].mul_add(x, V::load(w.add(v * V::LANES)));
        }
    }
    acc
}

/// The algorithm with a tier's micro-kernels.
pub(crate) struct Gemv {
    pub lanes: usize,
    pub layout: Layout,
    /// `micros[nv - 1]`
    pub micros: [Micro; MOST],
}

impl Gemv {
    /// Vectors of a panel, but for the last one.
    fn each(&self, p: &Problem) -> usize {
        match p.shape.c_out.div_ceil(self.lanes) {
            0..=1 => 1,
            2..8 => 2,
            _ => MOST,
        }
    }

    fn panels(&self, p: &Problem) -> usize {
        p.shape.c_out.div_ceil(self.each(p) * self.lanes)
    }
}

impl Algorithm for Gemv {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        let padding = [s.padding.top, s.padding.bottom, s.padding.left, s.padding.right];
        if p.layout != self.layout {
            Some("computes another layout")
        } else if [s.h, s.w, s.kh, s.kw, s.groups] != [1; 5] || padding != [0; 4] {
            Some("computes images of one pixel, of one group")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        // Several images share weights elsewhere; of few outputs the sums there wait for themselves.
        let images = p.shape.n as f64;
        let vectors = p.shape.c_out.div_ceil(self.lanes) as f64;
        (images * 2.0 - 1.5) * vectors * p.shape.c_in as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let (s, nr) = (&p.shape, self.each(p) * self.lanes);
        let mut packed = Aligned::new(s.c_out.next_multiple_of(self.lanes) * (s.c_in + 1));
        let mut out = packed.writer();
        for first in (0..s.c_out).step_by(nr) {
            let width = (s.c_out - first).min(nr);
            let padded = width.next_multiple_of(self.lanes);
            (0..padded).for_each(|i| out.put(if i < width { source.bias(first + i) } else { 0.0 }));
            for c in 0..s.c_in {
                (0..padded).for_each(|i| out.put(if i < width { source.weight(first + i, c, 0, 0) } else { 0.0 }));
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        if self.layout == Layout::Nchw { p.shape.c_in + p.shape.c_out } else { 0 }
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * self.panels(p)
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (each, panels) = (self.each(p), self.panels(p));
        let nr = each * self.lanes;
        let mut own = part.range(s.n * panels);
        while !own.is_empty() {
            let (image, first) = (own.start / panels, own.start % panels);
            let count = own.len().min(panels - first);
            own.start += count;
            let channels = first * nr..s.c_out.min((first + count) * nr);
            // SAFETY: scratch holds an image's inputs and outputs where channels lie apart; panels lie one after the other, all but the last
            // of full width; these channels of this image are this part's own.
            unsafe {
                let mut input = job.input.wrapping_add(image * i.image);
                if i.channel != 1 {
                    (0..s.c_in).for_each(|c| *job.scratch.add(c) = *input.add(c * i.channel));
                    input = job.scratch;
                }
                let to = job.output.add(image * o.image + channels.start * o.channel);
                let output = if o.channel == 1 { to } else { job.scratch.add(s.c_in) };
                let full = channels.len() / nr;
                let rest = channels.len() - full * nr;
                for (panels, first, width) in [(full, 0, nr), (usize::from(rest > 0), full * nr, rest)] {
                    if panels == 0 {
                        continue;
                    }
                    let vectors = width.div_ceil(self.lanes);
                    self.micros[vectors - 1](&Panels {
                        panels,
                        input,
                        k: s.c_in,
                        weights: job.weights.add((channels.start + first) * (s.c_in + 1)),
                        output: output.add(first),
                        last: width - (vectors - 1) * self.lanes,
                        clamp: job.clamp,
                    });
                }
                if o.channel != 1 {
                    (0..channels.len()).for_each(|c| *to.add(c * o.channel) = *output.add(c));
                }
                match &job.finish {
                    Some(f) if o.channel == 1 && (f.residual.is_null() || f.residual_strides.channel == 1) => {
                        f.apply(to, [image, 0, 0, channels.start], channels.len());
                    }
                    _ => job.finish_rows(image, channels, 0..1),
                }
            }
        }
    }
}
