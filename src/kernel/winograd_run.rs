//! One run of [`super::winograd`]: which tiles, which points, where in scratch.

use super::winograd::{Sizes, Winograd};
use super::winograd_nchw::{StageIn, StageOut};
use super::winograd_points::MOST_POINTS;
use super::winograd_tile::{Input, KINDS, Output, Product, kind};
use super::{Job, Shares};
use crate::tensor::Layout;
use core::ops::Range;

/// Most lanes of a vector.
const MOST_LANES: usize = 16;

/// Bytes of weights that stay in the first cache while the tiles of a block pass, so that one call does several points. A
/// call costs an estimated 90 instructions on ARM, where products of 64 channels are 720. Elsewhere it is a point a call.
const NEAR: usize = if cfg!(target_arch = "aarch64") { 16 << 10 } else { 0 };

/// A tile's place in the lists of the kinds of points, and how many there are in each list.
#[derive(Clone, Copy)]
pub(super) struct Lists([usize; KINDS]);

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

/// A run, with its scratch.
pub(super) struct Run<'a> {
    pub kernel: &'a Winograd,
    pub job: &'a Job<'a>,
    pub z: &'a Sizes,
    pub v: *mut f32,
    pub m: *mut f32,
    pub stage_in: *mut f32,
    pub stage_out: *mut f32,
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
    /// As [`super::Algorithm::run`], and so for the other functions here.
    pub(super) unsafe fn inputs(&self, block: Range<usize>) -> Lists {
        let mut lists = Lists([0; KINDS]);
        // Products take four channels at a time; vectors of fewer lanes leave the last of them unwritten.
        let z = self.z;
        let written = self.job.problem.shape.c_in.next_multiple_of(self.kernel.lanes);
        if written < z.k {
            for (point, tile) in (0..z.alpha * z.alpha).flat_map(|p| (0..block.len()).map(move |t| (p, t))) {
                // SAFETY: rows of a block's tiles.
                unsafe {
                    self.v.add(point * self.v_point() + tile * z.pitch + written).write_bytes(0, z.k - written);
                }
            }
        }
        // The last channels, fewer than a vector, and zeros; rows of `MOST_POINTS` pixels of `lanes` floats.
        let mut tail = [0.0f32; MOST_POINTS * MOST_POINTS * MOST_LANES];
        for strip in strips(self.z, block) {
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
    pub(super) unsafe fn products(&self, lists: &Lists, panel: usize) {
        let (w, z) = (self.kernel, self.z);
        let (nv, _) = self.width(panel);
        let products = w.products[nv - 1];
        let weights = self.job.weights.wrapping_add(panel * z.panel_len);
        let groups = |g: usize| if g == 0 { 0..4 } else { 2 * g + 2..2 * g + 4 };
        for i in 0..z.alpha {
            for g in 0..w.tile / 2 {
                let points = groups(g);
                let tiles = lists.0[kind(i, points.start)];
                if tiles == 0 {
                    continue;
                }
                let shares = Shares::new(tiles, tiles.div_ceil(products.len()));
                // One call for all points where there is one group of tiles; else weights stay near for the next group.
                let most = if tiles <= products.len() {
                    points.len()
                } else {
                    (NEAR / (z.k * nv * w.lanes * size_of::<f32>())).clamp(1, points.len())
                };
                for first in points.clone().step_by(most) {
                    let point = i * z.alpha + first;
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
                                points: most.min(points.end - first),
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
    pub(super) unsafe fn outputs(&self, block: Range<usize>, panel: usize) {
        let (w, z, job) = (self.kernel, self.z, self.job);
        let o = job.output_strides;
        let (vectors, last) = self.width(panel);
        let channel = panel * z.nr;
        let width = (vectors - 1) * w.lanes + last;
        let bias = job.weights.wrapping_add(z.bias + channel);
        let mut lists = Lists([0; KINDS]);
        for strip in strips(z, block) {
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
