//! Winograd convolution: standard 3x3 layers of stride 1 with fewer multiplies, by changed arithmetic.
//!
//! `F(m x m, 3 x 3)` makes a tile of `m x m` outputs from `(m + 2)^2` products per pair of channels where the direct form
//! needs `9 m^2`: 2.25 times fewer for `m = 2`, 4 times for 4, 5.06 times for 6 (see [`super::winograd_points`]).
//!
//! ```text
//! for each block of tiles                                              (driver)
//!     for each tile: v[point][tile][C_in] = B^T d B                    (winograd_tile::input)
//!     for each panel of NV vectors of output channels
//!         for each point, for each MR tiles of the block
//!             m[point][tile][NV] = v[point][tile][C_in] * u[panel][point][C_in][NV]      (winograd_tile::product)
//!         for each tile: A^T m A, bias, clamp, store                   (winograd_tile::output)
//! ```
//!
//! The weights `u = G w G^T` are made when the plan is, in `f64`, rounded once. Tiles at the bottom and right edge with two
//! or four rows or columns inside the output compute only those, from the first four or six points of that axis: each group
//! of points has a list of the tiles that use it, and products run over the list.
//!
//! Registers of the products: `MR * NV` sums, `NV` weights, one broadcast (x86) or `MR` quads (NEON); bound by the FMA
//! ports. The block is so large that its `v` takes three quarters of the second cache, since all of it is read once per
//! panel, but no smaller than 32 tiles, since the weights, which are the larger operand on small maps, are read once per
//! block. Rows of `v` are a cache line longer than the channels, lest they fall into one set of the first cache.
//!
//! Scratch of a part, in floats, with `P = (m + 2)^2`, `T` tiles in a block, `K` channels in rounded up to vectors and `N`
//! lanes of a panel: `P (T (K + 16) + 16)` for `v`, `P (T N + 16)` for `m`, and in NCHW, with `S` pixels in a row of tiles:
//! `LANES ((m + 2) (S + 2 + LANES) + m (S + LANES))`, plus 16.
//!
//! Error: with `|B|` and so on for matrices of magnitudes, an output differs from the exact one by at most
//!
//! ```text
//! g * (|A^T| (sum over C_in of (|G| |w| |G^T|) * (|B^T| |d| |B|)) |A| + |bias|),   g = n u / (1 - n u),  n = C_in + r
//! ```
//!
//! where u is the unit roundoff and r counts the other roundings on the longest way from an input to an output: one of the
//! weights, those of the input and output transforms on two axes, the product, the bias: 13 for `m = 2`, 20 for 4, 23 for 6
//! (see [`roundings`]). The factor beside the direct form's `sum |w d|` is at most that of the worst
//! case of data, in which `d` and `w` have the magnitudes 1: see the table in `docs/design.md`.

use super::winograd_nchw::{StageIn, StageInFn, StageOut, StageOutFn};
use super::winograd_points::{MOST_POINTS, multiplies as multiplies_1d, weights};
use super::winograd_tile::{Input, InputFn, KINDS, Output, OutputFn, Product, ProductFn};
use super::{Algorithm, Job, Part, Problem, Shares};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use core::ops::Range;

/// The transforms of one size of tile.
pub(crate) struct Transform {
    /// With all pixels inside the image, and with a pointer to each.
    pub input: [InputFn; 2],
    pub output: OutputFn,
}

/// The algorithm with a tier's micro-kernels.
pub(crate) struct Winograd {
    pub lanes: usize,
    /// Rows and columns of a tile of outputs: 2, 4 or 6.
    pub tile: usize,
    pub layout: Layout,
    /// `products[nv - 1][mr - 1]`; all inner slices have the same length, the largest `MR`.
    pub products: &'static [&'static [ProductFn]],
    pub transform: Transform,
    pub stage_in: StageInFn,
    pub stage_out: StageOutFn,
}

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

/// Fewest tiles that a block is made for, if there are as many.
const LEAST_BLOCK: usize = 32;

/// Tiles of an axis.
#[derive(Clone, Copy)]
struct Axis {
    tiles: usize,
    /// Rows or columns of the last one: those computed, and those inside the output.
    class: usize,
    rest: usize,
}

impl Axis {
    fn new(len: usize, tile: usize) -> Self {
        let tiles = len.div_ceil(tile);
        let rest = len - (tiles - 1) * tile;
        Axis { tiles, class: rest.next_multiple_of(2), rest }
    }

    /// Rows or columns of tile `i`: computed, and inside the output.
    fn of(&self, i: usize, tile: usize) -> (usize, usize) {
        if i + 1 == self.tiles { (self.class, self.rest) } else { (tile, tile) }
    }

    /// Points of all tiles.
    fn points(&self, tile: usize) -> usize {
        (self.tiles - 1) * (tile + 2) + self.class + 2
    }
}

/// What follows from the shape.
struct Sizes {
    rows: Axis,
    columns: Axis,
    tiles: usize,
    /// Points of an axis.
    alpha: usize,
    /// Most tiles of a block.
    block: usize,
    panels: usize,
    nr: usize,
    /// Channels of a product, and the length of a row of transformed inputs.
    k: usize,
    pitch: usize,
    /// Floats of a panel of full width.
    panel_len: usize,
    /// Where the bias starts among the packed weights; after it the zeros.
    bias: usize,
}

/// A tile's place in the lists of the kinds of points, and how many there are in each list.
#[derive(Clone, Copy)]
struct Lists([usize; KINDS]);

impl Lists {
    /// Gives the places of a tile of `r x c` outputs, and moves on.
    fn next(&mut self, r: usize, c: usize) -> [usize; KINDS] {
        let places = self.0;
        for i in 0..r / 2 {
            for j in 0..c / 2 {
                self.0[i * 3 + j] += 1;
            }
        }
        places
    }
}

/// Tiles side by side.
#[derive(Clone, Copy)]
struct Strip {
    image: usize,
    y: usize,
    x: usize,
    tiles: usize,
}

impl Winograd {
    fn sizes(&self, p: &Problem) -> Sizes {
        let s = &p.shape;
        let (rows, columns) = (Axis::new(p.oh, self.tile), Axis::new(p.ow, self.tile));
        let alpha = self.tile + 2;
        let nr = self.products.len() * self.lanes;
        let k = s.c_in.next_multiple_of(4);
        let pitch = s.c_in.next_multiple_of(self.lanes.max(4)) + 16;
        let tiles = s.n * rows.tiles * columns.tiles;
        let fits = p.caches.l2 / 4 * 3 / (alpha * alpha * pitch * size_of::<f32>());
        let panels = s.c_out.div_ceil(nr);
        let last = (s.c_out - (panels - 1) * nr).next_multiple_of(self.lanes);
        let panel_len = alpha * alpha * k * nr;
        let bias = (panels - 1) * panel_len + alpha * alpha * k * last;
        Sizes {
            rows,
            columns,
            tiles,
            alpha,
            block: fits.max(LEAST_BLOCK).min(tiles),
            panels,
            nr,
            k,
            pitch,
            panel_len,
            bias,
        }
    }

    /// Floats of the transformed inputs, of the products, and of the two stages.
    fn scratch(&self, z: &Sizes) -> [usize; 4] {
        let points = z.alpha * z.alpha;
        let pixels = z.block.min(z.columns.tiles) * self.tile;
        let (stage_in, stage_out) = match self.layout {
            Layout::Nhwc => (0, 0),
            Layout::Nchw => (
                z.alpha * (pixels + 2).next_multiple_of(self.lanes) * self.lanes,
                self.tile * pixels.next_multiple_of(self.lanes) * self.lanes,
            ),
        };
        [points * (z.block * z.pitch + 16), points * (z.block * z.nr + 16), stage_in, stage_out]
    }

    /// Whether the work is cut by panels of output channels: where the weights are the larger operand.
    fn splits_panels(&self, p: &Problem, z: &Sizes) -> bool {
        let s = &p.shape;
        z.panels > 1 && (9 * s.c_out > s.n * s.h * s.w || z.tiles < 8)
    }

    /// The tiles of a range, as strips.
    fn strips(z: &Sizes, tiles: Range<usize>) -> impl Iterator<Item = Strip> + use<> {
        let (per_row, per_column) = (z.columns.tiles, z.rows.tiles);
        let (mut row, mut x, mut left) = (tiles.start / per_row, tiles.start % per_row, tiles.len());
        core::iter::from_fn(move || {
            let count = left.min(per_row - x);
            let strip = Strip { image: row / per_column, y: row % per_column, x, tiles: count };
            (row, x, left) = (row + 1, 0, left - count);
            (count > 0).then_some(strip)
        })
    }
}

impl Algorithm for Winograd {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if self.layout != p.layout {
            return Some(match self.layout {
                Layout::Nhwc => "computes NHWC",
                Layout::Nchw => "computes NCHW",
            });
        }
        if p.shape.groups != 1 {
            return Some("computes one group");
        }
        if let Some(reason) = p.differs_from(3, 1) {
            return Some(reason);
        }
        (!p.winograd).then_some("changes the arithmetic, which the caller has not allowed")
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let z = self.sizes(p);
        let points = (s.n * z.rows.points(self.tile) * z.columns.points(self.tile)) as f64;
        let all = (z.alpha * z.alpha) as f64;
        let tiles = z.tiles as f64;
        let vectors = s.c_out.div_ceil(self.lanes);
        // Few tiles leave the latency of the multiply-add open, as short tiles of the direct form do.
        let rows = (self.products[0].len() as f64).min(tiles);
        let last = z.panels * self.products.len() - vectors;
        let open = |nv: usize| if nv == 0 { 0.0 } else { (rows * nv as f64).max(8.0) / rows };
        let per_point = (z.panels - 1) as f64 * open(self.products.len()) + open(self.products.len() - last);
        let products = points.max(all * tiles.min(rows)) * z.k as f64 * per_point;
        // Operations of the transforms per point and vector, with loads and stores, in multiply-adds.
        let transposed = if self.layout == Layout::Nchw { 2.0 } else { 0.0 };
        let inputs = (9.0 + transposed) * points * s.c_in.div_ceil(self.lanes) as f64;
        let outputs = (6.0 + transposed) * points * vectors as f64;
        // Weights beyond the second cache come once per block; what the products do not hide is a quarter.
        let bytes = (z.panels * z.panel_len * size_of::<f32>()) as f64;
        let blocks = z.tiles.div_ceil(z.block) as f64;
        let vector = (self.lanes * size_of::<f32>()) as f64;
        let stream = if bytes > p.caches.l2 as f64 { bytes * blocks / vector } else { 0.0 };
        let stream = if bytes > 32e6 { 2.0 * stream } else { stream };
        products + inputs + outputs + stream
    }

    fn multiplies(&self, p: &Problem) -> Option<u64> {
        let s = &p.shape;
        let z = self.sizes(p);
        let (mut products, mut inputs, mut outputs) = (0u64, 0u64, 0u64);
        // Tiles of full size and the last one, on each axis.
        let axis = |a: &Axis| [((a.tiles - 1) as u64, self.tile), (1, a.class)];
        for (down, r) in axis(&z.rows) {
            for (across, c) in axis(&z.columns) {
                let tiles = s.n as u64 * down * across;
                let of = |k: usize| multiplies_1d(self.tile, k);
                products += tiles * ((r + 2) * (c + 2)) as u64;
                inputs += tiles * ((c + 2) * of(r).0 + (r + 2) * of(c).0) as u64;
                outputs += tiles * ((c + 2) * of(r).1 + r * of(c).1) as u64;
            }
        }
        let (c_in, c_out) = (s.c_in as u64, s.c_out as u64);
        Some(products * c_in * c_out + inputs * c_in + outputs * c_out)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let z = self.sizes(p);
        let mut packed = Aligned::new(z.bias + z.panels * z.nr + z.pitch);
        let out = packed.as_mut_slice();
        for o in 0..s.c_out {
            out[z.bias + o] = source.bias(o);
            let (panel, lane) = (o / z.nr, o % z.nr);
            let width = (s.c_out - panel * z.nr).min(z.nr).next_multiple_of(self.lanes);
            for c in 0..s.c_in {
                let w = [0, 1, 2].map(|y| [0, 1, 2].map(|x| source.weight(o, c, y, x)));
                let u = weights(self.tile, w);
                for (i, row) in u.iter().enumerate().take(z.alpha) {
                    for (j, &value) in row.iter().enumerate().take(z.alpha) {
                        out[panel * z.panel_len + ((i * z.alpha + j) * z.k + c) * width + lane] = value;
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        // All parts of it start on a cache line, if the first does.
        self.scratch(&self.sizes(p)).iter().map(|n| n.next_multiple_of(16)).sum::<usize>() + 16
    }

    fn units(&self, p: &Problem) -> usize {
        let z = self.sizes(p);
        if self.splits_panels(p, &z) { z.panels } else { z.tiles }
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let z = self.sizes(p);
        let (panels, tiles) = if self.splits_panels(p, &z) {
            (part.range(z.panels), 0..z.tiles)
        } else {
            (0..z.panels, part.range(z.tiles))
        };
        if tiles.is_empty() {
            return;
        }
        let mut at = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        let [v, m, stage_in, stage_out] = self.scratch(&z).map(|n| {
            let this = at;
            at = at.wrapping_add(n.next_multiple_of(16));
            this
        });
        let run = Run { kernel: self, job, z: &z, v, m, stage_in, stage_out };
        let blocks = Shares::new(tiles.len(), tiles.len().div_ceil(z.block));
        for b in 0..tiles.len().div_ceil(z.block) {
            let block = blocks.range(b);
            let block = tiles.start + block.start..tiles.start + block.end;
            // SAFETY: as the caller promises; scratch has room for a block.
            unsafe {
                let lists = run.inputs(block.clone());
                for panel in panels.clone() {
                    run.products(&lists, panel);
                    run.outputs(block.clone(), panel);
                }
            }
        }
    }
}

/// A run, with its scratch.
struct Run<'a> {
    kernel: &'a Winograd,
    job: &'a Job<'a>,
    z: &'a Sizes,
    v: *mut f32,
    m: *mut f32,
    stage_in: *mut f32,
    stage_out: *mut f32,
}

impl Run<'_> {
    fn v_point(&self) -> usize {
        self.z.block * self.z.pitch + 16
    }

    fn m_point(&self) -> usize {
        self.z.block * self.z.nr + 16
    }

    /// Transforms the inputs of a block; gives the lengths of the lists.
    ///
    /// # Safety
    /// As [`Algorithm::run`], and so for the other functions here.
    unsafe fn inputs(&self, block: Range<usize>) -> Lists {
        let mut lists = Lists([0; KINDS]);
        // The last channels, fewer than a vector, and zeros; rows of `MOST_POINTS` pixels of `lanes` floats.
        let mut tail = [0.0f32; MOST_POINTS * MOST_POINTS * MOST_LANES];
        for strip in Winograd::strips(self.z, block) {
            // SAFETY: as the caller promises.
            unsafe {
                match self.kernel.layout {
                    Layout::Nhwc => self.strip_nhwc(strip, &mut lists, &mut tail),
                    Layout::Nchw => self.strip_nchw(strip, &mut lists),
                }
            }
        }
        lists
    }

    /// Where the transformed inputs of a tile go, from some channel on.
    fn to(&self, places: [usize; KINDS], channel: usize) -> [*mut f32; KINDS] {
        places.map(|place| self.v.wrapping_add(place * self.z.pitch + channel))
    }

    /// # Safety
    /// As [`Run::inputs`].
    unsafe fn strip_nhwc(&self, strip: Strip, lists: &mut Lists, tail: &mut [f32]) {
        let (w, z, p, i) = (self.kernel, self.z, self.job.problem, self.job.input_strides);
        let s = &p.shape;
        let (lanes, rest) = (w.lanes, s.c_in % w.lanes);
        let whole = s.c_in - rest;
        let image = self.job.input.wrapping_add(strip.image * i.image);
        let zeros = self.job.weights.wrapping_add(z.bias + z.panels * z.nr);
        let (r, _) = z.rows.of(strip.y, w.tile);
        let mut pixels = [core::ptr::null::<f32>(); MOST_POINTS * MOST_POINTS];
        for x in strip.x..strip.x + strip.tiles {
            let (c, _) = z.columns.of(x, w.tile);
            let places = lists.next(r, c);
            let (y0, x0) = p.origin(strip.y * w.tile, x * w.tile);
            let inside = y0 >= 0 && x0 >= 0 && y0 as usize + r + 2 <= s.h && x0 as usize + c + 2 <= s.w;
            let from =
                image.wrapping_offset(y0.wrapping_mul(i.row as isize).wrapping_add(x0.wrapping_mul(i.pixel as isize)));
            if !inside || rest > 0 {
                for (row, pixels) in pixels.chunks_exact_mut(MOST_POINTS).enumerate().take(r + 2) {
                    let y = y0 + row as isize;
                    let inside = y >= 0 && y < s.h as isize;
                    let from = from.wrapping_add(row * i.row);
                    for (column, pixel) in pixels.iter_mut().enumerate().take(c + 2) {
                        let x = x0 + column as isize;
                        let inside = inside && x >= 0 && x < s.w as isize;
                        *pixel = if inside { from.wrapping_add(column * i.pixel) } else { zeros };
                    }
                }
            }
            // SAFETY: pixels are inside the image or zeros of a pixel's length; the lists have room for the block.
            unsafe {
                if whole > 0 {
                    w.transform.input[usize::from(!inside)](&Input {
                        pixels: pixels.as_ptr(),
                        from,
                        row: i.row,
                        pixel: i.pixel,
                        size: [r, c],
                        channels: whole,
                        to: self.to(places, 0),
                        point: self.v_point(),
                    });
                }
                if rest > 0 {
                    for row in 0..r + 2 {
                        for column in 0..c + 2 {
                            let at = row * MOST_POINTS + column;
                            let from = core::slice::from_raw_parts(pixels[at].add(whole), rest);
                            tail[at * lanes..at * lanes + rest].copy_from_slice(from);
                        }
                    }
                    w.transform.input[0](&Input {
                        pixels: pixels.as_ptr(),
                        from: tail.as_ptr(),
                        row: MOST_POINTS * lanes,
                        pixel: lanes,
                        size: [r, c],
                        channels: lanes,
                        to: self.to(places, whole),
                        point: self.v_point(),
                    });
                }
            }
        }
    }

    /// # Safety
    /// As [`Run::inputs`].
    unsafe fn strip_nchw(&self, strip: Strip, lists: &mut Lists) {
        let (w, z, p, i) = (self.kernel, self.z, self.job.problem, self.job.input_strides);
        let s = &p.shape;
        let lanes = w.lanes;
        let (r, _) = z.rows.of(strip.y, w.tile);
        let (y0, x0) = p.origin(strip.y * w.tile, strip.x * w.tile);
        let columns = (strip.tiles * w.tile + 2).next_multiple_of(lanes);
        let before = *lists;
        for channel in (0..s.c_in).step_by(lanes) {
            *lists = before;
            // SAFETY: the stage has room for a strip; the lists have room for the block.
            unsafe {
                (w.stage_in)(&StageIn {
                    from: self.job.input.wrapping_add(strip.image * i.image + channel * i.channel),
                    channel: i.channel,
                    row: i.row,
                    channels: (s.c_in - channel).min(lanes),
                    y: y0,
                    x: x0,
                    h: s.h,
                    w: s.w,
                    rows: r + 2,
                    columns,
                    to: self.stage_in,
                });
                for n in 0..strip.tiles {
                    let (c, _) = z.columns.of(strip.x + n, w.tile);
                    let places = lists.next(r, c);
                    w.transform.input[0](&Input {
                        pixels: core::ptr::null(),
                        from: self.stage_in.add(n * w.tile * lanes),
                        row: columns * lanes,
                        pixel: lanes,
                        size: [r, c],
                        channels: lanes,
                        to: self.to(places, channel),
                        point: self.v_point(),
                    });
                }
            }
        }
    }

    /// Vectors of a panel, and the lanes of the last one.
    fn width(&self, panel: usize) -> (usize, usize) {
        let lanes = self.kernel.lanes;
        let channels = (self.job.problem.shape.c_out - panel * self.z.nr).min(self.z.nr);
        let vectors = channels.div_ceil(lanes);
        (vectors, channels - (vectors - 1) * lanes)
    }

    /// The products of a block with a panel.
    ///
    /// # Safety
    /// As [`Run::inputs`].
    unsafe fn products(&self, lists: &Lists, panel: usize) {
        let (w, z) = (self.kernel, self.z);
        let (nv, _) = self.width(panel);
        let products = w.products[nv - 1];
        let weights = self.job.weights.wrapping_add(panel * z.panel_len);
        let groups = |g: usize| if g == 0 { 0..4 } else { 2 * g + 2..2 * g + 4 };
        for i in 0..z.alpha {
            for g in 0..w.tile / 2 {
                let points = groups(g);
                let tiles = lists.0[super::winograd_tile::kind(i, points.start)];
                if tiles == 0 {
                    continue;
                }
                let shares = Shares::new(tiles, tiles.div_ceil(products.len()));
                // One call for all points where there is one group of tiles; else weights stay near for the next group.
                let (calls, each) = if tiles <= products.len() { (1, points.len()) } else { (points.len(), 1) };
                for call in 0..calls {
                    let point = i * z.alpha + points.start + call;
                    for n in 0..tiles.div_ceil(products.len()) {
                        let range = shares.range(n);
                        // SAFETY: these tiles have been transformed; the panel has all points.
                        unsafe {
                            products[range.len() - 1](&Product {
                                a: self.v.add(point * self.v_point() + range.start * z.pitch),
                                a_tile: z.pitch,
                                a_point: self.v_point(),
                                b: weights.add(point * z.k * nv * w.lanes),
                                out: self.m.add(point * self.m_point() + range.start * z.nr),
                                out_tile: z.nr,
                                out_point: self.m_point(),
                                k: z.k,
                                points: each,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Transforms the products of a panel, and stores.
    ///
    /// # Safety
    /// As [`Run::inputs`].
    unsafe fn outputs(&self, block: Range<usize>, panel: usize) {
        let (w, z, job) = (self.kernel, self.z, self.job);
        let o = job.output_strides;
        let (vectors, last) = self.width(panel);
        let channel = panel * z.nr;
        let width = (vectors - 1) * w.lanes + last;
        let bias = job.weights.wrapping_add(z.bias + channel);
        let mut lists = Lists([0; KINDS]);
        for strip in Winograd::strips(z, block) {
            let (r, rows) = z.rows.of(strip.y, w.tile);
            let (y0, x0) = (strip.y * w.tile, strip.x * w.tile);
            let out = job.output.wrapping_add(strip.image * o.image + y0 * o.row + x0 * o.pixel + channel * o.channel);
            let tile = |n: usize, lists: &mut Lists| {
                let (c, columns) = z.columns.of(strip.x + n, w.tile);
                (c, columns, lists.next(r, c).map(|place| self.m.wrapping_add(place * z.nr).cast_const()))
            };
            if w.layout == Layout::Nhwc {
                for n in 0..strip.tiles {
                    let (c, columns, from) = tile(n, &mut lists);
                    let out = out.wrapping_add(n * w.tile * o.pixel);
                    // SAFETY: the products have been computed; these pixels are inside the output.
                    unsafe {
                        (w.transform.output)(&Output {
                            from,
                            point: self.m_point(),
                            bias,
                            vectors,
                            last,
                            size: [r, c],
                            out,
                            row: o.row,
                            pixel: o.pixel,
                            rows,
                            columns,
                            clamp: job.clamp,
                        });
                        if let Some(f) = &job.finish {
                            for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                                let at = [strip.image, y0 + y, x0 + n * w.tile + x, channel];
                                f.apply(out.add(y * o.row + x * o.pixel), at, width);
                            }
                        }
                    }
                }
                continue;
            }
            let columns = (job.problem.ow - x0).min(strip.tiles * w.tile);
            let pitch = (strip.tiles * w.tile).next_multiple_of(w.lanes);
            let before = lists;
            for v in 0..vectors {
                lists = before;
                let channels = if v + 1 == vectors { last } else { w.lanes };
                // SAFETY: as above; the stage has room for a strip.
                unsafe {
                    for n in 0..strip.tiles {
                        let (c, _, from) = tile(n, &mut lists);
                        (w.transform.output)(&Output {
                            from: from.map(|f| f.wrapping_add(v * w.lanes)),
                            point: self.m_point(),
                            bias: bias.add(v * w.lanes),
                            vectors: 1,
                            last: w.lanes,
                            size: [r, c],
                            out: self.stage_out.add(n * w.tile * w.lanes),
                            row: pitch * w.lanes,
                            pixel: w.lanes,
                            rows: r,
                            columns: c,
                            clamp: job.clamp,
                        });
                    }
                    let out = out.wrapping_add(v * w.lanes * o.channel);
                    (w.stage_out)(&StageOut {
                        from: self.stage_out,
                        pitch,
                        rows,
                        columns,
                        to: out,
                        channel: o.channel,
                        row: o.row,
                        channels,
                    });
                    if let Some(f) = &job.finish {
                        for (c, y) in (0..channels).flat_map(|c| (0..rows).map(move |y| (c, y))) {
                            let at = [strip.image, y0 + y, x0, channel + v * w.lanes + c];
                            f.apply(out.add(c * o.channel + y * o.row), at, columns);
                        }
                    }
                }
            }
        }
    }
}
