//! Direct convolution of few input channels, channels last: the first layers of networks, which read an RGB image.
//!
//! With three channels, the pixels under a kernel row are one run of `kw * c_in` floats, and the runs of neighbouring
//! outputs start `stride * c_in` floats apart: a distance that is known when the kernel is compiled. So a tile needs one
//! address per kernel row where [`super::igemm_nhwc`] needs one per pixel and tap, and the rest is its product:
//!
//! ```text
//! for the tiles of some columns, for each output row         (driver)
//!     for each panel of NV vectors of output channels        (micro-kernel)
//!         acc[P][NV] = bias
//!         for each kernel row inside the image, for each element k of a run
//!             b[NV] = next NV vectors of the panel
//!             acc[p][v] += input[p * STEP + k] * b[v]
//!         clamp, store P rows of NV vectors
//! ```
//!
//! Kernel rows outside the image are left out. Where a window sticks out at the left or right, elements of the run that some pixel
//! has in the padding are left out for that pixel. A window row whose pixels do not lie side by side, or of a tier that reads
//! beyond it, is copied with its zeros into scratch, once for all panels.
//!
//! Registers: `P * NV` accumulators, `NV` panel vectors, one broadcast (x86) or `P` quads (NEON, whose kernels of 3 and
//! 7 columns share the quads of neighbouring pixels). Loads per multiply-add: `1 / P + 1 / NV`, the latter broadcasts.
//! Bound by the FMA ports: inputs are a few kilobytes, and panels come from the first cache or, beyond some 50 KiB, the
//! second.
//!
//! Measured 2026-11-28, one Zen 4 core (59.1 GMAC/s), AVX-512: 3x3 stride 2 on 224 x 224 pixels to 32 channels 94 % of peak,
//! 7x7 stride 2 to 64 channels 99 %, 7x7 stride 4 99 %. AVX2: 89 %, 97 %, 91 %; the first
//! two 2026-11-29 on one Zen 3 core (51.7 GMAC/s) 89 %, 97 %; 2026-11-30 3x3 on 32 x 32 pixels to 16 and 64 channels 76 %,
//! 87 %, with stride 2 on 64 x 64 to 16 81 %: calls and the tests at the ends of rows take the rest.

use super::igemm_micro_nhwc::bias;
use super::tile_end::{Even, STEPS, Steps, finish, finish_by_rows, spreads_stores};
use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// One or several tiles of a row for the micro-kernel.
pub(crate) struct Tile {
    /// Tiles side by side.
    pub tiles: usize,
    /// Per kernel row, the first element of the window; null outside the image.
    pub rows: *const *const f32,
    pub kernel_rows: usize,
    /// Elements of a run: kernel columns times input channels.
    pub run: usize,
    /// The elements of the window that are inside the image: from this one on, before that one.
    pub inside: (usize, usize),
    /// Bias and weights of the first panel; how many there are, one after the other; their length.
    pub panel: *const f32,
    pub panels: usize,
    pub panel_len: usize,
    /// The first pixel's first channel of the first panel, and floats between pixels.
    pub output: *mut f32,
    pub output_step: usize,
    /// Lanes to store of the last vector of each panel.
    pub last: usize,
    pub clamp: (f32, f32),
}

/// [`Tile::inside`] of a window in the image.
const ALL: (usize, usize) = (0, usize::MAX);

/// A micro-kernel for one step, `P` and `NV`.
pub(crate) type Micro = unsafe fn(&Tile);

/// The micro-kernel: runs of neighbouring pixels start `STEP` floats apart.
///
/// # Safety
/// The CPU has the tier of `V`. Rows that are not null have `(tiles * P - 1) * STEP + run` readable floats, and the pixels of
/// [`DirectNhwc::beyond`]; the other pointers
/// are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    for i in 0..t.tiles {
        for j in 0..t.panels {
            // SAFETY: as the caller promises, for each tile and panel.
            unsafe {
                let output = t.output.add(i * P * t.output_step + j * NV * V::LANES);
                let panel = t.panel.add(j * t.panel_len);
                if V::TAKES_LANES || t.inside == ALL {
                    one_panel::<V, STEP, P, NV, false>(t, i * P * STEP, panel, output);
                } else {
                    one_panel::<V, STEP, P, NV, true>(t, i * P * STEP, panel, output);
                }
            }
        }
    }
}

/// A tile of one panel; its window starts `offset` floats after that of the first. At the `SIDES` of a row, some elements of its
/// window are in the padding.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn one_panel<V: Vector, const STEP: usize, const P: usize, const NV: usize, const SIDES: bool>(
    t: &Tile,
    offset: usize,
    panel: *const f32,
    output: *mut f32,
) {
    let nr = NV * V::LANES;
    // SAFETY: by the contract of `Tile`: the panel has `nr * (kernel_rows * run + 1)` floats, output pixels `nr` but for
    // the last vector, of which `last` lanes are written.
    unsafe {
        let mut acc = bias::<V, P, NV>(panel);
        let weights = panel.add(nr);
        // All pixels have elements `first..end` of their runs inside the image, but at the sides.
        let first = if SIDES { t.inside.0.min(t.run) } else { 0 };
        let end = if SIDES { t.inside.1.saturating_sub((P - 1) * STEP).clamp(first, t.run) } else { t.run };
        // The last kernel row inside the image, if the tile ends by rows: with three vectors, whose tiles have nine sums, that takes longer.
        let by_rows = spreads_stores::<V>(NV) && NV <= 2 && !SIDES && t.run >= STEPS;
        let last_row = (0..t.kernel_rows).rev().find(|&ky| by_rows && !(*t.rows.add(ky)).is_null());
        let (mut scalars, mut vectors) = (core::ptr::null(), panel);
        for ky in 0..t.kernel_rows {
            let mut x = *t.rows.add(ky);
            if x.is_null() {
                continue;
            }
            x = x.wrapping_add(offset);
            if const { shares_elements::<V>(STEP, NV) } && !SIDES && t.run == RUN {
                row_of_elements::<V, STEP, P, NV>(&mut acc, x, weights.add(ky * RUN * nr));
                continue;
            }
            // Elements that some pixels have in the padding, which leave them out: the tests run beside the multiply-adds.
            macro_rules! sides {
                ($elements:expr) => {
                    for k in $elements {
                        let w = weights.add((ky * t.run + k) * nr);
                        let mut b = [V::zero(); NV];
                        for v in 0..NV {
                            b[v] = V::load(w.add(v * V::LANES));
                        }
                        for p in 0..P {
                            let element = p * STEP + k;
                            if element.wrapping_sub(t.inside.0) < t.inside.1 - t.inside.0 {
                                let value = V::splat(*x.add(element));
                                for v in 0..NV {
                                    acc[p][v] = acc[p][v].mul_add(value, b[v]);
                                }
                            }
                        }
                    }
                };
            }
            let row = x;
            if SIDES {
                sides!(0..first);
                x = x.wrapping_add(first);
            }
            let mut w = weights.add((ky * t.run + first) * nr);
            // One element of the runs: `$lane` is the element of the quad in use.
            macro_rules! step {
                ($lane:literal, $q:expr) => {
                    let mut b = [V::zero(); NV];
                    for v in 0..NV {
                        b[v] = V::load(w.add($lane * nr + v * V::LANES));
                    }
                    for p in 0..P {
                        for v in 0..NV {
                            acc[p][v] = acc[p][v].mul_add_lane::<$lane>(b[v], $q[p]);
                        }
                    }
                };
            }
            let quads = if V::TAKES_LANES { t.run / 4 } else { 0 };
            for _ in 0..quads {
                let mut q = [V::quad(x); P];
                for p in 1..P {
                    q[p] = V::quad(x.add(p * STEP));
                }
                step!(0, q);
                step!(1, q);
                step!(2, q);
                step!(3, q);
                w = w.add(4 * nr);
                x = x.add(4);
            }
            let end_of_row = if last_row == Some(ky) { end - STEPS } else { end };
            for _ in first + 4 * quads..end_of_row {
                let mut b = [V::zero(); NV];
                for v in 0..NV {
                    b[v] = V::load(w.add(v * V::LANES));
                }
                for p in 0..P {
                    let value = V::splat(*x.add(p * STEP));
                    for v in 0..NV {
                        acc[p][v] = acc[p][v].mul_add(value, b[v]);
                    }
                }
                w = w.add(nr);
                x = x.add(1);
            }
            (scalars, vectors) = (x, w);
            if SIDES {
                x = row;
                sides!(end..t.run);
            }
        }
        let mut out = [output; P];
        for p in 1..P {
            out[p] = output.add(p * t.output_step);
        }
        if last_row.is_some() {
            let mut pixels = [scalars; P];
            for p in 1..P {
                pixels[p] = scalars.add(p * STEP);
            }
            let steps = Steps { scalars: pixels, scalar_step: 1, vectors: Even(vectors, nr) };
            finish_by_rows(acc, &steps, t.clamp, &out, t.last);
        } else {
            finish(acc, t.clamp, &out, t.last);
        }
    }
}

/// Three columns of three channels.
const RUN: usize = 9;

/// Whether a row of a 3x3 with stride 2 is taken element by element: with one vector a pixel, loading a scalar for each multiply-add
/// takes longer than multiplying, and neighbours share a third of them. With stride 1 they share two thirds, but few sums wait for
/// themselves (5 % slower).
const fn shares_elements<V: Vector>(step: usize, nv: usize) -> bool {
    !V::TAKES_LANES && !V::FEW_REGISTERS && V::LANES == 16 && nv == 1 && step < RUN && RUN <= 2 * step
}

/// Adds a kernel row of [`RUN`] weights, each element of the window to all pixels that it is under. A pixel takes its elements in the same
/// order as by its run.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn row_of_elements<V: Vector, const STEP: usize, const P: usize, const NV: usize>(
    acc: &mut [[V; NV]; P],
    x: *const f32,
    w: *const f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut b = [V::zero(); RUN];
        for k in 0..RUN {
            b[k] = V::load(w.add(k * V::LANES));
        }
        unroll!(q < P + (RUN - 1) / STEP => { elements_of::<V, STEP, P, NV>(acc, x.wrapping_add(q * STEP), &b, q) });
    }
}

/// The first `STEP` elements of pixel `q`'s run, as far as there are pixels that have them.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn elements_of<V: Vector, const STEP: usize, const P: usize, const NV: usize>(
    acc: &mut [[V; NV]; P],
    x: *const f32,
    b: &[V; RUN],
    q: usize,
) {
    unroll!(i < STEP => {
        if q * STEP + i < (P - 1) * STEP + RUN {
            // SAFETY: the element is in the run of a pixel of the tile.
            unsafe {
                let value = V::splat(*x.add(i));
                if i < RUN && q < P {
                    acc[q][0] = acc[q][0].mul_add(value, b[i]);
                }
                if STEP + i < RUN && q >= 1 && q - 1 < P {
                    acc[q - 1][0] = acc[q - 1][0].mul_add(value, b[(STEP + i) % RUN]);
                }
            }
        }
    });
}

/// Micro-kernels of one width.
pub(crate) struct Width {
    /// `P`.
    pub pixels: usize,
    /// `micros[nv - 1]`
    pub micros: &'static [Micro],
}

/// How a row is cut: into tiles of the first width until a pixel, then of another. The last one may be moved back over pixels
/// already done, so that it is a full one.
struct Cut<'a> {
    first: &'a Width,
    until: usize,
    last: &'a Width,
    tiles: usize,
    /// Pixels that are computed, with those computed twice.
    pixels: usize,
}

/// The algorithm with a tier's micro-kernels for one number of input channels and one stride.
pub(crate) struct DirectNhwc {
    pub lanes: usize,
    /// Input channels and stride along a row: their product is `STEP`.
    pub c_in: usize,
    pub stride: usize,
    /// Widths, the largest first; the last is 1.
    pub widths: &'static [Width],
    /// The same for layers of no more output channels than a vector has lanes, if there are others: wider, for the accumulators
    /// that hide the latency of the multiply-add, and fewer loads of weights.
    pub one_vector: &'static [Width],
    /// Pixels that micro-kernels may read after a window's last one. Those that read none leave out columns in the padding, for
    /// others they are copied with their zeros.
    pub beyond: usize,
    /// Cost of one vector multiply-add beside that of the tier's widest vector, where the core splits that one.
    pub width: f64,
}

impl DirectNhwc {
    fn widths(&self, p: &Problem) -> &'static [Width] {
        if p.shape.c_out > self.lanes || self.one_vector.is_empty() { self.widths } else { self.one_vector }
    }

    fn nv(&self, p: &Problem) -> usize {
        self.widths(p)[0].micros.len()
    }

    fn nr(&self, p: &Problem) -> usize {
        self.nv(p) * self.lanes
    }

    /// How rows of `ow` pixels are cut into tiles. A tile costs its pixels and about one more for its calls and stores.
    fn cut(&self, p: &Problem) -> Cut<'_> {
        let (widths, ow) = (self.widths(p), p.ow);
        let width = |pixels: usize| widths.iter().find(|w| w.pixels == pixels);
        let cuts = widths.iter().filter(|w| w.pixels <= ow).map(|first| {
            let tiles = ow.div_ceil(first.pixels);
            let (each, more) = (ow / tiles, ow % tiles);
            let last = width(each);
            match width(each + usize::from(more > 0)).zip(last) {
                Some((first, last)) => Cut { first, until: more * (each + 1), last, tiles, pixels: ow },
                None => Cut { first, until: ow, last: first, tiles, pixels: tiles * first.pixels },
            }
        });
        let narrowest = &widths[widths.len() - 1];
        cuts.min_by_key(|c| c.pixels + c.tiles).unwrap_or(Cut {
            first: narrowest,
            until: ow,
            last: narrowest,
            tiles: ow,
            pixels: ow,
        })
    }

    /// Columns of the window of `pixels` outputs, with those that are read beyond, and their elements.
    fn columns(&self, p: &Problem, pixels: usize) -> usize {
        (pixels - 1) * self.stride + p.shape.kw + self.beyond
    }

    fn window(&self, p: &Problem, pixels: usize) -> usize {
        self.columns(p, pixels) * self.c_in
    }

    /// Panels of `NV` vectors, and vectors of the narrower last one.
    fn panels(&self, p: &Problem) -> (usize, usize) {
        (p.shape.c_out / self.nr(p), (p.shape.c_out % self.nr(p)).div_ceil(self.lanes))
    }
}

impl Algorithm for DirectNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        let s = &p.shape;
        if p.layout != Layout::Nhwc {
            Some("computes NHWC")
        } else if s.groups != 1 || s.c_in != self.c_in {
            Some("computes another number of input channels, in one group")
        } else if s.stride[1] != self.stride {
            Some("computes another stride")
        } else if s.dilation[1] != 1 {
            Some("computes dense kernels only")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let cut = self.cut(p);
        let (full, rest) = self.panels(p);
        // A tile waits for the latency of the multiply-add, of which eight must be under way.
        let pixels = cut.pixels as f64 / cut.tiles as f64;
        let tile = |nv: usize| if nv == 0 { 0.0 } else { (pixels * nv as f64).max(8.0) };
        let tiles = (s.n * p.oh * cut.tiles) as f64;
        // With one vector of channels every multiply-add loads its scalar, but for those that neighbours share, with larger strides.
        let loads = match self.stride {
            _ if self.nv(p) > 1 || !p.long_datapath => 1.0,
            1 => 1.25,
            _ => 1.05,
        };
        let vectors = tiles * (full as f64 * tile(self.nv(p)) + tile(rest));
        vectors * (p.k() + 2) as f64 * 0.9 * loads * p.vector_cost(self.width)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let (full, rest) = self.panels(p);
        let mut packed = Aligned::new((full * self.nv(p) + rest) * self.lanes * (p.k() + 1));
        let mut out = packed.writer();
        for first in (0..s.c_out).step_by(self.nr(p)) {
            let channels = first..first + (s.c_out - first).min(self.nr(p)).next_multiple_of(self.lanes);
            let inside = |o: usize| o < s.c_out;
            channels.clone().for_each(|o| out.put(if inside(o) { source.bias(o) } else { 0.0 }));
            for ky in 0..s.kh {
                for kx in 0..s.kw {
                    for c in 0..s.c_in {
                        channels.clone().for_each(|o| {
                            out.put(if inside(o) { source.weight(o, c, ky, kx) } else { 0.0 });
                        });
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let words = (p.shape.kh + 1) * size_of::<usize>() / size_of::<f32>();
        words + p.shape.kh * self.window(p, self.cut(p).first.pixels)
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let cut = self.cut(p);
        // Tiles of the last width are no wider than those of the first.
        let window = self.window(p, cut.first.pixels);
        let rows = job.scratch.wrapping_add(job.scratch.align_offset(align_of::<usize>())).cast::<*const f32>();
        let copies = rows.wrapping_add(s.kh).cast::<f32>();
        let (full, rest) = self.panels(p);
        let units = part.range(s.n * p.oh);
        let mut x = 0;
        let (mut width, mut until) = (cut.first, cut.until);
        // The same columns of all rows, so that what depends on the columns alone is found once.
        while x < p.ow {
            if x >= until {
                (width, until) = (cut.last, p.ow);
            }
            let x_tile = x.min(p.ow - width.pixels.min(p.ow));
            let (_, x0) = p.origin(0, x_tile);
            let columns = self.columns(p, width.pixels);
            let dense = i.pixel == s.c_in;
            let inside = dense && x0 >= 0 && x0 + columns as isize <= s.w as isize;
            let copied = !(inside || dense && self.beyond == 0);
            // Whole tiles in the image and in the output from here on.
            let tiles = if inside {
                let more = (s.w - x0 as usize - columns).min((until - x_tile - width.pixels) * self.stride);
                1 + more / (width.pixels * self.stride)
            } else {
                1
            };
            let in_image = if inside || copied {
                ALL
            } else {
                (x0.min(0).unsigned_abs() * s.c_in, (s.w as isize - x0).max(0) as usize * s.c_in)
            };
            let tile = |nv: usize, panels: usize, last: usize| Tile {
                tiles,
                rows,
                kernel_rows: s.kh,
                run: s.kw * s.c_in,
                inside: in_image,
                panel: job.weights,
                panels,
                panel_len: nv * self.lanes * (p.k() + 1),
                output: core::ptr::null_mut(),
                output_step: o.pixel,
                last,
                clamp: job.clamp,
            };
            let narrower = full * self.nr(p);
            let mut panels = tile(self.nv(p), full, self.lanes);
            let mut last_panel = tile(rest, 1, s.c_out - narrower - rest.saturating_sub(1) * self.lanes);
            last_panel.panel = job.weights.wrapping_add(narrower * (p.k() + 1));
            let (mut image, mut y) = (units.start / p.oh, units.start % p.oh);
            for _ in units.clone() {
                let (y0, _) = p.origin(y, x_tile);
                let image_at = job.input.wrapping_add(image * i.image);
                for ky in 0..s.kh {
                    let row = y0 + (ky * s.dilation[0]) as isize;
                    let line = image_at.wrapping_offset(row.wrapping_mul(i.row as isize));
                    let mut pointer = core::ptr::null();
                    if (0..s.h as isize).contains(&row) {
                        pointer = line.wrapping_offset(x0.wrapping_mul(i.pixel as isize));
                        if copied {
                            let copy = copies.wrapping_add(ky * window);
                            // SAFETY: the row is inside the image; scratch has a window per kernel row.
                            unsafe { copy_window(line, copy, x0, columns, s.w, s.c_in, i.pixel) };
                            pointer = copy;
                        }
                    }
                    // SAFETY: scratch has a word per kernel row.
                    unsafe { *rows.add(ky) = pointer };
                }
                // SAFETY: the tiles are inside the output, since a width above `ow` is never chosen but for 1; rows are
                // null outside the image, and hold the windows of all of them.
                unsafe {
                    let output = job.output.add(image * o.image + y * o.row + x_tile * o.pixel);
                    if full > 0 {
                        panels.output = output;
                        width.micros[self.nv(p) - 1](&panels);
                    }
                    if rest > 0 {
                        last_panel.output = output.add(narrower);
                        width.micros[rest - 1](&last_panel);
                    }
                    if let Some(f) = &job.finish {
                        // Pixels that the moved back tile has finished before are finished anew from their sums.
                        for n in 0..tiles * width.pixels {
                            f.apply(output.add(n * o.pixel), [image, y, x_tile + n, 0], s.c_out);
                        }
                    }
                }
                y += 1;
                if y == p.oh {
                    (image, y) = (image + 1, 0);
                }
            }
            x = x_tile + tiles * width.pixels;
        }
    }
}

/// Copies `columns` pixels of `c` floats from column `x` of a row of `w` on, with zeros for those outside.
///
/// # Safety
/// `row` is a row of the input; `to` has `columns * c` elements.
pub(super) unsafe fn copy_window(
    row: *const f32,
    to: *mut f32,
    x: isize,
    columns: usize,
    w: usize,
    c: usize,
    pixel: usize,
) {
    let first = columns.min(x.min(0).unsigned_abs());
    let end = (w as isize - x).clamp(first as isize, columns as isize) as usize;
    // SAFETY: columns `first..end` are inside the row; others are not read.
    unsafe {
        to.write_bytes(0, first * c);
        to.add(end * c).write_bytes(0, (columns - end) * c);
        let from = row.wrapping_offset((x + first as isize).wrapping_mul(pixel as isize));
        if pixel == c {
            to.add(first * c).copy_from_nonoverlapping(from, (end - first) * c);
        } else {
            for column in 0..end - first {
                for k in 0..c {
                    *to.add((first + column) * c + k) = *from.add(column * pixel + k);
                }
            }
        }
    }
}
