//! Implicit GEMM for maps of few pixels, channels before rows: the last stages of networks and fully connected layers.
//!
//! [`super::igemm_nchw`] fills its vectors with pixels, which a map of 7 x 7 or 1 x 1 has too few of. Here vectors run over
//! output channels, as in [`super::igemm_nhwc`], whose micro-kernels and packing this uses: the inputs of a tile of pixels
//! are gathered pixel by pixel, and its sums are scattered to their channels.
//!
//! ```text
//! for each tile of MR output pixels                      (driver)
//!     a[MR][K] = the inputs under them
//!     for each panel of NV vectors of output channels    (micro-kernel)
//!         sums[MR][NV] = bias + a * panel
//!     output[channel][pixel] = sums[pixel][channel]
//! ```
//!
//! A single pixel whose channels lie side by side is read and written where it is. Of others, an element gathered serves
//! `C_out / LANES` multiply-adds, one scattered stands for `K / LANES` of them; each takes some five cycles. So this is for layers with many channels on both sides. The bound is that of the micro-kernel; scratch
//! is `MR * (K + C_out)` floats, a tile and not a matrix.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: 1024 to 1024 channels on 7 x 7 pixels 88 % of peak, where
//! vectors of pixels reach 76 %; 1024 to 1000 on one pixel 37 % instead of 10, of 41 that the bandwidth of the third cache
//! allows. On x86 `transposed_nchw` takes the former, whose moves cost half a cycle: 97 %.

use super::igemm_nchw::finish_line;
use super::igemm_nhwc::{IgemmNhwc, Tile};
use super::igemm_tiling::Tiling;
use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use core::ops::Range;

/// The algorithm over a tier's micro-kernels of [`super::igemm_nhwc`].
pub(crate) struct IgemmFewPixelsNchw {
    pub inner: &'static IgemmNhwc,
}

/// Floats between pixels of a tile in scratch, for runs of `len`: never a multiple of 4 KiB, where pixels would share a set
/// of the first cache.
fn step(len: usize) -> usize {
    let step = len.next_multiple_of(16);
    if step.is_multiple_of(256) { step + 16 } else { step }
}

impl IgemmFewPixelsNchw {
    /// Gathers the inputs of some pixels for one group.
    ///
    /// # Safety
    /// `to` has a step of `K` floats for each of the pixels, which are inside the output; `offsets` a word.
    unsafe fn gather(
        &self,
        job: &Job<'_>,
        input: *const f32,
        pixels: core::ops::Range<usize>,
        to: *mut f32,
        offsets: *mut usize,
    ) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let step = step(p.k());
        for (ky, kx) in (0..s.kh).flat_map(|ky| (0..s.kw).map(move |kx| (ky, kx))) {
            for (m, pixel) in pixels.clone().enumerate() {
                let (y0, x0) = p.origin(pixel / p.ow, pixel % p.ow);
                let (y, x) = (y0 + (ky * s.dilation[0]) as isize, x0 + (kx * s.dilation[1]) as isize);
                let inside = (0..s.h as isize).contains(&y) && (0..s.w as isize).contains(&x);
                // SAFETY: a word per pixel.
                unsafe {
                    *offsets.add(m) = if inside { y as usize * i.row + x as usize * i.pixel } else { usize::MAX }
                };
            }
            let first = (ky * s.kw + kx) * p.cg_in;
            for m in 0..pixels.len() {
                // SAFETY: the elements are inside the image, or not read.
                unsafe {
                    let (offset, to) = (*offsets.add(m), to.add(m * step + first));
                    if offset == usize::MAX {
                        to.write_bytes(0, p.cg_in);
                    } else {
                        let from = input.wrapping_add(offset);
                        for c in 0..p.cg_in {
                            *to.add(c) = *from.add(c * i.channel);
                        }
                    }
                }
            }
        }
    }
}

impl Algorithm for IgemmFewPixelsNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        match p.layout {
            Layout::Nchw => None,
            Layout::Nhwc => Some("computes NCHW"),
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let moved = s.n * p.oh * p.ow * (s.groups * p.k() + s.c_out);
        self.inner.estimate_of(p, &self.inner.fullest(p)) + 5.0 * moved as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        self.inner.pack(p, source)
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let words = (2 * self.inner.mr(p) + 1) * size_of::<usize>() / size_of::<f32>();
        // The tile starts on a cache line.
        words + 16 + self.inner.mr(p) * (step(p.k()) + step(p.cg_out))
    }

    fn units(&self, p: &Problem) -> usize {
        self.inner.units_of(p, &self.inner.fullest(p))
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let tiling = self.inner.fullest(job.problem);
        for (panels, tiles) in self.inner.pieces(job.problem, &tiling, part) {
            // SAFETY: as the caller promises; these are this part's own.
            unsafe { self.piece(job, &tiling, panels, tiles) };
        }
    }
}

impl IgemmFewPixelsNchw {
    /// Computes some panels of some tiles.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn piece(&self, job: &Job<'_>, tiling: &Tiling, panels: Range<usize>, tiles: Range<usize>) {
        let p = job.problem;
        let (s, i, o, inner) = (&p.shape, job.input_strides, job.output_strides, self.inner);
        let (per_group, per_image, nr) = (inner.panels(p), tiling.tiles(), inner.nr());
        let group_len = inner.group_len(p);
        let offsets = job.scratch.wrapping_add(job.scratch.align_offset(align_of::<usize>())).cast::<usize>();
        let outputs = offsets.wrapping_add(inner.mr(p));
        let a = outputs.wrapping_add(inner.mr(p)).cast::<f32>();
        let a = a.wrapping_add(a.align_offset(64).min(16));
        let (a_step, sums_step) = (step(p.k()), step(p.cg_out));
        let sums = a.wrapping_add(inner.mr(p) * a_step);
        for tile in tiles {
            let (image, pixels) = (tile / per_image, tiling.range(tile % per_image));
            for (m, pixel) in pixels.clone().enumerate() {
                // SAFETY: scratch has a word per pixel.
                unsafe { *outputs.add(m) = pixel / p.ow * o.row + pixel % p.ow * o.pixel };
            }
            for g in panels.start / per_group..panels.end.div_ceil(per_group) {
                let own = panels.start.max(g * per_group) - g * per_group
                    ..panels.end.min((g + 1) * per_group) - g * per_group;
                let input = job.input.wrapping_add(image * i.image + g * p.cg_in * i.channel);
                // SAFETY: scratch holds the inputs and the sums of a full tile; panels of a group lie one after the other,
                // all but the last of full width; the outputs of these pixels and channels are this part's own.
                unsafe {
                    // A pixel whose channels lie side by side is read and written where it is.
                    let one = pixels.len() == 1;
                    let a = if one && i.channel == 1 && s.kh * s.kw == 1 {
                        let (y, x) = p.origin(pixels.start / p.ow, pixels.start % p.ow);
                        input.wrapping_add(y as usize * i.row + x as usize * i.pixel)
                    } else {
                        self.gather(job, input, pixels.clone(), a, offsets);
                        a
                    };
                    let to = job.output.add(image * o.image + g * p.cg_out * o.channel);
                    let direct = one && o.channel == 1;
                    let sums = if direct { to.add(*outputs) } else { sums };
                    let channels = own.start * nr..p.cg_out.min(own.end * nr);
                    let full = own.end.min(p.cg_out / nr) - own.start.min(p.cg_out / nr);
                    for (j, panels, width) in
                        [(own.start, full, full * nr), (own.start + full, 1, channels.len() - full * nr)]
                    {
                        if width == 0 {
                            continue;
                        }
                        let (micros, lanes, packed) = inner.panel(width.min(nr));
                        micros[pixels.len() - 1](&Tile {
                            tiles: 1,
                            zeros: core::ptr::null(),
                            shift: 0,
                            offsets: core::ptr::null(),
                            pointers: core::ptr::null(),
                            row: core::ptr::null(),
                            next: [0, 0],
                            input: a,
                            input_step: a_step,
                            output: sums,
                            output_step: sums_step,
                            segments: 1,
                            run: p.k(),
                            panel: job.weights.add(g * group_len + j * nr * (p.k() + 1)),
                            panels,
                            panel_len: packed * (p.k() + 1),
                            out: core::ptr::null(),
                            channel: j * nr,
                            last: lanes - (packed - width.min(nr)),
                            clamp: job.clamp,
                        });
                    }
                    if !direct {
                        for channel in channels.clone() {
                            let out = to.add(channel * o.channel);
                            for m in 0..pixels.len() {
                                *out.add(*outputs.add(m)) = *sums.add(m * sums_step + channel);
                            }
                        }
                    }
                    if let Some(f) = &job.finish {
                        for channel in channels {
                            let (c, out) = (g * p.cg_out + channel, to.add(channel * o.channel));
                            let mut pixel = pixels.start;
                            while pixel < pixels.end {
                                let (y, x) = (pixel / p.ow, pixel % p.ow);
                                let count = (p.ow - x).min(pixels.end - pixel);
                                finish_line(f, p, out.add(y * o.row + x * o.pixel), [image, y, x, c], count);
                                pixel += count;
                            }
                        }
                    }
                }
            }
        }
    }
}
