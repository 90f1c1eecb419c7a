//! Winograd convolution: 3x3 layers of stride 1 with fewer multiplies, by changed arithmetic; standard ones, and group by group.
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
//! where u is the unit roundoff and r counts the other roundings on the longest way from an input to an output, unfused:
//! one of the weights, of the product and of the bias, and on two axes 1, 3, 5 of the input transform and 2, 3, 4 of the
//! output transform for `m = 2, 4, 6`; together 9, 15, 21. A tile at an edge has the matrices of its own, smaller size. What
//! that is beside the direct form's bound stands in `docs/design.md`.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512, NHWC, multiplies of the direct form per time: `m = 6`:
//! 64 channels on 56 x 56 pixels 218 GMAC/s, 128 on 28 x 28 248, 256 on 14 x 14 221; there products reach 75 to 85 % of
//! the peak and transforms take the rest. 512 on 14 x 14: 157 with `m = 4`, bound by the weights, which come from memory
//! (38 MB). NCHW is 3 to 11 % slower, for the transposing.

use super::finish::Finish;
use super::winograd_nchw::{StageInFn, StageOutFn};
use super::winograd_points::{multiplies as multiplies_1d, weights};
use super::winograd_run::Run;
use super::winograd_tile::{InputFn, OutputFn, ProductFn};
use super::{Algorithm, Job, Part, Problem, Shares};
use crate::pack::{Aligned, Source};
use crate::shape::Conv2dShape;
use crate::tensor::Layout;

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

/// Weights of so many bytes come from memory.
const LAST_CACHE: f64 = 32e6;

/// What a vector of them costs then, in multiply-adds: four as measured on a server's core, which multiplies 59 G times a second
/// beside 25 GB/s. A phone's big core has 24 G (two units of four lanes at 3 GHz) beside some 15 GB/s, two thirds of that.
const FROM_MEMORY: f64 = if cfg!(target_arch = "x86_64") { 4.0 } else { 2.7 };

/// Fewest tiles that a block is made for, if there are as many.
const LEAST_BLOCK: usize = 32;

/// Tiles of an axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub tiles: usize,
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
    pub(super) fn of(&self, i: usize, tile: usize) -> (usize, usize) {
        if i + 1 == self.tiles { (self.class, self.rest) } else { (tile, tile) }
    }

    /// Points of all tiles.
    fn points(&self, tile: usize) -> usize {
        (self.tiles - 1) * (tile + 2) + self.class + 2
    }
}

/// What follows from the shape.
pub(super) struct Sizes {
    pub rows: Axis,
    pub columns: Axis,
    pub tiles: usize,
    /// Points of an axis.
    pub alpha: usize,
    /// Most tiles of a block.
    pub block: usize,
    pub panels: usize,
    pub nr: usize,
    /// Channels of a product, and the length of a row of transformed inputs.
    pub k: usize,
    pub pitch: usize,
    /// Floats of a panel of full width.
    pub panel_len: usize,
    /// Where the bias starts among the packed weights; after it the zeros.
    pub bias: usize,
}

impl Sizes {
    /// Floats of the packed weights: whole cache lines.
    fn packed_len(&self) -> usize {
        (self.bias + self.panels * self.nr + self.pitch).next_multiple_of(16)
    }
}

/// Fewest channels of one of several groups. With eight, transforms and vectors that they do not fill took twice the direct form's time.
const LEAST_OF_GROUP: usize = 16;

/// The problem of one group.
fn group(p: &Problem) -> Problem {
    Problem { shape: Conv2dShape { c_in: p.cg_in, c_out: p.cg_out, groups: 1, ..p.shape }, ..p.clone() }
}

impl Winograd {
    /// For one group, as all that follow.
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
}

impl Algorithm for Winograd {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if self.layout != p.layout {
            return Some(match self.layout {
                Layout::Nhwc => "computes NHWC",
                Layout::Nchw => "computes NCHW",
            });
        }
        if p.shape.groups != 1 && p.cg_in.min(p.cg_out) < LEAST_OF_GROUP {
            return Some("computes one group, or groups of sixteen channels and more");
        }
        if let Some(reason) = p.differs_from(3, 1) {
            return Some(reason);
        }
        (!p.winograd).then_some("changes the arithmetic, which the caller has not allowed")
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let groups = p.shape.groups;
        let p = &group(p);
        let s = &p.shape;
        let z = self.sizes(p);
        let points = s.n as f64 * z.rows.points(self.tile) as f64 * z.columns.points(self.tile) as f64;
        let vectors = s.c_out.div_ceil(self.lanes);
        // Few tiles leave the latency of the multiply-add open, as short tiles of the direct form do.
        let rows = (self.products[0].len() as f64).min(z.tiles as f64);
        let last = z.panels * self.products.len() - vectors;
        let open = |nv: usize| if nv == 0 { 0.0 } else { (rows * nv as f64).max(8.0) / rows };
        let per_point = (z.panels - 1) as f64 * open(self.products.len()) + open(self.products.len() - last);
        let products = points * z.k as f64 * per_point;
        // Operations of the transforms per point and vector, with loads and stores, in multiply-adds.
        let transposed = if self.layout == Layout::Nchw { 2.0 } else { 0.0 };
        let inputs = (9.0 + transposed) * points * s.c_in.div_ceil(self.lanes) as f64;
        let outputs = (6.0 + transposed) * points * vectors as f64;
        // Weights beyond the second cache come once per block, at what the products do not hide: about one multiply-add's time
        // per vector, and more where they come from memory.
        let bytes = groups as f64 * (z.panels * z.panel_len * size_of::<f32>()) as f64;
        let blocks = z.tiles.div_ceil(z.block) as f64;
        let vector = (self.lanes * size_of::<f32>()) as f64;
        let stream = if bytes > p.caches.l2 as f64 { bytes * blocks / vector } else { 0.0 };
        let stream = if bytes > LAST_CACHE { FROM_MEMORY * stream } else { stream };
        groups as f64 * (products + inputs + outputs) + stream
    }

    fn multiplies(&self, p: &Problem) -> Option<u64> {
        let s = &p.shape;
        let z = self.sizes(&group(p));
        let (mut products, mut inputs, mut outputs) = (0u128, 0u128, 0u128);
        // Tiles of full size and the last one, on each axis.
        let axis = |a: &Axis| [((a.tiles - 1) as u128, self.tile), (1, a.class)];
        for (down, r) in axis(&z.rows) {
            for (across, c) in axis(&z.columns) {
                let tiles = s.n as u128 * down * across;
                let of = |k: usize| multiplies_1d(self.tile, k);
                products += tiles * ((r + 2) * (c + 2)) as u128;
                inputs += tiles * ((c + 2) * of(r).0 + (r + 2) * of(c).0) as u128;
                outputs += tiles * ((c + 2) * of(r).1 + r * of(c).1) as u128;
            }
        }
        let (c_in, c_out) = (s.c_in as u128, s.c_out as u128);
        let all = products.saturating_mul(c_in * p.cg_out as u128).saturating_add(inputs * c_in + outputs * c_out);
        Some(u64::try_from(all).unwrap_or(u64::MAX))
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let one = group(p);
        let len = self.sizes(&one).packed_len();
        let mut packed = Aligned::new(p.shape.groups * len);
        for (g, out) in packed.as_mut_slice().chunks_mut(len).enumerate() {
            let weights = &source.weights[g * p.cg_out * p.k()..][..p.cg_out * p.k()];
            let bias = source.bias.map(|bias| &bias[g * p.cg_out..][..p.cg_out]);
            self.pack_group(&one, &Source { weights, bias, ..*source }, out);
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        // All parts of it start on a cache line, if the first does.
        self.scratch(&self.sizes(&group(p))).iter().map(|n| n.next_multiple_of(16)).sum::<usize>() + 16
    }

    fn units(&self, p: &Problem) -> usize {
        if p.shape.groups > 1 {
            return p.shape.groups;
        }
        let z = self.sizes(p);
        if self.splits_panels(p, &z) { z.panels } else { z.tiles }
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let (p, i, o) = (job.problem, job.input_strides, job.output_strides);
        let one = group(p);
        let z = self.sizes(&one);
        let (groups, part) =
            if p.shape.groups > 1 { (part.range(p.shape.groups), Part { index: 0, of: 1 }) } else { (0..1, part) };
        for g in groups {
            let (first_in, first_out) = (g * p.cg_in, g * p.cg_out);
            // Without a residual its strides are zero, and null stays null.
            let residual = |f: Finish| f.residual.wrapping_add(first_out * f.residual_strides.channel);
            let job = Job {
                problem: &one,
                weights: job.weights.wrapping_add(g * z.packed_len()),
                input: job.input.wrapping_add(first_in * i.channel),
                output: job.output.wrapping_add(first_out * o.channel),
                finish: job.finish.map(|f| Finish { residual: residual(f), ..f }),
                ..*job
            };
            // SAFETY: as the caller promises, for the channels of this group.
            unsafe { self.run_group(&job, &z, part) };
        }
    }
}

impl Winograd {
    /// Packs one group: [`Sizes::packed_len`] floats, zero before.
    fn pack_group(&self, p: &Problem, source: &Source<'_>, out: &mut [f32]) {
        let s = &p.shape;
        let z = self.sizes(p);
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
    }

    /// Computes a part of one group.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn run_group(&self, job: &Job<'_>, z: &Sizes, part: Part) {
        let (panels, tiles) = if self.splits_panels(job.problem, z) {
            (part.range(z.panels), 0..z.tiles)
        } else {
            (0..z.panels, part.range(z.tiles))
        };
        if tiles.is_empty() {
            return;
        }
        let mut at = job.scratch.wrapping_add(job.scratch.align_offset(64).min(16));
        let [v, m, stage_in, stage_out] = self.scratch(z).map(|n| {
            let this = at;
            at = at.wrapping_add(n.next_multiple_of(16));
            this
        });
        let run = Run { kernel: self, job, z, v, m, stage_in, stage_out };
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
